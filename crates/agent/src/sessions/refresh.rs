//! A new session at the person's wish, away from every terminal: the desktop asks for the code.

use std::sync::Arc;

use protocol::role::shown;
use protocol::{NamedRole, Question, Refusal};

use super::resolve::Resolved;
use super::{Claim, DESKTOP, From, Lasting, Sessions, Wanted};
use crate::clock::Now;
use crate::codes;
use crate::journal::Peer;
use crate::keyring::Unlock;
use crate::prompter::{self, Answer, Dialog, Wanted as Wish, plain};
use crate::vault::SessionKey;

/// How many codes a person may type.
const TRIES: u32 = 3;

/// The longest sentence of AWS's that is shown, in characters.
const LONGEST_SENTENCE: usize = 200;

/// What came of a wish for a new session.
enum Outcome {
    /// There is one.
    Renewed,
    /// It came from elsewhere, or is not wanted any more.
    Withdrawn,
    /// The person does not want to answer.
    Cancelled,
    /// Nobody answered.
    Unanswered,
    /// There is nothing to ask with, and why.
    NoPrompter(String),
}

impl Sessions {
    /// Opens a new session for a profile, with a code of its `mfa_process`, or one that the person is asked for
    /// on the desktop. One question at a time, whoever asks it: where a terminal asks for this session, that is
    /// where it is answered, and while a dialog is open the next one waits. What comes of it is in the log.
    pub async fn refresh(self: Arc<Self>, profile: String) {
        let what = match self.refreshed(&profile).await {
            Ok(Outcome::Renewed) => "a new session".to_owned(),
            Ok(Outcome::Withdrawn) => "not needed any more".to_owned(),
            Ok(Outcome::Cancelled) => "cancelled".to_owned(),
            Ok(Outcome::Unanswered) => "nobody answered".to_owned(),
            Ok(Outcome::NoPrompter(why)) => format!("nothing to ask with: {why}"),
            Err(Refusal::AskedElsewhere { .. }) => "asked elsewhere".to_owned(),
            Err(Refusal::Locked) => "locked".to_owned(),
            Err(_) => "no session".to_owned(),
        };
        let event = format!("refresh of {profile}: {what}");
        self.state().journal.note(Now::read(), &Peer::default(), event);
    }

    async fn refreshed(&self, profile: &str) -> Result<Outcome, Refusal> {
        self.refuse_if_locked()?;
        let resolved = self.resolve(Some(profile)).await?;
        let wanted = Wanted::After(self.number(&resolved.root));
        let asked = || Refusal::AskedElsewhere { profile: profile.to_owned() };
        if self.questions.is_asked(&resolved.root) {
            return Err(asked());
        }
        let _alone = self.turnstile.enter(DESKTOP.to_owned()).await;
        if self.is_there(&resolved.root, wanted)? {
            return Ok(Outcome::Withdrawn);
        }
        let place = self.questions.ask_as_agent(&resolved.root).ok_or_else(asked)?;
        let claim = Claim { place, root: resolved.root.clone(), wanted };
        let _being_renewed = BeingRenewed::new(self, &resolved.root);
        self.unlock_key(&resolved).await?;
        let mut note = None;
        if let Some(source) = resolved.source() {
            match self
                .log_in_by_source(&resolved, &source, Unlock::Ask, Lasting::default(), &claim, false)
                .await
            {
                Ok(true) => return Ok(Outcome::Renewed),
                Ok(false) => return Ok(Outcome::Withdrawn),
                Err(Refusal::MfaProcess(_)) => note = Some(format!("{source} gave no code.")),
                Err(Refusal::Seed(_)) => note = Some(format!("The {source} gave no code.")),
                Err(refusal) => return Err(refusal),
            }
        }
        self.ask_on_desktop(&resolved, &claim, note).await
    }

