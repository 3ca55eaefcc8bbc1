//! The names of AWS accounts, as people know them. IAM is asked once for each account, shortly before people are told of
//! a session there for the first time, so that a login costs no further call and nobody waits for it.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::Sessions;
use crate::clock::Now;
use crate::endpoint::Endpoint;
use crate::environment::Service;
use crate::notify::Ending;
use crate::sts::CallError;

/// How long before a notification its account's name is asked for, in seconds.
pub const AHEAD_SECONDS: u64 = 30;

/// How long to leave IAM alone that did not answer, in seconds.
const RETRY_SECONDS: u64 = 10 * 60;

/// What is known of accounts' names.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Aliases(BTreeMap<String, Alias>);

#[derive(Debug, Serialize, Deserialize)]
enum Alias {
    /// IAM said so.
    Is(String),
    /// There is none, or IAM does not tell this person.
    None,
    /// It is being asked, or did not answer; not again before then, by the boot-time clock.
    NotBefore(u64),
}

impl Aliases {
    /// The name of an account, where it is known.
    pub fn of(&self, account: &str) -> Option<&str> {
        match self.0.get(account)? {
            Alias::Is(alias) => Some(alias),
            Alias::None | Alias::NotBefore(_) => None,
        }
    }

    /// Whether nobody needs to ask for an account's name any more.
    pub fn settles(&self, account: &str) -> bool {
        matches!(self.0.get(account), Some(Alias::Is(_) | Alias::None))
    }

    /// Whether an account's name is to be asked for now. Who is told so asks.
    pub fn is_to_be_asked(&mut self, account: &str, now: Now) -> bool {
        let asks = match self.0.get(account) {
            None => true,
            Some(Alias::NotBefore(at)) => *at <= now.boot,
            Some(Alias::Is(_) | Alias::None) => false,
        };
        if asks {
            self.0.insert(account.to_owned(), Alias::NotBefore(now.boot + RETRY_SECONDS));
        }
        asks
    }
}

impl Sessions {
    /// Asks for the name of the account that a session is in. Whatever goes wrong, there is no name.
    pub(super) async fn learn_alias(self: Arc<Self>, session: Ending) {
        let (Some(account), Some(profile)) = (session.account, session.profiles.first()) else { return };
        let Ok(resolved) = self.resolve(Some(profile)).await else { return };
        let target = &resolved.plan.user;
        let endpoint = Endpoint::new(
            &self.environment,
            Service::Iam,
            &target.profile,
            &target.target,
            resolved.partition,
        );
        let Ok(endpoint) = endpoint else { return };
        // What another server than AWS gave out goes to that one alone; nor is a file meanwhile about another session.
        if endpoint.url.is_some() != resolved.sts.url.is_some() || resolved.root != session.key {
            return;
        }
        if self.is_locked() {
            return;
        }
        let Some(signer) = self.signer(&session.key, profile) else { return };
        let alias = match self.aws.account_alias(&endpoint, &signer).await {
            Ok(Some(alias)) => Alias::Is(alias),
            Ok(None) => Alias::None,
            Err(CallError::Aws { code, .. }) if code.starts_with("AccessDenied") => Alias::None,
            // Asked again later.
            Err(_) => return,
        };
        self.state().aliases.0.insert(account, alias);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(boot: u64) -> Now {
        Now { wall: 1_800_000_000, boot }
    }

    #[test]
    fn an_account_is_asked_about_once_and_again_where_nobody_answered() {
        let mut aliases = Aliases::default();
        assert!(aliases.is_to_be_asked("111122223333", at(100)));
        assert!(!aliases.is_to_be_asked("111122223333", at(100 + RETRY_SECONDS - 1)));
        assert_eq!(aliases.of("111122223333"), None);
        assert!(aliases.is_to_be_asked("111122223333", at(100 + RETRY_SECONDS)));
        for (answer, expected) in [(Alias::None, None), (Alias::Is("company".to_owned()), Some("company"))] {
            aliases.0.insert("111122223333".to_owned(), answer);
            assert_eq!(aliases.of("111122223333"), expected);
            assert!(aliases.settles("111122223333"));
            assert!(!aliases.is_to_be_asked("111122223333", at(1_000_000)));
        }
    }
}
