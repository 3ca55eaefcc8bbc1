//! PowerShell, from Windows PowerShell 5.1 on. Each statement is one line of ASCII: what a native program prints is
//! decoded by the console's code page and cut into lines, whatever ends them, before it can be evaluated.

use super::utf8;
use crate::output::WipedBytes;

pub const FAILS: &[u8] = b"throw 'mfa-agent env failed'\n";

pub fn export(script: &mut WipedBytes, name: &str, value: &[u8]) {
    script.push(b"$env:");
    script.push(name.as_bytes());
    script.push(b" = ");
    quote(script, value);
    script.push(b"\n");
}

/// Setting nothing removes a variable, and is no error where there is none.
pub fn unset(script: &mut WipedBytes, name: &str) {
    script.push(b"$env:");
    script.push(name.as_bytes());
    script.push(b" = $null\n");
}

/// A sum of texts and characters. Between single quotes nothing is special but the quote itself, which is doubled;
/// what looks like one elsewhere in Unicode ends a text as well, and is written by its number.
fn quote(script: &mut WipedBytes, text: &[u8]) {
    script.push(b"'");
    let mut open = true;
    for unit in utf8(text).encode_utf16() {
        let plain = u8::try_from(unit).ok().filter(|byte| matches!(byte, b' '..=b'~'));
        match (plain, open) {
            (Some(_), false) => script.push(b"+'"),
            (None, true) => script.push(b"'"),
            _ => {}
        }
        open = plain.is_some();
        match plain {
            Some(b'\'') => script.push(b"''"),
            Some(byte) => script.push(&[byte]),
            None => script.push(format!("+[char]{unit}").as_bytes()),
        }
    }
    if open {
        script.push(b"'");
    }
}
