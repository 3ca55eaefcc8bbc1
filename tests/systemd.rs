//! Under systemd: its socket, its word when the agent is ready, and a restart that it does not mistake for an end.

use std::fs;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::os::unix::net::{UnixDatagram, UnixListener, UnixStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::support::{Run, Sandbox, UserManager, exported, tool, wait_until};

const AGENT: &str = env!("CARGO_BIN_EXE_mfa-agentd");

/// Only root can start a user manager beside the machine's own; the run in CI does.
fn is_root() -> bool {
    let root = rustix::process::geteuid().is_root();
    assert!(root || std::env::var_os("CI").is_none(), "CI runs these tests as root");
    root
}

fn inode(path: &Path) -> u64 {
    fs::symlink_metadata(path).unwrap().ino()
}

fn is_active(manager: &UserManager, unit: &str) -> bool {
    manager.property(unit, "ActiveState") == "active"
}

/// A user manager that listens for the agent, as docs/systemd.md sets it up.
fn enabled(sandbox: &Sandbox) -> UserManager {
    let manager = UserManager::start(sandbox);
    let run = manager.systemctl(&["enable", "--now", "mfa-agent.socket"]);
    assert_eq!(run.status, 0, "{run:?}");
    assert!(manager.socket().exists() && !is_active(&manager, "mfa-agent.service"));
    manager
}

#[test]
fn the_first_who_asks_starts_it_and_a_restart_loses_nothing() {
    if !is_root() {
        return;
    }
    let sandbox = Sandbox::new();
    let manager = enabled(&sandbox);
    let socket = inode(&manager.socket());
    let login = manager.run(&["login", "dev", "--code", &sandbox.code()]);
    assert_eq!(login.status, 0, "{login:?}");
    let status = manager.run(&["status", "--json"]).stdout;
    assert!(status.contains("\"memory\": \"locked\""), "{status}");
    let pid = manager.property("mfa-agent.service", "MainPID");
    assert!(status.contains(&format!("\"pid\": {pid},")), "the manager's process serves: {status}");
    let before = exported(&manager.run(&["env", "dev"]).stdout, &[]);

    for _ in 0..3 {
        let pid = manager.property("mfa-agent.service", "MainPID");
        let restart = manager.run(&["agent", "restart"]);
        assert!(restart.stderr.contains("runs anew") && restart.status == 0, "{restart:?}");
        let next = manager.property("mfa-agent.service", "MainPID");
        assert!(restart.stderr.contains(&format!("(pid {next})")) && next != pid, "{restart:?}, {next}");
        crate::lifecycle::wait_for_end(pid.parse().unwrap());
    }
    let after = exported(&manager.run(&["env", "dev", "--no-prompt"]).stdout, &[]);
    assert_eq!(before, after);
    assert!(is_active(&manager, "mfa-agent.service"));
    assert_eq!(sandbox.simulator.calls_of("GetSessionToken").len(), 1);

    let stop = manager.run(&["agent", "stop"]);
    assert!(stop.stderr.contains("1 session forgotten; the service manager starts it again"), "{stop:?}");
    wait_until("the service has ended", || {
        manager.property("mfa-agent.service", "ActiveState") == "inactive"
    });
    assert_eq!(manager.property("mfa-agent.service", "Result"), "success");
    assert!(is_active(&manager, "mfa-agent.socket"));
    assert_eq!(inode(&manager.socket()), socket, "it is the same socket all the time");
    assert_eq!(manager.run(&["env", "dev", "--no-prompt"]).status, 3, "another one answers");
    assert!(is_active(&manager, "mfa-agent.service"));

    // With nothing to lose a restart is an end, and the manager begins anew.
    let first = manager.property("mfa-agent.service", "MainPID");
    let restart = manager.run(&["agent", "restart"]);
    assert_eq!(restart.status, 0, "{restart:?}");
    assert_ne!(manager.property("mfa-agent.service", "MainPID"), first);

    // The manager's own words for it.
    assert_eq!(manager.systemctl(&["stop", "mfa-agent.service"]).status, 0);
    assert_eq!(manager.property("mfa-agent.service", "Result"), "success");
    assert_eq!(inode(&manager.socket()), socket);
    assert_eq!(manager.run(&["agent", "start"]).status, 0);
    let pid: i32 = manager.property("mfa-agent.service", "MainPID").parse().unwrap();
    rustix::process::kill_process(
        rustix::process::Pid::from_raw(pid).unwrap(),
        rustix::process::Signal::KILL,
    )
    .unwrap();
    crate::lifecycle::wait_for_end(pid);
    assert_eq!(manager.run(&["env", "dev", "--no-prompt"]).status, 3, "a killed one is in nobody's way");
}

#[test]
fn an_agent_started_by_hand_takes_no_socket_of_systemds() {
    if !is_root() {
        return;
    }
    let sandbox = Sandbox::new();
    let manager = UserManager::start(&sandbox);
    // Before the manager listens it is started as anywhere; the page says to end that one first.
    assert_eq!(manager.run(&["agent", "start"]).status, 0);
    let by_hand = manager.run(&["status", "--json"]).stdout;
    assert_eq!(manager.run(&["agent", "stop"]).status, 0);
    assert_eq!(manager.systemctl(&["enable", "--now", "mfa-agent.socket"]).status, 0);
    let socket = inode(&manager.socket());
    assert_eq!(manager.run(&["env", "dev", "--no-prompt"]).status, 3);
    let pid = manager.property("mfa-agent.service", "MainPID");
    assert!(is_active(&manager, "mfa-agent.service") && !by_hand.contains(&format!("\"pid\": {pid},")));
    for agent in [["mfa-agentd", ""], ["mfa-agent", "agent run"]] {
        let arguments = agent[1].split_ascii_whitespace();
        let run = Run::of(&mut manager.command(manager.folder().join("bin").join(agent[0]), arguments));
        assert_eq!(run.status, 6, "{run:?}");
        assert!(run.stderr.contains("running already"), "{run:?}");
    }
    assert_eq!(manager.run(&["agent", "stop"]).status, 0);
    wait_until("the service has ended", || !is_active(&manager, "mfa-agent.service"));
    assert_eq!(
        (inode(&manager.socket()), manager.property("mfa-agent.service", "Result")),
        (socket, "success".into())
    );
}

#[test]
fn an_mfa_process_and_many_clients_get_along_with_the_hardening() {
    if !is_root() {
        return;
    }
    let sandbox = Sandbox::new();
    let manager = enabled(&sandbox);
    // What a script needs: processes, pipes, files of its own, a name to look up.
    let script = manager.folder().join("home/code");
    fs::write(
        &script,
        format!(
            "#!/bin/sh\nset -e\ngetent hosts localhost >/dev/null\ntouch \"$HOME/used\"\necho {} | /usr/bin/python3 -c 'print(input())' | cat\n",
            sandbox.code()
        ),
    )
    .unwrap();
    fs::set_permissions(&script, PermissionsExt::from_mode(0o755)).unwrap();
    let config = manager.folder().join("home/.aws/config");
    let text = fs::read_to_string(&config).unwrap() + &format!("mfa_process = {}\n", script.display());
    fs::write(&config, text).unwrap();
    let login = manager.run(&["login", "dev"]);
    assert_eq!(login.status, 0, "{login:?}");
    assert!(manager.folder().join("home/used").exists());

    std::thread::scope(|scope| {
        let clients: Vec<_> = (0..16)
            .map(|_| {
                scope.spawn(|| {
                    for _ in 0..20 {
                        let run = manager.run(&["env", "dev", "--no-prompt"]);
                        assert_eq!(run.status, 0, "{run:?}");
                    }
                })
            })
            .collect();
        while !clients.iter().all(std::thread::ScopedJoinHandle::is_finished) {
            let restart = manager.run(&["agent", "restart"]);
            assert_eq!(restart.status, 0, "{restart:?}");
        }
    });
    assert_eq!(sandbox.simulator.calls_of("GetSessionToken").len(), 1);
    assert!(is_active(&manager, "mfa-agent.service"));
}

#[test]
fn what_an_override_takes_back_is_to_be_had() {
    if !is_root() {
        return;
    }
    let sandbox = Sandbox::new();
    let manager = UserManager::start(&sandbox);
    let overrides = manager.folder().join("home/.config/systemd/user/mfa-agent.service.d");
    let agent = manager.folder().join("bin/mfa-agentd");
    let lines = format!("ExecStart=\nExecStart={} --memory memfd-secret\n", agent.display());
    let memory = || {
        assert_eq!(manager.systemctl(&["daemon-reload"]).status, 0);
        assert_eq!(manager.systemctl(&["stop", "mfa-agent.service"]).status, 0);
        assert_eq!(manager.systemctl(&["start", "mfa-agent.socket"]).status, 0);
        manager.run(&["status", "--json"]).stdout
    };
    fs::write(overrides.join("page.conf"), format!("[Service]\n{lines}")).unwrap();
    assert!(memory().contains("\"memory\": \"locked\""), "the filter has no such call");
    let lines = format!("[Service]\n{lines}SystemCallFilter=memfd_secret\n");
    fs::write(overrides.join("page.conf"), lines).unwrap();
    let status = memory();
    let secret = status.contains("\"memory\": \"secret\"");
    assert_eq!(secret, crate::hardening::kernel_has_secret_memory(&sandbox), "{status}");
}

/// The agent behind a socket of systemd's activator, which starts it at the first connection.
struct Activated {
    process: Child,
}

impl Activated {
    fn listening(sandbox: &Sandbox, arguments: &[&str], variables: &[&str]) -> Self {
        fs::DirBuilder::new().mode(0o700).create(sandbox.runtime()).unwrap();
        let mut command = sandbox.command(tool("systemd-socket-activate"), arguments);
        for variable in ["XDG_RUNTIME_DIR", "AWS_ENDPOINT_URL"].iter().chain(variables) {
            command.arg(format!("--setenv={variable}"));
        }
        let process = command.arg(AGENT).stderr(Stdio::piped()).spawn().unwrap();
        let socket = Path::new(arguments[1]);
        wait_until("it listens", || socket.exists());
        // The activator has no SocketMode=.
        fs::set_permissions(socket, PermissionsExt::from_mode(0o600)).unwrap();
        Self { process }
    }

    /// What it says in the end.
    fn last_words(self) -> Run {
        self.process.wait_with_output().unwrap().into()
    }
}

/// What the agent tells its manager, one message a line.
fn told(notifications: &UnixDatagram) -> String {
    let mut message = [0; 256];
    let length = notifications.recv(&mut message).unwrap();
    String::from_utf8_lossy(&message[..length]).into_owned()
}

#[test]
fn its_manager_hears_when_it_is_ready_when_another_goes_on_and_when_it_ends() {
    let sandbox = Sandbox::new();
    let address = sandbox.home().join("notifications");
    let notifications = UnixDatagram::bind(&address).unwrap();
    notifications.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    let socket = sandbox.socket();
    let listen = ["--listen", socket.to_str().unwrap(), "--fdname=mfa-agent"];
    let variable = format!("NOTIFY_SOCKET={}", address.display());
    let mut activated = Activated::listening(&sandbox, &listen, &[&variable]);
    let first = inode(&socket);
    sandbox.log_in("dev");
    assert_eq!(told(&notifications), "READY=1");
    assert_eq!(sandbox.agent_pid(), i32::try_from(activated.process.id()).unwrap());
    let restart = sandbox.run(&["agent", "restart"]);
    assert_eq!(restart.status, 0, "{restart:?}");
    assert_eq!(told(&notifications), format!("MAINPID={}", sandbox.agent_pid()));
    assert_eq!(told(&notifications), "BARRIER=1");
    assert!(activated.process.wait().unwrap().success());
    assert_eq!(sandbox.run(&["env", "dev", "--no-prompt"]).status, 0);
    // The variables were for the process that they name, and not for the one that follows it.
    let environment = fs::read(format!("/proc/{}/environ", sandbox.agent_pid())).unwrap_or_default();
    assert!(!String::from_utf8_lossy(&environment).contains("LISTEN_"));
    assert_eq!(sandbox.run(&["agent", "stop"]).status, 0);
    assert_eq!(told(&notifications), "STOPPING=1");
    assert_eq!(inode(&socket), first, "the name is the manager's");
}

#[test]
fn an_agent_that_nobody_needs_leaves_the_socket_to_its_manager() {
    let mut sandbox = Sandbox::new();
    sandbox.write(".config/mfa-agent/config.toml", "exit_when_idle = '1m'\n");
    let address = sandbox.home().join("notifications");
    let notifications = UnixDatagram::bind(&address).unwrap();
    notifications.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    let clock = sandbox.fake_clock();
    let socket = sandbox.socket();
    let listen = ["--listen", socket.to_str().unwrap(), "--fdname=mfa-agent"];
    let fake = ["LD_PRELOAD", "FAKETIME_TIMESTAMP_FILE", "FAKETIME_NO_CACHE", "FAKETIME_DONT_FAKE_MONOTONIC"];
    let notify = format!("NOTIFY_SOCKET={}", address.display());
    let activated = Activated::listening(&sandbox, &listen, &[&fake[..], &["HOME", &notify]].concat());
    sandbox.unset("LD_PRELOAD");
    let first = inode(&socket);
    sandbox.wait_for_agent();
    let pid = sandbox.agent_pid();
    assert_eq!(told(&notifications), "READY=1");
    crate::idle::pass(&sandbox, &clock, pid, 61);
    let run = activated.last_words();
    assert_eq!(run.status, 0, "{run:?}");
    assert_eq!(told(&notifications), "STOPPING=1");
    assert_eq!(inode(&socket), first);
}

#[test]
fn a_socket_that_is_not_the_one_that_clients_look_for_is_refused() {
    let refused = |arguments: &dyn Fn(&Sandbox) -> Vec<String>, words: &str| {
        let sandbox = Sandbox::new();
        let arguments = arguments(&sandbox);
        let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
        let activated = Activated::listening(&sandbox, &arguments, &[]);
        let path = Path::new(arguments[1]);
        if words.contains("alone") {
            fs::set_permissions(path, PermissionsExt::from_mode(0o666)).unwrap();
        }
        let send = || UnixDatagram::unbound().unwrap().send_to(b"knock", path);
        wait_until("it listens", || UnixStream::connect(path).is_ok() || send().is_ok());
        let run = activated.last_words();
        assert_eq!(run.status, 6, "{run:?}");
        assert!(run.stderr.contains(words) && run.stderr.contains("\nhint: "), "{run:?}");
        assert!(path.exists(), "the name is the manager's");
    };
    let own = |sandbox: &Sandbox| sandbox.socket().to_str().unwrap().to_owned();
    let listen = |path: String| vec!["--listen".to_owned(), path];
    let other = |sandbox: &Sandbox| sandbox.runtime().join("other").to_str().unwrap().to_owned();
    refused(&|sandbox| listen(other(sandbox)), "where no client looks");
    refused(&|sandbox| [listen(own(sandbox)), listen(other(sandbox))].concat(), "LISTEN_FDS is 2");
    refused(&|sandbox| [listen(own(sandbox)), vec!["--fdname=web".into()]].concat(), "is called web");
    refused(&|sandbox| listen(own(sandbox)), "this user's alone");
    refused(&|sandbox| [listen(own(sandbox)), vec!["--datagram".into()]].concat(), "no local socket");
}

#[test]
fn what_was_passed_to_another_process_is_not_taken() {
    let mut sandbox = Sandbox::new();
    sandbox.set("LISTEN_PID", "1");
    sandbox.set("LISTEN_FDS", "1");
    let address = sandbox.home().join("notifications");
    let notifications = UnixDatagram::bind(&address).unwrap();
    sandbox.set("NOTIFY_SOCKET", &address);
    let run = Run::of(&mut sandbox.command(AGENT, [""; 0]));
    assert_eq!(run.status, 6, "{run:?}");
    assert!(run.stderr.contains("LISTEN_PID is 1") && run.hint().starts_with("unset LISTEN_PID"), "{run:?}");
    // An agent for a client in such an environment does not take it for its own.
    assert_eq!(sandbox.run(&["agent", "start"]).status, 0);
    assert_eq!(sandbox.run(&["agent", "stop"]).status, 0);
    notifications.set_nonblocking(true).unwrap();
    assert!(notifications.recv(&mut [0; 64]).is_err(), "it is no service of that manager's");
}

#[test]
fn a_socket_on_which_something_else_listens_is_left_alone() {
    let sandbox = Sandbox::new();
    fs::DirBuilder::new().mode(0o700).create(sandbox.runtime()).unwrap();
    let listener = UnixListener::bind(sandbox.socket()).unwrap();
    let before = inode(&sandbox.socket());
    let run = Run::of(&mut sandbox.command(AGENT, [""; 0]));
    assert_eq!(run.status, 6, "{run:?}");
    assert!(run.stderr.contains("listens at") && run.hint().contains("mfa-agent.socket"), "{run:?}");
    assert_eq!(inode(&sandbox.socket()), before);
    drop(listener);
    // A dead one's is nobody's.
    sandbox.log_in("dev");
}

#[test]
fn a_name_that_systemd_lost_is_made_again_and_no_session_is_lost() {
    let sandbox = Sandbox::new();
    let socket = sandbox.socket();
    let activated = Activated::listening(&sandbox, &["--listen", socket.to_str().unwrap()], &[]);
    sandbox.log_in("dev");
    fs::remove_file(&socket).unwrap();
    wait_until("it is made again", || socket.exists());
    assert_eq!(sandbox.run(&["env", "dev", "--no-prompt"]).status, 0);
    // This name is the agent's own.
    assert_eq!(sandbox.run(&["agent", "stop"]).status, 0);
    assert_eq!(activated.last_words().status, 0);
    assert!(!socket.exists());
}

#[test]
fn the_units_are_sound_and_as_closed_as_the_page_says() {
    let sandbox = Sandbox::new();
    let repository = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let page = fs::read_to_string(repository.join("docs/systemd.md")).unwrap();
    let command = "systemd-analyze security --offline=true data/systemd/user/mfa-agent.service";
    let (_, after) = page.split_once(command).unwrap();
    let figure = |text: &str| {
        let (_, after) = text.split_once("Overall exposure level for mfa-agent.service: ").unwrap();
        after.split(' ').next().unwrap().parse::<f64>().unwrap()
    };
    let mut words = command.split(' ');
    let run = Run::of(Command::new(tool(words.next().unwrap())).args(words).current_dir(&repository));
    // Releases of systemd differ in what they count.
    let (found, written) = (figure(&run.stdout), figure(after));
    assert!((found - written).abs() < 0.4, "{found}, and the page says {written}");

    for unit in ["mfa-agent.socket", "mfa-agent.service"] {
        let text = fs::read_to_string(repository.join("data/systemd/user").join(unit)).unwrap();
        // The program is where a package puts it, and not here.
        sandbox.write(unit, &text.replace("/usr/bin/mfa-agentd", AGENT));
        for setting in text.lines().filter(|line| line.contains('=') && !line.starts_with('#')) {
            let name = setting.split('=').next().unwrap();
            let known = ["Description", "Documentation", "WantedBy", "Requires", "ExecStart"].contains(&name);
            assert!(known || page.contains(setting), "docs/systemd.md says nothing of {setting}");
        }
    }
    let units = ["mfa-agent.socket", "mfa-agent.service"].map(|unit| sandbox.home().join(unit));
    let mut verify = sandbox.command(tool("systemd-analyze"), ["--user", "--man=no", "verify"]);
    let run = Run::of(verify.args(units));
    assert_eq!((run.status, run.stderr.as_str()), (0, ""), "{run:?}");
}
