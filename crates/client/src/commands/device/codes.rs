//! Two codes in a row, as AWS wants them to believe in a device: from stdin, or from a person, with the countdown.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use protocol::{CODE_DIGITS, Refusal, Secret};

use crate::environment::writes_unicode;
use crate::failure::{Exit, Failure};
use crate::output::WipedBytes;
use crate::platform::{self, Terminal};
use crate::prompt::{Entry, Note, Prompt};
use crate::qr::Qr;
use crate::{clock, environment, message, output};

/// How long a code stands on its device, in seconds.
const STEP: u64 = 30;

/// How many pairs a person may type.
const TRIES: u32 = 3;

/// How long nobody needs to type: an app may have to be installed first.
const PATIENCE: Duration = Duration::from_mins(20);

/// How wide the margin around a QR code is, in modules: as the standard wants it, and as readers do with.
const MARGINS: [usize; 2] = [4, 2];

/// Lines below the picture.
const LINES_BELOW: usize = 3;

/// How many characters of a key stand in a line.
const SEED_LINE: usize = 32;

/// The key that changes between picture and text.
const SWITCH: u8 = b's';

/// What to do with a pair. `false`: AWS did not take it, and others are wanted.
pub type Try<'a> = dyn FnMut([Secret; 2]) -> Result<bool, Failure> + 'a;

/// The pair that stdin has, a line each.
pub fn from_stdin(attempt: &mut Try<'_>) -> Result<(), Failure> {
    let read = || -> Result<Secret, Failure> {
        let line = platform::stdin_line(64).map_err(|error| {
            Failure::new(Exit::Usage, format!("cannot read the MFA codes from stdin: {error}"))
        })?;
        let code = Secret::new(String::from_utf8_lossy(line.trim_ascii()).into_owned());
        let digits = code.expose().bytes().all(|byte| byte.is_ascii_digit());
        let is_code = digits && code.expose().len() == CODE_DIGITS;
        is_code.then_some(code).ok_or_else(|| message::refused(&Refusal::MalformedCode))
    };
    if attempt([read()?, read()?])? { Ok(()) } else { Err(not_taken()) }
}

/// Whom to ask.
pub fn terminal() -> Result<Terminal, Failure> {
    Terminal::open().ok_or_else(|| {
        Failure::new(Exit::NeedsCode, "two codes are needed, and nobody can be asked")
            .hint("--stdin takes them from stdin, a line each")
    })
}

/// Asks a person, `from` the device of this name.
pub fn from_person(terminal: &mut Terminal, name: &str, attempt: &mut Try<'_>) -> Result<(), Failure> {
    let mut prompt = Prompt::labelled(terminal, String::new(), writes_unicode());
    prompt.set_patience(PATIENCE);
    ask(&mut prompt, name, attempt, &mut Below)
}

/// Shows what the app needs, and asks for its codes. Whatever comes of it, nothing of it stays on the terminal.
pub fn with_key(name: &str, key: &Key, attempt: &mut Try<'_>) -> Result<(), Failure> {
    let mut screen = Screen::open(terminal()?)?;
    let mut stage = Shown { key, view: View::Picture, row: 1 };
    stage.draw(&screen.terminal);
    let mut prompt = Prompt::labelled(&mut screen.terminal, String::new(), writes_unicode());
    prompt.set_patience(PATIENCE);
    prompt.set_keys(&[SWITCH]);
    ask(&mut prompt, name, attempt, &mut stage)
}

/// Where the questions stand.
trait Stage {
    /// Makes room for a question, under these words.
    fn prepare(&mut self, terminal: &Terminal, words: Option<&str>);
    /// The person pressed the key for it.
    fn switch(&mut self, _terminal: &Terminal) {}
}

/// Each below the one before.
struct Below;

impl Stage for Below {
    fn prepare(&mut self, terminal: &Terminal, words: Option<&str>) {
        if let Some(words) = words {
            terminal.write(&format!("{words}\n"));
        }
    }
}

