//! An IAM user's long-term key on its way into the credentials file, or from there into the keyring.

use std::path::Path;

use aws_files::Document;
use protocol::Secret;

use crate::aws_file;
use crate::failure::{Exit, Failure};

/// A key whose two halves have the forms that AWS gives them.
pub struct AccessKey {
    id: Secret,
    secret: Secret,
}

/// What a section has in the place of a key.
#[derive(Debug, PartialEq, Eq)]
pub enum Held {
    /// Nothing, or a half of this very key.
    Nothing,
    /// This very key.
    Same,
    /// Something else, in words.
    Other(String),
}

/// Why something is no key. Never quotes it: a secret may be in the place of an id.
pub type Problem = &'static str;

impl AccessKey {
    /// Takes the two halves, if they are what they should be.
    pub fn new(id: Secret, secret: Secret) -> Result<Self, Problem> {
        check_id(&id)?;
        if is_id(secret.expose()) {
            return Err("an access key id is where the secret access key should be");
        }
        if !is_secret(secret.expose()) {
            return Err("that is no secret access key: 40 letters, digits, / and +");
        }
        Ok(Self { id, secret })
    }

    /// The id.
    pub fn id(&self) -> &str {
        self.id.expose()
    }

    /// What a section of the credentials file has already.
    pub fn held(&self, document: &Document, file: &Path, section: &str) -> Result<Held, Failure> {
        for token in TOKENS {
            if aws_file::is_set(document, file, section, token)? {
                return Ok(Held::Other("temporary credentials".to_owned()));
            }
        }
        let id = aws_file::get(document, file, section, "aws_access_key_id")?;
        let has_secret = aws_file::is_set(document, file, section, "aws_secret_access_key")?;
        let same_secret = aws_file::is(document, file, section, "aws_secret_access_key", &self.secret)?;
        if id.is_none() && !has_secret {
            return Ok(match aws_file::get(document, file, section, KEYRING_KEY)? {
                Some(id) if id != self.id() => {
                    Held::Other(format!("another key, …{}, in the keyring", last_four(&id)))
                }
                _ => Held::Nothing,
            });
        }
        Ok(match id {
            Some(id) if id != self.id() => Held::Other(format!("another key, …{}", last_four(&id))),
            Some(_) if same_secret => Held::Same,
            Some(id) if has_secret => Held::Other(format!("the key …{} with another secret", last_four(&id))),
            None if has_secret && !same_secret => {
                Held::Other("a secret access key without its id".to_owned())
            }
            _ => Held::Nothing,
        })
    }

    /// Writes it into a section, in the place of whatever was there.
    pub fn set(&self, document: &mut Document, file: &Path, section: &str) -> Result<(), Failure> {
        aws_file::set(document, file, section, "aws_access_key_id", self.id())?;
        aws_file::set(document, file, section, "aws_secret_access_key", self.secret.expose())?;
        aws_file::remove(document, file, section, KEYRING_KEY)?;
        TOKENS.into_iter().try_for_each(|token| aws_file::remove(document, file, section, token))
    }

    /// The key that a section of a file has in the clear, if it is one.
    pub fn plaintext(document: &Document, file: &Path, section: &str) -> Result<Option<Self>, Failure> {
        let half = |name| aws_file::secret(document, file, section, name);
        let halves = (half("aws_access_key_id")?, half("aws_secret_access_key")?);
        let (Some(id), Some(secret)) = halves else { return Ok(None) };
        let token = TOKENS.into_iter().map(|token| aws_file::is_set(document, file, section, token));
        if token.collect::<Result<Vec<_>, _>>()?.contains(&true) {
            return Ok(None);
        }
        let key = Self::new(id, secret).map_err(|problem| {
            Failure::new(Exit::Configuration, format!("[{section}] of {}: {problem}", file.display()))
                .hint("mfa-agent keys import, with the right one")
        })?;
        Ok(Some(key))
    }

