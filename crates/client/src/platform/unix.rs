//! Linux, macOS and the BSDs: standard streams, processes, files.

mod channel;
mod terminal;

pub use channel::{Descriptor, Interrupt, descriptor, receive, send, wait_readable};
pub use terminal::{Event, Terminal};

use std::ffi::{CString, OsStr, OsString};
use std::fs::{DirBuilder, File, OpenOptions};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, IntoRawFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, OpenOptionsExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::{FlockOperation, Mode, OFlags, flock, open};
use rustix::io::Errno;
use rustix::{process, stdio, system, termios};

/// Sees to it that the descriptors 0 to 2 are taken: a socket that landed there would be written to as if it
/// were stdout. What was closed stays unwritable, so that a lost output is still an error.
pub fn guard_standard_streams() {
    let [stdin, stdout, stderr] = [stdio::stdin(), stdio::stdout(), stdio::stderr()];
    let mut streams = [&stdin, &stdout, &stderr].map(|stream| PollFd::new(stream, PollFlags::empty()));
    if poll(&mut streams, Some(&rustix::event::Timespec::default())) == Ok(0) {
        return;
    }
    for stream in &streams {
        if stream.revents().contains(PollFlags::NVAL) {
            // The lowest free number is this one. It stays open to the end.
            if let Ok(null) = open("/dev/null", OFlags::RDONLY, Mode::empty()) {
                let _ = null.into_raw_fd();
            }
        }
    }
}

/// The effective uid.
pub fn user() -> u32 {
    process::geteuid().as_raw()
}

/// This host's name.
pub fn host() -> String {
    system::uname().nodename().to_string_lossy().into_owned()
}

/// The name of the program that started us, where the system says it cheaply.
pub fn parent_program() -> Option<Vec<u8>> {
    if !cfg!(target_os = "linux") {
        return None;
    }
    let comm = format!("/proc/{}/comm", process::getppid()?);
    let file = open(comm, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()).ok()?;
    // The kernel cuts it to 15 bytes.
    let mut name = [0; 32];
    let length = rustix::io::read(&file, &mut name).ok()?;
    Some(name[..length].strip_suffix(b"\n").unwrap_or(&name[..length]).to_vec())
}

/// Somebody looks at stdout.
pub fn stdout_is_terminal() -> bool {
    termios::isatty(stdio::stdout())
}

/// Somebody looks at stderr.
pub fn stderr_is_terminal() -> bool {
    termios::isatty(stdio::stderr())
}

/// Writes all of it to stdout, in one call where the system lets us.
pub fn write_stdout(bytes: &[u8]) -> io::Result<()> {
    write_all(stdio::stdout(), bytes)
}

/// Writes to stderr; where that fails there is nobody left to tell.
pub fn write_stderr(bytes: &[u8]) {
    let _ = write_all(stdio::stderr(), bytes);
}

