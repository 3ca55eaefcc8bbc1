//! The file: read, changed and replaced whole. Whoever looks sees the old one or the new one.

use std::ffi::{OsStr, OsString};
use std::fs::{self, DirBuilder, File, Metadata, OpenOptions, TryLockError};
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt, fchown};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use zeroize::Zeroizing;

use crate::document::{Document, Kind};

/// The largest file that is read, in bytes.
const LARGEST: u64 = 16 * 1024 * 1024;
/// How long to wait for another writer of ours.
const LOCK_LIMIT: Duration = Duration::from_secs(10);
/// How long to pause before looking again.
const PAUSE: Duration = Duration::from_millis(10);
/// How often others may change the file while we are about to.
const TRIES: usize = 20;
/// How many links lead to a file at most.
const LINKS: usize = 40;

/// What became of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Edited {
    /// It is another one now.
    Written,
    /// There was nothing to change.
    Unchanged,
}

/// Why a file is as it was.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The file or its folder cannot be used.
    #[error("cannot {what} {}: {error}", path.display())]
    Io {
        /// What was to be done.
        what: &'static str,
        /// With what.
        path: PathBuf,
        /// The system's words.
        error: io::Error,
    },
    /// It is no text that can be changed safely.
    #[error("{}: {problem}", path.display())]
    Unfit {
        /// The file.
        path: PathBuf,
        /// What it is instead.
        problem: String,
    },
    /// Others never leave it alone.
    #[error("{} is being changed by another program all the time", path.display())]
    Busy {
        /// The file.
        path: PathBuf,
    },
}

/// Reads a file. One that is not there is an empty one.
pub fn read(path: &Path, kind: Kind) -> Result<Document, StoreError> {
    Ok(Found::open(&target(path)?, kind)?.document)
}

/// Changes a file. The change may be made several times over, on what the file holds by then; nothing is written
/// where it fails, or changes nothing.
///
/// A link is followed and stays. Mode and owner stay; a new file is for its owner alone (0600), and so is a new
/// folder (0700). Two of these at the same time come one after the other; another program's change is seen up to
/// the last moment.
pub fn edit<E: From<StoreError>>(
    path: &Path,
    kind: Kind,
    mut change: impl FnMut(&mut Document) -> Result<(), E>,
) -> Result<Edited, E> {
    let path = target(path)?;
    let folder = path.parent().unwrap_or(Path::new("/"));
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder)
        .map_err(io_error("make the folder", folder))?;
    let locked = Folder::lock(folder)?;
    for _ in 0..TRIES {
        let Found { mut document, metadata } = Found::open(&path, kind)?;
        let before = Zeroizing::new(document.text().to_owned());
        change(&mut document)?;
        if *before == *document.text() {
            return Ok(Edited::Unchanged);
        }
        if locked.replace(&path, metadata.as_ref(), document.text())? {
            return Ok(Edited::Written);
        }
    }
    Err(StoreError::Busy { path }.into())
}

/// Where the links lead: the last of them may lead to a file that is not there yet.
fn target(path: &Path) -> Result<PathBuf, StoreError> {
    let mut path = std::path::absolute(path).map_err(io_error("find", path))?;
    for _ in 0..LINKS {
        match fs::read_link(&path) {
            Ok(link) => path = path.parent().unwrap_or(Path::new("/")).join(link),
            // No link, or nothing there.
            Err(error) if matches!(error.kind(), ErrorKind::InvalidInput | ErrorKind::NotFound) => {
                return Ok(path);
            }
            Err(error) => return Err(io_error("read", &path)(error)),
        }
    }
    Err(StoreError::Unfit { path, problem: "its links go in a circle".to_owned() })
}

/// A file as it was found.
struct Found {
    document: Document,
    /// What it looked like before it was read; none where there is none.
    metadata: Option<Metadata>,
}

impl Found {
    fn open(path: &Path, kind: Kind) -> Result<Self, StoreError> {
        let unfit = |problem: String| StoreError::Unfit { path: path.to_owned(), problem };
        let cannot = || io_error("read", path);
        let metadata = match fs::metadata(path) {
            Ok(metadata) => Some(metadata),
            Err(error) if error.kind() == ErrorKind::NotFound => None,
            Err(error) => return Err(cannot()(error)),
        };
        let mut bytes = Zeroizing::default();
        if let Some(metadata) = &metadata {
            // A pipe would keep us waiting, a device would never end.
            if !metadata.is_file() {
                return Err(unfit("it is no regular file".to_owned()));
            }
            if metadata.len() > LARGEST {
                return Err(unfit("it is larger than 16 MiB".to_owned()));
            }
            // Room for one byte more: a buffer that grows leaves copies behind.
            bytes = Zeroizing::new(Vec::with_capacity(usize::try_from(metadata.len()).unwrap_or(0) + 1));
            let file = File::open(path).map_err(cannot())?;
            file.take(LARGEST).read_to_end(&mut bytes).map_err(cannot())?;
        }
        let text = std::str::from_utf8(&bytes).map_err(|_| unfit("it is no UTF-8 text".to_owned()))?;
        let document =
            Document::new(kind, Zeroizing::new(text.to_owned())).map_err(|error| unfit(error.to_string()))?;
        Ok(Self { document, metadata })
    }
}

