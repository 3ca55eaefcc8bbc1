//! How a command ends badly: an exit status, one line of what failed, and what to do about it.

/// The exit statuses, which scripts rely on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Exit {
    /// Done.
    Done = 0,
    /// Failed, none of those below.
    Failed = 1,
    /// Wrong usage.
    Usage = 2,
    /// An MFA code is needed and nobody can be asked.
    NeedsCode = 3,
    /// AWS refused: wrong or used code, access denied, key invalid or inactive.
    Aws = 4,
    /// Configuration: no such profile, no long-term key, no device, file not parseable.
    Configuration = 5,
    /// The agent: not reachable, will not start, other version.
    Agent = 6,
    /// AWS not reachable, timed out, throttled past the retries.
    Network = 7,
    /// The command of `exec` cannot be executed, as shells say it.
    NotExecutable = 126,
    /// There is no command of that name, as shells say it.
    NotFound = 127,
    /// The person, or a signal, ended the prompt.
    Cancelled = 130,
}

/// Why a command failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// The exit status.
    pub exit: Exit,
    /// What failed, with which thing; empty where the person knows already.
    pub what: String,
    /// The command that mends it, or what else to do; else what goes with the exit status.
    pub hint: Option<String>,
}

impl Failure {
    /// A failure without a hint.
    pub fn new(exit: Exit, what: impl Into<String>) -> Self {
        Self { exit, what: what.into(), hint: None }
    }

    /// What to do about it.
    pub fn what_to_do(&self) -> Option<&str> {
        let general = match self.exit {
            Exit::Done | Exit::Cancelled => return None,
            _ if self.what.is_empty() => return None,
            Exit::Usage => "mfa-agent --help",
            Exit::NeedsCode => "mfa-agent login",
            Exit::Agent => "mfa-agent agent status",
            Exit::Aws | Exit::Configuration | Exit::Network => "mfa-agent agent log",
            // A full disk, a closed pipe: whoever reads this knows better.
            Exit::Failed | Exit::NotExecutable | Exit::NotFound => return self.hint.as_deref(),
        };
        Some(self.hint.as_deref().unwrap_or(general))
    }

    /// The same with a hint.
    #[must_use]
    pub fn hint(self, hint: impl Into<String>) -> Self {
        Self { hint: Some(hint.into()), ..self }
    }

    /// The person cancelled and needs no words.
    pub fn cancelled() -> Self {
        Self::new(Exit::Cancelled, String::new())
    }
}
