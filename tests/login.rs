//! The main job: one code in, `export` lines out.

use protocol::{Reply, Request};

use crate::errors::check;
use crate::support::{Run, Sandbox, exported, key_of, tool};

#[test]
fn one_code_opens_a_session_that_signs() {
    let sandbox = Sandbox::new();
    let terminal = sandbox.terminal(&["env", "dev"]);
    terminal.wait_for("MFA code for dev");
    assert!(terminal.shows(&sandbox.serial), "{}", terminal.screen());
    assert!(terminal.shows(&sandbox.simulator.endpoint()), "an endpoint that is not AWS's is named");
    terminal.type_in(&sandbox.code());
    let run = terminal.finish();
    assert_eq!(run.status, 0, "{run:?}");

    let calls = sandbox.simulator.calls_of("GetSessionToken");
    assert_eq!(calls.len(), 1);
    assert_eq!(calls[0].parameter("SerialNumber"), Some(sandbox.serial.as_str()));
    assert_eq!(calls[0].parameter("DurationSeconds"), Some("43200"));
    assert_eq!(calls[0].region.as_deref(), Some("eu-central-1"));
    assert_eq!(calls[0].access_key_id.as_deref(), Some(sandbox.alice.access_key_id.as_str()));

    let variables = exported(&run.stdout, &[]);
    assert!(variables["AWS_ACCESS_KEY_ID"].starts_with("ASIA"));
    assert_eq!(variables["AWS_REGION"], "eu-central-1");
    assert_eq!(variables["AWS_DEFAULT_REGION"], "eu-central-1");
    assert_eq!(variables["MFA_AGENT_PROFILE"], "dev");
    assert_eq!(variables["AWS_CREDENTIAL_EXPIRATION"], variables["AWS_SESSION_EXPIRATION"]);
    assert!(variables["AWS_CREDENTIAL_EXPIRATION"].ends_with('Z'));
    assert!(std::path::Path::new(&variables["MFA_AGENT_LEASE"]).is_file());
    let expires_at: i64 = variables["MFA_AGENT_EXP"].parse().unwrap();
    assert!((expires_at - sandbox.simulator.now() - 43_200).abs() <= 5);
}

#[test]
fn a_second_call_costs_no_code_and_no_call() {
    let sandbox = Sandbox::new();
    sandbox.log_in("dev");
    let first = sandbox.run(&["env", "dev"]);
    let second = sandbox.run(&["env", "dev", "--no-prompt"]);
    assert_eq!((first.status, second.status), (0, 0));
    assert_eq!(first.stdout, second.stdout);
    assert_eq!(sandbox.simulator.calls().len(), 1);
}

#[test]
fn what_would_win_over_the_credentials_is_unset_not_emptied() {
    let sandbox = Sandbox::new();
    sandbox.log_in("dev");
    let code = sandbox.run(&["env", "dev"]).stdout;
    let misleading = [
        "AWS_PROFILE",
        "AWS_DEFAULT_PROFILE",
        "AWS_SECURITY_TOKEN",
        "AWS_CONTAINER_CREDENTIALS_FULL_URI",
        "AWS_CONTAINER_AUTHORIZATION_TOKEN",
    ];
    let before: Vec<_> = misleading.iter().map(|name| (*name, "stale")).collect();
    let after = exported(&code, &before);
    for name in misleading {
        assert!(!after.contains_key(name), "{name}");
    }
    assert!(!code.contains("=''"), "{code}");
}

