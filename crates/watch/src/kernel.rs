//! What the kernel does for the watch: a private `/tmp`, and its word of every program and every file.

use std::fs::{self, File};
use std::io;
use std::os::fd::{AsFd, AsRawFd};
use std::path::{Path, PathBuf};

use nix::fcntl::AT_FDCWD;
use nix::mount::{MsFlags, mount};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sched::{CloneFlags, unshare};
use nix::sys::fanotify::{
    EventFFlags, Fanotify, FanotifyEvent, FanotifyResponse, InitFlags, MarkFlags, MaskFlags, Response,
};

/// Where everybody may write. The run has these to itself, so that whatever is written there is the run's.
pub const PRIVATE: [&str; 2] = ["/tmp", "/dev/shm"];

/// How long to wait for the next event before looking whether the run is over, in milliseconds.
const PATIENCE: u8 = 100;

/// What opens the C library, which every program does that is linked with it, once its arguments and its environment
/// are its own, and before anything of it runs. It waits until it is answered; all are let through when this is gone.
pub struct Starts(Fanotify);

/// Files that somebody closes who could write to them.
pub struct Closes(Fanotify);

/// Gives this process, and what it starts, mounts of its own, and empty folders in the place of those that everybody
/// may write to. These paths stay what they are, wherever they lie.
pub fn have_private_folders(keep: &[PathBuf]) -> io::Result<()> {
    unshare(CloneFlags::CLONE_NEWNS)?;
    let nothing = None::<&str>;
    mount(nothing, "/", nothing, MsFlags::MS_REC | MsFlags::MS_PRIVATE, nothing)?;
    let opened = keep.iter().map(|path| Ok((path, File::open(path)?))).collect::<io::Result<Vec<_>>>()?;
    let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV;
    for folder in PRIVATE {
        mount(Some("watch"), folder, Some("tmpfs"), flags, Some("mode=1777"))?;
    }
    for (path, folder) in opened {
        if PRIVATE.iter().any(|private| path.starts_with(private)) {
            fs::create_dir_all(path)?;
            let source = format!("/proc/self/fd/{}", folder.as_raw_fd());
            mount(Some(source.as_str()), path, nothing, MsFlags::MS_BIND | MsFlags::MS_REC, nothing)?;
        }
    }
    // The same folder, by the mounts that it is reached by now.
    std::env::set_current_dir(std::env::current_dir()?)
}

impl Starts {
    /// Every program on this machine from now on.
    pub fn watch() -> io::Result<Self> {
        let flags = InitFlags::FAN_CLASS_CONTENT
            | InitFlags::FAN_CLOEXEC
            | InitFlags::FAN_NONBLOCK
            | InitFlags::FAN_UNLIMITED_QUEUE;
        let group = Fanotify::init(flags, EventFFlags::O_RDONLY | EventFFlags::O_CLOEXEC)?;
        group.mark(MarkFlags::FAN_MARK_ADD, MaskFlags::FAN_OPEN_PERM, AT_FDCWD, Some(&c_library()?))?;
        Ok(Self(group))
    }

    /// Those that wait; none after a while without.
    pub fn next(&self) -> io::Result<Vec<FanotifyEvent>> {
        next(&self.0)
    }

    /// Lets one go on.
    pub fn answer(&self, event: &FanotifyEvent) {
        if let Some(file) = event.fd() {
            // Whoever was killed meanwhile takes no answer.
            let _ = self.0.write_response(FanotifyResponse::new(file, Response::FAN_ALLOW));
        }
    }
}

impl Closes {
    /// None yet.
    pub fn new() -> io::Result<Self> {
        let flags = InitFlags::FAN_CLASS_NOTIF
            | InitFlags::FAN_CLOEXEC
            | InitFlags::FAN_NONBLOCK
            | InitFlags::FAN_UNLIMITED_QUEUE;
        let file = EventFFlags::O_RDONLY
            | EventFFlags::O_CLOEXEC
            | EventFFlags::O_LARGEFILE
            | EventFFlags::O_NOATIME;
        Ok(Self(Fanotify::init(flags, file)?))
    }

    /// Those of the file system that has this path, too.
    pub fn watch(&self, path: &Path) -> io::Result<()> {
        let flags = MarkFlags::FAN_MARK_ADD | MarkFlags::FAN_MARK_FILESYSTEM;
        Ok(self.0.mark(flags, MaskFlags::FAN_CLOSE_WRITE, AT_FDCWD, Some(path))?)
    }

    /// Those of the file systems in memory, too, that this process sees, and we do not.
    pub fn watch_those_of(&self, pid: i32) -> io::Result<()> {
        let ours = fs::read_link("/proc/self/ns/mnt")?;
        if fs::read_link(format!("/proc/{pid}/ns/mnt"))? == ours {
            return Ok(());
        }
        let mounts = fs::read_to_string(format!("/proc/{pid}/mountinfo"))?;
        for line in mounts.lines() {
            let Some((mount, file_system)) = line.split_once(" - ") else { continue };
            let writable = mount.split(' ').nth(5).is_some_and(|options| options.starts_with("rw"));
            if let Some(point) = mount.split(' ').nth(4)
                && writable
                && file_system.starts_with("tmpfs ")
                && !point.contains('\\')
            {
                match self.watch(Path::new(&format!("/proc/{pid}/root{point}"))) {
                    // Something else is mounted above it, and nobody gets there.
                    Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                    watched => watched?,
                }
            }
        }
        Ok(())
    }

    /// The next files; none after a while without. An event without a file: some are lost.
    pub fn next(&self) -> io::Result<Vec<FanotifyEvent>> {
        next(&self.0)
    }
}

fn next(group: &Fanotify) -> io::Result<Vec<FanotifyEvent>> {
    poll(&mut [PollFd::new(group.as_fd(), PollFlags::POLLIN)], PollTimeout::from(PATIENCE))?;
    match group.read_events() {
        Err(nix::errno::Errno::EAGAIN) => Ok(Vec::new()),
        events => Ok(events?),
    }
}

/// The C library that this very program is linked with.
fn c_library() -> io::Result<PathBuf> {
    let maps = fs::read_to_string("/proc/self/maps")?;
    let mut files = maps.lines().filter_map(|line| line.split_ascii_whitespace().nth(5));
    let library = files.find(|file| file.rsplit('/').next().is_some_and(|name| name.starts_with("libc.so")));
    library.map(PathBuf::from).ok_or_else(|| io::Error::other("there is no shared C library"))
}
