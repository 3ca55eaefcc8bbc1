//! fish. Every line ends with `;`, so that `eval (…)`, which joins lines, works as well as `| source`.

use super::quote_with;
use crate::output::WipedBytes;

pub fn export(script: &mut WipedBytes, name: &str, value: &[u8]) {
    script.push(b"set -gx ");
    script.push(name.as_bytes());
    script.push(b" ");
    quote(script, value);
    script.push(b";\n");
}

/// `set -e` fails where there is no such variable, and the last statement's status is that of `source`.
pub fn set(script: &mut WipedBytes, name: &str, value: &[u8]) {
    script.push(b"set -g ");
    script.push(name.as_bytes());
    script.push(b" ");
    quote(script, value);
    script.push(b";\n");
}

pub fn unset(script: &mut WipedBytes, name: &str) {
    script.push(b"set -ge ");
    script.push(name.as_bytes());
    script.push(b"; or true;\n");
}

/// Between single quotes the backslash escapes itself and the quote, unlike in POSIX shells.
pub fn quote(script: &mut WipedBytes, text: &[u8]) {
    quote_with(script, text, |byte| match byte {
        b'\'' => Some(b"\\'"),
        b'\\' => Some(b"\\\\"),
        _ => None,
    });
}
