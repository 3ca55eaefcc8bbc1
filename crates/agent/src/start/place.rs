//! Where the agent is: its folder, the lock that makes it the one there, and its socket.

use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use interprocess::local_socket::tokio::Listener;
use protocol::address::{self, Address, Surroundings};

use super::{Failure, PAUSE, failure, variable};
use crate::{platform, server};

/// How long the kernel may take to close the socket of an agent that was killed.
const DYING: Duration = Duration::from_millis(500);

/// Where this user's agent is, by the environment.
pub fn own_address() -> Result<Address, Failure> {
    let (socket, runtime_dir, home) =
        (variable(address::SOCKET_VARIABLE), variable("XDG_RUNTIME_DIR"), variable("HOME"));
    let surroundings = Surroundings {
        uid: platform::own_uid(),
        socket: socket.as_deref(),
        runtime_dir: runtime_dir.as_deref(),
        home: home.as_deref(),
    };
    address::resolve(&surroundings, platform::host)
        .map_err(|error| failure(&error, "set XDG_RUNTIME_DIR to a folder of your own with mode 0700"))
}

/// Makes the folder, or sees that the one that is there is ours alone.
pub fn prepare_folder(folder: &Path) -> Result<(), Failure> {
    let refused = |error: address::AddressError| {
        failure(
            &error,
            "the socket needs a folder of your own with mode 0700; remove this one, or set XDG_RUNTIME_DIR",
        )
    };
    if address::check_folder(folder, platform::own_uid()).map_err(refused)? {
        return Ok(());
    }
    platform::create_private_folder(folder).map_err(|error| {
        failure(
            &format!("the runtime folder {} cannot be made: {error}", folder.display()),
            &address::hint(&error, folder, "set XDG_RUNTIME_DIR to a folder of your own"),
        )
    })?;
    // Made by us, or by somebody else in the same moment.
    address::check_folder(folder, platform::own_uid()).map_err(refused).map(drop)
}

/// The lock that makes this the one agent. The kernel takes it back however this process ends. Who holds it has so
/// long to leave.
pub fn lock(socket: &Path, patience: Duration) -> Result<File, Failure> {
    let mut path = socket.as_os_str().to_owned();
    path.push(".lock");
    let path = PathBuf::from(path);
    let hint = "see who owns the file, and whether its file system knows locks";
    let lock = platform::open_lock(&path).map_err(|error| {
        let hint = address::hint(&error, folder_of(socket), hint);
        failure(&format!("the lock file {} cannot be opened: {error}", path.display()), &hint)
    })?;
    let deadline = Instant::now() + patience;
    loop {
        match lock.try_lock() {
            Ok(()) => return Ok(lock),
            // No lock waits for a limited time, and none tells that it is free.
            Err(TryLockError::WouldBlock) if Instant::now() < deadline => thread::sleep(PAUSE),
            Err(TryLockError::WouldBlock) => return Err(Failure::AlreadyRunning),
            Err(TryLockError::Error(error)) => {
                let problem = format!("the lock file {} cannot be locked: {error}", path.display());
                return Err(failure(&problem, hint));
            }
        }
    }
}

fn folder_of(socket: &Path) -> &Path {
    socket.parent().unwrap_or(socket)
}

/// Whether something listens at the socket that is no agent, for an agent would hold the lock. One that was just
/// killed may have lost its lock before its socket.
pub fn is_served(socket: &Path) -> bool {
    let deadline = Instant::now() + DYING;
    while platform::somebody_listens(socket) {
        if Instant::now() >= deadline {
            return true;
        }
        thread::sleep(PAUSE);
    }
    false
}

/// Listens where nobody does: under the lock, a socket that is there is a dead agent's.
pub fn listen(path: &Path) -> Result<Listener, Failure> {
    let refused = |what: String| failure(&what, "move it away, then: mfa-agent agent start");
    match path.symlink_metadata() {
        Ok(metadata) if platform::is_socket(&metadata) => {
            fs::remove_file(path).map_err(|error| {
                refused(format!("the dead socket {} cannot be removed: {error}", path.display()))
            })?;
        }
        Ok(_) => {
            return Err(refused(format!("{} is in the socket's place and is no socket", path.display())));
        }
        Err(_) => {}
    }
    let unusable = |error: io::Error| {
        failure(
            &format!("cannot listen on {}: {error}", path.display()),
            &address::hint(&error, folder_of(path), "set XDG_RUNTIME_DIR to a folder on a local file system"),
        )
    };
    server::listen(path).map_err(unusable)
}
