//! One at a time for each name: who comes second waits, and then finds what the first one did.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{Mutex as AsyncMutex, OwnedMutexGuard};

/// Locks by name.
#[derive(Debug, Default)]
pub struct Turnstile(Mutex<BTreeMap<String, Arc<AsyncMutex<()>>>>);

impl Turnstile {
    /// Waits until nobody else is inside under this name. Leaves when the guard is dropped.
    pub async fn enter(&self, name: String) -> OwnedMutexGuard<()> {
        let lock = {
            let mut locks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            locks.retain(|_, lock| Arc::strong_count(lock) > 1);
            locks.entry(name).or_default().clone()
        };
        lock.lock_owned().await
    }
}
