//! One question at a time, however many need the answer.

use std::collections::BTreeSet;

use crate::support::{Run, Sandbox, Terminal, key_of, wait_until};

const CLIENTS: usize = 20;

/// The clients that show a prompt, once one of them does.
fn asked(terminals: &[Terminal]) -> Vec<usize> {
    let asked = |terminal: &Terminal| terminal.shows("MFA code for dev");
    (0..terminals.len()).filter(|index| asked(&terminals[*index])).collect()
}

fn answers(terminals: Vec<Terminal>) -> BTreeSet<String> {
    let runs: Vec<Run> = terminals.into_iter().map(Terminal::finish).collect();
    for run in &runs {
        assert_eq!(run.status, 0, "{run:?}");
    }
    runs.into_iter().map(|run| run.stdout).collect()
}

#[test]
fn twenty_clients_on_a_cold_agent_are_one_prompt_and_one_call() {
    let sandbox = Sandbox::new();
    let terminals: Vec<_> = (0..CLIENTS).map(|_| sandbox.terminal(&["env", "dev"])).collect();
    wait_for_any(&terminals);
    sandbox.wait_for_line(CLIENTS);
    let asked = asked(&terminals);
    assert_eq!(asked.len(), 1, "{asked:?} were asked");
    terminals[asked[0]].type_in(&sandbox.code());
    assert_eq!(answers(terminals).len(), 1);
    assert_eq!(sandbox.simulator.calls_of("GetSessionToken").len(), 1);
}

#[test]
fn when_the_asked_one_is_killed_the_next_is_asked() {
    let sandbox = Sandbox::new();
    let mut terminals: Vec<_> = (0..CLIENTS).map(|_| sandbox.terminal(&["env", "dev"])).collect();
    wait_for_any(&terminals);
    sandbox.wait_for_line(CLIENTS);
    let first = asked(&terminals)[0];
    terminals.remove(first).kill();
    wait_for_any(&terminals);
    let asked = asked(&terminals);
    assert_eq!(asked.len(), 1, "{asked:?} were asked");
    terminals[asked[0]].type_in(&sandbox.code());
    assert_eq!(answers(terminals).len(), 1);
    assert_eq!(sandbox.simulator.calls_of("GetSessionToken").len(), 1);
}

#[test]
fn who_cancels_passes_the_question_on() {
    let sandbox = Sandbox::new();
    let mut terminals = vec![sandbox.terminal(&["env", "dev"])];
    terminals[0].wait_for("MFA code for dev");
    terminals.push(sandbox.terminal(&["env", "dev"]));
    sandbox.wait_for_line(2);
    terminals[0].type_in("\x03");
    let cancelled = terminals.remove(0).finish();
    assert_eq!((cancelled.status, cancelled.stdout.as_str()), (130, "false\n"));
    terminals[0].wait_for("MFA code for dev");
    terminals[0].type_in(&sandbox.code());
    assert_eq!(answers(terminals).len(), 1);
}

#[test]
fn a_login_elsewhere_answers_the_question() {
    let sandbox = Sandbox::new();
    let terminal = sandbox.terminal(&["env", "dev"]);
    terminal.wait_for("MFA code for dev");
    sandbox.log_in("dev");
    let run = terminal.finish();
    assert_eq!(run.status, 0, "{run:?}");
    assert!(run.stdout.contains("AWS_SESSION_TOKEN"));
    assert_eq!(sandbox.simulator.calls_of("GetSessionToken").len(), 1);
}

#[test]
fn who_has_no_terminal_waits_for_who_is_asked() {
    let sandbox = Sandbox::new();
    let terminal = sandbox.terminal(&["env", "dev"]);
    terminal.wait_for("MFA code for dev");
    let silent = sandbox.client(["env", "dev"]).stdout(std::process::Stdio::piped()).spawn().unwrap();
    sandbox.wait_for_line(2);
    terminal.type_in(&sandbox.code());
    let silent: Run = silent.wait_with_output().unwrap().into();
    assert_eq!(silent.status, 0, "{silent:?}");
    assert_eq!(silent.stdout, terminal.finish().stdout);
}

#[test]
fn who_has_no_terminal_is_not_kept_when_nobody_can_be_asked() {
    let sandbox = Sandbox::new();
    let run = sandbox.run(&["env", "dev"]);
    assert_eq!((run.status, run.stdout.as_str()), (3, "false\n"));
    assert_eq!(run.hint(), "mfa-agent login dev", "{run:?}");
}

#[test]
fn different_sessions_do_not_wait_for_each_other() {
    let sandbox = Sandbox::new();
    let bob = sandbox.simulator.user("444455556666", "bob");
    let bobs = bob.device("bob");
    let (alices_key, bobs_key) = (key_of(&sandbox.alice), key_of(&bob));
    sandbox.write(".aws/credentials", &format!("[dev]\n{alices_key}[bob]\n{bobs_key}mfa_serial = {bobs}\n"));
    let alices = sandbox.terminal(&["env", "dev"]);
    alices.wait_for("MFA code for dev");
    let bobs_terminal = sandbox.terminal(&["env", "bob"]);
    bobs_terminal.wait_for("MFA code for bob");
    bobs_terminal.type_in(&sandbox.simulator.unused_code(&bobs).unwrap());
    assert_eq!(bobs_terminal.finish().status, 0);
    alices.type_in(&sandbox.code());
    assert_eq!(alices.finish().status, 0);
}

/// Waits until one of the terminals shows a prompt.
fn wait_for_any(terminals: &[Terminal]) {
    wait_until("one is asked", || !asked(terminals).is_empty());
}
