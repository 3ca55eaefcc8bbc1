//! A home, a runtime folder and an AWS of a test's own.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::{Once, OnceLock};
use std::time::Duration;

use aws_simulator::{Simulator, User, make_known};
use protocol::{Envelope, PROTOCOL, Reply, Request, frame};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use super::{Terminal, wait_until};

/// The account of [`Sandbox::alice`].
pub const ACCOUNT: &str = "111122223333";

/// A person's machine with profile `dev`, whose user `alice` has a device, on a simulated AWS.
pub struct Sandbox {
    folder: TempDir,
    environment: BTreeMap<OsString, OsString>,
    /// The AWS.
    pub simulator: Simulator,
    /// The user behind profile `dev`.
    pub alice: User,
    /// Alice's device.
    pub serial: String,
}

/// What a program left behind.
#[derive(Debug)]
pub struct Run {
    /// Its exit status; 128 and the signal where one ended it.
    pub status: i32,
    /// What it wrote to stdout.
    pub stdout: String,
    /// What it wrote to stderr.
    pub stderr: String,
}

impl Sandbox {
    /// A machine on which nothing runs yet.
    pub fn new() -> Self {
        // Nobody is asked on the terminal that the tests happen to run in.
        static DETACH: Once = Once::new();
        DETACH.call_once(|| {
            let _ = rustix::process::setsid();
        });

        let simulator = Simulator::start();
        let alice = simulator.user(ACCOUNT, "alice");
        let serial = alice.device("alice");
        let folder = tempfile::tempdir().unwrap();
        make_known("sandbox", folder.path().to_str().unwrap());
        for name in ["run", "home"] {
            fs::create_dir(folder.path().join(name)).unwrap();
            fs::set_permissions(folder.path().join(name), fs::Permissions::from_mode(0o700)).unwrap();
        }
        let mut sandbox = Self { environment: BTreeMap::new(), folder, simulator, alice, serial };
        sandbox.set("PATH", std::env::var_os("PATH").unwrap());
        sandbox.set("HOME", sandbox.home());
        sandbox.set("XDG_RUNTIME_DIR", sandbox.folder.path().join("run"));
        sandbox.set("LANG", "C.UTF-8");
        sandbox.set("TERM", "xterm");
        sandbox.set("AWS_ENDPOINT_URL", sandbox.simulator.endpoint());
        let key = key_of(&sandbox.alice);
        sandbox.write(".aws/credentials", &format!("[dev]\n{key}"));
        sandbox.write(
            ".aws/config",
            &format!("[profile dev]\nregion = eu-central-1\nmfa_serial = {}\n", sandbox.serial),
        );
        sandbox
    }

    /// The person's home.
    pub fn home(&self) -> PathBuf {
        self.folder.path().join("home")
    }

    /// The runtime folder of the agent.
    pub fn runtime(&self) -> PathBuf {
        self.folder.path().join("run/mfa-agent")
    }

    /// The agent's socket.
    pub fn socket(&self) -> PathBuf {
        self.runtime().join("sock")
    }

    /// Sets a variable of every program that is run from now on.
    pub fn set(&mut self, variable: &str, value: impl AsRef<OsStr>) {
        self.environment.insert(variable.into(), value.as_ref().to_owned());
    }

    /// Takes a variable away from every program that is run from now on.
    pub fn unset(&mut self, variable: &str) {
        self.environment.remove(OsStr::new(variable));
    }

    /// The variables of every program that is run.
    pub fn environment(&self) -> &BTreeMap<OsString, OsString> {
        &self.environment
    }

