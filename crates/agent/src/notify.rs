//! Who is told of a session's end, and when. Knows no desktop and no clock; `now` is an argument.

mod desktop;
#[cfg(not(target_os = "macos"))]
mod freedesktop;
#[cfg(target_os = "macos")]
mod native;
mod words;

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::clock::{Deadline, Now};
use crate::vault::{SessionKey, pairs};

use desktop::Leaving;
pub use desktop::{Desktop, Event, Events};
#[cfg(not(target_os = "macos"))]
pub use freedesktop::problem;
#[cfg(not(target_os = "macos"))]
use freedesktop::{ask, serve};
#[cfg(target_os = "macos")]
pub use native::problem;
#[cfg(target_os = "macos")]
use native::{ask, serve};

/// How long "Snooze" puts a notification off, in seconds.
const SNOOZE_SECONDS: u64 = 10 * 60;

/// What is due within so many seconds is told at once.
const TOGETHER_SECONDS: u64 = 60;

/// A held session that only a code can renew.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Ending {
    /// What it is held under.
    pub key: SessionKey,
    /// Its number: a later one is another session.
    pub number: u64,
    /// The profiles that were served from it.
    pub profiles: Vec<String>,
    /// The AWS account, where it is known.
    pub account: Option<String>,
    /// The account's name, where it is known.
    #[serde(default)]
    pub account_alias: Option<String>,
    /// How long before the end people are told, in seconds, longest first.
    #[serde(default)]
    pub notify_before: Vec<u32>,
    /// How long it was given for, in seconds.
    pub duration: u64,
    /// Seconds left.
    pub left: u64,
}

/// What people were told of which session.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Notices {
    #[serde(with = "pairs")]
    known: BTreeMap<SessionKey, Known>,
    /// The sessions that the notification on the screen is about.
    shown: BTreeSet<SessionKey>,
    generation: u64,
}

#[derive(Debug, Serialize, Deserialize)]
struct Known {
    ending: Ending,
    /// How many moments were told of: one for each of the spans, then the end itself.
    told: usize,
    /// Put off until then.
    put_off: Option<Deadline>,
    /// It was put off, and that is over.
    again: bool,
}

/// What shall be on the screen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Screen {
    /// Nothing of ours.
    Clear,
    /// This.
    Notice(Notice),
}

/// A notification.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notice {
    /// Counts up: what the desktop reports of an earlier one is of no interest any more.
    pub generation: u64,
    /// The sessions, the one with the least time left first.
    pub entries: Vec<Entry>,
}

/// One session of a notification.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its profiles.
    pub profiles: Vec<String>,
    /// Its account.
    pub account: Option<String>,
    /// The account's name.
    pub account_alias: Option<String>,
    /// Seconds left; 0 once it is over.
    pub left: u64,
}

impl Notices {
    /// Takes a look at what is held. `expired` says of a session that is not held any more whether it ran out, and
    /// was not forgotten. Returns what shall be on the screen from here on, where that changes.
    pub fn look(
        &mut self,
        held: Vec<Ending>,
        expired: impl Fn(&SessionKey) -> bool,
        now: Now,
    ) -> Option<Screen> {
        let mut changed = false;
        let mut here = BTreeSet::new();
        for ending in held {
            here.insert(ending.key.clone());
            match self.known.get_mut(&ending.key) {
                Some(known) if known.ending.number == ending.number => known.ending = ending,
                _ => {
                    changed |= self.shown.remove(&ending.key);
                    // Who just opened a session knows how short it is.
                    let told = ending.stage(ending.duration);
                    let known = Known { ending, told, put_off: None, again: false };
                    self.known.insert(known.ending.key.clone(), known);
                }
            }
        }
        self.known.retain(|key, known| {
            if !here.contains(key) {
                known.ending.left = 0;
                if !expired(key) {
                    changed |= self.shown.remove(key);
                    return false;
                }
            }
            true
        });

        let mut due = false;
        let mut over = false;
        for known in self.known.values_mut() {
            if known.put_off.is_some_and(|until| until.left(now) == 0) {
                known.put_off = None;
                known.again = true;
            }
            let stage = known.ending.stage(known.ending.left);
            if known.ending.left > TOGETHER_SECONDS {
                // A clock that was set back: the end is still to come.
                known.told = known.told.min(known.ending.notify_before.len());
            }
            known.again &= stage > 0;
            if known.put_off.is_none() && (known.again || stage > known.told) {
                due = true;
                over |= known.ending.left == 0;
            }
        }
        if due {
            for (key, known) in self.known.iter_mut().filter(|(_, known)| known.put_off.is_none()) {
                // An end is told of when it comes, unless another one is told of already in the minute before.
                let Ending { left, ref notify_before, .. } = known.ending;
                let most = notify_before.len() + usize::from(over);
                let soon = known.ending.stage(left.saturating_sub(TOGETHER_SECONDS)).min(most);
                let stage = soon.max(known.ending.stage(left));
                if known.again || stage > known.told {
                    known.again = false;
                    known.told = stage;
                    self.shown.insert(key.clone());
                }
            }
        }
        // A clock that was set back takes back what it had brought.
        let shown = self.shown.len();
        self.shown.retain(|key| {
            let ending = self.known.get(key).map(|known| &known.ending);
            ending.is_some_and(|ending| ending.stage(ending.left.saturating_sub(TOGETHER_SECONDS)) > 0)
        });
        changed |= shown != self.shown.len();

        (due || changed).then(|| self.screen())
    }

