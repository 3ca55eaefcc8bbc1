//! pinentry, by the Assuan protocol: a line each way, on its stdin and stdout.

use protocol::Secret;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use zeroize::Zeroizing;

use super::{ALLOW, Answer, DENY, Dialog, LONGEST_ANSWER, Wanted, with_key};
use crate::child::{Child, Trouble};

/// The longest line that Assuan knows, in bytes, with its end.
const LONGEST_LINE: usize = 1_000;

/// How many lines it may say to one question: status and comments are passed over.
const MOST_LINES: usize = 1_000;

/// The parts of an error code of `GnuPG`'s that tell what it was (gpg-error's `GPG_ERR_CODE_MASK`).
const CODE_MASK: u32 = 0xffff;
const TIMEOUT: u32 = 62;
const CANCELED: u32 = 99;
const NOT_CONFIRMED: u32 = 114;
const FULLY_CANCELED: u32 = 198;

/// What it says at the end of an answer.
enum End {
    Ok,
    /// An error's code.
    Error(u32),
}

/// Asks for a code, or for a yes.
pub async fn ask(child: &mut Child, dialog: &Dialog, seconds: u64) -> Result<Answer, Trouble> {
    let mut conversation = Conversation::new(child);
    conversation.end(None).await?;
    conversation.set_up(dialog, seconds).await?;
    if dialog.wanted == Wanted::Consent {
        conversation.say("SETOK", &with_key(ALLOW)).await?;
        conversation.say("SETCANCEL", &with_key(DENY)).await?;
        conversation.write("CONFIRM\n").await?;
        let end = conversation.end(None).await?;
        return answer(&end).map(|answer| answer.unwrap_or(Answer::Allowed));
    }
    conversation.say("SETPROMPT", "Code:").await?;
    let mut typed = Zeroizing::new(Vec::with_capacity(LONGEST_ANSWER));
    conversation.write("GETPIN\n").await?;
    let end = conversation.end(Some(&mut typed)).await?;
    answer(&end).map(|answer| answer.unwrap_or_else(|| Answer::Typed(text(&typed))))
}

/// An answer that is none of the person's words.
fn answer(end: &End) -> Result<Option<Answer>, Trouble> {
    match end {
        End::Ok => Ok(None),
        End::Error(code) => match code & CODE_MASK {
            CANCELED | FULLY_CANCELED | NOT_CONFIRMED => Ok(Some(Answer::Cancelled)),
            TIMEOUT => Ok(Some(Answer::TimedOut)),
            _ => Err(Trouble::Io(std::io::Error::other(format!("pinentry says {code}")))),
        },
    }
}

fn text(bytes: &[u8]) -> Secret {
    Secret::new(String::from_utf8_lossy(bytes).into_owned())
}

struct Conversation<'a> {
    child: &'a mut Child,
    /// What it said and was not looked at yet.
    heard: Zeroizing<Vec<u8>>,
    length: usize,
}

impl<'a> Conversation<'a> {
    fn new(child: &'a mut Child) -> Self {
        Self { child, heard: Zeroizing::new(vec![0; LONGEST_LINE]), length: 0 }
    }

    async fn set_up(&mut self, dialog: &Dialog, seconds: u64) -> Result<(), Trouble> {
        self.say("SETTIMEOUT", &seconds.to_string()).await?;
        self.say("SETTITLE", &dialog.title).await?;
        self.say("SETDESC", &dialog.about.join("\n")).await?;
        if let Some(note) = &dialog.note {
            self.say("SETERROR", note).await?;
        }
        Ok(())
    }

    /// A command, whatever it answers: what a pinentry does not know is not shown.
    async fn say(&mut self, command: &str, text: &str) -> Result<(), Trouble> {
        self.write(&line(command, text)).await?;
        self.end(None).await.map(drop)
    }

