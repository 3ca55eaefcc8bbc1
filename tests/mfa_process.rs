//! Codes from a profile's `mfa_process`.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::Stdio;

use aws_simulator::Role;

use crate::support::{ACCOUNT, Run, Sandbox, memory_holds, tool};

/// A machine where profile `dev` has this `mfa_process`.
fn sandbox(command: &str) -> Sandbox {
    let sandbox = Sandbox::new();
    configure(&sandbox, command);
    sandbox
}

fn configure(sandbox: &Sandbox, command: &str) {
    let serial = &sandbox.serial;
    sandbox.write(".aws/config", &format!("[profile dev]\nmfa_serial = {serial}\nmfa_process = {command}\n"));
}

/// Lets `cat "$HOME/code"` print a code that AWS will take.
fn provide_code(sandbox: &Sandbox) -> String {
    let code = sandbox.code();
    sandbox.write("code", &format!("  {code}\n"));
    code
}

/// A pipe in the home: the command waits until the test writes to it.
fn pipe(sandbox: &Sandbox, name: &str) -> PathBuf {
    let path = sandbox.home().join(name);
    assert_eq!(Run::of(&mut sandbox.command(tool("mkfifo"), [&path])).status, 0);
    path
}

fn calls(sandbox: &Sandbox) -> usize {
    sandbox.simulator.calls_of("GetSessionToken").len()
}

