//! Which codes went out. AWS takes each once, and answers a used one as it answers a wrong one; who remembers
//! can tell them apart.

use protocol::{CODE_DIGITS, Secret};
use serde::{Deserialize, Serialize};

use crate::clock::{Deadline, Now};
use crate::sealed::Mark;

/// How long a code lives on its device, in seconds (RFC 6238's default step, the one that AWS uses).
pub const STEP_SECONDS: u64 = 30;

/// How long AWS can take a code: its own step and one on either side.
const REMEMBERED_SECONDS: u64 = 3 * STEP_SECONDS;

/// The codes that went out lately, by their marks: no code is kept.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Codes(Vec<Sent>);

#[derive(Debug, Serialize, Deserialize)]
struct Sent {
    code: Mark,
    until: Deadline,
}

impl Codes {
    /// Notes a code as sent. `Err` with the seconds until the device shows the next one, where it was sent
    /// before. `skew` is AWS's clock minus this machine's.
    pub fn send(&mut self, code: Mark, now: Now, skew: i64) -> Result<(), u64> {
        self.0.retain(|sent| !sent.until.is_over_for_certain(now));
        if self.0.iter().any(|sent| sent.code == code) {
            let server_time = now.wall.saturating_add_signed(skew);
            return Err(STEP_SECONDS - server_time % STEP_SECONDS);
        }
        let until = Deadline::after(now, REMEMBERED_SECONDS);
        self.0.push(Sent { code, until });
        Ok(())
    }

    /// Whether one went out that AWS could still be shown again.
    pub fn remembers(&self, now: Now) -> bool {
        self.0.iter().any(|sent| sent.until.left(now) > 0)
    }

    /// AWS looked at the code and did not take it, or never saw it: it is not used up.
    pub fn unused(&mut self, code: Mark) {
        self.0.retain(|sent| sent.code != code);
    }
}

/// Whether a text is a code at all.
pub fn is_code(code: &Secret) -> bool {
    code.expose().len() == CODE_DIGITS && code.expose().bytes().all(|byte| byte.is_ascii_digit())
}

/// What was typed, without what people put between digits.
pub fn without_spaces(typed: &Secret) -> Secret {
    // Of full size from the start: a text that grows leaves copies behind.
    let mut code = String::with_capacity(typed.expose().len());
    code.extend(typed.expose().chars().filter(|character| !matches!(character, ' ' | '-' | '\t')));
    Secret::new(code)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sealed::Sealer;

    fn code(text: &str) -> Secret {
        Secret::new(text.to_owned())
    }

    #[test]
    fn a_code_goes_out_once() {
        let now = Now { wall: 1_800_000_010, boot: 0 };
        let mut codes = Codes::default();
        let sealer = Sealer::new().unwrap();
        let (first, other) = (sealer.mark("a", &code("123456")), sealer.mark("a", &code("654321")));
        assert_eq!(codes.send(first, now, 0), Ok(()));
        assert_eq!(codes.send(first, now, 0), Err(20));
        assert_eq!(codes.send(first, now, -5), Err(25));
        assert_eq!(codes.send(other, now, 0), Ok(()));
        codes.unused(first);
        assert_eq!(codes.send(first, now, 0), Ok(()));
    }

    #[test]
    fn a_code_that_came_round_again_is_a_new_one() {
        let now = Now { wall: 1_800_000_000, boot: 0 };
        let mut codes = Codes::default();
        let first = Sealer::new().unwrap().mark("a", &code("123456"));
        assert_eq!(codes.send(first, now, 0), Ok(()));
        let later = Now { wall: now.wall + 90, boot: 90 };
        assert_eq!(codes.send(first, later, 0), Ok(()));
    }

    #[test]
    fn a_code_is_six_ascii_digits() {
        assert!(is_code(&code("000000")));
        for no in ["", "12345", "1234567", "12345a", "１２３４５６", " 12345"] {
            assert!(!is_code(&code(no)), "{no}");
        }
    }
}
