//! The codes of an MFA device (RFC 6238: SHA-1, 6 digits, 30 seconds) and which of them are accepted.

use hmac::{Hmac, Mac};
use sha1::Sha1;

use crate::clock::Seconds;

const STEP: Seconds = 30;

/// The number of the 30-second step a moment lies in.
pub(crate) fn step_at(now: Seconds) -> i64 {
    now.div_euclid(STEP)
}

/// The six digits of one step.
pub(crate) fn code(seed: &[u8], step: i64) -> String {
    let mut hmac = Hmac::<Sha1>::new_from_slice(seed).expect("HMAC takes keys of any length");
    hmac.update(&step.to_be_bytes());
    let digest = hmac.finalize().into_bytes();
    let start = usize::from(digest[19] & 0x0f);
    let word = [digest[start], digest[start + 1], digest[start + 2], digest[start + 3]];
    let number = u32::from_be_bytes(word) & 0x7fff_ffff;
    format!("{:06}", number % 1_000_000)
}

/// The step whose code this is, if it may be accepted now: one step off at most, and later than the
/// last one accepted, so that no code works twice and none from before a later one.
pub(crate) fn accepted_step(
    seed: &[u8],
    last_accepted: Option<i64>,
    offered: &str,
    current: i64,
) -> Option<i64> {
    (current - 1..=current + 1)
        .filter(|step| last_accepted.is_none_or(|last| *step > last))
        .find(|step| code(seed, *step) == offered)
}

/// The later step of two in a row whose codes these are, if both may be accepted now: this many steps off at most.
pub(crate) fn accepted_pair(
    seed: &[u8],
    last_accepted: Option<i64>,
    offered: [&str; 2],
    current: i64,
    reach: i64,
) -> Option<i64> {
    (current - reach..=current + reach)
        .filter(|step| last_accepted.is_none_or(|last| *step - 1 > last))
        .find(|step| [code(seed, step - 1), code(seed, *step)] == offered)
}

#[cfg(test)]
mod tests {
    use super::*;

    const RFC_SEED: &[u8] = b"12345678901234567890";

    #[test]
    fn the_vectors_of_rfc_6238_cut_to_six_digits() {
        for (at, expected) in [
            (59, "287082"),
            (1_111_111_109, "081804"),
            (1_111_111_111, "050471"),
            (1_234_567_890, "005924"),
            (2_000_000_000, "279037"),
            (20_000_000_000, "353130"),
        ] {
            assert_eq!(code(RFC_SEED, step_at(at)), expected, "at {at}");
        }
    }

    #[test]
    fn a_code_is_accepted_one_step_early_or_late_and_no_further() {
        let now = 1_234_567_890;
        let current = step_at(now);
        for (offset, accepted) in [(-2, false), (-1, true), (0, true), (1, true), (2, false)] {
            let offered = code(RFC_SEED, current + offset);
            let step = accepted_step(RFC_SEED, None, &offered, current);
            assert_eq!(step, accepted.then_some(current + offset), "offset {offset}");
        }
    }

    #[test]
    fn no_step_is_accepted_twice_nor_after_a_later_one() {
        let now = 1_234_567_890;
        let current = step_at(now);
        let offer = |offset, last| accepted_step(RFC_SEED, last, &code(RFC_SEED, current + offset), current);
        assert_eq!(offer(0, Some(current)), None);
        assert_eq!(offer(-1, Some(current)), None);
        assert_eq!(offer(1, Some(current)), Some(current + 1));
    }
    #[test]
    fn a_pair_is_two_steps_in_a_row_and_neither_used() {
        let current = step_at(1_234_567_890);
        let pair = |first: i64, second: i64, last, reach| {
            let codes = [first, second].map(|offset| code(RFC_SEED, current + offset));
            accepted_pair(RFC_SEED, last, [&codes[0], &codes[1]], current, reach)
        };
        assert_eq!(pair(-1, 0, None, 1), Some(current));
        assert_eq!(pair(0, 1, None, 1), Some(current + 1));
        for (first, second) in [(0, 0), (1, 0), (-1, 1), (1, 2)] {
            assert_eq!(pair(first, second, None, 1), None, "{first} {second}");
        }
        assert_eq!(pair(0, 1, Some(current), 1), None);
        assert_eq!(pair(9, 10, None, 20), Some(current + 10));
    }
}
