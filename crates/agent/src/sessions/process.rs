//! A code without a person: the profile's `mfa_process`, aws-vault's setting, is a command that prints one; else the
//! device's seed is in the keyring, where the profile says so. Either is asked once for all who wait, as a person would
//! be, and before anybody is asked on a terminal.

use std::fmt;

use std::sync::Arc;
use std::time::Duration;

use protocol::{Ask, ProcessFailure, ProcessProblem, Refusal, Secret, SeedFailure, SeedProblem};

use super::{Claim, From, Lasting, Sessions, Wanted};
use crate::child::{Child, Finished, Trouble};
use crate::clock::Now;
use crate::codes;
use crate::journal::Peer;
use crate::keyring::Unlock;
use crate::profile::ForeignCommand;
use crate::sessions::resolve::Resolved;
use crate::totp::Seed;

/// How long the command may take: a person may have to touch a key.
const LIMIT: Duration = Duration::from_secs(30);

/// How much it may write, in bytes.
const MOST_OUTPUT: usize = 64 * 1024;

/// How long a command that failed is left alone by clients behind which no person waits, in seconds: programs
/// try again by themselves, and a wrong code is not to be sent again and again.
const REST_SECONDS: u64 = 30;

/// What gives codes without a person.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Source {
    /// The `mfa_process` of this section.
    Process(String),
    /// The seed of this device, in the keyring.
    Seed(String),
}

impl fmt::Display for Source {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Process(section) => write!(formatter, "mfa_process of {section}"),
            Self::Seed(serial) => write!(formatter, "seed of {serial}"),
        }
    }
}

impl Source {
    fn wrong_code(&self, program: Option<String>) -> Refusal {
        self.failed(program, ProcessProblem::WrongCode, SeedProblem::WrongCode)
    }

    fn used_code(&self, program: Option<String>) -> Refusal {
        self.failed(program, ProcessProblem::UsedCode, SeedProblem::UsedCode)
    }

    fn failed(&self, program: Option<String>, process: ProcessProblem, seed: SeedProblem) -> Refusal {
        match self.clone() {
            Self::Process(section) => {
                Refusal::MfaProcess(ProcessFailure { section, program, problem: process })
            }
            Self::Seed(serial) => Refusal::Seed(SeedFailure { serial, problem: seed }),
        }
    }
}

impl Resolved {
    /// What gives the profile's codes without a person.
    pub(super) fn source(&self) -> Option<Source> {
        let seed = self.plan.keyring_seed.then(|| Source::Seed(self.serial.clone()));
        self.plan.mfa_process.clone().map(Source::Process).or(seed)
    }
}

impl Sessions {
    /// Asks the profile's source of codes for all who wait for a session. False where there is none, where it
    /// is not to be asked now, or where somebody is being asked.
    pub(super) fn start_source(
        self: &Arc<Self>,
        resolved: &Resolved,
        ask: Ask,
        wanted: Wanted,
        lasting: Lasting,
    ) -> bool {
        let root = &resolved.root;
        if let Wanted::Unlocked = wanted {
            // A program proves nothing of the person.
            return false;
        }
        let Some(source) = resolved.source() else { return false };
        if ask != Ask::Person && self.no_code(resolved).is_some() {
            return false;
        }
        let Some(place) = self.questions.ask_as_agent(root) else { return false };
        let (sessions, resolved) = (self.clone(), resolved.clone());
        let person = matches!(ask, Ask::Person | Ask::PersonUnlessAsked);
        let claim = Claim { place, root: root.clone(), wanted };
        tokio::spawn(async move {
            let outcome = async {
                if person {
                    sessions.unlock_key(&resolved).await?;
                }
                let unlock = if person { Unlock::Ask } else { Unlock::Never };
                sessions.log_in_by_source(&resolved, &source, unlock, lasting, &claim, true).await
            };
            let outcome = outcome.await;
            let event = match &outcome {
                Ok(true) => "a new session",
                Ok(false) => "not needed any more",
                Err(Refusal::MfaProcess(_) | Refusal::Seed(_)) => "no code",
                Err(_) => "a code, but no session",
            };
            let now = Now::read();
            let mut state = sessions.state();
            state.journal.note(now, &Peer::default(), format!("{source}: {event}"));
            if let Err(refusal) = outcome {
                if matches!(refusal, Refusal::MfaProcess(_) | Refusal::Seed(_)) {
                    state.no_code.insert(source, (refusal.clone(), now.boot + REST_SECONDS));
                }
                drop(state);
                claim.place.give_up(refusal);
            }
        });
        true
    }

    /// Why the profile's source of codes gave none, if that was just now.
    pub(super) fn no_code(&self, resolved: &Resolved) -> Option<Refusal> {
        let mut state = self.state();
        let now = Now::read();
        state.no_code.retain(|_, (_, until)| *until > now.boot);
        let (refusal, _) = state.no_code.get(&resolved.source()?)?;
        Some(refusal.clone())
    }