    /// Whether a session is among those on the screen.
    pub fn shows(&self, key: &SessionKey) -> bool {
        self.shown.contains(key)
    }

    /// Whether something is on the screen, or comes back to it: the person may click.
    pub fn stand(&self) -> bool {
        !self.shown.is_empty() || self.known.values().any(|known| known.put_off.is_some())
    }

    /// Seconds until something is to be told that was put off.
    pub fn next(&self, now: Now) -> Option<u64> {
        self.known.values().filter_map(|known| Some(known.put_off?.left(now))).min()
    }

    /// Seconds until people are told of a session the next time; none where they will not be.
    pub fn next_of(&self, key: &SessionKey, now: Now) -> Option<u64> {
        let known = self.known.get(key)?;
        let left = known.ending.left;
        if let Some(until) = known.put_off {
            return Some(until.left(now));
        }
        let spans = known.ending.notify_before.iter().map(|span| u64::from(*span));
        let mut moments = spans.chain([0]).skip(known.told);
        moments.find(|span| *span < left).map(|span| left - span)
    }

    /// The profile whose session, of those on the screen, has the least time left.
    pub fn first_profile(&self) -> Option<String> {
        let known = self.shown.iter().filter_map(|key| self.known.get(key));
        known.min_by_key(|known| known.ending.left)?.ending.profiles.first().cloned()
    }

    /// The person, or time, took the notification away. Returns what shall be on the screen from here on, where that
    /// changes.
    pub fn gone(&mut self, generation: u64) -> Option<Screen> {
        (generation == self.generation).then(|| {
            self.shown.clear();
            self.screen()
        })
    }

    /// Another process showed what was on the screen, and took it down when it left. Returns what shall be there from
    /// here on; what was being renewed then is told of again.
    pub fn show_again(&mut self, being_renewed: &BTreeSet<SessionKey>) -> Option<Screen> {
        self.shown.extend(being_renewed.iter().filter(|key| self.known.contains_key(key)).cloned());
        (!self.shown.is_empty()).then(|| self.screen())
    }

    /// The person wants to be told later. Returns what shall be on the screen from here on.
    pub fn snooze(&mut self, now: Now) -> Screen {
        for key in std::mem::take(&mut self.shown) {
            if let Some(known) = self.known.get_mut(&key) {
                known.put_off = Some(Deadline::after(now, SNOOZE_SECONDS));
            }
        }
        self.screen()
    }

    fn screen(&mut self) -> Screen {
        self.generation += 1;
        let mut entries: Vec<_> = self
            .shown
            .iter()
            .filter_map(|key| {
                let ending = self.known.get(key)?.ending.clone();
                let Ending { profiles, account, account_alias, left, .. } = ending;
                Some(Entry { profiles, account, account_alias, left })
            })
            .collect();
        entries.sort_by_key(|entry| entry.left);
        if entries.is_empty() {
            Screen::Clear
        } else {
            Screen::Notice(Notice { generation: self.generation, entries })
        }
    }
}

