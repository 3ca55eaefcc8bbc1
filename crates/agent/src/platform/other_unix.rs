//! macOS and the BSDs. Compiled in their own CI jobs; not run by the authors.

use std::convert::Infallible;
use std::ffi::{OsStr, c_void};
use std::io;
use std::net::SocketAddr;
use std::os::fd::{BorrowedFd, OwnedFd, RawFd};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::time::Duration;

use super::Process;
use interprocess::local_socket::ListenerOptions;
use rustix::process::{Resource, Rlimit, setrlimit};
use rustix::time::{ClockId, clock_gettime};

/// Keeps this process's memory out of core dumps.
pub fn harden() -> io::Result<()> {
    setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) })?;
    Ok(())
}

/// Seconds by a clock that nobody can set back. On macOS `CLOCK_MONOTONIC` goes on while the machine is
/// asleep.
pub fn boot_seconds() -> u64 {
    u64::try_from(clock_gettime(ClockId::Monotonic).tv_sec).unwrap_or(0)
}

/// Closes what the starter left open beyond stdin, stdout, stderr and what is to be kept.
pub fn close_inherited(keep: Option<RawFd>) {
    for descriptor in (3..1024).filter(|descriptor| Some(*descriptor) != keep) {
        // SAFETY: called first of all, on the only thread: nothing of this process's has opened a file yet,
        // so no owner of a descriptor exists.
        #[expect(unsafe_code, reason = "an inherited descriptor has no owner in this program")]
        unsafe {
            let _ = rustix::io::try_close(descriptor);
        }
    }
}

/// Would keep mapped memory out of core dumps; here the limit of [`harden`] does.
pub fn hide(_start: *mut c_void, _size: usize) {}

/// Memory that the kernel cannot read is not to be had here.
pub fn map_secret(_size: usize) -> io::Result<*mut c_void> {
    Err(io::ErrorKind::Unsupported.into())
}

/// Memory without a name is not to be had here, and a file is none.
pub fn sealed_memory(_bytes: &[u8]) -> io::Result<OwnedFd> {
    Err(io::ErrorKind::Unsupported.into())
}

/// There is none here.
pub fn read_sealed_memory(_memory: &OwnedFd) -> io::Result<Vec<u8>> {
    Err(io::ErrorKind::Unsupported.into())
}

/// A socket for this uid alone: its folder is closed to others, and so is the umask; a mode of its own is not
/// to be had here.
pub fn for_own_uid(options: ListenerOptions<'_>) -> ListenerOptions<'_> {
    options
}

/// Whether this is a socket of this machine; whether it listens is not to be had from every kernel.
pub fn listens(socket: &OwnedFd) -> bool {
    socket.try_clone().is_ok_and(|socket| UnixListener::from(socket).local_addr().is_ok())
}

/// Would tell a service manager something; that of macOS does not listen for it.
pub fn tell_manager(_address: &OsStr, _message: &[u8], _along: Option<BorrowedFd<'_>>) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

/// Would tell when names in a folder go; here nothing does.
pub struct FolderWatch;

impl FolderWatch {
    /// Watches nothing.
    pub fn new(_folder: &Path) -> io::Result<Self> {
        Ok(Self)
    }

    /// Never resolves.
    pub async fn something_went(&self) {
        std::future::pending().await
    }
}

/// How often the clocks are looked at where nothing tells that one was set, or that the machine slept.
const LOOK_EVERY: Duration = Duration::from_secs(30);

/// Rings after a time, and at least every half minute: the timers to be had here stand still while the machine
/// is asleep, and do not know of a clock that was set.
pub struct Alarm;

impl Alarm {
    /// An alarm that is not set.
    pub fn new() -> io::Result<Self> {
        Ok(Self)
    }

    /// Resolves when this much time has passed, or half a minute. Without a time it never resolves.
    pub async fn ring(&self, after: Option<Duration>) {
        match after {
            Some(after) => tokio::time::sleep(after.min(LOOK_EVERY)).await,
            None => std::future::pending().await,
        }
    }
}

/// The program of a process: not known here.
pub fn program_of(_pid: u32) -> Option<String> {
    None
}

/// The process that started another: not known here.
pub fn parent_of(_pid: u32) -> Option<u32> {
    None
}

/// The session of processes that a process is in: not known here.
pub fn session_of(_pid: u32) -> Option<Process> {
    None
}

/// Whether a TCP connection on this machine is of our own uid. Not known here: the token alone counts.
pub fn is_own_connection(_peer: SocketAddr, _own: SocketAddr) -> bool {
    true
}

/// The end of a process. Not known here.
pub struct ProcessEnd(Infallible);

impl ProcessEnd {
    /// Cannot be watched for.
    pub fn of(_pid: u32) -> io::Result<Self> {
        Err(io::ErrorKind::Unsupported.into())
    }

    /// Never called.
    pub async fn reached(self) {
        match self.0 {}
    }
}
