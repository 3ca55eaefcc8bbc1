//! The shells that `env` speaks to. A family of shells, one file: export, unset, quote, on bytes.

mod dotenv;
mod elvish;
mod fish;
mod json;
mod posix;
mod powershell;
#[cfg(any(test, fuzzing))]
pub mod reader;
mod xonsh;

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
    /// PowerShell: `$env:K = 'v'`.
    #[value(name = "powershell", alias = "pwsh")]
    Pwsh,
    /// Nushell: a record for `load-env`.
    #[value(alias = "nu")]
    Nushell,
    /// elvish: `set-env K "v"`.
    Elvish,
    /// xonsh: `$K = 'v'`.
    Xonsh,
    /// A `.env` file: `K=v`.
    Dotenv,
    /// An object, for programs.
    Json,
}

impl Shell {
    /// The shell of a program's name, as the parent process has it. A shell that would stumble over what we
    /// print is an error; any other program runs us for a POSIX shell, as `sh -c` and make do.
    pub fn of_program(program: Option<&[u8]>) -> Result<Self, Failure> {
        match program {
            Some(b"fish") => Ok(Self::Fish),
            Some(b"pwsh") => Ok(Self::Pwsh),
            Some(b"nu") => Ok(Self::Nushell),
            Some(b"elvish") => Ok(Self::Elvish),
            Some(b"xonsh") => Ok(Self::Xonsh),
            Some(b"csh" | b"tcsh") => {
                let program = String::from_utf8_lossy(program.unwrap_or_default()).into_owned();
                Err(Failure::new(Exit::Usage, format!("{program} is not among the shells served"))
                    .hint("mfa-agent exec PROFILE -- COMMAND works in every shell"))
            }
            _ => Ok(Self::Posix),
        }
    }

    /// The shell of a name as `--shell` takes it.
    pub fn named(name: &str) -> Option<Self> {
        Some(match name {
            "posix" | "sh" | "bash" | "zsh" | "dash" | "ksh" => Self::Posix,
            "fish" => Self::Fish,
            "powershell" | "pwsh" => Self::Pwsh,
            "nushell" | "nu" => Self::Nushell,
            "elvish" => Self::Elvish,
            "xonsh" => Self::Xonsh,
            "dotenv" => Self::Dotenv,
            "json" => Self::Json,
            _ => return None,
        })
    }

    /// What fails where it is evaluated; nothing where programs parse it.
    pub fn fails(self) -> &'static [u8] {
        match self {
            Self::Posix | Self::Fish | Self::Nushell | Self::Elvish => b"false\n",
            Self::Pwsh => powershell::FAILS,
            Self::Xonsh => xonsh::FAILS,
            Self::Dotenv | Self::Json => b"",
        }
    }

    /// Whether a variable can have this value there. It has no NUL, as none can.
    pub fn holds(self, value: &[u8]) -> bool {
        match self {
            Self::Posix | Self::Fish | Self::Elvish | Self::Xonsh => true,
            Self::Pwsh | Self::Nushell | Self::Json => std::str::from_utf8(value).is_ok(),
            Self::Dotenv => dotenv::holds(value),
        }
    }

    /// Adds what comes before all statements.
    pub fn begin(self, script: &mut WipedBytes) {
        if matches!(self, Self::Nushell | Self::Json) {
            json::begin(script);
        }
    }

    /// Adds the statement that sets and exports the variable to a value that this shell [holds](Self::holds).
    pub fn export(self, script: &mut WipedBytes, name: &str, value: &[u8]) {
        match self {
            Self::Posix => posix::export(script, name, value),
            Self::Fish => fish::export(script, name, value),
            Self::Pwsh => powershell::export(script, name, value),
            Self::Nushell | Self::Json => json::export(script, name, value),
            Self::Elvish => elvish::export(script, name, value),
            Self::Xonsh => xonsh::export(script, name, value),
            Self::Dotenv => dotenv::export(script, name, value),
        }
    }

    /// Adds the statement that removes the variable. It succeeds where there is none.
    pub fn unset(self, script: &mut WipedBytes, name: &str) {
        match self {
            Self::Posix => posix::unset(script, name),
            Self::Fish => fish::unset(script, name),
            Self::Pwsh => powershell::unset(script, name),
            Self::Nushell | Self::Json => json::unset(script, name),
            Self::Elvish => elvish::unset(script, name),
            Self::Xonsh => xonsh::unset(script, name),
            Self::Dotenv => {}
        }
    }

    /// Adds what comes after all statements.
    pub fn end(self, script: &mut WipedBytes) {
        if matches!(self, Self::Nushell | Self::Json) {
            json::end(script);
        }
    }

    /// Adds the statement that sets a variable of the shell's own, in the shells that have a hook.
    pub fn set(self, script: &mut WipedBytes, name: &str, value: &[u8]) {
        match self {
            Self::Fish => fish::set(script, name, value),
            _ => posix::set(script, name, value),
        }
    }

    /// Adds the text as one word, in the shells that have a hook.
    pub fn quote(self, script: &mut WipedBytes, text: &[u8]) {
        match self {
            Self::Fish => fish::quote(script, text),
            _ => posix::quote(script, text),
        }
    }

    /// The line that runs `env` in this shell; none where nothing is evaluated.
    pub fn evaluation(self, arguments: &str) -> Option<String> {
        let env = format!("mfa-agent env{arguments}");
        Some(match self {
            Self::Posix => format!("eval \"$({env})\""),
            Self::Fish => format!("{env} | source"),
            Self::Pwsh => format!("{env} | Out-String | Invoke-Expression"),
            Self::Nushell => format!("{env} | from json | load-env"),
            Self::Elvish => format!("eval ({env} | slurp)"),
            Self::Xonsh => format!("execx($({env}))"),
            Self::Dotenv | Self::Json => return None,
        })
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

/// The text of a value that is UTF-8; empty where it is not.
fn utf8(value: &[u8]) -> &str {
    std::str::from_utf8(value).unwrap_or_default()
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
