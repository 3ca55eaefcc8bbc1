//! Where the agent listens: the runtime folder and the socket in it. Both sides compute it in the same way,
//! and both refuse a folder that somebody else could have put there.

use std::ffi::OsStr;
use std::fs::Metadata;
use std::io;
use std::path::{Path, PathBuf};

/// The variable that overrides the socket's path.
pub const SOCKET_VARIABLE: &str = "MFA_AGENT_SOCK";

/// The longest path that fits `sockaddr_un`, in bytes, on every Unix (Linux has 107, macOS 103).
pub const MAX_SOCKET_PATH: usize = 103;

/// What decides where the socket is.
#[derive(Debug, Clone, Copy)]
pub struct Surroundings<'a> {
    /// The effective uid of this process.
    pub uid: u32,
    /// `MFA_AGENT_SOCK`.
    pub socket: Option<&'a OsStr>,
    /// `XDG_RUNTIME_DIR`.
    pub runtime_dir: Option<&'a OsStr>,
    /// `HOME`.
    pub home: Option<&'a OsStr>,
}

/// Where the agent listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    /// The socket.
    pub socket: PathBuf,
    /// `MFA_AGENT_SOCK` named it: it may lead to another host's agent, so nothing is started there unasked.
    pub overridden: bool,
}

impl Address {
    /// The folder of the socket, the lock and the leases.
    pub fn folder(&self) -> &Path {
        self.socket.parent().unwrap_or(Path::new("/"))
    }

    /// The folder of the leases.
    pub fn leases(&self) -> PathBuf {
        self.folder().join("lease")
    }

    /// The folder of the granted sockets.
    pub fn grants(&self) -> PathBuf {
        self.folder().join("grant")
    }
}

/// Why there is no place to listen at.
#[derive(Debug, thiserror::Error)]
pub enum AddressError {
    /// A path that must be absolute is not.
    #[error("{variable} is not an absolute path: {}", path.display())]
    NotAbsolute {
        /// The variable that holds it.
        variable: &'static str,
        /// The path.
        path: PathBuf,
    },
    /// Neither `XDG_RUNTIME_DIR`, nor `/run/user/UID`, nor `HOME`.
    #[error("no folder for the agent's socket: XDG_RUNTIME_DIR and HOME are not set")]
    NoFolder,
    /// The path does not fit into `sockaddr_un`.
    #[error("the socket's path is longer than {MAX_SOCKET_PATH} bytes: {}", .0.display())]
    TooLong(PathBuf),
    /// The folder belongs to somebody else.
    #[error("the runtime folder {} belongs to uid {owner}, not to uid {uid}", path.display())]
    Foreign {
        /// The folder.
        path: PathBuf,
        /// Whose it is.
        owner: u32,
        /// Who we are.
        uid: u32,
    },
    /// The folder is open to others.
    #[error("the runtime folder {} is open to others (mode {mode:03o})", path.display())]
    Open {
        /// The folder.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// There is something, and it is no folder: a link, a file.
    #[error("the runtime folder {} is no real folder", .0.display())]
    NotFolder(PathBuf),
    /// It cannot be looked at.
    #[error("the runtime folder {} cannot be used: {source}", path.display())]
    Io {
        /// The folder.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// Where the agent listens, by the first of `MFA_AGENT_SOCK`, `$XDG_RUNTIME_DIR/mfa-agent/sock`,
/// `/run/user/UID/mfa-agent/sock` and `~/.local/state/mfa-agent/HOST/sock`. A runtime folder that is not
/// there is passed over, as it is after `su`; one that is there and not ours is an error.
pub fn resolve(
    surroundings: &Surroundings<'_>,
    host: impl FnOnce() -> String,
) -> Result<Address, AddressError> {
    if let Some(socket) = set(surroundings.socket) {
        let socket = absolute("MFA_AGENT_SOCK", socket)?;
        return fits(Address { socket, overridden: true });
    }
    let folder = if let Some(folder) = runtime_folder(surroundings)? {
        folder
    } else {
        let home = absolute("HOME", set(surroundings.home).ok_or(AddressError::NoFolder)?)?;
        // The home may be shared between hosts, an agent cannot be.
        home.join(".local/state/mfa-agent").join(file_name(&host()))
    };
    fits(Address { socket: folder.join("sock"), overridden: false })
}

/// What a person does about an error in our folder: makes room where the disk is full, else `otherwise`.
pub fn hint(error: &io::Error, folder: &Path, otherwise: &str) -> String {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            // It may not be there yet itself.
            let disk = folder.parent().unwrap_or(folder).display();
            format!("make room there: df -h {disk}; df -i {disk}")
        }
        _ => otherwise.to_owned(),
    }
}

/// Whether the folder may hold our socket: a real folder of this uid, closed to others. `Ok(false)` where
/// there is none yet.
pub fn check_folder(path: &Path, uid: u32) -> Result<bool, AddressError> {
    let metadata = match path.symlink_metadata() {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(source) => return Err(AddressError::Io { path: path.to_owned(), source }),
    };
    if !metadata.is_dir() {
        return Err(AddressError::NotFolder(path.to_owned()));
    }
    let (owner, mode) = owner_and_mode(&metadata, uid);
    if owner != uid {
        return Err(AddressError::Foreign { path: path.to_owned(), owner, uid });
    }
    if mode & 0o077 != 0 {
        return Err(AddressError::Open { path: path.to_owned(), mode });
    }
    Ok(true)
}

fn runtime_folder(surroundings: &Surroundings<'_>) -> Result<Option<PathBuf>, AddressError> {
    if let Some(runtime_dir) = set(surroundings.runtime_dir) {
        let runtime_dir = absolute("XDG_RUNTIME_DIR", runtime_dir)?;
        let folder = runtime_dir.join("mfa-agent");
        // Ours is there: one look at the disk, on the way of every prompt.
        if check_folder(&folder, surroundings.uid)? || owned_folder(&runtime_dir, surroundings.uid)? {
            return Ok(Some(folder));
        }
    }
    let run_user = PathBuf::from(format!("/run/user/{}", surroundings.uid));
    Ok(owned_folder(&run_user, surroundings.uid)?.then(|| run_user.join("mfa-agent")))
}

/// The folder that ours shall be made in: its mode is the system's affair, its owner is not.
fn owned_folder(path: &Path, uid: u32) -> Result<bool, AddressError> {
    match check_folder(path, uid) {
        Err(AddressError::Open { .. }) => Ok(true),
        other => other,
    }
}

#[cfg(unix)]
fn owner_and_mode(metadata: &Metadata, _uid: u32) -> (u32, u32) {
    use std::os::unix::fs::MetadataExt;
    (metadata.uid(), metadata.mode() & 0o777)
}

#[cfg(not(unix))]
fn owner_and_mode(_metadata: &Metadata, uid: u32) -> (u32, u32) {
    (uid, 0o700)
}

fn set(value: Option<&OsStr>) -> Option<&OsStr> {
    value.filter(|value| !value.is_empty())
}

fn absolute(variable: &'static str, path: &OsStr) -> Result<PathBuf, AddressError> {
    let path = PathBuf::from(path);
    if path.is_absolute() { Ok(path) } else { Err(AddressError::NotAbsolute { variable, path }) }
}

fn fits(address: Address) -> Result<Address, AddressError> {
    if address.socket.as_os_str().len() > MAX_SOCKET_PATH {
        return Err(AddressError::TooLong(address.socket));
    }
    Ok(address)
}

/// A host's name as one component of a path.
fn file_name(host: &str) -> String {
    let name: String =
        host.chars().map(|c| if c.is_ascii_alphanumeric() || c == '-' { c } else { '_' }).take(32).collect();
    if name.is_empty() { "localhost".to_owned() } else { name }
}

#[cfg(all(test, unix))]
mod tests {
    use std::fs;
    use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};

