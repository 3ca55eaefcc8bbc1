//! One question at a time: whoever needs an MFA session that nobody holds stands in line, and the first in
//! line who can ask a person is asked. The others wait for what comes of it.

use std::collections::BTreeMap;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use protocol::{Ask, Refusal};
use tokio::sync::Notify;

use crate::failed_call::FailedCall;
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
    of: BTreeMap<SessionKey, Line>,
}

#[derive(Debug, Default)]
struct Line {
    waiting: Vec<Waiting>,
    /// What came of the agent's own asking, for as long as anybody waits.
    refusal: Option<Refusal>,
    /// The latest call that failed, and the last ticket that was given out before.
    failed: Option<(u64, FailedCall)>,
}

#[derive(Debug)]
struct Waiting {
    ticket: u64,
    can_ask: bool,
    asking: bool,
    /// The agent itself, which asks a program and waits for nothing.
    is_agent: bool,
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
        let can_ask = matches!(ask, Ask::Person | Ask::PersonUnlessAsked);
        let mut lines = self.lines();
        let ticket = lines.ticket();
        let waiting = Waiting { ticket, can_ask, asking: false, is_agent: false };
        lines.of.entry(key.clone()).or_default().waiting.push(waiting);
        Place { questions: self.clone(), key: key.clone(), ticket }
    }

    /// Takes the question for the agent itself, before everybody else in the line. None where somebody is
    /// asking, or where the agent did so already for those who wait.
    pub fn ask_as_agent(&self, key: &SessionKey) -> Option<Place> {
        let mut lines = self.lines();
        let ticket = lines.ticket();
        let line = lines.of.entry(key.clone()).or_default();
        if line.refusal.is_some() || line.waiting.iter().any(|waiting| waiting.asking) {
            return None;
        }
        line.waiting.insert(0, Waiting { ticket, can_ask: true, asking: true, is_agent: true });
        Some(Place { questions: self.clone(), key: key.clone(), ticket })
    }

    /// Tells those who stand in line for a session that a call failed which was to bring it.
    pub fn fail(&self, key: &SessionKey, call: FailedCall) {
        let mut lines = self.lines();
        let last = lines.tickets;
        if let Some(line) = lines.of.get_mut(key) {
            line.failed = Some((last, call));
        }
        drop(lines);
        self.changed();
    }

    /// Whether somebody is being asked for a session.
    pub fn is_asked(&self, key: &SessionKey) -> bool {
        self.lines().of.get(key).is_some_and(|line| line.waiting.iter().any(|waiting| waiting.asking))
    }

    /// Whether there is no line: nobody waits, and nothing is asked.
    pub fn is_empty(&self) -> bool {
        self.lines().of.is_empty()
    }

    /// How many clients stand in all lines.
    pub fn waiting(&self) -> usize {
        self.lines().of.values().map(Line::clients).sum()
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

impl Lines {
    fn ticket(&mut self) -> u64 {
        self.tickets += 1;
        self.tickets
    }
}

impl Line {
    fn clients(&self) -> usize {
        self.waiting.iter().filter(|waiting| !waiting.is_agent).count()
    }
}

impl Place {
    /// What this place means now; takes the question where it is this one's turn.
    pub fn turn(&self) -> Turn {
        let mut lines = self.questions.lines();
        let Some(line) = lines.of.get_mut(&self.key) else { return Turn::Nobody };
        let line = &mut line.waiting;
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

    /// Gives the place up and tells those who wait why the agent has nothing for them.
    pub fn give_up(self, refusal: Refusal) {
        if let Some(line) = self.questions.lines().of.get_mut(&self.key) {
            line.refusal = Some(refusal);
        }
    }

    /// What came of the agent's own asking.
    pub fn refusal(&self) -> Option<Refusal> {
        self.questions.lines().of.get(&self.key)?.refusal.clone()
    }

    /// The call that failed since this one stands in line, the latest of them; none for who is being asked.
    pub fn failed(&self) -> Option<FailedCall> {
        let lines = self.questions.lines();
        let line = lines.of.get(&self.key)?;
        let (last, call) = line.failed.as_ref()?;
        let asking = line.waiting.iter().any(|waiting| waiting.ticket == self.ticket && waiting.asking);
        (self.ticket <= *last && !asking).then(|| call.clone())
    }

    /// Resolves when no client waits any more.
    pub async fn deserted(&self) {
        loop {
            let mut change = pin!(self.questions.change());
            change.as_mut().enable();
            if self.questions.lines().of.get(&self.key).is_none_or(|line| line.clients() == 0) {
                return;
            }
            change.await;
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut lines = self.questions.lines();
        if let Some(line) = lines.of.get_mut(&self.key) {
            line.waiting.retain(|waiting| waiting.ticket != self.ticket);
            if line.waiting.is_empty() {
                lines.of.remove(&self.key);
            }
        }
        drop(lines);
        self.questions.changed();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::failed_call::tests::unanswered;

    fn key(serial: &str) -> SessionKey {
        SessionKey::Mfa { key_id: "AKIA".to_owned(), serial: serial.to_owned(), endpoint: None }
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
        assert!(questions.lines().of.is_empty());
    }

    #[test]
    fn the_agent_asks_before_all_others_and_once_for_all_who_wait() {
        let questions = Questions::default();
        let silent = questions.join(&key("a"), Ask::Wait);
        let person = questions.join(&key("a"), Ask::Person);
        let agent = questions.ask_as_agent(&key("a")).unwrap();
        assert!(questions.ask_as_agent(&key("a")).is_none());
        assert_eq!((silent.turn(), person.turn()), (Turn::Wait, Turn::Wait));
        assert_eq!(questions.waiting(), 2);
        agent.give_up(Refusal::MalformedCode);
        assert!(questions.ask_as_agent(&key("a")).is_none());
        assert_eq!((silent.turn(), person.turn()), (Turn::Wait, Turn::Ask));
        assert_eq!(silent.refusal(), Some(Refusal::MalformedCode));
        drop((silent, person));
        assert!(questions.ask_as_agent(&key("a")).is_some());
        assert!(questions.lines().of.is_empty());
    }

    #[test]
    fn a_failed_call_is_told_to_the_line_but_not_to_who_is_asked_nor_to_who_comes_later() {
        let questions = Questions::default();
        let asked = questions.join(&key("a"), Ask::Person);
        assert_eq!(asked.turn(), Turn::Ask);
        let (next, silent) = (questions.join(&key("a"), Ask::Person), questions.join(&key("a"), Ask::Wait));
        let other = questions.join(&key("b"), Ask::Person);
        questions.fail(&key("a"), unanswered());
        let later = questions.join(&key("a"), Ask::Person);
        assert!(next.failed().is_some() && silent.failed().is_some());
        assert!(asked.failed().is_none() && other.failed().is_none() && later.failed().is_none());
        drop((asked, next, silent));
        assert_eq!(later.turn(), Turn::Ask);
        // Nobody waits for it.
        questions.fail(&key("c"), unanswered());
        assert!(questions.join(&key("c"), Ask::Person).failed().is_none());
    }
}
