//! What is held: sessions by their keys, until they expire or are forgotten. Knows no AWS, no sockets and no
//! clock; `now` is an argument.

use std::collections::{BTreeMap, BTreeSet};

use protocol::{Session, SessionKind};
use serde::{Deserialize, Serialize};

use crate::clock::{Deadline, Now};
use crate::notify::Ending;
use crate::profile::{Hop, RoleContext};
use crate::sealed::Sealed;

/// How long a session is kept, and not given out, that is over by the wall clock alone, in seconds: that clock may have
/// been set wrong for a moment.
const DOUBT_SECONDS: u64 = 60;

/// What a session is held under.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum SessionKey {
    /// An MFA session: profiles that share the long-term key, the device and the endpoint share it.
    Mfa {
        /// The long-term key's id.
        key_id: String,
        /// The device.
        serial: String,
        /// Where the code goes; none for AWS itself.
        #[serde(default)]
        endpoint: Option<String>,
    },
    /// A role that took a code of its own.
    RoleWithMfa {
        /// The long-term key's id.
        key_id: String,
        /// The device.
        serial: String,
        /// Where the code goes; none for AWS itself.
        #[serde(default)]
        endpoint: Option<String>,
        /// The role and how it is assumed.
        role: Role,
    },
    /// A role assumed from another session.
    Role {
        /// The session that it was assumed from.
        source: Box<SessionKey>,
        /// The role and how it is assumed.
        role: Role,
    },
}

/// What makes two role sessions the same.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Role {
    /// Its ARN.
    pub arn: String,
    /// `RoleSessionName`.
    pub session_name: String,
    /// `ExternalId`.
    pub external_id: Option<String>,
    /// `DurationSeconds`.
    pub duration: u32,
    /// Tags, source identity and policies.
    #[serde(default)]
    pub context: RoleContext,
}

impl Role {
    /// The role of a hop, for so long.
    pub fn new(hop: &Hop, duration: u32) -> Self {
        Self {
            arn: hop.role_arn.clone(),
            session_name: hop.session_name.clone(),
            external_id: hop.external_id.clone(),
            duration,
            context: hop.context.clone(),
        }
    }
}

impl SessionKey {
    /// The session that a code opened and that this one rests on; itself where a code opened it.
    pub fn root(&self) -> &Self {
        match self {
            Self::Mfa { .. } | Self::RoleWithMfa { .. } => self,
            Self::Role { source, .. } => source.root(),
        }
    }

    /// The MFA device.
    pub fn serial(&self) -> &str {
        match self.root() {
            Self::Mfa { serial, .. } | Self::RoleWithMfa { serial, .. } => serial,
            Self::Role { .. } => "",
        }
    }

    /// The AWS account, where it is known: the role's, else the device's.
    pub fn account(&self) -> Option<String> {
        // arn:PARTITION:iam::ACCOUNT:…
        let account = |arn: &str| {
            let account = arn.strip_prefix("arn:")?.split(':').nth(3)?;
            (!account.is_empty()).then(|| account.to_owned())
        };
        self.role().and_then(|role| account(&role.arn)).or_else(|| account(self.serial()))
    }

    fn role(&self) -> Option<&Role> {
        match self {
            Self::Mfa { .. } => None,
            Self::RoleWithMfa { role, .. } | Self::Role { role, .. } => Some(role),
        }
    }
}

/// A held session.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Held {
    /// `AWS_ACCESS_KEY_ID`.
    pub access_key_id: String,
    /// `AWS_SECRET_ACCESS_KEY`.
    pub secret_access_key: Sealed,
    /// `AWS_SESSION_TOKEN`.
    pub session_token: Sealed,
    /// When it is over, by this machine's clocks.
    pub deadline: Deadline,
    /// When AWS stops taking it, by AWS's clock: RFC 3339.
    pub expiration: String,
    /// How long it was given for, in seconds.
    pub duration: u64,
    /// Counts up with every session: a later one has a higher number.
    pub number: u64,
    profiles: BTreeSet<String>,
}

impl Held {
    /// A session as AWS gave it, not numbered yet.
    pub fn new(
        access_key_id: String,
        secret_access_key: Sealed,
        session_token: Sealed,
        deadline: Deadline,
        expiration: String,
        duration: u64,
    ) -> Self {
        Self {
            access_key_id,
            secret_access_key,
            session_token,
            deadline,
            expiration,
            duration,
            number: 0,
            profiles: BTreeSet::new(),
        }
    }
}

