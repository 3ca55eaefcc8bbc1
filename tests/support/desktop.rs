//! A session bus of a test's own, and notification servers on it: python-dbusmock's, which notes each call.

use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use rustix::process::{Pid, Signal};

use super::{Sandbox, tool, wait_until};

const NOTIFICATIONS: &str = "org.freedesktop.Notifications";

const LOGIND: &str = "org.freedesktop.login1";
const MOCK: &str = "org.freedesktop.DBus.Mock";

/// A message bus.
pub struct Bus {
    daemon: Child,
    folder: PathBuf,
}

/// logind, as a process.
pub struct Logind {
    process: Child,
    address: String,
}

/// A notification server, as a process.
pub struct Server {
    pid: i32,
    /// Where a test started it, and not the bus.
    child: Option<Child>,
    log: PathBuf,
    address: String,
}

/// One call of `Notify`, as the server saw it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notified {
    /// When, in milliseconds since the epoch.
    pub at: u64,
    /// All arguments, as the server writes them down.
    pub arguments: String,
}

impl Bus {
    /// A session bus for a sandbox; everything that is run in it from now on finds this one.
    pub fn start(sandbox: &mut Sandbox) -> Self {
        Self::of(sandbox, "DBUS_SESSION_BUS_ADDRESS")
    }

    /// The same in the place of the system's bus.
    pub fn system(sandbox: &mut Sandbox) -> Self {
        Self::of(sandbox, "DBUS_SYSTEM_BUS_ADDRESS")
    }

    fn of(sandbox: &mut Sandbox, variable: &str) -> Self {
        let folder = sandbox.home().join(variable.to_lowercase());
        fs::create_dir_all(&folder).unwrap();
        let bus = Self { daemon: Self::run(&folder), folder };
        sandbox.set(variable, bus.address());
        bus
    }

    /// Its address.
    pub fn address(&self) -> String {
        format!("unix:path={}", self.folder.join("socket").display())
    }

    /// Ends the bus, and with it every connection.
    pub fn kill(&mut self) {
        self.daemon.kill().unwrap();
        self.daemon.wait().unwrap();
    }

    /// Starts it again, at the same address.
    pub fn start_again(&mut self) {
        self.daemon = Self::run(&self.folder);
    }

    fn run(folder: &Path) -> Child {
        let socket = folder.join("socket");
        let _ = fs::remove_file(&socket);
        // Nothing is started by a call, unless a test says so: what is not there is not there.
        let configuration = format!(
            "<busconfig><type>session</type><listen>unix:path={}</listen><auth>EXTERNAL</auth>\
             <servicedir>{}</servicedir><policy context=\"default\"><allow send_destination=\"*\" eavesdrop=\"true\"/>\
             <allow eavesdrop=\"true\"/><allow own=\"*\"/></policy></busconfig>",
            socket.display(),
            folder.display()
        );
        let file = folder.join("configuration");
        fs::write(&file, configuration).unwrap();
        let daemon = Command::new(tool("dbus-daemon"))
            .args(["--nofork", "--nopidfile", "--config-file"])
            .arg(file)
            .env_clear()
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        wait_until("the bus listens", || UnixStream::connect(&socket).is_ok());
        daemon
    }

    /// A server with these capabilities.
    pub fn server(&self, capabilities: &str) -> Server {
        let server = self.server_that_comes(Some(self.mock(capabilities).spawn().unwrap()));
        assert!(server.child.as_ref().is_some_and(|child| child.id().cast_signed() == server.pid));
        server
    }

    /// Lets the bus start a server with these capabilities at the first call to it, as desktops do.
    pub fn starts_server(&self, capabilities: &str) {
        let (gate, program) = (self.gate(), self.folder.join("starts"));
        let mock = self.mock(capabilities);
        let arguments = mock.get_args().map(|argument| format!(" '{}'", argument.to_str().unwrap()));
        let script = format!(
            "#!/bin/sh\nexport DBUS_SESSION_BUS_ADDRESS='{}'\nmkfifo '{gate}' && cat '{gate}'\nexec {}{}\n",
            self.address(),
            mock.get_program().to_str().unwrap(),
            arguments.collect::<String>(),
            gate = gate.display(),
        );
        fs::write(&program, script).unwrap();
        fs::set_permissions(&program, fs::Permissions::from_mode(0o700)).unwrap();
        let service = format!("[D-BUS Service]\nName={NOTIFICATIONS}\nExec={}\n", program.display());
        fs::write(self.folder.join(format!("{NOTIFICATIONS}.service")), service).unwrap();
    }

    /// Lets the server come up that the bus has begun to start.
    #[track_caller]
    pub fn started_server(&self) -> Server {
        wait_until("the bus starts the server", || self.gate().exists());
        // Waits for its reader.
        fs::write(self.gate(), "").unwrap();
        self.server_that_comes(None)
    }

    fn gate(&self) -> PathBuf {
        self.folder.join("gate")
    }

