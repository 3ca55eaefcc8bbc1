//! Moments as people read them, in UTC: the local time would need the system's table of zones.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Seconds since the epoch, by this machine's clock.
pub fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

/// `18:20 UTC`.
pub fn time_of_day(epoch_seconds: u64) -> String {
    let minutes = epoch_seconds / 60 % (24 * 60);
    format!("{:02}:{:02} UTC", minutes / 60, minutes % 60)
}

/// `18:20 UTC`, or with its day where that is not the same as now: `2026-11-24, 18:20 UTC`.
pub fn day_and_time(epoch_seconds: u64, now: u64) -> String {
    let time = time_of_day(epoch_seconds);
    if epoch_seconds / 86_400 == now / 86_400 {
        return time;
    }
    format!("{}, {time}", date(epoch_seconds))
}

/// `18:20:07 UTC`.
pub fn moment(epoch_seconds: u64) -> String {
    let seconds = epoch_seconds % 86_400;
    format!("{:02}:{:02}:{:02} UTC", seconds / 3600, seconds / 60 % 60, seconds % 60)
}

/// `2026-11-23`, in UTC.
pub fn date(epoch_seconds: u64) -> String {
    // Years that begin in March have their leap day last; 400 of them have 146,097 days.
    let days = epoch_seconds / 86_400 + 719_468;
    let (era, day) = (days / 146_097, days % 146_097);
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let (year, day) = (400 * era + year, day - (153 * month + 2) / 5 + 1);
    let (year, month) = if month < 10 { (year, month + 3) } else { (year + 1, month - 9) };
    format!("{year:04}-{month:02}-{day:02}")
}

/// The time since the epoch, as exact as this machine's clock.
pub fn since_epoch() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

/// The seconds since the epoch of `2026-11-23 18:20:07`, in UTC, as aws-mfa writes it.
pub fn epoch_seconds(text: &str) -> Option<u64> {
    let (date, time) = text.split_once(' ')?;
    let numbers = |text: &str, between: char| -> Option<[u64; 3]> {
        let numbers: Option<Vec<u64>> = text.split(between).map(|number| number.parse().ok()).collect();
        numbers?.try_into().ok()
    };
    let ([year, month, day], [hour, minute, second]) = (numbers(date, '-')?, numbers(time, ':')?);
    if !(1970..10_000).contains(&year) || !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return None;
    }
    // Years that begin in March have their leap day last.
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let days = 365 * year + year / 4 - year / 100 + year / 400 + (153 * month + 2) / 5 + day - 1;
    let since_epoch = days.checked_sub(719_468)?;
    (hour < 24 && minute < 60 && second < 61)
        .then_some(since_epoch * 86_400 + hour * 3_600 + minute * 60 + second)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_read_as_aws_mfa_writes_it() {
        for (text, seconds) in [
            ("1970-01-01 00:00:00", Some(0)),
            ("2026-11-24 18:20:07", Some(1_795_544_407)),
            ("2024-02-29 23:59:59", Some(1_709_251_199)),
            ("2099-01-02 03:04:05", Some(4_071_006_245)),
            ("2026-11-24T18:20:07", None),
            ("2026-13-24 18:20:07", None),
            ("2026-11-24 18:20", None),
            ("", None),
            ("expired", None),
        ] {
            assert_eq!(epoch_seconds(text), seconds, "{text}");
        }
    }

    #[test]
    fn a_moment_has_its_date() {
        for date_of in ["1970-01-01", "1999-12-31", "2000-02-29", "2024-03-01", "2026-11-24", "2100-02-28"] {
            let seconds = epoch_seconds(&format!("{date_of} 23:59:59")).unwrap();
            assert_eq!(date(seconds), date_of);
        }
    }

    #[test]
    fn another_day_is_named() {
        let now = epoch_seconds("2024-02-28 23:00:00").unwrap();
        assert_eq!(day_and_time(now + 59 * 60, now), "23:59 UTC");
        assert_eq!(day_and_time(now + 2 * 3_600, now), "2024-02-29, 01:00 UTC");
    }

    #[test]
    fn a_moment_has_its_hour() {
        assert_eq!(time_of_day(1_793_902_807), "18:20 UTC");
        assert_eq!(moment(1_793_902_807), "18:20:07 UTC");
    }
}
