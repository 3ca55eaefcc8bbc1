//! Granted sockets: each gives out a few profiles for a while, and takes no administration. What is answered on
//! them is in `requests/granted.rs`; here is which there are.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::io;
use std::os::unix::fs::FileTypeExt;
use std::path::PathBuf;
use std::sync::Arc;

use interprocess::local_socket::tokio::Listener;
use protocol::address::{self, MAX_SOCKET_PATH};
use protocol::{GrantedSocket, Refusal};
use serde::{Deserialize, Serialize};

use crate::clock::{Deadline, Now};
use crate::live::random_token;
use crate::platform;
use crate::server;

/// How many may stand at once.
pub const MOST_SOCKETS: usize = 16;

/// How many profiles one may give out.
pub const MOST_PROFILES: usize = 64;

/// How many random digits a name has. No name comes twice: what was forwarded to a grant that is over must not
/// lead to the next one.
const RANDOM_DIGITS: usize = 16;

/// How often the log tells of the same outcome of the same request, in seconds: a host that asks without end
/// shall not push everything else out of it.
const NOTE_EVERY: u64 = 60;

/// How long a role that AWS refused is not asked for again by the same socket, in seconds.
const FAILURE_SECONDS: u64 = 10;

/// One of them.
#[derive(Debug, Serialize, Deserialize)]
pub struct Granted {
    /// The profiles; the first counts where none is named.
    pub profiles: Vec<String>,
    path: PathBuf,
    since: u64,
    until: Deadline,
    #[serde(default)]
    last_used: Option<u64>,
    /// None in a process that is about to take it over.
    #[serde(skip)]
    listener: Option<Arc<Listener>>,
    /// What the log was told, and when, by the boot-time clock.
    #[serde(skip)]
    noted: BTreeMap<String, u64>,
    /// Profiles whose roles could not be had, and until when that counts, by the boot-time clock.
    #[serde(skip)]
    failed: BTreeMap<String, (u64, Refusal)>,
}

/// All of them.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Sockets {
    folder: PathBuf,
    granted: BTreeMap<u64, Granted>,
}

impl Sockets {
    /// None yet, in a folder that is cleared of what a killed agent left there.
    pub fn new(folder: PathBuf) -> Self {
        for entry in fs::read_dir(&folder).into_iter().flatten().flatten() {
            // What is no socket of ours stays.
            if entry.file_type().is_ok_and(|kind| kind.is_socket()) && is_name(&entry.file_name()) {
                let _ = fs::remove_file(entry.path());
            }
        }
        Self { folder, granted: BTreeMap::new() }
    }

    /// Makes one. Needs the event loop.
    pub fn open(&mut self, number: u64, profiles: Vec<String>, seconds: u64, now: Now) -> io::Result<()> {
        if self.granted.len() >= MOST_SOCKETS {
            return Err(io::Error::other(format!("{MOST_SOCKETS} are the most")));
        }
        platform::create_private_folder(&self.folder)?;
        if !address::check_folder(&self.folder, platform::own_uid()).map_err(io::Error::other)? {
            return Err(io::ErrorKind::NotFound.into());
        }
        let random = random_token()?;
        let path = self.folder.join(format!("{number}-{}", &random.expose()[..RANDOM_DIGITS]));
        if path.as_os_str().len() > MAX_SOCKET_PATH {
            let problem = format!("{} has more than {MAX_SOCKET_PATH} bytes", path.display());
            return Err(io::Error::other(problem));
        }
        let listener = Some(Arc::new(server::listen(&path)?));
        let granted = Granted {
            profiles,
            path,
            since: now.wall,
            until: Deadline::after(now, seconds),
            last_used: None,
            listener,
            noted: BTreeMap::new(),
            failed: BTreeMap::new(),
        };
        self.granted.insert(number, granted);
        Ok(())
    }

    /// One that stands.
    pub fn get_mut(&mut self, number: u64, now: Now) -> Option<&mut Granted> {
        self.granted.get_mut(&number).filter(|granted| granted.until.left(now) > 0)
    }

