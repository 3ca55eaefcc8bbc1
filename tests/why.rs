//! `why`: what it says of each SDK is what that SDK does.

use std::collections::BTreeMap;
use std::fs;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::Path;
use std::process::Command;

use crate::support::{ACCOUNT, Run, Sandbox, aws_cli_2, exported, tool};

/// The variables of a shell.
type Variables = BTreeMap<String, String>;

/// A program: the row that it is of, a region of its own, which tells whose call it was, and how it asks who it is.
type Program = (&'static str, &'static str, fn(&Sandbox) -> Command);

const PROGRAMS: [Program; 6] = [
    ("AWS CLI 2", "us-east-1", |sandbox| {
        let endpoint = sandbox.simulator.endpoint();
        sandbox.command(aws_cli_2(), ["--endpoint-url", &endpoint, "sts", "get-caller-identity"])
    }),
    ("AWS CLI 1, boto3", "us-east-2", |sandbox| sandbox.command(tool("aws"), ["sts", "get-caller-identity"])),
    ("AWS CLI 1, boto3", "us-west-1", |sandbox| {
        let script = "import boto3; boto3.client('sts').get_caller_identity()";
        sandbox.command(tool("python3"), ["-c", script])
    }),
    ("SDK for JavaScript", "us-west-2", crate::consumers::javascript),
    ("SDK for Rust", "eu-west-1", crate::consumers::rust),
    ("SDK for Go", "eu-west-2", crate::consumers::go),
];

/// A machine with a session of `dev`, and a shell that has its variables.
fn with_session() -> (Sandbox, Variables) {
    let mut sandbox = Sandbox::new();
    // Nobody waits for a machine of AWS's.
    sandbox.set("AWS_EC2_METADATA_DISABLED", "true");
    sandbox.log_in("dev");
    let run = sandbox.run(&["env", "dev", "--no-prompt"]);
    let variables = exported(&run.stdout, &[]);
    (sandbox, variables)
}

