//! Spans of time as people read them.

/// `11h 02m`, `4m`, `59s`: the two largest units that say something.
pub fn of(seconds: u32) -> String {
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3600, seconds / 60 % 60);
    match seconds {
        0..60 => format!("{seconds}s"),
        60..3600 if seconds < 600 && !seconds.is_multiple_of(60) => {
            format!("{minutes}m {:02}s", seconds % 60)
        }
        60..3600 => format!("{minutes}m"),
        3600..172_800 if minutes == 0 => format!("{hours}h"),
        3600..172_800 => format!("{hours}h {minutes:02}m"),
        _ => format!("{days}d {}h", hours % 24),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_units_are_enough() {
        let spans = [0, 59, 60, 61, 600, 661, 3600, 34_140, 39_720, 129_600, 200_000].map(of);
        assert_eq!(
            spans,
            ["0s", "59s", "1m", "1m 01s", "10m", "11m", "1h", "9h 29m", "11h 02m", "36h", "2d 7h"]
        );
    }
}
