//! Live access: programs get a profile's credentials over HTTP on this machine, whenever they need them. Here is
//! who may; `http.rs` is how.

mod http;

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use protocol::{Refusal, Secret};
use ring::rand::{SecureRandom, SystemRandom};
use serde::{Deserialize, Serialize};
use subtle::ConstantTimeEq;
use tokio::net::TcpListener;

use crate::journal::Peer;
use crate::sealed::{Sealed, Sealer};
use crate::vault::SessionKey;

#[cfg(any(test, fuzzing))]
pub use http::answer_to;
pub use http::{LiveCredentials, LiveProblem, serve};

/// How many random bytes a token is made of.
const TOKEN_BYTES: usize = 32;

/// How many grants may stand at once. Each is one process, or one profile.
const MOST_GRANTS: usize = 4_096;

/// How many ended grants are remembered, to tell the programs that still ask.
const MOST_ENDED: usize = 256;

/// The right to get one profile's credentials.
#[derive(Debug, Serialize, Deserialize)]
pub struct Granted {
    /// The profile.
    pub profile: String,
    /// The session that a code opened and that it rests on.
    pub root: SessionKey,
    /// When it was given, in seconds since the epoch.
    pub since: u64,
    /// The process that it ends with; none where shells share it.
    pub process: Option<Peer>,
    /// It was ended by `logout`. Who still asks is told so, and gets nothing ever again.
    pub ended: bool,
    /// What it came to when it was last used: the log names changes alone.
    pub last: Option<String>,
    /// Why its role could not be had, and until when that is not tried again, by the boot-time clock.
    pub failed: Option<(u64, Refusal)>,
    token: Sealed,
}

/// All grants, and the socket that they are served on.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Grants {
    #[serde(skip)]
    listener: Option<(Arc<TcpListener>, SocketAddr)>,
    counter: u64,
    granted: BTreeMap<u64, Granted>,
    /// The profiles whose shells had live access until the person ended it.
    revoked: BTreeSet<String>,
}

/// Where a grant is served, and the token that opens it.
#[derive(Debug)]
pub struct Key {
    /// Its number.
    pub number: u64,
    /// `http://127.0.0.1:PORT/…`
    pub uri: String,
    /// What must stand in `Authorization`.
    pub token: Secret,
}

impl Grants {
    /// Grants access: the one that the profile's shells share, or one that ends with a process. Opens the socket
    /// where none is open. Needs the event loop.
    pub fn grant(
        &mut self,
        profile: &str,
        root: &SessionKey,
        process: Option<Peer>,
        now: u64,
        sealer: &Sealer,
    ) -> io::Result<Key> {
        let address = self.listen()?;
        let standing = self.shared(profile).map(|(number, _)| number).filter(|_| process.is_none());
        let number = if let Some(number) = standing {
            number
        } else {
            if self.granted.len() >= MOST_GRANTS {
                return Err(io::Error::other(format!("{MOST_GRANTS} are the most")));
            }
            let number = self.next_number();
            let granted = Granted {
                profile: profile.to_owned(),
                root: root.clone(),
                since: now,
                process,
                ended: false,
                last: None,
                failed: None,
                token: sealer.seal(&random_token()?),
            };
            self.granted.insert(number, granted);
            number
        };
        if let Some(granted) = self.granted.get_mut(&number) {
            // The profile may rest on another session than it did.
            granted.root = root.clone();
            if granted.process.is_none() {
                self.revoked.remove(profile);
            }
            let token = sealer.open(&granted.token).ok_or(io::ErrorKind::InvalidData)?;
            return Ok(Key { number, uri: format!("http://{address}{}", path(number)), token });
        }
        Err(io::ErrorKind::NotFound.into())
    }

    /// A number that no grant of any kind has had.
    pub fn next_number(&mut self) -> u64 {
        self.counter += 1;
        self.counter
    }

    /// The standing grant that a profile's shells share.
    pub fn shared(&self, profile: &str) -> Option<(u64, &Granted)> {
        self.granted
            .iter()
            .find(|(_, granted)| granted.profile == profile && granted.process.is_none() && !granted.ended)
            .map(|(number, granted)| (*number, granted))
    }

    /// Whether there is none, not even one that is over and whose programs are told so.
    pub fn is_empty(&self) -> bool {
        self.granted.is_empty()
    }

    /// Whether a grant stands.
    pub fn stands(&self, number: u64) -> bool {
        self.granted.get(&number).is_some_and(|granted| !granted.ended)
    }