/// A shell with these variables alone.
fn shell(variables: &[(&str, &str)]) -> Variables {
    variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

fn why(sandbox: &Sandbox, shell: &Variables, arguments: &[&str]) -> Run {
    let run = Run::of(sandbox.client(["why"]).args(arguments).envs(shell));
    assert_eq!(run.status, 0, "{run:?}");
    run
}

/// Checks every row against the programs, and returns what was said.
#[track_caller]
fn agrees(sandbox: &Sandbox, shell: &Variables) -> Run {
    let run = why(sandbox, shell, &[]);
    std::thread::scope(|scope| {
        for (_, region, program) in PROGRAMS {
            scope.spawn(move || {
                let mut command = program(sandbox);
                command.envs(shell).env("AWS_REGION", region).env("AWS_DEFAULT_REGION", region);
                command.output().unwrap();
            });
        }
    });
    let calls = sandbox.simulator.calls_of("GetCallerIdentity");
    for (name, region, _) in PROGRAMS {
        let row = run.stdout.lines().find(|row| row.starts_with(name)).unwrap();
        let call = calls.iter().find(|call| call.region.as_deref() == Some(region));
        let key = call.and_then(|call| call.access_key_id.as_deref());
        match key {
            Some(key)
                if row.contains("credential_process")
                    || row.contains("endpoint of")
                    || row.contains("live access") =>
            {
                assert!(key.starts_with("ASIA"), "{name} in {region} used {key}: {run:?}");
            }
            Some(key) => {
                let tail = format!("key …{}", &key[key.len() - 4..]);
                assert!(row.contains(&tail), "{name} in {region} used {key}: {run:?}");
            }
            None => assert!(row.contains("  none"), "{name} in {region} used nothing: {run:?}"),
        }
    }
    run
}

/// Checks what is said to be in the way, and the line that mends it.
#[track_caller]
fn mended(run: &Run, traps: &[&str], hint: &str) {
    for trap in traps {
        assert!(run.stdout.contains(trap), "{trap}: {run:?}");
    }
    assert_eq!(run.hint(), hint, "{run:?}");
}

const MENDS: &str = "eval \"$(mfa-agent env dev)\"";

/// Adds a profile that gets its credentials from the agent.
fn add_session_profile(sandbox: &Sandbox, name: &str) {
    let config = fs::read_to_string(sandbox.home().join(".aws/config")).unwrap();
    let client = env!("CARGO_BIN_EXE_mfa-agent");
    let process = format!("credential_process = {client} credential-process dev --no-prompt");
    sandbox.write(".aws/config", &format!("{config}[profile {name}]\n{process}\n"));
}

/// Adds a `[default]` with the key of `dev`.
fn add_default(sandbox: &Sandbox) {
    let credentials = fs::read_to_string(sandbox.home().join(".aws/credentials")).unwrap();
    sandbox
        .write(".aws/credentials", &format!("{credentials}\n{}", credentials.replace("[dev]", "[default]")));
}

#[test]
fn the_variables_of_env_are_used_by_all_and_nothing_is_in_the_way() {
    let (sandbox, shell) = with_session();
    let run = agrees(&sandbox, &shell);
    assert_eq!(run.stdout.matches("session of dev").count(), 5, "{run:?}");
    assert_eq!(
        run.stdout.matches("h 59m left)").count() + run.stdout.matches("(12h left)").count(),
        5,
        "{run:?}"
    );
    assert_eq!(run.stdout.lines().count(), 6, "{run:?}");
    assert_eq!(run.stderr, "");
}

#[test]
fn nothing_is_nothing_to_all() {
    let (sandbox, _) = with_session();
    let run = agrees(&sandbox, &Variables::new());
    mended(&run, &["nothing for any of them"], "eval \"$(mfa-agent env PROFILE)\"");
}

#[test]
fn javascript_passes_over_keys_where_a_profile_is_named() {
    let (sandbox, mut shell) = with_session();
    shell.insert("AWS_PROFILE".to_owned(), "dev".to_owned());
    let run = agrees(&sandbox, &shell);
    mended(&run, &["passes over this shell's variables", "the key in [dev] is used as it is"], MENDS);
    let fixed = exported(
        &Run::of(sandbox.client(["env", "dev"]).envs(&shell)).stdout,
        &shell.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect::<Vec<_>>(),
    );
    sandbox.simulator.clear_calls();
    assert_eq!(agrees(&sandbox, &fixed).hint(), "", "the hint mends it");
}

#[test]
fn botocore_sends_the_older_token_first() {
    let (sandbox, mut shell) = with_session();
    shell.insert("AWS_SECURITY_TOKEN".to_owned(), "stale".to_owned());
    let run = agrees(&sandbox, &shell);
    mended(&run, &["AWS_SECURITY_TOKEN is set: the AWS CLI and boto3 send it"], MENDS);
    for (name, region, _) in PROGRAMS {
        let calls = sandbox.simulator.calls_of("GetCallerIdentity");
        let call = calls.into_iter().find(|call| call.region.as_deref() == Some(region)).unwrap();
        let refused = !name.starts_with("SDK");
        assert_eq!(call.status, Some(if refused { 403 } else { 200 }), "{name} in {region}");
    }
}

#[test]
fn the_two_variables_of_a_profile_mean_different_things_to_different_programs() {
    let (sandbox, _) = with_session();
    add_session_profile(&sandbox, "dev-session");
    let both = shell(&[("AWS_PROFILE", "dev-session"), ("AWS_DEFAULT_PROFILE", "dev")]);
    let run = agrees(&sandbox, &both);
    assert!(run.stdout.contains("AWS_PROFILE and AWS_DEFAULT_PROFILE differ"), "{run:?}");
    assert_eq!(run.stdout.matches("its credential_process").count(), 4, "{run:?}");

    let (sandbox, _) = with_session();
    let run = agrees(&sandbox, &shell(&[("AWS_DEFAULT_PROFILE", "dev")]));
    assert!(run.stdout.contains("AWS_DEFAULT_PROFILE is set without AWS_PROFILE"), "{run:?}");
}

#[test]
fn a_credential_process_is_a_way_with_nothing_in_it() {
    let (sandbox, _) = with_session();
    add_session_profile(&sandbox, "dev-session");
    let run = agrees(&sandbox, &shell(&[("AWS_PROFILE", "dev-session")]));
    assert_eq!(
        run.stdout.matches("[dev-session] of the files: its credential_process").count(),
        5,
        "{run:?}"
    );
    assert_eq!((run.stdout.lines().count(), run.stderr.as_str()), (6, ""), "{run:?}");
}

#[test]
fn a_key_beside_a_credential_process_wins_but_in_rust() {
    let (sandbox, _) = with_session();
    let credentials = fs::read_to_string(sandbox.home().join(".aws/credentials")).unwrap();
    sandbox.write(".aws/credentials", &format!("{credentials}\n{}", credentials.replace("[dev]", "[both]")));
    add_session_profile(&sandbox, "both");
    let run = agrees(&sandbox, &shell(&[("AWS_PROFILE", "both")]));
    assert_eq!(run.stdout.matches("its credential_process").count(), 1, "{run:?}");
    assert!(run.stdout.contains("the key in [both] is used as it is"), "{run:?}");
}

#[test]
fn a_profile_that_is_in_no_file_ends_the_search_of_some() {
    let (sandbox, mut shell) = with_session();
    shell.insert("AWS_PROFILE".to_owned(), "gone".to_owned());
    let run = agrees(&sandbox, &shell);
    assert_eq!(run.stdout.matches("none: its profile is in no file").count(), 2, "{run:?}");
    mended(&run, &["nothing for: AWS CLI 2; AWS CLI 1, boto3; SDK for JavaScript"], "unset AWS_PROFILE");
    shell.retain(|name, _| name == "AWS_PROFILE");
    let (sandbox, _) = with_session();
    let run = agrees(&sandbox, &shell);
    assert_eq!(run.stdout.matches("none: its profile is in no file").count(), 3, "{run:?}");
}

#[test]
fn half_a_key_ends_the_search_of_some() {
    let (sandbox, _) = with_session();
    add_default(&sandbox);
    let run = agrees(&sandbox, &shell(&[("AWS_ACCESS_KEY_ID", "ASIAHALF")]));
    assert_eq!(run.stdout.matches("none: AWS_SECRET_ACCESS_KEY is missing").count(), 2, "{run:?}");
    assert!(run.stdout.contains("one is set without the other"), "{run:?}");
}

#[test]
fn a_containers_endpoint_is_asked_last() {
    let (sandbox, variables) = with_session();
    let body = serde_json::json!({
        "AccessKeyId": variables["AWS_ACCESS_KEY_ID"],
        "SecretAccessKey": variables["AWS_SECRET_ACCESS_KEY"],
        "Token": variables["AWS_SESSION_TOKEN"],
        "Expiration": variables["AWS_CREDENTIAL_EXPIRATION"],
    })
    .to_string();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let uri = format!("http://{}/", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for mut stream in listener.incoming().map_while(Result::ok) {
            let head = format!("content-type: application/json\r\ncontent-length: {}\r\n", body.len());
            let _ = stream.read(&mut [0; 4_096]);
            let _ = write!(stream, "HTTP/1.1 200 OK\r\n{head}connection: close\r\n\r\n{body}");
        }
    });
    let shell = shell(&[("AWS_CONTAINER_CREDENTIALS_FULL_URI", &uri)]);
    let run = agrees(&sandbox, &shell);
    assert_eq!(
        run.stdout.matches("the endpoint of AWS_CONTAINER_CREDENTIALS_FULL_URI").count(),
        5,
        "{run:?}"
    );
    assert_eq!((run.stdout.lines().count(), run.stderr.as_str()), (6, ""), "{run:?}");

    sandbox.simulator.clear_calls();
    add_default(&sandbox);
    let run = agrees(&sandbox, &shell);
    let traps =
        ["AWS_CONTAINER_CREDENTIALS_FULL_URI is set: it is asked last", "the key in [default] is used"];
    mended(&run, &traps, "eval \"$(mfa-agent env PROFILE)\"");
}