/// A session whose end is in doubt.
#[derive(Debug, Serialize, Deserialize)]
struct Doubtful {
    held: Held,
    /// Wiped then, by the boot-time clock.
    until: u64,
}

/// The sessions.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Vault {
    #[serde(with = "pairs")]
    sessions: BTreeMap<SessionKey, Held>,
    /// What is over by the wall clock alone. To everybody it is gone, until that clock comes back or it is wiped.
    #[serde(with = "pairs")]
    doubtful: BTreeMap<SessionKey, Doubtful>,
    /// Keys of MFA sessions that ran out, so that a question can say so.
    expired: BTreeSet<SessionKey>,
    numbers: u64,
}

impl Vault {
    /// A session that is still good, noted as used for a profile.
    pub fn get(&mut self, key: &SessionKey, profile: &str, now: Now) -> Option<&Held> {
        self.drop_expired(now);
        let held = self.sessions.get_mut(key)?;
        held.profiles.insert(profile.to_owned());
        Some(held)
    }

    /// Holds a session in the place of an older one, and returns its number. Roles assumed from the older
    /// one stay: AWS ends them by their own time alone.
    pub fn put(&mut self, key: SessionKey, profile: &str, mut held: Held) -> u64 {
        self.numbers += 1;
        held.number = self.numbers;
        held.profiles.insert(profile.to_owned());
        self.expired.remove(&key);
        let doubtful = self.doubtful.remove(&key).map(|doubtful| doubtful.held);
        if let Some(older) = self.sessions.remove(&key).or(doubtful) {
            held.profiles.extend(older.profiles);
        }
        self.sessions.insert(key, held);
        self.numbers
    }

    /// The number of the session under a key, 0 where there is none that is still good.
    pub fn number(&mut self, key: &SessionKey, now: Now) -> u64 {
        self.drop_expired(now);
        self.sessions.get(key).map_or(0, |held| held.number)
    }

    /// Seconds left of a session; none where it is not held, or over.
    pub fn left(&self, key: &SessionKey, now: Now) -> Option<u64> {
        self.sessions.get(key).map(|held| held.deadline.left(now)).filter(|left| *left > 0)
    }

    /// All sessions, with their seconds left.
    pub fn all_left(&self, now: Now) -> impl Iterator<Item = (&SessionKey, u64, u64)> {
        self.sessions.iter().map(move |(key, held)| (key, held.number, held.deadline.left(now)))
    }

    /// What codes opened, with their seconds left.
    pub fn endings(&self, now: Now) -> Vec<Ending> {
        let roots = self.sessions.iter().filter(|(key, _)| key.root() == *key);
        roots
            .map(|(key, held)| Ending {
                key: key.clone(),
                number: held.number,
                profiles: held.profiles.iter().cloned().collect(),
                account: key.account(),
                account_alias: None,
                notify_before: Vec::new(),
                duration: held.duration,
                left: held.deadline.left(now),
            })
            .collect()
    }

    /// Lets go of what is over. What is over by the wall clock alone comes back with that clock, if it does so soon.
    pub fn drop_expired(&mut self, now: Now) {
        for (key, Doubtful { held, .. }) in
            self.doubtful.extract_if(.., |_, doubtful| doubtful.held.deadline.left(now) > 0)
        {
            self.expired.remove(&key);
            self.sessions.insert(key, held);
        }
        for (key, held) in self.sessions.extract_if(.., |_, held| held.deadline.left(now) == 0) {
            if key.root() == &key {
                self.expired.insert(key.clone());
            }
            self.doubtful.insert(key, Doubtful { held, until: now.boot.saturating_add(DOUBT_SECONDS) });
        }
        self.doubtful.retain(|_, doubtful| {
            doubtful.until > now.boot && !doubtful.held.deadline.is_over_by_boot_clock(now)
        });
    }

    /// Whether nothing is held, and nothing may be again.
    pub fn is_empty(&self) -> bool {
        self.all().next().is_none()
    }

    /// Seconds until something is wiped that is gone already.
    pub fn next_wipe(&self, now: Now) -> Option<u64> {
        self.doubtful.values().map(|doubtful| doubtful.until.saturating_sub(now.boot)).min()
    }

