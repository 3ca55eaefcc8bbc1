//! Linux.

use std::fs;
use std::io;

use interprocess::local_socket::ListenerOptions;
use interprocess::os::unix::local_socket::ListenerOptionsExt;
use rustix::process::{DumpableBehavior, Resource, Rlimit, set_dumpable_behavior, setrlimit};
use rustix::time::{ClockId, clock_gettime};

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

/// Closes what the starter left open beyond stdin, stdout and stderr: a file descriptor held for days keeps
/// a pipe from ending and a file system from being unmounted.
pub fn close_inherited() {
    let Ok(entries) = fs::read_dir("/proc/self/fd") else { return };
    let open: Vec<i32> = entries
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter(|descriptor| *descriptor > 2)
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

/// A socket for this uid alone: the mode is set before the name appears.
pub fn for_own_uid(options: ListenerOptions<'_>) -> ListenerOptions<'_> {
    options.mode(0o600)
}

/// The program of a process, by the kernel's word.
pub fn program_of(pid: u32) -> Option<String> {
    let name = fs::read_to_string(format!("/proc/{pid}/comm")).ok()?;
    Some(name.trim_end().to_owned())
}
