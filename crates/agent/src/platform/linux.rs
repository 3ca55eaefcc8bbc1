//! Linux.

use std::ffi::{OsStr, c_void};
use std::fs;
use std::io::{self, BufRead, BufReader, IoSlice, Read, Write};
use std::mem::MaybeUninit;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::ptr;
use std::slice;
use std::str::FromStr;
use std::time::Duration;

use super::Process;
use interprocess::local_socket::ListenerOptions;
use interprocess::os::unix::local_socket::ListenerOptionsExt;
use rustix::cmsg_space;
use rustix::fs::inotify::{self, WatchFlags};
use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, fcntl_get_seals, fstat, ftruncate, memfd_create};
use rustix::io::Errno;
use rustix::mm::{Advice, MapFlags, ProtFlags, madvise, mmap};
use rustix::net::{
    AddressFamily, SendAncillaryBuffer, SendAncillaryMessage, SendFlags, SocketAddrUnix, SocketFlags,
    SocketType, sendmsg_addr, socket_with, sockopt,
};
use rustix::process::{
    DumpableBehavior, Pid, PidfdFlags, Resource, Rlimit, pidfd_open, set_dumpable_behavior, setrlimit,
};
use rustix::time::{
    ClockId, Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, clock_gettime,
    timerfd_create, timerfd_settime,
};
use tokio::io::unix::AsyncFd;

/// Closes this process to debuggers and its memory to core dumps. `PR_SET_DUMPABLE` is what protects:
/// with a `core_pattern` that is a pipe, a limit of 0 still hands the whole core to the handler.
pub fn harden() -> io::Result<()> {
    set_dumpable_behavior(DumpableBehavior::NotDumpable)?;
    setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) })?;
    Ok(())
}

/// Seconds since the machine was started, time asleep included (`CLOCK_BOOTTIME`).
pub fn boot_seconds() -> u64 {
    u64::try_from(clock_gettime(ClockId::Boottime).tv_sec).unwrap_or(0)
}

/// Closes what the starter left open beyond stdin, stdout, stderr and what is to be kept: a file descriptor held for days keeps
/// a pipe from ending and a file system from being unmounted.
pub fn close_inherited(keep: Option<RawFd>) {
    let Ok(entries) = fs::read_dir("/proc/self/fd") else { return };
    let open: Vec<i32> = entries
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter(|descriptor| *descriptor > 2 && Some(*descriptor) != keep)
        .collect();
    for descriptor in open {
        // SAFETY: called first of all, on the only thread: nothing of this process's has opened a file yet,
        // so no owner of a descriptor exists. The listing's own descriptor is closed by now (EBADF).
        #[expect(unsafe_code, reason = "an inherited descriptor has no owner in this program")]
        unsafe {
            let _ = rustix::io::try_close(descriptor);
        }
    }
}

/// Keeps mapped memory out of core dumps, and empty in a forked child.
pub fn hide(start: *mut c_void, size: usize) {
    for advice in [Advice::LinuxDontDump, Advice::LinuxWipeOnFork] {
        // SAFETY: the caller has just mapped it, and neither advice changes what this process sees of it.
        #[expect(unsafe_code, reason = "it takes an address")]
        // An older kernel knows one of them only; nothing here forks or dumps.
        let _ = unsafe { madvise(start, size, advice) };
    }
}

