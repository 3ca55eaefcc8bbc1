//! Moments as people read them, in UTC: the local time would need the system's table of zones.

use std::time::{SystemTime, UNIX_EPOCH};

/// Seconds since the epoch, by this machine's clock.
pub fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

/// `18:20 UTC`.
pub fn time_of_day(epoch_seconds: u64) -> String {
    let minutes = epoch_seconds / 60 % (24 * 60);
    format!("{:02}:{:02} UTC", minutes / 60, minutes % 60)
}

/// `18:20:07 UTC`.
pub fn moment(epoch_seconds: u64) -> String {
    let seconds = epoch_seconds % 86_400;
    format!("{:02}:{:02}:{:02} UTC", seconds / 3600, seconds / 60 % 60, seconds % 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_has_its_hour() {
        assert_eq!(time_of_day(1_793_902_807), "18:20 UTC");
        assert_eq!(moment(1_793_902_807), "18:20:07 UTC");
    }
}
