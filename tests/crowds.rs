//! Crowds at the socket: many at once, many that say nothing, one that never stops.

use std::io::Write;
use std::os::unix::net::UnixStream;
use std::process::Stdio;
use std::time::{Duration, Instant};

use protocol::{Ask, Reply, Request};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::support::{Sandbox, tool, wait_until};

/// How many a crowd is.
const CROWD: usize = 1_000;

/// Lets this process have a crowd's connections.
fn make_room() {
    let limit = getrlimit(Resource::Nofile);
    let wanted = u64::try_from(3 * CROWD).unwrap();
    if limit.current.is_some_and(|current| current < wanted) {
        setrlimit(Resource::Nofile, Rlimit { current: Some(wanted), maximum: limit.maximum }).unwrap();
    }
}

fn credentials() -> Request {
    Request::Credentials {
        profile: Some("dev".to_owned()),
        ask: Ask::Never,
        replaces: None,
        min_ttl: None,
        duration: None,
    }
}

/// The time that so many of a hundred were served in, and the longest.
fn times(what: &str, mut times: Vec<Duration>) {
    times.sort();
    let at = |part: usize| times[(times.len() * part / 100).min(times.len() - 1)];
    let _ = writeln!(std::io::stderr(), "{what}: p50 {:?}, p99 {:?}, longest {:?}", at(50), at(99), at(100));
}

#[test]
fn a_thousand_programs_at_once_are_all_answered() {
    let sandbox = Sandbox::new();
    sandbox.log_in("dev");
    let clients: Vec<_> = (0..CROWD)
        .map(|_| {
            let mut client = sandbox.client(["env", "dev", "--no-prompt"]);
            client.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
        })
        .collect();
    let refused = clients.into_iter().filter_map(|mut client| {
        let status = client.wait().unwrap();
        (!status.success()).then_some(status)
    });
    assert_eq!(refused.count(), 0);
    assert_eq!(sandbox.simulator.calls_of("GetSessionToken").len(), 1);
}

#[test]
fn a_thousand_connections_at_once_are_all_answered() {
    make_room();
    let sandbox = Sandbox::new();
    sandbox.log_in("dev");
    let served: Vec<Duration> = std::thread::scope(|scope| {
        let asked: Vec<_> = (0..CROWD)
            .map(|_| {
                scope.spawn(|| {
                    let start = Instant::now();
                    let reply = sandbox.ask(credentials());
                    assert!(matches!(reply, Reply::Credentials(_)), "{reply:?}");
                    start.elapsed()
                })
            })
            .collect();
        asked.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    times("a thousand at once", served);
}

#[test]
fn a_thousand_that_say_nothing_keep_nobody_waiting() {
    make_room();
    let sandbox = Sandbox::new();
    sandbox.log_in("dev");
    let memory = resident(sandbox.agent_pid());
    let mut silent: Vec<UnixStream> =
        (0..CROWD).map(|_| UnixStream::connect(sandbox.socket()).unwrap()).collect();
    let start = Instant::now();
    let mut served = Vec::new();
    let mut trickles = silent.pop().unwrap();
    for byte in b"{\"protocol\":1,\"requ" {
        // One byte at a time, as slowly as others are served meanwhile.
        let _ = trickles.write_all(&[*byte]);
        let asked = Instant::now();
        assert_eq!(sandbox.run(&["env", "dev", "--no-prompt"]).status, 0);
        served.push(asked.elapsed());
    }
    // Before the silent ones are cut off, that is: they were all there.
    let beside = start.elapsed() < Duration::from_secs(4);
    times(&format!("beside a thousand silent ones ({beside})"), served.clone());
    assert!(served.iter().min().unwrap() < &Duration::from_secs(2), "{served:?}");
    let grown = resident(sandbox.agent_pid()).saturating_sub(memory);
    assert!(grown < 32 << 20, "{grown} bytes for a thousand silent connections");
}

#[test]
fn a_gigabyte_of_garbage_costs_no_memory_and_no_session() {
    let sandbox = Sandbox::new();
    sandbox.log_in("dev");
    let pid = sandbox.agent_pid();
    let before = resident(pid);
    let piece = vec![b'x'; 1 << 20];
    let mut sent = 0;
    while sent < 1 << 30 {
        // It hangs up when it has had enough of one connection.
        let mut stream = UnixStream::connect(sandbox.socket()).unwrap();
        stream.set_write_timeout(Some(Duration::from_secs(10))).unwrap();
        while sent < 1 << 30 && stream.write_all(&piece).is_ok() {
            sent += piece.len();
        }
        // What was taken in part counts as sent: else a connection that is cut early never adds up.
        sent += piece.len();
    }
    let grown = resident(pid).saturating_sub(before);
    assert!(grown < 4 << 20, "{grown} bytes more");
    assert_eq!(sandbox.run(&["env", "dev", "--no-prompt"]).status, 0);
    assert_eq!(sandbox.agent_pid(), pid);
}

#[test]
fn ten_thousand_that_leave_at_any_moment_leave_nothing() {
    let sandbox = Sandbox::new();
    sandbox.log_in("dev");
    let pid = sandbox.agent_pid();
    let question =
        b"{\"protocol\":1,\"request\":{\"credentials\":{\"profile\":\"dev\",\"ask\":\"never\"}}}\n";
    let crowd = |times: usize| {
        for number in 0..times {
            let mut stream = UnixStream::connect(sandbox.socket()).unwrap();
            // Nothing, a part of a question, or a question whose answer nobody reads.
            let _ = stream.write_all(&question[..[0, 20, question.len()][number % 3]]);
        }
        assert!(matches!(sandbox.ask(credentials()), Reply::Credentials(_)));
    };
    let threads = || std::fs::read_dir(format!("/proc/{pid}/task")).unwrap().count();
    // Who is root sees the agent's files.
    let files = || std::fs::read_dir(format!("/proc/{pid}/fd")).map_or(0, Iterator::count);
    // What it once needed for a crowd it keeps.
    crowd(10_000);
    let (memory, files_before, threads_before) = (resident(pid), files(), threads());
    crowd(10_000);
    wait_until("all are gone", || files() <= files_before && threads() <= threads_before);
    let grown = resident(pid).saturating_sub(memory);
    assert!(grown < 4 << 20, "{grown} bytes more");
}

#[test]
fn no_more_connections_than_files_is_no_busy_loop() {
    let sandbox = Sandbox::new();
    let agent = ["--nofile=18:18", env!("CARGO_BIN_EXE_mfa-agentd")];
    let mut agent = sandbox.command(tool("prlimit"), agent).spawn().unwrap();
    wait_until("the agent listens", || UnixStream::connect(sandbox.socket()).is_ok());
    let pid = sandbox.agent_pid();
    let silent: Vec<_> = (0..12).map(|_| UnixStream::connect(sandbox.socket()).unwrap()).collect();
    // Behind all of them: served once the silent ones are cut off, after seconds without a file to be had.
    assert_eq!(sandbox.agent_pid(), pid);
    drop(silent);
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let fields: Vec<&str> = stat.rsplit(") ").next().unwrap().split(' ').collect();
    let ticks: u64 = fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap();
    assert!(ticks < 100, "{ticks} hundredths of a second of processor time");
    assert_eq!(sandbox.run(&["agent", "stop"]).status, 0);
    assert!(agent.wait().unwrap().success());
}

/// How many bytes of memory a process has.
fn resident(pid: i32) -> usize {
    let pages = std::fs::read_to_string(format!("/proc/{pid}/statm")).unwrap();
    pages.split(' ').nth(1).unwrap().parse::<usize>().unwrap() * rustix::param::page_size()
}
