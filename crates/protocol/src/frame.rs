//! A value and its line: JSON, ended by a newline, of bounded length.

use serde::{Serialize, de::DeserializeOwned};
use zeroize::Zeroizing;

/// The longest line, newline included, in bytes. A longer one ends the connection.
pub const MAX_LINE: usize = 64 * 1024;

/// Why a line is no value. Never quotes the line: it may hold a secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// The line is longer than [`MAX_LINE`].
    #[error("a line of more than {MAX_LINE} bytes")]
    TooLong,
    /// The line is no JSON of the expected shape.
    #[error("no valid message ({kind} at column {column})")]
    Invalid {
        /// What kind of fault.
        kind: &'static str,
        /// Where, counted from 1.
        column: usize,
    },
}

/// The line for a value, newline included. It is wiped when dropped, and so is the buffer it grew out of.
pub fn encode<T: Serialize>(value: &T) -> Result<Zeroizing<Vec<u8>>, FrameError> {
    // Sized before the first byte: a vector that grows leaves copies of a secret behind.
    let mut length = Counter(0);
    serde_json::to_writer(&mut length, value).map_err(|error| invalid(&error))?;
    if length.0 >= MAX_LINE {
        return Err(FrameError::TooLong);
    }
    let mut line = Zeroizing::new(Vec::with_capacity(length.0 + 1));
    serde_json::to_writer(&mut *line, value).map_err(|error| invalid(&error))?;
    line.push(b'\n');
    Ok(line)
}

/// The value as JSON for people and programs to read, of any length, one value a line.
pub fn pretty<T: Serialize>(value: &T) -> Result<Vec<u8>, FrameError> {
    let mut text = serde_json::to_vec_pretty(value).map_err(|error| invalid(&error))?;
    text.push(b'\n');
    Ok(text)
}

/// The value of a line, with or without its newline.
pub fn decode<T: DeserializeOwned>(line: &[u8]) -> Result<T, FrameError> {
    if line.len() > MAX_LINE {
        return Err(FrameError::TooLong);
    }
    serde_json::from_slice(line).map_err(|error| invalid(&error))
}

fn invalid(error: &serde_json::Error) -> FrameError {
    let kind = match error.classify() {
        serde_json::error::Category::Syntax => "syntax",
        serde_json::error::Category::Eof => "unexpected end",
        serde_json::error::Category::Data => "unknown or missing field",
        serde_json::error::Category::Io => "i/o",
    };
    FrameError::Invalid { kind, column: error.column() }
}

struct Counter(usize);

impl std::io::Write for Counter {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0 += bytes.len();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Ask, Envelope, PROTOCOL, Reply, Request, Secret};

    #[test]
    fn a_request_is_one_line_that_reads_back() {
        let envelope = Envelope {
            protocol: PROTOCOL,
            request: Request::Credentials {
                profile: Some("dev\n".to_owned()),
                ask: Ask::Person,
                replaces: None,
                min_ttl: None,
                duration: None,
            },
        };
        let line = encode(&envelope).unwrap();
        assert_eq!(
            std::str::from_utf8(&line).unwrap(),
            "{\"protocol\":1,\"request\":{\"credentials\":{\"profile\":\"dev\\n\",\"ask\":\"person\"}}}\n"
        );
        let back: Envelope = decode(&line).unwrap();
        assert_eq!(encode(&back).unwrap(), line);
    }

    #[test]
    fn a_line_that_is_no_message_is_not_quoted() {
        let error = decode::<Envelope>(b"{\"protocol\":1,\"request\":{\"login\":\"hunter2\"}}").unwrap_err();
        assert!(!error.to_string().contains("hunter2"), "{error}");
    }

    #[test]
    fn what_is_too_long_is_refused_both_ways() {
        let long = Reply::Session(crate::Session {
            kind: crate::SessionKind::Mfa,
            profiles: vec!["x".repeat(MAX_LINE)],
            account: None,
            account_alias: None,
            serial: String::new(),
            role_arn: None,
            expiration: String::new(),
            expires_at: 0,
            seconds_left: 0,
            duration: 0,
            next_notification: None,
            reused: false,
        });
        assert_eq!(encode(&long).unwrap_err(), FrameError::TooLong);
        assert_eq!(decode::<Reply>(&vec![b' '; MAX_LINE + 1]).unwrap_err(), FrameError::TooLong);
    }

    #[test]
    fn a_field_that_a_later_release_added_is_ignored() {
        let envelope: Envelope =
            decode(b"{\"protocol\":1,\"later\":1,\"request\":{\"session\":{\"profile\":null,\"ask\":\"wait\",\"later\":2}}}")
                .unwrap();
        assert!(matches!(envelope.request, Request::Session { force: false, .. }));
    }

    #[test]
    fn a_debug_of_a_login_has_no_code() {
        let request = Request::Login {
            profile: None,
            code: Secret::new("123456".to_owned()),
            duration: None,
            at_least: None,
        };
        assert!(!format!("{request:?}").contains("123456"));
    }

    #[test]
    fn no_change_of_a_byte_and_no_cut_is_a_panic() {
        let lines: [&[u8]; 3] = [
            b"{\"protocol\":1,\"request\":{\"credentials\":{\"profile\":\"dev\\n\",\"ask\":\"person\"}}}",
            b"{\"protocol\":1,\"request\":{\"login\":{\"profile\":null,\"code\":\"123456\",\"duration\":900}}}",
            b"{\"protocol\":1,\"request\":\"status\"}",
        ];
        let mut understood = 0;
        for line in lines {
            assert!(decode::<Envelope>(line).is_ok());
            for at in 0..line.len() {
                assert!(decode::<Envelope>(&line[..at]).is_err(), "a part of a request is none");
                let mut changed = line.to_vec();
                for byte in 0..=255 {
                    changed[at] = byte;
                    // What is still a request reads back as the same.
                    if let Ok(envelope) = decode::<Envelope>(&changed) {
                        let again = encode(&envelope).unwrap();
                        assert_eq!(encode(&decode::<Envelope>(&again).unwrap()).unwrap(), again);
                        understood += 1;
                    }
                }
            }
        }
        assert!(understood > 1_000, "{understood}");
    }
}