/// Maps memory that the kernel takes out of its own map: `/proc/PID/mem` of root's does not show it, nor does any
/// system call that is handed its address by mistake. It is locked, and not there in a forked child.
pub fn map_secret(size: usize) -> io::Result<*mut c_void> {
    // SAFETY: a call without pointers; it makes a descriptor, or is an error.
    #[expect(unsafe_code, reason = "no library has this call")]
    let number = unsafe { libc::syscall(libc::SYS_memfd_secret, libc::O_CLOEXEC) };
    let number = RawFd::try_from(number).ok().filter(|number| *number >= 0);
    let number = number.ok_or_else(io::Error::last_os_error)?;
    // SAFETY: the kernel has just made it, and nothing else in this program knows of it.
    #[expect(unsafe_code, reason = "a new descriptor has no owner yet")]
    let memory = unsafe { OwnedFd::from_raw_fd(number) };
    ftruncate(&memory, u64::try_from(size).map_err(io::Error::other)?)?;
    let access = ProtFlags::READ | ProtFlags::WRITE;
    // SAFETY: no address is asked for, so no memory of anybody's is replaced; nobody else has the descriptor, which
    // is closed here, and so nobody changes what is mapped.
    #[expect(unsafe_code, reason = "memory of one's own is not to be had otherwise")]
    let start = unsafe { mmap(ptr::null_mut(), size, access, MapFlags::SHARED, &memory, 0) }?;
    // SAFETY: it has just been mapped, and this process sees it as before.
    #[expect(unsafe_code, reason = "it takes an address")]
    unsafe { madvise(start, size, Advice::LinuxDontFork) }?;
    Ok(start)
}

/// Memory without a name that holds these bytes and can never be changed, for another process to read.
pub fn sealed_memory(bytes: &[u8]) -> io::Result<OwnedFd> {
    let memory = memfd_create("mfa-agent", MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING)?;
    let mut file = fs::File::from(memory);
    file.write_all(bytes)?;
    let memory = OwnedFd::from(file);
    fcntl_add_seals(&memory, SEALS)?;
    Ok(memory)
}

/// The bytes of such memory; that it cannot be changed meanwhile is checked.
pub fn read_sealed_memory(memory: &OwnedFd) -> io::Result<Vec<u8>> {
    if !fcntl_get_seals(memory)?.contains(SEALS) {
        return Err(io::Error::other("what was handed over is not sealed"));
    }
    let length = usize::try_from(fstat(memory)?.st_size).map_err(io::Error::other)?;
    let mut bytes = vec![0; length];
    fs::File::from(memory.try_clone()?).read_exact_at(&mut bytes, 0)?;
    Ok(bytes)
}

const SEALS: SealFlags =
    SealFlags::WRITE.union(SealFlags::GROW).union(SealFlags::SHRINK).union(SealFlags::SEAL);