#[test]
fn a_region_is_taken_back_from_who_had_it_from_us_alone() {
    let mut sandbox = Sandbox::new();
    let config = format!(
        "[profile dev]\nregion = eu-central-1\nmfa_serial = {0}\n[profile bare]\nmfa_serial = {0}\n",
        sandbox.serial
    );
    sandbox.write(".aws/config", &config);
    let key = key_of(&sandbox.alice);
    sandbox.write(".aws/credentials", &format!("[dev]\n{key}[bare]\n{key}"));
    sandbox.log_in("dev");
    let before = exported(&sandbox.run(&["env", "dev"]).stdout, &[]);
    for (name, value) in &before {
        sandbox.set(name, value);
    }
    let ours: Vec<_> = before.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let after = exported(&sandbox.run(&["env", "bare"]).stdout, &ours);
    assert!(!after.contains_key("AWS_REGION") && !after.contains_key("AWS_DEFAULT_REGION"), "{after:?}");

    // A region that the person set stays.
    sandbox.set("AWS_REGION", "us-west-2");
    let theirs: Vec<_> = ours
        .iter()
        .map(|(name, value)| (*name, if *name == "AWS_REGION" { "us-west-2" } else { *value }))
        .collect();
    let after = exported(&sandbox.run(&["env", "bare"]).stdout, &theirs);
    assert_eq!(after["AWS_REGION"], "us-west-2");
    assert!(!after.contains_key("AWS_DEFAULT_REGION"));
}

#[test]
fn unset_removes_all_that_env_sets() {
    let mut sandbox = Sandbox::new();
    sandbox.log_in("dev");
    let before = exported(&sandbox.run(&["env", "dev"]).stdout, &[]);
    for (name, value) in &before {
        sandbox.set(name, value);
    }
    let before: Vec<_> = before.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let unset = sandbox.run(&["env", "--unset"]);
    assert_eq!(unset.status, 0);
    assert_eq!(exported(&unset.stdout, &before), [].into());
    // With no agent to be asked, too, and none is started for it.
    sandbox.run(&["agent", "stop"]);
    assert_eq!(exported(&sandbox.run(&["env", "--unset"]).stdout, &before), [].into());
    assert!(!sandbox.socket().exists());
}

#[test]
fn stale_variables_of_the_caller_do_not_reach_sts() {
    let mut sandbox = Sandbox::new();
    for (name, value) in [
        ("AWS_ACCESS_KEY_ID", "ASIASTALE"),
        ("AWS_SECRET_ACCESS_KEY", "stale"),
        ("AWS_SESSION_TOKEN", "stale"),
        ("AWS_REGION", "ap-south-1"),
        ("AWS_PROFILE", "gone"),
    ] {
        sandbox.set(name, value);
    }
    let run = sandbox.run(&["env", "dev", "--code", &sandbox.code()]);
    assert_eq!(run.status, 0, "{run:?}");
    assert_eq!(sandbox.simulator.calls_of("GetSessionToken")[0].region.as_deref(), Some("eu-central-1"));
}

#[test]
fn files_and_endpoint_of_a_caller_change_nothing_of_a_running_agent() {
    let sandbox = Sandbox::new();
    sandbox.log_in("dev");
    let elsewhere = aws_simulator::Simulator::start();
    sandbox.write("project/config", "[profile dev]\nmfa_serial = arn:aws:iam::999999999999:mfa/mallory\n");
    sandbox
        .write("project/credentials", "[dev]\naws_access_key_id = AKIAEVIL\naws_secret_access_key = evil\n");
    let mut caller = sandbox.client(["env", "dev"]);
    caller
        .env("AWS_CONFIG_FILE", sandbox.home().join("project/config"))
        .env("AWS_SHARED_CREDENTIALS_FILE", sandbox.home().join("project/credentials"))
        .env("AWS_ENDPOINT_URL", elsewhere.endpoint());
    let run = Run::of(&mut caller);
    assert_eq!((run.status, run.stdout), (0, sandbox.run(&["env", "dev"]).stdout));
    // Nor where it opens a new session.
    let code = sandbox.code();
    let mut login = sandbox.client(["login", "dev", "--force", "--code", &code]);
    assert_eq!(
        Run::of(login.envs(caller.get_envs().filter_map(|(name, value)| Some((name, value?))))).status,
        0
    );
    assert_eq!(sandbox.simulator.calls_of("GetSessionToken").len(), 2);
    assert!(elsewhere.calls().is_empty());
}

