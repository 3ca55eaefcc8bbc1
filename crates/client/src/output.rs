//! What leaves the program. stdout carries data alone, whole or not at all; words go to stderr.

use zeroize::Zeroizing;

use crate::failure::{Exit, Failure};
use crate::platform;
use protocol::sanitize::sanitize;

/// Writes the data to stdout. `println!` would panic where a pipe closes or a disk is full.
pub fn data(bytes: &[u8]) -> Result<(), Failure> {
    platform::write_stdout(bytes)
        .map_err(|error| Failure::new(Exit::Failed, format!("cannot write to stdout: {error}")))
}

/// A line for the person, made harmless.
pub fn words(line: &str) {
    platform::write_stderr(format!("{}\n", sanitize(line)).as_bytes());
}

/// The words of a failure.
pub fn failure(failure: &Failure) {
    if !failure.what.is_empty() {
        words(&format!("mfa-agent: {}", failure.what));
    }
    if let Some(hint) = failure.what_to_do() {
        words(&format!("hint: {hint}"));
    }
}

/// Bytes that are wiped when dropped, and never left behind by growing.
pub struct WipedBytes(Zeroizing<Vec<u8>>);

impl WipedBytes {
    /// Nothing yet, with room for some.
    pub fn with_capacity(capacity: usize) -> Self {
        Self(Zeroizing::new(Vec::with_capacity(capacity)))
    }

    /// Adds the bytes.
    pub fn push(&mut self, bytes: &[u8]) {
        let needed = self.0.len() + bytes.len();
        if needed > self.0.capacity() {
            let mut larger = Zeroizing::new(Vec::with_capacity(needed.max(self.0.capacity() * 2)));
            larger.extend_from_slice(&self.0);
            // The smaller one is wiped here.
            self.0 = larger;
        }
        self.0.extend_from_slice(bytes);
    }

    /// What is in it.
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_survive_growing() {
        let mut bytes = WipedBytes::with_capacity(2);
        for _ in 0..100 {
            bytes.push(b"abc");
        }
        assert_eq!(bytes.bytes(), b"abc".repeat(100));
    }
}
