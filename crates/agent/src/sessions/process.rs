//! A code without a person: the profile's `mfa_process`, aws-vault's setting, is a command that prints one. It
//! is run once for all who wait, as a person would be asked once, and before anybody is asked on a terminal.

use std::sync::Arc;
use std::time::Duration;

use protocol::{Ask, ProcessFailure, ProcessProblem, Refusal, Secret};

use super::{Claim, From, Lasting, Sessions, Wanted};
use crate::child::{Child, Finished, Trouble};
use crate::clock::Now;
use crate::codes;
use crate::journal::Peer;
use crate::profile::ForeignCommand;
use crate::sessions::resolve::Resolved;

/// How long the command may take: a person may have to touch a key.
const LIMIT: Duration = Duration::from_secs(30);

/// How much it may write, in bytes.
const MOST_OUTPUT: usize = 64 * 1024;

/// How long a command that failed is left alone by clients behind which no person waits, in seconds: programs
/// try again by themselves, and a wrong code is not to be sent again and again.
const REST_SECONDS: u64 = 30;

impl Sessions {
    /// Starts the profile's `mfa_process` for all who wait for a session. False where there is none, where it
    /// is not to be run now, or where somebody is being asked.
    pub(super) fn start_process(
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
        let Some(section) = resolved.plan.mfa_process.clone() else { return false };
        if ask != Ask::Person && self.process_failure(resolved).is_some() {
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
                let profile = &resolved.plan.profile;
                sessions.log_in_by_process(profile, &section, lasting, &claim, true).await
            };
            let outcome = outcome.await;
            let event = match &outcome {
                Ok(true) => "a new session",
                Ok(false) => "not needed any more",
                Err(Refusal::MfaProcess(_)) => "no code",
                Err(_) => "a code, but no session",
            };
            let now = Now::read();
            let mut state = sessions.state();
            state.journal.note(now, &Peer::default(), format!("mfa_process of {section}: {event}"));
            if let Err(refusal) = outcome {
                if let Refusal::MfaProcess(failure) = &refusal {
                    state.process_failed.insert(section, (failure.clone(), now.boot + REST_SECONDS));
                }
                drop(state);
                claim.place.give_up(refusal);
            }
        });
        true
    }

    /// Why the last run of the profile's command came to nothing, if that was just now.
    pub(super) fn process_failure(&self, resolved: &Resolved) -> Option<ProcessFailure> {
        let mut state = self.state();
        let now = Now::read();
        state.process_failed.retain(|_, (_, until)| *until > now.boot);
        let (failure, _) = state.process_failed.get(resolved.plan.mfa_process.as_ref()?)?;
        Some(failure.clone())
    }

    /// Opens a session with a code of the command. False where it came from elsewhere, or where it is
    /// `for_clients` and none waits for it any more.
    pub(super) async fn log_in_by_process(
        &self,
        profile: &str,
        section: &str,
        lasting: Lasting,
        claim: &Claim,
        for_clients: bool,
    ) -> Result<bool, Refusal> {
        let mut wait = Duration::ZERO;
        loop {
            let code = async {
                tokio::time::sleep(wait).await;
                self.code_of_process(section).await
            };
            // The command is ended with the wait for it. The call to AWS is not: its code is spent.
            let (code, program) = tokio::select! {
                code = code => code?,
                () = self.answered(claim) => return Ok(false),
                () = claim.place.deserted(), if for_clients => return Ok(false),
            };
            let failed = |problem| {
                let program = program.clone();
                Refusal::MfaProcess(ProcessFailure { section: section.to_owned(), program, problem })
            };
            match self.login_with(Some(profile), &code, lasting, From::Program).await {
                // The device's next one comes soon, and is asked for once.
                Err(Refusal::UsedCode { wait_seconds, .. }) if wait.is_zero() => {
                    wait = Duration::from_secs(wait_seconds + 1);
                }
                Err(Refusal::UsedCode { .. }) => return Err(failed(ProcessProblem::UsedCode)),
                Err(Refusal::WrongCode { .. }) => return Err(failed(ProcessProblem::WrongCode)),
                other => return other.map(|_| true),
            }
        }
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
