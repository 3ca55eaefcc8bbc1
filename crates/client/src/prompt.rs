//! Asks for the six digits on the terminal.
//!
//! The line is drawn with `\r`, `\b` and spaces alone, so that it looks right on a terminal that knows no
//! escape sequences, and it always fits into one row.

use std::time::{Duration, Instant};

use protocol::{CODE_DIGITS, Question, Secret};
use zeroize::Zeroizing;

use crate::failure::{Exit, Failure};
use crate::message;
use crate::platform::{Descriptor, Event, Interrupt, Terminal};
use protocol::role::shown;
use protocol::sanitize::sanitize;

/// How long nobody needs to answer.
const PATIENCE: Duration = Duration::from_mins(5);
/// How quickly the rest of an escape sequence follows its first byte.
const ESCAPE_PAUSE: Duration = Duration::from_millis(25);
/// How long after a code was refused an Enter is still meant for that code.
const HABIT: Duration = Duration::from_secs(1);

/// Between the digits and the words about them.
const GAP: &str = "  ";

const ESCAPE: u8 = 0x1b;
const INTERRUPT: u8 = 0x03;
const END_OF_FILE: u8 = 0x04;
const QUIT: u8 = 0x1c;
const ERASE_LINE: u8 = 0x15;
const ERASE_WORD: u8 = 0x17;

/// What came of asking.
#[derive(Debug, PartialEq, Eq)]
pub enum Entry {
    /// Six digits.
    Code(Secret),
    /// The session came from elsewhere; nobody needs to type anything.
    Withdrawn,
    /// One of the keys of [`Prompt::set_keys`].
    Key(u8),
}

/// What the person should know while typing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Note {
    /// Nothing.
    None,
    /// AWS did not take the last code.
    Wrong {
        /// How many tries are left.
        tries_left: u32,
    },
    /// The last code was used before. The device shows the next one then.
    Used {
        /// When.
        next_at: Instant,
    },
    /// The code after the one just typed is wanted. The device shows it then.
    Next {
        /// When.
        next_at: Instant,
    },
    /// The same one was typed where the one after it is wanted. The device shows that then.
    Same {
        /// When.
        next_at: Instant,
    },
}

impl Note {
    /// When the device shows the code that is waited for, and what is said until then: in full, and where there is
    /// little room.
    fn wait(self) -> Option<(Instant, &'static str, &'static str)> {
        match self {
            Self::None | Self::Wrong { .. } => None,
            Self::Used { next_at } => {
                Some((next_at, "that code was used already; the next one comes in", "used; next in"))
            }
            Self::Next { next_at } => Some((next_at, "it comes in", "in")),
            Self::Same { next_at } => {
                Some((next_at, "that is the same code; the next one comes in", "same; next in"))
            }
        }
    }
}

/// A conversation on the terminal about one question.
pub struct Prompt<'a> {
    terminal: &'a mut Terminal,
    label: String,
    /// For the tries after the first, which leave more room for words behind the digits.
    short_label: String,
    bullet: char,
    /// How long nobody needs to answer.
    patience: Duration,
    begun: Instant,
    /// The Enter that habit adds to the last code has not come yet.
    enter_owed: bool,
    /// The keys that mean something beside digits.
    keys: &'static [u8],
}

impl<'a> Prompt<'a> {
    /// Says what the code is for.
    pub fn new(terminal: &'a mut Terminal, question: &Question, unicode: bool) -> Self {
        if let Some(endpoint) = &question.endpoint {
            let line = format!("This code goes to {endpoint}, which is not AWS.");
            terminal.write(&format!("{}\n", sanitize(&line)));
        }
        if let Some(failure) = &question.mfa_process {
            let (what, hint) = message::process(failure);
            terminal.write(&format!("{}\nhint: {}\n", sanitize(&what), sanitize(&hint)));
        }
        if let Some(failure) = &question.seed {
            let (what, hint) = message::seed(failure);
            terminal.write(&format!("{}\nhint: {}\n", sanitize(&what), sanitize(&hint)));
        }
        let columns = terminal.columns();
        let (about, label, short_label) = labels(question, columns);
        if let Some(about) = about {
            terminal.write(&format!("{about}\n"));
        }
        let mut prompt = Self::labelled(terminal, label, unicode);
        prompt.short_label = short_label;
        prompt
    }

    /// Asks with these words, which end in a space.
    pub fn labelled(terminal: &'a mut Terminal, label: String, unicode: bool) -> Self {
        Self {
            terminal,
            short_label: label.clone(),
            label,
            bullet: if unicode { '•' } else { '*' },
            patience: PATIENCE,
            begun: Instant::now(),
            enter_owed: false,
            keys: &[],
        }
    }

    /// Asks with other words from here on.
    pub fn set_label(&mut self, label: &str) {
        label.clone_into(&mut self.label);
        label.clone_into(&mut self.short_label);
    }

    /// The keys that end the question beside digits.
    pub fn set_keys(&mut self, keys: &'static [u8]) {
        self.keys = keys;
    }