#[test]
fn of_two_containers_endpoints_go_takes_the_other_one() {
    let (sandbox, _) = with_session();
    let live = exported(&sandbox.run(&["env", "dev", "--live"]).stdout, &[]);
    let mut both = live.clone();
    both.insert("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI".to_owned(), "/nowhere".to_owned());
    let run = why(&sandbox, &both, &[]);
    mended(
        &run,
        &["the SDK for Go takes AWS_CONTAINER_CREDENTIALS_FULL_URI, all others the other one"],
        "eval \"$(mfa-agent env dev --live)\"",
    );
    assert!(run.stdout.contains("\nSDK for Go          live access to dev"), "{run:?}");
    assert_eq!(run.stdout.matches("the endpoint of AWS_CONTAINER_CREDENTIALS_RELATIVE_URI").count(), 4);
    // What the relative one leads to is a machine of AWS's, so that Go alone is seen to take the full one.
    let caller = Run::of(crate::consumers::go(&sandbox).envs(&both).env("AWS_REGION", "eu-west-2"));
    assert!(caller.status == 0 && caller.stdout.contains(":user/alice"), "{caller:?}");
}

#[test]
fn live_access_is_what_it_says_unless_a_key_wins() {
    let (sandbox, _) = with_session();
    let shell = exported(&sandbox.run(&["env", "dev", "--live"]).stdout, &[]);
    let run = agrees(&sandbox, &shell);
    assert_eq!(run.stdout.matches("live access to dev").count(), 5, "{run:?}");
    assert_eq!((run.stdout.lines().count(), run.stderr.as_str()), (6, ""), "{run:?}");
    let mut shell = shell;
    shell.insert("AWS_SECRET_ACCESS_KEY".to_owned(), "left over".to_owned());
    shell.insert("AWS_ACCESS_KEY_ID".to_owned(), "ASIALEFTOVERLEFTOVER".to_owned());
    let run = why(&sandbox, &shell, &[]);
    mended(&run, &["it is asked last"], "eval \"$(mfa-agent env dev --live)\"");
}

