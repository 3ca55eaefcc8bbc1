//! A program in a terminal of its own, with a person at it.

use std::ffi::OsStr;
use std::io::{Read, Write};
use std::process::{Child, Stdio};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use pty_process::blocking::{Command, Pty, open};

use super::{Run, Sandbox};

/// How long to wait for what must come. A test that gets here has failed.
const PATIENCE: Duration = Duration::from_secs(15);

/// A program in a terminal. Its stdout is captured apart, as by `$(…)`.
pub struct Terminal {
    pty: Arc<Pty>,
    child: Child,
    screen: Arc<Screen>,
}

#[derive(Default)]
struct Screen {
    text: Mutex<(String, bool)>,
    changed: Condvar,
}

impl Terminal {
    /// Runs a program in a new terminal of the sandbox.
    pub fn run<Argument: AsRef<OsStr>>(
        sandbox: &Sandbox,
        program: impl AsRef<OsStr>,
        arguments: impl IntoIterator<Item = Argument>,
    ) -> Self {
        Self::start(sandbox, program, arguments, |command| command.stdout(Stdio::piped()))
    }

    /// The same with stdout on the terminal, as for a shell.
    pub fn run_shown<Argument: AsRef<OsStr>>(
        sandbox: &Sandbox,
        program: impl AsRef<OsStr>,
        arguments: impl IntoIterator<Item = Argument>,
    ) -> Self {
        Self::start(sandbox, program, arguments, |command| command)
    }

    fn start<Argument: AsRef<OsStr>>(
        sandbox: &Sandbox,
        program: impl AsRef<OsStr>,
        arguments: impl IntoIterator<Item = Argument>,
        prepare: impl FnOnce(Command) -> Command,
    ) -> Self {
        let (pty, pts) = open().unwrap();
        pty.resize(pty_process::Size::new(24, 200)).unwrap();
        let command = Command::new(program).args(arguments).env_clear().envs(sandbox.environment());
        let child = prepare(command).spawn(pts).unwrap();
        let pty = Arc::new(pty);
        let screen = Arc::new(Screen::default());
        thread::spawn({
            let (pty, screen) = (pty.clone(), screen.clone());
            move || {
                let mut bytes = [0; 4_096];
                loop {
                    // EIO is the end: nobody has the terminal open any more.
                    let read = (&*pty).read(&mut bytes).unwrap_or(0);
                    let mut text = screen.text.lock().unwrap();
                    text.0.push_str(&String::from_utf8_lossy(&bytes[..read]));
                    text.1 = read == 0;
                    screen.changed.notify_all();
                    if read == 0 {
                        return;
                    }
                }
            }
        });
        Self { pty, child, screen }
    }

    /// Waits until the screen has shown this text.
    #[track_caller]
    pub fn wait_for(&self, words: &str) {
        self.wait_for_after(0, words);
    }

    /// Waits until the screen has shown this text behind its first so many bytes.
    #[track_caller]
    pub fn wait_for_after(&self, start: usize, words: &str) {
        self.wait_for_any_after(start, &[words]);
    }

    /// Waits until the screen has shown one of these texts behind its first so many bytes.
    #[track_caller]
    pub fn wait_for_any_after(&self, start: usize, words: &[&str]) {
        let shown = self.shows_within(start, words, PATIENCE);
        assert!(shown, "no {words:?} on the screen: {:?}", &self.screen()[start..]);
    }

    /// Everything that the screen has shown.
    pub fn screen(&self) -> String {
        self.screen.text.lock().unwrap().0.clone()
    }

    /// Whether the screen has shown this text by now.
    pub fn shows(&self, words: &str) -> bool {
        self.screen().contains(words)
    }

    /// Types.
    pub fn type_in(&self, text: &str) {
        (&*self.pty).write_all(text.as_bytes()).unwrap();
    }

    /// The program's process.
    pub fn pid(&self) -> i32 {
        i32::try_from(self.child.id()).unwrap()
    }

    /// Ends the program as nobody can refuse.
    pub fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// How the terminal treats what is typed.
    pub fn modes(&self) -> rustix::termios::Termios {
        rustix::termios::tcgetattr(&*self.pty).unwrap()
    }

    /// Waits for the program's end. What was on the screen is in the place of stderr.
    pub fn finish(self) -> Run {
        let mut run: Run = self.child.wait_with_output().unwrap().into();
        // Its last words may still be on their way.
        let text = self.screen.text.lock().unwrap();
        let ended = self.screen.changed.wait_timeout_while(text, PATIENCE, |text| !text.1).unwrap();
        run.stderr.clone_from(&ended.0.0);
        run
    }

    fn shows_within(&self, start: usize, words: &[&str], patience: Duration) -> bool {
        let shows = |text: &str| words.iter().any(|words| text[start..].contains(words));
        let deadline = Instant::now() + patience;
        let mut text = self.screen.text.lock().unwrap();
        while !shows(&text.0) && !text.1 {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            text = self.screen.changed.wait_timeout(text, left).unwrap().0;
        }
        shows(&text.0)
    }
}
