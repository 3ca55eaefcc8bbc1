//! A real terminal, typed at by the test.

use std::io::{Read, Write};
use std::os::fd::AsFd;
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::Instant;

use pty_process::blocking::{Command, Pty, open};

use crate::stub::{LIMIT, Stub};

const SANE: &str = "the terminal is as it was found";

/// A shell on a terminal of its own. `client` is the client; stdout is ours and not the terminal.
pub struct Tty {
    pty: Pty,
    settings: String,
    shown: String,
    output: Receiver<Vec<u8>>,
    child: Child,
}

impl Tty {
    pub fn run(stub: &Stub, code: &str) -> Self {
        let (pty, pts) = open().unwrap();
        pty.resize(pty_process::Size::new(24, 100)).unwrap();
        let settings = settings(&pty);
        // Looked at from inside: the system resets a terminal as soon as its first process ends.
        let code = format!(
            "before=$(stty -g </dev/tty); {code}; status=$?
             [ \"$(stty -g </dev/tty)\" = \"$before\" ] && echo {SANE} >/dev/tty; exit $status"
        );
        let child = Command::new("sh")
            .args(["-c", &code])
            .env_clear()
            .env("PATH", stub.path())
            .env("LC_ALL", "C.UTF-8")
            .env("XDG_RUNTIME_DIR", stub.folder.path())
            .stdout(Stdio::piped())
            .spawn(pts)
            .unwrap();
        let mut reader = std::fs::File::from(pty.as_fd().try_clone_to_owned().unwrap());
        let (sender, output) = channel();
        std::thread::spawn(move || {
            let mut bytes = [0; 1024];
            while let Ok(length) = reader.read(&mut bytes) {
                if length == 0 || sender.send(bytes[..length].to_vec()).is_err() {
                    return;
                }
            }
        });
        Self { pty, settings, shown: String::new(), output, child }
    }

    /// Waits until the terminal shows the text, after what was waited for before.
    pub fn shows(&mut self, text: &str) {
        let deadline = Instant::now() + LIMIT;
        loop {
            if let Some(at) = self.shown.find(text) {
                self.shown.drain(..at + text.len());
                return;
            }
            match self.output.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(bytes) => self.shown.push_str(&String::from_utf8_lossy(&bytes)),
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {
                    panic!("the terminal shows {:?}, and not {text:?}", self.shown)
                }
            }
        }
    }

    pub fn types(&mut self, keys: &str) {
        self.pty.write_all(keys.as_bytes()).unwrap();
    }

    /// Waits until so many bytes lie there for who reads next. What is typed takes its time to the terminal, and is
    /// treated as the terminal's settings say when it arrives.
    pub fn holds(&self, bytes: u64) {
        let name = std::fs::read_link(format!("/proc/{}/fd/0", self.child.id())).unwrap();
        let flags = rustix::fs::OFlags::RDWR | rustix::fs::OFlags::NOCTTY;
        let terminal = rustix::fs::open(&name, flags, rustix::fs::Mode::empty()).unwrap();
        let deadline = Instant::now() + LIMIT;
        while rustix::io::ioctl_fionread(&terminal).unwrap() < bytes {
            assert!(Instant::now() < deadline, "what was typed does not arrive");
            std::thread::sleep(std::time::Duration::from_millis(1));
        }
    }

    /// The settings are those that it began with.
    pub fn is_as_found(&self) -> bool {
        settings(&self.pty) == self.settings
    }

    /// Exit status (negative: a signal), stdout, and what the terminal showed since the last look. The terminal
    /// must be as it was found by then.
    pub fn end(mut self) -> (i32, String, String) {
        let mut stdout = String::new();
        self.child.stdout.take().unwrap().read_to_string(&mut stdout).unwrap();
        let status = self.child.wait().unwrap();
        while let Ok(bytes) = self.output.recv_timeout(LIMIT) {
            self.shown.push_str(&String::from_utf8_lossy(&bytes));
        }
        assert!(self.shown.contains(SANE), "the terminal is not as it was found: {:?}", self.shown);
        let code = status.code().unwrap_or_else(|| -status.signal().unwrap());
        (code, stdout, self.shown)
    }
}

fn settings(pty: &impl AsFd) -> String {
    format!("{:?}", rustix::termios::tcgetattr(pty).unwrap())
}