#[test]
fn what_has_expired_and_whose_it_is_are_told() {
    let (sandbox, mut shell) = with_session();
    let run = why(&sandbox, &shell, &["prod"]);
    mended(&run, &["this shell has the session of dev, not of prod"], "eval \"$(mfa-agent env prod)\"");
    shell.insert("MFA_AGENT_EXP".to_owned(), "1".to_owned());
    mended(
        &why(&sandbox, &shell, &[]),
        &["expired", "the session in this shell's variables has expired"],
        MENDS,
    );
    // Somebody put other keys in their place.
    shell.insert("AWS_ACCESS_KEY_ID".to_owned(), "ASIAOTHEROTHEROTHER1".to_owned());
    let run = why(&sandbox, &shell, &[]);
    assert!(
        run.stdout.contains("somebody's session, key …HER1") && run.stdout.contains("unknown"),
        "{run:?}"
    );
    shell.remove("AWS_SESSION_TOKEN");
    let run = why(&sandbox, &shell, &[]);
    mended(&run, &["a key without a session", "no end", "what needs MFA is refused"], MENDS);
    let elsewhere = Path::new("/elsewhere/config");
    let run = Run::of(sandbox.client(["why"]).envs(&shell).env("AWS_CONFIG_FILE", elsewhere));
    assert!(run.stdout.contains("AWS_CONFIG_FILE is another than the agent reads"), "{run:?}");
    assert!(!format!("{run:?}").contains(&shell["AWS_SECRET_ACCESS_KEY"]), "{run:?}");
    assert!(!run.stdout.contains(ACCOUNT), "{run:?}");
}
