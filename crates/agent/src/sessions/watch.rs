//! The watch: sees to it that what people and their shells were told stays true.

use std::collections::BTreeSet;
use std::pin::pin;
use std::sync::Arc;

use super::{Sessions, alias, margin, passed};
use crate::clock::{self, Deadline, Now};
use crate::journal::Peer;
use crate::logind::{self, Logind};
use crate::notify::{Ending, Event, Events, Notice, Screen};
use crate::platform::Alarm;
use crate::vault::SessionKey;

/// How long to leave a role alone that could not be renewed, in seconds.
const RETRY_SECONDS: u64 = 60;

/// What the watch found to do.
struct Look {
    /// The profiles whose roles are to be renewed now.
    renew: BTreeSet<String>,
    /// What the desktop shall show from here on, where that changes.
    screen: Option<Screen>,
    /// Sessions whose accounts' names are to be asked for.
    nameless: Vec<Ending>,
    /// Nobody is there for longer than the person wants this to stay open.
    idle_too_long: bool,
    /// There has been nothing to be here for, for as long as the person wants this to stay.
    unneeded: bool,
    /// Whether the machine shall wait for us before it sleeps; none where its sleep is of no interest.
    delay_sleep: Option<bool>,
    /// The moment when the next thing is to be done, by the wall clock.
    next: Option<u64>,
}

