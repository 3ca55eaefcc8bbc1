//! Everything that the agent knows.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use protocol::{Refusal, Session};
use serde::{Deserialize, Serialize};

use super::alias::Aliases;
use super::confirm::Consents;
use super::lock::Lock;
use super::process::Source;
use super::recent::Recent;
use super::unused::Uses;
use crate::clock::{Deadline, Now};
use crate::codes::Codes;
use crate::configuration::{Configuration, LockOn, Rules};
use crate::granted::Sockets;
use crate::journal::{Journal, Peer};
use crate::lease::{Leases, Told};
use crate::live::Grants;
use crate::notify::{Notices, Screen};
use crate::platform::Fingerprint;
use crate::profile::ConfigFiles;
use crate::vault::{SessionKey, Vault};

/// Everything that the agent knows, behind one lock that is never held across a call to AWS. A restart hands it
/// over, but for what is of this process or of this moment.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct State {
    #[serde(skip)]
    pub(super) files: Option<Arc<ConfigFiles>>,
    /// What the person configured, and the file that says so, as it was.
    #[serde(skip)]
    pub(super) configuration: Option<(Option<Fingerprint>, Arc<Configuration>)>,
    /// The one device of a key, as IAM named it.
    pub(super) devices: BTreeMap<String, String>,
    /// Whose place a long-term key took, by the ids of both: the sessions of a user go on under the first one's.
    pub(super) successors: BTreeMap<String, String>,
    pub(super) codes: Codes,
    /// What is held.
    pub vault: Vault,
    /// Who asked for what.
    pub journal: Journal,
    /// What shells were told; none at the agent's end.
    pub leases: Option<Leases>,
    /// Why there are no leases, as the log says.
    #[serde(skip)]
    pub(super) no_leases: Option<String>,
    /// Who gets credentials over HTTP.
    pub grants: Grants,
    /// The sockets that give out a few profiles.
    pub sockets: Sockets,
    /// What is done by itself.
    pub(super) rules: Rules,
    /// The numbers of sessions whose end somebody was told of, with how many moments had passed.
    pub(super) told: BTreeSet<(u64, usize)>,
    /// To what the person said yes and no.
    pub(super) consents: Consents,
    /// What gave no code, how, and until when that counts, by the boot-time clock.
    #[serde(skip)]
    pub(super) no_code: BTreeMap<Source, (Refusal, u64)>,
    /// The sessions that a prompt asked for, and nobody answered.
    pub(super) put_off: BTreeSet<SessionKey>,
    /// Profiles whose roles could not be renewed, and when to try again, by the boot-time clock.
    #[serde(skip)]
    pub(super) retry_at: BTreeMap<String, u64>,
    /// How often sessions were forgotten: an answer to a question from before must not bring them back.
    pub(super) forgets: u64,
    /// How many logins are under way: the code is out, and the session not here yet.
    #[serde(skip)]
    pub(super) logins: usize,
    /// Profiles whose role a shell waits for.
    pub(super) wanted: BTreeSet<String>,
    /// Whether something of this is given out.
    pub(super) lock: Lock,
    /// The profiles whose credentials were given out.
    pub recent: Recent,
    /// When sessions were used last.
    pub(super) uses: Uses,
    /// When the watch last looked.
    #[serde(skip)]
    pub(super) looked_at: Option<Now>,
    /// Whom the desktop told of what.
    pub(super) notices: Notices,
    /// The names of accounts.
    pub(super) aliases: Aliases,
    /// The sessions that the person is renewing, after a click.
    pub(super) being_renewed: BTreeSet<SessionKey>,
    /// Nobody is at the desktop; locked then.
    pub(super) idle_until: Option<Deadline>,
    /// Why nothing can be shown on a desktop, as the log says.
    #[serde(skip)]
    pub(super) no_desktop: Option<String>,
    /// Since when there is nothing to be here for; none where there is something.
    #[serde(skip)]
    pub(super) unneeded_since: Option<Now>,
}

impl State {
    /// What locks by itself, for the profiles that are held.
    pub(super) fn lock_on(&self) -> LockOn {
        self.rules.lock_on(&self.vault.profiles())
    }

    /// What is held, for people to see.
    pub fn describe(&mut self, now: Now) -> Vec<Session> {
        let Self { vault, notices, aliases, .. } = self;
        let mut sessions = vault.describe(now, |key| notices.next_of(key, now));
        for session in &mut sessions {
            let alias = session.account.as_deref().and_then(|account| aliases.of(account));
            session.account_alias = alias.map(str::to_owned);
        }
        sessions
    }

    /// What the process before this one had on the screen, and what it was asking for, is told of by this one.
    pub(super) fn show_again(&mut self) -> Option<Screen> {
        let being_renewed = std::mem::take(&mut self.being_renewed);
        self.notices.show_again(&being_renewed)
    }

    /// How many sessions would need a new code if they were lost, those under way included.
    pub fn would_be_lost(&mut self, now: Now) -> usize {
        self.vault.len(now) + self.logins
    }

    /// Ends the granted sockets whose time is up; whether there were some.
    pub(super) fn end_grants(&mut self, now: Now) -> bool {
        let ended = self.sockets.end_expired(now);
        for number in &ended {
            self.journal.note(now, &Peer::default(), format!("grant {number}: its time is up"));
        }
        !ended.is_empty()
    }

    /// Lets go of what is over, and takes back what is no longer true.
    pub(super) fn sync_leases(&mut self, now: Now) {
        if self.would_be_lost(now) == 0 {
            self.lock.dissolve();
        }
        let problem = self.leases.as_ref().and_then(Leases::problem);
        if self.no_leases.as_deref() != problem {
            self.no_leases = problem.map(str::to_owned);
            let event = match &self.no_leases {
                Some(problem) => format!("no leases: {problem}; prompts ask once a minute instead"),
                None => "leases again".to_owned(),
            };
            self.journal.note(now, &Peer::default(), event);
        }
        let Self { vault, leases, rules, told, lock, grants, .. } = self;
        let level =
            |root: &SessionKey| passed(&rules.notify_before(vault.profiles_at(root)), vault.left(root, now));
        told.retain(|(number, _)| vault.may_hold(*number));
        if let Some(leases) = leases {
            leases.keep(|told| match told {
                Told::Ready { number, root, level: told } => {
                    !lock.is_closed() && vault.holds(*number) && *told == level(root)
                }
                Told::Live { grant, number, root, level: told } => {
                    !lock.is_closed() && grants.stands(*grant) && vault.holds(*number) && *told == level(root)
                }
                Told::Ended { missing } => vault.left(missing, now).is_none(),
                Told::Locked => lock.is_closed(),
            });
        }
    }

    /// How many of the moments worth telling have passed for a session.
    pub(super) fn level(&self, root: &SessionKey, now: Now) -> usize {
        passed(&self.rules.notify_before(self.vault.profiles_at(root)), self.vault.left(root, now))
    }
}

/// How many of the spans before its end a session has entered.
pub(super) fn passed(notify_before: &[u32], left: Option<u64>) -> usize {
    let left = left.unwrap_or(0);
    notify_before.iter().filter(|span| left <= u64::from(**span)).count()
}
