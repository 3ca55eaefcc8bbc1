//! `agent restart`: another process, and nothing is lost, refused or noticed.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::process::Stdio;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

use protocol::{Reply, Request};

use crate::lifecycle::wait_for_end;
use crate::support::{Run, Sandbox, exported, install, tool, wait_until};

/// Restarts the agent, and returns the new process.
#[track_caller]
fn restart(sandbox: &Sandbox) -> i32 {
    let run = sandbox.run(&["agent", "restart"]);
    assert_eq!(run.status, 0, "{run:?}");
    assert!(run.stderr.contains("runs anew") && run.stderr.contains("holds 1 session"), "{run:?}");
    sandbox.agent_pid()
}

#[test]
fn another_process_holds_the_same() {
    let sandbox = Sandbox::new();
    sandbox.log_in("dev");
    let before = exported(&sandbox.run(&["env", "dev"]).stdout, &[]);
    let socket = fs::metadata(sandbox.socket()).unwrap();
    let first = sandbox.agent_pid();
    let second = restart(&sandbox);
    assert_ne!(first, second);
    wait_for_end(first);
    let after = exported(&sandbox.run(&["env", "dev", "--no-prompt"]).stdout, &[]);
    assert_eq!(before, after, "the lease included: no shell has to look");
    assert!(fs::exists(&after["MFA_AGENT_LEASE"]).unwrap());
    assert_eq!(
        fs::metadata(sandbox.socket()).unwrap().ino(),
        socket.ino(),
        "the socket was there all the time"
    );
    let log = sandbox.run(&["agent", "log"]).stdout;
    assert!(log.contains("login to dev: a new session") && log.contains("restart: "), "{log}");
    // The lock is the new one's, and so is the end of all.
    let other = Run::of(&mut sandbox.command(env!("CARGO_BIN_EXE_mfa-agentd"), [""; 0]));
    assert!(other.stderr.contains("running already"), "{other:?}");
    assert_eq!(sandbox.run(&["agent", "stop"]).status, 0);
    assert!(!sandbox.socket().exists() && !fs::exists(&after["MFA_AGENT_LEASE"]).unwrap());
    wait_for_end(second);
}

#[test]
fn with_nothing_to_lose_it_begins_in_this_shell() {
    let mut sandbox = Sandbox::new();
    assert_eq!(sandbox.run(&["agent", "start"]).status, 0);
    let first = sandbox.agent_pid();
    sandbox.set("NO_PROXY", "example.com");
    assert_eq!(sandbox.run(&["agent", "restart"]).status, 0);
    assert_ne!(sandbox.agent_pid(), first);
    let Reply::Status(status) = sandbox.ask(Request::Status) else { panic!() };
    assert_eq!(status.environment["NO_PROXY"], "example.com");
}

#[test]
fn a_used_code_is_known_and_a_lock_stays_closed() {
    let sandbox = Sandbox::new();
    let code = sandbox.code();
    assert_eq!(sandbox.run(&["login", "dev", "--code", &code]).status, 0);
    restart(&sandbox);
    let run = sandbox.run(&["login", "dev", "--force", "--code", &code]);
    assert!(run.stderr.contains("used already") || run.stderr.contains("valid for"), "{run:?}");
    assert_eq!(sandbox.simulator.calls_of("GetSessionToken").len(), 1, "AWS does not see it again");
    assert_eq!(sandbox.run(&["lock"]).status, 0);
    restart(&sandbox);
    assert_eq!(sandbox.run(&["env", "dev"]).status, 6);
    assert_eq!(sandbox.run(&["unlock", "--code", &sandbox.code()]).status, 0);
    assert_eq!(sandbox.run(&["env", "dev", "--no-prompt"]).status, 0);
}