/// The folder of a file, where at most one of us writes at a time.
struct Folder {
    path: PathBuf,
    /// Open as long as the lock is held; none where the file system has no locks.
    lock: Option<File>,
}

impl Folder {
    fn lock(path: &Path) -> Result<Self, StoreError> {
        let folder = File::open(path).map_err(io_error("open the folder", path))?;
        let deadline = Instant::now() + LOCK_LIMIT;
        loop {
            match folder.try_lock() {
                Ok(()) => return Ok(Self { path: path.to_owned(), lock: Some(folder) }),
                Err(TryLockError::WouldBlock) if Instant::now() < deadline => std::thread::sleep(PAUSE),
                Err(TryLockError::WouldBlock) => return Err(StoreError::Busy { path: path.to_owned() }),
                // NFS, for one. What is left is the look before the last step.
                Err(TryLockError::Error(_)) => return Ok(Self { path: path.to_owned(), lock: None }),
            }
        }
    }

    /// Puts the text in the place of the file as it was found. `false`: it is another one by now.
    fn replace(&self, path: &Path, found: Option<&Metadata>, text: &str) -> Result<bool, StoreError> {
        let name = path.file_name().unwrap_or(OsStr::new("file"));
        let mut prefix = OsString::from(".");
        prefix.push(name);
        prefix.push(".mfa-agent-");
        if self.lock.is_some() {
            self.clear(&prefix);
        }
        let mut temporary = prefix;
        temporary.push(std::process::id().to_string());
        let temporary = Temporary(self.path.join(temporary));
        let cannot = |what: &'static str| io_error(what, path);

        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&temporary.0)
            .map_err(io_error("make", &temporary.0))?;
        file.write_all(text.as_bytes()).map_err(cannot("write"))?;
        if let Some(old) = found {
            // Who may not write it may not replace it either.
            OpenOptions::new().write(true).open(path).map_err(cannot("write"))?;
            let new = file.metadata().map_err(io_error("read", &temporary.0))?;
            if (old.uid(), old.gid()) != (new.uid(), new.gid()) {
                fchown(&file, Some(old.uid()), Some(old.gid())).map_err(cannot("keep the owner of"))?;
            }
            let mode = fs::Permissions::from_mode(old.mode() & 0o7777);
            file.set_permissions(mode).map_err(cannot("keep the mode of"))?;
        }
        file.sync_all().map_err(cannot("write"))?;

        let is_same = match (found, fs::symlink_metadata(path)) {
            (Some(old), Ok(now)) => fingerprint(old) == fingerprint(&now),
            (None, Err(error)) => error.kind() == ErrorKind::NotFound,
            _ => false,
        };
        if !is_same {
            return Ok(false);
        }
        fs::rename(&temporary.0, path).map_err(cannot("replace"))?;
        // Some file systems cannot; there the rename itself is all that there is.
        let _ = File::open(&self.path).and_then(|folder| folder.sync_all());
        Ok(true)
    }

    /// Removes what a killed one left. The lock is held, so nobody is about to use it.
    fn clear(&self, prefix: &OsStr) {
        let Ok(entries) = fs::read_dir(&self.path) else { return };
        for entry in entries.flatten() {
            if entry.file_name().as_encoded_bytes().starts_with(prefix.as_encoded_bytes()) {
                let _ = fs::remove_file(entry.path());
            }
        }
    }
}

/// A file that goes unless it gets the name that it is made for.
struct Temporary(PathBuf);

impl Drop for Temporary {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

/// What changes when a file does: which file, its size, the times of its contents and of its status.
fn fingerprint(metadata: &Metadata) -> [i128; 5] {
    let moment =
        |seconds: i64, nanoseconds: i64| i128::from(seconds) * 1_000_000_000 + i128::from(nanoseconds);
    [
        metadata.dev().into(),
        metadata.ino().into(),
        metadata.len().into(),
        moment(metadata.mtime(), metadata.mtime_nsec()),
        moment(metadata.ctime(), metadata.ctime_nsec()),
    ]
}

fn io_error(what: &'static str, path: &Path) -> impl FnOnce(io::Error) -> StoreError {
    let path = path.to_owned();
    move |error| StoreError::Io { what, path, error }
}

#[cfg(test)]
mod tests;