    /// Writes a file of the home.
    pub fn write(&self, path: &str, contents: &str) {
        let path = self.home().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, contents).unwrap();
        if path.file_name().is_some_and(|name| name == "credentials") {
            // As AWS's own client makes it.
            fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        }
        for secret in contents.lines().filter_map(|line| line.strip_prefix("aws_secret_access_key = ")) {
            // The simulator may not have made it up.
            make_known("secret key", secret);
            if path.file_name().is_some_and(|name| name == "config") {
                // It stays as it is, and others can read it.
                make_known("open file", path.to_str().unwrap());
            }
        }
    }

    /// A code that AWS will take.
    pub fn code(&self) -> String {
        self.simulator.unused_code(&self.serial).expect("both codes of this half minute are used")
    }

    /// The client, ready to be run, with no terminal.
    pub fn client<Argument: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = Argument>) -> Command {
        self.command(env!("CARGO_BIN_EXE_mfa-agent"), arguments)
    }

    /// A program, ready to be run in this machine.
    pub fn command<Argument: AsRef<OsStr>>(
        &self,
        program: impl AsRef<OsStr>,
        arguments: impl IntoIterator<Item = Argument>,
    ) -> Command {
        let mut command = Command::new(program);
        command.args(arguments).env_clear().envs(&self.environment).stdin(Stdio::null());
        command
    }

    /// Runs the client.
    pub fn run(&self, arguments: &[&str]) -> Run {
        Run::of(&mut self.client(arguments))
    }

    /// Runs the client in a terminal of its own.
    pub fn terminal(&self, arguments: &[&str]) -> Terminal {
        Terminal::run(self, env!("CARGO_BIN_EXE_mfa-agent"), arguments)
    }

    /// Opens the session of a profile.
    #[track_caller]
    pub fn log_in(&self, profile: &str) {
        let run = self.run(&["login", profile, "--code", &self.code()]);
        assert_eq!(run.status, 0, "{run:?}");
    }

    /// Asks the agent as a program of somebody else's would.
    pub fn ask(&self, request: Request) -> Reply {
        let line = frame::encode(&Envelope { protocol: PROTOCOL, request }).unwrap();
        frame::decode(&self.send(&line)).unwrap()
    }

    /// Waits until so many clients stand in line at the agent: none is still starting.
    #[track_caller]
    pub fn wait_for_line(&self, clients: usize) {
        self.wait_for_agent();
        wait_until("they stand in line", || match self.ask(Request::Status) {
            Reply::Status(status) => status.waiting == clients,
            other => panic!("{other:?}"),
        });
    }

    /// Waits until an agent that a test has started takes connections: its socket has a name shortly before.
    #[track_caller]
    pub fn wait_for_agent(&self) {
        wait_until("the agent listens", || UnixStream::connect(self.socket()).is_ok());
    }

    /// Sends bytes to the agent and returns its answer.
    pub fn send(&self, bytes: &[u8]) -> Vec<u8> {
        use std::io::{BufRead, BufReader, Write};
        let mut stream = UnixStream::connect(self.socket()).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        // The agent may have had enough before all of it is written.
        let _ = stream.write_all(bytes);
        let mut reply = Vec::new();
        let _ = BufReader::new(stream).read_until(b'\n', &mut reply);
        reply
    }

    /// Lets every program that is run from here on live by a clock of the test's: the returned file holds its
    /// distance from the real one. The boot-time clock goes on as it was.
    pub fn fake_clock(&mut self) -> PathBuf {
        let library = ["x86_64", "aarch64"]
            .map(|machine| PathBuf::from(format!("/usr/lib/{machine}-linux-gnu/faketime/libfaketime.so.1")))
            .into_iter()
            .find(|library| library.exists())
            .expect("these tests need libfaketime; tests/run installs all that they need");
        let file = self.home().join("clock");
        fs::write(&file, "+0").unwrap();
        self.set("LD_PRELOAD", &library);
        self.set("FAKETIME_TIMESTAMP_FILE", &file);
        self.set("FAKETIME_NO_CACHE", "1");
        self.set("FAKETIME_DONT_FAKE_MONOTONIC", "1");
        file
    }

    /// Moves AWS's clock and the faked one to so many seconds from the real one.
    pub fn advance(&self, clock: &Path, seconds: i64) {
        self.simulator.set_offset(seconds);
        // Renamed into place: the file is read at every look at the clock.
        let next = clock.with_extension("next");
        fs::write(&next, format!("{seconds:+}")).unwrap();
        fs::rename(&next, clock).unwrap();
    }

    /// Sends the agent a signal.
    pub fn signal_agent(&self, signal: Signal) {
        kill_process(Pid::from_raw(self.agent_pid()).unwrap(), signal).unwrap();
    }

    /// Ends the agent as nobody can refuse.
    pub fn kill_agent(&self) {
        self.signal_agent(Signal::KILL);
        // Its socket refuses from the moment of its end.
        wait_until("it is gone", || UnixStream::connect(self.socket()).is_err());
    }

    /// The agent's process.
    #[track_caller]
    pub fn agent_pid(&self) -> i32 {
        match self.ask(Request::Status) {
            Reply::Status(status) => i32::try_from(status.pid).unwrap(),
            other => panic!("{other:?}"),
        }
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        let _ = self.client(["agent", "stop"]).stdout(Stdio::null()).stderr(Stdio::null()).status();
    }
}