/// A socket for this uid alone: the mode is set before the name appears.
pub fn for_own_uid(options: ListenerOptions<'_>) -> ListenerOptions<'_> {
    options.mode(0o600)
}

/// Whether this is a socket that listens for connections on this machine.
pub fn listens(socket: &OwnedFd) -> bool {
    let local = sockopt::socket_domain(socket).is_ok_and(|domain| domain == AddressFamily::UNIX);
    local && sockopt::socket_acceptconn(socket).unwrap_or(false)
}

/// Tells a service manager something, and passes a descriptor along, as in `sd_notify(3)`.
pub fn tell_manager(address: &OsStr, message: &[u8], along: Option<BorrowedFd<'_>>) -> io::Result<()> {
    let address = match address.as_bytes() {
        [b'@', name @ ..] => SocketAddrUnix::new_abstract_name(name),
        path => SocketAddrUnix::new(path),
    }?;
    let socket = socket_with(AddressFamily::UNIX, SocketType::DGRAM, SocketFlags::CLOEXEC, None)?;
    let mut space = [MaybeUninit::uninit(); cmsg_space!(ScmRights(1))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if let Some(along) = &along {
        control.push(SendAncillaryMessage::ScmRights(slice::from_ref(along)));
    }
    sendmsg_addr(&socket, &address, &[IoSlice::new(message)], &mut control, SendFlags::NOSIGNAL)?;
    Ok(())
}

/// Tells when names in a folder go, or the folder itself. No system call is made until then.
pub struct FolderWatch(AsyncFd<OwnedFd>);

impl FolderWatch {
    /// Watches a folder. Needs the event loop.
    pub fn new(folder: &Path) -> io::Result<Self> {
        let watch = inotify::init(inotify::CreateFlags::NONBLOCK | inotify::CreateFlags::CLOEXEC)?;
        let goes =
            WatchFlags::DELETE | WatchFlags::MOVED_FROM | WatchFlags::DELETE_SELF | WatchFlags::MOVE_SELF;
        inotify::add_watch(&watch, folder, goes)?;
        // SAFETY: an `OwnedFd` keeps its descriptor open, and the same, for as long as it lives.
        #[expect(unsafe_code, reason = "AsyncFd cannot know that of every type")]
        let watch = unsafe { AsyncFd::register(watch) }?;
        Ok(Self(watch))
    }

    /// Resolves when something went.
    pub async fn something_went(&self) {
        let Ok(mut ready) = self.0.readable().await else { return std::future::pending().await };
        // What it was does not matter: the caller looks for itself.
        let mut events = [0; 4_096];
        while rustix::io::read(&self.0, &mut events).is_ok_and(|length| length > 0) {}
        ready.clear_ready();
    }
}

/// Rings at a moment of the wall clock, and whenever somebody sets that clock. The time that the machine sleeps
/// counts, and until it rings nothing wakes this process.
pub struct Alarm(AsyncFd<OwnedFd>);

impl Alarm {
    /// An alarm that is not set. Needs the event loop.
    pub fn new() -> io::Result<Self> {
        let flags = TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC;
        let timer = timerfd_create(TimerfdClockId::Realtime, flags)?;
        // SAFETY: an `OwnedFd` keeps its descriptor open, and the same, for as long as it lives.
        #[expect(unsafe_code, reason = "AsyncFd cannot know that of every type")]
        let timer = unsafe { AsyncFd::register(timer) }?;
        Ok(Self(timer))
    }

    /// Resolves when this much time has passed by the wall clock, or once that clock was set: what is due is to
    /// be worked out anew then. Without a time it never resolves.
    pub async fn ring(&self, after: Option<Duration>) {
        let moment = |after: Duration| {
            let now = clock_gettime(ClockId::Realtime);
            now.checked_add(Timespec::try_from(after).ok()?)
        };
        // The moment 0 sets it off.
        let it_value = after.and_then(moment).unwrap_or_default();
        let at = Itimerspec { it_interval: Timespec::default(), it_value };
        let flags = TimerfdTimerFlags::ABSTIME | TimerfdTimerFlags::CANCEL_ON_SET;
        if timerfd_settime(&self.0, flags, &at).err() == Some(Errno::CANCELED) {
            // The clock was set since the last look at it.
            return;
        }
        loop {
            let Ok(mut ready) = self.0.readable().await else { return std::future::pending().await };
            ready.clear_ready();
            // What it was set to before may have made it ready; then there is nothing to read.
            let rings = rustix::io::read(&self.0, &mut [0; 8]);
            if !matches!(rings, Err(Errno::AGAIN | Errno::INTR)) {
                return;
            }
        }
    }
}

/// The program of a process, by the kernel's word.
pub fn program_of(pid: u32) -> Option<String> {
    let mut file = fs::File::open(format!("/proc/{pid}/comm")).ok()?;
    // The kernel cuts it to 15 bytes: one read.
    let mut name = [0; 32];
    let length = file.read(&mut name).ok()?;
    Some(String::from_utf8_lossy(&name[..length]).trim_end().to_owned())
}

/// The process that started another, if it is still there.
pub fn parent_of(pid: u32) -> Option<u32> {
    field(pid, 4)
}

/// The session of processes that a process is in: the terminal where it was started.
pub fn session_of(pid: u32) -> Option<Process> {
    let leader = field(pid, 6)?;
    // A number comes round again, a time of start does not. A leader that has ended leaves its number taken.
    Some(Process { pid: leader, started: field(leader, 22).unwrap_or(0) })
}

/// A field of `/proc/PID/stat`, counted from 1 as in proc(5).
fn field<Number: FromStr>(pid: u32, number: usize) -> Option<Number> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The program's name may hold anything, so what follows is counted from its end.
    stat.rsplit_once(") ")?.1.split(' ').nth(number - 3)?.parse().ok()
}

/// Whether a TCP connection from `peer`, on this machine, is of our own uid, by the kernel's word.
pub fn is_own_connection(peer: SocketAddr, own: SocketAddr) -> bool {
    // A program that speaks IPv6 reaches us by a mapped address, and is listed elsewhere.
    ["/proc/net/tcp", "/proc/net/tcp6"].into_iter().any(|table| {
        let Ok(table) = fs::File::open(table) else { return false };
        uid_of(BufReader::new(table), peer, own) == Some(super::own_uid())
    })
}

/// The uid of the socket at `local` that is connected to `remote`, as one of the kernel's tables has it.
fn uid_of(table: impl BufRead, local: SocketAddr, remote: SocketAddr) -> Option<u32> {
    let (local, remote) = (Ends::of(local), Ends::of(remote));
    table.lines().skip(1).map_while(Result::ok).find_map(|line| {
        // sl local_address rem_address st tx_queue:rx_queue tr:tm->when retrnsmt uid …
        let mut fields = line.split_ascii_whitespace().skip(1);
        let both = local.is(fields.next()?) && remote.is(fields.next()?);
        both.then(|| fields.nth(4)?.parse().ok())?
    })
}

/// One end of a connection, as the kernel writes it in either table: words of the address in the machine's own
/// order of bytes, and the port.
struct Ends([String; 2]);

impl Ends {
    fn of(address: SocketAddr) -> Self {
        let mapped = match address.ip() {
            IpAddr::V4(address) => address.to_ipv6_mapped(),
            IpAddr::V6(address) => address,
        };
        let words = mapped.octets().chunks_exact(4).fold(String::new(), |text, word| {
            let word = u32::from_ne_bytes([word[0], word[1], word[2], word[3]]);
            text + &format!("{word:08X}")
        });
        let port = address.port();
        Self([format!("{}:{port:04X}", &words[24..]), format!("{words}:{port:04X}")])
    }

    fn is(&self, field: &str) -> bool {
        self.0.iter().any(|end| end == field)
    }
}

/// The end of a process.
pub struct ProcessEnd(AsyncFd<OwnedFd>);

impl ProcessEnd {
    /// Watches for the end of a process that is still there. Needs the event loop.
    pub fn of(pid: u32) -> io::Result<Self> {
        let pid = i32::try_from(pid).ok().and_then(Pid::from_raw).ok_or(io::ErrorKind::InvalidInput)?;
        let process = pidfd_open(pid, PidfdFlags::NONBLOCK)?;
        // SAFETY: an `OwnedFd` keeps its descriptor open, and the same, for as long as it lives.
        #[expect(unsafe_code, reason = "AsyncFd cannot know that of every type")]
        let process = unsafe { AsyncFd::register(process) }?;
        Ok(Self(process))
    }

    /// Resolves when it has ended.
    pub async fn reached(self) {
        if self.0.readable().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(target_endian = "little")]
    fn the_kernels_tables_are_read() {
        let four = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid\n   \
            0: 0100007F:A8F1 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1001        0 1 1 0\n   \
            1: 0100007F:D3B2 0100007F:A8F1 01 00000000:00000000 02:00000AB2 00000000  1002        0 2 1 0\n";
        let six = "  sl  local_address                         remote_address                        st\n   \
            0: 0000000000000000FFFF00000100007F:D3B2 0000000000000000FFFF00000100007F:A8F1 01 \
            00000000:00000000 00:00000000 00000000  1003        0 3 1 0\n";
        let (peer, own) =
            (SocketAddr::from(([127, 0, 0, 1], 0xD3B2)), SocketAddr::from(([127, 0, 0, 1], 0xA8F1)));
        assert_eq!(uid_of(four.as_bytes(), peer, own), Some(1002));
        assert_eq!(uid_of(six.as_bytes(), peer, own), Some(1003));
        assert_eq!(uid_of(four.as_bytes(), own, peer), None);
        assert_eq!(uid_of("garbage\nmore\n".as_bytes(), peer, own), None);
    }
}
