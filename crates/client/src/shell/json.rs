//! An object of texts, for programs; `null` where a variable goes. Nushell takes the same: `load-env` does not hand a
//! variable on that is nothing.

use std::fmt::Write;

use super::utf8;
use crate::output::WipedBytes;

pub fn begin(script: &mut WipedBytes) {
    script.push(b"{");
}

pub fn export(script: &mut WipedBytes, name: &str, value: &[u8]) {
    key(script, name);
    script.push(b"\"");
    for c in utf8(value).chars() {
        let mut escaped = String::new();
        match c {
            '"' | '\\' => escaped.extend(['\\', c]),
            c if c.is_control() => drop(write!(escaped, "\\u{:04x}", u32::from(c))),
            c => escaped.push(c),
        }
        script.push(zeroize::Zeroizing::new(escaped).as_bytes());
    }
    script.push(b"\"");
}

pub fn unset(script: &mut WipedBytes, name: &str) {
    key(script, name);
    script.push(b"null");
}

pub fn end(script: &mut WipedBytes) {
    script.push(b"\n}\n");
}

fn key(script: &mut WipedBytes, name: &str) {
    script.push(if script.bytes().len() == 1 { b"\n  \"" } else { b",\n  \"" });
    script.push(name.as_bytes());
    script.push(b"\": ");
}
