//! What `env` prints.

use crate::stub::{CREDENTIALS, Stub, end, ended};

const SETS: &str = "\
export AWS_ACCESS_KEY_ID='ASIAIOSFODNN7EXAMPLE';
export AWS_SECRET_ACCESS_KEY='wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY';
export AWS_SESSION_TOKEN='Rk9P/b+r=';
export AWS_CREDENTIAL_EXPIRATION='2026-11-05T18:20:07Z';
export AWS_SESSION_EXPIRATION='2026-11-05T18:20:07Z';
";
const UNSETS: &str = "\
unset AWS_PROFILE;
unset AWS_DEFAULT_PROFILE;
unset AWS_SECURITY_TOKEN;
unset AWS_CONTAINER_CREDENTIALS_FULL_URI;
unset AWS_CONTAINER_AUTHORIZATION_TOKEN;
unset MFA_AGENT_LIVE;
";

/// The environment of a run.
type Variables = [(&'static str, &'static str)];

/// The credentials with further fields.
fn credentials(fields: &str) -> String {
    CREDENTIALS.replace("\"expires_at\"", &format!("{fields},\"expires_at\""))
}

/// What the client prints for this reply, with these variables in its environment.
fn printed(stub: &Stub, arguments: &str, variables: &[(&str, &str)], reply: &str) -> (i32, String, String) {
    let child = stub.client(arguments).envs(variables.iter().copied()).spawn().unwrap();
    drop(stub.call().reply(reply));
    end(child)
}

