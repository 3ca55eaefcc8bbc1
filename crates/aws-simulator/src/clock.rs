//! The simulator's time: the system's plus an offset, and the three ways AWS writes it.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, SystemTime};

/// Seconds since 1970, as all of the simulator counts.
pub(crate) type Seconds = i64;

#[derive(Default)]
pub(crate) struct Clock {
    offset_milliseconds: AtomicI64,
}

impl Clock {
    pub(crate) fn now(&self) -> Seconds {
        let system = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let system = i64::try_from(system.as_millis()).unwrap_or(i64::MAX / 2);
        (system + self.offset_milliseconds.load(Ordering::SeqCst)).div_euclid(1000)
    }

    pub(crate) fn advance(&self, by: Duration) {
        let by = i64::try_from(by.as_millis()).unwrap_or(i64::MAX / 4);
        self.offset_milliseconds.fetch_add(by, Ordering::SeqCst);
    }

    pub(crate) fn set_offset(&self, seconds: i64) {
        self.offset_milliseconds.store(seconds.saturating_mul(1000), Ordering::SeqCst);
    }
}

/// `20260131T235959Z`, as in `x-amz-date`.
pub(crate) fn compact(at: Seconds) -> String {
    let Civil { year, month, day, hour, minute, second, .. } = Civil::from(at);
    format!("{year:04}{month:02}{day:02}T{hour:02}{minute:02}{second:02}Z")
}

/// `2026-01-31T23:59:59Z`, as in answers.
pub(crate) fn iso(at: Seconds) -> String {
    let Civil { year, month, day, hour, minute, second, .. } = Civil::from(at);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

/// `Sat, 31 Jan 2026 23:59:59 GMT`, as in the `Date` header.
pub(crate) fn http_date(at: Seconds) -> String {
    const DAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
    const MONTHS: [&str; 12] =
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let Civil { year, month, day, hour, minute, second, weekday } = Civil::from(at);
    let (weekday, month) = (DAYS[weekday], MONTHS[month - 1]);
    format!("{weekday}, {day:02} {month} {year:04} {hour:02}:{minute:02}:{second:02} GMT")
}

/// Reads `20260131T235959Z`; anything else is `None`.
pub(crate) fn parse_compact(text: &str) -> Option<Seconds> {
    let bytes = text.as_bytes();
    if bytes.len() != 16 || bytes[8] != b'T' || bytes[15] != b'Z' {
        return None;
    }
    let number = |from: usize, to: usize| -> Option<i64> {
        let digits = text.get(from..to)?;
        digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse().ok())?
    };
    let (year, month, day) = (number(0, 4)?, number(4, 6)?, number(6, 8)?);
    let (hour, minute, second) = (number(9, 11)?, number(11, 13)?, number(13, 15)?);
    let at = days_from_civil(year, month, day) * 86_400 + hour * 3_600 + minute * 60 + second;
    // A date that does not exist (month 13, 30 February) comes back as another one.
    (compact(at) == text).then_some(at)
}

struct Civil {
    year: i64,
    month: usize,
    day: i64,
    hour: i64,
    minute: i64,
    second: i64,
    /// Days since a Thursday, as 1 January 1970 was.
    weekday: usize,
}

impl From<Seconds> for Civil {
    fn from(at: Seconds) -> Civil {
        // Years counted from March put the leap day last, so that month lengths follow one line.
        let (days, time) = (at.div_euclid(86_400), at.rem_euclid(86_400));
        let shifted = days + 719_468;
        let era = shifted.div_euclid(146_097);
        let day_of_era = shifted.rem_euclid(146_097);
        let year_of_era =
            (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let from_march = (5 * day_of_year + 2) / 153;
        let month = if from_march < 10 { from_march + 3 } else { from_march - 9 };
        Civil {
            year: year_of_era + era * 400 + i64::from(month <= 2),
            month: usize::try_from(month).unwrap_or(1),
            day: day_of_year - (153 * from_march + 2) / 5 + 1,
            hour: time / 3_600,
            minute: time / 60 % 60,
            second: time % 60,
            weekday: usize::try_from(days.rem_euclid(7)).unwrap_or(0),
        }
    }
}

fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = year - i64::from(month <= 2);
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let from_march = (month + 9) % 12;
    let day_of_year = (153 * from_march + 2) / 5 + day - 1;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_three_forms_of_known_moments() {
        let leap_day = 1_709_251_199;
        assert_eq!(compact(leap_day), "20240229T235959Z");
        assert_eq!(iso(leap_day + 1), "2024-03-01T00:00:00Z");
        assert_eq!(http_date(784_111_777), "Sun, 06 Nov 1994 08:49:37 GMT");
    }

    #[test]
    fn compact_dates_are_read_back_and_impossible_ones_refused() {
        for at in [0, 951_782_400, 1_440_938_160, 4_102_444_799] {
            assert_eq!(parse_compact(&compact(at)), Some(at));
        }
        for wrong in ["", "20230229T000000Z", "20241301T000000Z", "20240101T240000Z", "2024-01-01T000000"] {
            assert_eq!(parse_compact(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn the_clock_can_be_moved_both_ways() {
        let clock = Clock::default();
        let before = clock.now();
        clock.advance(Duration::from_hours(1));
        assert!((3_600..3_610).contains(&(clock.now() - before)));
        clock.set_offset(-600);
        assert!((-600..-590).contains(&(clock.now() - before)));
    }
}
