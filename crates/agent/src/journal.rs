//! Who asked for what, in memory, the latest entries only. Nothing secret.

use std::collections::VecDeque;

use protocol::LogEntry;
use serde::{Deserialize, Serialize};

use crate::clock::Now;

/// How many entries are kept.
const ENTRIES: usize = 1_000;

/// Who is at the other end of a connection, by the kernel's word.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Peer {
    /// Its process.
    pub pid: Option<u32>,
    /// Its program.
    pub program: Option<String>,
    /// The grant by whose socket it came; none by the agent's own.
    #[serde(default)]
    pub grant: Option<u64>,
}

/// The latest entries.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Journal(VecDeque<LogEntry>);

impl Journal {
    /// Adds an entry, and lets the oldest go.
    pub fn note(&mut self, now: Now, peer: &Peer, event: String) {
        if self.0.len() == ENTRIES {
            self.0.pop_front();
        }
        let Peer { pid, program, grant } = peer.clone();
        self.0.push_back(LogEntry { at: now.wall, pid, program, grant, event });
    }

    /// Adds an entry, unless the latest one says the same.
    pub fn note_once(&mut self, now: Now, peer: &Peer, event: String) {
        if self.0.back().is_none_or(|latest| latest.event != event) {
            self.note(now, peer, event);
        }
    }

    /// All entries, oldest first.
    pub fn latest(&self) -> Vec<LogEntry> {
        self.0.iter().cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_entries_go() {
        let mut journal = Journal::default();
        for at in 0..u64::try_from(ENTRIES).unwrap() + 10 {
            journal.note(Now { wall: at, boot: 0 }, &Peer::default(), "status: done".to_owned());
        }
        let latest = journal.latest();
        assert_eq!(latest.len(), ENTRIES);
        assert_eq!(latest.first().unwrap().at, 10);
    }
}