    /// The terminal, between two questions.
    pub fn terminal(&mut self) -> &mut Terminal {
        self.terminal
    }

    /// Gives up earlier, or later.
    pub fn set_patience(&mut self, patience: Duration) {
        self.patience = patience;
    }

    /// Takes six digits. The terminal stays without echo until the prompt is dropped, while the code is tried.
    /// `claim` is readable as soon as the question is withdrawn.
    pub fn ask(&mut self, note: Note, claim: Option<Descriptor<'_>>) -> Result<Entry, Failure> {
        if let Note::Wrong { tries_left } = note {
            let tries = if tries_left == 1 { "1 try" } else { &format!("{tries_left} tries") };
            self.terminal.write(&format!("That code was not accepted by AWS; {tries} left.\n"));
        }
        self.terminal.take_keys().map_err(|error| cannot_ask(&error))?;
        let mut line = Line {
            digits: Zeroizing::new(String::with_capacity(CODE_DIGITS)),
            note: String::new(),
            drawn: 0,
        };
        let begun = Instant::now();
        // All tries together: the agent keeps the turn for no longer.
        let give_up_at = self.begun + self.patience;
        loop {
            let now = Instant::now();
            let mut limit = give_up_at.saturating_duration_since(now);
            if let Some((next_at, words, short_words)) = note.wait()
                && line.digits.is_empty()
            {
                let wait = next_at.saturating_duration_since(now);
                // The text changes at every full second.
                let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
                line.note = match seconds {
                    0 => "the next code is there".to_owned(),
                    seconds => format!("{words} {seconds} s"),
                };
                if !self.fits(&line) {
                    line.note = format!("{short_words} {seconds} s");
                }
                if seconds > 0 {
                    limit = limit.min(
                        wait.saturating_sub(Duration::from_secs(seconds - 1)).max(Duration::from_millis(1)),
                    );
                }
            }
            self.draw(&mut line);
            match self.terminal.wait(claim, limit).map_err(|error| cannot_ask(&error))? {
                Event::Signal => return Err(self.cancel(&line)),
                Event::Other => {
                    self.wipe(&line);
                    return Ok(Entry::Withdrawn);
                }
                Event::Timeout if Instant::now() >= give_up_at => {
                    self.end_line(&line);
                    let minutes = match self.patience.as_secs() / 60 {
                        1 => "a minute".to_owned(),
                        minutes => format!("{minutes} minutes"),
                    };
                    let what = format!("nobody typed an MFA code for {minutes}");
                    return Err(Failure::new(Exit::NeedsCode, what));
                }
                Event::Timeout => continue,
                Event::Key => {}
            }
            let Some(key) = self.terminal.key() else { return Err(self.cancel(&line)) };
            line.note.clear();
            match key {
                b'0'..=b'9' => {
                    line.digits.push(char::from(key));
                    if line.digits.len() == CODE_DIGITS {
                        return self.submit(line);
                    }
                }
                b' ' | b'-' | b'\t' => {}
                0x7f | 0x08 => {
                    line.digits.pop();
                }
                ERASE_LINE | ERASE_WORD => line.digits.clear(),
                b'\r' | b'\n' if line.digits.is_empty() => {
                    // Meant for the code before, which went off at its sixth digit.
                    if !std::mem::take(&mut self.enter_owed) || begun.elapsed() > HABIT {
                        return Err(self.cancel(&line));
                    }
                }
                b'\r' | b'\n' => {
                    line.note = match CODE_DIGITS - line.digits.len() {
                        1 => "one digit is missing".to_owned(),
                        missing => format!("{missing} digits are missing"),
                    };
                }
                INTERRUPT | END_OF_FILE | QUIT => return Err(self.cancel(&line)),
                ESCAPE => {
                    if !self.skip_sequence()? {
                        return Err(self.cancel(&line));
                    }
                }
                key if self.keys.contains(&key) => {
                    self.wipe(&line);
                    return Ok(Entry::Key(key));
                }
                _ => "digits only".clone_into(&mut line.note),
            }
        }
    }

