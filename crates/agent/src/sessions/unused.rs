//! Sessions that nobody uses, where the person wants them forgotten.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::State;
use crate::clock::Now;
use crate::journal::Peer;
use crate::vault::{SessionKey, pairs};

/// When sessions were used last, by the boot-time clock: a program was given credentials, or a person a session.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Uses(#[serde(with = "pairs")] BTreeMap<SessionKey, u64>);

impl Uses {
    /// The session that a code opened is used, or what rests on it.
    pub fn note(&mut self, key: &SessionKey, now: Now) {
        self.0.insert(key.root().clone(), now.boot);
    }
}

impl State {
    /// Forgets what was not used for as long as the person wants; whether there was something.
    pub(super) fn forget_unused(&mut self, now: Now) -> bool {
        if self.next_unused(now) != Some(0) {
            return false;
        }
        let mut roots = self.vault.roots();
        self.uses.0.retain(|root, _| roots.contains(root));
        roots.retain(|root| self.unused_left(root, now) == Some(0));
        let mut some = false;
        for root in &roots {
            let profiles = self.vault.profiles_on(root).into_iter().collect::<Vec<_>>().join(", ");
            some |= self.vault.forget(root);
            self.uses.0.remove(root);
            self.journal.note(now, &Peer::default(), format!("{profiles}: forgotten, since it was not used"));
        }
        some
    }

    /// Seconds until there is more to forget.
    pub(super) fn next_unused(&self, now: Now) -> Option<u64> {
        if !self.rules.forgets_unused() {
            return None;
        }
        self.vault.roots().iter().filter_map(|root| self.unused_left(root, now)).min()
    }

    /// How long a session may stay unused from now on, in seconds; none where there is no limit.
    fn unused_left(&self, root: &SessionKey, now: Now) -> Option<u64> {
        let span = self.rules.forget_unused(&self.vault.profiles_on(root))?;
        let used = self.uses.0.get(root)?;
        Some(used.saturating_add(u64::from(span)).saturating_sub(now.boot))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Deadline;
    use crate::configuration::{Configuration, Rules};
    use crate::sealed::Sealer;
    use crate::vault::Held;

    const START: Now = Now { wall: 1_800_000_000, boot: 5_000 };

    fn later(seconds: u64) -> Now {
        Now { wall: START.wall + seconds, boot: START.boot + seconds }
    }

    fn key(id: &str) -> SessionKey {
        SessionKey::Mfa {
            key_id: id.to_owned(),
            serial: "arn:aws:iam::111122223333:mfa/alice".to_owned(),
            endpoint: None,
        }
    }

    fn state(configuration: &str, profiles: &[&str]) -> State {
        let sealer = Sealer::new().unwrap();
        let mut state =
            State { rules: Rules::from(&Configuration::parse(configuration).unwrap()), ..State::default() };
        for profile in profiles {
            let seal = || sealer.seal(&protocol::Secret::new("x".to_owned()));
            let deadline = Deadline::after(START, 43_200);
            let held = Held::new("ASIA".to_owned(), seal(), seal(), deadline, String::new(), 43_200);
            state.vault.put(key(profile), profile, held);
            state.uses.note(&key(profile), START);
        }
        state
    }

    #[test]
    fn what_is_not_used_is_forgotten_and_nothing_else() {
        let mut state = state("forget_unused = '1h'", &["dev", "prod"]);
        assert_eq!(state.next_unused(START), Some(3_600));
        state.uses.note(&key("prod"), later(600));
        assert!(!state.forget_unused(later(3_599)));
        assert!(state.forget_unused(later(3_600)));
        assert_eq!(state.vault.roots(), [key("prod")].into());
        assert_eq!(state.next_unused(later(3_600)), Some(600));
        assert!(state.journal.latest().iter().any(|entry| entry.event.starts_with("dev: forgotten")));
        // The wall clock tells nothing: a person may set it.
        assert!(!state.forget_unused(Now { wall: START.wall + 86_400, boot: START.boot + 4_199 }));
        assert!(state.forget_unused(Now { wall: START.wall - 86_400, boot: START.boot + 4_200 }));
    }

    #[test]
    fn a_profile_has_a_span_of_its_own_and_without_one_nothing_is_forgotten() {
        let mut some = state("[profile.prod]\nforget_unused = '30m'", &["dev", "prod"]);
        assert_eq!(some.next_unused(START), Some(1_800));
        assert!(some.forget_unused(later(40_000)));
        assert_eq!(some.vault.roots(), [key("dev")].into());
        assert_eq!(some.next_unused(later(40_000)), None);
        assert_eq!(state("", &["dev"]).next_unused(START), None);
    }
}
