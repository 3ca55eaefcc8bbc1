//! Codes of a seed, as an authenticator app makes them (RFC 6238), in the one way that AWS's devices do: HMAC-SHA1,
//! six digits, thirty seconds.

use protocol::Secret;
use ring::hmac;
use zeroize::Zeroizing;

use crate::codes::STEP_SECONDS;

/// How short a seed may be, in bytes. AWS's have 40.
const SHORTEST: usize = 10;

/// How long, in characters: far more than anybody's.
const LONGEST: usize = 256;

/// A device's seed. It has no `Debug`, and is wiped when dropped.
pub struct Seed(Zeroizing<Vec<u8>>);

impl Seed {
    /// Reads base32 as people copy it, or the `otpauth://` line of a QR code. `Err` is what is wrong with it.
    pub fn parse(text: &Secret) -> Result<Self, &'static str> {
        let text = text.expose().trim();
        let base32 = match text.split_once("://") {
            None => text,
            Some((scheme, rest)) => {
                if !scheme.eq_ignore_ascii_case("otpauth") {
                    return Err("it is no otpauth:// line");
                }
                of_line(rest)?
            }
        };
        let bytes = decode(base32).ok_or("it is no base32 text (A to Z, 2 to 7)")?;
        if bytes.len() < SHORTEST {
            return Err("it is too short for a seed");
        }
        Ok(Self(bytes))
    }

    /// The code at a moment, in seconds since 1970.
    pub fn code(&self, time: u64) -> Secret {
        let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, &self.0);
        let tag = hmac::sign(&key, &(time / STEP_SECONDS).to_be_bytes());
        let tag = tag.as_ref();
        // RFC 4226, 5.3: the last four bits say where the number begins.
        let start = usize::from(tag[tag.len() - 1] & 0x0f);
        let number = u32::from_be_bytes([tag[start], tag[start + 1], tag[start + 2], tag[start + 3]]);
        Secret::new(format!("{:06}", (number & 0x7fff_ffff) % 1_000_000))
    }
}

/// The seed of `totp/LABEL?secret=…`.
fn of_line(rest: &str) -> Result<&str, &'static str> {
    let (path, query) = rest.split_once('?').ok_or("the otpauth:// line has no secret")?;
    let kind = path.split('/').next().unwrap_or_default();
    if !kind.eq_ignore_ascii_case("totp") {
        return Err("the otpauth:// line is not of a device that goes by time (totp)");
    }
    let mut secret = None;
    for pair in query.split('&') {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let fits = match name.to_ascii_lowercase().as_str() {
            "secret" if secret.is_some() => return Err("the otpauth:// line has two secrets"),
            "secret" => {
                secret = Some(value);
                true
            }
            "algorithm" => value.eq_ignore_ascii_case("SHA1"),
            "digits" => value == "6",
            "period" => value == "30",
            _ => true,
        };
        if !fits {
            return Err(
                "AWS takes codes by SHA1, of six digits, for 30 seconds, and the line says otherwise",
            );
        }
    }
    let secret = secret.ok_or("the otpauth:// line has no secret")?;
    // Padding, as it is written in a URL.
    Ok(secret.split('%').next().unwrap_or_default())
}

/// RFC 4648, with the spaces and dashes that people read better by.
fn decode(text: &str) -> Option<Zeroizing<Vec<u8>>> {
    if text.len() > LONGEST {
        return None;
    }
    let text = text.trim_end_matches('=');
    // Of full size from the start: what grows leaves copies behind.
    let mut bytes = Zeroizing::new(Vec::with_capacity(text.len()));
    let (mut held, mut bits) = (0_u32, 0);
    for byte in text.bytes() {
        let value = match byte {
            b'A'..=b'Z' => byte - b'A',
            b'a'..=b'z' => byte - b'a',
            b'2'..=b'7' => byte - b'2' + 26,
            b' ' | b'-' => continue,
            _ => return None,
        };
        held = (held << 5) | u32::from(value);
        bits += 5;
        if bits >= 8 {
            bits -= 8;
            bytes.push(u8::try_from(held >> bits).ok()?);
            held &= (1 << bits) - 1;
        }
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Seed, &'static str> {
        Seed::parse(&Secret::new(text.to_owned()))
    }

    #[test]
    fn the_codes_are_those_of_rfc_6238() {
        // `12345678901234567890`; its eight digits end in our six.
        let seed = parse("GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ").ok().unwrap();
        for (time, code) in [
            (59, "287082"),
            (1_111_111_109, "081804"),
            (1_111_111_111, "050471"),
            (1_234_567_890, "005924"),
            (2_000_000_000, "279037"),
            (20_000_000_000, "353130"),
        ] {
            assert_eq!(seed.code(time).expose(), code, "{time}");
        }
    }

    #[test]
    fn a_seed_is_read_as_people_have_it_and_all_else_is_refused() {
        let code = |text| parse(text).map(|seed| seed.code(59).expose().to_owned());
        for text in [
            "gezd gnbv gy3t qojq gezd gnbv gy3t qojq\n",
            "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ====",
            "otpauth://totp/AWS:a%40b?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ&issuer=AWS",
            "otpauth://TOTP/x?digits=6&period=30&algorithm=sha1&secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ%3D",
        ] {
            assert_eq!(code(text).as_deref(), Ok("287082"), "{text}");
        }
        let seed = "secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ";
        for (text, words) in [
            ("123456", "no base32"),
            ("GEZDGNBVGY3TQOJ!", "no base32"),
            ("GEZDGNBV", "too short"),
            ("", "too short"),
            (&"A".repeat(300), "no base32"),
            ("https://example.com/?secret=GEZDGNBVGY3TQOJQ", "no otpauth"),
            ("otpauth://totp/x", "no secret"),
            ("otpauth://totp/x?issuer=AWS", "no secret"),
            (&format!("otpauth://hotp/x?{seed}"), "by time"),
            (&format!("otpauth://totp/x?{seed}&digits=8"), "six digits"),
            (&format!("otpauth://totp/x?{seed}&period=60"), "six digits"),
            (&format!("otpauth://totp/x?algorithm=SHA256&{seed}"), "six digits"),
            (&format!("otpauth://totp/x?{seed}&{seed}"), "two secrets"),
        ] {
            let problem = parse(text).err().unwrap_or("none");
            assert!(problem.contains(words), "{text}: {problem}");
        }
    }
}