    /// What ends a wait for the agent while the code is tried.
    pub fn interrupt(&self) -> Interrupt<'_> {
        self.terminal.interrupt()
    }

    fn submit(&mut self, mut line: Line) -> Result<Entry, Failure> {
        self.draw(&mut line);
        self.end_line(&line);
        self.label.clone_from(&self.short_label);
        // From here on nothing is read: what is typed meanwhile belongs to the next program. Only the Enter
        // that follows out of habit is kept from it; one that is there already we can take ourselves, as it
        // came with the code.
        let no_longer = |error: std::io::Error| cannot_ask(&error);
        self.terminal.leave_keys(true).map_err(no_longer)?;
        self.enter_owed = true;
        if self.terminal.wait(None, Duration::ZERO).map_err(no_longer)? == Event::Key
            && matches!(self.terminal.key(), Some(b'\r' | b'\n'))
        {
            self.terminal.leave_keys(false).map_err(no_longer)?;
            self.enter_owed = false;
        }
        Ok(Entry::Code(Secret::new(std::mem::take(&mut *line.digits))))
    }

    /// Reads over an arrow key or the like. `false`: it was the Escape key itself.
    fn skip_sequence(&mut self) -> Result<bool, Failure> {
        let next = || -> Result<Option<u8>, Failure> {
            match self.terminal.wait(None, ESCAPE_PAUSE).map_err(|error| cannot_ask(&error))? {
                Event::Key => Ok(self.terminal.key()),
                _ => Ok(None),
            }
        };
        match next()? {
            None | Some(ESCAPE) => Ok(false),
            Some(b'[') => {
                while let Some(byte) = next()? {
                    if (0x40..=0x7e).contains(&byte) {
                        break;
                    }
                }
                Ok(true)
            }
            Some(b'O') => next().map(|_| true),
            Some(_) => Ok(true),
        }
    }

    fn cancel(&mut self, line: &Line) -> Failure {
        self.end_line(line);
        Failure::cancelled()
    }

    /// Draws the line over the one before and leaves the cursor behind the digits. Words that do not fit behind
    /// them get a line of their own.
    fn draw(&mut self, line: &mut Line) {
        if !self.fits(line) {
            self.wipe(line);
            self.terminal.write(&format!("{}\n", line.note));
            line.note.clear();
            line.drawn = 0;
        }
        let bullets: String = std::iter::repeat_n(self.bullet, line.digits.len()).collect();
        let mut text = format!("{}{bullets}", self.label);
        let typed = text.chars().count();
        if !line.note.is_empty() {
            text.push_str(GAP);
            text.push_str(&line.note);
        }
        let drawn = text.chars().count();
        let stale = line.drawn.saturating_sub(drawn);
        let back = drawn + stale - typed;
        self.terminal.write(&format!("\r{text}{}{}", " ".repeat(stale), "\u{8}".repeat(back)));
        line.drawn = drawn;
    }

    fn fits(&self, line: &Line) -> bool {
        let length = self.label.chars().count() + CODE_DIGITS + GAP.len() + line.note.chars().count();
        line.note.is_empty() || length < self.terminal.columns()
    }

    /// Leaves the line as it stands, without its note.
    fn end_line(&mut self, line: &Line) {
        let typed = self.label.chars().count() + line.digits.len();
        self.terminal.write(&format!("{}\n", " ".repeat(line.drawn.saturating_sub(typed))));
    }

    /// Takes the line away.
    fn wipe(&mut self, line: &Line) {
        self.terminal.write(&format!("\r{}\r", " ".repeat(line.drawn)));
    }
}

impl Drop for Prompt<'_> {
    fn drop(&mut self) {
        self.terminal.restore();
    }
}

/// What stands on the line.
struct Line {
    digits: Zeroizing<String>,
    note: String,
    /// How many characters are drawn.
    drawn: usize,
}

/// A line to go before where one is too short for all of it, the words before the digits, and a few of them.
fn labels(question: &Question, columns: usize) -> (Option<String>, String, String) {
    let Question { profile, serial, role_arn, .. } = question;
    let profile = shown(profile);
    let role = role_arn.as_ref().map(|role| format!("role {role}, ")).unwrap_or_default();
    let fits = |text: &str| text.chars().count() + CODE_DIGITS < columns;
    let short = sanitize(&format!("MFA code for {profile}: ")).into_owned();
    let short = if fits(&short) { short } else { "MFA code: ".to_owned() };
    let whole = sanitize(&format!("MFA code for {profile} ({role}device {serial}): ")).into_owned();
    if fits(&whole) {
        return (None, whole, short);
    }
    let about = sanitize(&format!("For profile {profile}, {role}device {serial}")).into_owned();
    (Some(about), short.clone(), short)
}

fn cannot_ask(error: &std::io::Error) -> Failure {
    Failure::new(Exit::NeedsCode, format!("cannot ask on the terminal: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn question() -> Question {
        Question {
            profile: "dev".to_owned(),
            serial: "arn:aws:iam::111122223333:mfa/alice".to_owned(),
            role_arn: None,
            endpoint: None,
            expired: false,
            mfa_process: None,
            seed: None,
        }
    }

    #[test]
    fn the_label_fits_into_the_row() {
        let labels_in = |columns| {
            let (about, label, short) = labels(&question(), columns);
            [about.unwrap_or_default(), label, short]
        };
        let whole = "MFA code for dev (device arn:aws:iam::111122223333:mfa/alice): ";
        let about = "For profile dev, device arn:aws:iam::111122223333:mfa/alice";
        assert_eq!(labels_in(80), ["", whole, "MFA code for dev: "]);
        assert_eq!(labels_in(60), [about, "MFA code for dev: ", "MFA code for dev: "]);
        assert_eq!(labels_in(20), [about, "MFA code: ", "MFA code: "]);
    }

    #[test]
    fn a_label_commands_no_terminal() {
        let hostile = Question { profile: "\x1b[2J\u{202e}".to_owned(), ..question() };
        assert!(labels(&hostile, 200).1.starts_with("MFA code for \\u{1b}[2J\\u{202e} ("));
    }
}
