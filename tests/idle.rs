//! An agent that nobody needs, where the person wants it to end then.

use std::fs;
use std::io::Read;
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use protocol::{Reply, Request};
use rustix::process::{Pid, Signal, kill_process};

use crate::lifecycle::wait_for_end;
use crate::support::{Sandbox, Session, Shell, exported, wait_until};

/// How long the agents of these tests stay, in seconds.
const SPAN: i64 = 60;

/// A machine whose agent ends when nobody needs it. Nothing is started yet.
fn machine() -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.write(".config/mfa-agent/config.toml", "exit_when_idle = '1m'\n");
    sandbox
}

/// Starts an agent that lives by a clock of the test's; nothing else does.
fn start(sandbox: &mut Sandbox) -> (PathBuf, i32) {
    let clock = sandbox.fake_clock();
    assert_eq!(sandbox.run(&["agent", "start"]).status, 0);
    for variable in
        ["LD_PRELOAD", "FAKETIME_TIMESTAMP_FILE", "FAKETIME_NO_CACHE", "FAKETIME_DONT_FAKE_MONOTONIC"]
    {
        sandbox.unset(variable);
    }
    let pid = sandbox.agent_pid();
    (clock, pid)
}

/// Moves the clocks, and lets the agent look at them by no request: one would be somebody who needs it. Who was there
/// before is gone by then, by the old time.
pub fn pass(sandbox: &Sandbox, clock: &Path, pid: i32, seconds: i64) {
    let mut stream = UnixStream::connect(sandbox.socket()).unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    assert_eq!(stream.read_to_end(&mut Vec::new()).unwrap(), 0);
    sandbox.advance(clock, seconds);
    look(pid);
}

fn look(pid: i32) {
    kill_process(Pid::from_raw(pid).unwrap(), Signal::HUP).unwrap();
}

