//! bash, zsh, dash, ksh. Every line ends with `;`, so that an unquoted `eval $(…)` works as well.

use super::quote_with;
use crate::output::WipedBytes;

pub fn export(script: &mut WipedBytes, name: &str, value: &[u8]) {
    script.push(b"export ");
    script.push(name.as_bytes());
    script.push(b"=");
    quote(script, value);
    script.push(b";\n");
}

pub fn set(script: &mut WipedBytes, name: &str, value: &[u8]) {
    script.push(name.as_bytes());
    script.push(b"=");
    quote(script, value);
    script.push(b";\n");
}

pub fn unset(script: &mut WipedBytes, name: &str) {
    script.push(b"unset ");
    script.push(name.as_bytes());
    script.push(b";\n");
}

/// Between single quotes nothing is special but the quote itself.
pub fn quote(script: &mut WipedBytes, text: &[u8]) {
    quote_with(script, text, |byte| match byte {
        b'\'' => Some(b"'\\''"),
        _ => None,
    });
}
