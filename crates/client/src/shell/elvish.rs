//! elvish. Its strings are bytes, its code is UTF-8.

use crate::output::WipedBytes;

pub fn export(script: &mut WipedBytes, name: &str, value: &[u8]) {
    script.push(b"set-env ");
    script.push(name.as_bytes());
    script.push(b" ");
    quote(script, value);
    script.push(b"\n");
}

pub fn unset(script: &mut WipedBytes, name: &str) {
    script.push(b"unset-env ");
    script.push(name.as_bytes());
    script.push(b"\n");
}

/// Between double quotes the backslash escapes, and `\xHH` is that byte.
fn quote(script: &mut WipedBytes, text: &[u8]) {
    script.push(b"\"");
    for &byte in text {
        match byte {
            b'"' | b'\\' => script.push(&[b'\\', byte]),
            b' '..=b'~' => script.push(&[byte]),
            _ => script.push(format!("\\x{byte:02x}").as_bytes()),
        }
    }
    script.push(b"\"");
}
