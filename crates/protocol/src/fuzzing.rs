//! What must hold for any bytes that arrive, for the fuzzers and for the tests.

use std::fmt::Debug;

use serde::{Serialize, de::DeserializeOwned};

use crate::frame::{FrameError, MAX_LINE, decode, encode};
use crate::sanitize::sanitize;
use crate::{Envelope, Reply, StartReport, duration};

/// Any line is a message that reads back as the same, or an error that quotes nothing of it. Any text becomes one
/// that commands no terminal.
pub fn frames(input: &[u8]) {
    reads_back::<Envelope>(input);
    reads_back::<Reply>(input);
    reads_back::<StartReport>(input);
    if let Ok(text) = std::str::from_utf8(input) {
        let clean = sanitize(text);
        assert!(!clean.chars().any(char::is_control));
        assert_eq!(sanitize(&clean), clean);
        let _ = duration::parse(text);
    }
}

fn reads_back<T: Serialize + DeserializeOwned + Debug>(line: &[u8]) {
    let value: T = match decode(line) {
        Ok(value) => value,
        Err(FrameError::TooLong) => return assert!(line.len() > MAX_LINE),
        Err(FrameError::Invalid { kind, column }) => {
            assert!(["syntax", "unexpected end", "unknown or missing field"].contains(&kind));
            return assert!(column <= line.len() + 1);
        }
    };
    match encode(&value) {
        Ok(again) => {
            assert!(again.ends_with(b"\n") && !again[..again.len() - 1].contains(&b'\n'));
            let value: T = decode(&again).unwrap_or_else(|error| panic!("{error}: {value:?}"));
            assert!(encode(&value).is_ok_and(|once_more| once_more == again), "{value:?}");
        }
        // What it leaves out by itself it may put in.
        Err(error) => assert!(error == FrameError::TooLong && line.len() > MAX_LINE / 2),
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn whatever_arrives_is_a_message_or_an_error() {
        corpus::replay("frames", 20_000, super::frames);
    }
}
