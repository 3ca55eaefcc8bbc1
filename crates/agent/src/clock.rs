//! The two clocks that decide when a session is over. Everything else takes a [`Now`] as an argument.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use crate::platform;

/// One look at both clocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Now {
    /// Seconds since the epoch by this machine's wall clock.
    pub wall: u64,
    /// Seconds since the machine was started, time asleep included; nobody can set it back.
    pub boot: u64,
}

impl Now {
    /// Looks at both clocks.
    pub fn read() -> Self {
        let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO).as_secs();
        Self { wall, boot: platform::boot_seconds() }
    }

    /// Whether the wall clock was set since an earlier look: the two went apart.
    pub fn jumped_since(self, earlier: Self) -> bool {
        let apart = |now: Self| i128::from(now.wall) - i128::from(now.boot);
        // Each clock begins its seconds at a moment of its own.
        (apart(self) - apart(earlier)).abs() > 1
    }
}

/// How long it is until a moment of the wall clock, in seconds since the epoch.
pub fn until(wall: u64) -> Duration {
    let moment = UNIX_EPOCH + Duration::from_secs(wall);
    moment.duration_since(SystemTime::now()).unwrap_or(Duration::ZERO)
}

/// The moment when something is over, by both clocks: the earlier one counts. A wall clock that was set back
/// does not make a session last longer, and a suspended machine does not stop the time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Deadline {
    /// In seconds since the epoch, by this machine's wall clock.
    pub wall: u64,
    boot: u64,
}

impl Deadline {
    /// The moment `seconds` after `now`.
    pub fn after(now: Now, seconds: u64) -> Self {
        Self { wall: now.wall.saturating_add(seconds), boot: now.boot.saturating_add(seconds) }
    }

    /// Whether it is over by both clocks, not by one that jumped.
    pub fn is_over_for_certain(self, now: Now) -> bool {
        self.wall <= now.wall && self.is_over_by_boot_clock(now)
    }

    /// Whether it is over by the clock that nobody can set.
    pub fn is_over_by_boot_clock(self, now: Now) -> bool {
        self.boot <= now.boot
    }

    /// Seconds left; 0 once it is over.
    pub fn left(self, now: Now) -> u64 {
        self.wall.saturating_sub(now.wall).min(self.boot.saturating_sub(now.boot))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Now = Now { wall: 1_800_000_000, boot: 5_000 };

    #[test]
    fn clocks_that_went_apart_have_jumped() {
        let later = Now { wall: START.wall + 100, boot: START.boot + 101 };
        assert!(!later.jumped_since(START));
        assert!(Now { wall: START.wall + 7_200, ..later }.jumped_since(START));
        assert!(Now { wall: START.wall - 7_200, ..later }.jumped_since(START));
    }

    #[test]
    fn the_earlier_clock_counts() {
        let deadline = Deadline::after(START, 3_600);
        assert_eq!(deadline.left(START), 3_600);
        // Suspended for two hours, or the wall clock set forward.
        assert_eq!(deadline.left(Now { wall: START.wall + 7_200, boot: START.boot + 10 }), 0);
        // The wall clock set back by a day.
        assert_eq!(deadline.left(Now { wall: START.wall - 86_400, boot: START.boot + 3_000 }), 600);
        assert_eq!(deadline.left(Now { wall: START.wall - 86_400, boot: START.boot + 3_600 }), 0);
    }
}
