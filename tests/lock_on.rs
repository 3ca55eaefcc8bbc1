//! What locks by itself: the screen, the machine's sleep, nobody's being there. By what logind says, and nobody else.

use std::time::{SystemTime, UNIX_EPOCH};

use protocol::{Reply, Request};

use crate::support::{Bus, Logind, Sandbox, exported, key_of, memory_holds, wait_until};

/// A machine with logind, and a session that is held on it. The agent listens already.
fn machine(lock_on: &str) -> (Sandbox, Bus, Logind) {
    let mut sandbox = Sandbox::new();
    let bus = Bus::system(&mut sandbox);
    let logind = bus.logind();
    sandbox.write(".config/mfa-agent/config.toml", &format!("lock_on = {lock_on}\n"));
    sandbox.log_in("dev");
    assert!(!is_locked(&sandbox));
    if lock_on.contains("suspend") {
        wait_until("the machine waits for the agent", || logind.waits());
    }
    (sandbox, bus, logind)
}

fn is_locked(sandbox: &Sandbox) -> bool {
    match sandbox.ask(Request::Status) {
        Reply::Status(status) => status.locked,
        other => panic!("{other:?}"),
    }
}

#[track_caller]
fn wait_for_lock(sandbox: &Sandbox, reason: &str) {
    wait_until("it is locked", || is_locked(sandbox));
    let log = sandbox.run(&["agent", "log"]).stdout;
    assert!(log.contains(&format!("locked: {reason}")), "{log}");
    assert_eq!(sandbox.run(&["env", "dev", "--no-prompt"]).status, 6);
}

#[test]
fn the_machine_does_not_sleep_before_it_is_locked() {
    let (sandbox, _bus, logind) = machine("['suspend']");
    logind.prepares_for_sleep(true);
    wait_until("the machine may sleep", || !logind.waits());
    assert!(is_locked(&sandbox), "it may sleep, and nothing is locked");
    wait_for_lock(&sandbox, "the machine goes to sleep");
    logind.prepares_for_sleep(false);
    wait_until("the machine waits for the agent the next time", || logind.waits());
    assert!(is_locked(&sandbox), "waking up unlocks nothing");
}

#[test]
fn a_profile_locks_by_itself_while_its_session_is_held() {
    let mut sandbox = Sandbox::new();
    let bus = Bus::system(&mut sandbox);
    let logind = bus.logind();
    sandbox.write(".config/mfa-agent/config.toml", "[profile.dev]\nlock_on = ['screen-lock', 'suspend']\n");
    let bob = sandbox.simulator.user("444455556666", "bob");
    let serial = bob.device("bob");
    let keys = format!("[dev]\n{}[sandbox]\n{}mfa_serial = {serial}\n", key_of(&sandbox.alice), key_of(&bob));
    sandbox.write(".aws/credentials", &keys);
    let code = sandbox.simulator.unused_code(&serial).unwrap();
    assert_eq!(sandbox.run(&["login", "sandbox", "--code", &code]).status, 0);
    sandbox.log_in("dev");
    wait_until("the machine waits for the agent", || logind.waits());
    assert_eq!(sandbox.run(&["logout", "dev"]).status, 0);
    wait_until("the machine waits no more", || !logind.waits());
    // Nothing is held that wants it.
    logind.lock("own");
    sandbox.log_in("dev");
    wait_until("the machine waits for the agent", || logind.waits());
    // The code would have unlocked what was locked.
    let log = sandbox.run(&["agent", "log"]).stdout;
    assert!(!log.contains("the screen is locked"), "{log}");
    assert!(!is_locked(&sandbox));
    logind.lock("own");
    wait_for_lock(&sandbox, "the screen is locked");
}

#[test]
fn the_machine_does_not_sleep_before_everything_is_forgotten() {
    let (sandbox, _bus, logind) = machine("[{ suspend = 'wipe' }]");
    let token = exported(&sandbox.run(&["env", "dev"]).stdout, &[])["AWS_SESSION_TOKEN"].clone();
    logind.prepares_for_sleep(true);
    wait_until("the machine may sleep", || !logind.waits());
    let Reply::Status(status) = sandbox.ask(Request::Status) else { panic!() };
    assert!(status.sessions.is_empty() && !status.locked, "{status:?}");
    let log = sandbox.run(&["agent", "log"]).stdout;
    assert!(log.contains("the machine goes to sleep: 1 sessions forgotten"), "{log}");
    assert_eq!(sandbox.run(&["env", "dev", "--no-prompt"]).status, 3);
    if rustix::process::geteuid().is_root() {
        assert!(!memory_holds(sandbox.agent_pid(), token.as_bytes()));
    }
}

#[test]
fn a_locked_screen_locks_and_an_unlocked_one_does_not_unlock() {
    for locks in ["signal", "hint"] {
        let (sandbox, _bus, logind) = machine("['screen-lock', 'suspend']");
        match locks {
            "signal" => logind.lock("own"),
            _ => logind.changes("{'LockedHint': <true>}"),
        }
        wait_for_lock(&sandbox, "the screen is locked");
        logind.changes("{'LockedHint': <false>}");
        logind.prepares_for_sleep(true);
        wait_until("the agent has heard of it", || !logind.waits());
        assert!(is_locked(&sandbox));
    }
}

#[test]
fn nobody_else_locks_and_nothing_that_is_not_configured() {
    let (sandbox, bus, logind) = machine("['screen-lock', 'suspend']");
    let path = "/org/freedesktop/login1/session/own";
    bus.stranger("dbus-send", &["--session", "--type=signal", path, "org.freedesktop.login1.Session.Lock"]);
    let to = (0..100).map(|number| format!(":1.{number}"));
    let agent = to.into_iter().find(|name| bus.process_of(name) == Some(sandbox.agent_pid())).unwrap();
    let to = format!("--dest={agent}");
    bus.stranger(
        "dbus-send",
        &["--session", "--type=signal", &to, path, "org.freedesktop.login1.Session.Lock"],
    );
    logind.lock("other");
    // What comes after is heard after.
    logind.prepares_for_sleep(true);
    wait_until("the agent has heard of it", || !logind.waits());
    let log = sandbox.run(&["agent", "log"]).stdout;
    assert!(log.contains("locked: the machine goes to sleep"), "{log}");

    let (sandbox, _bus, logind) = machine("['suspend']");
    logind.lock("own");
    logind.prepares_for_sleep(true);
    wait_for_lock(&sandbox, "the machine goes to sleep");
}

#[test]
fn it_locks_when_nobody_was_there_for_long_enough() {
    let (sandbox, _bus, logind) = machine("['suspend', { idle = '30m' }]");
    let idle_since = |seconds: u64| {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
        logind.changes(&format!(
            "{{'IdleHint': <true>, 'IdleSinceHint': <uint64 {}>}}",
            (now - seconds) * 1_000_000
        ));
    };
    idle_since(1_794);
    logind.changes("{'IdleHint': <false>}");
    idle_since(1_792);
    assert!(!is_locked(&sandbox));
    wait_for_lock(&sandbox, "nobody is there");
}