    #[track_caller]
    fn server_that_comes(&self, child: Option<Child>) -> Server {
        let mut pid = None;
        wait_until("the server owns its name", || {
            pid = self.process_of(NOTIFICATIONS);
            pid.is_some()
        });
        // It owns its name before it has begun its log anew; it answers after that.
        let ping =
            ["--object-path", "/org/freedesktop/Notifications", "--method", "org.freedesktop.DBus.Peer.Ping"];
        self.stranger("gdbus", &[&["call", "--session", "--dest", NOTIFICATIONS], &ping[..]].concat());
        Server { pid: pid.unwrap(), child, log: self.folder.join("calls"), address: self.address() }
    }

    fn mock(&self, capabilities: &str) -> Command {
        let mut mock = Command::new("/usr/bin/python3");
        mock.args(["-m", "dbusmock", "--session", "-l"])
            .arg(self.folder.join("calls"))
            .args(["--template", "notification_daemon", "-p"])
            .arg(serde_json::json!({ "capabilities": capabilities }).to_string())
            .env("DBUS_SESSION_BUS_ADDRESS", self.address())
            .stdout(Stdio::null());
        mock
    }

    /// systemd's logind, or what looks like it, with a session `own` of ours and one `other` of somebody else's.
    pub fn logind(&self) -> Logind {
        let process = Command::new("/usr/bin/python3")
            .args(["-m", "dbusmock", "--system", "--template", "logind"])
            .env("DBUS_SYSTEM_BUS_ADDRESS", self.address())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let logind = Logind { process, address: self.address() };
        wait_until("logind owns its name", || self.ask("NameHasOwner", LOGIND).starts_with("(true"));
        let uid = rustix::process::geteuid().as_raw();
        for (session, uid) in [("own", uid), ("other", uid + 1)] {
            logind.call(
                "",
                &format!("{MOCK}.AddSession"),
                &[session, "seat0", &uid.to_string(), "somebody", "true"],
            );
        }
        logind
    }

    /// Whether somebody has this name.
    pub fn has_owner(&self, name: &str) -> bool {
        self.ask("NameHasOwner", name).starts_with("(true")
    }

    /// The process behind a connection, by its unique name.
    pub fn process_of(&self, name: &str) -> Option<i32> {
        let reply = self.ask("GetConnectionUnixProcessID", name);
        // (uint32 4711,)
        reply.strip_prefix("(uint32 ")?.split(',').next()?.parse().ok()
    }

    /// What the bus answers.
    fn ask(&self, method: &str, argument: &str) -> String {
        let name = "org.freedesktop.DBus";
        let run = Command::new(tool("gdbus"))
            .args(["call", "--session", "--dest", name, "--object-path", "/org/freedesktop/DBus"])
            .args(["--method", &format!("{name}.{method}"), argument])
            .env("DBUS_SESSION_BUS_ADDRESS", self.address())
            .output()
            .unwrap();
        String::from_utf8_lossy(&run.stdout).into_owned()
    }

    /// Runs a program on this bus that is neither the agent's nor the server's, to its end.
    pub fn stranger(&self, program: &str, arguments: &[&str]) {
        let run = Command::new(tool(program))
            .args(arguments)
            .env("DBUS_SESSION_BUS_ADDRESS", self.address())
            .output()
            .unwrap();
        assert!(run.status.success(), "{run:?}");
    }
}

impl Drop for Bus {
    fn drop(&mut self) {
        let _ = self.daemon.kill();
        let _ = self.daemon.wait();
    }
}

impl Logind {
    /// The machine is about to sleep, or is awake again.
    pub fn prepares_for_sleep(&self, sleeps: bool) {
        let arguments = ["org.freedesktop.login1.Manager", "PrepareForSleep", "b", &format!("[<{sleeps}>]")];
        self.call("", &format!("{MOCK}.EmitSignal"), &arguments);
    }

    /// Somebody asks for a session to be locked.
    pub fn lock(&self, session: &str) {
        let arguments = ["org.freedesktop.login1.Session", "Lock", "", "@av []"];
        self.call(&format!("/session/{session}"), &format!("{MOCK}.EmitSignal"), &arguments);
    }

    /// Properties of our own session change.
    pub fn changes(&self, properties: &str) {
        let arguments = ["org.freedesktop.login1.Session", properties];
        self.call("/session/own", &format!("{MOCK}.UpdateProperties"), &arguments);
    }

    /// Whether the machine would wait for the agent before it sleeps.
    pub fn waits(&self) -> bool {
        let inhibitors = self.call("", "org.freedesktop.login1.Manager.ListInhibitors", &[]);
        inhibitors.contains("'sleep', 'mfa-agent', ") && inhibitors.contains("'delay'")
    }

    fn call(&self, path: &str, method: &str, arguments: &[&str]) -> String {
        let run = Command::new(tool("gdbus"))
            .args(["call", "--session", "--dest", LOGIND])
            .arg("--object-path")
            .arg(format!("/org/freedesktop/login1{path}"))
            .args(["--method", method])
            .args(arguments)
            .env("DBUS_SESSION_BUS_ADDRESS", &self.address)
            .output()
            .unwrap();
        assert!(run.status.success(), "{run:?}");
        String::from_utf8_lossy(&run.stdout).into_owned()
    }
}