    /// The secret.
    pub fn secret(&self) -> &Secret {
        &self.secret
    }
}

/// Lets a section of the credentials file say that its key is in the keyring, in the place of whatever was there.
pub fn set_keyring_key(document: &mut Document, file: &Path, section: &str, id: &str) -> Result<(), Failure> {
    aws_file::set(document, file, section, KEYRING_KEY, id)?;
    remove_plaintext(document, file, section)
}

/// Takes a key that stands in the clear out of a section.
pub fn remove_plaintext(document: &mut Document, file: &Path, section: &str) -> Result<(), Failure> {
    HALVES
        .into_iter()
        .chain(TOKENS)
        .try_for_each(|setting| aws_file::remove(document, file, section, setting))
}

/// The setting by which a section says that its key is in the keyring: the key's id. The agent reads it.
pub const KEYRING_KEY: &str = "mfa_agent_keyring_key";

/// The two halves of a key.
const HALVES: [&str; 2] = ["aws_access_key_id", "aws_secret_access_key"];

/// The settings that make a key a temporary one.
const TOKENS: [&str; 2] = ["aws_session_token", "aws_security_token"];

/// Whether this is the id of a user's key.
pub fn check_id(id: &Secret) -> Result<(), Problem> {
    let id = id.expose();
    if is_id(id) {
        Ok(())
    } else if is_secret(id) {
        Err("a secret access key is where the access key id should be")
    } else if id.starts_with("ASIA") {
        Err("that is the id of a temporary key, and those open no MFA session")
    } else {
        Err("that is no access key id: AKIA and 16 capital letters and digits")
    }
}

/// The end of an id, by which people tell keys from one another.
pub fn last_four(id: &str) -> &str {
    id.char_indices().rev().nth(3).map_or(id, |(at, _)| &id[at..])
}

/// What was typed is no key.
pub fn mistyped(problem: Problem) -> Failure {
    Failure::new(Exit::Usage, problem)
        .hint("AWS console, Security credentials, Access keys shows the id, and the secret once")
}

fn is_id(text: &str) -> bool {
    text.len() == 20
        && text.starts_with("AKIA")
        && text.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit())
}

fn is_secret(text: &str) -> bool {
    text.len() == 40 && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"/+".contains(&byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "AKIAIOSFODNN7EXAMPLE";
    const SECRET: &str = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY";

    fn problem(id: &str, secret: &str) -> Problem {
        let secrets = [id, secret].map(|text| Secret::new(text.to_owned()));
        let [id, secret] = secrets;
        AccessKey::new(id, secret).err().unwrap_or("none")
    }

    #[test]
    fn clear_mistakes_are_named() {
        assert_eq!(problem(ID, SECRET), "none");
        for (id, secret, words) in [
            (SECRET, ID, "a secret access key is where the access key id should be"),
            (ID, ID, "an access key id is where the secret access key should be"),
            ("ASIAIOSFODNN7EXAMPLE", SECRET, "temporary"),
            ("AIDAIOSFODNN7EXAMPLE", SECRET, "no access key id"),
            (&ID.to_lowercase(), SECRET, "no access key id"),
            (&ID[1..], SECRET, "no access key id"),
            ("", SECRET, "no access key id"),
            ("AKIAIOSFODNN7EXAMPLÉ", SECRET, "no access key id"),
            (ID, &SECRET[1..], "no secret access key"),
            (ID, &SECRET.replace('/', "="), "no secret access key"),
            (ID, "", "no secret access key"),
        ] {
            assert!(problem(id, secret).contains(words), "{id} {secret}: {}", problem(id, secret));
        }
    }

    #[test]
    fn the_end_of_an_id_is_four_characters_of_any_kind() {
        assert_eq!([last_four(ID), last_four("abc"), last_four("äöüß€")], ["MPLE", "abc", "öüß€"]);
    }
}