    /// All, for people to see.
    pub fn all(&self, now: Now) -> Vec<GrantedSocket> {
        self.granted.iter().map(|(number, granted)| granted.describe(*number, now)).collect()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.granted.is_empty()
    }

    /// Seconds until the next one is over.
    pub fn next(&self, now: Now) -> Option<u64> {
        self.granted.values().map(|granted| granted.until.left(now)).min()
    }

    /// Ends those whose time is up, and says which.
    pub fn end_expired(&mut self, now: Now) -> Vec<u64> {
        let over = self.granted.iter().filter(|(_, granted)| granted.until.left(now) == 0);
        let over: Vec<u64> = over.map(|(number, _)| *number).collect();
        self.end(&over);
        over
    }

    /// Ends these, and takes their sockets away. Says how many there were.
    pub fn end(&mut self, numbers: &[u64]) -> usize {
        let ended: Vec<Granted> = numbers.iter().filter_map(|number| self.granted.remove(number)).collect();
        for granted in &ended {
            // Gone already is as good.
            let _ = fs::remove_file(&granted.path);
        }
        ended.len()
    }

    /// Ends all.
    pub fn end_all(&mut self) {
        self.end(&self.granted.keys().copied().collect::<Vec<_>>());
    }

    /// What listens.
    pub fn listeners(&self) -> Vec<(u64, Arc<Listener>)> {
        self.granted
            .iter()
            .filter_map(|(number, granted)| Some((*number, granted.listener.clone()?)))
            .collect()
    }

    /// Serves on sockets that listened all the time, and no others. Needs the event loop.
    pub fn take_over(&mut self, folder: PathBuf, listeners: Vec<(u64, Listener)>) {
        self.folder = folder;
        for (number, listener) in listeners {
            if let Some(granted) = self.granted.get_mut(&number) {
                granted.listener = Some(Arc::new(listener));
            }
        }
        let lost = self.granted.iter().filter(|(_, granted)| granted.listener.is_none());
        self.end(&lost.map(|(number, _)| *number).collect::<Vec<_>>());
    }
}

impl Granted {
    /// For people to see.
    pub fn describe(&self, number: u64, now: Now) -> GrantedSocket {
        GrantedSocket {
            number,
            profiles: self.profiles.clone(),
            socket: self.path.display().to_string(),
            since: self.since,
            expires_at: self.until.wall,
            seconds_left: self.until.left(now),
            last_used: self.last_used,
        }
    }

    /// Credentials go out by it.
    pub fn used(&mut self, now: Now) {
        self.last_used = Some(now.wall);
    }

    /// Whether the log is to be told of this.
    pub fn is_news(&mut self, event: &str, now: Now) -> bool {
        self.noted.retain(|_, at| now.boot < *at + NOTE_EVERY);
        self.noted.insert(event.to_owned(), now.boot).is_none()
    }

    /// Why a profile's role could not be had a moment ago.
    pub fn failure(&self, profile: &str, now: Now) -> Option<Refusal> {
        self.failed.get(profile).filter(|(until, _)| now.boot < *until).map(|(_, refusal)| refusal.clone())
    }

    /// A profile's role could not be had.
    pub fn failed(&mut self, profile: &str, refusal: &Refusal, now: Now) {
        self.failed.insert(profile.to_owned(), (now.boot + FAILURE_SECONDS, refusal.clone()));
    }
}

