//! Identifiers and secrets in AWS's shapes, from the system's random source.

use crate::base::base32;
use crate::known::make_known;

const UPPERCASE_AND_DIGITS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";
const BASE64: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// A prefix such as `AKIA`, `ASIA`, `AIDA`, `AROA` and 16 characters.
pub(crate) fn identifier(prefix: &str) -> String {
    prefix.to_owned() + &text(UPPERCASE_AND_DIGITS, 16)
}

/// 40 characters.
pub(crate) fn secret() -> String {
    known("secret key", text(BASE64, 40))
}

/// A session token: long, and always with the three characters that careless quoting breaks.
pub(crate) fn token() -> String {
    known("session token", format!("IQoJb3JpZ2luX2Vj{}/+{}==", text(BASE64, 180), text(BASE64, 200)))
}

/// A request id, in the shape of a UUID.
pub(crate) fn request_id() -> String {
    let part = |length| text(b"0123456789abcdef", length);
    format!("{}-{}-{}-{}-{}", part(8), part(4), part(4), part(4), part(12))
}

/// The seed of a virtual MFA device; AWS gives 64 characters of base32, which is 40 bytes.
pub(crate) fn seed() -> Vec<u8> {
    let seed = bytes(40);
    make_known("seed", &base32(&seed));
    seed
}

fn known(kind: &str, secret: String) -> String {
    make_known(kind, &secret);
    secret
}

fn text(alphabet: &[u8], length: usize) -> String {
    // Not quite even (256 is no multiple of 36), which nobody attacks here.
    bytes(length).into_iter().map(|byte| char::from(alphabet[usize::from(byte) % alphabet.len()])).collect()
}

fn bytes(length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    getrandom::fill(&mut bytes).expect("the system's random source works");
    bytes
}
