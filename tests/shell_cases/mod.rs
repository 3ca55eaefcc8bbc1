//! The 69 cases in which hooks of this kind are known to break a shell, each a test that bears its number.

mod asking;
mod cost;
mod freshness;
mod registration;
mod syntax;
mod transparency;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use crate::support::{Sandbox, Session, Shell};

/// The cases that have no test, and why.
const NOT_HERE: [(u8, &str); 5] = [
    (
        15,
        "powerlevel10k is in no registry; that we are registered once is 4's, that others may reorder is zsh's",
    ),
    (49, "powerlevel10k is in no registry; the hook looks at __p9k_instant_prompt_active"),
    (58, "nothing of ours is on fish's directory events, and no handler is ever erased"),
    (62, "Windows is not served"),
    (
        66,
        "there is no unloading: `mfa-agent use --none` ends all that the hook does, and a new shell has none",
    ),
];

/// How many cases there are.
const CASES: u8 = 69;

#[test]
fn every_case_is_a_test_or_a_reason() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/shell_cases");
    let mut seen: BTreeSet<u8> = NOT_HERE.iter().map(|(number, _)| *number).collect();
    for entry in fs::read_dir(folder).unwrap() {
        let source = fs::read_to_string(entry.unwrap().path()).unwrap();
        let names = source.split("\nfn case_").skip(1);
        seen.extend(names.map(|name| name.split('_').next().unwrap().parse::<u8>().unwrap()));
    }
    let missing: Vec<u8> = (1..=CASES).filter(|number| !seen.contains(number)).collect();
    assert!(
        missing.is_empty() && seen.len() == usize::from(CASES),
        "without a test or a reason: {missing:?}"
    );
}

/// The bash of an rc file's lines, in which the hook takes itself to be in another version's.
fn bash_as(version: &str) -> String {
    let client = env!("CARGO_BIN_EXE_mfa-agent");
    format!("AS_VERSION=({version}); eval \"$({client} init bash | sed s/BASH_VERSINFO/AS_VERSION/g)\"\n")
}

/// Makes the shell's lease one that is gone, so that the next prompt takes the slow path.
const fn lose_lease(shell: Shell) -> &'static str {
    match shell {
        Shell::Fish => "set -gx MFA_AGENT_LEASE /gone-(string split -r -m1 -f2 -- - $MFA_AGENT_LEASE)",
        _ => "export MFA_AGENT_LEASE=/gone-${MFA_AGENT_LEASE##*-}",
    }
}

/// Renews the session from another terminal.
#[track_caller]
fn renew_elsewhere(sandbox: &Sandbox) {
    let run = sandbox.run(&["login", "dev", "--force", "--code", &sandbox.code()]);
    assert_eq!(run.status, 0, "{run:?}");
}

/// A shell that has the credentials of `dev`, without having been asked.
#[track_caller]
fn using_dev(sandbox: &Sandbox, shell: Shell, before: &str, after: &str) -> Session {
    sandbox.log_in("dev");
    let session = Session::start_with(sandbox, shell, before, after);
    session.run_to_prompt("mfa-agent use dev");
    session
}

/// The shell follows a renewal that happens elsewhere, without a word; its output is returned.
#[track_caller]
fn follows(sandbox: &Sandbox, session: &Session) -> String {
    let start = session.terminal.screen().len();
    let first = session.key_id();
    assert!(first.is_some(), "{}", session.terminal.screen());
    renew_elsewhere(sandbox);
    session.run("true");
    let second = session.key_id();
    let shown = session.terminal.screen()[start..].to_owned();
    assert!(second.is_some() && first != second, "{shown}");
    for complaint in ["mfa-agent:", "rror", "not found", "unbound", "bad ", "no matches", "__mfa"] {
        assert!(!shown.contains(complaint), "{complaint}: {shown}");
    }
    shown
}

/// Types what puts another shell into the place of this one, and waits until that one answers.
#[track_caller]
fn enter(session: &Session, command: &str) -> String {
    let start = session.terminal.screen().len();
    session.terminal.type_in(&format!("{command}\r"));
    session.terminal.wait_for_after(start, "\r\n");
    let entered = start + session.terminal.screen()[start..].find("\r\n").unwrap();
    session.terminal.wait_for_after(entered, "> ");
    session.run("true");
    session.terminal.screen()[start..].to_owned()
}

/// What the shell says when it is asked this, between two marks.
#[track_caller]
fn asked(session: &Session, expression: &str) -> String {
    let shown = session.run(&format!("echo \"<\"\"=\"{expression}\"=\"\">\""));
    let from = shown.rfind("<=").unwrap_or_else(|| panic!("{shown}")) + 2;
    let text = &shown[from..];
    text[..text.find("=>").unwrap_or_else(|| panic!("{shown}"))].to_owned()
}