    async fn ask_on_desktop(
        &self,
        resolved: &Resolved,
        claim: &Claim,
        mut note: Option<String>,
    ) -> Result<Outcome, Refusal> {
        let environment = &self.environment.of_children;
        let configured = resolved.configuration.prompter(&resolved.plan.profile);
        let prompters = prompter::find(configured, environment);
        if prompters.is_empty() {
            let names = configured.unwrap_or("pinentry, zenity and kdialog");
            return Ok(Outcome::NoPrompter(format!("{names} not found")));
        }
        let question = resolved.question(self.state().vault.has_expired(&resolved.root));
        let mut last = None;
        for tries_left in (0..TRIES).rev() {
            let dialog = dialog(&question, note.as_deref());
            let answer = tokio::select! {
                answer = prompter::ask(&prompters, &dialog, environment, prompter::LIMIT) => answer,
                () = self.answered(claim) => return Ok(Outcome::Withdrawn),
            };
            let typed = match answer {
                Ok(Answer::Typed(typed)) if typed.expose().is_empty() => return Ok(Outcome::Cancelled),
                Ok(Answer::Typed(typed)) => typed,
                Ok(Answer::Cancelled | Answer::Allowed) => return Ok(Outcome::Cancelled),
                Ok(Answer::TimedOut) => return Ok(Outcome::Unanswered),
                Err(trouble) => return Ok(Outcome::NoPrompter(trouble.to_string())),
            };
            let code = codes::without_spaces(&typed);
            let profile = Some(resolved.plan.profile.as_str());
            match self.login_with(profile, &code, Lasting::default(), From::Person).await {
                Ok(_) => return Ok(Outcome::Renewed),
                Err(refusal) => {
                    note = Some(words(&refusal, &resolved.plan.profile, tries_left));
                    last = Some(refusal);
                }
            }
        }
        Err(last.unwrap_or(Refusal::Internal))
    }
}

/// A session that the person is renewing: a restart in between tells of it again.
struct BeingRenewed<'a>(&'a Sessions, &'a SessionKey);

impl<'a> BeingRenewed<'a> {
    fn new(sessions: &'a Sessions, root: &'a SessionKey) -> Self {
        sessions.state().being_renewed.insert(root.clone());
        Self(sessions, root)
    }
}

impl Drop for BeingRenewed<'_> {
    fn drop(&mut self) {
        self.0.state().being_renewed.remove(self.1);
    }
}

fn dialog(question: &Question, note: Option<&str>) -> Dialog {
    let Question { profile, serial, role_arn, endpoint, .. } = question;
    let (kind, profile) =
        (if NamedRole::of(profile).is_some() { "role" } else { "profile" }, &shown(profile));
    let account = serial.strip_prefix("arn:").and_then(|arn| arn.split(':').nth(3));
    let line = |name: &str, value: &str| format!("{name} {}", plain(value));
    let mut about = vec![line(&format!("MFA code for AWS {kind}"), profile)];
    about.extend(account.map(|account| line("Account", account)));
    about.push(line("Device", serial));
    about.extend(role_arn.as_ref().map(|role| line("Role", role)));
    about.extend(
        endpoint.as_ref().map(|endpoint| format!("This code goes to {}, which is not AWS.", plain(endpoint))),
    );
    let title = line("MFA code for", profile);
    Dialog { title, about, note: note.map(plain), wanted: Wish::Code }
}

/// What a person with a dialog before him should know of the last code.
fn words(refusal: &Refusal, profile: &str, tries_left: u32) -> String {
    let what = match refusal {
        Refusal::MalformedCode => "A code is six digits.".to_owned(),
        Refusal::WrongCode { .. } => "AWS did not accept that code.".to_owned(),
        Refusal::UsedCode { wait_seconds, .. } => {
            format!("That code was used already. The next one comes in {wait_seconds} s.")
        }
        Refusal::Network { .. } => {
            "AWS did not answer. The code may be used up; take the next one.".to_owned()
        }
        Refusal::Aws { message, .. } => {
            format!("AWS refused: {}", message.chars().take(LONGEST_SENTENCE).collect::<String>())
        }
        _ => format!("That did not work; in a terminal, mfa-agent login {profile} says why."),
    };
    if tries_left == 1 { format!("{what} This is the last try.") } else { what }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dialog_says_what_the_code_is_for_and_commands_nothing() {
        let question = Question {
            profile: "dev\n\u{202e}".to_owned(),
            serial: "arn:aws:iam::111122223333:mfa/alice".to_owned(),
            role_arn: None,
            endpoint: Some("http://127.0.0.1:4566".to_owned()),
            expired: true,
            mfa_process: None,
            seed: None,
        };
        let dialog = dialog(&question, Some("AWS refused:\r"));
        assert_eq!(
            dialog.about,
            [
                "MFA code for AWS profile dev\\n\\u{202e}",
                "Account 111122223333",
                "Device arn:aws:iam::111122223333:mfa/alice",
                "This code goes to http://127.0.0.1:4566, which is not AWS."
            ]
        );
        assert_eq!(dialog.note.as_deref(), Some("AWS refused:\\r"));
    }
}