    /// The profiles that were served from the sessions with these numbers.
    pub fn profiles_of(&self, numbers: &[u64]) -> BTreeSet<String> {
        let served = self.sessions.values().filter(|held| numbers.contains(&held.number));
        served.flat_map(|held| held.profiles.iter().cloned()).collect()
    }

    /// The profiles that were served from the session under this key, if it is held.
    pub fn profiles_at(&self, key: &SessionKey) -> impl Iterator<Item = &String> {
        self.sessions.get(key).into_iter().flat_map(|held| &held.profiles)
    }

    /// Whether the session with this number is still held.
    pub fn holds(&self, number: u64) -> bool {
        self.sessions.values().any(|held| held.number == number)
    }

    /// Whether the session with this number is still held, or may be again.
    pub fn may_hold(&self, number: u64) -> bool {
        self.all().any(|(_, held)| held.number == number)
    }

    /// Whether something is held that rests on this session.
    pub fn holds_of(&self, root: &SessionKey) -> bool {
        self.all().any(|(key, _)| key.root() == root)
    }

    /// The profiles that were served, the latest session's first.
    pub fn profiles(&self) -> Vec<String> {
        let mut held: Vec<&Held> = self.all().map(|(_, held)| held).collect();
        held.sort_by_key(|held| std::cmp::Reverse(held.number));
        held.iter().flat_map(|held| held.profiles.iter().cloned()).collect()
    }

    /// The profiles that were served from a session that a code opened, and from what rests on it.
    pub fn profiles_on(&self, root: &SessionKey) -> BTreeSet<String> {
        let there = self.all().filter(|(key, _)| key.root() == root);
        there.flat_map(|(_, held)| held.profiles.iter().cloned()).collect()
    }

    /// Forgets which sessions ran out.
    pub fn forget_expired(&mut self) {
        self.expired.clear();
    }

    /// Whether the last session under this key ran out, rather than never having been or been forgotten.
    pub fn has_expired(&self, key: &SessionKey) -> bool {
        self.expired.contains(key)
    }

    /// Forgets what rests on a session that a code opened, itself included. Says whether there was one.
    pub fn forget(&mut self, root: &SessionKey) -> bool {
        self.expired.remove(root);
        let count = |vault: &Self| vault.sessions.len() + vault.doubtful.len();
        let before = count(self);
        self.sessions.retain(|key, _| key.root() != root);
        self.doubtful.retain(|key, _| key.root() != root);
        count(self) < before
    }

    /// What is held, and what may be again.
    fn all(&self) -> impl Iterator<Item = (&SessionKey, &Held)> {
        let doubtful = self.doubtful.iter().map(|(key, doubtful)| (key, &doubtful.held));
        self.sessions.iter().chain(doubtful)
    }

    /// The sessions that codes opened and that served these profiles.
    pub fn roots_of(&self, profiles: &[String]) -> BTreeSet<SessionKey> {
        self.all()
            .filter(|(_, held)| profiles.iter().any(|profile| held.profiles.contains(profile)))
            .map(|(key, _)| key.root().clone())
            .collect()
    }

    /// All sessions that codes opened, or that are all that is left of one.
    pub fn roots(&self) -> BTreeSet<SessionKey> {
        self.all().map(|(key, _)| key.root().clone()).collect()
    }

    /// How many sessions would need a new code if they were lost.
    pub fn len(&mut self, now: Now) -> usize {
        self.drop_expired(now);
        self.roots().len()
    }

    /// What is held, for people to see, MFA sessions first. `next_notification` says in how many seconds people
    /// are told of one.
    pub fn describe(
        &mut self,
        now: Now,
        next_notification: impl Fn(&SessionKey) -> Option<u64>,
    ) -> Vec<Session> {
        self.drop_expired(now);
        let sessions = self.sessions.iter();
        sessions
            .map(|(key, held)| Session {
                next_notification: next_notification(key),
                ..describe(key, held, now)
            })
            .collect()
    }

    /// One session, for people to see.
    pub fn describe_one(&mut self, key: &SessionKey, now: Now) -> Option<Session> {
        self.drop_expired(now);
        self.sessions.get(key).map(|held| describe(key, held, now))
    }
}