fn ask(
    prompt: &mut Prompt<'_>,
    name: &str,
    attempt: &mut Try<'_>,
    stage: &mut dyn Stage,
) -> Result<(), Failure> {
    let mut one = |prompt: &mut Prompt<'_>, label: &str, note: Note, words| -> Result<Secret, Failure> {
        prompt.set_label(label);
        loop {
            stage.prepare(prompt.terminal(), words);
            match prompt.ask(note, None)? {
                Entry::Code(code) => return Ok(code),
                Entry::Key(_) => stage.switch(prompt.terminal()),
                // Nobody can withdraw it.
                Entry::Withdrawn => return Err(Failure::cancelled()),
            }
        }
    };
    let (mut note, mut words) = (Note::None, None);
    for _ in 0..TRIES {
        let first = one(prompt, &format!("Code of {name}: "), note, words)?;
        let mut next = Note::Next { next_at: next_step() };
        let second = loop {
            let second = one(prompt, "The next code: ", next, None)?;
            if second != first {
                break second;
            }
            next = Note::Same { next_at: next_step() };
        };
        if attempt([first, second])? {
            return Ok(());
        }
        note = Note::Next { next_at: next_step() };
        words = Some("AWS did not take these two: they must be new, and one right after the other.");
    }
    Err(not_taken())
}

fn not_taken() -> Failure {
    Failure::new(Exit::Aws, "AWS did not take these two codes")
        .hint("they must be of this device, new, one right after the other, and its clock must be right")
}

/// When devices show their next code.
fn next_step() -> Instant {
    let now = clock::since_epoch();
    let passed = Duration::from_secs(now.as_secs() % STEP) + Duration::from_nanos(now.subsec_nanos().into());
    Instant::now() + Duration::from_secs(STEP).saturating_sub(passed)
}

/// What makes an app a device. While it waits for codes, the seed is there once: what is shown is made when it is shown.
pub struct Key {
    /// What stands before the seed in the line.
    before: String,
    seed: Secret,
}

#[derive(Clone, Copy)]
enum View {
    Picture,
    Text,
}

impl Key {
    /// The key of a user in an account, as apps read it.
    pub fn new(user: &str, account: &str, seed: Secret) -> Self {
        Self { before: format!("otpauth://totp/AWS:{}@{account}?secret=", escaped(user)), seed }
    }

    /// The line that password managers and QR codes hold.
    pub fn uri(&self) -> WipedBytes {
        let parts = self.parts();
        // Room for the end of the line, too.
        let mut uri = WipedBytes::with_capacity(parts.map(str::len).iter().sum::<usize>() + 1);
        for part in parts {
            uri.push(part.as_bytes());
        }
        uri
    }

    fn parts(&self) -> [&str; 3] {
        [&self.before, self.seed.expose().trim_end_matches('='), "&issuer=AWS"]
    }
}

/// The key on the second screen, and the questions below it, always in the same lines: what scrolls goes into the
/// history where there is no second screen.
struct Shown<'a> {
    key: &'a Key,
    view: View,
    /// The line of the words below it, from 1.
    row: usize,
}

impl Stage for Shown<'_> {
    fn prepare(&mut self, terminal: &Terminal, words: Option<&str>) {
        let words = words.unwrap_or(match self.view {
            View::Picture => "Scan it with an authenticator app. s: as text, Ctrl-C: stop",
            View::Text => "s: the QR code, Ctrl-C: stop",
        });
        if environment::moves_cursor() {
            terminal.write(&format!("\x1b[{};1H\x1b[J", self.row));
        }
        terminal.write(&format!("{words}\n"));
    }

    fn switch(&mut self, terminal: &Terminal) {
        self.view = match self.view {
            View::Picture => View::Text,
            View::Text => View::Picture,
        };
        self.draw(terminal);
    }
}