#[test]
fn statements_in_a_fixed_order() {
    let stub = Stub::new();
    let lease = stub.folder.path().join("mfa-agent/lease");
    std::fs::create_dir(&lease).unwrap();
    std::fs::write(lease.join("l1"), "").unwrap();
    let reply =
        credentials(r#""region":"eu-central-1","lease":"l1","variables":{"TF_VAR_b":"it's","A":"$(id)"}"#);
    let (status, stdout, stderr) = printed(&stub, "env dev --shell posix", &[], &reply);
    let lease = lease.join("l1");
    let expected = format!(
        "{SETS}export AWS_REGION='eu-central-1';\nexport AWS_DEFAULT_REGION='eu-central-1';\n\
         export MFA_AGENT_PROFILE='dev';\nexport MFA_AGENT_LEASE='{}';\nexport MFA_AGENT_EXP='1793902807';\n\
         export A='$(id)';\nexport TF_VAR_b='it'\\''s';\n{UNSETS}",
        lease.display()
    );
    assert_eq!((status, stdout, stderr), (0, expected, String::new()));
}

#[test]
fn where_the_lease_is_not_here_the_shell_asks_by_the_clock() {
    let stub = Stub::new();
    for name in ["gone", "../sock", "", ".", "..", "a\\u0000b"] {
        let reply = credentials(&format!(r#""lease":"{name}""#));
        let before = now();
        let (_, stdout, _) = printed(&stub, "env dev --shell posix", &[], &reply);
        let (head, rest) = stdout.split_once("export MFA_AGENT_LOOK='").unwrap();
        let (look, tail) = rest.split_once("';\n").unwrap();
        let expected = "export MFA_AGENT_PROFILE='dev';\nexport MFA_AGENT_LEASE='/';\nexport MFA_AGENT_EXP='1793902807';\n";
        assert_eq!((head, tail), (format!("{SETS}{expected}").as_str(), UNSETS), "{name}");
        // In a minute, and the end of the key's id.
        let (at, key) = look.split_once('-').unwrap();
        assert!((before + 60..=now() + 60).contains(&at.parse().unwrap()) && key == "MPLE", "{look}");
    }
    // Back with a lease, there is nothing left of it.
    let lease = stub.folder.path().join("mfa-agent/lease");
    std::fs::create_dir(&lease).unwrap();
    std::fs::write(lease.join("l1"), "").unwrap();
    let variables = [("MFA_AGENT_LOOK", "1793902807-MPLE")];
    let (_, stdout, _) = printed(&stub, "env dev --shell posix", &variables, &credentials(r#""lease":"l1""#));
    assert!(stdout.contains("lease/l1'") && stdout.ends_with("unset MFA_AGENT_LOOK;\n"), "{stdout}");
    let output = stub.client("env --unset --shell posix").envs(variables).output().unwrap();
    assert!(ended(&output).1.contains("unset MFA_AGENT_LOOK;\n"), "{output:?}");
}

/// Seconds since the epoch.
fn now() -> u64 {
    std::time::UNIX_EPOCH.elapsed().unwrap().as_secs()
}

#[test]
fn a_prompt_without_a_lease_keeps_what_is_good_while_the_line_is_down_and_drops_it_at_its_end() {
    let stub = Stub::new();
    std::fs::remove_file(stub.socket()).unwrap();
    let look = ("MFA_AGENT_LOOK", "1793902807-MPLE");
    let shell = |look: (&'static str, &'static str), expires_at: u64| {
        let mut client = stub.client("hook sync --shell posix");
        client.envs([look, ("MFA_AGENT_LEASE", "/"), ("MFA_AGENT_PROFILE", "dev")]);
        client.envs([("AWS_ACCESS_KEY_ID", "ASIAIOSFODNN7EXAMPLE")]);
        ended(&client.env("MFA_AGENT_EXP", expires_at.to_string()).output().unwrap())
    };
    let (status, stdout, stderr) = shell(look, now() + 3_600);
    assert_eq!((status, stderr.as_str(), stdout.lines().count()), (0, "", 1), "{stdout}");
    assert!(stdout.starts_with("export MFA_AGENT_LOOK='") && stdout.ends_with("-MPLE';\n"), "{stdout}");
    let (_, stdout, stderr) = shell(look, now() - 1);
    assert!(stdout.contains("unset AWS_SECRET_ACCESS_KEY;\n"), "{stdout}");
    assert!(stdout.contains("unset MFA_AGENT_LOOK;\n") && stdout.contains("LEASE='/'"), "{stdout}");
    assert!(stderr.contains("the agent is gone"), "{stderr}");
    // A key that the person set by hand is not ours, here either.
    let (_, stdout, _) = shell(("MFA_AGENT_LOOK", "1793902807-WXYZ"), now() + 3_600);
    assert!(stdout.contains("unset MFA_AGENT_PROFILE;\n"), "{stdout}");
    assert!(stdout.contains("unset MFA_AGENT_LOOK;\n") && !stdout.contains("AWS_SECRET"), "{stdout}");
}

#[test]
fn a_prompt_whose_agent_ended_is_told_what_that_means_to_it() {
    let stub = Stub::new();
    std::fs::remove_file(stub.socket()).unwrap();
    let told = |key: Option<(&'static str, &'static str)>, expires_at: u64| {
        let mut client = stub.client("hook sync --shell posix");
        client.envs([("MFA_AGENT_LEASE", "/gone-MPLE"), ("MFA_AGENT_PROFILE", "dev")]).envs(key);
        let (status, stdout, stderr) =
            ended(&client.env("MFA_AGENT_EXP", expires_at.to_string()).output().unwrap());
        assert!(status == 0 && stdout.contains("export MFA_AGENT_LEASE='/';\n"), "{stdout}");
        stderr
    };
    let key = Some(("AWS_ACCESS_KEY_ID", "ASIAIOSFODNN7EXAMPLE"));
    let hint = "; mfa-agent use dev\n";
    assert_eq!(told(key, now() + 3_600), format!("mfa-agent: dev: the agent is gone{hint}"));
    assert_eq!(told(key, now() - 1), format!("mfa-agent: dev: the session has expired{hint}"));
    assert_eq!(told(None, now() - 1), "", "it was told when it lost what it had");
}

#[test]
fn a_prompt_without_a_lease_is_told_once_on_which_host_to_log_in() {
    let stub = Stub::new();
    let reply = r#"{"shell":{"ended":{"reason":"expired","ask":false,"host":"laptop"}}}"#;
    let line = "mfa-agent: dev: the session has expired; on laptop: mfa-agent login dev\n";
    for (look, told) in [(Some("1793902807-MPLE"), line), (None, "")] {
        let mut client = stub.client("hook sync --shell posix");
        client.envs([
            ("MFA_AGENT_LEASE", "/"),
            ("MFA_AGENT_PROFILE", "dev"),
            ("MFA_AGENT_EXP", "1793902807"),
        ]);
        client.envs(look.map(|look| ("MFA_AGENT_LOOK", look)));
        client.envs(look.map(|_| ("AWS_ACCESS_KEY_ID", "ASIAIOSFODNN7EXAMPLE")));
        let child = client.spawn().unwrap();
        drop(stub.expect("\"shell\"").reply(reply));
        let (status, stdout, stderr) = end(child);
        assert_eq!((status, stderr.as_str()), (0, told));
        assert!(stdout.contains("unset AWS_SECRET_ACCESS_KEY;\n"), "{stdout}");
    }
}

#[test]
fn fish_gets_fish() {
    let stub = Stub::new();
    let (_, stdout, _) = printed(&stub, "env dev --shell fish", &[], CREDENTIALS);
    assert!(stdout.starts_with("set -gx AWS_ACCESS_KEY_ID 'ASIAIOSFODNN7EXAMPLE';\n"), "{stdout}");
    assert!(stdout.ends_with("set -ge MFA_AGENT_LIVE; or true;\n"), "{stdout}");
}

#[test]
fn the_shell_is_the_one_that_runs_it() {
    let stub = Stub::new();
    for (shell, first) in [("fish --no-config", "set "), ("bash --norc", "export "), ("zsh -f", "export ")] {
        let child = stub.shell(&format!("{shell} -c 'client env dev --no-prompt; true'")).spawn().unwrap();
        drop(stub.call().reply(CREDENTIALS));
        let (_, stdout, _) = end(child);
        assert!(stdout.starts_with(first), "{shell}: {stdout}");
    }
}

#[test]
fn a_region_goes_only_where_we_set_it() {
    let stub = Stub::new();
    let with_region =
        [("MFA_AGENT_PROFILE", "old"), ("AWS_REGION", "eu-west-1"), ("AWS_DEFAULT_REGION", "us-east-1")];
    let child = stub.client("env dev --shell posix").envs(with_region).spawn().unwrap();
    let call = stub.expect(r#""replaces":"old""#);
    drop(call.reply(&credentials(r#""replaced_region":"eu-west-1""#)));
    drop(stub.expect(r#"{"given":{"profile":"old"}}"#).reply(r#"{"given":{}}"#));
    let (_, stdout, _) = end(child);
    assert!(stdout.contains("unset AWS_REGION;\n") && !stdout.contains("AWS_DEFAULT_REGION"), "{stdout}");

    // Nothing is set by us, so nothing is asked and nothing goes.
    for variables in [&with_region[..1], &with_region[1..]] {
        let child = stub.client("env dev --shell posix").envs(variables.iter().copied()).spawn().unwrap();
        let call = stub.call();
        assert!(!call.line.contains("replaces"), "{}", call.line);
        drop(call.reply(&credentials(r#""replaced_region":"eu-west-1""#)));
        if variables[0].0 == "MFA_AGENT_PROFILE" {
            drop(stub.expect("\"given\"").reply(r#"{"given":{}}"#));
        }
        let (_, stdout, _) = end(child);
        assert_eq!(stdout.contains("unset AWS_REGION"), variables.len() == 2, "{stdout}");
    }
}

#[test]
fn what_is_not_in_awss_alphabets_is_refused_whole() {
    let stub = Stub::new();
    let replaced = |from: &str, to: &str| CREDENTIALS.replace(from, to);
    let key = "ASIAIOSFODNN7EXAMPLE";
    let cases = [
        (replaced(key, "ASIA'IOSFODNN7EXAMPLE"), 1),
        (replaced(key, "ASIA"), 1),
        (replaced("wJalr", "wJ$(touch x)"), 1),
        (replaced("wJalr", "wJ\\nlr"), 1),
        (replaced("wJalr", "wJ\\u2028lr"), 1),
        (replaced("Rk9P/b+r=", ""), 1),
        (replaced("Rk9P", "Rk\\u0000P"), 1),
        (replaced("Rk9P", "Rk\\\\P"), 1),
        (replaced("07Z\"", "07Z; id\""), 1),
        (credentials(r#""region":"EU-central-1; id""#), 5),
        (credentials(r#""variables":{"A B":"1"}"#), 5),
        (credentials(r#""variables":{"AWS_PROFILE":"1"}"#), 5),
        (credentials(r#""variables":{"A":"\u0000"}"#), 5),
    ];
    for (reply, expected) in cases {
        let (status, stdout, stderr) = printed(&stub, "env dev --shell posix", &[], &reply);
        assert_eq!((status, stdout.as_str()), (expected, "false\n"), "{reply}");
        assert!(stderr.starts_with("mfa-agent: ") && !stderr.contains("touch"), "{stderr}");
    }
}

#[test]
fn foreign_words_command_no_terminal() {
    let stub = Stub::new();
    let reply = r#"{"refused":{"unparseable":{"file":"/c\u001b]0;x\u0007","line":null,"problem":"\u202eab\r\n\u009b31m"}}}"#;
    let (_, _, stderr) = printed(&stub, "env dev", &[], reply);
    let words = "mfa-agent: /c\\u{1b}]0;x\\u{7}: \\u{202e}ab\\r\\n\\u{9b}31m\n";
    assert!(stderr.starts_with(words), "{stderr}");
    assert!(stderr.chars().all(|c| c == '\n' || !c.is_control()), "{stderr}");
}

#[test]
fn wrong_usage_fails_in_the_shell_as_well() {
    let stub = Stub::new();
    for arguments in
        ["env --shell tcsh", "env dev prod", "--color never env --what", "env --duration 1s", "env --profile"]
    {
        let (status, stdout, stderr) = ended(&stub.client(arguments).output().unwrap());
        assert_eq!((status, stdout.as_str()), (2, "false\n"), "{arguments}");
        assert!(stderr.starts_with("error: "), "{arguments}: {stderr}");
    }
    assert!(stub.is_quiet());
}

#[test]
fn the_profile_is_the_shells_where_none_is_named() {
    let stub = Stub::new();
    let profile = |name: &str| format!(r#"{{"credentials":{{"profile":{name},"#);

    let cases: [(&str, &Variables, &str); 6] = [
        ("env", &[], "null"),
        ("env", &[("MFA_AGENT_PROFILE", "own")], "\"own\""),
        ("env", &[("MFA_AGENT_PROFILE", "own"), ("AWS_PROFILE", "aws")], "\"aws\""),
        ("env", &[("AWS_PROFILE", "")], "null"),
        ("env --profile flag", &[("AWS_PROFILE", "aws")], "\"flag\""),
        ("env named --profile flag", &[], "\"named\""),
    ];
    for (arguments, variables, expected) in cases {
        let child = stub.client(arguments).envs(variables.iter().copied()).spawn().unwrap();
        drop(stub.expect(&profile(expected)).reply(CREDENTIALS));
        if variables.iter().any(|(name, _)| *name == "MFA_AGENT_PROFILE") {
            drop(stub.expect("\"given\"").reply(r#"{"given":{}}"#));
        }
        assert_eq!(end(child).0, 0);
    }
}

#[test]
fn unset_needs_no_agent() {
    let stub = Stub::new();
    let all = "unset AWS_ACCESS_KEY_ID;\nunset AWS_SECRET_ACCESS_KEY;\nunset AWS_SESSION_TOKEN;\n\
               unset AWS_CREDENTIAL_EXPIRATION;\nunset AWS_SESSION_EXPIRATION;\n\
               unset AWS_CONTAINER_CREDENTIALS_FULL_URI;\nunset AWS_CONTAINER_AUTHORIZATION_TOKEN;\n\
               unset MFA_AGENT_PROFILE;\nunset MFA_AGENT_LEASE;\nunset MFA_AGENT_EXP;\nunset MFA_AGENT_LIVE;\n";
    let plain = stub.client("env --unset --shell posix").output().unwrap();
    assert_eq!(ended(&plain), (0, all.to_owned(), String::new()));
    assert!(stub.is_quiet());

    let variables =
        [("MFA_AGENT_PROFILE", "dev"), ("AWS_REGION", "eu-west-1"), ("AWS_DEFAULT_REGION", "us-east-1")];
    let child = stub.client("env --unset --shell posix").envs(variables).spawn().unwrap();
    drop(stub.expect(r#"{"given":{"profile":"dev"}}"#).reply(r#"{"given":{"region":"us-east-1"}}"#));
    assert_eq!(end(child).1, format!("{all}unset AWS_DEFAULT_REGION;\n"));

    std::fs::remove_file(stub.socket()).unwrap();
    let output = stub.client("env --unset --shell posix").envs(variables).output().unwrap();
    assert_eq!(
        ended(&output),
        (0, format!("{all}unset AWS_REGION;\nunset AWS_DEFAULT_REGION;\n"), String::new())
    );
}