fn describe(key: &SessionKey, held: &Held, now: Now) -> Session {
    let kind = match key {
        SessionKey::Mfa { .. } => SessionKind::Mfa,
        SessionKey::RoleWithMfa { .. } => SessionKind::RoleWithMfa,
        SessionKey::Role { .. } => SessionKind::Role,
    };
    let role_arn = key.role().map(|role| role.arn.clone());
    Session {
        kind,
        profiles: held.profiles.iter().cloned().collect(),
        account: key.account(),
        account_alias: None,
        serial: key.serial().to_owned(),
        role_arn,
        expiration: held.expiration.clone(),
        expires_at: held.deadline.wall,
        seconds_left: held.deadline.left(now),
        duration: held.duration,
        next_notification: None,
        reused: true,
    }
}

/// Maps that are written as pairs: JSON has no keys but texts.
pub mod pairs {
    use std::collections::BTreeMap;

    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    /// Writes them.
    pub fn serialize<K: Serialize, V: Serialize, S: Serializer>(
        map: &BTreeMap<K, V>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(map)
    }

    /// Reads them.
    pub fn deserialize<'de, K: Deserialize<'de> + Ord, V: Deserialize<'de>, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<BTreeMap<K, V>, D::Error> {
        Vec::deserialize(deserializer).map(BTreeMap::from_iter)
    }
}

#[cfg(test)]
mod tests {
    use protocol::Secret;

    use super::*;
    use crate::sealed::Sealer;

    const NOW: Now = Now { wall: 1_800_000_000, boot: 1_000 };

    fn later(seconds: u64) -> Now {
        Now { wall: NOW.wall + seconds, boot: NOW.boot + seconds }
    }

    fn mfa(user: &str) -> SessionKey {
        SessionKey::Mfa {
            key_id: user.to_owned(),
            serial: format!("arn:aws:iam::111122223333:mfa/{user}"),
            endpoint: None,
        }
    }

    fn role(source: &SessionKey, arn: &str) -> SessionKey {
        let role = Role {
            arn: arn.to_owned(),
            session_name: "mfa-agent".to_owned(),
            external_id: None,
            duration: 3_600,
            context: RoleContext::default(),
        };
        SessionKey::Role { source: Box::new(source.clone()), role }
    }

    fn held(seconds: u64) -> Held {
        let sealer = Sealer::new().unwrap();
        Held::new(
            "ASIA".to_owned(),
            sealer.seal(&Secret::new("secret".to_owned())),
            sealer.seal(&Secret::new("token".to_owned())),
            Deadline::after(NOW, seconds),
            String::new(),
            seconds,
        )
    }

    #[test]
    fn a_session_is_given_until_it_is_over() {
        let mut vault = Vault::default();
        vault.put(mfa("alice"), "dev", held(900));
        assert!(vault.get(&mfa("alice"), "dev", later(899)).is_some());
        assert!(!vault.has_expired(&mfa("alice")));
        assert!(vault.get(&mfa("alice"), "dev", later(900)).is_none());
        assert!(vault.has_expired(&mfa("alice")));
        assert_eq!(vault.len(later(900)), 0);
    }

    /// The wall clock is set.
    fn set(seconds: i64, boot: u64) -> Now {
        Now { wall: NOW.wall.saturating_add_signed(seconds), boot: NOW.boot + boot }
    }

    #[test]
    fn a_wall_clock_that_comes_back_brings_the_session_back() {
        let alice = mfa("alice");
        let mut vault = Vault::default();
        let number = vault.put(alice.clone(), "dev", held(900));
        vault.put(role(&alice, "arn:aws:iam::111122223333:role/ops"), "ops", held(900));
        vault.drop_expired(set(86_400, 10));
        // Nobody gets anything of it, and it is not forgotten: a lock stays closed.
        assert!(vault.get(&alice, "dev", set(86_400, 10)).is_none());
        assert!(vault.describe(set(86_400, 10), |_| None).is_empty());
        assert_eq!((vault.left(&alice, set(86_400, 10)), vault.number(&alice, set(86_400, 10))), (None, 0));
        assert!(vault.has_expired(&alice) && !vault.holds(number) && vault.may_hold(number));
        assert_eq!(vault.len(set(86_400, 10)), 1);
        assert_eq!(vault.next_wipe(set(86_400, 10)), Some(DOUBT_SECONDS));
        // A minute is not over yet.
        assert!(vault.get(&alice, "dev", later(10 + DOUBT_SECONDS - 1)).is_some());
        assert!(!vault.has_expired(&alice) && vault.holds(number));
        assert_eq!(vault.describe(later(69), |_| None).len(), 2);
        assert_eq!(vault.next_wipe(later(69)), None);
    }