    /// Whether the person ended the access of a profile's shells.
    pub fn is_revoked(&self, profile: &str) -> bool {
        self.revoked.contains(profile)
    }

    /// The grant that a token opens. The time that it takes says nothing of the token.
    pub fn opened(&mut self, number: u64, token: &[u8], sealer: &Sealer) -> Option<&mut Granted> {
        let granted = self.granted.get_mut(&number)?;
        let right = sealer.open(&granted.token)?.expose().as_bytes().ct_eq(token);
        bool::from(right).then_some(granted)
    }

    /// A grant, by its number.
    pub fn get_mut(&mut self, number: u64) -> Option<&mut Granted> {
        self.granted.get_mut(&number)
    }

    /// All grants, in order of number.
    pub fn all(&self) -> impl Iterator<Item = (u64, &Granted)> {
        self.granted.iter().map(|(number, granted)| (*number, granted))
    }

    /// The profiles whose credentials somebody may ask for at any moment.
    pub fn profiles(&self) -> BTreeSet<String> {
        let standing = self.granted.values().filter(|granted| !granted.ended);
        standing.map(|granted| granted.profile.clone()).collect()
    }

    /// Ends the grants for which `ends` says so, but goes on telling their programs. Says how many these were.
    pub fn end(&mut self, ends: impl Fn(&Granted) -> bool) -> usize {
        let mut count = 0;
        for granted in self.granted.values_mut().filter(|granted| !granted.ended && ends(granted)) {
            granted.ended = true;
            granted.last = None;
            count += 1;
        }
        while self.granted.values().filter(|granted| granted.ended).count() > MOST_ENDED {
            let oldest = self.granted.iter().find(|(_, granted)| granted.ended).map(|(number, _)| *number);
            self.forget(&oldest.into_iter().collect::<Vec<_>>());
        }
        count
    }

    /// Ends grants as if they had never been, by the person's word: all where none are named. With the last one
    /// the socket is closed. Says how many these were.
    pub fn revoke(&mut self, numbers: &[u64]) -> usize {
        let numbers: Vec<u64> = match numbers {
            [] => self.granted.keys().copied().collect(),
            numbers => numbers.iter().copied().filter(|number| self.granted.contains_key(number)).collect(),
        };
        for granted in numbers.iter().filter_map(|number| self.granted.get(number)) {
            if granted.process.is_none() && !granted.ended {
                self.revoked.insert(granted.profile.clone());
            }
        }
        self.forget(&numbers);
        numbers.len()
    }

    /// Takes grants away whose programs are gone. With the last one the socket is closed.
    pub fn forget(&mut self, numbers: &[u64]) {
        self.granted.retain(|number, _| !numbers.contains(number));
        if self.granted.is_empty() {
            self.listener = None;
        }
    }

    /// The open socket.
    pub fn listener(&self) -> Option<Arc<TcpListener>> {
        self.listener.as_ref().map(|(listener, _)| listener.clone())
    }

    /// Where the open socket listens.
    pub fn address(&self) -> Option<SocketAddr> {
        self.listener.as_ref().map(|(_, address)| *address)
    }

    /// Serves on a socket that listens already. Needs the event loop.
    pub fn take_over(&mut self, listener: std::net::TcpListener) -> io::Result<()> {
        let address = listener.local_addr()?;
        self.listener = Some((Arc::new(TcpListener::from_std(listener)?), address));
        Ok(())
    }

    fn listen(&mut self) -> io::Result<SocketAddr> {
        if let Some(address) = self.address() {
            return Ok(address);
        }
        let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        self.listener = Some((Arc::new(TcpListener::from_std(listener)?), address));
        Ok(address)
    }
}

/// The path of a grant's URL.
fn path(number: u64) -> String {
    format!("/credentials/{number}")
}

/// The grant that a path is of.
fn number_of(path: &str) -> Option<u64> {
    let number = path.strip_prefix("/credentials/")?;
    // One spelling: no sign, no zeros in front.
    number.parse().ok().filter(|parsed: &u64| parsed.to_string() == number)
}

