//! Questions on the terminal that are not for a code.

use std::time::Duration;

use protocol::Secret;
use zeroize::Zeroizing;

use crate::failure::{Exit, Failure};
use crate::platform::{Event, Terminal};
use protocol::sanitize::sanitize;

/// How long nobody needs to answer a question whose keys are taken one by one.
const PATIENCE: Duration = Duration::from_mins(5);
/// The longest answer to one, in bytes.
const LONGEST: usize = 1024;

/// A line that the person types, or what was offered.
pub fn line(terminal: &Terminal, question: &str, offered: &str) -> Result<String, Failure> {
    terminal.write(&format!("{} [{}]: ", sanitize(question), sanitize(offered)));
    let line = terminal.line().ok_or_else(Failure::cancelled)?;
    let answer = line.trim();
    Ok(if answer.is_empty() { offered.to_owned() } else { answer.to_owned() })
}

/// Whether the person says yes; all else is no.
pub fn agrees(terminal: &Terminal, question: &str) -> Result<bool, Failure> {
    terminal.write(&format!("{} [y/N] ", sanitize(question)));
    let line = terminal.line().ok_or_else(Failure::cancelled)?;
    Ok(matches!(line.trim().to_ascii_lowercase().as_str(), "y" | "yes"))
}

/// What the person types or pastes, shown as it is typed: printable ASCII alone. A secret to us, since it may be one
/// that was pasted in the wrong place.
pub fn shown(terminal: &mut Terminal, question: &str) -> Result<Secret, Failure> {
    answer(terminal, question, true)
}

/// What the person types or pastes, unseen.
pub fn unseen(terminal: &mut Terminal, question: &str) -> Result<Secret, Failure> {
    answer(terminal, question, false)
}

/// Takes every key itself, so that the lines of a paste behind the first one are not echoed either.
fn answer(terminal: &mut Terminal, question: &str, echo: bool) -> Result<Secret, Failure> {
    let cannot =
        |error: std::io::Error| Failure::new(Exit::Failed, format!("cannot ask on the terminal: {error}"));
    // Before the question: what is typed at its sight is not echoed.
    terminal.take_keys().map_err(cannot)?;
    terminal.write(&format!("{}: ", sanitize(question)));
    let mut answer = Zeroizing::new(Vec::with_capacity(LONGEST));
    let erase = |terminal: &Terminal, characters: usize| {
        if echo {
            terminal.write(&"\x08 \x08".repeat(characters));
        }
    };
    let typed = loop {
        let key = match terminal.wait(None, PATIENCE).map_err(cannot)? {
            Event::Key => terminal.key(),
            _ => None,
        };
        match key {
            // Ctrl-C, Ctrl-D, Ctrl-\, Escape.
            None | Some(0x03 | 0x04 | 0x1c | 0x1b) => break false,
            Some(b'\r' | b'\n') => break true,
            Some(0x7f | 0x08) => {
                let erased = answer.pop();
                erase(terminal, usize::from(erased.is_some()));
            }
            // Ctrl-U, Ctrl-W.
            Some(0x15 | 0x17) => {
                erase(terminal, answer.len());
                answer.clear();
            }
            Some(key) if answer.len() == LONGEST || echo && !matches!(key, b' '..=b'~') => {}
            Some(key) => {
                answer.push(key);
                if echo {
                    terminal.write(char::from(key).encode_utf8(&mut [0; 4]));
                }
            }
        }
    };
    terminal.restore();
    terminal.write("\n");
    if !typed {
        return Err(Failure::cancelled());
    }
    let text = std::str::from_utf8(answer.trim_ascii())
        .map_err(|_| Failure::new(Exit::Usage, "what was typed is no UTF-8 text"))?;
    Ok(Secret::new(text.to_owned()))
}
