//! Locked: what is held stays held, and nothing of it is given out until AWS takes a code of one of its devices.

use std::fs;
use std::time::{Duration, Instant};

use aws_simulator::Simulator;
use protocol::{Ask, Refusal, Reply, Request, Secret};

use crate::support::{ACCOUNT, SHELLS, Sandbox, Session, exported, key_of};

fn lock(sandbox: &Sandbox) {
    let run = sandbox.run(&["lock"]);
    assert_eq!((run.status, run.stderr.as_str()), (0, "1 session locked\n"), "{run:?}");
}

fn is_locked(sandbox: &Sandbox) -> bool {
    let Reply::Status(status) = sandbox.ask(Request::Status) else { panic!() };
    status.locked
}

/// A profile of somebody else: another user, with a device of his own.
fn add_mallory(sandbox: &Sandbox) -> String {
    let mallory = sandbox.simulator.user(ACCOUNT, "mallory");
    let serial = mallory.device("mallory");
    let append = |file: &str, text: String| {
        let path = sandbox.home().join(file);
        fs::write(&path, fs::read_to_string(&path).unwrap() + &text).unwrap();
    };
    append(".aws/credentials", format!("[mallory]\n{}", key_of(&mallory)));
    append(".aws/config", format!("[profile mallory]\nmfa_serial = {serial}\n"));
    serial
}

#[test]
fn nothing_is_given_out_until_aws_took_a_code() {
    let sandbox = Sandbox::new();
    sandbox.log_in("dev");
    let before = exported(&sandbox.run(&["env", "dev"]).stdout, &[]);
    lock(&sandbox);
    let run = sandbox.run(&["env", "dev"]);
    assert_eq!((run.status, run.stdout.as_str(), run.hint()), (6, "false\n", "mfa-agent unlock"), "{run:?}");
    assert_eq!(sandbox.run(&["login", "dev", "--force"]).status, 6);
    for ask in [Ask::Never, Ask::Wait, Ask::PersonUnlessAsked, Ask::Person] {
        let request = Request::Credentials {
            profile: Some("dev".to_owned()),
            ask,
            replaces: None,
            min_ttl: None,
            duration: None,
        };
        assert!(matches!(sandbox.ask(request), Reply::Refused(Refusal::Locked)), "{ask:?}");
    }
    assert!(!fs::exists(&before["MFA_AGENT_LEASE"]).unwrap(), "shells look again");
    // What gives nothing out goes on.
    assert!(sandbox.run(&["status"]).stdout.contains("Locked: "));
    assert_eq!(sandbox.run(&["profiles"]).status, 0);
    assert_eq!(sandbox.run(&["agent", "log"]).status, 0);
    assert_eq!(sandbox.run(&["lock"]).status, 0);

    let run = sandbox.run(&["unlock", "--code", "000000"]);
    assert_eq!(run.status, 4, "{run:?}");
    assert!(is_locked(&sandbox));
    let run = sandbox.run(&["unlock", "--code", &sandbox.code()]);
    assert_eq!((run.status, run.stderr.as_str()), (0, "unlocked\n"), "{run:?}");
    assert!(!is_locked(&sandbox));
    let after = exported(&sandbox.run(&["env", "dev", "--no-prompt"]).stdout, &[]);
    assert!(after.contains_key("AWS_SESSION_TOKEN"));
    let run = sandbox.run(&["unlock"]);
    assert_eq!((run.status, run.stderr.as_str()), (0, "nothing is locked\n"), "{run:?}");
}

#[test]
fn a_person_unlocks_at_the_prompt_and_all_who_wait_go_on() {
    let sandbox = Sandbox::new();
    sandbox.log_in("dev");
    lock(&sandbox);
    let first = sandbox.terminal(&["unlock"]);
    first.wait_for("MFA code for dev");
    let second = sandbox.client(["unlock"]).stderr(std::process::Stdio::piped()).spawn().unwrap();
    sandbox.wait_for_line(2);
    first.type_in(&sandbox.code());
    let first = first.finish();
    assert_eq!(first.status, 0, "{first:?}");
    assert_eq!(second.wait_with_output().unwrap().status.code(), Some(0));
    assert_eq!(sandbox.simulator.calls_of("GetSessionToken").len(), 2, "the login and one unlock");
}

