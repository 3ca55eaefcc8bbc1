//! Credentials that the person must allow to be given out.

use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use protocol::{NoConsent, Refusal, Reply, Request};

use crate::lifecycle::wait_for_end;
use crate::support::{Bus, Dunst, Notified, Run, Sandbox, Screen, Server, TestPrompter, tool, wait_until};

/// What a desktop's server usually can.
const USUAL: &str = "actions body body-markup icon-static persistence";

/// A machine where every profile must be allowed, and `dev` has a session that was opened in another terminal.
fn sandbox() -> (Sandbox, TestPrompter) {
    let (sandbox, prompter) = unused();
    log_in_elsewhere(&sandbox);
    (sandbox, prompter)
}

/// The same with a desktop, whose server has buttons. Sessions end in three hours: what is shown are questions.
fn desktop() -> (Sandbox, TestPrompter, Bus, Server) {
    let (mut sandbox, prompter) = unused();
    let bus = Bus::start(&mut sandbox);
    let server = bus.server(USUAL);
    log_in_elsewhere(&sandbox);
    (sandbox, prompter, bus, server)
}

/// A machine where every profile must be allowed.
fn unused() -> (Sandbox, TestPrompter) {
    let sandbox = Sandbox::new();
    let prompter = TestPrompter::new(&sandbox, "confirm = true\n");
    (sandbox, prompter)
}

fn log_in_elsewhere(sandbox: &Sandbox) {
    let code = sandbox.code();
    let login = Run::of(&mut elsewhere(sandbox, &["login", "dev", "--code", &code]));
    assert_eq!(login.status, 0, "{login:?}");
}

/// The name of a question's button for yes.
fn allow(question: &Notified) -> String {
    let (_, after) = question.arguments.split_once("[\"allow-").unwrap();
    let (number, rest) = after.split_once('"').unwrap();
    assert!(number.len() == 16 && rest.starts_with(", \"Allow\", \"deny\", \"Deny\"]"), "{question:?}");
    format!("allow-{number}")
}

#[track_caller]
fn refused(child: Child, words: &str) {
    let run = end(child);
    assert_eq!((run.status, run.stdout.as_str()), (6, "false\n"), "{run:?}");
    assert!(run.stderr.contains(words), "{run:?}");
}

const NO: &str = "you did not allow the credentials of dev to be given out";

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
    wait_for_end(dialog);
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

#[test]
fn a_notification_asks_and_its_button_allows() {
    let (sandbox, prompter, _bus, server) = desktop();
    let client = start(sandbox.client(["env", "dev"]));
    let question = server.wait_for(1);
    let (words, rest) = question.arguments.split_once(" [").unwrap();
    assert!(
        words.starts_with(
            "\"mfa-agent\" 0 \"dialog-password\" \"Give the credentials of AWS profile dev to a program?\" \
             \"It is mfa-agent ("
        ) && words.ends_with(").\nA yes counts for its terminal, for 10 minutes.\""),
        "{words}"
    );
    assert!(words.contains(&format!("It is mfa-agent ({}), started by ", client.id())), "{words}");
    // It stays until it is answered.
    assert!(rest.ends_with(" {\"desktop-entry\": \"mfa-agent\", \"urgency\": 2} 0"), "{rest}");
    server.click(1, &allow(&question));
    assert_eq!(end(client).status, 0);
    server.wait_for_call("CloseNotification 1", 1);
    assert!(sandbox.run(&["agent", "log"]).stdout.contains("credentials of dev: allowed by the person"));
    // The same terminal is not asked about again; another one is.
    assert_eq!(sandbox.run(&["env", "dev"]).status, 0);
    let other = start(elsewhere(&sandbox, &["env", "dev"]));
    let again = server.wait_for(2);
    server.click(2, &allow(&again));
    assert_eq!(end(other).status, 0);
    assert_eq!(prompter.asked("CONFIRM"), 0);
}

#[test]
fn whatever_is_no_click_on_allow_is_a_no() {
    let (sandbox, prompter, _bus, server) = desktop();
    let ask = |number: usize| {
        let client = start(elsewhere(&sandbox, &["env", "dev"]));
        (client, server.wait_for(number))
    };
    let (client, first) = ask(1);
    server.click(1, "deny");
    refused(client, NO);
    let (client, _) = ask(2);
    server.dismiss(2);
    refused(client, NO);
    // The yes to another question; what this one is called is not its button's name either.
    let (client, third) = ask(3);
    assert_ne!(allow(&first), allow(&third));
    server.click(1, &allow(&third));
    server.click(3, &allow(&first));
    refused(client, NO);
    let (client, _) = ask(4);
    server.expire(4);
    refused(client, "nobody allowed the credentials of dev to be given out");
    assert_eq!(prompter.asked("CONFIRM"), 0);
}