/// 256 random bits, in hexadecimal digits: every SDK takes them for a header's value.
/// A text that nobody guesses.
pub fn random_token() -> io::Result<Secret> {
    let mut bytes = zeroize::Zeroizing::new([0; TOKEN_BYTES]);
    let none = |_| io::Error::other("no random numbers");
    SystemRandom::new().fill(&mut *bytes).map_err(none)?;
    let digit = |nibble: u8| char::from_digit(u32::from(nibble), 16).unwrap_or_default();
    let mut token = String::with_capacity(2 * TOKEN_BYTES);
    for byte in *bytes {
        token.push(digit(byte >> 4));
        token.push(digit(byte & 15));
    }
    Ok(Secret::new(token))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn root() -> SessionKey {
        SessionKey::Mfa { key_id: "AKIA".to_owned(), serial: "serial".to_owned(), endpoint: None }
    }

    fn process() -> Peer {
        Peer { pid: Some(7), program: Some("terraform".to_owned()), grant: None }
    }

    #[tokio::test]
    async fn shells_share_a_grant_and_a_process_has_its_own() {
        let (mut grants, sealer) = (Grants::default(), Sealer::new().unwrap());
        assert!(grants.listener().is_none());
        let first = grants.grant("dev", &root(), None, 1, &sealer).unwrap();
        let again = grants.grant("dev", &root(), None, 2, &sealer).unwrap();
        assert_eq!((first.uri.as_str(), &first.token), (again.uri.as_str(), &again.token));
        let own = grants.grant("dev", &root(), Some(process()), 3, &sealer).unwrap();
        assert_ne!(own.token, first.token);
        let other = grants.grant("ops", &root(), None, 4, &sealer).unwrap();
        assert_ne!(other.token, first.token);
        assert_eq!(first.token.expose().len(), 2 * TOKEN_BYTES);
        assert_eq!(grants.all().count(), 3);
        grants.forget(&[own.number, other.number]);
        assert!(grants.listener().is_some());
        grants.forget(&[first.number]);
        assert!(grants.listener().is_none());
    }

    #[tokio::test]
    async fn one_token_opens_one_grant_and_nothing_like_it_does() {
        let (mut grants, sealer) = (Grants::default(), Sealer::new().unwrap());
        let dev = grants.grant("dev", &root(), None, 1, &sealer).unwrap();
        let ops = grants.grant("ops", &root(), None, 1, &sealer).unwrap();
        let token = dev.token.expose().as_bytes().to_vec();
        assert_eq!(grants.opened(dev.number, &token, &sealer).unwrap().profile, "dev");
        assert!(grants.opened(ops.number, &token, &sealer).is_none());
        assert!(grants.opened(dev.number, &token[1..], &sealer).is_none());
        assert!(grants.opened(dev.number, &[&token[..], b"0"].concat(), &sealer).is_none());
        assert!(grants.opened(dev.number, b"", &sealer).is_none());
        assert!(grants.opened(99, &token, &sealer).is_none());
    }

    #[tokio::test]
    async fn an_ended_grant_never_stands_again_and_a_revoked_one_is_gone() {
        let (mut grants, sealer) = (Grants::default(), Sealer::new().unwrap());
        let first = grants.grant("dev", &root(), None, 1, &sealer).unwrap();
        assert_eq!(grants.end(|granted| granted.profile == "dev"), 1);
        assert!(!grants.stands(first.number));
        assert!(grants.opened(first.number, first.token.expose().as_bytes(), &sealer).unwrap().ended);
        let second = grants.grant("dev", &root(), None, 2, &sealer).unwrap();
        assert_ne!(second.number, first.number);
        assert!(!grants.is_revoked("dev"));
        assert_eq!(grants.revoke(&[second.number, 99]), 1);
        assert!(grants.is_revoked("dev"));
        assert_eq!(grants.revoke(&[]), 1);
        assert!(grants.listener().is_none());
        grants.grant("dev", &root(), None, 3, &sealer).unwrap();
        assert!(!grants.is_revoked("dev"));
    }

    #[test]
    fn a_path_has_one_spelling() {
        assert_eq!(number_of(&path(7)), Some(7));
        for path in ["/credentials/", "/credentials/07", "/credentials/+7", "/credentials/7/", "/", "/7", ""]
        {
            assert_eq!(number_of(path), None, "{path}");
        }
    }

    #[tokio::test]
    async fn a_debug_of_the_grants_shows_no_token() {
        let (mut grants, sealer) = (Grants::default(), Sealer::new().unwrap());
        let key = grants.grant("dev", &root(), None, 1, &sealer).unwrap();
        assert!(!format!("{grants:?}{key:?}").contains(key.token.expose()));
    }
}