#[test]
fn a_code_of_anothers_device_unlocks_nothing() {
    let sandbox = Sandbox::new();
    sandbox.log_in("dev");
    let serial = add_mallory(&sandbox);
    lock(&sandbox);
    let calls = sandbox.simulator.calls_of("GetSessionToken").len();
    let code = sandbox.simulator.unused_code(&serial).unwrap();
    for command in ["login", "unlock"] {
        let run = sandbox.run(&[command, "mallory", "--code", &code]);
        assert_eq!(run.status, 6, "{run:?}");
        assert!(run.stderr.contains("locked"), "{run:?}");
    }
    let request = Request::Login {
        profile: Some("mallory".to_owned()),
        code: Secret::new(code),
        duration: None,
        at_least: None,
    };
    let reply = sandbox.ask(request);
    assert!(matches!(reply, Reply::Refused(Refusal::CannotUnlock { .. })), "{reply:?}");
    assert!(is_locked(&sandbox));
    assert_eq!(sandbox.simulator.calls_of("GetSessionToken").len(), calls, "the code stays unused");
}

#[test]
fn a_code_that_goes_elsewhere_unlocks_nothing() {
    let mut sandbox = Sandbox::new();
    sandbox.unset("AWS_ENDPOINT_URL");
    let config = |endpoint: &str| {
        format!(
            "[profile dev]\nregion = eu-central-1\nmfa_serial = {}\nendpoint_url = {endpoint}\n",
            sandbox.serial
        )
    };
    sandbox.write(".aws/config", &config(&sandbox.simulator.endpoint()));
    sandbox.log_in("dev");
    lock(&sandbox);
    // An AWS of somebody's own says yes to every code.
    let elsewhere = Simulator::start();
    sandbox.write(".aws/config", &config(&elsewhere.endpoint()));
    let run = sandbox.run(&["unlock", "--code", &sandbox.code()]);
    assert_eq!(run.status, 6, "{run:?}");
    assert!(elsewhere.calls_of("GetSessionToken").is_empty(), "it is not even asked");
    sandbox.write(".aws/config", &config(&sandbox.simulator.endpoint()));
    assert_eq!(sandbox.run(&["unlock", "--code", &sandbox.code()]).status, 0);
}

#[test]
fn wrong_codes_cost_more_and_more_time_and_keep_nobody_else_waiting() {
    let sandbox = Sandbox::new();
    sandbox.log_in("dev");
    lock(&sandbox);
    let right: u32 = sandbox.code().parse().unwrap();
    let mut tries = 0;
    let start = Instant::now();
    let longest = loop {
        assert!(start.elapsed() < Duration::from_mins(2), "the pause does not grow");
        let wrong = Secret::new(format!("{:06}", (right + 1_000 + tries) % 1_000_000));
        let request =
            Request::Login { profile: Some("dev".to_owned()), code: wrong, duration: None, at_least: None };
        match sandbox.ask(request) {
            Reply::Refused(Refusal::WrongCode { .. }) => tries += 1,
            Reply::Refused(Refusal::TooManyCodes { wait_seconds }) if wait_seconds >= 4 => {
                break wait_seconds;
            }
            Reply::Refused(Refusal::TooManyCodes { .. }) => {
                assert_eq!(sandbox.run(&["status"]).status, 0);
            }
            other => panic!("{other:?}"),
        }
    };
    assert!(longest <= 60 && tries >= 3, "{tries} tries");
    assert_eq!(sandbox.simulator.calls_of("GetSessionToken").len(), 1 + usize::try_from(tries).unwrap());
    let run = sandbox.run(&["unlock", "--code", &sandbox.code()]);
    assert_eq!(run.status, 6, "{run:?}");
    assert!(run.hint().starts_with("the next one counts in "), "{run:?}");
}

