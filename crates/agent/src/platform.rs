//! What differs between operating systems: one file each, the same names in all.

#[cfg(target_os = "linux")]
mod linux;
#[cfg(unix)]
mod locked_page;
#[cfg(all(unix, not(target_os = "linux")))]
mod other_unix;
#[cfg(unix)]
mod unix;

#[cfg(target_os = "linux")]
pub use linux::{
    Alarm, FolderWatch, ProcessEnd, boot_seconds, close_inherited, for_own_uid, harden, is_own_connection,
    listens, parent_of, program_of, read_sealed_memory, sealed_memory, session_of, tell_manager,
};
#[cfg(target_os = "linux")]
use linux::{hide, map_secret};
#[cfg(unix)]
pub use locked_page::{LockedPage, PageKind};
#[cfg(all(unix, not(target_os = "linux")))]
pub use other_unix::{
    Alarm, FolderWatch, ProcessEnd, boot_seconds, close_inherited, for_own_uid, harden, is_own_connection,
    listens, parent_of, program_of, read_sealed_memory, sealed_memory, session_of, tell_manager,
};
#[cfg(all(unix, not(target_os = "linux")))]
use other_unix::{hide, map_secret};
#[cfg(unix)]
pub use unix::{
    Fingerprint, Order, Orders, adopt, create_private_folder, detach, fingerprint, give_back_file_limit,
    host, is_ours_alone, is_private_socket, is_program, is_socket, kill_group, let_go_of_stdout, let_inherit,
    listens_at, make_private_files, open_lock, own_uid, raise_file_limit, read_file, read_what_is_there,
    same_file, somebody_listens, take_stdin,
};

/// A process, told from a later one with the same number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Process {
    /// Its number.
    pub pid: u32,
    /// When it started, in ticks of the system's.
    pub started: u64,
}
