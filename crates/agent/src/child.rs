//! A program that the agent runs for the person: it gets three streams and a chosen environment and nothing
//! else of the agent's, has a process group of its own, and an end.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::io;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use tokio::io::AsyncReadExt;
use tokio::process::{ChildStdin, ChildStdout, Command};
use tokio::time::timeout;
use zeroize::Zeroizing;

use crate::platform;

/// The environment of a child.
pub type ChildEnvironment = BTreeMap<OsString, OsString>;

/// A running program. Dropped, its whole process group is killed.
pub struct Child {
    process: tokio::process::Child,
    /// Its stdin, where it has one.
    pub input: Option<ChildStdin>,
    /// Its stdout.
    pub output: ChildStdout,
}

/// What a program left behind.
pub struct Finished {
    /// How it ended.
    pub status: ExitStatus,
    /// What it wrote to stdout; wiped when dropped.
    pub output: Zeroizing<Vec<u8>>,
}

/// Why a program left nothing.
#[derive(Debug)]
pub enum Trouble {
    /// It could not be started or spoken to.
    Io(io::Error),
    /// It did not end in time.
    TimedOut,
    /// It wrote more than it may.
    TooMuch,
}

impl std::fmt::Display for Trouble {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Io(error) => error.fmt(formatter),
            Self::TimedOut => formatter.write_str("it did not end in time"),
            Self::TooMuch => formatter.write_str("it wrote too much"),
        }
    }
}

impl Child {
    /// Starts a program. Without `speaks` its stdin is `/dev/null`; its stderr always is: programs quote their
    /// arguments there.
    pub fn start<Argument: AsRef<OsStr>>(
        program: impl AsRef<OsStr>,
        arguments: impl IntoIterator<Item = Argument>,
        environment: &ChildEnvironment,
        speaks: bool,
    ) -> io::Result<Self> {
        let mut command = Command::new(program);
        command
            .args(arguments)
            .env_clear()
            .envs(environment)
            .current_dir("/")
            .process_group(0)
            .stdin(if speaks { Stdio::piped() } else { Stdio::null() })
            .stdout(Stdio::piped())
            .stderr(Stdio::null());
        platform::give_back_file_limit(&mut command);
        let mut process = command.spawn()?;
        let input = process.stdin.take();
        let output = process.stdout.take().ok_or(io::ErrorKind::BrokenPipe)?;
        Ok(Self { process, input, output })
    }

    /// Waits for the end of it, for no longer than `limit`, and for no more than `most` bytes. What it leaves
    /// behind in the background is not waited for.
    pub async fn finish(mut self, limit: Duration, most: usize) -> Result<Finished, Trouble> {
        // Nobody reads on: who waits for an answer sees the end.
        self.input = None;
        timeout(limit, self.finished(most)).await.unwrap_or(Err(Trouble::TimedOut))
    }

    async fn finished(&mut self, most: usize) -> Result<Finished, Trouble> {
        // Of full size from the start: a buffer that grows leaves copies behind. One more tells "too much".
        let mut output = Zeroizing::new(vec![0; most + 1]);
        let mut length = 0;
        let mut status = None;
        let mut open = true;
        while open && status.is_none() {
            tokio::select! {
                read = self.output.read(&mut output[length..]) => match read.map_err(Trouble::Io)? {
                    0 => open = false,
                    read => length += read,
                },
                ended = self.process.wait() => status = Some(ended.map_err(Trouble::Io)?),
            }
            if length > most {
                return Err(Trouble::TooMuch);
            }
        }
        let status = match status {
            Some(status) => {
                // All that it wrote is in the pipe by now; what its children may write is not its answer.
                length += platform::read_what_is_there(&self.output, &mut output[length..]);
                status
            }
            None => self.process.wait().await.map_err(Trouble::Io)?,
        };
        if length > most {
            return Err(Trouble::TooMuch);
        }
        output.truncate(length);
        Ok(Finished { status, output })
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        // None once it was waited for: its number may be another's by then.
        if let Some(pid) = self.process.id() {
            platform::kill_group(pid);
        }
    }
}

#[cfg(test)]
pub mod tests {
    use std::path::Path;

    use super::*;

    fn shell(code: &str) -> Child {
        let path = BTreeMap::from([("PATH".into(), std::env::var_os("PATH").unwrap())]);
        Child::start("/bin/sh", ["-c", code], &path, false).unwrap()
    }

    const LONG: Duration = Duration::from_mins(1);

    /// Waits until a process has ended, or waits only for whoever inherits orphans.
    pub async fn ended(pid: &str) {
        let stat = Path::new("/proc").join(pid).join("stat");
        let gone = async {
            while std::fs::read_to_string(&stat).is_ok_and(|stat| !stat.contains(") Z ")) {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        timeout(LONG, gone).await.unwrap();
    }

    #[tokio::test]
    async fn what_it_wrote_and_how_it_ended() {
        let finished = shell("echo one; echo two >&2; exit 3").finish(LONG, 64).await.unwrap();
        assert_eq!((finished.status.code(), finished.output.as_slice()), (Some(3), &b"one\n"[..]));
    }

    #[tokio::test]
    async fn who_writes_without_an_end_is_ended() {
        assert!(matches!(shell("yes").finish(LONG, 65_536).await, Err(Trouble::TooMuch)));
    }

    #[tokio::test]
    async fn who_leaves_somebody_behind_is_not_waited_for() {
        let finished = shell("sleep 1000 & echo $! here").finish(LONG, 64).await.unwrap();
        let output = String::from_utf8(finished.output.to_vec()).unwrap();
        let (pid, rest) = output.split_once(' ').unwrap();
        assert_eq!(rest, "here\n");
        std::process::Command::new("kill").args(["-9", pid]).status().unwrap();
    }

    #[tokio::test]
    async fn who_does_not_end_is_ended_with_all_its_children() {
        let mut child = shell("trap '' TERM; sleep 1000 & echo $!; wait");
        let mut line = [0; 16];
        let length = child.output.read(&mut line).await.unwrap();
        let pid = std::str::from_utf8(&line[..length]).unwrap().trim().to_owned();
        assert!(matches!(child.finish(Duration::from_millis(50), 64).await, Err(Trouble::TimedOut)));
        ended(&pid).await;
    }
}