impl Shown<'_> {
    /// Fills the terminal; with the text where there is no room for the picture.
    fn draw(&mut self, terminal: &Terminal) {
        erase(terminal);
        self.row = 1;
        let (columns, rows) = (terminal.columns(), terminal.rows());
        let can = writes_unicode() && environment::moves_cursor();
        let fits = |qr: &Qr, margin: usize| {
            let (wide, high) = qr.size(margin);
            wide <= columns && high + LINES_BELOW <= rows
        };
        if matches!(self.view, View::Picture) {
            let qr = if can { Qr::new(&self.key.parts()) } else { None };
            let margin = |qr: &Qr| MARGINS.into_iter().find(|margin| fits(qr, *margin));
            if let Some((qr, margin)) = qr.and_then(|qr| margin(&qr).map(|margin| (qr, margin))) {
                terminal.write(&qr.draw(margin));
                self.row += qr.size(margin).1;
                return;
            }
            self.view = View::Text;
            self.write(
                terminal,
                "There is no room here for the QR code: make the window larger, then press s.\n\n",
            );
        }
        self.write(terminal, "Give an authenticator app this key, time-based, six digits:\n\n");
        let seed = self.key.seed.expose();
        for start in (0..seed.len()).step_by(SEED_LINE) {
            terminal.write(" ");
            for (at, letter) in seed[start..].char_indices().take(SEED_LINE) {
                terminal.write(if at % 4 == 0 { " " } else { "" });
                terminal.write(letter.encode_utf8(&mut [0; 4]));
            }
            self.write(terminal, "\n");
        }
        self.write(terminal, "\nor this line, for a password manager:\n\n");
        let parts = self.key.parts();
        for part in parts {
            terminal.write(part);
        }
        self.row += parts.map(str::len).iter().sum::<usize>().saturating_sub(1) / columns;
        self.write(terminal, "\n\n");
    }

    /// Words that are narrower than any terminal, and where they end.
    fn write(&mut self, terminal: &Terminal, words: &str) {
        terminal.write(words);
        self.row += words.matches('\n').count();
    }
}

/// What has a meaning in an address is written as `%2B`.
fn escaped(text: &str) -> String {
    let mut escaped = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~@".contains(&byte) {
            escaped.push(char::from(byte));
        } else {
            let _ = write!(escaped, "%{byte:02X}");
        }
    }
    escaped
}

/// The terminal's second screen, which has no history. Where there is none, the lines are erased.
struct Screen {
    terminal: Terminal,
}

impl Screen {
    fn open(mut terminal: Terminal) -> Result<Self, Failure> {
        // From here on a signal ends the question, and the screen is given back.
        terminal
            .take_keys()
            .map_err(|error| Failure::new(Exit::NeedsCode, format!("cannot ask on the terminal: {error}")))?;
        if environment::moves_cursor() {
            terminal.write("\x1b[?1049h");
        } else {
            output::words("this terminal keeps what it shows: clear it afterwards");
        }
        Ok(Self { terminal })
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        erase(&self.terminal);
        if environment::moves_cursor() {
            self.terminal.write("\x1b[?1049l");
        }
    }
}

/// Line by line: to clear the whole screen moves it into the history of some.
fn erase(terminal: &Terminal) {
    if environment::moves_cursor() {
        for row in 1..=terminal.rows() {
            terminal.write(&format!("\x1b[{row};1H\x1b[2K"));
        }
        terminal.write("\x1b[H");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_written_as_apps_read_it() {
        let seed = Secret::new("JBSWY3DPEHPK3PXP".to_owned());
        assert_eq!(
            Key::new("a+b,c=d@e.example", "111122223333", seed).uri().bytes(),
            b"otpauth://totp/AWS:a%2Bb%2Cc%3Dd@e.example@111122223333?secret=JBSWY3DPEHPK3PXP&issuer=AWS"
        );
    }
}
