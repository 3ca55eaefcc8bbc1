//! Leases: empty files that exist as long as what a shell was told is still true, so that a prompt has to do
//! no more than look whether a file is there. Every state that a shell can be in has one, also "expired".

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::{self, OpenOptions};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use protocol::address;
use serde::{Deserialize, Serialize};

use crate::platform;
use crate::vault::{SessionKey, pairs};

/// What a shell was told of its profile.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Told {
    /// These credentials are good.
    Ready {
        /// The number of the session that they are of.
        number: u64,
        /// The session that a code opened and that they rest on.
        root: SessionKey,
        /// How many of the moments worth telling had passed.
        level: usize,
    },
    /// This grant of live access stands, and its session is there.
    Live {
        /// The grant's number.
        grant: u64,
        /// The number of the session that a code opened.
        number: u64,
        /// That session.
        root: SessionKey,
        /// How many of the moments worth telling had passed.
        level: usize,
    },
    /// There are none, until this session is there.
    Ended {
        /// The session that is missing.
        missing: SessionKey,
    },
    /// There are none, until the agent is unlocked.
    Locked,
}

/// The leases of one agent.
#[derive(Debug, Serialize, Deserialize)]
pub struct Leases {
    folder: PathBuf,
    /// They are this process's to take back; none of them are while another process hands them over.
    #[serde(skip)]
    ours: bool,
    /// Tells this agent's names from those of another one, which a shell may still hold.
    start: u64,
    /// Counts up with every lease: no name comes twice.
    counter: u64,
    /// By profile, and whether it is live access: what is true now, and the lease's name.
    #[serde(with = "pairs")]
    given: BTreeMap<(String, bool), (Told, String)>,
    /// The folder is there, and has no strays.
    #[serde(default = "is_prepared")]
    prepared: bool,
    /// Why the last one could not be made.
    #[serde(skip)]
    problem: Option<String>,
}

/// An earlier program handed leases over only where it had prepared the folder.
fn is_prepared() -> bool {
    true
}

impl Leases {
    /// Leases in a folder that nothing is done to yet. `start` differs from agent to agent.
    pub fn new(folder: PathBuf, start: u64) -> Self {
        Self { folder, ours: true, start, counter: 0, given: BTreeMap::new(), prepared: false, problem: None }
    }

    /// Clears the folder of what a killed agent left there, where that was not done before. A disk may be full: then it
    /// is tried again with the first lease.
    fn prepare(&mut self) -> io::Result<()> {
        if self.prepared {
            return Ok(());
        }
        platform::create_private_folder(&self.folder)?;
        if !address::check_folder(&self.folder, platform::own_uid()).map_err(io::Error::other)? {
            return Err(io::ErrorKind::NotFound.into());
        }
        for entry in fs::read_dir(&self.folder)? {
            let entry = entry?;
            // Somebody's folder of the same name may have ended up here: what is no lease stays.
            if entry.file_type()?.is_file() && is_lease(&entry.file_name()) {
                fs::remove_file(entry.path())?;
            }
        }
        self.prepared = true;
        Ok(())
    }

    /// The name of the lease for a profile as long as this is true; none where it cannot be made. The file's time of
    /// change is the moment when it is over, in seconds since the epoch. The name ends with the last four characters of
    /// the key id that the shell was given, so that a shell can tell a key that the person set by hand.
    pub fn give(&mut self, profile: &str, told: Told, until: u64, key_id: &str) -> Option<String> {
        let key = (profile.to_owned(), matches!(told, Told::Live { .. }));
        if let Some((given, name)) = self.given.get(&key)
            && *given == told
            && self.folder.join(name).exists()
        {
            return Some(name.clone());
        }
        let name = self.make(key, told, until, key_id);
        self.problem = name.as_ref().err().map(ToString::to_string);
        name.ok()
    }

    /// Why the last one could not be made.
    pub fn problem(&self) -> Option<&str> {
        self.problem.as_deref()
    }

    /// Why none can be made now.
    pub fn look(&mut self) -> Option<&str> {
        let made = self.prepare().and_then(|()| self.file("0000000000000000-look", UNIX_EPOCH));
        self.problem = made.and_then(fs::remove_file).err().map(|error| error.to_string());
        self.problem()
    }

    fn make(&mut self, key: (String, bool), told: Told, until: u64, key_id: &str) -> io::Result<String> {
        self.revoke(&key);
        self.counter += 1;
        let mut hasher = DefaultHasher::new();
        (&key.0, self.start, self.counter).hash(&mut hasher);
        let tail = key_id.get(key_id.len().saturating_sub(4)..).unwrap_or_default();
        let name = format!("{:016x}-{tail}", hasher.finish());
        self.prepare()?;
        self.file(&name, UNIX_EPOCH + Duration::from_secs(until))?;
        self.given.insert(key, (told, name.clone()));
        Ok(name)
    }

