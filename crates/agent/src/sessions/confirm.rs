//! The person's consent before credentials are given out, where the configuration wants it. No is what is
//! answered wherever nobody says yes.

use std::collections::VecDeque;
use std::pin::pin;
use std::time::Duration;

use protocol::role::shown;
use protocol::{NamedRole, NoConsent, Refusal};
use serde::{Deserialize, Serialize};

use super::{DESKTOP, Sessions};
use crate::child::Trouble;
use crate::clock::{Deadline, Now};
use crate::configuration::Configuration;
use crate::journal::Peer;
use crate::platform::{self, Process};
use crate::prompter::{self, Answer, Dialog, Wanted, plain};

/// How long a person may take to say yes.
const LIMIT: Duration = Duration::from_mins(1);

/// How long a yes counts for the programs of the same terminal, in seconds.
const YES_SECONDS: u64 = 10 * 60;

/// How long a no does: a program with twenty workers is told it twenty times, and asks once.
const NO_SECONDS: u64 = 30;

/// How many answers are remembered.
const ANSWERS: usize = 256;

/// What the person said, latest last.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Consents(VecDeque<Consent>);

#[derive(Debug, Serialize, Deserialize)]
struct Consent {
    #[serde(rename = "terminal")]
    asker: Asker,
    profile: String,
    yes: bool,
    until: Deadline,
}

/// Whom a yes is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
enum Asker {
    /// A session of processes: a terminal, and everything started in it.
    Terminal(Process),
    /// Whoever asks by the socket of a grant. Not the terminal that the connection is forwarded in: what is typed
    /// there says nothing of the other host.
    Grant {
        /// Its number.
        grant: u64,
    },
}

impl Asker {
    fn of(peer: &Peer) -> Option<Self> {
        match peer.grant {
            Some(grant) => Some(Self::Grant { grant }),
            None => peer.pid.and_then(platform::session_of).map(Self::Terminal),
        }
    }
}

impl Consents {
    /// What the person said of this lately, if anything.
    fn answer(&self, asker: Asker, profile: &str, now: Now) -> Option<bool> {
        let known = self.of(asker, profile)?;
        (known.until.left(now) > 0).then_some(known.yes)
    }

    /// Whether the person said yes to this last, however long ago: what was given then may be kept up to date.
    fn has_said_yes(&self, asker: Asker, profile: &str) -> bool {
        self.of(asker, profile).is_some_and(|known| known.yes)
    }

    fn of(&self, asker: Asker, profile: &str) -> Option<&Consent> {
        self.0.iter().find(|known| known.asker == asker && known.profile == profile)
    }

    fn remember(&mut self, asker: Asker, profile: &str, yes: bool, now: Now) {
        self.0.retain(|known| !(known.asker == asker && known.profile == profile));
        if self.0.len() == ANSWERS {
            self.0.pop_front();
        }
        let until = Deadline::after(now, if yes { YES_SECONDS } else { NO_SECONDS });
        self.0.push_back(Consent { asker, profile: profile.to_owned(), yes, until });
    }

    /// Asks again from here on.
    pub fn forget(&mut self) {
        self.0.clear();
    }
}

impl Sessions {
    /// Waits until the person allows a profile's credentials to a program, where that is wanted and was not done.
    pub(super) async fn confirm(&self, profile: &str, peer: &Peer) -> Result<(), Refusal> {
        if !self.configuration()?.confirm(profile) {
            return Ok(());
        }
        if self.has_confirmed(profile, peer) {
            return Ok(());
        }
        let refused = |why| Err(Refusal::NotConfirmed { profile: profile.to_owned(), why });
        let asker = Asker::of(peer);
        // One dialog at a time: who comes second may find the answer there.
        let _alone = self.turnstile.enter(DESKTOP.to_owned()).await;
        if let Some(asker) = asker
            && let Some(yes) = self.state().consents.answer(asker, profile, Now::read())
        {
            return if yes { Ok(()) } else { refused(NoConsent::Denied) };
        }
        let configuration = self.configuration()?;
        let dialog = dialog(profile, peer);
        let answer = tokio::select! {
            answer = self.ask_for_consent(&dialog, configuration.prompter(profile)) => answer,
            () = self.locked() => return Err(Refusal::Locked),
            // The next process asks, if the client comes again.
            () = self.desktop.interrupted() => return Err(Refusal::Restarting),
        };
        let why = match answer {
            Ok(Answer::Allowed) => None,
            Ok(Answer::TimedOut) => Some(NoConsent::Unanswered),
            Ok(_) => Some(NoConsent::Denied),
            Err(_) => Some(NoConsent::NobodyToAsk),
        };
        // Locked in this very moment: the yes was to something else.
        self.refuse_if_locked()?;
        let now = Now::read();
        let mut state = self.state();
        if let Some(asker) = asker {
            state.consents.remember(asker, profile, why.is_none(), now);
        }
        let Some(why) = why else {
            state.journal.note(now, peer, format!("credentials of {profile}: allowed by the person"));
            return Ok(());
        };
        refused(why)
    }

    /// Asks by a notification with buttons, else by a dialog.
    async fn ask_for_consent(&self, dialog: &Dialog, prompter: Option<&str>) -> Result<Answer, Trouble> {
        if let Some(answer) = self.desktop.ask(dialog, LIMIT).await {
            return Ok(answer);
        }
        let environment = &self.environment.of_children;
        prompter::ask(&prompter::find(prompter, environment), dialog, environment, LIMIT).await
    }

    /// Resolves once nothing is given out.
    async fn locked(&self) {
        loop {
            let mut change = pin!(self.questions.change());
            change.as_mut().enable();
            if self.is_locked() {
                return;
            }
            change.await;
        }
    }