    use super::*;

    /// A folder of this test's own, with the uid that owns it.
    #[expect(clippy::unwrap_used, reason = "a test's helper")]
    fn folder(name: &str) -> (PathBuf, u32) {
        let folder = std::env::temp_dir().join(format!("mfa-{}-{name}", std::process::id()));
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir(&folder).unwrap();
        fs::set_permissions(&folder, fs::Permissions::from_mode(0o700)).unwrap();
        let uid = folder.metadata().unwrap().uid();
        (folder, uid)
    }

    fn surroundings(runtime_dir: &Path, uid: u32) -> Surroundings<'_> {
        Surroundings { uid, socket: None, runtime_dir: Some(runtime_dir.as_os_str()), home: None }
    }

    #[test]
    fn the_runtime_dir_is_taken() {
        let (folder, uid) = folder("taken");
        let address = resolve(&surroundings(&folder, uid), || unreachable!()).unwrap();
        assert_eq!(address.socket, folder.join("mfa-agent/sock"));
        assert!(!address.overridden);
    }

    #[test]
    fn a_folder_that_is_not_ours_alone_is_refused() {
        let (folder, uid) = folder("refused");
        let ours = folder.join("mfa-agent");
        assert!(matches!(
            resolve(&surroundings(&folder, uid + 1), String::new),
            Err(AddressError::Foreign { .. })
        ));
        fs::create_dir(&ours).unwrap();
        fs::set_permissions(&ours, fs::Permissions::from_mode(0o750)).unwrap();
        assert!(matches!(
            resolve(&surroundings(&folder, uid), String::new),
            Err(AddressError::Open { mode: 0o750, .. })
        ));
        fs::remove_dir(&ours).unwrap();
        symlink(&folder, &ours).unwrap();
        assert!(matches!(resolve(&surroundings(&folder, uid), String::new), Err(AddressError::NotFolder(_))));
        fs::remove_file(&ours).unwrap();
        fs::write(&ours, "").unwrap();
        assert!(matches!(resolve(&surroundings(&folder, uid), String::new), Err(AddressError::NotFolder(_))));
    }

    #[test]
    fn without_a_runtime_dir_the_home_serves_a_host() {
        let (folder, uid) = folder("home");
        let none = Surroundings { uid: 4_000_000, socket: None, runtime_dir: None, home: None };
        assert!(matches!(resolve(&none, String::new), Err(AddressError::NoFolder)));
        let gone = folder.join("gone");
        let home =
            Surroundings { runtime_dir: Some(gone.as_os_str()), home: Some(folder.as_os_str()), ..none };
        let address = resolve(&home, || "../host.example".to_owned()).unwrap();
        assert_eq!(address.socket, folder.join(".local/state/mfa-agent/___host_example/sock"));
        let _ = uid;
    }

    #[test]
    fn an_override_is_absolute_and_fits() {
        let with = |socket: &'static str| Surroundings {
            uid: 0,
            socket: Some(OsStr::new(socket)),
            runtime_dir: None,
            home: None,
        };
        assert!(resolve(&with("/tmp/x/sock"), String::new).unwrap().overridden);
        assert!(matches!(resolve(&with("sock"), String::new), Err(AddressError::NotAbsolute { .. })));
        let long: &'static str = Box::leak(format!("/{}", "x".repeat(MAX_SOCKET_PATH)).into_boxed_str());
        assert!(matches!(resolve(&with(long), String::new), Err(AddressError::TooLong(_))));
    }
}
