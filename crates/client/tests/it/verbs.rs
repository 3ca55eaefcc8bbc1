//! The other verbs: what they ask, what they say, how they end.

use crate::stub::{NEEDS_MFA, SESSION, Stub, end, ended};

const STATUS: &str = r#"{"status":{"version":"0.1.0","protocol":1,"pid":42,"uptime":61,"socket":"/s","environment":{},"config_files":["/c"],"sessions":[{"kind":"mfa","profiles":["dev"],"serial":"GAHT1","expiration":"2026-11-05T18:20:07Z","expires_at":1793902807,"seconds_left":39720,"duration":43200,"reused":true}]}}"#;

/// What a client says to this reply, and what it asked.
fn answered(stub: &Stub, arguments: &str, reply: &str) -> (String, (i32, String, String)) {
    let child = stub.client(arguments).spawn().unwrap();
    let call = stub.call().reply(reply);
    (call.line.clone(), end(child))
}

#[test]
fn login_says_until_when_and_prints_nothing() {
    let stub = Stub::new();
    let (asked, (status, stdout, stderr)) = answered(&stub, "login dev", SESSION);
    assert!(asked.contains(r#"{"session":{"profile":"dev","ask":"wait","force":false}}"#), "{asked}");
    assert_eq!(
        (status, stdout.as_str(), stderr.as_str()),
        (0, "", "dev: valid for 11h 02m (until 18:20 UTC)\n")
    );
    let held = SESSION.replace("\"reused\":false", "\"reused\":true");
    let (_, (_, _, stderr)) = answered(&stub, "login dev --code 123456", &held);
    assert_eq!(stderr, "dev: valid for 11h 02m (until 18:20 UTC); the code was not needed\n");
}

#[test]
fn login_of_several_tells_of_each_and_ends_with_the_worst() {
    let stub = Stub::new();
    let child = stub.client("login a b c --force").spawn().unwrap();
    drop(stub.expect(r#""profile":"a","ask":"wait","force":true"#).reply(r#"{"refused":"no_home"}"#));
    drop(stub.expect(r#""profile":"b""#).reply(SESSION));
    drop(stub.expect(r#""profile":"c""#).reply(NEEDS_MFA));
    let (status, stdout, stderr) = end(child);
    assert_eq!((status, stdout.as_str()), (5, ""));
    let lines: Vec<&str> = stderr.lines().filter(|line| !line.starts_with("hint: ")).collect();
    assert_eq!(
        lines,
        [
            "mfa-agent: the agent was started without HOME and knows no AWS config files",
            "b: valid for 11h 02m (until 18:20 UTC)",
            "mfa-agent: dev needs an MFA code, and nobody can be asked",
        ]
    );
}

#[test]
fn logout_forgets_and_starts_nothing() {
    let stub = Stub::new();
    let (asked, (status, _, stderr)) = answered(&stub, "logout a b", r#"{"logged_out":{"sessions":2}}"#);
    assert!(asked.contains(r#"{"logout":{"profiles":["a","b"],"all":false}}"#), "{asked}");
    assert_eq!((status, stderr.as_str()), (0, "2 sessions forgotten\n"));
    let (asked, (_, _, stderr)) = answered(&stub, "logout --all", r#"{"logged_out":{"sessions":0}}"#);
    assert!(asked.contains(r#"{"profiles":[],"all":true}"#), "{asked}");
    assert_eq!(stderr, "nothing to forget\n");
    std::fs::remove_file(stub.socket()).unwrap();
    let none = ended(&stub.client("logout").output().unwrap());
    assert_eq!(none, (0, String::new(), "nothing to forget: no agent is running\n".to_owned()));
}

#[test]
fn status_is_a_table_or_json() {
    let stub = Stub::new();
    let (_, (status, stdout, stderr)) = answered(&stub, "status", STATUS);
    assert_eq!((status, stderr.as_str()), (0, ""));
    assert!(stdout.starts_with("PROFILES  ACCOUNT  KIND  LEFT                 UNTIL      NOTICE\ndev       -        mfa   11h 02m  ██████████  18:20 UTC  -\n"), "{stdout}");
    let (_, (_, stdout, _)) = answered(&stub, "status --json", STATUS);
    assert!(stdout.starts_with("{\n  \"version\": \"0.1.0\",\n  \"protocol\": 1,\n"), "{stdout}");
    let (_, (status, stdout, stderr)) = answered(&stub, "status prod", STATUS);
    assert_eq!((status, stdout.as_str()), (3, ""));
    assert_eq!(stderr, "mfa-agent: no session is held for prod\nhint: mfa-agent login prod\n");
    let (_, (_, stdout, _)) = answered(&stub, "status --color always", STATUS);
    assert!(stdout.contains("\x1b[32m"), "{stdout}");
    std::fs::remove_file(stub.socket()).unwrap();
    let (status, _, stderr) = ended(&stub.client("status").output().unwrap());
    assert_eq!(status, 6);
    assert!(stderr.starts_with("mfa-agent: no agent is running\nhint: "), "{stderr}");
}

#[test]
fn profiles_tell_what_works_and_why_not() {
    let stub = Stub::new();
    let reply = r#"{"profiles":[{"name":"dev","region":"eu-central-1"},{"name":"admin","role_arn":"r","source_profile":"dev","problem":{"no_device":{"profile":"dev"}}}]}"#;
    let child = stub.client("profiles").spawn().unwrap();
    drop(stub.expect(r#""profiles":{}"#).reply(reply));
    // Until there are none.
    drop(stub.expect(r#""after":"admin""#).reply(r#"{"profiles":[]}"#));
    let (status, stdout, _) = crate::stub::end(child);
    assert_eq!(status, 0);
    assert_eq!(
        stdout,
        "PROFILE  KIND  REGION        SOURCE  WORKS\n\
         dev      user  eu-central-1  -       ✓\n\
         admin    role  -             dev     no MFA device\n"
    );
}

#[test]
fn the_agent_is_looked_at_and_ended() {
    let stub = Stub::new();
    let (_, (status, _, stderr)) = answered(&stub, "agent start", STATUS);
    assert_eq!((status, stderr.as_str()), (0, "the agent runs already (pid 42)\n"));
    let (asked, (status, _, stderr)) =
        answered(&stub, "agent stop", r#"{"stopping":{"sessions":1,"pid":42}}"#);
    assert!(asked.contains(r#"{"stop":{"only_if_empty":false}}"#), "{asked}");
    assert_eq!((status, stderr.as_str()), (0, "the agent ends (pid 42), 1 session forgotten\n"));
    let held = r#"{"refused":{"would_forget":{"sessions":1}}}"#;
    for (reply, status, words) in [
        (r#"{"restarted":{"sessions":1,"pid":43}}"#, 0, "the agent runs anew (pid 43) and holds 1 session\n"),
        // One that is too old to hand over.
        (
            r#"{"refused":{"malformed":{"problem":"?"}}}"#,
            1,
            "hint: mfa-agent agent stop && mfa-agent agent start",
        ),
    ] {
        let child = stub.client("agent restart").spawn().unwrap();
        drop(stub.expect(r#"{"stop":{"only_if_empty":true}}"#).reply(held));
        drop(stub.expect(r#""restart""#).reply(reply));
        let ended = crate::stub::end(child);
        assert!(ended.0 == status && ended.2.contains(words), "{ended:?}");
    }
    let log = r#"{"log":[{"at":1793902807,"pid":7,"program":"zsh\u001b","event":"credentials of dev: given"},{"at":1793902808,"event":"dev expired"}]}"#;
    let (_, (_, stdout, _)) = answered(&stub, "agent log", log);
    assert_eq!(stdout, "18:20:07 UTC zsh\\u{1b}[7]: credentials of dev: given\n18:20:08 UTC dev expired\n");
    std::fs::remove_file(stub.socket()).unwrap();
    let none = ended(&stub.client("agent stop").output().unwrap());
    assert_eq!(none, (0, String::new(), "no agent is running\n".to_owned()));
}

#[test]
fn a_grant_prints_its_path_and_says_how_it_ends() {
    let stub = Stub::new();
    let reply = r#"{"granted":{"number":3,"profiles":["dev","ops"],"socket":"/run/user/1/mfa-agent/grant/3-0123456789abcdef","since":1,"expires_at":1793902807,"seconds_left":3600}}"#;
    for (arguments, asked) in [
        (
            "agent grant --profile dev --profile ops --expires 8h",
            r#"{"profiles":["dev","ops"],"duration":28800}"#,
        ),
        ("agent grant dev ops", r#"{"profiles":["dev","ops"],"duration":43200}"#),
    ] {
        let (line, (status, stdout, stderr)) = answered(&stub, arguments, reply);
        assert!(line.contains(asked), "{line}");
        assert_eq!((status, stdout.as_str()), (0, "/run/user/1/mfa-agent/grant/3-0123456789abcdef\n"));
        assert!(stderr.starts_with("grant 3 gives out dev, ops until "), "{stderr}");
        assert!(stderr.ends_with("18:20 UTC; mfa-agent agent revoke 3 ends it\n"), "{stderr}");
    }
    for arguments in
        ["agent grant", "agent grant dev --expires 59s", "agent grant dev --expires 721h", "agent revoke"]
    {
        assert_eq!(ended(&stub.client(arguments).output().unwrap()).0, 2, "{arguments}");
    }
    let (line, (status, _, stderr)) = answered(&stub, "agent revoke 3", r#"{"revoked":{"grants":1}}"#);
    assert!(line.contains(r#"{"revoke":{"grants":[3]}}"#), "{line}");
    assert_eq!((status, stderr.as_str()), (0, "1 grant ended\n"));
    let (_, (status, _, stderr)) = answered(&stub, "agent revoke 4", r#"{"revoked":{"grants":0}}"#);
    assert_eq!(
        (status, stderr.as_str()),
        (1, "mfa-agent: there is no such grant\nhint: mfa-agent status lists them\n")
    );
    // Without a grant nothing is revoked: no number would mean all of live access.
    let (_, (status, _, stderr)) = answered(&stub, "agent revoke --all", STATUS);
    assert_eq!((status, stderr.as_str()), (0, "no grant to end\n"));
    let log =
        r#"{"log":[{"at":1793902807,"pid":7,"program":"ssh","grant":3,"event":"credentials of dev: done"}]}"#;
    let (_, (_, stdout, _)) = answered(&stub, "agent log", log);
    assert_eq!(stdout, "18:20:07 UTC ssh[7]: by grant 3: credentials of dev: done\n");
}

#[test]
fn help_and_version_go_to_stdout() {
    let stub = Stub::new();
    let (status, stdout, _) = ended(&stub.client("--version").output().unwrap());
    assert_eq!((status, stdout.as_str()), (0, "mfa-agent 0.1.0\n"));
    let (status, stdout, _) = ended(&stub.client("env --help").output().unwrap());
    assert_eq!(status, 0);
    assert!(stdout.contains("Examples:\n  eval \"$(mfa-agent env dev)\" "), "{stdout}");
    let (status, stdout, stderr) = ended(&stub.client("bogus").output().unwrap());
    assert_eq!((status, stdout.as_str()), (2, ""));
    assert!(stderr.contains("unrecognized subcommand"), "{stderr}");
}