#[test]
fn a_wiping_lock_leaves_nothing_to_unlock() {
    let sandbox = Sandbox::new();
    assert_eq!(sandbox.run(&["lock"]).stderr, "nothing to lock: no agent is running\n");
    sandbox.log_in("dev");
    let run = sandbox.run(&["lock", "--wipe"]);
    assert_eq!((run.status, run.stderr.as_str()), (0, "1 session wiped\n"), "{run:?}");
    assert!(!is_locked(&sandbox));
    assert_eq!(sandbox.run(&["env", "dev", "--no-prompt"]).status, 3);
    assert_eq!(sandbox.run(&["lock"]).stderr, "nothing to lock: no session is held\n");
    assert_eq!(sandbox.run(&["login", "dev", "--code", &sandbox.code()]).status, 0);
}

#[test]
fn a_lock_ends_with_the_last_session_behind_it() {
    let sandbox = Sandbox::new();
    sandbox.log_in("dev");
    lock(&sandbox);
    assert_eq!(sandbox.run(&["logout", "--all"]).status, 0);
    assert!(!is_locked(&sandbox));
}

#[test]
fn a_clock_that_is_past_the_end_for_a_moment_opens_no_lock() {
    let mut sandbox = Sandbox::new();
    let clock = sandbox.fake_clock();
    sandbox.log_in("dev");
    lock(&sandbox);
    sandbox.advance(&clock, 86_400);
    assert!(is_locked(&sandbox));
    sandbox.advance(&clock, 0);
    assert!(is_locked(&sandbox));
    assert_eq!(sandbox.run(&["env", "dev", "--no-prompt"]).status, 6);
    assert_eq!(sandbox.run(&["unlock", "--code", &sandbox.code()]).status, 0);
    assert_eq!(sandbox.run(&["env", "dev", "--no-prompt"]).status, 0);
    // Where the clock stays there, a code opens it as ever.
    lock(&sandbox);
    sandbox.advance(&clock, 86_400);
    let run = sandbox.run(&["unlock", "--code", &sandbox.code()]);
    assert_eq!(run.status, 0, "{run:?}");
    assert_eq!(sandbox.run(&["env", "dev", "--no-prompt"]).status, 0);
}

#[test]
fn a_question_that_is_open_goes_away() {
    let sandbox = Sandbox::new();
    sandbox.log_in("dev");
    add_mallory(&sandbox);
    let asked = sandbox.terminal(&["env", "mallory"]);
    asked.wait_for("MFA code for mallory");
    lock(&sandbox);
    asked.wait_for("the agent is locked");
    let asked = asked.finish();
    assert_eq!((asked.status, asked.stdout.as_str()), (6, "false\n"), "{asked:?}");
}

#[test]
fn shells_drop_their_credentials_say_so_once_and_get_them_back() {
    for shell in SHELLS {
        let sandbox = Sandbox::new();
        let session = Session::start(&sandbox, shell);
        let start = session.type_line("mfa-agent use dev");
        session.answer(start, &sandbox.code());
        session.wait_for_step(start);
        assert!(session.key_id().is_some());
        lock(&sandbox);
        let start = session.terminal.screen().len();
        session.run("true");
        for _ in 0..3 {
            let environment = session.environment();
            assert!(!environment.contains_key("AWS_ACCESS_KEY_ID"), "{shell:?}");
            assert!(!environment.contains_key("AWS_SESSION_TOKEN"), "{shell:?}");
            assert_eq!(environment["MFA_AGENT_PROFILE"], "dev");
        }
        let shown = session.terminal.screen()[start..].to_owned();
        assert_eq!(shown.matches("dev: locked; mfa-agent unlock").count(), 1, "{shell:?}: {shown}");
        assert!(!shown.contains("MFA code for"), "{shell:?}: {shown}");
        let run = sandbox.run(&["unlock", "--code", &sandbox.code()]);
        assert_eq!(run.status, 0, "{run:?}");
        session.run("true");
        assert!(session.key_id().is_some(), "{shell:?}");
    }
}
