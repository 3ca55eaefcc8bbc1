//! Which codes went out. AWS takes each once, and answers a used one as it answers a wrong one; who remembers
//! can tell them apart.

use protocol::{CODE_DIGITS, Secret};

use crate::clock::{Deadline, Now};

/// How long a code lives on its device, in seconds (RFC 6238's default step, the one that AWS uses).
const STEP_SECONDS: u64 = 30;

/// How long AWS can take a code: its own step and one on either side.
const REMEMBERED_SECONDS: u64 = 3 * STEP_SECONDS;

/// The codes that went out lately.
#[derive(Debug, Default)]
pub struct Codes(Vec<Sent>);

#[derive(Debug)]
struct Sent {
    serial: String,
    code: Secret,
    until: Deadline,
}

impl Codes {
    /// Notes a code as sent. `Err` with the seconds until the device shows the next one, where it was sent
    /// before. `skew` is AWS's clock minus this machine's.
    pub fn send(&mut self, serial: &str, code: &Secret, now: Now, skew: i64) -> Result<(), u64> {
        self.0.retain(|sent| !sent.until.is_over_for_certain(now));
        if self.0.iter().any(|sent| sent.serial == serial && sent.code == *code) {
            let server_time = now.wall.saturating_add_signed(skew);
            return Err(STEP_SECONDS - server_time % STEP_SECONDS);
        }
        let until = Deadline::after(now, REMEMBERED_SECONDS);
        self.0.push(Sent { serial: serial.to_owned(), code: code.clone(), until });
        Ok(())
    }

    /// AWS looked at the code and did not take it, or never saw it: it is not used up.
    pub fn unused(&mut self, serial: &str, code: &Secret) {
        self.0.retain(|sent| !(sent.serial == serial && sent.code == *code));
    }
}

/// Whether a text is a code at all.
pub fn is_code(code: &Secret) -> bool {
    code.expose().len() == CODE_DIGITS && code.expose().bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(text: &str) -> Secret {
        Secret::new(text.to_owned())
    }

    #[test]
    fn a_code_goes_out_once_a_device() {
        let now = Now { wall: 1_800_000_010, boot: 0 };
        let mut codes = Codes::default();
        assert_eq!(codes.send("a", &code("123456"), now, 0), Ok(()));
        assert_eq!(codes.send("a", &code("123456"), now, 0), Err(20));
        assert_eq!(codes.send("a", &code("123456"), now, -5), Err(25));
        assert_eq!(codes.send("b", &code("123456"), now, 0), Ok(()));
        assert_eq!(codes.send("a", &code("654321"), now, 0), Ok(()));
        codes.unused("a", &code("123456"));
        assert_eq!(codes.send("a", &code("123456"), now, 0), Ok(()));
    }

    #[test]
    fn a_code_that_came_round_again_is_a_new_one() {
        let now = Now { wall: 1_800_000_000, boot: 0 };
        let mut codes = Codes::default();
        assert_eq!(codes.send("a", &code("123456"), now, 0), Ok(()));
        let later = Now { wall: now.wall + 90, boot: 90 };
        assert_eq!(codes.send("a", &code("123456"), later, 0), Ok(()));
    }

    #[test]
    fn a_code_is_six_ascii_digits() {
        assert!(is_code(&code("000000")));
        for no in ["", "12345", "1234567", "12345a", "１２３４５６", " 12345"] {
            assert!(!is_code(&code(no)), "{no}");
        }
    }
}
