//! `.env` files, as docker and the libraries called dotenv read them. They differ in what they take for a quote, an
//! escape, a variable: only what means the same to all of them is written. A variable that goes has no line.

use crate::output::WipedBytes;

pub fn export(script: &mut WipedBytes, name: &str, value: &[u8]) {
    let quote: &[u8] = if value.iter().all(|byte| is_plain(*byte)) { b"" } else { b"'" };
    for part in [name.as_bytes(), b"=", quote, value, quote, b"\n"] {
        script.push(part);
    }
}

/// Whether all of them read the value as what it is.
pub fn holds(value: &[u8]) -> bool {
    let odd = |c: char| c.is_control() || matches!(c, '\'' | '\\' | '$');
    std::str::from_utf8(value).is_ok_and(|text| !text.contains(odd))
}

/// Means itself without quotes, which docker takes for part of the value.
fn is_plain(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"_-./:@%+=,".contains(&byte)
}