    /// Whether a yes counts for this program still.
    fn has_confirmed(&self, profile: &str, peer: &Peer) -> bool {
        let answer = |asker| self.state().consents.answer(asker, profile, Now::read());
        Asker::of(peer).and_then(answer) == Some(true)
    }

    /// Whether a profile's credentials may be given to a program without a question.
    pub(super) fn may_give_unasked(&self, configuration: &Configuration, profile: &str, peer: &Peer) -> bool {
        !configuration.confirm(profile) || self.has_confirmed(profile, peer)
    }

    /// A person typed a code for a profile, there where this program runs: that is consent.
    pub async fn consent(&self, profile: Option<&str>, peer: &Peer) {
        let Some(asker) = Asker::of(peer) else { return };
        let (Ok(configuration), Ok(files)) = (self.configuration(), self.files().await) else { return };
        if let Ok(profile) = self.meant(&files, profile)
            && configuration.confirm(&profile)
        {
            self.state().consents.remember(asker, &profile, true, Now::read());
        }
    }

    /// Whether a shell may be kept up to date that was allowed a profile's credentials before.
    pub fn may_keep(&self, profile: &str, peer: &Peer) -> Result<(), Refusal> {
        if !self.configuration()?.confirm(profile) {
            return Ok(());
        }
        let asker = Asker::of(peer);
        match asker {
            Some(asker) if self.state().consents.has_said_yes(asker, profile) => Ok(()),
            _ => Err(Refusal::NotConfirmed { profile: profile.to_owned(), why: NoConsent::NotAsked }),
        }
    }
}

fn dialog(profile: &str, peer: &Peer) -> Dialog {
    let name = |program: Option<&str>, pid: u32| format!("{} ({pid})", plain(program.unwrap_or("?")));
    let whose = match NamedRole::of(profile) {
        Some(NamedRole { source, arn }) => {
            format!("{arn}, by AWS profile {}", plain(source.unwrap_or_default()))
        }
        None => format!("AWS profile {}", plain(profile)),
    };
    let mut about = vec![format!("Give the credentials of {whose} to a program?")];
    if let Some(number) = peer.grant {
        about.push(format!("It asks by the socket of grant {number}, from another host or a container."));
    }
    if let Some(pid) = peer.pid {
        let parent = platform::parent_of(pid)
            .map(|parent| format!(", started by {}", name(platform::program_of(parent).as_deref(), parent)));
        let program = name(peer.program.as_deref(), pid);
        about.push(format!("It is {program}{}.", parent.unwrap_or_default()));
        let whom = if peer.grant.is_some() { "the grant" } else { "its terminal" };
        about.push(format!("A yes counts for {whom}, for 10 minutes."));
    }
    Dialog {
        title: format!("Credentials of {}", plain(&shown(profile))),
        about,
        note: None,
        wanted: Wanted::Consent,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Now = Now { wall: 1_800_000_000, boot: 5_000 };

    fn later(seconds: u64) -> Now {
        Now { wall: START.wall + seconds, boot: START.boot + seconds }
    }

    fn terminal(number: u32) -> Asker {
        Asker::Terminal(Process { pid: number, started: 1 })
    }

    #[test]
    fn a_yes_is_for_one_terminal_and_one_profile_and_ten_minutes() {
        let mut consents = Consents::default();
        consents.remember(terminal(1), "dev", true, START);
        assert_eq!(consents.answer(terminal(1), "dev", later(599)), Some(true));
        assert_eq!(consents.answer(terminal(1), "dev", later(600)), None);
        assert!(consents.has_said_yes(terminal(1), "dev"));
        assert_eq!(consents.answer(terminal(1), "prod", START), None);
        assert_eq!(consents.answer(terminal(2), "dev", START), None);
        let same_number = Asker::Terminal(Process { pid: 1, started: 2 });
        assert_eq!(consents.answer(same_number, "dev", START), None);
        consents.forget();
        assert!(!consents.has_said_yes(terminal(1), "dev"));
    }

    #[test]
    fn a_grant_is_asked_about_by_itself() {
        let peer = Peer { pid: Some(std::process::id()), program: None, grant: Some(3) };
        assert_eq!(Asker::of(&peer), Some(Asker::Grant { grant: 3 }));
        let mut consents = Consents::default();
        consents.remember(Asker::Grant { grant: 3 }, "dev", true, START);
        let kept: Consents = serde_json::from_slice(&serde_json::to_vec(&consents).unwrap()).unwrap();
        assert_eq!(kept.answer(Asker::Grant { grant: 3 }, "dev", START), Some(true));
        assert_eq!(kept.answer(Asker::Grant { grant: 4 }, "dev", START), None);
        assert_eq!(kept.answer(terminal(3), "dev", START), None);
        let about = dialog("dev", &peer).about.join("\n");
        assert!(about.contains("grant 3, from another host") && about.contains("for the grant"), "{about}");
    }

    #[test]
    fn a_no_takes_a_yes_back_and_is_soon_forgotten() {
        let mut consents = Consents::default();
        consents.remember(terminal(1), "dev", true, START);
        consents.remember(terminal(1), "dev", false, START);
        assert_eq!(consents.answer(terminal(1), "dev", later(29)), Some(false));
        assert_eq!(consents.answer(terminal(1), "dev", later(30)), None);
        assert!(!consents.has_said_yes(terminal(1), "dev"));
        for number in 0..1_000 {
            consents.remember(terminal(number), "dev", true, START);
        }
        assert_eq!(consents.0.len(), ANSWERS);
    }
}
