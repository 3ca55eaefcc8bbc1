//! A day and more of an agent's life, by a clock that is moved: what it needs at its end is what it needed at noon.

use std::fs;
use std::io::Write;

use aws_simulator::Role;
use protocol::{Ask, Reply, Request};

use crate::live::{Access, exchange};
use crate::support::{ACCOUNT, Sandbox};

/// How far the clock is moved at once, in seconds.
const STEP: i64 = 15 * 60;

/// How many steps are a day and an hour.
const STEPS: i64 = 25 * 3_600 / STEP;

/// How often everything is asked for at each step.
const TIMES: usize = 25;

/// What an agent needs of the machine.
#[derive(Debug, PartialEq, Eq)]
struct Needs {
    /// Its open files; 0 where only root sees them.
    files: usize,
    threads: usize,
    leases: usize,
}

fn needs(sandbox: &Sandbox, pid: i32) -> Needs {
    let count = |folder: String| fs::read_dir(folder).map_or(0, Iterator::count);
    Needs {
        files: count(format!("/proc/{pid}/fd")),
        threads: count(format!("/proc/{pid}/task")),
        leases: count(sandbox.runtime().join("lease").display().to_string()),
    }
}

/// How many KiB of memory a process has.
fn resident(pid: i32) -> usize {
    let pages = fs::read_to_string(format!("/proc/{pid}/statm")).unwrap();
    pages.split(' ').nth(1).unwrap().parse::<usize>().unwrap() * rustix::param::page_size() / 1024
}

fn credentials(profile: &str) -> Request {
    Request::Credentials {
        profile: Some(profile.to_owned()),
        ask: Ask::Never,
        replaces: None,
        min_ttl: None,
        duration: None,
    }
}

#[test]
fn after_a_day_of_many_thousand_requests_it_needs_what_it_needed_at_noon() {
    let mut sandbox = Sandbox::new();
    let arn = sandbox.simulator.role(Role::new(ACCOUNT, "ops"));
    let serial = &sandbox.serial;
    let config = format!(
        "[profile dev]\nregion = eu-central-1\nmfa_serial = {serial}\n\
         [profile ops]\nrole_arn = {arn}\nsource_profile = dev\n"
    );
    sandbox.write(".aws/config", &config);
    let clock = sandbox.fake_clock();
    assert_eq!(sandbox.run(&["agent", "start"]).status, 0);
    sandbox.unset("LD_PRELOAD");
    let pid = sandbox.agent_pid();

    let (mut asked, mut logins, mut halfway, mut largest) = (0, 0, None, 0);
    let mut series = Vec::new();
    for step in 0..STEPS {
        sandbox.advance(&clock, step * STEP);
        if matches!(sandbox.ask(credentials("dev")), Reply::Refused(_)) {
            sandbox.log_in("dev");
            logins += 1;
        }
        let live = Access::to(&sandbox, "ops");
        for _ in 0..TIMES {
            for profile in ["dev", "ops"] {
                let reply = sandbox.ask(credentials(profile));
                assert!(matches!(reply, Reply::Credentials(_)), "{reply:?}");
                let shell = Request::Shell { profile: profile.to_owned(), live: false };
                let reply = sandbox.ask(shell);
                assert!(matches!(reply, Reply::Shell(_)), "{reply:?}");
            }
            assert!(matches!(sandbox.ask(credentials("nobody")), Reply::Refused(_)));
            let answer = exchange(live.address(), live.head("\r\n").as_bytes());
            assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
            asked += 6;
        }
        assert!(matches!(sandbox.ask(Request::Log), Reply::Log(_)));
        assert!(matches!(sandbox.ask(Request::Status), Reply::Status(_)));
        if step == STEPS / 2 {
            halfway = Some((needs(&sandbox, pid), resident(pid)));
        }
        series.push(resident(pid));
        largest = largest.max(resident(pid));
    }
    let (before, memory) = halfway.unwrap();
    let after = needs(&sandbox, pid);
    assert!(
        after.files <= before.files + 1
            && after.threads <= before.threads + 1
            && after.leases <= before.leases,
        "{before:?}, {after:?}"
    );
    let grown = largest.saturating_sub(memory);
    assert!(grown < 1024, "{grown} KiB more than the {memory} at noon: {series:?}");
    assert!(asked >= 15_000, "{asked}");
    // Every twelve hours a code, every forty minutes a role without one.
    assert_eq!(logins, 3);
    let roles = sandbox.simulator.calls_of("AssumeRole").len();
    assert!((30..45).contains(&roles), "{roles}");
    assert_eq!(sandbox.agent_pid(), pid);
    let _ = writeln!(
        std::io::stderr(),
        "{asked} requests, {roles} roles, {memory} KiB at noon, {largest} at most; {before:?}, {after:?}"
    );
}
