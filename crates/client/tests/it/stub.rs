//! An agent that hands every request to the test, and the client run against it.

use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

/// How long anything may take before a test fails; nothing waits for it.
pub const LIMIT: Duration = Duration::from_secs(10);

pub const CREDENTIALS: &str = r#"{"credentials":{"profile":"dev","access_key_id":"ASIAIOSFODNN7EXAMPLE","secret_access_key":"wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY","session_token":"Rk9P/b+r=","expiration":"2026-11-05T18:20:07Z","expires_at":1793902807}}"#;
pub const SESSION: &str = r#"{"session":{"kind":"mfa","profiles":["dev"],"serial":"arn:aws:iam::111122223333:mfa/alice","expiration":"2026-11-05T18:20:07Z","expires_at":1793902807,"seconds_left":39720,"duration":43200,"reused":false}}"#;
pub const NEEDS_MFA: &str = r#"{"refused":{"needs_mfa":{"profile":"dev","serial":"arn:aws:iam::111122223333:mfa/alice","expired":false}}}"#;
pub const WRONG_CODE: &str = r#"{"refused":{"wrong_code":{"serial":"arn:aws:iam::111122223333:mfa/alice"}}}"#;

/// An agent whose every answer the test gives.
pub struct Stub {
    pub folder: tempfile::TempDir,
    calls: Receiver<Call>,
}

/// A request that came. Dropped, its connection closes.
pub struct Call {
    pub line: String,
    stream: UnixStream,
}

impl Stub {
    /// Listens where the client looks first.
    pub fn new() -> Self {
        Self::listening_at("sock")
    }

    /// Listens at this name in the runtime folder.
    pub fn listening_at(name: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let ours = folder.path().join("mfa-agent");
        std::fs::create_dir(&ours).unwrap();
        std::fs::set_permissions(&ours, std::fs::Permissions::from_mode(0o700)).unwrap();
        let listener = UnixListener::bind(ours.join(name)).unwrap();
        let (sender, calls) = channel();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let stream = stream.unwrap();
                let mut line = String::new();
                BufReader::new(&stream).read_line(&mut line).unwrap();
                if sender.send(Call { line, stream }).is_err() {
                    return;
                }
            }
        });
        Self { folder, calls }
    }

    pub fn socket(&self) -> PathBuf {
        self.folder.path().join("mfa-agent/sock")
    }

    /// The next request.
    pub fn call(&self) -> Call {
        self.calls.recv_timeout(LIMIT).expect("the client asks the agent")
    }

    /// The next request, which must hold this text.
    pub fn expect(&self, text: &str) -> Call {
        let call = self.call();
        assert!(call.line.contains(text), "{text} in {}", call.line);
        call
    }

    /// Nothing was asked beyond what the test took.
    pub fn is_quiet(&self) -> bool {
        self.calls.try_recv().is_err()
    }

    /// The client with this environment and nothing else, without a terminal.
    pub fn client(&self, arguments: &str) -> Command {
        let mut command = Command::new("setsid");
        command.arg("--wait").arg(client()).args(arguments.split_whitespace());
        self.set_environment(&mut command);
        command
    }

    /// A POSIX shell in which `client` is the client, without a terminal.
    pub fn shell(&self, code: &str) -> Command {
        let mut command = Command::new("setsid");
        command.args(["--wait", "sh", "-c", code]);
        self.set_environment(&mut command);
        command
    }

    fn set_environment(&self, command: &mut Command) {
        command
            .env_clear()
            .env("PATH", self.path())
            .env("LC_ALL", "C.UTF-8")
            .env("XDG_RUNTIME_DIR", self.folder.path())
            .env("HOME", self.folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
    }

    pub fn path(&self) -> String {
        let system = std::env::var("PATH").unwrap();
        let link = self.folder.path().join("path");
        if std::fs::create_dir(&link).is_ok() {
            std::os::unix::fs::symlink(client(), link.join("client")).unwrap();
        }
        format!("{}:{system}", link.display())
    }
}

impl Call {
    /// Answers; the connection stays open as long as the value that comes back.
    pub fn reply(mut self, json: &str) -> Self {
        self.stream.write_all(json.as_bytes()).unwrap();
        self.stream.write_all(b"\n").unwrap();
        self
    }

    /// Sends bytes as they are.
    pub fn send(mut self, bytes: &[u8]) -> Self {
        // The client may have gone already, when it has seen enough.
        let _ = self.stream.write_all(bytes);
        self
    }

    /// The client holds its end open still.
    pub fn is_open(&self) -> bool {
        self.stream.set_nonblocking(true).unwrap();
        matches!((&self.stream).read(&mut [0]), Err(error) if error.kind() == ErrorKind::WouldBlock)
    }

    pub fn code(&self) -> String {
        let (_, rest) = self.line.split_once("\"code\":\"").expect("a login");
        rest[..6].to_owned()
    }
}

/// The program under test.
pub fn client() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_client-under-test"))
}

/// What a run came to: exit status, stdout, stderr.
pub fn end(child: Child) -> (i32, String, String) {
    ended(&child.wait_with_output().unwrap())
}

pub fn ended(output: &Output) -> (i32, String, String) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code().unwrap_or(-1), text(&output.stdout), text(&output.stderr))
}
