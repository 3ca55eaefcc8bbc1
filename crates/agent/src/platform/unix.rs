//! What all Unix systems do alike.

use std::ffi::OsString;
use std::fs::{DirBuilder, File, Metadata, OpenOptions};
use std::future::poll_fn;
use std::io::{self, Read};
use std::os::fd::{BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, MetadataExt, OpenOptionsExt};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::task::Poll;

use rustix::io::{Errno, FdFlags, fcntl_setfd, ioctl_fionbio};
use rustix::net::{self, AddressFamily, SocketAddrUnix, SocketType, sockopt};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::process::{ChildStdout, Command};
use tokio::signal::unix::{Signal, SignalKind, signal};

/// The uid whose sessions these are.
pub fn own_uid() -> u32 {
    rustix::process::geteuid().as_raw()
}

/// This host's name.
pub fn host() -> String {
    OsString::from_vec(rustix::system::uname().nodename().to_bytes().to_vec()).to_string_lossy().into_owned()
}

/// A folder for this uid alone, made with its mode: there is no moment at which it is open.
pub fn create_private_folder(path: &Path) -> io::Result<()> {
    match DirBuilder::new().mode(0o700).create(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let Some(parent) = path.parent() else { return Err(error) };
            create_private_folder(parent)?;
            create_private_folder(path)
        }
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        other => other,
    }
}

/// The lock file, made if it is not there; never followed through a link.
pub fn open_lock(path: &Path) -> io::Result<File> {
    let nofollow = i32::try_from(rustix::fs::OFlags::NOFOLLOW.bits()).unwrap_or(0);
    OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .custom_flags(nofollow)
        .open(path)
}

/// Which file a path leads to, for "is it still the one that we made?".
pub fn same_file(path: &Path) -> Option<(u64, u64)> {
    path.symlink_metadata().ok().map(|metadata| (metadata.dev(), metadata.ino()))
}

/// What changes when a file does: device, file, size, times of the contents and of the status.
pub type Fingerprint = (u64, u64, u64, (i64, i64), (i64, i64));

/// The fingerprint of a file; none where there is none. One look.
pub fn fingerprint(path: &Path) -> Option<Fingerprint> {
    let metadata = path.metadata().ok()?;
    let contents = (metadata.mtime(), metadata.mtime_nsec());
    let status = (metadata.ctime(), metadata.ctime_nsec());
    Some((metadata.dev(), metadata.ino(), metadata.len(), contents, status))
}

/// The largest file that is read whole, in bytes.
const LARGEST_FILE: u64 = 16 * 1024 * 1024;

