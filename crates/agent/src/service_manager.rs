//! Under a service manager such as systemd: the socket that it listens on for us, and what it is told.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd, RawFd};
use std::path::Path;
use std::time::Duration;

use protocol::address;
use tokio::io::AsyncReadExt;
use tokio::net::unix::pipe;
use tokio::time::timeout;

use crate::platform;

/// The first descriptor that a manager passes (`SD_LISTEN_FDS_START`).
const FIRST: RawFd = 3;

/// The name that the socket unit gives the descriptor (`FileDescriptorName=`).
const NAME: &str = "mfa-agent";

/// How long the manager may take to hear of another process.
const HEARING: Duration = Duration::from_secs(2);

/// The variables by which a socket is passed. They are for one process, and for none of its children.
pub const LISTEN_VARIABLES: [&str; 3] = ["LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"];

/// Why a socket that was passed is not taken.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum Misfit {
    /// The variables are meant for another process.
    #[error("LISTEN_PID is {0}, and this process is another one")]
    Process(String),
    /// Not one descriptor.
    #[error("LISTEN_FDS is {0}, and the agent takes one socket")]
    Count(String),
    /// It has another name.
    #[error("the socket passed is called {0}, not {NAME}")]
    Name(String),
    /// It is not open, or something else.
    #[error("descriptor {FIRST} is no local socket that listens for connections")]
    NotListening,
    /// It listens elsewhere than clients look.
    #[error("the socket passed listens at {0}, where no client looks; {1} is the place")]
    Elsewhere(String, String),
    /// Its file is gone, or open to others.
    #[error("the socket {0} is not this user's alone (mode 0600)")]
    NotOursAlone(String),
}

/// The number of the descriptor that was passed to this process; none where none was.
pub fn passed(variable: impl Fn(&str) -> Option<OsString>, own_pid: u32) -> Result<Option<RawFd>, Misfit> {
    let [pid, count, names] =
        LISTEN_VARIABLES.map(|name| variable(name).map(|value| value.to_string_lossy().into_owned()));
    let Some(pid) = pid else { return Ok(None) };
    if pid.parse() != Ok(own_pid) {
        return Err(Misfit::Process(pid));
    }
    let count = count.unwrap_or_default();
    if count != "1" {
        return Err(Misfit::Count(if count.is_empty() { "not set".to_owned() } else { count }));
    }
    match names {
        Some(name) if name != NAME => Err(Misfit::Name(name)),
        _ => Ok(Some(FIRST)),
    }
}

/// Takes the socket over, if it is the one that clients connect to and closed to everybody else.
pub fn take(number: RawFd, path: &Path) -> Result<OwnedFd, Misfit> {
    let socket = platform::adopt(number).map_err(|_| Misfit::NotListening)?;
    let Some(listens_at) = platform::listens_at(&socket) else { return Err(Misfit::NotListening) };
    let words = |path: &Path| path.display().to_string();
    if listens_at != path {
        return Err(Misfit::Elsewhere(words(&listens_at), words(path)));
    }
    let folder = path
        .parent()
        .is_some_and(|folder| address::check_folder(folder, platform::own_uid()).unwrap_or(false));
    if !folder || !platform::is_private_socket(path) {
        return Err(Misfit::NotOursAlone(words(path)));
    }
    Ok(socket)
}

/// The manager that started this process, if it wants to hear of it (`NOTIFY_SOCKET`).
#[derive(Debug, Default)]
pub struct ServiceManager {
    address: Option<OsString>,
}

impl ServiceManager {
    /// The one at this address.
    pub fn at(address: Option<OsString>) -> Self {
        Self { address: address.filter(|address| !address.is_empty()) }
    }

    /// The socket takes connections.
    pub fn ready(&self) {
        // A manager that cannot be told ends us by itself.
        let _ = self.tell("READY=1", None);
    }

    /// This is the end.
    pub fn stopping(&self) {
        let _ = self.tell("STOPPING=1", None);
    }

    /// Another process goes on as this service. Returns once the manager knows: it would take the end of this
    /// one for the end of the service.
    pub async fn succeeded_by(&self, pid: u32) {
        if self.tell(&format!("MAINPID={pid}"), None).is_err() {
            return;
        }
        // The manager closes what comes with BARRIER=1 once it has worked through everything before it.
        let Ok((barrier, mut passed)) = pipe::pipe() else { return };
        if self.tell("BARRIER=1", Some(barrier.as_fd())).is_ok() {
            drop(barrier);
            let _ = timeout(HEARING, passed.read(&mut [0])).await;
        }
    }

    fn tell(&self, message: &str, along: Option<BorrowedFd<'_>>) -> io::Result<()> {
        let address: &OsStr = self.address.as_deref().ok_or(io::ErrorKind::NotFound)?;
        platform::tell_manager(address, message.as_bytes(), along)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn given(variables: &[(&str, &str)]) -> Result<Option<RawFd>, Misfit> {
        let variable = |name: &str| {
            variables.iter().find(|(known, _)| *known == name).map(|(_, value)| OsString::from(value))
        };
        passed(variable, 42)
    }

    #[test]
    fn one_socket_for_this_process_is_taken_and_nothing_else() {
        assert_eq!(given(&[]), Ok(None));
        let ours = ("LISTEN_PID", "42");
        assert_eq!(given(&[ours, ("LISTEN_FDS", "1")]), Ok(Some(3)));
        assert_eq!(given(&[ours, ("LISTEN_FDS", "1"), ("LISTEN_FDNAMES", NAME)]), Ok(Some(3)));
        for foreign in ["41", "", "-1", "42x"] {
            let misfit = given(&[("LISTEN_PID", foreign), ("LISTEN_FDS", "1")]);
            assert_eq!(misfit, Err(Misfit::Process(foreign.to_owned())));
        }
        for count in ["0", "2", "-1", "many"] {
            assert_eq!(given(&[ours, ("LISTEN_FDS", count)]), Err(Misfit::Count(count.to_owned())));
        }
        assert!(matches!(given(&[ours]), Err(Misfit::Count(_))));
        let two = given(&[ours, ("LISTEN_FDS", "1"), ("LISTEN_FDNAMES", "other")]);
        assert_eq!(two, Err(Misfit::Name("other".to_owned())));
    }
}
