//! Leases: empty files that exist as long as what a shell was told is still true, so that a prompt has to do
//! no more than look whether a file is there. Every state that a shell can be in has one, also "expired".

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::{self, OpenOptions};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;
use std::time::{Duration, UNIX_EPOCH};

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
}

impl Leases {
    /// Leases in a folder, cleared of what a killed agent left there. `start` differs from agent to agent.
    pub fn new(folder: PathBuf, start: u64) -> io::Result<Self> {
        platform::create_private_folder(&folder)?;
        if !address::check_folder(&folder, platform::own_uid()).map_err(io::Error::other)? {
            return Err(io::ErrorKind::NotFound.into());
        }
        for entry in fs::read_dir(&folder)? {
            let entry = entry?;
            // Somebody's folder of the same name may have ended up here: what is no lease stays.
            if entry.file_type()?.is_file() && is_lease(&entry.file_name()) {
                fs::remove_file(entry.path())?;
            }
        }
        Ok(Self { folder, ours: true, start, counter: 0, given: BTreeMap::new() })
    }

    /// The name of the lease for a profile as long as this is true. The file's time of change is the moment
    /// when it is over, in seconds since the epoch. The name ends with the last four characters of the key id
    /// that the shell was given, so that a shell can tell a key that the person set by hand.
    pub fn give(&mut self, profile: &str, told: Told, until: u64, key_id: &str) -> io::Result<String> {
        let key = (profile.to_owned(), matches!(told, Told::Live { .. }));
        if let Some((given, name)) = self.given.get(&key)
            && *given == told
            && self.folder.join(name).exists()
        {
            return Ok(name.clone());
        }
        self.revoke(&key);
        self.counter += 1;
        let mut hasher = DefaultHasher::new();
        (profile, self.start, self.counter).hash(&mut hasher);
        let tail = key_id.get(key_id.len().saturating_sub(4)..).unwrap_or_default();
        let name = format!("{:016x}-{tail}", hasher.finish());
        let path = self.folder.join(&name);
        let file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)?;
        file.set_modified(UNIX_EPOCH + Duration::from_secs(until))?;
        self.given.insert(key, (told, name.clone()));
        Ok(name)
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

    /// From here on they are this process's, or no longer.
    pub fn set_ours(&mut self, ours: bool) {
        self.ours = ours;
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
        let mut leases = Leases::new(path.clone(), 1).unwrap();
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
        let mut killed = Leases::new(path.clone(), 1).unwrap();
        let stray = killed.give("dev", ready(1, 0), 0, "").unwrap();
        std::mem::forget(killed);
        fs::write(path.join("contract.pdf"), "").unwrap();
        let mut next = Leases::new(path.clone(), 2).unwrap();
        assert!(!path.join(&stray).exists());
        assert!(path.join("contract.pdf").exists(), "what is no lease stays");
        assert_ne!(next.give("dev", ready(1, 0), 0, "").unwrap(), stray);
    }
}