#[test]
fn two_profiles_over_one_user_and_device_share_one_code() {
    let sandbox = Sandbox::new();
    let key = key_of(&sandbox.alice);
    sandbox
        .write(".aws/credentials", &format!("[dev]\n{key}[other]\n{key}mfa_serial = {}\n", sandbox.serial));
    sandbox.log_in("dev");
    let (dev, other) = (sandbox.run(&["env", "dev"]), sandbox.run(&["env", "other", "--no-prompt"]));
    assert_eq!(
        exported(&dev.stdout, &[])["AWS_ACCESS_KEY_ID"],
        exported(&other.stdout, &[])["AWS_ACCESS_KEY_ID"]
    );
    assert_eq!(sandbox.simulator.calls_of("GetSessionToken").len(), 1);
}

#[test]
fn profiles_whose_codes_go_elsewhere_share_nothing() {
    let mut sandbox = Sandbox::new();
    sandbox.unset("AWS_ENDPOINT_URL");
    let elsewhere = aws_simulator::Simulator::start();
    let section = |name: &str, endpoint: &str| {
        format!("[profile {name}]\nmfa_serial = {}\nendpoint_url = {endpoint}\n", sandbox.serial)
    };
    let (here, there) = (sandbox.simulator.endpoint(), elsewhere.endpoint());
    sandbox
        .write(".aws/config", &(section("dev", &here) + &section("other", &there) + &section("same", &here)));
    let key = key_of(&sandbox.alice);
    sandbox.write(".aws/credentials", &format!("[dev]\n{key}[other]\n{key}[same]\n{key}"));
    sandbox.log_in("dev");
    // The session of one AWS is nothing to another, and no role is assumed with it there.
    let other = sandbox.run(&["env", "other", "--no-prompt"]);
    assert_eq!(other.status, 3, "{other:?}");
    assert_eq!(sandbox.run(&["env", "same", "--no-prompt"]).status, 0);
    assert_eq!(elsewhere.calls().len(), 0);
    // And to log out of the one is not to log out of the other.
    assert_eq!(sandbox.run(&["logout", "other"]).stderr, "nothing to forget\n");
    assert_eq!(sandbox.run(&["env", "dev", "--no-prompt"]).status, 0);
    assert_eq!(sandbox.run(&["logout", "same"]).stderr, "1 session forgotten\n");
}

#[test]
fn a_services_section_says_where_sts_and_iam_are() {
    let mut sandbox = Sandbox::new();
    sandbox.unset("AWS_ENDPOINT_URL");
    let iam = aws_simulator::Simulator::start();
    let config = |services: &str| {
        let nobody = "endpoint_url = http://127.0.0.1:1\n";
        sandbox.write(".aws/config", &format!("{services}[profile dev]\nservices = local\n{nobody}"));
    };
    let (here, there) = (sandbox.simulator.endpoint(), iam.endpoint());
    config(&format!("[services local]\nsts =\n  endpoint_url = {here}\niam =\n  endpoint_url = {there}\n"));
    // The device is looked up at one, and the session opened at the other; before a code is typed it is named.
    check(&sandbox.terminal(&["login", "dev"]).finish(), 4, &["AWS does not know the key"]);
    assert_eq!((iam.calls().len(), sandbox.simulator.calls().len()), (1, 0));
    config(&format!("[services local]\nsts =\n  endpoint_url = {here}\niam =\n  endpoint_url = {here}\n"));
    let terminal = sandbox.terminal(&["login", "dev"]);
    terminal.wait_for(&format!("This code goes to {here}, which is not AWS."));
    terminal.type_in(&sandbox.code());
    assert_eq!(terminal.finish().status, 0);
    // As the AWS CLI sends its calls there.
    let variables = exported(&sandbox.run(&["env", "dev"]).stdout, &[]);
    let mut caller = sandbox.command(tool("aws"), ["sts", "get-caller-identity", "--profile", "dev"]);
    let caller = Run::of(caller.envs(&variables).env("AWS_DEFAULT_REGION", "eu-central-1"));
    assert!(caller.status == 0 && caller.stdout.contains(":user/alice"), "{caller:?}");
    let health = sandbox.run(&["doctor", "--offline"]).stdout;
    assert!(
        health.contains(&format!("{here}, which is not AWS (sts endpoint_url of [services local])")),
        "{health}"
    );

    // A section that is not there is an error, and a variable wins.
    config("");
    let run = sandbox.run(&["login", "dev", "--force", "--code", "123456"]);
    check(&run, 5, &["services = local in profile dev cannot work"]);
    assert_eq!(run.hint(), "it must be the name of a section of the config file: [services local]");
    assert_eq!(sandbox.run(&["agent", "stop"]).status, 0);
    sandbox.set("AWS_ENDPOINT_URL_STS", &here);
    sandbox.set("AWS_ENDPOINT_URL_IAM", &here);
    sandbox.simulator.advance(std::time::Duration::from_mins(1));
    sandbox.log_in("dev");
    assert!(sandbox.run(&["status"]).stdout.contains("with AWS_ENDPOINT_URL_STS=http"));
}

