//! The agent's life: one per user, started when needed, independent of who started it.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::fs;
use std::os::unix::fs::DirBuilderExt;
use std::process::Stdio;

use protocol::{Reply, Request};

use crate::support::{ACCOUNT, Run, Sandbox, Terminal, exported, key_of, tool, wait_until};

#[test]
fn it_starts_on_first_need_and_stops_when_told() {
    let sandbox = Sandbox::new();
    assert_eq!(sandbox.run(&["agent", "status"]).status, 6);
    assert_eq!(sandbox.run(&["status"]).status, 6);
    assert!(!sandbox.socket().exists(), "who only looks starts nothing");
    assert_eq!(sandbox.run(&["env", "dev", "--no-prompt"]).status, 3);
    assert_eq!(sandbox.run(&["agent", "status"]).status, 0);
    assert_eq!(sandbox.run(&["agent", "start"]).status, 0);
    let pid = sandbox.agent_pid();
    assert_eq!(sandbox.run(&["agent", "stop"]).status, 0);
    assert_eq!(sandbox.run(&["agent", "stop"]).status, 0);
    assert!(!sandbox.socket().exists());
    wait_for_end(pid);
}

#[test]
fn many_starts_at_once_are_one_agent() {
    let sandbox = Sandbox::new();
    let clients: Vec<_> = (0..20)
        .map(|_| {
            sandbox.client(["agent", "start"]).stderr(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap()
        })
        .collect();
    for client in clients {
        let run: Run = client.wait_with_output().unwrap().into();
        assert_eq!(run.status, 0, "{run:?}");
    }
    let pids: BTreeSet<_> = (0..20).map(|_| sandbox.agent_pid()).collect();
    assert_eq!(pids.len(), 1);
}

#[test]
fn a_second_agent_leaves_the_first_alone() {
    let sandbox = Sandbox::new();
    sandbox.log_in("dev");
    let pid = sandbox.agent_pid();
    let second = Run::of(&mut sandbox.command(env!("CARGO_BIN_EXE_mfa-agentd"), [""; 0]));
    assert_eq!(second.status, 6, "{second:?}");
    assert!(second.stderr.contains("running already"), "{second:?}");
    assert_eq!(sandbox.agent_pid(), pid);
    assert_eq!(sandbox.run(&["env", "dev", "--no-prompt"]).status, 0);
}

#[test]
fn it_survives_the_terminal_and_holds_nothing_of_its_starter() {
    let sandbox = Sandbox::new();
    // A descriptor that a careless starter left open, as shells do.
    let script = format!(
        "exec 9>&1 8</dev/null; {} agent start; echo started; read -r end",
        env!("CARGO_BIN_EXE_mfa-agent")
    );
    let mut terminal = Terminal::run(&sandbox, "/bin/sh", ["-c", &format!("{{ {script}; }} >/dev/tty")]);
    terminal.wait_for("started");
    let pid = sandbox.agent_pid();
    // The terminal goes with everything in it.
    terminal.kill();
    drop(terminal);
    assert_eq!(sandbox.agent_pid(), pid);
    if let Ok(entries) = fs::read_dir(format!("/proc/{pid}/fd")) {
        for entry in entries.flatten() {
            let target = fs::read_link(entry.path()).unwrap_or_default();
            let target = target.to_string_lossy().into_owned();
            assert!(!target.contains("/dev/pts") && !target.starts_with("pipe:"), "{target}");
        }
        assert_eq!(fs::read_link(format!("/proc/{pid}/cwd")).unwrap().to_str(), Some("/"));
    }
    assert_eq!(stat_field(pid, 7), "0", "no controlling terminal");
}

#[test]
fn a_shell_that_captures_output_is_not_kept_waiting() {
    let sandbox = Sandbox::new();
    // The substitution ends when the last writer of its pipe is gone: the agent must not be one.
    let script = format!(
        "out=$({0} agent start 2>&1); out=$({0} env dev --no-prompt 2>&1 | cat); echo done",
        env!("CARGO_BIN_EXE_mfa-agent")
    );
    let run = Run::of(&mut sandbox.command(tool("timeout"), ["20", "sh", "-c", &script]));
    assert_eq!((run.status, run.stdout.as_str()), (0, "done\n"));
}

#[test]
fn a_killed_agent_leaves_nothing_in_the_way() {
    let sandbox = Sandbox::new();
    sandbox.log_in("dev");
    let lease =
        crate::support::exported(&sandbox.run(&["env", "dev"]).stdout, &[])["MFA_AGENT_LEASE"].clone();
    sandbox.kill_agent();
    assert!(sandbox.socket().exists() && fs::exists(&lease).unwrap());
    let run = sandbox.run(&["env", "dev", "--no-prompt"]);
    assert_eq!(run.status, 3, "{run:?}");
    assert!(!fs::exists(&lease).unwrap(), "the next agent clears strays");
}

#[test]
fn a_termination_signal_is_a_clean_end() {
    let sandbox = Sandbox::new();
    sandbox.log_in("dev");
    let lease =
        crate::support::exported(&sandbox.run(&["env", "dev"]).stdout, &[])["MFA_AGENT_LEASE"].clone();
    let pid = sandbox.agent_pid();
    sandbox.signal_agent(rustix::process::Signal::HUP);
    assert_eq!(sandbox.agent_pid(), pid, "a hang-up is no reason");
    sandbox.signal_agent(rustix::process::Signal::TERM);
    wait_for_end(pid);
    assert!(!sandbox.socket().exists() && !fs::exists(&lease).unwrap());
}

#[test]
fn one_who_hangs_while_starting_it_holds_up_nobody_for_ever() {
    let sandbox = Sandbox::new();
    fs::DirBuilder::new().mode(0o700).create(sandbox.runtime()).unwrap();
    let hangs = fs::File::create(sandbox.runtime().join("start.lock")).unwrap();
    hangs.lock().unwrap();
    let clients: Vec<_> =
        (0..4).map(|_| sandbox.client(["agent", "start"]).stderr(Stdio::piped()).spawn().unwrap()).collect();
    for client in clients {
        let run: Run = client.wait_with_output().unwrap().into();
        assert_eq!(run.status, 0, "{run:?}");
    }
    assert_eq!(sandbox.run(&["env", "dev", "--no-prompt"]).status, 3);
    drop(hangs);
}

#[test]
fn a_session_that_nobody_uses_is_forgotten_where_the_person_wants_it() {
    let sandbox = Sandbox::new();
    sandbox.write(".config/mfa-agent/config.toml", "[profile.dev]\nforget_unused = '1s'\n");
    sandbox.log_in("dev");
    // Nobody asks meanwhile: the agent does it by itself.
    let lease = sandbox.run(&["env", "dev"]).stdout;
    let lease = exported(&lease, &[]).remove("MFA_AGENT_LEASE").unwrap();
    wait_until("shells are told", || !fs::exists(&lease).unwrap());
    let run = sandbox.run(&["env", "dev", "--no-prompt"]);
    assert_eq!(run.status, 3, "{run:?}");
    let log = sandbox.run(&["agent", "log"]).stdout;
    assert!(log.contains("dev: forgotten, since it was not used"), "{log}");
}

#[test]
fn a_hang_up_has_the_files_read_anew() {
    let sandbox = Sandbox::new();
    sandbox.log_in("dev");
    let pid = sandbox.agent_pid();
    sandbox.signal_agent(rustix::process::Signal::HUP);
    wait_until("it is noted", || {
        sandbox.run(&["agent", "log"]).stdout.contains("SIGHUP: the files are read anew")
    });
    assert_eq!(sandbox.agent_pid(), pid);
    assert_eq!(sandbox.run(&["env", "dev", "--no-prompt"]).status, 0, "what is held stays");
}

#[test]
fn it_ends_at_once_though_aws_does_not_answer() {
    let sandbox = Sandbox::new();
    let hold = sandbox.simulator.hold("GetSessionToken");
    let client = sandbox.client(["login", "dev", "--code", "000001"]).stderr(Stdio::piped()).spawn().unwrap();
    assert!(sandbox.simulator.wait_for_calls("GetSessionToken", 1, std::time::Duration::from_secs(20)));
    sandbox.signal_agent(rustix::process::Signal::PIPE);
    let pid = sandbox.agent_pid();
    let start = std::time::Instant::now();
    signal(pid, rustix::process::Signal::TERM);
    wait_for_end(pid);
    // Well before AWS's fifteen seconds are over.
    assert!(start.elapsed().as_secs() < 8);
    assert_eq!(Run::from(client.wait_with_output().unwrap()).status, 6);
    drop(hold);
}

#[test]
fn it_takes_only_its_own_socket_away() {
    let sandbox = Sandbox::new();
    assert_eq!(sandbox.run(&["agent", "start"]).status, 0);
    let pid = sandbox.agent_pid();
    let elsewhere = sandbox.runtime().join("other");
    let other = std::os::unix::net::UnixListener::bind(&elsewhere).unwrap();
    fs::rename(&elsewhere, sandbox.socket()).unwrap();
    signal(pid, rustix::process::Signal::TERM);
    wait_for_end(pid);
    assert!(sandbox.socket().exists());
    drop(other);
    fs::remove_file(sandbox.socket()).unwrap();
}

#[test]
fn a_socket_that_was_removed_is_made_again_and_no_session_is_lost() {
    let sandbox = Sandbox::new();
    sandbox.log_in("dev");
    let pid = sandbox.agent_pid();
    for _ in 0..3 {
        fs::remove_file(sandbox.socket()).unwrap();
        // Its file is there a moment before it takes connections.
        wait_until("it is made again", || std::os::unix::net::UnixStream::connect(sandbox.socket()).is_ok());
    }
    assert_eq!(sandbox.agent_pid(), pid);
    assert_eq!(sandbox.run(&["env", "dev", "--no-prompt"]).status, 0);
}

#[test]
fn when_its_folder_goes_the_agent_goes() {
    let sandbox = Sandbox::new();
    sandbox.log_in("dev");
    let pid = sandbox.agent_pid();
    // At once, as an unmount does it; of a slow removal the agent may see the socket go first.
    fs::rename(sandbox.runtime(), sandbox.home().join("gone")).unwrap();
    wait_for_end(pid);
    assert_eq!(sandbox.run(&["env", "dev", "--no-prompt"]).status, 3, "the next one starts as always");
}

#[test]
fn in_the_foreground_it_is_a_child_like_any_other() {
    let sandbox = Sandbox::new();
    let mut agent = sandbox.client(["agent", "run"]).spawn().unwrap();
    wait_until("the agent listens", || sandbox.socket().exists());
    assert_eq!(sandbox.agent_pid(), i32::try_from(agent.id()).unwrap());
    assert_eq!(sandbox.run(&["agent", "stop"]).status, 0);
    assert!(agent.wait().unwrap().success());
}

#[test]
fn with_a_socket_named_nothing_is_started_unasked() {
    let mut sandbox = Sandbox::new();
    fs::create_dir(sandbox.runtime()).unwrap();
    fs::set_permissions(sandbox.runtime(), std::os::unix::fs::PermissionsExt::from_mode(0o700)).unwrap();
    sandbox.set("MFA_AGENT_SOCK", sandbox.runtime().join("forwarded"));
    let run = sandbox.run(&["env", "dev", "--no-prompt"]);
    assert_eq!(run.status, 6, "{run:?}");
    assert!(run.stderr.contains("forwarded"), "{run:?}");
    assert_eq!(sandbox.run(&["agent", "start"]).status, 0);
    assert_eq!(sandbox.run(&["env", "dev", "--no-prompt"]).status, 3);
}

#[test]
fn at_rest_with_three_sessions_it_makes_no_system_call() {
    let sandbox = Sandbox::new();
    let mut credentials = format!("[dev]\n{}", key_of(&sandbox.alice));
    let users = ["bob", "carol"].map(|name| {
        let user = sandbox.simulator.user(ACCOUNT, name);
        let serial = user.device(name);
        write!(credentials, "[{name}]\n{}mfa_serial = {serial}\n", key_of(&user)).unwrap();
        (name, serial)
    });
    sandbox.write(".aws/credentials", &credentials);
    let trace = sandbox.home().join("trace");
    let arguments = ["-f", "-ttt", "-o", trace.to_str().unwrap(), env!("CARGO_BIN_EXE_mfa-agentd")];
    let mut traced = sandbox.command(tool("strace"), arguments).spawn().unwrap();
    wait_until("the agent listens", || sandbox.socket().exists());
    sandbox.log_in("dev");
    assert_eq!(sandbox.run(&["env", "dev"]).status, 0);
    for (name, serial) in &users {
        let code = sandbox.simulator.unused_code(serial).unwrap();
        assert_eq!(sandbox.run(&["login", name, "--code", &code]).status, 0);
    }
    // The kept connection to AWS and the thread for names have their ends; what comes after is rest.
    let length = || fs::metadata(&trace).unwrap().len();
    let settled = quiet_for(&length, std::time::Duration::from_secs(4), std::time::Duration::from_mins(2));
    assert!(settled, "it never came to rest");
    let before = length();
    std::thread::sleep(std::time::Duration::from_secs(30));
    assert_eq!(
        length(),
        before,
        "{}",
        fs::read_to_string(&trace).unwrap().lines().last().unwrap_or_default()
    );
    assert_eq!(sandbox.run(&["agent", "stop"]).status, 0);
    traced.wait().unwrap();
}

/// Waits until a number stays as it is for a while; false where it never does.
fn quiet_for(number: &dyn Fn() -> u64, quiet: std::time::Duration, patience: std::time::Duration) -> bool {
    let start = std::time::Instant::now();
    while start.elapsed() < patience {
        let before = number();
        std::thread::sleep(quiet);
        if number() == before {
            return true;
        }
    }
    false
}

#[test]
fn what_it_runs_with_is_shown_and_nothing_else_leaks_in() {
    let mut sandbox = Sandbox::new();
    sandbox.set("AWS_REGION", "ap-south-1");
    sandbox.set("HTTPS_PROXY", "http://alice:needle@127.0.0.1:9");
    sandbox.set("NO_PROXY", "127.0.0.1");
    assert_eq!(sandbox.run(&["agent", "start"]).status, 0);
    let Reply::Status(status) = sandbox.ask(Request::Status) else { panic!() };
    let names: Vec<_> = status.environment.keys().map(String::as_str).collect();
    assert_eq!(names, ["AWS_ENDPOINT_URL", "HTTPS_PROXY", "NO_PROXY"]);
    assert!(!format!("{status:?}").contains("needle"));
}

#[test]
fn the_log_says_who_asked_for_what_by_the_kernels_word() {
    let sandbox = Sandbox::new();
    sandbox.log_in("dev");
    let program = sandbox.home().join("somebody");
    fs::copy(env!("CARGO_BIN_EXE_mfa-agent"), &program).unwrap();
    let client = sandbox.command(&program, ["env", "dev"]).stdout(Stdio::null()).spawn().unwrap();
    let pid = client.id();
    assert!(client.wait_with_output().unwrap().status.success());
    let log = sandbox.run(&["agent", "log"]).stdout;
    assert!(log.contains(&format!("somebody[{pid}]: credentials of dev: done")), "{log}");
}

pub fn wait_for_end(pid: i32) {
    // A zombie has ended too: its parent may be this very test.
    wait_until("it ends", || !fs::exists(format!("/proc/{pid}")).unwrap() || stat_field(pid, 3) == "Z");
}

fn signal(pid: i32, signal: rustix::process::Signal) {
    rustix::process::kill_process(rustix::process::Pid::from_raw(pid).unwrap(), signal).unwrap();
}

/// A field of `/proc/PID/stat`, counted from 1 as in proc(5).
fn stat_field(pid: i32, number: usize) -> String {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let rest = stat.rsplit(") ").next().unwrap_or_default();
    rest.split(' ').nth(number - 3).unwrap_or("Z").to_owned()
}

#[test]
fn the_status_can_be_watched() {
    let sandbox = Sandbox::new();
    let client = env!("CARGO_BIN_EXE_mfa-agent");
    let terminal = Terminal::run_shown(&sandbox, client, ["status", "--watch"]);
    terminal.wait_for("no agent is running");
    sandbox.log_in("dev");
    // The time that is left, and when a notification says so.
    terminal.wait_for("  in 11h ");
    assert_eq!(sandbox.run(&["logout", "--all"]).status, 0);
    terminal.wait_for("No session is held.");
    terminal.type_in("\u{3}");
    assert_eq!(terminal.finish().status, 130);
}