#[test]
fn no_person_is_needed() {
    let sandbox = sandbox(r#"cat "$HOME/code""#);
    provide_code(&sandbox);
    let run = sandbox.run(&["env", "dev"]);
    assert_eq!(run.status, 0, "{run:?}");
    assert!(run.stdout.contains("AWS_SESSION_TOKEN"));
    let log = sandbox.run(&["agent", "log"]);
    assert!(log.stdout.contains("mfa_process of dev: a new session"), "{log:?}");
}

#[test]
fn fifty_clients_are_one_run_and_one_call() {
    let sandbox = sandbox(r#"echo >> "$HOME/runs"; cat "$HOME/codes""#);
    let codes = pipe(&sandbox, "codes");
    let clients: Vec<_> = (0..50)
        .map(|_| {
            let mut client = sandbox.client(["env", "dev"]);
            client.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
        })
        .collect();
    sandbox.wait_for_line(clients.len());
    fs::write(codes, sandbox.code()).unwrap();
    let mut answers: Vec<_> =
        clients.into_iter().map(|client| Run::from(client.wait_with_output().unwrap())).collect();
    answers.dedup_by(|one, other| (one.status, &one.stdout) == (other.status, &other.stdout));
    assert_eq!((answers.len(), answers[0].status), (1, 0), "{answers:?}");
    assert_eq!(fs::read_to_string(sandbox.home().join("runs")).unwrap(), "\n");
    assert_eq!(calls(&sandbox), 1);
}

#[test]
fn a_code_that_was_given_goes_before_and_no_prompt_means_no_command() {
    let sandbox = sandbox(r#"touch "$HOME/ran""#);
    assert_eq!(sandbox.run(&["env", "dev", "--no-prompt"]).status, 3);
    sandbox.log_in("dev");
    assert!(!sandbox.home().join("ran").exists());
}

#[test]
fn a_role_inherits_it_from_its_source_and_may_have_its_own() {
    let sandbox = sandbox(r#"cat "$HOME/code""#);
    let arn = sandbox.simulator.role(Role::new(ACCOUNT, "ops"));
    let config = fs::read_to_string(sandbox.home().join(".aws/config")).unwrap();
    let roles = format!(
        "{config}[profile ops]\nsource_profile = dev\nrole_arn = {arn}\n\
         [profile own]\nsource_profile = dev\nrole_arn = {arn}\nmfa_process = echo 1\n",
    );
    sandbox.write(".aws/config", &roles);
    let run = sandbox.run(&["env", "own"]);
    assert!(run.stderr.contains("mfa_process of own (echo) printed no six-digit code"), "{run:?}");
    provide_code(&sandbox);
    let run = sandbox.run(&["login", "ops", "--duration", "1h"]);
    assert_eq!(run.status, 0, "{run:?}");
    assert!(run.stderr.contains("valid for 1h"), "{run:?}");
}

#[test]
fn the_command_gets_three_streams_and_a_chosen_environment() {
    let mut sandbox = sandbox(
        r#"ls -l /proc/self/fd | cat > "$HOME/files"; env > "$HOME/environment"; ps -o pgid= -p $$ > "$HOME/group"; echo $$ >> "$HOME/group"; ulimit -n > "$HOME/limit"; cat "$HOME/code""#,
    );
    provide_code(&sandbox);
    for (name, value) in [
        ("AWS_SECRET_ACCESS_KEY", "needle"),
        ("AWS_SESSION_TOKEN", "needle"),
        ("LD_LIBRARY_PATH", "/needle"),
        ("LOG_SENSITIVE_BODIES", "needle"),
        ("BASH_ENV", "/needle"),
        ("WAYLAND_DISPLAY", "wayland-7"),
    ] {
        sandbox.set(name, value);
    }
    // The agent raises its own limit of open files; its children are as who started it.
    let client = env!("CARGO_BIN_EXE_mfa-agent");
    let mut shell =
        sandbox.command(tool("bash"), ["-c", "ulimit -Sn 700; exec \"$0\" env dev 5</etc/passwd", client]);
    let run = Run::of(shell.stderr(Stdio::piped()));
    assert_eq!(run.status, 0, "{run:?}");

    let read = |name: &str| fs::read_to_string(sandbox.home().join(name)).unwrap();
    let files: Vec<_> = read("files")
        .lines()
        // The folder that `ls` reads.
        .filter(|line| !line.ends_with("/fd"))
        .filter_map(|line| Some(line.split_once(" -> ")?.0.rsplit(' ').next()?.to_owned()))
        .collect();
    assert_eq!(files, ["0", "1", "2"], "{}", read("files"));
    let null = read("files").lines().filter(|line| line.ends_with(" -> /dev/null")).count();
    assert_eq!(null, 2, "stdin and stderr: {}", read("files"));
    let environment = read("environment");
    assert!(!environment.contains("needle"), "{environment}");
    for line in environment.lines() {
        let name = line.split('=').next().unwrap();
        // The last three are the shell's own.
        let known =
            ["PATH", "HOME", "LANG", "XDG_RUNTIME_DIR", "WAYLAND_DISPLAY", "PWD", "OLDPWD", "SHLVL", "_"];
        assert!(known.contains(&name), "{line}");
    }
    assert!(environment.contains("WAYLAND_DISPLAY=wayland-7"));
    let group: Vec<_> = read("group").split_whitespace().map(str::to_owned).collect();
    assert_eq!(group[0], group[1], "a group of its own");
    assert_eq!(read("limit").trim(), "700");
}

#[test]
fn what_goes_wrong_is_told_and_a_script_is_not_kept() {
    let sandbox = Sandbox::new();
    let missing = "/nonexistent/otp --seed SEED";
    for (command, words) in [
        ("sh -c 'exit 3' SEED", "mfa_process of dev (sh) failed with status 3"),
        (missing, "mfa_process of dev (otp) was not found"),
        ("echo hello SEED", "mfa_process of dev (echo) printed no six-digit code"),
        ("printf '12345\\n678'", "mfa_process of dev (printf) printed no six-digit code"),
        ("yes SEED", "mfa_process of dev (yes) printed no six-digit code"),
        ("kill -9 $$", "mfa_process of dev (kill) was ended by a signal"),
    ] {
        configure(&sandbox, command);
        let run = sandbox.run(&["env", "dev"]);
        assert_eq!((run.status, run.stdout.as_str()), (3, "false\n"), "{command}: {run:?}");
        assert!(run.stderr.contains(words), "{command}: {run:?}");
        assert!(!run.hint().is_empty() && !run.stderr.contains("SEED"), "{run:?}");
        // Each command is a first one.
        sandbox.run(&["agent", "stop"]);
    }
    assert_eq!(calls(&sandbox), 0);
}

#[test]
fn a_person_is_asked_where_it_fails() {
    let sandbox = sandbox("exit 4");
    let terminal = sandbox.terminal(&["env", "dev"]);
    terminal.wait_for("MFA code for dev");
    assert!(terminal.shows("mfa_process of dev (exit) failed with status 4"));
    terminal.type_in(&sandbox.code());
    let run = terminal.finish();
    assert_eq!(run.status, 0, "{run:?}");
}

#[test]
fn a_wrong_code_is_not_tried_in_a_loop() {
    let sandbox = sandbox(r#"echo >> "$HOME/runs"; echo 000000"#);
    for _ in 0..3 {
        let run = sandbox.run(&["env", "dev"]);
        assert_eq!(run.status, 3, "{run:?}");
        assert!(run.stderr.contains("AWS did not accept the code of mfa_process of dev"), "{run:?}");
    }
    assert_eq!(calls(&sandbox), 1, "who has no terminal gets what the first one got");
    assert_eq!(fs::read_to_string(sandbox.home().join("runs")).unwrap(), "\n");
    // A person who comes may have mended it.
    let terminal = sandbox.terminal(&["env", "dev"]);
    terminal.wait_for("MFA code for dev");
    assert_eq!(calls(&sandbox), 2);
    terminal.type_in(&sandbox.code());
    assert_eq!(terminal.finish().status, 0);
}

#[test]
fn after_a_used_code_the_next_one_is_waited_for() {
    let sandbox = sandbox(r#"cat "$HOME/code"; cp "$HOME/next" "$HOME/code"; echo >> "$HOME/runs""#);
    // AWS's clock stands near the end of a half minute, so that the next code is near.
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    sandbox.simulator.set_offset(24 - i64::try_from(now % 30).unwrap());
    let first = provide_code(&sandbox);
    sandbox.write("next", &first);
    assert_eq!(sandbox.run(&["login", "dev"]).status, 0);
    let second = sandbox.code();
    sandbox.write("next", &second);
    let run = sandbox.run(&["login", "dev", "--force"]);
    assert_eq!(run.status, 0, "{run:?}");
    assert_eq!(fs::read_to_string(sandbox.home().join("runs")).unwrap().len(), 3);
    assert_eq!(calls(&sandbox), 2);
}

#[test]
fn a_file_that_others_can_write_runs_nothing() {
    let sandbox = sandbox(r#"touch "$HOME/ran"; cat "$HOME/code""#);
    provide_code(&sandbox);
    let mut file = sandbox.home();
    for name in [".aws/config", ".aws/credentials"] {
        file = sandbox.home().join(name);
        fs::set_permissions(&file, fs::Permissions::from_mode(0o666)).unwrap();
        let run = sandbox.run(&["env", "dev"]);
        assert_eq!(run.status, 3, "{run:?}");
        assert!(run.stderr.contains("is not run: others can write to"), "{run:?}");
        assert_eq!(run.hint(), format!("chmod go-w {}", file.display()));
        fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
        sandbox.run(&["agent", "stop"]);
    }
    if rustix::process::geteuid().is_root() {
        std::os::unix::fs::chown(&file, Some(65_534), None).unwrap();
        assert!(sandbox.run(&["env", "dev"]).stderr.contains("is not run"));
        std::os::unix::fs::chown(&file, Some(0), None).unwrap();
        sandbox.run(&["agent", "stop"]);
    }
    assert!(!sandbox.home().join("ran").exists());
    assert_eq!(sandbox.run(&["env", "dev"]).status, 0);
}

#[test]
fn the_command_is_ended_with_the_last_who_waits() {
    let sandbox = sandbox(r#"echo $$ > "$HOME/pids"; sleep 1000 & echo $! > "$HOME/pids"; wait"#);
    let pids = pipe(&sandbox, "pids");
    let mut client = sandbox.client(["env", "dev"]).stdout(Stdio::null()).spawn().unwrap();
    let mut running: Vec<i32> = Vec::new();
    while running.len() < 2 {
        // One line or both: whoever opens a pipe in time is heard.
        let said = fs::read_to_string(&pids).unwrap();
        running.extend(said.lines().map(|pid| pid.parse::<i32>().unwrap()));
    }
    client.kill().unwrap();
    client.wait().unwrap();
    for pid in running {
        crate::lifecycle::wait_for_end(pid);
    }
    sandbox.log_in("dev");
}

#[test]
fn a_command_that_outlives_the_agent_keeps_nothing_of_it() {
    let sandbox = sandbox(r#"echo $$ > "$HOME/pids"; exec sleep 1000"#);
    let pids = pipe(&sandbox, "pids");
    let client = sandbox.client(["env", "dev"]).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let command: i32 = fs::read_to_string(&pids).unwrap().trim().parse().unwrap();
    sandbox.kill_agent();
    assert_eq!(Run::from(client.wait_with_output().unwrap()).stdout, "false\n");
    assert!(fs::exists(format!("/proc/{command}")).unwrap(), "nobody was there to end it");
    // Neither the lock nor the socket is held by what is left.
    sandbox.log_in("dev");
    let command = rustix::process::Pid::from_raw(command).unwrap();
    rustix::process::kill_process(command, rustix::process::Signal::KILL).unwrap();
}

#[test]
fn nothing_of_it_stays_in_memory() {
    let sandbox = sandbox(r#": SEED5EED5EED; cat "$HOME/code""#);
    let code = provide_code(&sandbox);
    assert_eq!(sandbox.run(&["env", "dev"]).status, 0);
    if !rustix::process::geteuid().is_root() {
        // Only root can look into the agent's memory; the run in CI does.
        assert!(std::env::var_os("CI").is_none(), "CI runs these tests as root");
        return;
    }
    let pid = sandbox.agent_pid();
    assert!(memory_holds(pid, b"arn:aws:iam::111122223333:mfa/alice"), "the search finds what is there");
    assert!(!memory_holds(pid, b"SEED5EED5EED"), "the command");
    assert!(!memory_holds(pid, format!("  {code}\n").as_bytes()), "what it printed");
    assert!(!memory_holds(pid, format!("TokenCode={code}").as_bytes()), "what was sent");
    // The device takes each code once: it is remembered, by itself, for a minute and a half.
}