    /// Makes an empty file of this time, whole or not at all.
    fn file(&self, name: &str, modified: SystemTime) -> io::Result<PathBuf> {
        let path = self.folder.join(name);
        let file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&path)?;
        match file.set_modified(modified) {
            Ok(()) => Ok(path),
            Err(error) => {
                // Nobody was told of it.
                let _ = fs::remove_file(path);
                Err(error)
            }
        }
    }

    /// Takes the leases back for which `still_true` says no.
    pub fn keep(&mut self, mut still_true: impl FnMut(&Told) -> bool) {
        let over: Vec<_> = self
            .given
            .iter()
            .filter(|(_, (told, _))| !still_true(told))
            .map(|(key, _)| key.clone())
            .collect();
        for key in over {
            self.revoke(&key);
        }
    }

    /// The profiles whose shells hold credentials of a session with one of these numbers.
    pub fn profiles_of(&self, numbers: &[u64]) -> Vec<String> {
        let holds = |told: &Told| matches!(told, Told::Ready { number, .. } if numbers.contains(number));
        self.given
            .iter()
            .filter(|(_, (told, _))| holds(told))
            .map(|((profile, _), _)| profile.clone())
            .collect()
    }

    /// From here on they are this process's.
    pub fn take_over(&mut self) {
        self.ours = true;
        self.problem = self.prepare().err().map(|error| error.to_string());
    }

    /// They are no longer this process's.
    pub fn let_go(&mut self) {
        self.ours = false;
    }

    fn revoke(&mut self, key: &(String, bool)) {
        if let Some((_, name)) = self.given.remove(key) {
            // Gone already is as good.
            let _ = fs::remove_file(self.folder.join(name));
        }
    }
}

/// Whether a file's name is one that [`Leases::give`] makes.
fn is_lease(name: &OsStr) -> bool {
    let Some((hash, tail)) = name.to_str().and_then(|name| name.split_once('-')) else { return false };
    hash.len() == 16 && hash.bytes().all(|byte| byte.is_ascii_hexdigit()) && tail.len() <= 4
}

impl Drop for Leases {
    fn drop(&mut self) {
        if self.ours {
            self.keep(|_| false);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn root() -> SessionKey {
        SessionKey::Mfa { key_id: "AKIA".to_owned(), serial: "serial".to_owned(), endpoint: None }
    }

    fn ready(number: u64, level: usize) -> Told {
        Told::Ready { number, root: root(), level }
    }

    #[test]
    fn a_lease_is_there_as_long_as_it_is_true() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lease");
        let mut leases = Leases::new(path.clone(), 1);
        let first = leases.give("dev", ready(1, 0), 1_900_000_000, "AKIALAST").unwrap();
        assert_eq!(leases.give("dev", ready(1, 0), 1_900_000_000, "AKIALAST").unwrap(), first);
        let modified = path.join(&first).metadata().unwrap().modified().unwrap();
        assert_eq!(modified, UNIX_EPOCH + Duration::from_secs(1_900_000_000));
        let second = leases.give("dev", ready(2, 0), 1_900_000_000, "AKIALAST").unwrap();
        assert_ne!(first, second);
        assert!(!path.join(&first).exists());
        leases.keep(|told| *told == ready(2, 0));
        assert!(path.join(&second).exists());
        // The same state again is not the same lease: a shell that slept through must look.
        let ended = leases.give("dev", Told::Ended { missing: root() }, 0, "").unwrap();
        assert_ne!(leases.give("dev", ready(2, 0), 0, "").unwrap(), second);
        assert!(!path.join(&ended).exists());
        drop(leases);
        assert_eq!(fs::read_dir(&path).unwrap().count(), 0);
    }

    #[test]
    fn the_next_agent_clears_strays_and_takes_other_names() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lease");
        let mut killed = Leases::new(path.clone(), 1);
        let stray = killed.give("dev", ready(1, 0), 0, "").unwrap();
        std::mem::forget(killed);
        fs::write(path.join("contract.pdf"), "").unwrap();
        let mut next = Leases::new(path.clone(), 2);
        next.take_over();
        assert!(!path.join(&stray).exists());
        assert!(path.join("contract.pdf").exists(), "what is no lease stays");
        assert_ne!(next.give("dev", ready(1, 0), 0, "").unwrap(), stray);
    }

    #[test]
    fn a_folder_that_could_not_be_prepared_is_prepared_once_it_can_be() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("full/lease");
        fs::write(folder.path().join("full"), "no folder").unwrap();
        let mut leases = Leases::new(path.clone(), 1);
        leases.take_over();
        assert!(leases.problem().is_some());
        assert_eq!(leases.give("dev", ready(1, 0), 0, ""), None);
        assert!(leases.look().is_some());
        fs::remove_file(folder.path().join("full")).unwrap();
        let name = leases.give("dev", ready(1, 0), 0, "").unwrap();
        assert!(path.join(name).exists() && leases.problem().is_none());
        assert_eq!(leases.look(), None);
        assert_eq!(fs::read_dir(&path).unwrap().count(), 1);
    }

    #[test]
    fn what_was_given_before_the_disk_was_full_says_nothing_of_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lease");
        let mut leases = Leases::new(path.clone(), 1);
        let given = leases.give("dev", ready(1, 0), 0, "").unwrap();
        // While the folder is away no file can be made there.
        let away = folder.path().join("away");
        fs::rename(&path, &away).unwrap();
        assert_eq!(leases.give("prod", ready(2, 0), 0, ""), None);
        fs::rename(&away, &path).unwrap();
        assert_eq!(leases.give("dev", ready(1, 0), 0, ""), Some(given));
        assert!(leases.problem().is_some(), "none was made since");
        assert!(leases.give("prod", ready(2, 0), 0, "").is_some());
        assert_eq!(leases.problem(), None);
    }
}