/// Whether an agent that has just looked at its clock is still there when it has had the time to end.
fn stays(pid: i32) -> bool {
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_millis(700) {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        if stat.is_empty() || stat.contains(") Z ") {
            return false;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    true
}

#[test]
fn an_agent_that_nobody_needs_ends_as_by_a_signal_and_the_next_client_starts_another() {
    let mut sandbox = machine();
    let (clock, pid) = start(&mut sandbox);
    pass(&sandbox, &clock, pid, SPAN - 20);
    assert!(stays(pid));
    // A request is somebody who needs it.
    assert!(matches!(sandbox.ask(Request::Log), Reply::Log(_)));
    pass(&sandbox, &clock, pid, SPAN + 10);
    assert!(stays(pid));
    // The rest of its time it waits by an alarm of its own, and nobody wakes it.
    pass(&sandbox, &clock, pid, 2 * SPAN + 7);
    wait_for_end(pid);
    let left: Vec<_> =
        fs::read_dir(sandbox.runtime()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert!(
        left.iter().all(|name| ["sock.lock", "start.lock", "lease"].iter().any(|known| name == known)),
        "{left:?}"
    );
    assert_eq!(sandbox.run(&["env", "dev", "--no-prompt"]).status, 3);
    assert_ne!(sandbox.agent_pid(), pid);
}

#[test]
fn its_end_is_a_success() {
    let mut sandbox = machine();
    let clock = sandbox.fake_clock();
    let mut agent = sandbox.client(["agent", "run"]).spawn().unwrap();
    sandbox.unset("LD_PRELOAD");
    sandbox.wait_for_agent();
    let pid = sandbox.agent_pid();
    pass(&sandbox, &clock, pid, SPAN + 1);
    assert!(agent.wait().unwrap().success());
}

#[test]
fn without_the_setting_it_stays_and_a_hang_up_brings_it() {
    let mut sandbox = Sandbox::new();
    let (clock, pid) = start(&mut sandbox);
    pass(&sandbox, &clock, pid, 400 * 86_400);
    assert!(stays(pid));
    sandbox.write(".config/mfa-agent/config.toml", "exit_when_idle = '24h'\n");
    look(pid);
    wait_for_end(pid);
}

#[test]
fn while_a_session_is_held_it_stays_also_one_whose_end_is_in_doubt() {
    let mut sandbox = machine();
    let (clock, pid) = start(&mut sandbox);
    sandbox.log_in("dev");
    pass(&sandbox, &clock, pid, 3_600);
    assert!(stays(pid));
    // Over by the wall clock, and not by the one that nobody can set: it may have been set for a moment.
    pass(&sandbox, &clock, pid, 43_200 + 10);
    assert!(stays(pid));
    pass(&sandbox, &clock, pid, 43_200 + 10 + SPAN);
    assert!(stays(pid));
    assert_eq!(sandbox.run(&["logout", "--all"]).status, 0);
    pass(&sandbox, &clock, pid, 43_200 + 20 + 5 * SPAN);
    wait_for_end(pid);
}

#[test]
fn while_a_grant_stands_it_stays() {
    let mut sandbox = machine();
    let (clock, pid) = start(&mut sandbox);
    sandbox.log_in("dev");
    let run = sandbox.run(&["env", "dev", "--live"]);
    assert!(exported(&run.stdout, &[]).contains_key("AWS_CONTAINER_AUTHORIZATION_TOKEN"), "{run:?}");
    assert_eq!(sandbox.run(&["agent", "grant", "dev", "--expires", "12h"]).status, 0);
    assert_eq!(sandbox.run(&["logout", "--all"]).status, 0);
    pass(&sandbox, &clock, pid, 3_600);
    assert!(stays(pid));
    // One after the other.
    let Reply::Status(status) = sandbox.ask(Request::Status) else { panic!() };
    let live: Vec<u64> = status.grants.iter().map(|grant| grant.number).collect();
    assert!(!live.is_empty(), "its programs are told that they are logged out");
    assert!(matches!(sandbox.ask(Request::Revoke { grants: live }), Reply::Revoked { grants: 1 }));
    pass(&sandbox, &clock, pid, 7_200);
    assert!(stays(pid), "the socket is granted still");
    pass(&sandbox, &clock, pid, 43_300);
    assert!(stays(pid), "it is over, and the time begins");
    pass(&sandbox, &clock, pid, 43_301 + SPAN);
    wait_for_end(pid);
}

#[test]
fn while_somebody_is_asked_or_waits_it_stays() {
    let mut sandbox = machine();
    let (clock, pid) = start(&mut sandbox);
    let terminal = sandbox.terminal(&["env", "dev"]);
    terminal.wait_for("MFA code for dev");
    let mut waits = sandbox.client(["credential-process", "dev"]);
    let mut waits = waits.stdout(Stdio::null()).spawn().unwrap();
    sandbox.wait_for_line(2);
    pass(&sandbox, &clock, pid, 2 * SPAN);
    assert!(stays(pid));
    terminal.type_in(&sandbox.code());
    let run = terminal.finish();
    assert_eq!(run.status, 0, "{run:?}");
    assert!(waits.wait().unwrap().success());
}

#[test]
fn who_comes_in_the_very_moment_is_served_by_it_or_by_the_next_one() {
    let mut sandbox = machine();
    let mut ended = 0;
    for round in 0..24 {
        let (clock, pid) = start(&mut sandbox);
        pass(&sandbox, &clock, pid, SPAN + 1);
        std::thread::sleep(Duration::from_millis(2 * round));
        let run = sandbox.run(&["env", "dev", "--no-prompt"]);
        assert_eq!(run.status, 3, "round {round}: {run:?}");
        ended += usize::from(sandbox.agent_pid() != pid);
        assert_eq!(sandbox.run(&["agent", "stop"]).status, 0);
        wait_until("its name is free", || !sandbox.socket().exists());
    }
    assert!(ended > 0, "none of them ended");
}

#[test]
fn a_shell_whose_session_is_over_says_nothing_and_starts_the_next_one_when_it_needs_it() {
    let mut sandbox = machine();
    let (clock, pid) = start(&mut sandbox);
    sandbox.log_in("dev");
    let session = Session::start(&sandbox, Shell::Bash);
    session.run("mfa-agent use dev");
    assert!(session.key_id().is_some());
    assert_eq!(sandbox.run(&["logout", "--all"]).status, 0);
    assert!(session.run("true").contains("dev: no session"));
    assert_eq!(session.key_id(), None);
    pass(&sandbox, &clock, pid, 5 * SPAN);
    wait_for_end(pid);
    for _ in 0..2 {
        let shown = session.run("true");
        assert!(!shown.contains("mfa-agent:"), "{shown}");
    }
    assert!(!sandbox.socket().exists(), "no prompt starts one");
    let start = session.type_line("mfa-agent use dev");
    session.answer(start, &sandbox.code());
    session.wait_for_step(start);
    assert!(session.key_id().is_some());
}
