//! One question at a time: whoever needs an MFA session that nobody holds stands in line, and the first in
//! line who can ask a person is asked. The others wait for what comes of it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use protocol::Ask;
use tokio::sync::Notify;

use crate::vault::SessionKey;

/// The lines, one for each session that is wanted.
#[derive(Debug, Clone, Default)]
pub struct Questions(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    lines: Mutex<Lines>,
    changed: Notify,
}

#[derive(Debug, Default)]
struct Lines {
    tickets: u64,
    waiting: BTreeMap<SessionKey, Vec<Waiting>>,
}

#[derive(Debug)]
struct Waiting {
    ticket: u64,
    can_ask: bool,
    asking: bool,
}

/// What a place in the line means at this moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turn {
    /// Ask the person: it is yours now.
    Ask,
    /// Somebody else is asking.
    Wait,
    /// Nobody in the line can ask.
    Nobody,
}

/// A place in a line, given up when dropped: by an answer, by a client that died, by a panic.
#[derive(Debug)]
pub struct Place {
    questions: Questions,
    key: SessionKey,
    ticket: u64,
}

impl Questions {
    /// Joins the line for a session, at its end.
    pub fn join(&self, key: &SessionKey, ask: Ask) -> Place {
        let mut lines = self.lines();
        lines.tickets += 1;
        let ticket = lines.tickets;
        let can_ask = matches!(ask, Ask::Person | Ask::PersonUnlessAsked);
        lines.waiting.entry(key.clone()).or_default().push(Waiting { ticket, can_ask, asking: false });
        Place { questions: self.clone(), key: key.clone(), ticket }
    }

    /// How many stand in all lines.
    pub fn waiting(&self) -> usize {
        self.lines().waiting.values().map(Vec::len).sum()
    }

    /// Tells all who wait to look again: a session came or went.
    pub fn changed(&self) {
        self.0.changed.notify_waiters();
    }

    /// Resolves when something changed since this was called and first polled or enabled.
    pub fn change(&self) -> tokio::sync::futures::Notified<'_> {
        self.0.changed.notified()
    }

    fn lines(&self) -> MutexGuard<'_, Lines> {
        self.0.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Place {
    /// What this place means now; takes the question where it is this one's turn.
    pub fn turn(&self) -> Turn {
        let mut lines = self.questions.lines();
        let Some(line) = lines.waiting.get_mut(&self.key) else { return Turn::Nobody };
        if let Some(asking) = line.iter().find(|waiting| waiting.asking) {
            return if asking.ticket == self.ticket { Turn::Ask } else { Turn::Wait };
        }
        match line.iter_mut().find(|waiting| waiting.can_ask) {
            Some(first) if first.ticket == self.ticket => {
                first.asking = true;
                Turn::Ask
            }
            Some(_) => Turn::Wait,
            None => Turn::Nobody,
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut lines = self.questions.lines();
        if let Some(line) = lines.waiting.get_mut(&self.key) {
            line.retain(|waiting| waiting.ticket != self.ticket);
            if line.is_empty() {
                lines.waiting.remove(&self.key);
            }
        }
        drop(lines);
        self.questions.changed();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(serial: &str) -> SessionKey {
        SessionKey::Mfa { key_id: "AKIA".to_owned(), serial: serial.to_owned() }
    }

    #[test]
    fn the_first_who_can_ask_is_asked_and_the_next_when_it_goes() {
        let questions = Questions::default();
        let silent = questions.join(&key("a"), Ask::Wait);
        let first = questions.join(&key("a"), Ask::Person);
        let second = questions.join(&key("a"), Ask::Person);
        let other = questions.join(&key("b"), Ask::Person);
        assert_eq!(second.turn(), Turn::Wait);
        assert_eq!(silent.turn(), Turn::Wait);
        assert_eq!(first.turn(), Turn::Ask);
        assert_eq!(first.turn(), Turn::Ask);
        assert_eq!(second.turn(), Turn::Wait);
        assert_eq!(other.turn(), Turn::Ask);
        drop(first);
        assert_eq!(silent.turn(), Turn::Wait);
        assert_eq!(second.turn(), Turn::Ask);
        drop(second);
        assert_eq!(silent.turn(), Turn::Nobody);
        drop((silent, other));
        assert!(questions.lines().waiting.is_empty());
    }
}