/// The folder's sockets are named so.
fn is_name(name: &OsStr) -> bool {
    let Some((number, random)) = name.to_str().and_then(|name| name.split_once('-')) else { return false };
    let hexadecimal = random.len() == RANDOM_DIGITS && random.bytes().all(|byte| byte.is_ascii_hexdigit());
    hexadecimal && !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;
    use std::os::unix::net::{UnixListener, UnixStream};

    use super::*;

    const START: Now = Now { wall: 1_800_000_000, boot: 5_000 };

    fn later(seconds: u64) -> Now {
        Now { wall: START.wall + seconds, boot: START.boot + seconds }
    }

    fn path(sockets: &Sockets, number: u64) -> PathBuf {
        sockets.granted[&number].path.clone()
    }

    #[tokio::test]
    async fn a_socket_lives_in_a_folder_of_its_own_until_its_time_is_up_by_either_clock() {
        let folder = tempfile::tempdir().unwrap();
        let mut sockets = Sockets::new(folder.path().join("grant"));
        sockets.open(1, vec!["dev".to_owned()], 600, START).unwrap();
        sockets.open(2, vec!["ops".to_owned()], 60, START).unwrap();
        let (first, second) = (path(&sockets, 1), path(&sockets, 2));
        assert_eq!(first.parent().unwrap().metadata().unwrap().permissions().mode() & 0o777, 0o700);
        assert!(UnixStream::connect(&first).is_ok() && UnixStream::connect(&second).is_ok());
        assert_eq!(sockets.next(START), Some(60));
        assert_eq!(sockets.end_expired(later(59)), [0; 0]);
        assert_eq!(sockets.end_expired(later(60)), [2]);
        assert!(first.exists() && !second.exists());
        // A clock that was set back makes nothing last longer.
        let set_back = Now { wall: START.wall - 86_400, boot: START.boot + 600 };
        assert!(sockets.get_mut(1, set_back).is_none());
        assert_eq!(sockets.end_expired(set_back), [1]);
        assert!(!first.exists() && sockets.is_empty());
    }

    #[tokio::test]
    async fn no_name_comes_twice_and_strays_are_cleared() {
        let folder = tempfile::tempdir().unwrap();
        let grants = folder.path().join("grant");
        let mut killed = Sockets::new(grants.clone());
        killed.open(1, vec!["dev".to_owned()], 600, START).unwrap();
        let stray = path(&killed, 1);
        let _theirs = UnixListener::bind(grants.join("theirs")).unwrap();
        fs::write(grants.join("1-0123456789abcdef"), "no socket").unwrap();
        let mut next = Sockets::new(grants.clone());
        assert!(!stray.exists(), "a killed agent's");
        assert_eq!(fs::read_dir(&grants).unwrap().count(), 2, "what is not ours stays");
        next.open(1, vec!["dev".to_owned()], 600, START).unwrap();
        assert_ne!(path(&next, 1), stray, "what was forwarded to the old one does not lead to the new");
    }

    #[tokio::test]
    async fn a_folder_that_is_open_to_others_gets_no_socket_and_there_are_not_too_many() {
        let folder = tempfile::tempdir().unwrap();
        let grants = folder.path().join("grant");
        fs::create_dir(&grants).unwrap();
        fs::set_permissions(&grants, fs::Permissions::from_mode(0o755)).unwrap();
        let mut sockets = Sockets::new(grants.clone());
        let error = sockets.open(1, Vec::new(), 600, START).unwrap_err();
        assert!(error.to_string().contains("open to others"), "{error}");
        fs::set_permissions(&grants, fs::Permissions::from_mode(0o700)).unwrap();
        for number in 0..MOST_SOCKETS as u64 {
            sockets.open(number, Vec::new(), 600, START).unwrap();
        }
        assert!(sockets.open(99, Vec::new(), 600, START).is_err());
        sockets.end_all();
        assert_eq!(fs::read_dir(&grants).unwrap().count(), 0);
    }

    #[tokio::test]
    async fn the_log_is_told_the_same_once_a_minute() {
        let folder = tempfile::tempdir().unwrap();
        let mut sockets = Sockets::new(folder.path().join("grant"));
        sockets.open(1, Vec::new(), 600, START).unwrap();
        let granted = sockets.get_mut(1, START).unwrap();
        assert!(granted.is_news("credentials of dev: done", START));
        assert!(!granted.is_news("credentials of dev: done", later(59)));
        assert!(granted.is_news("credentials of dev: locked", later(59)));
        assert!(granted.is_news("credentials of dev: done", later(120)));
    }
}