impl Ending {
    /// How many of the moments worth telling have come with so much time left: one for each of the spans, then the
    /// end itself.
    fn stage(&self, left: u64) -> usize {
        let spans = &self.notify_before;
        if left == 0 {
            spans.len() + 1
        } else {
            spans.iter().filter(|span| left <= u64::from(**span)).count()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Now = Now { wall: 1_800_000_000, boot: 5_000 };
    const SPANS: [u32; 2] = [600, 120];

    /// Sessions on a clock of the test's.
    struct World {
        notices: Notices,
        held: BTreeMap<SessionKey, Held>,
        expired: BTreeSet<SessionKey>,
        now: Now,
    }

    struct Held {
        number: u64,
        profile: String,
        duration: u64,
        deadline: Deadline,
    }

    impl World {
        fn new() -> Self {
            Self { notices: Notices::default(), held: BTreeMap::new(), expired: BTreeSet::new(), now: START }
        }

        fn with(sessions: &[(&str, u64)]) -> Self {
            let mut world = Self::new();
            for (profile, seconds) in sessions {
                world.log_in(profile, *seconds);
            }
            assert_eq!(world.look(), None);
            world
        }

        fn key(profile: &str) -> SessionKey {
            let serial = format!("arn:aws:iam::111122223333:mfa/{profile}");
            SessionKey::Mfa { key_id: "AKIA".to_owned(), serial, endpoint: None }
        }

        fn log_in(&mut self, profile: &str, seconds: u64) {
            let key = Self::key(profile);
            let number = self.held.get(&key).map_or(1, |held| held.number + 1);
            let deadline = Deadline::after(self.now, seconds);
            self.expired.remove(&key);
            self.held.insert(key, Held { number, profile: profile.to_owned(), duration: seconds, deadline });
        }

        fn look(&mut self) -> Option<Screen> {
            let now = self.now;
            for (key, _) in self.held.extract_if(.., |_, held| held.deadline.left(now) == 0) {
                self.expired.insert(key);
            }
            let held = self.held.iter().map(|(key, held)| Ending {
                key: key.clone(),
                number: held.number,
                profiles: vec![held.profile.clone()],
                account: key.account(),
                account_alias: None,
                notify_before: SPANS.to_vec(),
                duration: held.duration,
                left: held.deadline.left(now),
            });
            self.notices.look(held.collect(), |key| self.expired.contains(key), now)
        }

        /// Lets time pass, second by second, and returns what was shown when.
        fn pass(&mut self, seconds: u64) -> Vec<(u64, Screen)> {
            let mut shown = Vec::new();
            for _ in 0..seconds {
                self.now.wall += 1;
                self.now.boot += 1;
                shown.extend(self.look().map(|screen| (self.now.boot - START.boot, screen)));
            }
            shown
        }

        /// The wall clock is set.
        fn jump(&mut self, seconds: i64) -> Option<Screen> {
            self.now.wall = self.now.wall.saturating_add_signed(seconds);
            let screen = self.look();
            assert_eq!(self.look(), None, "once is enough");
            screen
        }
    }

    fn summary(screen: &Screen) -> String {
        match screen {
            Screen::Clear => String::new(),
            Screen::Notice(notice) => notice.words(true, true).summary,
        }
    }

    fn summaries(shown: &[(u64, Screen)]) -> Vec<(u64, String)> {
        shown.iter().map(|(at, screen)| (*at, summary(screen))).collect()
    }

    #[test]
    fn each_moment_is_told_of_once_and_in_time() {
        let mut world = World::with(&[("dev", 3_600)]);
        let shown = world.pass(4_000);
        assert_eq!(
            summaries(&shown),
            [
                (3_000, "AWS session of dev ends in 10 min".to_owned()),
                (3_480, "AWS session of dev ends in 2 min".to_owned()),
                (3_600, "AWS session of dev has expired".to_owned()),
            ]
        );
        let critical: Vec<_> = shown
            .iter()
            .map(|(_, screen)| matches!(screen, Screen::Notice(notice) if notice.is_critical()))
            .collect();
        assert_eq!(critical, [false, false, true]);
    }

    #[test]
    fn whatever_a_clock_jumps_over_is_one_notification() {
        for (seconds, expected) in [
            (7_200, "AWS session of dev has expired"),
            (86_400, "AWS session of dev has expired"),
            (3_500, "AWS session of dev ends in 2 min"),
        ] {
            let mut world = World::with(&[("dev", 3_600)]);
            assert_eq!(summary(&world.jump(seconds).unwrap()), expected, "{seconds}");
        }
        // Back: by the other clock nothing has changed.
        let mut world = World::with(&[("dev", 3_600)]);
        assert_eq!(world.jump(-7_200), None);
        assert_eq!(world.pass(4_000).len(), 3);
    }

    #[test]
    fn a_clock_that_was_wrong_for_a_moment_takes_its_notification_back_and_brings_it_once() {
        let mut world = World::with(&[("dev", 3_600)]);
        assert_eq!(summary(&world.jump(3_100).unwrap()), "AWS session of dev ends in 8 min");
        assert_eq!(world.jump(-3_100), Some(Screen::Clear));
        let shown = world.pass(3_600);
        assert_eq!(shown.iter().map(|(at, _)| *at).collect::<Vec<_>>(), [3_480, 3_600]);
    }

    #[test]
    fn a_clock_that_was_past_the_end_for_a_moment_leaves_the_end_to_be_told() {
        let mut world = World::with(&[("dev", 3_600)]);
        let (key, held) = world.held.pop_first().unwrap();
        world.expired.insert(key.clone());
        assert_eq!(summary(&world.jump(86_400).unwrap()), "AWS session of dev has expired");
        world.expired.clear();
        world.held.insert(key, held);
        assert_eq!(world.jump(-86_400), Some(Screen::Clear));
        assert_eq!(summaries(&world.pass(3_600)), [(3_600, "AWS session of dev has expired".to_owned())]);
    }

    #[test]
    fn what_is_due_within_a_minute_is_one_notification() {
        let sessions: Vec<_> = (0..500).map(|number| (format!("p{number:03}"), 3_600 + number / 9)).collect();
        let sessions: Vec<_> =
            sessions.iter().map(|(profile, seconds)| (profile.as_str(), *seconds)).collect();
        let shown = World::with(&sessions).pass(4_000);
        assert_eq!(
            summaries(&shown),
            [
                (3_000, "500 AWS sessions end within 11 min".to_owned()),
                (3_480, "500 AWS sessions end within 3 min".to_owned()),
                (3_600, "500 AWS sessions expire now".to_owned()),
            ]
        );
        let Screen::Notice(notice) = &shown[0].1 else { panic!("{shown:?}") };
        let body = notice.words(true, true).body;
        assert_eq!(body.lines().count(), words::NAMED + 1);
        assert!(body.ends_with("and 496 more"), "{body}");
    }

    #[test]
    fn what_is_renewed_or_forgotten_is_taken_back() {
        let mut world = World::with(&[("dev", 3_600), ("prod", 3_600)]);
        assert_eq!(world.pass(3_000).len(), 1);
        world.log_in("dev", 3_600);
        assert_eq!(summary(&world.look().unwrap()), "AWS session of prod ends in 10 min");
        world.held.remove(&World::key("prod"));
        assert_eq!(world.look(), Some(Screen::Clear));
        assert_eq!(world.notices.first_profile(), None);
        // What ran out stays until it is renewed.
        let shown = world.pass(3_600);
        assert_eq!(shown.len(), 3);
        world.log_in("dev", 3_600);
        assert_eq!(world.look(), Some(Screen::Clear));
    }

    #[test]
    fn snooze_is_ten_minutes_of_silence() {
        let mut world = World::with(&[("dev", 3_600)]);
        assert_eq!(world.pass(3_480).len(), 2);
        assert_eq!(world.notices.snooze(world.now), Screen::Clear);
        assert_eq!(world.notices.next(world.now), Some(600));
        assert_eq!(summaries(&world.pass(3_600)), [(4_080, "AWS session of dev has expired".to_owned())]);
        // Who renews it has no need of it any more.
        let mut world = World::with(&[("dev", 3_600)]);
        assert_eq!(world.pass(3_000).len(), 1);
        world.notices.snooze(world.now);
        world.log_in("dev", 3_600);
        assert_eq!(world.pass(2_999), []);
    }

    #[test]
    fn the_next_moment_is_known() {
        let mut world = World::with(&[("dev", 3_600)]);
        let key = World::key("dev");
        assert_eq!(world.notices.next_of(&key, world.now), Some(3_000));
        world.pass(3_000);
        assert_eq!(world.notices.next_of(&key, world.now), Some(480));
        world.notices.snooze(world.now);
        assert_eq!(world.notices.next_of(&key, world.now), Some(600));
        world.pass(600);
        assert_eq!(world.notices.next_of(&key, world.now), None);
    }

    #[test]
    fn a_notification_that_was_dismissed_is_not_named_by_the_next() {
        let mut world = World::with(&[("dev", 3_600), ("prod", 4_000)]);
        let shown = world.pass(3_000);
        let Screen::Notice(notice) = &shown[0].1 else { panic!("{shown:?}") };
        world.notices.gone(notice.generation + 1);
        assert_eq!(world.notices.first_profile().as_deref(), Some("dev"));
        world.notices.gone(notice.generation);
        assert_eq!(world.notices.first_profile(), None);
        assert_eq!(summary(&world.pass(400)[0].1), "AWS session of prod ends in 10 min");
    }
}