/// A file's bytes. Only a regular file of a sensible size: a pipe would keep everybody waiting, a device would
/// never end.
pub fn read_file(path: &Path) -> io::Result<Vec<u8>> {
    let nonblock = i32::try_from(rustix::fs::OFlags::NONBLOCK.bits()).unwrap_or(0);
    let mut file = OpenOptions::new().read(true).custom_flags(nonblock).open(path)?;
    let metadata = file.metadata()?;
    if !metadata.is_file() {
        return Err(io::Error::other("it is no regular file"));
    }
    if metadata.len() > LARGEST_FILE {
        return Err(io::Error::other("it is larger than 16 MiB"));
    }
    let mut bytes = Vec::with_capacity(usize::try_from(metadata.len()).unwrap_or(0) + 1);
    file.by_ref().take(LARGEST_FILE).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Whether a file is a socket.
pub fn is_socket(metadata: &Metadata) -> bool {
    metadata.file_type().is_socket()
}

/// Leaves the terminal and the folder that it was started in.
pub fn detach() {
    // Fails for the leader of a process group, which has left already.
    let _ = rustix::process::setsid();
    let _ = rustix::process::chdir("/");
}

/// Makes files that are for this uid alone from here on.
pub fn make_private_files() {
    rustix::process::umask(rustix::fs::Mode::RWXG | rustix::fs::Mode::RWXO);
}

/// Reads so many bytes from stdin to where they belong, through no buffer, and puts `/dev/null` in its place.
pub fn take_stdin(bytes: &mut [u8]) -> io::Result<()> {
    File::from(rustix::stdio::stdin().try_clone_to_owned()?).read_exact(bytes)?;
    rustix::stdio::dup2_stdin(OpenOptions::new().read(true).open("/dev/null")?)?;
    Ok(())
}

/// Lets a child have a descriptor, under the same number.
pub fn let_inherit(descriptor: &OwnedFd) -> io::Result<()> {
    Ok(fcntl_setfd(descriptor, FdFlags::empty())?)
}

/// Takes a descriptor over that a parent left to this process under a number.
pub fn adopt(number: RawFd) -> io::Result<OwnedFd> {
    if number <= 2 {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    // SAFETY: the borrow ends before anything else happens; a number that is not open is an error.
    #[expect(unsafe_code, reason = "an inherited descriptor has no owner in this program")]
    fcntl_setfd(unsafe { BorrowedFd::borrow_raw(number) }, FdFlags::CLOEXEC)?;
    // SAFETY: it is open, and the parent left it to us: nothing else in this program knows of it.
    #[expect(unsafe_code, reason = "an inherited descriptor has no owner in this program")]
    let owned = unsafe { OwnedFd::from_raw_fd(number) };
    Ok(owned)
}

/// Where a socket listens for connections of this machine; none where it does not.
pub fn listens_at(socket: &OwnedFd) -> Option<PathBuf> {
    let stream = sockopt::socket_type(socket).is_ok_and(|kind| kind == SocketType::STREAM);
    if !super::listens(socket) || !stream {
        return None;
    }
    let listener = UnixListener::from(socket.try_clone().ok()?);
    listener.local_addr().ok()?.as_pathname().map(Path::to_owned)
}

/// Whether a path is a socket of this uid's, and closed to others.
pub fn is_private_socket(path: &Path) -> bool {
    path.symlink_metadata().is_ok_and(|metadata| {
        is_socket(&metadata) && metadata.uid() == own_uid() && metadata.mode() & 0o777 == 0o600
    })
}

/// Whether somebody listens at a path. Does not wait, though it knocks: who listens notices.
pub fn somebody_listens(path: &Path) -> bool {
    let knock = || {
        // Not every system has flags for these two.
        let socket = net::socket(AddressFamily::UNIX, SocketType::STREAM, None)?;
        fcntl_setfd(&socket, FdFlags::CLOEXEC)?;
        ioctl_fionbio(&socket, true)?;
        net::connect(&socket, &SocketAddrUnix::new(path)?)
    };
    // A queue that is full is somebody's.
    matches!(knock(), Ok(()) | Err(Errno::AGAIN))
}

/// Puts `/dev/null` in the place of stdout, so that who reads it sees the end.
pub fn let_go_of_stdout() -> io::Result<()> {
    let null = OpenOptions::new().read(true).write(true).open("/dev/null")?;
    rustix::stdio::dup2_stdout(&null)?;
    Ok(())
}

/// Whether nobody but this uid and root can have written a file. One that is not there is nobody's.
pub fn is_ours_alone(path: &Path) -> bool {
    path.metadata()
        .map_or(true, |metadata| [own_uid(), 0].contains(&metadata.uid()) && metadata.mode() & 0o022 == 0)
}

/// Whether a file can be run.
pub fn is_program(path: &Path) -> bool {
    path.metadata().is_ok_and(|metadata| metadata.is_file() && metadata.mode() & 0o111 != 0)
}

/// Kills a process and all others of its group.
pub fn kill_group(leader: u32) {
    if let Some(leader) = i32::try_from(leader).ok().and_then(rustix::process::Pid::from_raw) {
        // Gone already is as good.
        let _ = rustix::process::kill_process_group(leader, rustix::process::Signal::KILL);
    }
}

/// Reads a pipe until it is empty for now; returns how many bytes that were.
pub fn read_what_is_there(pipe: &ChildStdout, buffer: &mut [u8]) -> usize {
    let mut length = 0;
    while let Ok(read) = rustix::io::read(pipe, &mut buffer[length..])
        && read > 0
    {
        length += read;
    }
    length
}

/// The limit of open files that this process was started with.
static FILE_LIMIT: OnceLock<Rlimit> = OnceLock::new();

/// Lets a child have the limit of open files that the agent was started with: programs that close every file
/// they could have open take minutes over a very high one.
pub fn give_back_file_limit(command: &mut Command) {
    let Some(limit) = FILE_LIMIT.get().copied() else { return };
    // SAFETY: between fork and exec only setrlimit is called, a system call and nothing else.
    #[expect(unsafe_code, reason = "between fork and exec little is allowed")]
    unsafe {
        command.pre_exec(move || Ok(setrlimit(Resource::Nofile, limit)?));
    }
}

/// Allows this process as many open files as the system lets it, and says how many these are.
pub fn raise_file_limit() -> u64 {
    let limit = getrlimit(Resource::Nofile);
    let _ = FILE_LIMIT.set(limit);
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    let now = if setrlimit(Resource::Nofile, raised).is_ok() { limit.maximum } else { limit.current };
    now.unwrap_or(u64::MAX)
}

/// What a signal asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// To end (`SIGTERM`, `SIGINT`).
    End,
    /// To forget everything that is held, and to go on (`SIGUSR1`).
    Forget,
    /// To read the files anew (`SIGHUP`). It is no reason to end: the terminal that this was started from is not its
    /// own.
    ReadAnew,
}

/// The signals that ask for something.
pub struct Orders([(Signal, Order); 4]);

impl Orders {
    /// From here on none of them ends this process by itself. Needs the event loop.
    pub fn new() -> io::Result<Self> {
        let listen = |kind, order| io::Result::Ok((signal(kind)?, order));
        Ok(Self([
            listen(SignalKind::terminate(), Order::End)?,
            listen(SignalKind::interrupt(), Order::End)?,
            listen(SignalKind::user_defined1(), Order::Forget)?,
            listen(SignalKind::hangup(), Order::ReadAnew)?,
        ]))
    }

    /// The next one.
    pub async fn next(&mut self) -> Order {
        poll_fn(|context| {
            for (signal, order) in &mut self.0 {
                if signal.poll_recv(context).is_ready() {
                    return Poll::Ready(*order);
                }
            }
            Poll::Pending
        })
        .await
    }
}