impl Sessions {
    /// Keeps what shells were told true, for as long as the agent lives: takes leases back at their moments,
    /// renews the roles that shells and programs hold, and tells people of what comes to its end.
    pub async fn keep_watch(self: Arc<Self>, alarm: Alarm, mut events: Events) {
        self.desktop.open();
        let mut inherited = true;
        // While there is something to lock, or a deadline to sleep through.
        let mut logind: Option<(Logind, bool)> = None;
        loop {
            let mut change = pin!(self.questions.change());
            change.as_mut().enable();
            let look = self.look(Now::read());
            for profile in look.renew {
                let sessions = self.clone();
                tokio::spawn(async move { sessions.renew(&profile).await });
            }
            for session in look.nameless {
                tokio::spawn(self.clone().learn_alias(session));
            }
            let again = if std::mem::take(&mut inherited) { self.state().show_again() } else { None };
            if let Some(screen) = look.screen.or(again) {
                self.desktop.show(screen);
            }
            if look.idle_too_long {
                self.lock_for("nobody is there");
            }
            if look.unneeded {
                self.unneeded.notify_one();
            }
            let listening = logind.as_ref().map(|(_, delay_sleep)| *delay_sleep);
            if listening != look.delay_sleep {
                logind = look.delay_sleep.map(|delay_sleep| (Logind::listen(delay_sleep), delay_sleep));
            }
            let machine = async {
                match &mut logind {
                    Some((logind, _)) => logind.event().await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                event = machine => self.answer_machine(event),
                () = alarm.ring(look.next.map(clock::until)) => {}
                () = change => {}
                (notice, event) = events.next() => {
                    if let Some(screen) = self.answer_desktop(&notice, event) {
                        self.desktop.show(screen);
                    }
                }
            }
        }
    }

    fn look(&self, now: Now) -> Look {
        let mut guard = self.state();
        let state = &mut *guard;
        if state.forget_unused(now) | state.end_grants(now) {
            self.questions.changed();
        }
        state.sync_leases(now);
        state.looked_at = Some(now);
        let ends = [state.sockets.next(now), state.next_unused(now)];
        let mut next = ends.into_iter().flatten().min().unwrap_or(u64::MAX);
        let locked = state.lock.is_closed();
        let mut due = Vec::new();
        for (key, number, left) in state.vault.all_left(now) {
            next = next.min(left);
            if key.root() == key {
                let spans = state.rules.notify_before(state.vault.profiles_at(key));
                if let Some(span) = spans.get(passed(&spans, Some(left))) {
                    next = next.min(left - u64::from(*span));
                }
            } else if left > margin(key) {
                next = next.min(left - margin(key));
            } else if !locked && state.vault.left(key.root(), now).is_some() {
                due.push(number);
            }
        }
        // Nothing is used that is not given out.
        let mut renew: BTreeSet<String> =
            if locked { BTreeSet::new() } else { std::mem::take(&mut state.wanted) };
        let live = state.grants.profiles();
        renew.extend(state.vault.profiles_of(&due).into_iter().filter(|profile| live.contains(profile)));
        renew.extend(state.leases.as_ref().map(|leases| leases.profiles_of(&due)).unwrap_or_default());
        state.retry_at.retain(|_, at| *at > now.boot);
        renew.retain(|profile| !state.retry_at.contains_key(profile));
        for profile in &renew {
            state.retry_at.insert(profile.clone(), now.boot + RETRY_SECONDS);
        }
        if let Some(at) = state.retry_at.values().min() {
            next = next.min(at - now.boot);
        }
        next = next.min(state.vault.next_wipe(now).unwrap_or(next));
        let mut endings = state.vault.endings(now);
        for ending in &mut endings {
            let alias = ending.account.as_deref().and_then(|account| state.aliases.of(account));
            ending.account_alias = alias.map(str::to_owned);
            ending.notify_before = state.rules.notify_before(&ending.profiles).into_owned();
        }
        let mut strange = endings.clone();
        strange
            .retain(|ending| ending.account.as_ref().is_some_and(|account| !state.aliases.settles(account)));
        let expired = |key: &SessionKey| state.vault.has_expired(key);
        let screen = state.notices.look(endings, expired, now);
        next = next.min(state.notices.next(now).unwrap_or(next));
        let mut nameless = Vec::new();
        for ending in strange.into_iter().filter(|_| !locked) {
            let told = state.notices.next_of(&ending.key, now).unwrap_or(0);
            let told = if state.notices.shows(&ending.key) { 0 } else { told };
            let account = ending.account.as_deref().unwrap_or_default();
            match told.saturating_sub(alias::AHEAD_SECONDS) {
                0 if state.aliases.is_to_be_asked(account, now) => nameless.push(ending),
                0 => {}
                ahead => next = next.min(ahead),
            }
        }
        let idle_left = state.idle_until.map(|until| until.left(now));
        if idle_left == Some(0) {
            state.idle_until = None;
        }
        next = next.min(idle_left.unwrap_or(next));
        let idle_too_long = idle_left == Some(0);
        let stays_for = state.stays_for(self.questions.is_empty(), now);
        // Whoever is told that the time is up sees to the rest.
        next = next.min(stays_for.filter(|left| *left > 0).unwrap_or(next));
        let delay_sleep = (state.vault.len(now) > 0).then(|| state.lock_on().suspend);
        Look {
            renew,
            screen,
            nameless,
            idle_too_long,
            unneeded: stays_for == Some(0),
            delay_sleep,
            next: (next < u64::MAX).then(|| now.wall.saturating_add(next)),
        }
    }

    /// Does what the person wants done when this happens to the machine.
    fn answer_machine(&self, event: logind::Event) {
        let lock_on = self.state().lock_on();
        match event {
            logind::Event::Sleeps(delay) => {
                if lock_on.wipe_on_suspend {
                    self.forget_everything("the machine goes to sleep");
                } else if lock_on.suspend {
                    self.lock_for("the machine goes to sleep");
                }
                drop(delay);
            }
            // The next look, which is now, finds what it slept through.
            logind::Event::Woke => {}
            logind::Event::ScreenLocked => {
                if lock_on.screen_lock {
                    self.lock_for("the screen is locked");
                }
            }
            logind::Event::Idle { since } => {
                let now = Now::read();
                let idle = if since == 0 { 0 } else { now.wall.saturating_sub(since) };
                self.state().idle_until =
                    lock_on.idle.map(|span| Deadline::after(now, u64::from(span).saturating_sub(idle)));
            }
            logind::Event::Active => self.state().idle_until = None,
        }
    }

    fn lock_for(&self, reason: &str) {
        if !self.is_locked() && self.lock() > 0 {
            self.state().journal.note(Now::read(), &Peer::default(), format!("locked: {reason}"));
        }
    }

    /// What is to be done about what the desktop said of a notification; returns what it shall show from here on,
    /// where that changes.
    fn answer_desktop(self: &Arc<Self>, notice: &Notice, event: Event) -> Option<Screen> {
        let now = Now::read();
        let mut guard = self.state();
        let state = &mut *guard;
        let mut note = |what: String| {
            state.journal.note(now, &Peer::default(), format!("notification: {what}"));
        };
        match event {
            Event::Shown => {
                state.no_desktop = None;
                note(format!("shown: {}", notice.words(false, false).summary));
                None
            }
            Event::Failed(problem) => {
                // Once, and not for every session that comes to its end on a machine without a desktop.
                if state.no_desktop.as_ref() != Some(&problem) {
                    note(format!("not shown: {problem}"));
                    state.no_desktop = Some(problem);
                }
                None
            }
            Event::Gone => state.notices.gone(notice.generation),
            Event::Snooze => {
                note("put off".to_owned());
                Some(state.notices.snooze(now))
            }
            Event::Refresh => {
                // It opens a prompt, and never anything else: a click proves nothing.
                let profile = state.notices.first_profile();
                note(format!("Refresh clicked for {}", profile.as_deref().unwrap_or("nothing")));
                if let Some(profile) = profile {
                    tokio::spawn(self.clone().refresh(profile));
                }
                None
            }
        }
    }

    async fn renew(&self, profile: &str) {
        let renewed = match self.refuse_if_locked().and(self.resolve(Some(profile)).await) {
            Ok(resolved) => self.assume_roles(&resolved, 0).await,
            Err(refusal) => Err(refusal),
        };
        let event = match renewed {
            Ok(()) => format!("role of {profile}: renewed"),
            Err(_) => format!("role of {profile}: not renewed"),
        };
        self.state().journal.note(Now::read(), &Peer::default(), event);
    }
}