#[test]
fn a_click_of_somebody_else_on_the_bus_allows_nothing() {
    let (sandbox, _prompter, bus, server) = desktop();
    let client = start(sandbox.client(["env", "dev"]));
    // Who listens to all that is said on the bus knows even the button's name.
    let question = server.wait_for(1);
    let action = format!("string:{}", allow(&question));
    let signal =
        ["/org/freedesktop/Notifications", "org.freedesktop.Notifications.ActionInvoked", "uint32:1"];
    let agent = sandbox.agent_pid();
    let names = (0..100).map(|number| format!(":1.{number}"));
    let names: Vec<_> = names.filter(|name| bus.process_of(name) == Some(agent)).collect();
    assert!(!names.is_empty(), "the agent is on the bus");
    for to in names.iter().map(|name| Some(format!("--dest={name}"))).chain([None]) {
        let mut arguments = vec!["--session", "--type=signal"];
        arguments.extend(to.as_deref());
        arguments.extend(signal);
        arguments.push(&action);
        bus.stranger("dbus-send", &arguments);
    }
    server.click(1, "deny");
    refused(client, NO);
}

#[test]
fn a_question_goes_with_who_asked_with_a_lock_and_with_the_agent() {
    let (sandbox, prompter, _bus, server) = desktop();
    let ask = |number: usize| {
        let client = start(sandbox.client(["env", "dev"]));
        server.wait_for(number);
        client
    };
    let mut client = ask(1);
    client.kill().unwrap();
    client.wait().unwrap();
    server.wait_for_call("CloseNotification 1", 1);
    let client = ask(2);
    assert_eq!(sandbox.run(&["lock"]).status, 0);
    refused(client, "locked");
    server.wait_for_call("CloseNotification 2", 1);
    assert_eq!(Run::of(&mut elsewhere(&sandbox, &["unlock", "--code", &sandbox.code()])).status, 0);
    let client = ask(3);
    let agent = sandbox.agent_pid();
    assert_eq!(sandbox.run(&["agent", "stop"]).status, 0);
    wait_for_end(agent);
    assert_eq!(server.count("CloseNotification 3"), 1);
    assert_ne!(end(client).status, 0);
    assert_eq!(prompter.asked("CONFIRM"), 0);
}

#[test]
fn a_restart_waits_for_nobodys_answer_and_the_next_process_asks() {
    let (sandbox, _prompter, _bus, server) = desktop();
    // With and without a terminal to ask for a code on: one of them waits, and the other's answer is worked on.
    for (arguments, number) in [(&["env", "dev"][..], 1), (&["env", "dev", "--no-prompt"], 3)] {
        let client = start(elsewhere(&sandbox, arguments));
        server.wait_for(number);
        let begun = Instant::now();
        assert_eq!(sandbox.run(&["agent", "restart"]).status, 0);
        assert!(begun.elapsed() < Duration::from_secs(15), "{:?}", begun.elapsed());
        assert_eq!(server.count(&format!("CloseNotification {number}")), 1);
        let again = server.wait_for(number + 1);
        server.click(u32::try_from(number + 1).unwrap(), &allow(&again));
        let run = end(client);
        assert_eq!(run.status, 0, "{run:?}");
    }
}

#[test]
fn a_dialog_asks_where_no_notification_can() {
    let (mut sandbox, prompter) = unused();
    let bus = Bus::start(&mut sandbox);
    log_in_elsewhere(&sandbox);
    let asked_in_a_dialog = || {
        let client = start(elsewhere(&sandbox, &["env", "dev"]));
        prompter.answer("OK");
        assert_eq!(end(client).status, 0);
    };
    // There is no server, one without buttons, or one that hangs.
    asked_in_a_dialog();
    let server = bus.server("body body-markup");
    asked_in_a_dialog();
    assert_eq!(server.notified(), []);
    server.kill();
    let server = bus.server(USUAL);
    server.hang();
    asked_in_a_dialog();
    server.go_on();
    // Its server dies while the question is on the screen. The ids of the next one begin anew.
    let before = server.notified().len();
    let client = start(elsewhere(&sandbox, &["env", "dev"]));
    let question = server.wait_for(before + 1);
    server.kill();
    wait_until("a dialog", || prompter.asked("CONFIRM") == 4);
    let server = bus.server(USUAL);
    server.click(1, &allow(&question));
    prompter.answer("ERR 83886194 Not confirmed <Pinentry>");
    refused(client, NO);
}

#[test]
fn a_real_server_asks_and_its_button_allows() {
    let (mut sandbox, prompter) = unused();
    let bus = Bus::start(&mut sandbox);
    let _dunst = Dunst::start(&mut sandbox, &bus);
    log_in_elsewhere(&sandbox);
    let dunst = |argument: &[&str]| Run::of(&mut sandbox.command(tool("dunstctl"), argument)).stdout;
    let shown = || dunst(&["count", "displayed"]).trim() == "1";
    let client = start(elsewhere(&sandbox, &["env", "dev"]));
    wait_until("dunst shows it", shown);
    // The menu of its buttons.
    dunst(&["context"]);
    assert_eq!(end(client).status, 0);
    wait_until("it is taken away", || !shown());
    let client = start(elsewhere(&sandbox, &["env", "dev"]));
    wait_until("dunst shows it", shown);
    dunst(&["close"]);
    refused(client, NO);
    assert_eq!(prompter.asked("CONFIRM"), 0);
}

#[test]
fn who_is_not_answered_within_a_minute_is_refused() {
    let (sandbox, _prompter, _bus, server) = desktop();
    let begun = Instant::now();
    let client = start(elsewhere(&sandbox, &["env", "dev"]));
    refused(client, "nobody allowed the credentials of dev to be given out within a minute");
    assert!(begun.elapsed() > Duration::from_secs(55), "{:?}", begun.elapsed());
    server.wait_for_call("CloseNotification 1", 1);
}