    /// Opens a session with a code of the source. False where it came from elsewhere, or where it is
    /// `for_clients` and none waits for it any more.
    pub(super) async fn log_in_by_source(
        &self,
        resolved: &Resolved,
        source: &Source,
        unlock: Unlock,
        lasting: Lasting,
        claim: &Claim,
        for_clients: bool,
    ) -> Result<bool, Refusal> {
        let mut wait = Duration::ZERO;
        let mut clock_was_read = false;
        loop {
            let code = async {
                tokio::time::sleep(wait).await;
                match source {
                    Source::Process(section) => self.code_of_process(section).await,
                    Source::Seed(serial) => Ok((self.code_of_seed(resolved, serial, unlock).await?, None)),
                }
            };
            // The command is ended with the wait for it. The call to AWS is not: its code is spent.
            let (code, program) = tokio::select! {
                code = code => code?,
                () = self.answered(claim) => return Ok(false),
                () = claim.place.deserted(), if for_clients => return Ok(false),
            };
            let skew = self.aws.skew().unwrap_or(0);
            match self.login_with(Some(&resolved.plan.profile), &code, lasting, From::Program).await {
                // The device's next one comes soon, and is asked for once.
                Err(Refusal::UsedCode { wait_seconds, .. }) if wait.is_zero() => {
                    wait = Duration::from_secs(wait_seconds + 1);
                }
                Err(Refusal::UsedCode { .. }) => return Err(source.used_code(program)),
                // The answer told AWS's time, by which the seed gives another code.
                Err(Refusal::WrongCode { .. })
                    if matches!(source, Source::Seed(_))
                        && !std::mem::replace(&mut clock_was_read, true)
                        && self.aws.skew().unwrap_or(0).abs_diff(skew) >= codes::STEP_SECONDS => {}
                Err(Refusal::WrongCode { .. }) => return Err(source.wrong_code(program)),
                other => return other.map(|_| true),
            }
        }
    }

    /// The device's code of this moment, by AWS's clock as far as that is known.
    async fn code_of_seed(
        &self,
        resolved: &Resolved,
        serial: &str,
        unlock: Unlock,
    ) -> Result<Secret, Refusal> {
        let failed = |problem| Refusal::Seed(SeedFailure { serial: serial.to_owned(), problem });
        // They name the endpoint, too, that the code goes to.
        if let Some(file) = resolved.files.exposed() {
            return Err(failed(SeedProblem::NotYoursAlone { file }));
        }
        let text = self.open_seed(serial, unlock).await.map_err(|it| failed(SeedProblem::Keyring(it)))?;
        let seed = Seed::parse(&text).map_err(|_| failed(SeedProblem::NoSeed))?;
        Ok(seed.code(Now::read().wall.saturating_add_signed(self.aws.skew().unwrap_or(0))))
    }

    /// Runs the command, as aws-vault does: by `/bin/sh -c`, its output without the space around it. Returns the
    /// code, and the command's first word.
    pub(super) async fn code_of_process(&self, section: &str) -> Result<(Secret, Option<String>), Refusal> {
        let found = self.files().await?.open_mfa_process(section).await?;
        // Taken out of the file since it was looked for.
        let Some(ForeignCommand { command, exposed }) = found else { return Err(Refusal::Internal) };
        let program = first_word(command.expose());
        let failed = |problem| {
            let program = program.clone();
            Refusal::MfaProcess(ProcessFailure { section: section.to_owned(), program, problem })
        };
        if let Some(file) = exposed {
            return Err(failed(ProcessProblem::NotYoursAlone { file }));
        }
        let environment = &self.environment().of_children;
        let child = Child::start("/bin/sh", ["-c", command.expose()], environment, false)
            .map_err(|error| failed(ProcessProblem::NotStarted { detail: error.to_string() }))?;
        let finished = child.finish(LIMIT, MOST_OUTPUT).await.map_err(|trouble| {
            failed(match trouble {
                Trouble::Io(error) => ProcessProblem::NotStarted { detail: error.to_string() },
                Trouble::TimedOut => ProcessProblem::TimedOut { seconds: LIMIT.as_secs() },
                Trouble::TooMuch => ProcessProblem::NoCode,
            })
        })?;
        code_of(&finished).map(|code| (code, program.clone())).map_err(failed)
    }
}

fn code_of(finished: &Finished) -> Result<Secret, ProcessProblem> {
    match finished.status.code() {
        Some(0) => {}
        Some(status) => return Err(ProcessProblem::Failed { status }),
        None => return Err(ProcessProblem::Killed),
    }
    let text = std::str::from_utf8(finished.output.trim_ascii()).map_err(|_| ProcessProblem::NoCode)?;
    // Before it is copied: whatever else it printed is none of ours.
    if text.len() > protocol::CODE_DIGITS {
        return Err(ProcessProblem::NoCode);
    }
    let code = Secret::new(text.to_owned());
    if codes::is_code(&code) { Ok(code) } else { Err(ProcessProblem::NoCode) }
}

/// The name of the program that a command runs first, to be told to people. The command's other words may be a
/// device's seed, and so may be what a variable is set to before it.
fn first_word(command: &str) -> Option<String> {
    let plain = |c: char| c.is_alphanumeric() || "/._+-~=".contains(c);
    for word in command.split_whitespace() {
        if !word.chars().all(plain) || word.len() > 128 {
            return None;
        }
        if !word.contains('=') {
            return word.rsplit('/').next().filter(|name| !name.is_empty()).map(str::to_owned);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_word_and_nothing_more() {
        assert_eq!(first_word("op item get aws --otp").as_deref(), Some("op"));
        assert_eq!(first_word("/usr/bin/oathtool --totp -b SEED").as_deref(), Some("oathtool"));
        assert_eq!(first_word("STORE=/x/SEED pass otp aws").as_deref(), Some("pass"));
        for hidden in ["", "SEED=x", "\"SEED x\" y", "(SEED)", "echo;SEED", "$(SEED)", "x='a SEED b' y"] {
            let word = first_word(hidden);
            assert!(word.as_deref().is_none_or(|word| !word.contains("SEED")), "{hidden}: {word:?}");
        }
    }
}