impl Run {
    /// Runs a program to its end.
    pub fn of(command: &mut Command) -> Self {
        command.output().unwrap().into()
    }

    /// Runs a program that reads this, to its end. What is secret comes this way: no program of these tests has a secret
    /// in its arguments.
    pub fn with_input(command: &mut Command, input: &str) -> Self {
        let command = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        // It may have ended without reading.
        let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
        child.wait_with_output().unwrap().into()
    }

    /// stderr's line that begins with `hint: `.
    pub fn hint(&self) -> &str {
        self.stderr.lines().find_map(|line| line.strip_prefix("hint: ")).unwrap_or("")
    }
}

impl From<Output> for Run {
    fn from(output: Output) -> Self {
        use std::os::unix::process::ExitStatusExt;
        let status = output.status;
        Self {
            status: status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or(0)),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }
}

/// The settings of a user's key.
pub fn key_of(user: &User) -> String {
    format!(
        "aws_access_key_id = {}\naws_secret_access_key = {}\n",
        user.access_key_id, user.secret_access_key
    )
}

/// The variables that a POSIX shell has after evaluating this code, starting from these.
pub fn exported(code: &str, before: &[(&str, &str)]) -> BTreeMap<String, String> {
    let mut shell = Command::new(tool("bash"));
    shell
        .args(["--norc", "--noprofile", "-c", "eval \"$(cat)\" && env -0"])
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap())
        .envs(before.iter().copied());
    let run = Run::with_input(&mut shell, code);
    let variables: BTreeMap<_, _> = run
        .stdout
        .split('\0')
        .filter_map(|pair| pair.split_once('='))
        .filter(|(name, _)| !["PATH", "PWD", "SHLVL", "_"].contains(name))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    // What others than the simulator made up.
    for (variable, kind) in [
        ("AWS_SECRET_ACCESS_KEY", "secret key"),
        ("AWS_SESSION_TOKEN", "session token"),
        ("AWS_CONTAINER_AUTHORIZATION_TOKEN", "token of live access"),
    ] {
        variables.get(variable).into_iter().for_each(|value| make_known(kind, value));
    }
    variables
}

/// Puts our programs into a folder. Says where the one is that people type.
pub fn install(folder: &Path) -> PathBuf {
    let built = Path::new(env!("CARGO_BIN_EXE_mfa-agent"));
    fs::create_dir_all(folder).unwrap();
    for program in ["mfa-agent", "mfa-agent-cli", "mfa-agentd"] {
        copy(&built.with_file_name(program), &folder.join(program));
    }
    folder.join("mfa-agent")
}

/// Lets others read a file of AWS's, as the person has it.
pub fn open_to_others(file: &Path, mode: u32) {
    make_known("open file", file.to_str().unwrap());
    fs::set_permissions(file, fs::Permissions::from_mode(mode)).unwrap();
}

/// Copies a program, by another process: one that another test starts meanwhile would inherit the file, open for
/// writing, and then nobody can run it.
pub fn copy(program: &Path, to: &Path) {
    assert!(Command::new("cp").args([program, to]).status().unwrap().success());
}

/// A program that the tests need. They never go on without one.
#[track_caller]
pub fn tool(name: &str) -> PathBuf {
    let tools = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/test-tools");
    let path = std::env::var_os("PATH").unwrap_or_default();
    ["bin", "node_modules/.bin"]
        .map(|folder| tools.join(folder))
        .into_iter()
        .chain(std::env::split_paths(&path))
        .map(|folder| folder.join(name))
        .find(|program| program.is_file())
        .unwrap_or_else(|| panic!("these tests need {name}; tests/run installs all that they need"))
}

/// Version 2 of the AWS CLI, wherever the system has it; [`tool`] finds version 1.
#[track_caller]
pub fn aws_cli_2() -> &'static Path {
    static FOUND: OnceLock<Option<PathBuf>> = OnceLock::new();
    let is_version_2 = |program: &PathBuf| {
        let output = Command::new(program).arg("--version").stdin(Stdio::null()).output();
        output.is_ok_and(|output| output.stdout.starts_with(b"aws-cli/2."))
    };
    let find = || {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let programs = std::env::split_paths(&path).map(|folder| folder.join("aws"));
        programs.filter(|program| program.is_file()).find(is_version_2)
    };
    let found = FOUND.get_or_init(find).as_deref();
    found.expect("these tests need version 2 of the AWS CLI; tests/run installs all that they need")
}
