//! One at a time for each name: who comes second waits, and then finds what the first one did, or hears why it could
//! not.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{Mutex as AsyncMutex, OwnedMutexGuard};

use crate::failed_call::FailedCall;

/// Locks by name.
#[derive(Debug, Default)]
pub struct Turnstile(Mutex<BTreeMap<String, Arc<Gate>>>);

#[derive(Debug, Default)]
struct Gate {
    lock: Arc<AsyncMutex<()>>,
    failures: Mutex<Failures>,
}

#[derive(Debug, Default)]
struct Failures {
    count: u64,
    last: Option<FailedCall>,
}

/// A place where nobody else is. Given up when dropped.
#[derive(Debug)]
pub struct Inside {
    gate: Arc<Gate>,
    /// The call that failed while this one waited.
    failed: Option<FailedCall>,
    _alone: OwnedMutexGuard<()>,
}

impl Turnstile {
    /// Waits until nobody else is inside under this name.
    pub async fn enter(&self, name: String) -> Inside {
        let gate = {
            let mut gates = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            gates.retain(|_, gate| Arc::strong_count(gate) > 1);
            gates.entry(name).or_default().clone()
        };
        let before = gate.failures().count;
        let alone = gate.lock.clone().lock_owned().await;
        let failed = {
            let failures = gate.failures();
            failures.last.clone().filter(|_| failures.count > before)
        };
        Inside { gate, failed, _alone: alone }
    }
}

impl Inside {
    /// The call that failed while this one waited for its turn, the latest of them.
    pub fn failed(&self) -> Option<&FailedCall> {
        self.failed.as_ref()
    }

    /// Tells those who wait that a call failed.
    pub fn fail(&self, call: FailedCall) {
        let mut failures = self.gate.failures();
        failures.count += 1;
        failures.last = Some(call);
    }
}

impl Gate {
    fn failures(&self) -> MutexGuard<'_, Failures> {
        self.failures.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::pin::{Pin, pin};

    use super::*;
    use crate::failed_call::tests::unanswered;

    async fn waits(entering: Pin<&mut impl Future<Output = Inside>>) {
        tokio::select! {
            biased;
            _ = entering => panic!("somebody is inside"),
            () = std::future::ready(()) => {}
        }
    }

    #[tokio::test]
    async fn a_failure_is_told_to_who_waited_and_to_nobody_who_comes_later() {
        let turnstile = Turnstile::default();
        let first = turnstile.enter("a".to_owned()).await;
        let mut waiting = pin!(turnstile.enter("a".to_owned()));
        waits(waiting.as_mut()).await;
        first.fail(unanswered());
        drop(first);
        let waited = waiting.await;
        assert!(waited.failed().is_some());
        let mut later = pin!(turnstile.enter("a".to_owned()));
        waits(later.as_mut()).await;
        drop(waited);
        assert!(later.await.failed().is_none());
        assert!(turnstile.enter("a".to_owned()).await.failed().is_none());
    }
}
