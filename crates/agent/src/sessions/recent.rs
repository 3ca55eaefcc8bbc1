//! Which profiles were used last.

use serde::{Deserialize, Serialize};

/// Of how many profiles it is known.
const REMEMBERED: usize = 256;

/// The profiles whose credentials were given out, the latest first.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Recent(Vec<String>);

impl Recent {
    /// A profile's credentials are given out.
    pub fn used(&mut self, profile: &str) {
        if self.latest().is_none_or(|latest| latest != profile) {
            self.0.retain(|name| name != profile);
            self.0.insert(0, profile.to_owned());
            self.0.truncate(REMEMBERED);
        }
    }

    /// The profile that was used last.
    pub fn latest(&self) -> Option<&String> {
        self.0.first()
    }

    /// How many other profiles were used since this one was.
    pub fn others_since(&self, profile: &str) -> Option<u32> {
        self.0.iter().position(|name| name == profile).and_then(|at| u32::try_from(at).ok())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_latest_is_first_and_nothing_is_there_twice() {
        let mut recent = Recent::default();
        assert_eq!((recent.latest(), recent.others_since("a")), (None, None));
        for name in ["a", "b", "a", "a", "c"] {
            recent.used(name);
        }
        assert_eq!(recent.0, ["c", "a", "b"]);
        assert_eq!(recent.others_since("a"), Some(1));
        for number in 0..1_000 {
            recent.used(&number.to_string());
        }
        assert_eq!((recent.0.len(), recent.others_since("a")), (REMEMBERED, None));
    }
}