#[test]
fn clients_in_a_loop_see_nothing_of_it() {
    let sandbox = Sandbox::new();
    sandbox.log_in("dev");
    let expected = exported(&sandbox.run(&["env", "dev"]).stdout, &[]);
    let restarts = std::env::var("RESTARTS").map_or(20, |number| number.parse().unwrap());
    let over = AtomicBool::new(false);
    let asked = AtomicUsize::new(0);
    thread::scope(|scope| {
        let clients: Vec<_> = (0..64)
            .map(|_| {
                scope.spawn(|| {
                    while !over.load(Ordering::Relaxed) {
                        let run = sandbox.run(&["env", "dev", "--no-prompt"]);
                        assert_eq!(run.status, 0, "{run:?}");
                        assert!(run.stdout.contains(&expected["AWS_ACCESS_KEY_ID"]), "{run:?}");
                        asked.fetch_add(1, Ordering::Relaxed);
                    }
                })
            })
            .collect();
        let mut pids = BTreeSet::new();
        for _ in 0..restarts {
            let before = asked.load(Ordering::Relaxed);
            pids.insert(restart(&sandbox));
            // A restart that comes before the last one was used shows nothing.
            wait_until("clients are answered", || {
                asked.load(Ordering::Relaxed) > before + 64
                    || clients.iter().any(thread::ScopedJoinHandle::is_finished)
            });
        }
        over.store(true, Ordering::Relaxed);
        assert_eq!(pids.len(), restarts);
    });
    let after = exported(&sandbox.run(&["env", "dev", "--no-prompt"]).stdout, &[]);
    assert_eq!(after, expected);
    assert_eq!(sandbox.simulator.calls_of("GetSessionToken").len(), 1);
}

#[test]
fn who_has_said_nothing_yet_is_answered_by_the_next() {
    use std::io::{BufRead, BufReader, Write};
    let sandbox = Sandbox::new();
    sandbox.log_in("dev");
    let mut silent = std::os::unix::net::UnixStream::connect(sandbox.socket()).unwrap();
    let first = sandbox.agent_pid();
    let second = restart(&sandbox);
    wait_for_end(first);
    silent.write_all(b"{\"protocol\":1,\"request\":\"status\"}\n").unwrap();
    let mut line = String::new();
    BufReader::new(silent).read_line(&mut line).unwrap();
    assert!(line.contains(&format!("\"pid\":{second}")), "{line}");
}

#[test]
fn live_access_goes_on_where_it_was() {
    use std::io::{Read, Write};
    let sandbox = Sandbox::new();
    sandbox.log_in("dev");
    let before = exported(&sandbox.run(&["env", "dev", "--live"]).stdout, &[]);
    restart(&sandbox);
    let after = exported(&sandbox.run(&["env", "dev", "--live"]).stdout, &[]);
    assert_eq!(before, after);
    let uri = after["AWS_CONTAINER_CREDENTIALS_FULL_URI"].strip_prefix("http://").unwrap();
    let (host, path) = uri.split_once('/').unwrap();
    let mut stream = std::net::TcpStream::connect(host).unwrap();
    let token = &after["AWS_CONTAINER_AUTHORIZATION_TOKEN"];
    write!(
        stream,
        "GET /{path} HTTP/1.1\r\nHost: {host}\r\nAuthorization: {token}\r\nConnection: close\r\n\r\n"
    )
    .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200") && answer.contains("SecretAccessKey"), "{answer}");
}

