//! Leases: empty files that exist as long as what a shell was told is still true, so that a prompt has to do
//! no more than look whether a file is there.

use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;
use std::time::{Duration, UNIX_EPOCH};

use crate::platform;

/// The leases of one agent.
#[derive(Debug)]
pub struct Leases {
    folder: PathBuf,
    /// Tells this agent's names from those of another one, which a shell may still hold.
    start: u64,
    /// By profile: the session's number and the lease's name.
    given: BTreeMap<String, (u64, String)>,
}

impl Leases {
    /// Leases in a folder, cleared of what a killed agent left there. `start` differs from agent to agent.
    pub fn new(folder: PathBuf, start: u64) -> io::Result<Self> {
        platform::create_private_folder(&folder)?;
        for entry in fs::read_dir(&folder)? {
            fs::remove_file(entry?.path())?;
        }
        Ok(Self { folder, start, given: BTreeMap::new() })
    }

    /// The name of the lease for a profile while its session is the one with this number.
    pub fn give(&mut self, profile: &str, session: u64, expires_at: u64) -> io::Result<String> {
        if let Some((number, name)) = self.given.get(profile)
            && *number == session
            && self.folder.join(name).exists()
        {
            return Ok(name.clone());
        }
        self.revoke(profile);
        let mut hasher = DefaultHasher::new();
        (profile, self.start, session).hash(&mut hasher);
        let name = format!("{:016x}", hasher.finish());
        let file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(self.folder.join(&name))?;
        file.set_modified(UNIX_EPOCH + Duration::from_secs(expires_at))?;
        self.given.insert(profile.to_owned(), (session, name.clone()));
        Ok(name)
    }

    /// What shells were told of a profile is no longer true.
    pub fn revoke(&mut self, profile: &str) {
        if let Some((_, name)) = self.given.remove(profile) {
            // Gone already is as good.
            let _ = fs::remove_file(self.folder.join(name));
        }
    }

    /// Keeps the leases for which `still_true` says so, by profile and session number.
    pub fn keep(&mut self, mut still_true: impl FnMut(&str, u64) -> bool) {
        let over: Vec<String> = self
            .given
            .iter()
            .filter(|(profile, (number, _))| !still_true(profile, *number))
            .map(|(profile, _)| profile.clone())
            .collect();
        for profile in over {
            self.revoke(&profile);
        }
    }
}

impl Drop for Leases {
    fn drop(&mut self) {
        self.keep(|_, _| false);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lease_is_there_as_long_as_its_session() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lease");
        let mut leases = Leases::new(path.clone(), 1).unwrap();
        let first = leases.give("dev", 1, 1_900_000_000).unwrap();
        assert_eq!(leases.give("dev", 1, 1_900_000_000).unwrap(), first);
        let modified = path.join(&first).metadata().unwrap().modified().unwrap();
        assert_eq!(modified, UNIX_EPOCH + Duration::from_secs(1_900_000_000));
        let second = leases.give("dev", 2, 1_900_000_000).unwrap();
        assert_ne!(first, second);
        assert!(!path.join(&first).exists());
        leases.keep(|_, number| number == 2);
        assert!(path.join(&second).exists());
        drop(leases);
        assert!(!path.join(&second).exists());
    }

    #[test]
    fn the_next_agent_clears_strays_and_takes_other_names() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lease");
        let mut killed = Leases::new(path.clone(), 1).unwrap();
        let stray = killed.give("dev", 1, 0).unwrap();
        std::mem::forget(killed);
        let mut next = Leases::new(path.clone(), 2).unwrap();
        assert!(!path.join(&stray).exists());
        assert_ne!(next.give("dev", 1, 0).unwrap(), stray);
    }
}
