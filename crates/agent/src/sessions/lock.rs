//! The lock: what is held stays, and nothing of it is given out until a code proves who asks.

use std::sync::Arc;

use protocol::{Ask, Refusal};
use serde::{Deserialize, Serialize};

use super::resolve::Resolved;
use super::{Lasting, Opened, Sessions, Wanted};
use crate::clock::Now;

/// How many wrong codes cost no time: everybody mistypes.
const FREE_TRIES: u32 = 3;

/// The longest pause after a wrong code, in seconds.
const LONGEST_PAUSE: u64 = 60;

/// Whether something is given out, and how often somebody failed to change that.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Lock {
    /// Counts up with every time that it was closed; none while it is open.
    closed: Option<u64>,
    times: u64,
    wrong_codes: u32,
    /// When the next code is looked at, by the boot-time clock.
    next_at: u64,
}

/// A lock as it was when somebody began to prove who asks: the proof opens that one and no later one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Closed(u64);

impl Lock {
    /// The lock as it is now; none where nothing is locked.
    pub fn closed(&self) -> Option<Closed> {
        self.closed.map(Closed)
    }

    /// Whether nothing is given out.
    pub fn is_closed(&self) -> bool {
        self.closed.is_some()
    }

    /// Locks. What is locked already stays as it is.
    pub fn close(&mut self) {
        if self.closed.is_none() {
            self.times += 1;
            self.closed = Some(self.times);
        }
    }

    /// Unlocks, unless it was opened and closed again since.
    pub fn open(&mut self, lock: Closed) {
        if self.closed() == Some(lock) {
            *self = Self { times: self.times, ..Self::default() };
        }
    }

    /// There is nothing left to lock.
    pub fn dissolve(&mut self) {
        *self = Self { times: self.times, ..Self::default() };
    }

    /// A code was wrong: the pause before the next one grows.
    pub fn wrong_code(&mut self, now: Now) {
        self.wrong_codes = self.wrong_codes.saturating_add(1);
        let pause = match self.wrong_codes.checked_sub(FREE_TRIES) {
            None => 0,
            Some(doublings) => 1_u64.checked_shl(doublings).unwrap_or(LONGEST_PAUSE).min(LONGEST_PAUSE),
        };
        self.next_at = now.boot + pause;
    }

    /// Seconds until a code is looked at; none where it is now.
    pub fn pause(&self, now: Now) -> Option<u64> {
        self.next_at.checked_sub(now.boot).filter(|seconds| *seconds > 0)
    }
}

impl Sessions {
    /// Gives nothing out from here on. Says how many sessions that concerns: without any there is nothing to lock.
    pub fn lock(&self) -> usize {
        let now = Now::read();
        let mut state = self.state();
        let held = state.would_be_lost(now);
        if held > 0 {
            state.lock.close();
        }
        state.consents.forget();
        state.sync_leases(now);
        drop(state);
        // Who waits for credentials is refused now.
        self.questions.changed();
        held
    }

    /// Whether nothing is given out.
    pub fn is_locked(&self) -> bool {
        self.state().lock.is_closed()
    }

    /// Refuses while locked.
    pub fn refuse_if_locked(&self) -> Result<(), Refusal> {
        if self.is_locked() { Err(Refusal::Locked) } else { Ok(()) }
    }

    /// Waits until everything is given out again, or until it is this client's turn to ask for the code that
    /// proves who asks. Says how many sessions there are.
    pub async fn unlock(self: &Arc<Self>, profile: Option<&str>, ask: Ask) -> Result<Opened<usize>, Refusal> {
        if self.is_locked() {
            let resolved = self.prover(profile).await?;
            if let Opened::YourTurn(question, claim) =
                self.open(&resolved, ask, Wanted::Unlocked, Lasting::default()).await?
            {
                return Ok(Opened::YourTurn(question, claim));
            }
        }
        Ok(Opened::Ready(self.state().would_be_lost(Now::read())))
    }

