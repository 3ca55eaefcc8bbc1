//! What is held is held encrypted, under a key in a locked page, and opened for as long as it takes to answer.

use std::fmt;
use std::hint::black_box;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};

use protocol::{Memory, Secret};
use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::error::Unspecified;
use ring::hmac;
use ring::rand::{SecureRandom, SystemRandom};
use serde::{Deserialize, Serialize};
use zeroize::{Zeroize, Zeroizing};

use crate::platform::{self, LockedPage, PageKind};

/// How much of the stack below a caller may hold copies of a key, in bytes.
const STACK: usize = 12 * 1024;

/// Seals and opens.
pub struct Sealer {
    keys: LockedPage<Keys>,
    kind: PageKind,
    /// Counts up with every sealing: no key sees a nonce twice.
    nonces: AtomicU64,
}

/// For sealing, and for marking.
type Keys = [[u8; 32]; 2];

/// A secret that cannot be read where it lies.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Sealed {
    nonce: u64,
    bytes: Box<[u8]>,
}

/// What tells a code from another one, to this agent alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mark([u8; 32]);

impl Sealer {
    /// One like the agent's own.
    #[cfg(test)]
    pub fn new() -> io::Result<Self> {
        Self::with_keys_in(PageKind::Locked)
    }

    /// With keys that nobody ever had, in such a page or the next best one.
    pub fn with_keys_in(kind: PageKind) -> io::Result<Self> {
        let mut keys = LockedPage::new(Keys::default(), kind)?;
        let none = |_| io::Error::other("no random numbers");
        SystemRandom::new().fill(keys.as_flattened_mut()).map_err(none)?;
        Ok(Self { keys, kind, nonces: AtomicU64::new(0) })
    }

    /// With the keys of another sealer, which used up so many nonces. They come on stdin.
    pub fn receive(nonces: u64, kind: PageKind) -> io::Result<Self> {
        let mut keys = LockedPage::new(Keys::default(), kind)?;
        platform::take_stdin(keys.as_flattened_mut())?;
        Ok(Self { keys, kind, nonces: AtomicU64::new(nonces) })
    }

    /// The keys themselves, for the process that takes over.
    pub fn expose_keys(&self) -> &[u8] {
        self.keys.as_flattened()
    }

    /// How many nonces are used up.
    pub fn nonces(&self) -> u64 {
        self.nonces.load(Ordering::Relaxed)
    }

    /// In what memory the keys are.
    pub fn memory(&self) -> Memory {
        self.keys.memory()
    }

    /// In what kind of page they were to be.
    pub fn wanted(&self) -> PageKind {
        self.kind
    }

    /// Seals a secret.
    pub fn seal(&self, secret: &Secret) -> Sealed {
        let nonce = self.nonces.fetch_add(1, Ordering::Relaxed);
        // Sized for the tag, so that it does not grow and leave the secret behind.
        let text = secret.expose().as_bytes();
        let mut bytes = Vec::with_capacity(text.len() + CHACHA20_POLY1305.tag_len());
        bytes.extend_from_slice(text);
        let sealed = seal(&self.keys[0], nonce, &mut bytes);
        burn();
        if sealed.is_err() {
            // For lack of a cipher text nothing is held: it will not open.
            bytes.zeroize();
        }
        Sealed { nonce, bytes: bytes.into_boxed_slice() }
    }

    /// Opens what this sealer sealed; nothing else opens.
    pub fn open(&self, sealed: &Sealed) -> Option<Secret> {
        let mut bytes = Zeroizing::new(sealed.bytes.to_vec());
        let length = open(&self.keys[0], sealed.nonce, &mut bytes);
        burn();
        bytes.truncate(length?);
        String::from_utf8(std::mem::take(&mut *bytes)).ok().map(Secret::new)
    }

    /// The mark of a device's code.
    pub fn mark(&self, serial: &str, code: &Secret) -> Mark {
        let mark = mark(&self.keys[1], serial, code);
        burn();
        mark
    }
}

impl fmt::Debug for Sealer {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Sealer").finish_non_exhaustive()
    }
}

// What follows works on keys, each in a frame of its own, which its caller burns.

#[inline(never)]
fn seal(key: &[u8; 32], nonce: u64, bytes: &mut Vec<u8>) -> Result<(), Unspecified> {
    let key = LessSafeKey::new(UnboundKey::new(&CHACHA20_POLY1305, key)?);
    key.seal_in_place_append_tag(nonce_of(nonce), Aad::empty(), bytes)
}

#[inline(never)]
fn open(key: &[u8; 32], nonce: u64, bytes: &mut [u8]) -> Option<usize> {
    let key = LessSafeKey::new(UnboundKey::new(&CHACHA20_POLY1305, key).ok()?);
    key.open_in_place(nonce_of(nonce), Aad::empty(), bytes).ok().map(|text| text.len())
}

#[inline(never)]
fn mark(key: &[u8], serial: &str, code: &Secret) -> Mark {
    let mut context = hmac::Context::with_key(&hmac::Key::new(hmac::HMAC_SHA256, key));
    context.update(serial.as_bytes());
    context.update(b" ");
    context.update(code.expose().as_bytes());
    let mut mark = Mark([0; 32]);
    mark.0.copy_from_slice(context.sign().as_ref());
    mark
}

fn nonce_of(number: u64) -> Nonce {
    let mut nonce = [0; NONCE_LEN];
    nonce[..8].copy_from_slice(&number.to_le_bytes());
    Nonce::assume_unique_for_key(nonce)
}

/// Overwrites what the call before it left on the stack: ring works on copies of the key there.
#[inline(never)]
fn burn() {
    let mut stack = [0_u8; STACK];
    stack.zeroize();
    black_box(&stack);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secret(text: &str) -> Secret {
        Secret::new(text.to_owned())
    }

    #[test]
    fn what_is_sealed_opens_for_its_own_sealer_alone() {
        let sealer = Sealer::new().unwrap();
        let token = sealer.seal(&secret("needle"));
        assert!(!token.bytes.windows(6).any(|window| window == b"needle"));
        assert_eq!(sealer.open(&token), Some(secret("needle")));
        assert_eq!(sealer.open(&sealer.seal(&secret(""))), Some(secret("")));
        assert_ne!(sealer.seal(&secret("needle")).bytes, token.bytes, "no nonce comes twice");
        assert_eq!(Sealer::new().unwrap().open(&token), None);
        let mut changed = token.clone();
        changed.bytes[0] ^= 1;
        assert_eq!(sealer.open(&changed), None);
        assert!(!format!("{sealer:?}{token:?}").contains("needle"));
    }

    #[test]
    fn a_mark_is_of_one_code_of_one_device() {
        let sealer = Sealer::new().unwrap();
        let mark = sealer.mark("alice", &secret("123456"));
        assert_eq!(mark, sealer.mark("alice", &secret("123456")));
        assert_ne!(mark, sealer.mark("alice", &secret("654321")));
        assert_ne!(mark, sealer.mark("bob", &secret("123456")));
        assert_ne!(mark, Sealer::new().unwrap().mark("alice", &secret("123456")));
    }
}