#[test]
fn the_device_is_found_where_none_is_configured() {
    let sandbox = Sandbox::new();
    sandbox.write(".aws/config", "");
    sandbox.log_in("dev");
    assert_eq!(sandbox.run(&["env", "dev"]).status, 0);
    assert_eq!(sandbox.simulator.calls_of("ListMFADevices").len(), 1);
    let call = &sandbox.simulator.calls_of("GetSessionToken")[0];
    assert_eq!(call.parameter("SerialNumber"), Some(sandbox.serial.as_str()));
}

#[test]
fn aws_mfas_sections_need_no_change() {
    let sandbox = Sandbox::new();
    sandbox.write(".aws/config", "");
    let key = key_of(&sandbox.alice);
    sandbox
        .write(".aws/credentials", &format!("[dev-long-term]\n{key}aws_mfa_device = {}\n", sandbox.serial));
    sandbox.log_in("dev");
    assert_eq!(sandbox.run(&["env", "dev"]).status, 0);
}

#[test]
fn the_duration_comes_from_the_nearest_word() {
    let sandbox = Sandbox::new();
    let asked = |arguments: &[&str]| {
        sandbox.simulator.clear_calls();
        // A key and a device of its own for each: a device has no more than two codes in half a minute.
        let run = sandbox.run(arguments);
        assert_eq!(run.status, 0, "{run:?}");
        sandbox.simulator.calls_of("GetSessionToken")[0].parameter("DurationSeconds").unwrap().to_owned()
    };
    sandbox.write(".config/mfa-agent/config.toml", "duration = '2h'\n");
    assert_eq!(asked(&["login", "dev", "--code", &sandbox.code()]), "7200");
    assert_eq!(asked(&["login", "dev", "--force", "--duration", "15m", "--code", &sandbox.code()]), "900");
}

#[test]
fn a_code_can_come_through_a_pipe() {
    use std::io::Write;
    let sandbox = Sandbox::new();
    let mut client = sandbox
        .client(["env", "dev", "--code", "-"])
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    writeln!(client.stdin.take().unwrap(), "{}", sandbox.code()).unwrap();
    let run: crate::support::Run = client.wait_with_output().unwrap().into();
    assert_eq!(run.status, 0);
    assert!(exported(&run.stdout, &[]).contains_key("AWS_SESSION_TOKEN"));
}

