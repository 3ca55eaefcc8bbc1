//! Credentials that the person must allow to be given out.

use std::process::{Child, Stdio};

use protocol::{NoConsent, Refusal, Reply, Request};

use crate::support::{Run, Sandbox, Screen, TestPrompter, tool};

/// A machine where every profile must be allowed, and `dev` has a session that was opened in another terminal.
fn sandbox() -> (Sandbox, TestPrompter) {
    let sandbox = Sandbox::new();
    let prompter = TestPrompter::new(&sandbox, "confirm = true\n");
    let code = sandbox.code();
    let login = Run::of(&mut elsewhere(&sandbox, &["login", "dev", "--code", &code]));
    assert_eq!(login.status, 0, "{login:?}");
    (sandbox, prompter)
}

/// The client, in a terminal's session of its own.
fn elsewhere(sandbox: &Sandbox, arguments: &[&str]) -> std::process::Command {
    let mut all = vec!["--wait", env!("CARGO_BIN_EXE_mfa-agent")];
    all.extend(arguments);
    sandbox.command(tool("setsid"), all)
}

fn start(mut command: std::process::Command) -> Child {
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

fn end(child: Child) -> Run {
    child.wait_with_output().unwrap().into()
}

#[test]
fn a_yes_gives_out_and_counts_for_the_same_terminal() {
    let (sandbox, prompter) = sandbox();
    // One terminal: the shell's session.
    let client = env!("CARGO_BIN_EXE_mfa-agent");
    let script = "for i in 1 2 3 4 5 6 7 8; do \"$0\" env dev & done; wait; \"$0\" env dev";
    let shell = start(sandbox.command(tool("setsid"), ["--wait", "bash", "-c", script, client]));
    prompter.answer("OK");
    let run = end(shell);
    assert_eq!((run.status, run.stdout.matches("AWS_SESSION_TOKEN=").count()), (0, 9), "{run:?}");
    assert_eq!(prompter.asked("CONFIRM"), 1);
    let heard = prompter.heard();
    assert!(
        heard.contains("SETDESC Give the credentials of AWS profile dev to a program?%0AIt is mfa-agent (")
    );
    assert!(heard.contains(", started by bash ("), "{heard}");
    assert!(sandbox.run(&["agent", "log"]).stdout.contains("credentials of dev: allowed by the person"));
    // Another terminal is asked about again.
    let other = start(elsewhere(&sandbox, &["env", "dev"]));
    prompter.answer("OK");
    assert_eq!(end(other).status, 0);
    assert_eq!(prompter.asked("CONFIRM"), 2);
}

#[test]
fn a_no_gives_out_nothing_and_is_remembered_for_the_next_worker() {
    let (sandbox, prompter) = sandbox();
    let client = start(sandbox.client(["env", "dev"]));
    prompter.answer("ERR 83886194 Not confirmed <Pinentry>");
    let run = end(client);
    assert_eq!((run.status, run.stdout.as_str()), (6, "false\n"), "{run:?}");
    assert!(run.stderr.contains("you did not allow the credentials of dev to be given out"), "{run:?}");
    assert_eq!(sandbox.run(&["env", "dev"]).status, 6);
    assert_eq!(sandbox.run(&["env", "dev", "--live"]).status, 6);
    let Reply::Status(status) = sandbox.ask(Request::Status) else { panic!() };
    assert!(status.grants.is_empty(), "live access is none either");
    assert_eq!(prompter.asked("CONFIRM"), 1);
    let log = sandbox.run(&["agent", "log"]).stdout;
    assert!(log.contains("credentials of dev: not allowed by the person"), "{log}");
}

#[test]
fn who_typed_the_code_is_not_asked_again() {
    let sandbox = Sandbox::new();
    let prompter = TestPrompter::new(&sandbox, "confirm = true\n");
    sandbox.log_in("dev");
    assert_eq!(sandbox.run(&["env", "dev"]).status, 0);
    let Reply::Shell(_) = sandbox.ask(Request::Shell { profile: "dev".to_owned(), live: false }) else {
        panic!()
    };
    assert_eq!(prompter.asked("CONFIRM"), 0);
    // A lock takes every yes back.
    assert_eq!(sandbox.run(&["lock"]).status, 0);
    assert_eq!(Run::of(&mut elsewhere(&sandbox, &["unlock", "--code", &sandbox.code()])).status, 0);
    let client = start(sandbox.client(["env", "dev"]));
    prompter.answer("OK");
    assert_eq!(end(client).status, 0);
    assert_eq!(prompter.asked("CONFIRM"), 1);
}

#[test]
fn a_prompt_gets_nothing_that_its_terminal_was_not_allowed() {
    let (sandbox, prompter) = sandbox();
    match sandbox.ask(Request::Shell { profile: "dev".to_owned(), live: false }) {
        Reply::Refused(Refusal::NotConfirmed { why: NoConsent::NotAsked, .. }) => {}
        other => panic!("{other:?}"),
    }
    assert_eq!(prompter.asked("CONFIRM"), 0, "a prompt waits for nobody");
}

#[test]
fn a_profile_may_want_it_or_not() {
    let sandbox = Sandbox::new();
    let prompter = TestPrompter::new(&sandbox, "confirm = true\n[profile.dev]\nconfirm = false\n");
    let code = sandbox.code();
    assert_eq!(Run::of(&mut elsewhere(&sandbox, &["login", "dev", "--code", &code])).status, 0);
    assert_eq!(sandbox.run(&["env", "dev"]).status, 0);
    assert_eq!(prompter.asked("CONFIRM"), 0);
}

#[test]
fn who_goes_away_takes_the_question_along() {
    let (sandbox, prompter) = sandbox();
    let mut client = start(sandbox.client(["env", "dev"]));
    prompter.wait_for("CONFIRM");
    let dialog = prompter.process();
    client.kill().unwrap();
    client.wait().unwrap();
    crate::lifecycle::wait_for_end(dialog);
    prompter.pass_over();
    // The next one is asked as if nothing had been.
    let client = start(sandbox.client(["env", "dev"]));
    prompter.answer("OK");
    assert_eq!(end(client).status, 0);
}

#[test]
fn without_a_desktop_the_answer_is_no() {
    let sandbox = Sandbox::new();
    sandbox.write(".config/mfa-agent/config.toml", "confirm = true\nprompter = \"zenity\"\n");
    let code = sandbox.code();
    assert_eq!(Run::of(&mut elsewhere(&sandbox, &["login", "dev", "--code", &code])).status, 0);
    // zenity itself says nothing but no where there is no display.
    assert_eq!(sandbox.run(&["env", "dev"]).status, 6);
    sandbox.write(".config/mfa-agent/config.toml", "confirm = true\nprompter = \"/nonexistent/zenity\"\n");
    let run = Run::of(&mut elsewhere(&sandbox, &["env", "dev"]));
    assert_eq!(run.status, 6);
    assert!(run.stderr.contains("nobody can be asked there"), "{run:?}");
}

#[test]
fn real_dialogs_allow_and_deny() {
    for program in ["pinentry-gtk-2", "pinentry-qt", "zenity"] {
        let mut sandbox = Sandbox::new();
        let screen = Screen::start(&mut sandbox);
        let program = tool(program);
        let configuration = format!("confirm = true\nprompter = {:?}\n", program.to_str().unwrap());
        sandbox.write(".config/mfa-agent/config.toml", &configuration);
        let code = sandbox.code();
        assert_eq!(Run::of(&mut elsewhere(&sandbox, &["login", "dev", "--code", &code])).status, 0);
        // Who hits Enter when a dialog comes in between has allowed nothing.
        for (keys, status) in [("alt+a", 0), ("Return", 6)] {
            let mut client = start(elsewhere(&sandbox, &["env", "dev"]));
            // pinentry-qt names its confirmation after itself.
            screen.press("(Credentials|pinentry)", &[keys], || client.try_wait().unwrap().is_some());
            let run = end(client);
            assert_eq!(run.status, status, "{} {keys:?}: {run:?}", program.display());
        }
    }
}