    /// What a login means to the lock: none where it is open. A code is as good as who checks it, so it must go
    /// where the code of a held session went, for the same key and the same device: a profile that somebody just
    /// wrote, with a key or an endpoint of his own, opens nothing.
    pub fn proof(&self, resolved: &Resolved) -> Result<Option<Closed>, Refusal> {
        let state = self.state();
        let Some(lock) = state.lock.closed() else { return Ok(None) };
        if !state.vault.holds_of(&resolved.root) {
            return Err(Refusal::CannotUnlock { profile: resolved.plan.profile.clone() });
        }
        match state.lock.pause(Now::read()) {
            Some(wait_seconds) => Err(Refusal::TooManyCodes { wait_seconds }),
            None => Ok(Some(lock)),
        }
    }

    /// A code was taken: opens the lock as it was when that began.
    pub fn proved(&self, lock: Closed) {
        let mut state = self.state();
        state.lock.open(lock);
        state.sync_leases(Now::read());
        drop(state);
        self.questions.changed();
    }

    /// The profile whose code is asked for: the one named, else the one used last, else any that will do.
    async fn prover(&self, profile: Option<&str>) -> Result<Resolved, Refusal> {
        let profiles = if let Some(profile) = profile {
            vec![profile.to_owned()]
        } else {
            let state = self.state();
            state.recent.latest().into_iter().cloned().chain(state.vault.profiles()).collect()
        };
        let mut refusal = Refusal::Locked;
        for profile in profiles {
            match self.resolve(Some(&profile)).await {
                Ok(resolved) => match self.proof(&resolved) {
                    Err(why @ Refusal::CannotUnlock { .. }) => refusal = why,
                    // A pause is no reason: it is over before a person has typed, or told then.
                    _ => return Ok(resolved),
                },
                Err(why) => refusal = why,
            }
        }
        Err(refusal)
    }
}

#[cfg(test)]
mod tests {
    use protocol::Secret;

    use super::*;
    use crate::clock::Deadline;
    use crate::sealed::Sealer;
    use crate::sessions::State;
    use crate::vault::{Held, SessionKey};

    fn at(boot: u64) -> Now {
        Now { wall: 1_800_000_000, boot }
    }

    #[test]
    fn a_lock_ends_with_the_last_session_and_not_with_a_clock_that_is_wrong() {
        let (start, sealer) = (at(100), Sealer::new().unwrap());
        let key = SessionKey::Mfa {
            key_id: String::new(),
            serial: "arn:aws:iam::111122223333:mfa/alice".to_owned(),
            endpoint: None,
        };
        let nothing = || sealer.seal(&Secret::new(String::new()));
        let deadline = Deadline::after(start, 900);
        let held = Held::new(String::new(), nothing(), nothing(), deadline, String::new(), 900);
        let mut state = State::default();
        state.vault.put(key.clone(), "dev", held);
        state.lock.close();
        let jumped = Now { wall: start.wall + 86_400, boot: start.boot + 1 };
        state.sync_leases(jumped);
        assert!(state.vault.left(&key, jumped).is_none() && state.lock.is_closed());
        // The clock is right again: what comes back is locked as it was. A code for it counts all the time.
        assert!(state.vault.holds_of(&key));
        let right = Now { wall: start.wall + 2, boot: start.boot + 2 };
        state.sync_leases(right);
        assert!(state.vault.left(&key, right).is_some() && state.lock.is_closed());
        state.sync_leases(Now { wall: start.wall + 900, boot: start.boot + 900 });
        assert!(!state.lock.is_closed());
    }

    #[test]
    fn the_pause_after_a_wrong_code_grows_to_its_limit() {
        let mut lock = Lock::default();
        lock.close();
        let pauses: Vec<_> = (0..10)
            .map(|_| {
                lock.wrong_code(at(100));
                lock.pause(at(100)).unwrap_or(0)
            })
            .collect();
        assert_eq!(pauses, [0, 0, 1, 2, 4, 8, 16, 32, 60, 60]);
        assert_eq!(lock.pause(at(159)), Some(1));
        assert_eq!(lock.pause(at(160)), None);
        lock.open(lock.closed().unwrap());
        assert_eq!(lock.pause(at(100)), None);
    }

    #[test]
    fn a_proof_opens_the_lock_that_it_was_begun_for() {
        let mut lock = Lock::default();
        lock.close();
        let first = lock.closed().unwrap();
        lock.close();
        assert_eq!(lock.closed(), Some(first), "locked is locked");
        lock.open(first);
        assert!(!lock.is_closed());
        lock.close();
        lock.open(first);
        assert!(lock.is_closed(), "an old proof opens no new lock");
    }
}