#[test]
fn an_open_question_stays_open_and_who_waits_goes_on_waiting() {
    let sandbox = Sandbox::new();
    sandbox.log_in("dev");
    let bob = sandbox.simulator.user(crate::support::ACCOUNT, "bob");
    let serial = bob.device("bob");
    let append = |file: &str, text: String| {
        let path = sandbox.home().join(file);
        fs::write(&path, fs::read_to_string(&path).unwrap() + &text).unwrap();
    };
    append(".aws/credentials", format!("[bob]\n{}", crate::support::key_of(&bob)));
    append(".aws/config", format!("[profile bob]\nmfa_serial = {serial}\n"));
    let asked = sandbox.terminal(&["env", "bob"]);
    asked.wait_for("MFA code for bob");
    let waiting =
        sandbox.client(["env", "bob"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let two_wait = || matches!(sandbox.ask(Request::Status), Reply::Status(status) if status.waiting == 2);
    wait_until("both wait", two_wait);
    restart(&sandbox);
    wait_until("both wait again", two_wait);
    asked.type_in(&sandbox.simulator.unused_code(&serial).unwrap());
    let asked = asked.finish();
    assert_eq!(asked.status, 0, "{asked:?}");
    let waiting: Run = waiting.wait_with_output().unwrap().into();
    assert_eq!(waiting.status, 0, "{waiting:?}");
}

#[test]
fn a_login_under_way_is_waited_for() {
    let sandbox = Sandbox::new();
    sandbox.log_in("dev");
    let hold = sandbox.simulator.hold("GetSessionToken");
    let code = sandbox.code();
    let login =
        sandbox.client(["login", "dev", "--force", "--code", &code]).stderr(Stdio::piped()).spawn().unwrap();
    assert!(sandbox.simulator.wait_for_calls("GetSessionToken", 2, std::time::Duration::from_secs(20)));
    let restarting = sandbox.client(["agent", "restart"]).stderr(Stdio::piped()).spawn().unwrap();
    // Others are served meanwhile, by the old one.
    let old = sandbox.agent_pid();
    assert_eq!(sandbox.run(&["env", "dev", "--no-prompt"]).status, 0);
    hold.release();
    let login: Run = login.wait_with_output().unwrap().into();
    assert_eq!(login.status, 0, "{login:?}");
    let restarting: Run = restarting.wait_with_output().unwrap().into();
    assert_eq!(restarting.status, 0, "{restarting:?}");
    assert_ne!(sandbox.agent_pid(), old);
    assert_eq!(sandbox.run(&["env", "dev", "--no-prompt"]).status, 0);
}

#[test]
fn a_program_that_does_not_start_leaves_all_as_it_was() {
    let sandbox = Sandbox::new();
    let folder = sandbox.home().join("bin");
    let client = install(&folder);
    let agent = folder.join("mfa-agentd");
    let run = |arguments: &[&str]| Run::of(&mut sandbox.command(&client, arguments));
    assert_eq!(run(&["login", "dev", "--code", &sandbox.code()]).status, 0);
    let pid = sandbox.agent_pid();
    for broken in ["#!/bin/false\n", "no program\n"] {
        fs::remove_file(&agent).unwrap();
        fs::write(&agent, broken).unwrap();
        fs::set_permissions(&agent, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        let failed = run(&["agent", "restart"]);
        assert_eq!(failed.status, 6, "{failed:?}");
        assert!(failed.stderr.contains("goes on as it is"), "{failed:?}");
        assert_eq!(sandbox.agent_pid(), pid);
        assert_eq!(run(&["env", "dev", "--no-prompt"]).status, 0);
    }
    // An upgrade by package: another file under the same name.
    fs::remove_file(&agent).unwrap();
    fs::copy(env!("CARGO_BIN_EXE_mfa-agentd"), &agent).unwrap();
    assert_eq!(run(&["agent", "restart"]).status, 0);
    assert_ne!(sandbox.agent_pid(), pid);
    assert_eq!(run(&["env", "dev", "--no-prompt"]).status, 0);
}

#[test]
fn what_is_handed_over_is_in_no_file_and_stays_nowhere() {
    let sandbox = Sandbox::new();
    sandbox.log_in("dev");
    let variables = exported(&sandbox.run(&["env", "dev"]).stdout, &[]);
    let trace = sandbox.home().join("trace");
    let pid = sandbox.agent_pid().to_string();
    let trace_arguments = [
        "-f",
        "-p",
        &pid,
        "-s",
        "65536",
        "-e",
        "trace=write,memfd_create,openat",
        "-o",
        trace.to_str().unwrap(),
    ];
    let mut strace = sandbox.command(tool("strace"), trace_arguments).stderr(Stdio::null()).spawn().unwrap();
    wait_until("it is traced", || {
        fs::read_to_string(format!("/proc/{pid}/status"))
            .is_ok_and(|status| !status.contains("TracerPid:\t0"))
    });
    let new = restart(&sandbox);
    assert_eq!(sandbox.run(&["agent", "stop"]).status, 0);
    wait_for_end(new);
    strace.wait().unwrap();
    let traced = fs::read_to_string(&trace).unwrap();
    assert!(traced.contains("memfd_create") && traced.contains("arn:aws:iam::111122223333:mfa/alice"));
    for secret in ["AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"] {
        assert!(!traced.contains(&variables[secret]), "{secret} crosses in the clear");
    }
}
