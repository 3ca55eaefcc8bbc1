//! The shells that `env` speaks to. A family of shells, one file: export, unset, quote, on bytes.

mod fish;
mod posix;

use std::ffi::OsStr;

use crate::failure::{Exit, Failure};
use crate::output::WipedBytes;

/// A family of shells.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Shell {
    /// bash, zsh, dash, ksh: `export K='v'`.
    #[value(aliases = ["sh", "bash", "zsh", "dash", "ksh"])]
    Posix,
    /// fish: `set -gx K 'v'`.
    Fish,
}

/// What every shell served takes for a command that fails.
pub const FAILS: &[u8] = b"false\n";

impl Shell {
    /// The shell of a program's name, as the parent process has it. A shell that would stumble over what we
    /// print is an error; any other program runs us for a POSIX shell, as `sh -c` and make do.
    pub fn of_program(program: Option<&[u8]>) -> Result<Self, Failure> {
        match program {
            Some(b"fish") => Ok(Self::Fish),
            Some(b"csh" | b"tcsh" | b"pwsh" | b"nu" | b"elvish" | b"xonsh") => {
                let program = String::from_utf8_lossy(program.unwrap_or_default()).into_owned();
                Err(Failure::new(Exit::Usage, format!("{program} is not among the shells served"))
                    .hint("--shell posix or --shell fish"))
            }
            _ => Ok(Self::Posix),
        }
    }

    /// Adds the statement that sets and exports the variable. The value has no NUL, as no variable can.
    pub fn export(self, script: &mut WipedBytes, name: &str, value: &[u8]) {
        match self {
            Self::Posix => posix::export(script, name, value),
            Self::Fish => fish::export(script, name, value),
        }
    }

    /// Adds the statement that sets a variable of the shell's own.
    pub fn set(self, script: &mut WipedBytes, name: &str, value: &[u8]) {
        match self {
            Self::Posix => posix::set(script, name, value),
            Self::Fish => fish::set(script, name, value),
        }
    }

    /// Adds the text as one word.
    pub fn quote(self, script: &mut WipedBytes, text: &[u8]) {
        match self {
            Self::Posix => posix::quote(script, text),
            Self::Fish => fish::quote(script, text),
        }
    }

    /// Adds the statement that removes the variable. It succeeds where there is none.
    pub fn unset(self, script: &mut WipedBytes, name: &str) {
        match self {
            Self::Posix => posix::unset(script, name),
            Self::Fish => fish::unset(script, name),
        }
    }

    /// The line that runs `env` in this shell.
    pub fn evaluation(self, arguments: &str) -> String {
        match self {
            Self::Posix => format!("eval \"$(mfa-agent env{arguments})\""),
            Self::Fish => format!("mfa-agent env{arguments} | source"),
        }
    }
}

/// A word as a person types it: quoted only where it must be. For hints.
pub fn word(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:@%+=,".contains(c);
    if !text.is_empty() && text.chars().all(plain) {
        return text.to_owned();
    }
    let mut quoted = WipedBytes::with_capacity(text.len() + 8);
    posix::quote(&mut quoted, text.as_bytes());
    String::from_utf8_lossy(quoted.bytes()).into_owned()
}

/// Whether a shell takes this for a variable's name.
pub fn is_name(name: &str) -> bool {
    let mut bytes = name.bytes();
    bytes.next().is_some_and(|first| first.is_ascii_alphabetic() || first == b'_')
        && bytes.all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

/// The bytes of a text of the system's.
pub fn bytes(text: &OsStr) -> &[u8] {
    text.as_encoded_bytes()
}

/// Puts `text` between single quotes, each byte that `escape` names replaced by what it says.
fn quote_with(script: &mut WipedBytes, text: &[u8], escape: impl Fn(u8) -> Option<&'static [u8]>) {
    script.push(b"'");
    let mut plain = 0;
    for (at, &byte) in text.iter().enumerate() {
        if let Some(escaped) = escape(byte) {
            script.push(&text[plain..at]);
            script.push(escaped);
            plain = at + 1;
        }
    }
    script.push(&text[plain..]);
    script.push(b"'");
}

#[cfg(test)]
mod tests;
