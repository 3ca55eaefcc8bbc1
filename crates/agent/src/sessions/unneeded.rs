//! An agent that nobody needs ends, where the person wants that: docs/decisions/0034-idle.md.

use super::{Sessions, State};
use crate::clock::{Deadline, Now};

impl Sessions {
    /// Resolves when this has not been needed for as long as the person wants it to stay.
    pub async fn unneeded(&self) {
        self.unneeded.notified().await;
    }

    /// Whether that is so at this moment.
    pub fn is_unneeded(&self) -> bool {
        let now = Now::read();
        let mut state = self.state();
        // The next agent would not tell a code that went out from a wrong one.
        state.stays_for(self.questions.is_empty(), now) == Some(0) && !state.codes.remembers(now)
    }

    /// A conversation is over: it is as if there had been something to be here for until now.
    pub fn heard_from(&self) {
        if let Some(since) = &mut self.state().unneeded_since {
            *since = Now::read();
        }
    }

    /// Somebody came in the moment of leaving.
    pub fn stay(&self) {
        self.heard_from();
        self.questions.changed();
    }
}

impl State {
    /// How long this stays though there is nothing to be here for, in seconds; none where there is something, or where
    /// it always stays. What is on the screen counts: a click on it shall find somebody.
    pub(super) fn stays_for(&mut self, nobody_is_asked: bool, now: Now) -> Option<u64> {
        let shows = self.notices.stand() && self.no_desktop.is_none();
        let is_needed = !nobody_is_asked
            || shows
            || self.logins > 0
            || !self.being_renewed.is_empty()
            || !self.vault.is_empty()
            || !self.grants.is_empty()
            || !self.sockets.is_empty();
        if is_needed {
            self.unneeded_since = None;
            return None;
        }
        let since = *self.unneeded_since.get_or_insert(now);
        let span = u64::from(self.rules.exit_when_idle?);
        Some(Deadline::after(since, span).left(now))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::notify::{Ending, Screen};
    use crate::vault::SessionKey;

    const START: Now = Now { wall: 1_800_000_000, boot: 5_000 };

    fn later(seconds: u64) -> Now {
        Now { wall: START.wall + seconds, boot: START.boot + seconds }
    }

    fn state() -> State {
        let mut state = State::default();
        state.rules.exit_when_idle = Some(60);
        state
    }

    #[test]
    fn time_begins_when_there_is_nothing_to_be_here_for() {
        let mut state = state();
        assert_eq!(state.stays_for(true, START), Some(60));
        assert_eq!(state.stays_for(true, later(59)), Some(1));
        assert_eq!(state.stays_for(false, later(60)), None, "a program is asked for a code");
        assert_eq!(state.stays_for(true, later(80)), Some(60));
        state.logins = 1;
        assert_eq!(state.stays_for(true, later(140)), None);
        state.logins = 0;
        assert_eq!(state.stays_for(true, later(150)), Some(60));
        // A clock that was set back makes nothing last longer.
        let set_back = Now { wall: START.wall - 86_400, boot: START.boot + 210 };
        assert_eq!(state.stays_for(true, set_back), Some(0));
        state.rules.exit_when_idle = None;
        assert_eq!(state.stays_for(true, later(90_000)), None);
    }

    #[test]
    fn what_could_still_be_clicked_keeps_it() {
        let mut state = state();
        let key = SessionKey::Mfa { key_id: "AKIA".to_owned(), serial: "device".to_owned(), endpoint: None };
        let ending = Ending {
            key,
            number: 1,
            profiles: vec!["dev".to_owned()],
            account: None,
            account_alias: None,
            notify_before: vec![600],
            duration: 43_200,
            left: 700,
        };
        assert_eq!(state.notices.look(vec![ending.clone()], |_| true, START), None);
        let shown = state.notices.look(Vec::new(), |_| true, later(700));
        let Some(Screen::Notice(notice)) = shown else { panic!("{shown:?}") };
        assert_eq!(state.stays_for(true, later(800)), None);
        let _ = state.notices.snooze(later(800));
        assert_eq!(state.stays_for(true, later(900)), None, "it comes again");
        let shown = state.notices.look(Vec::new(), |_| true, later(1_400));
        assert!(matches!(shown, Some(Screen::Notice(_))), "{shown:?}");
        state.no_desktop = Some("no session bus".to_owned());
        assert_eq!(state.stays_for(true, later(1_500)), Some(60), "it is on no screen");
        state.no_desktop = None;
        assert_eq!(state.stays_for(true, later(1_500)), None);
        let shown = notice.generation + 2;
        assert!(state.notices.gone(shown).is_some());
        assert_eq!(state.stays_for(true, later(1_600)), Some(60));
    }
}
