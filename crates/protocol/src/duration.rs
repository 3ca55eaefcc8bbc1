//! Spans as people write them: `12h`, `1h30m`, `900`.

/// The seconds of a span: a number of seconds, or numbers with `h`, `m` and `s`, the larger units first.
pub fn parse(text: &str) -> Option<u32> {
    if text.bytes().all(|byte| byte.is_ascii_digit()) {
        return text.parse().ok();
    }
    let mut rest = text;
    let mut seconds: u32 = 0;
    for (unit, worth) in [('h', 3_600), ('m', 60), ('s', 1)] {
        if let Some((number, after)) = rest.split_once(unit) {
            if !number.bytes().all(|byte| byte.is_ascii_digit()) {
                return None;
            }
            seconds = seconds.checked_add(number.parse::<u32>().ok()?.checked_mul(worth)?)?;
            rest = after;
        }
    }
    rest.is_empty().then_some(seconds)
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn spans_are_read() {
        for (text, seconds) in [("900", 900), ("12h", 43_200), ("1h30m", 5_400), ("45m", 2_700), ("90s", 90)]
        {
            assert_eq!(parse(text), Some(seconds), "{text}");
        }
        for text in ["", "h", "1x", "m1", "1m1h", "-1h", "1.5h", "1 h", "99999999h", "１h"] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
