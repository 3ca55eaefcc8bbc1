//! What keeps a secret from those who listen on the bus: the session `dh-ietf1024-sha256-aes128-cbc-pkcs7` of the
//! Secret Service API. It keeps nothing from who can ask the service himself.

use aes::Aes128;
use aes::cipher::block_padding::Pkcs7;
use aes::cipher::{BlockModeDecrypt, BlockModeEncrypt, KeyIvInit};
use crypto_bigint::modular::{ConstMontyForm, ConstMontyParams};
use crypto_bigint::{U256, U1024, const_monty_params};
use protocol::Secret;
use ring::hkdf::{HKDF_SHA256, KeyType, Salt};
use ring::rand::{SecureRandom, SystemRandom};
use zeroize::Zeroizing;

/// The algorithm's name.
pub const ALGORITHM: &str = "dh-ietf1024-sha256-aes128-cbc-pkcs7";

/// How long a number of the group is, in bytes.
const NUMBER: usize = 128;

/// AES-128's key, and its block.
const BLOCK: usize = 16;

const_monty_params!(
    Group,
    U1024,
    "ffffffffffffffffc90fdaa22168c234c4c6628b80dc1cd129024e088a67cc74\
     020bbea63b139b22514a08798e3404ddef9519b3cd3a431b302b0a6df25f1437\
     4fe1356d6d51c245e485b576625e7ec6f44c42e9a637ed6b0bff5cb6f406b7ed\
     ee386bfb5a899fa5ae9f24117c4b1fe649286651ece65381ffffffffffffffff",
    "The Second Oakley Group (RFC 2409, 6.2)."
);

type Number = ConstMontyForm<Group, { U1024::LIMBS }>;

/// Our half of the exchange.
pub struct Exchange {
    private: Zeroizing<[u8; 32]>,
}

/// The key that both sides have then.
pub struct Cipher {
    key: Zeroizing<[u8; BLOCK]>,
}

/// A secret as it goes over the bus.
pub struct Wrapped {
    /// The initialization vector.
    pub parameters: Vec<u8>,
    /// The text.
    pub value: Vec<u8>,
}

/// The system has no random numbers.
#[derive(Debug)]
pub struct NoRandomness;

impl Exchange {
    /// With a number that nobody ever had. 256 bits are twice what the group is worth.
    pub fn new() -> Result<Self, NoRandomness> {
        let mut private = Zeroizing::new([0; 32]);
        SystemRandom::new().fill(&mut *private).map_err(|_| NoRandomness)?;
        Ok(Self { private })
    }

    /// What the other side is told.
    pub fn public(&self) -> Vec<u8> {
        let two = Number::new(&U1024::from_u8(2));
        two.pow(&U256::from_be_slice(&*self.private)).retrieve().to_be_bytes().as_ref().to_vec()
    }

    /// What comes of the other side's number; none where it is no number of the group, or one that gives all away.
    pub fn agree(self, theirs: &[u8]) -> Option<Cipher> {
        let mut padded = [0; NUMBER];
        let start = NUMBER.checked_sub(theirs.len())?;
        padded[start..].copy_from_slice(theirs);
        let theirs = U1024::from_be_slice(&padded);
        let last = Group::PARAMS.modulus().get().wrapping_sub(&U1024::ONE);
        if theirs <= U1024::ONE || theirs >= last {
            return None;
        }
        let shared = Number::new(&theirs).pow(&U256::from_be_slice(&*self.private)).retrieve();
        let mut key = Zeroizing::new([0; BLOCK]);
        let expanded = Salt::new(HKDF_SHA256, &[]).extract(shared.to_be_bytes().as_ref());
        expanded.expand(&[], KeyLength).and_then(|key_material| key_material.fill(&mut *key)).ok()?;
        Some(Cipher { key })
    }
}

struct KeyLength;

impl KeyType for KeyLength {
    fn len(&self) -> usize {
        BLOCK
    }
}

impl Cipher {
    /// For the bus.
    pub fn wrap(&self, secret: &Secret) -> Result<Wrapped, NoRandomness> {
        let mut iv = [0; BLOCK];
        SystemRandom::new().fill(&mut iv).map_err(|_| NoRandomness)?;
        let encryptor = cbc::Encryptor::<Aes128>::new(&(*self.key).into(), &iv.into());
        let value = encryptor.encrypt_padded_vec::<Pkcs7>(secret.expose().as_bytes());
        Ok(Wrapped { parameters: iv.to_vec(), value })
    }

    /// From the bus; none where it is no text under this key.
    pub fn unwrap(&self, wrapped: &Wrapped) -> Option<Secret> {
        let iv: [u8; BLOCK] = wrapped.parameters.as_slice().try_into().ok()?;
        let decryptor = cbc::Decryptor::<Aes128>::new(&(*self.key).into(), &iv.into());
        let bytes = decryptor.decrypt_padded_vec::<Pkcs7>(&wrapped.value).ok()?;
        match String::from_utf8(bytes) {
            Ok(text) => Some(Secret::new(text)),
            Err(error) => {
                drop(Zeroizing::new(error.into_bytes()));
                None
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_sides_come_to_the_same_key_and_nobody_else_does() {
        let [ours, theirs, stranger] = [(); 3].map(|()| Exchange::new().unwrap());
        let (our_public, their_public) = (ours.public(), theirs.public());
        assert_eq!(our_public.len(), NUMBER);
        let (ours, theirs) = (ours.agree(&their_public).unwrap(), theirs.agree(&our_public).unwrap());
        let stranger = stranger.agree(&our_public).unwrap();
        let secret = Secret::new("wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY".to_owned());
        let wrapped = ours.wrap(&secret).unwrap();
        assert_eq!(theirs.unwrap(&wrapped), Some(secret.clone()));
        assert_ne!(stranger.unwrap(&wrapped), Some(secret.clone()));
        assert_ne!(wrapped.value, ours.wrap(&secret).unwrap().value, "no vector comes twice");
        assert_eq!(theirs.unwrap(&Wrapped { parameters: Vec::new(), ..wrapped }), None);
    }

    #[test]
    fn a_number_that_gives_the_key_away_is_not_taken() {
        let modulus = Group::PARAMS.modulus().get();
        for number in [U1024::ZERO, U1024::ONE, modulus.wrapping_sub(&U1024::ONE), modulus] {
            let bytes = number.to_be_bytes();
            assert!(Exchange::new().unwrap().agree(bytes.as_ref()).is_none());
        }
        assert!(Exchange::new().unwrap().agree(&[1; NUMBER + 1]).is_none());
        assert!(Exchange::new().unwrap().agree(&[]).is_none());
        assert!(Exchange::new().unwrap().agree(&[2]).is_some(), "short ones have zeros before them");
    }
}
