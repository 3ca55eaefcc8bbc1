//! xonsh: Python, whose texts carry bytes that are no UTF-8 as lone surrogates.

use crate::output::WipedBytes;

pub const FAILS: &[u8] = b"raise RuntimeError('mfa-agent env failed')\n";

pub fn export(script: &mut WipedBytes, name: &str, value: &[u8]) {
    script.push(b"$");
    script.push(name.as_bytes());
    script.push(b" = ");
    quote(script, value);
    script.push(b"\n");
}

pub fn unset(script: &mut WipedBytes, name: &str) {
    script.push(b"__xonsh__.env.pop('");
    script.push(name.as_bytes());
    script.push(b"', None)\n");
}

fn quote(script: &mut WipedBytes, text: &[u8]) {
    script.push(b"'");
    for chunk in text.utf8_chunks() {
        for c in chunk.valid().chars() {
            match c {
                '\'' => script.push(b"\\'"),
                '\\' => script.push(b"\\\\"),
                ' '..='~' => script.push(c.encode_utf8(&mut [0; 4]).as_bytes()),
                _ => script.push(format!("\\U{:08x}", u32::from(c)).as_bytes()),
            }
        }
        for byte in chunk.invalid() {
            script.push(format!("\\udc{byte:02x}").as_bytes());
        }
    }
    script.push(b"'");
}