impl Drop for Logind {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Server {
    /// All calls of `Notify` until now.
    pub fn notified(&self) -> Vec<Notified> {
        self.calls("Notify ").into_iter().map(|(at, arguments)| Notified { at, arguments }).collect()
    }

    /// How often a method was called, by the beginning of its line in the log.
    pub fn count(&self, call: &str) -> usize {
        self.calls(call).len()
    }

    /// Waits until `Notify` was called so often, and returns the last call.
    #[track_caller]
    pub fn wait_for(&self, calls: usize) -> Notified {
        wait_until(&format!("call {calls} of Notify"), || self.notified().len() >= calls);
        self.notified()[calls - 1].clone()
    }

    /// Waits until a method was called so often.
    #[track_caller]
    pub fn wait_for_call(&self, call: &str, calls: usize) {
        wait_until(&format!("call {calls} of {call}"), || self.count(call) >= calls);
    }

    /// The person clicks a button.
    pub fn click(&self, id: u32, action: &str) {
        self.emit("ActionInvoked", "us", &format!("[<uint32 {id}>, <'{action}'>]"));
    }

    /// The person takes a notification away.
    pub fn dismiss(&self, id: u32) {
        self.closed(id, 2);
    }

    /// A notification's time is over.
    pub fn expire(&self, id: u32) {
        self.closed(id, 1);
    }

    fn closed(&self, id: u32, reason: u32) {
        self.emit("NotificationClosed", "uu", &format!("[<uint32 {id}>, <uint32 {reason}>]"));
    }

    fn emit(&self, signal: &str, signature: &str, arguments: &str) {
        let name = NOTIFICATIONS;
        let run = Command::new(tool("gdbus"))
            .args(["call", "--session", "--dest", name, "--object-path", "/org/freedesktop/Notifications"])
            .args(["--method", "org.freedesktop.DBus.Mock.EmitSignal", name, signal, signature, arguments])
            .env("DBUS_SESSION_BUS_ADDRESS", &self.address)
            .output()
            .unwrap();
        assert!(run.status.success(), "{run:?}");
    }

    /// Ends it as nobody can refuse.
    pub fn kill(self) {
        drop(self);
    }

    /// Keeps it from doing anything.
    pub fn hang(&self) {
        self.signal(Signal::STOP);
    }

    /// Lets it go on.
    pub fn go_on(&self) {
        self.signal(Signal::CONT);
    }

    fn signal(&self, signal: Signal) {
        let _ = rustix::process::kill_process(Pid::from_raw(self.pid).unwrap(), signal);
    }

    fn calls(&self, call: &str) -> Vec<(u64, String)> {
        let log = fs::read_to_string(&self.log).unwrap_or_default();
        // A line begins with a time; without one it goes on with an argument that has more lines than one.
        let mut entries: Vec<(u64, String)> = Vec::new();
        for line in log.lines() {
            let begins = line.split_once(' ').and_then(|(at, what)| {
                let (seconds, rest) = at.split_once('.')?;
                Some((format!("{seconds}{rest:0<3}").parse().ok()?, what.to_owned()))
            });
            match (begins, entries.last_mut()) {
                (Some(entry), _) => entries.push(entry),
                (None, Some((_, before))) => {
                    before.push('\n');
                    before.push_str(line);
                }
                (None, None) => {}
            }
        }
        let calls = entries.into_iter();
        calls.filter_map(|(at, what)| Some((at, what.strip_prefix(call)?.to_owned()))).collect()
    }
}

/// dunst on a screen that nobody sees. Its menu has the buttons in no order; this one picks "Refresh" or "Allow".
pub struct Dunst {
    screen: Child,
    process: Child,
}

impl Dunst {
    /// Starts both.
    pub fn start(sandbox: &mut Sandbox, bus: &Bus) -> Self {
        let arguments = ["-displayfd", "1", "-screen", "0", "640x480x24", "-nolisten", "tcp"];
        let mut screen = sandbox
            .command(tool("Xvfb"), arguments)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut number = String::new();
        BufReader::new(screen.stdout.as_mut().unwrap()).read_line(&mut number).unwrap();
        sandbox.set("DISPLAY", format!(":{}", number.trim()));
        let menu = sandbox.home().join("menu");
        sandbox.write("menu", "#!/bin/sh\nexec grep -m 1 -e Refresh -e Allow\n");
        fs::set_permissions(&menu, fs::Permissions::from_mode(0o700)).unwrap();
        sandbox.write(".config/dunst/dunstrc", &format!("[global]\ndmenu = {}\n", menu.display()));
        let nothing: [&str; 0] = [];
        let process = sandbox
            .command(tool("dunst"), nothing)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let dunst = Self { screen, process };
        wait_until("dunst owns its name", || bus.ask("NameHasOwner", NOTIFICATIONS).starts_with("(true"));
        dunst
    }
}

impl Drop for Dunst {
    fn drop(&mut self) {
        for process in [&mut self.process, &mut self.screen] {
            let _ = process.kill();
            let _ = process.wait();
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.signal(Signal::KILL);
        if let Some(child) = &mut self.child {
            let _ = child.wait();
        }
    }
}