#[test]
fn force_starts_the_clock_again() {
    let sandbox = Sandbox::new();
    sandbox.log_in("dev");
    let before = exported(&sandbox.run(&["env", "dev"]).stdout, &[]);
    let run = sandbox.run(&["login", "dev", "--force", "--code", &sandbox.code()]);
    assert_eq!(run.status, 0, "{run:?}");
    let after = exported(&sandbox.run(&["env", "dev"]).stdout, &[]);
    assert_ne!(before["AWS_ACCESS_KEY_ID"], after["AWS_ACCESS_KEY_ID"]);
    assert!(!std::path::Path::new(&before["MFA_AGENT_LEASE"]).exists());
    assert!(std::path::Path::new(&after["MFA_AGENT_LEASE"]).exists());
}

#[test]
fn logout_forgets() {
    let sandbox = Sandbox::new();
    sandbox.log_in("dev");
    let lease = exported(&sandbox.run(&["env", "dev"]).stdout, &[])["MFA_AGENT_LEASE"].clone();
    assert_eq!(sandbox.run(&["logout", "dev"]).status, 0);
    assert!(!std::path::Path::new(&lease).exists());
    let run = sandbox.run(&["env", "dev", "--no-prompt"]);
    assert_eq!((run.status, run.stdout.as_str()), (3, "false\n"));
}

#[test]
fn status_tells_what_is_held_and_nothing_secret() {
    let sandbox = Sandbox::new();
    sandbox.log_in("dev");
    let variables = exported(&sandbox.run(&["env", "dev"]).stdout, &[]);
    let table = sandbox.run(&["status"]);
    assert_eq!(table.status, 0);
    for word in ["dev", crate::support::ACCOUNT, &sandbox.simulator.endpoint()] {
        assert!(table.stdout.contains(word), "{word}: {}", table.stdout);
    }
    let json = sandbox.run(&["status", "--json"]);
    let status: serde_json::Value = serde_json::from_str(&json.stdout).unwrap();
    assert_eq!(status["sessions"][0]["profiles"][0], "dev");
    assert_eq!(status["sessions"][0]["kind"], "mfa");
    for secret in ["AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"] {
        assert!(!table.stdout.contains(&variables[secret]) && !json.stdout.contains(&variables[secret]));
    }
}

#[test]
fn profiles_says_what_can_work_and_why_not() {
    let sandbox = Sandbox::new();
    let config = format!(
        "[profile dev]\nmfa_serial = {}\n[profile corp]\nsso_session = corp\n[profile ops]\nrole_arn = arn:aws:iam::1:role/ops\nsource_profile = dev\n",
        sandbox.serial
    );
    sandbox.write(".aws/config", &config);
    let json = sandbox.run(&["profiles", "--json"]);
    let profiles: Vec<protocol::Profile> = serde_json::from_str(&json.stdout).unwrap();
    let works: Vec<_> =
        profiles.iter().map(|profile| (profile.name.as_str(), profile.problem.is_none())).collect();
    assert_eq!(works, [("corp", false), ("dev", true), ("ops", true)]);
    let table = sandbox.run(&["profiles"]);
    assert_eq!(table.status, 0);
    assert!(table.stdout.contains("ops") && table.stdout.contains("corp"), "{}", table.stdout);
}

#[test]
fn the_persons_own_variables_come_along() {
    let sandbox = Sandbox::new();
    sandbox.write(".config/mfa-agent/config.toml", "[profile.dev.env]\nTF_VAR_who = \"it's $me\"\n");
    sandbox.log_in("dev");
    assert_eq!(exported(&sandbox.run(&["env", "dev"]).stdout, &[])["TF_VAR_who"], "it's $me");
}

#[test]
fn the_log_says_who_asked_for_what() {
    let sandbox = Sandbox::new();
    sandbox.log_in("dev");
    sandbox.run(&["env", "dev"]);
    let Reply::Log(entries) = sandbox.ask(Request::Log) else { panic!() };
    assert!(entries.iter().any(|entry| entry.event == "credentials of dev: done"
        && entry.program.as_deref() == Some("mfa-agent")
        && entry.pid.is_some()));
    let shown = sandbox.run(&["agent", "log"]);
    assert_eq!(shown.status, 0);
    assert!(shown.stdout.contains("login to dev: a new session"), "{shown:?}");
}