    #[test]
    fn what_stays_in_doubt_or_is_over_for_certain_is_wiped() {
        let alice = mfa("alice");
        let mut vault = Vault::default();
        vault.put(alice.clone(), "dev", held(900));
        vault.drop_expired(set(86_400, 10));
        vault.drop_expired(set(86_410, 10 + DOUBT_SECONDS));
        assert_eq!((vault.len(later(70)), vault.roots().len()), (0, 0));
        // The machine slept, or it is just time: both clocks say so.
        for end in [set(900, 900), set(86_400, 86_400), set(-86_400, 900)] {
            vault.put(alice.clone(), "dev", held(900));
            vault.drop_expired(end);
            assert!(vault.sessions.is_empty() && vault.doubtful.is_empty(), "{end:?}");
            assert!(vault.has_expired(&alice));
        }
        // A second apart: each clock begins its seconds at a moment of its own.
        vault.put(alice.clone(), "dev", held(900));
        vault.drop_expired(set(900, 899));
        assert_eq!(vault.len(set(900, 899)), 1);
        assert_eq!(vault.len(set(901, 900)), 0);
    }

    #[test]
    fn what_is_in_doubt_can_be_forgotten_and_replaced() {
        let alice = mfa("alice");
        let mut vault = Vault::default();
        vault.put(alice.clone(), "dev", held(900));
        vault.drop_expired(set(86_400, 1));
        assert_eq!(vault.roots_of(&["dev".to_owned()]), BTreeSet::from([alice.clone()]));
        assert!(vault.forget(&alice));
        assert!(vault.get(&alice, "dev", later(2)).is_none());
        vault.put(alice.clone(), "dev", held(900));
        vault.drop_expired(set(86_400, 1));
        let number = vault.put(alice.clone(), "other", held(900));
        assert_eq!(vault.number(&alice, later(2)), number);
        assert_eq!(vault.describe(later(2), |_| None)[0].profiles, ["dev", "other"]);
    }

    #[test]
    fn profiles_share_a_session_and_are_named_by_it() {
        let mut vault = Vault::default();
        vault.put(mfa("alice"), "dev", held(900));
        assert!(vault.get(&mfa("alice"), "prod", NOW).is_some());
        assert!(vault.get(&mfa("bob"), "dev", NOW).is_none());
        let sessions = vault.describe(NOW, |_| None);
        assert_eq!(sessions[0].profiles, ["dev", "prod"]);
        assert_eq!(sessions[0].account.as_deref(), Some("111122223333"));
    }

    #[test]
    fn forgetting_takes_the_roles_along_and_nothing_else() {
        let mut vault = Vault::default();
        let ops = role(&mfa("alice"), "arn:aws:iam::1:role/ops");
        vault.put(mfa("alice"), "dev", held(900));
        vault.put(ops.clone(), "ops", held(900));
        vault.put(role(&ops, "arn:aws:iam::2:role/deep"), "deep", held(900));
        vault.put(mfa("bob"), "bob", held(900));
        assert_eq!(vault.roots_of(&["deep".to_owned()]), [mfa("alice")].into());
        assert!(vault.forget(&mfa("alice")));
        assert!(!vault.forget(&mfa("alice")));
        assert_eq!(vault.describe(NOW, |_| None).len(), 1);
        assert!(!vault.has_expired(&mfa("alice")));
    }

    #[test]
    fn a_newer_session_has_a_higher_number() {
        let mut vault = Vault::default();
        assert_eq!(vault.number(&mfa("alice"), NOW), 0);
        let first = vault.put(mfa("alice"), "dev", held(900));
        let second = vault.put(mfa("alice"), "prod", held(900));
        assert!(second > first);
        assert_eq!(vault.number(&mfa("alice"), NOW), second);
        assert_eq!(vault.describe(NOW, |_| None)[0].profiles, ["dev", "prod"]);
    }

    #[test]
    fn a_debug_of_the_vault_shows_no_secret() {
        let mut vault = Vault::default();
        vault.put(mfa("alice"), "dev", held(900));
        let shown = format!("{vault:?}");
        assert!(!shown.contains("secret\"") && !shown.contains("\"token"), "{shown}");
    }
}