fn write_all(stream: BorrowedFd<'_>, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        match rustix::io::write(stream, bytes) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(written) => bytes = &bytes[written..],
            Err(Errno::INTR) => {}
            // Somebody made a shared descriptor non-blocking.
            Err(Errno::AGAIN) => {
                poll(&mut [PollFd::new(&stream, PollFlags::OUT)], None)?;
            }
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

/// All that a file, a pipe or stdin holds, at most `limit` bytes of it. Nothing of it stays in a buffer.
pub fn read_all(file: impl AsFd, limit: usize) -> io::Result<zeroize::Zeroizing<Vec<u8>>> {
    let mut bytes = zeroize::Zeroizing::new(vec![0; limit]);
    let mut length = 0;
    while length < limit {
        match rustix::io::read(&file, &mut bytes[length..]) {
            Ok(0) => break,
            Ok(read) => length += read,
            Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
    bytes.truncate(length);
    Ok(bytes)
}

/// A file's permissions; none where there is no such file.
pub fn mode(path: &Path) -> Option<u32> {
    Some(path.metadata().ok()?.permissions().mode() & 0o7777)
}

/// One line of stdin without its end, at most `limit` bytes; nothing of what follows is taken.
pub fn stdin_line(limit: usize) -> io::Result<zeroize::Zeroizing<Vec<u8>>> {
    let mut line = zeroize::Zeroizing::new(Vec::with_capacity(limit));
    let mut byte = [0];
    while line.len() < limit {
        match rustix::io::read(stdio::stdin(), &mut byte) {
            Ok(0) => break,
            Ok(_) if byte[0] == b'\n' => break,
            Ok(_) => line.push(byte[0]),
            Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
    if line.last() == Some(&b'\r') {
        line.pop();
    }
    Ok(line)
}

/// Whether there is a socket, something else, or nothing.
pub fn is_socket(path: &Path) -> Option<bool> {
    path.symlink_metadata().ok().map(|metadata| metadata.file_type().is_socket())
}

/// Whether there is something of that name.
pub fn exists(path: &Path) -> bool {
    rustix::fs::lstat(path).is_ok()
}

/// Its permission bits, of what a link leads to.
pub fn permissions(path: &Path) -> Option<u32> {
    path.metadata().ok().map(|metadata| metadata.permissions().mode() & 0o777)
}

/// Makes the folder for this user alone, and its parents where they are missing. One that is there already
/// stays as it is.
pub fn make_private_folder(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(path)
}

/// The lock file, held until the value is dropped; none where somebody else holds it.
pub fn lock(path: &Path) -> io::Result<Option<File>> {
    let file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .custom_flags(OFlags::NOFOLLOW.bits().cast_signed())
        .open(path)?;
    loop {
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Err(Errno::INTR) => {}
            Err(Errno::WOULDBLOCK) => return Ok(None),
            other => return other.map(|()| Some(file)).map_err(io::Error::from),
        }
    }
}

/// Starts the agent and reads the one line that it reports with. An empty line: it ended without a word.
pub fn start_agent(program: &Path, limit: Duration) -> io::Result<Vec<u8>> {
    let mut command = Command::new(program);
    // What a service manager gave a program of whom we are a child is not for the agent.
    for variable in ["LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES", "NOTIFY_SOCKET"] {
        command.env_remove(variable);
    }
    let mut child =
        command.arg("--report").stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn()?;
    let Some(report) = child.stdout.take() else { return Ok(Vec::new()) };
    let deadline = Instant::now() + limit;
    let mut line = Vec::new();
    let mut piece = [0; 1024];
    while !line.ends_with(b"\n") && line.len() < protocol::frame::MAX_LINE {
        wait_readable(report.as_fd(), None, deadline)?;
        match rustix::io::read(&report, &mut piece) {
            Ok(0) => break,
            Ok(length) => line.extend_from_slice(&piece[..length]),
            Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(line)
}

/// A text of the system's, of these bytes.
pub fn text(bytes: &[u8]) -> &OsStr {
    OsStr::from_bytes(bytes)
}

/// Becomes the command, with what is left of our own environment. Returns only where that fails.
pub fn become_command(mut command: Command) -> io::Error {
    command.exec()
}

/// Becomes another program of ours, with the arguments, descriptors, variables and signal settings that we have.
/// Returns only where that fails. [`Command`] would reset signals, and is more than the front needs.
pub fn become_program(program: &Path, arguments: &[OsString]) -> io::Error {
    let text = |text: &OsStr| CString::new(text.as_bytes());
    let arguments = arguments.iter().map(|argument| text(argument)).collect::<Result<Vec<_>, _>>();
    let (Ok(program), Ok(arguments)) = (text(program.as_os_str()), arguments) else {
        return io::ErrorKind::InvalidInput.into();
    };
    let mut pointers: Vec<_> = arguments.iter().map(|argument| argument.as_ptr()).collect();
    pointers.push(std::ptr::null());
    #[expect(unsafe_code, reason = "the standard library has no plain execv")]
    // SAFETY: all are C strings that live to the end of this function, and the list ends with a null pointer.
    unsafe {
        libc::execv(program.as_ptr(), pointers.as_ptr());
    }
    io::Error::last_os_error()
}

/// Goes by this name in lists of processes, where the system has one beside the program's.
pub fn set_name(name: &str) {
    if cfg!(target_os = "linux") {
        // What is not told is no fault.
        let _ = std::fs::write("/proc/self/comm", name);
    }
}

/// Starts a program that may stay longer than we do, away from the terminal. Its status, where it ends within the limit.
pub fn start_apart(mut command: Command, limit: Duration) -> io::Result<Option<ExitStatus>> {
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    // Ctrl-C at the terminal is not meant for it.
    let mut child = command.process_group(0).spawn()?;
    let (sender, status) = std::sync::mpsc::channel();
    std::thread::spawn(move || sender.send(child.wait()));
    status.recv_timeout(limit).ok().transpose()
}

/// Becomes the agent. Returns only where that fails.
pub fn become_agent(program: &Path, arguments: &[OsString]) -> io::Error {
    Command::new(program).args(arguments).exec()
}
