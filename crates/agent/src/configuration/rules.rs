//! What is done for a session by itself: several profiles may rest on one, each with settings of its own.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Configuration, LockOn, settings_of};

/// When people are told of a session's end, what locks the agent, and when it ends.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Rules {
    notify_before: Vec<u32>,
    lock_on: LockOn,
    forget_unused: Option<u32>,
    /// After how much time that nobody needs the agent it ends, in seconds; none where it stays.
    pub exit_when_idle: Option<u32>,
    /// Profiles with settings of their own.
    own: BTreeMap<String, Own>,
}

#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
struct Own {
    notify_before: Option<Vec<u32>>,
    lock_on: Option<LockOn>,
    forget_unused: Option<u32>,
}

impl From<&Configuration> for Rules {
    fn from(configuration: &Configuration) -> Self {
        let own = configuration.profile.iter().filter_map(|(profile, settings)| {
            let own = Own {
                notify_before: settings.notify_before.clone(),
                lock_on: settings.lock_on,
                forget_unused: settings.forget_unused,
            };
            (own != Own::default()).then(|| (profile.clone(), own))
        });
        Self {
            notify_before: configuration.notify_before.clone(),
            lock_on: configuration.lock_on,
            forget_unused: configuration.forget_unused,
            exit_when_idle: configuration.exit_when_idle,
            own: own.collect(),
        }
    }
}

impl Rules {
    /// How long before the end of a session of these profiles people are told, in seconds, longest first: whenever
    /// one of them wants it.
    pub fn notify_before<'a>(&self, profiles: impl IntoIterator<Item = &'a String>) -> Cow<'_, [u32]> {
        let mut wanted = profiles.into_iter().map(|profile| {
            let own = settings_of(&self.own, profile).find_map(|own| own.notify_before.as_ref());
            own.unwrap_or(&self.notify_before)
        });
        let first = wanted.next().unwrap_or(&self.notify_before);
        wanted.fold(Cow::Borrowed(first.as_slice()), |mut all, more| {
            if *all != **more {
                let all = all.to_mut();
                all.extend(more);
                all.sort_unstable_by(|one, other| other.cmp(one));
                all.dedup();
            }
            all
        })
    }

    /// Whether anything is forgotten because it is not used.
    pub fn forgets_unused(&self) -> bool {
        self.forget_unused.is_some() || self.own.values().any(|own| own.forget_unused.is_some())
    }

    /// How long a session of these profiles may stay unused, in seconds: as short as one of them wants it.
    pub fn forget_unused<'a>(&self, profiles: impl IntoIterator<Item = &'a String>) -> Option<u32> {
        let wanted = profiles.into_iter().filter_map(|profile| {
            settings_of(&self.own, profile).find_map(|own| own.forget_unused).or(self.forget_unused)
        });
        wanted.min()
    }

    /// What locks the agent while it holds sessions of these profiles: whatever one of them wants.
    pub fn lock_on<'a>(&self, profiles: impl IntoIterator<Item = &'a String>) -> LockOn {
        let mut wanted = profiles.into_iter().map(|profile| {
            settings_of(&self.own, profile).find_map(|own| own.lock_on).unwrap_or(self.lock_on)
        });
        let first = wanted.next().unwrap_or(self.lock_on);
        wanted.fold(first, |all, more| LockOn {
            screen_lock: all.screen_lock || more.screen_lock,
            suspend: all.suspend || more.suspend,
            wipe_on_suspend: all.wipe_on_suspend || more.wipe_on_suspend,
            idle: all.idle.into_iter().chain(more.idle).min(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(text: &str) -> Rules {
        Rules::from(&Configuration::parse(text).unwrap())
    }

    fn profiles(names: &str) -> Vec<String> {
        names.split_whitespace().map(str::to_owned).collect()
    }

    #[test]
    fn people_are_told_whenever_one_of_the_profiles_wants_it() {
        let rules =
            rules("[profile.prod]\nnotify_before = ['1h', '2m']\n[profile.quiet]\nnotify_before = []\n");
        for (names, spans) in [
            ("", &[600, 120][..]),
            ("dev", &[600, 120]),
            ("prod", &[3_600, 120]),
            ("quiet", &[]),
            ("dev prod", &[3_600, 600, 120]),
            ("prod quiet", &[3_600, 120]),
        ] {
            assert_eq!(*rules.notify_before(&profiles(names)), *spans, "{names}");
        }
    }

    #[test]
    fn the_strictest_of_the_profiles_locks() {
        let rules = rules(
            "lock_on = [{ idle = '1h' }]\n[profile.prod]\nlock_on = [{ suspend = 'wipe' }, { idle = '5m' }]\n\
             [profile.quiet]\nlock_on = []\n",
        );
        let idle = |seconds| LockOn { idle: Some(seconds), ..LockOn::default() };
        let prod = LockOn { suspend: true, wipe_on_suspend: true, ..idle(300) };
        for (names, lock_on) in [
            ("", idle(3_600)),
            ("dev", idle(3_600)),
            ("quiet", LockOn::default()),
            ("quiet dev", idle(3_600)),
            ("dev prod", prod),
        ] {
            assert_eq!(rules.lock_on(&profiles(names)), lock_on, "{names}");
        }
    }
}