    async fn write(&mut self, line: &str) -> Result<(), Trouble> {
        let gone = || Trouble::Io(std::io::ErrorKind::BrokenPipe.into());
        let input = self.child.input.as_mut().ok_or_else(gone)?;
        input.write_all(line.as_bytes()).await.map_err(Trouble::Io)
    }

    /// Reads up to the end of an answer; what it hands over goes into `data`.
    async fn end(&mut self, mut data: Option<&mut Zeroizing<Vec<u8>>>) -> Result<End, Trouble> {
        for _ in 0..MOST_LINES {
            let length = self.line().await?;
            let line = &self.heard[..length];
            let end = if line == b"OK" || line.starts_with(b"OK ") {
                Some(End::Ok)
            } else if let Some(error) = line.strip_prefix(b"ERR ") {
                let code = error.split(|byte| *byte == b' ').next().unwrap_or_default();
                let code = std::str::from_utf8(code).ok().and_then(|code| code.parse().ok());
                Some(End::Error(code.unwrap_or_default()))
            } else if let (Some(bytes), Some(data)) = (line.strip_prefix(b"D "), data.as_deref_mut()) {
                if !unescape(bytes, data) {
                    return Err(Trouble::TooMuch);
                }
                None
            } else {
                None
            };
            // Moved away, what comes behind it moves up; all of it is wiped in the end.
            self.heard.copy_within(length + 1..self.length, 0);
            self.length -= length + 1;
            if let Some(end) = end {
                return Ok(end);
            }
        }
        Err(Trouble::TooMuch)
    }

    /// Waits for a whole line at the beginning of what was heard, and returns its length.
    async fn line(&mut self) -> Result<usize, Trouble> {
        loop {
            if let Some(length) = self.heard[..self.length].iter().position(|byte| *byte == b'\n') {
                return Ok(length);
            }
            if self.length == self.heard.len() {
                return Err(Trouble::TooMuch);
            }
            let read = self.child.output.read(&mut self.heard[self.length..]).await.map_err(Trouble::Io)?;
            if read == 0 {
                return Err(Trouble::Io(std::io::ErrorKind::UnexpectedEof.into()));
            }
            self.length += read;
        }
    }
}

/// A command and its text as one line, no longer than a line may be.
fn line(command: &str, text: &str) -> String {
    let mut line = format!("{command} ");
    for character in text.chars() {
        let escaped = match character {
            '%' | '\n' | '\r' => format!("%{:02X}", u32::from(character)),
            other => other.to_string(),
        };
        if line.len() + escaped.len() >= LONGEST_LINE {
            break;
        }
        line.push_str(&escaped);
    }
    line.push('\n');
    line
}

/// Appends what was handed over. False where that is too long: it would have to grow, and leave a copy behind.
fn unescape(mut bytes: &[u8], to: &mut Zeroizing<Vec<u8>>) -> bool {
    while let Some((first, rest)) = bytes.split_first() {
        bytes = rest;
        let mut byte = *first;
        if byte == b'%'
            && let Some((digits, rest)) = bytes.split_at_checked(2)
            && let Some(value) =
                std::str::from_utf8(digits).ok().and_then(|digits| u8::from_str_radix(digits, 16).ok())
        {
            byte = value;
            bytes = rest;
        }
        if to.len() == to.capacity() {
            return false;
        }
        to.push(byte);
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_one_line_and_not_too_long() {
        assert_eq!(line("SETDESC", "50 %\nof it\r"), "SETDESC 50 %25%0Aof it%0D\n");
        let long = line("SETDESC", &"é%".repeat(1_000));
        assert!(long.len() <= LONGEST_LINE && long.ends_with('\n') && !long.ends_with("%2\n"), "{long}");
    }

    #[test]
    fn what_is_handed_over_is_unescaped() {
        let mut data = Zeroizing::new(Vec::with_capacity(8));
        assert!(unescape(b"a%25%0Ab%2", &mut data));
        assert_eq!(data.as_slice(), b"a%\nb%2");
        assert!(!unescape(b"abc", &mut data), "it does not grow");
    }
}
