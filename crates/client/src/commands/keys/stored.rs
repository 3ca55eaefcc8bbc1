//! Where a profile's long-term key stands, and how far its rotation came, which is noted beside it.

use std::path::{Path, PathBuf};

use aws_files::{Document, Kind};

use super::section;
use crate::access_key::{AccessKey, KEYRING_KEY, set_keyring_key};
use crate::agent::Agent;
use crate::failure::{Exit, Failure};
use crate::shell::word;
use crate::{aws_file, keyring};

/// When a new key was going to be made, in seconds since the epoch by AWS's clock; then its id.
const ROTATION: &str = "mfa_agent_rotation";

/// The id of the key that was replaced, until it is put away.
const PREVIOUS: &str = "mfa_agent_previous_key";

/// Where a key may stand; the first wins.
const KINDS: [Kind; 2] = [Kind::Credentials, Kind::Config];

/// A profile's long-term key.
pub struct Stored {
    file: PathBuf,
    kind: Kind,
    section: String,
    id: String,
    keyring: bool,
}

/// How far a rotation came.
pub struct Notes {
    /// Before the new key is stored.
    pub rotation: Option<Note>,
    /// After that.
    pub previous: Option<String>,
}

/// How far the making of a key came.
pub enum Note {
    /// It was going to be asked for, at this moment.
    Begun(u64),
    /// It has this id.
    Made(String),
}

impl Stored {
    /// The key of a profile.
    pub fn find(profile: &str) -> Result<Self, Failure> {
        // As the agent reads it: a key in the clear before the keyring's, the credentials file before the other.
        for keyring in [false, true] {
            for kind in KINDS {
                let file = aws_file::path(kind)?;
                let document = aws_file::read(&file, kind)?;
                let section = section(&document, &file, profile)?;
                let id = if keyring {
                    aws_file::get(&document, &file, &section, KEYRING_KEY)?
                } else {
                    AccessKey::plaintext(&document, &file, &section)?.map(|key| key.id().to_owned())
                };
                if let Some(id) = id {
                    return Ok(Self { file, kind, section, id, keyring });
                }
            }
        }
        let file = aws_file::path(Kind::Credentials)?;
        Err(Failure::new(Exit::Configuration, format!("there is no key of {profile} in {}", file.display()))
            .hint(format!("mfa-agent keys import --profile {} puts one there", word(profile))))
    }

    /// The file, where the key itself stands in it.
    pub fn file(&self) -> Option<&Path> {
        (!self.keyring).then_some(&self.file)
    }

    /// The key, where it stands in the file.
    pub fn plaintext(&self) -> Result<Option<AccessKey>, Failure> {
        let document = aws_file::read(&self.file, self.kind)?;
        AccessKey::plaintext(&document, &self.file, &self.section)
    }

    /// Its id.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// What is noted.
    pub fn note(&self) -> Result<Notes, Failure> {
        let document = aws_file::read(&self.file, self.kind)?;
        let get = |setting| aws_file::get(&document, &self.file, &self.section, setting);
        let rotation = get(ROTATION)?.map(|text| match text.parse() {
            Ok(at) => Note::Begun(at),
            Err(_) => Note::Made(text),
        });
        Ok(Notes { rotation, previous: get(PREVIOUS)? })
    }

    /// Notes how far it came.
    pub fn set_note(&self, note: Option<Note>) -> Result<(), Failure> {
        let text = note.map(|note| match note {
            Note::Begun(at) => at.to_string(),
            Note::Made(id) => id,
        });
        aws_file::edit(&self.file, self.kind, |document| match &text {
            Some(text) => aws_file::set(document, &self.file, &self.section, ROTATION, text),
            None => aws_file::remove(document, &self.file, &self.section, ROTATION),
        })
    }

    /// The rotation is over.
    pub fn clear(&self) -> Result<(), Failure> {
        aws_file::edit(&self.file, self.kind, |document| {
            aws_file::remove(document, &self.file, &self.section, PREVIOUS)
        })
    }

    /// Puts another key in its place, in all sections that have it, in one step, and notes that this one is to be put
    /// away. Its id comes back.
    pub fn replace(&mut self, agent: &Agent, new: &AccessKey) -> Result<String, Failure> {
        if self.is_in_keyring()? {
            keyring::store(agent, new)?;
        }
        aws_file::edit(&self.file, self.kind, |document| {
            let sections = with_key(document, &self.file, &self.id);
            if !sections.iter().any(|(section, _)| *section == self.section) {
                let place = format!("[{}] of {}", self.section, self.file.display());
                return Err(Failure::new(Exit::Configuration, format!("{place} was changed meanwhile"))
                    .hint("see what it has, and run the same again: mfa-agent keys list"));
            }
            for (section, keyring) in sections {
                if keyring {
                    set_keyring_key(document, &self.file, &section, new.id())?;
                } else {
                    new.set(document, &self.file, &section)?;
                }
            }
            aws_file::remove(document, &self.file, &self.section, ROTATION)?;
            aws_file::set(document, &self.file, &self.section, PREVIOUS, &self.id)
        })?;
        Ok(std::mem::replace(&mut self.id, new.id().to_owned()))
    }

    /// Puts the stored key in the place of the one that it replaced where the other file has that: the two files cannot
    /// be changed at once. `key`: what is stored, where it is known.
    pub fn carry_over(&self, previous: &str, key: Option<&AccessKey>) -> Result<(), Failure> {
        let kind = match self.kind {
            Kind::Credentials => Kind::Config,
            Kind::Config => Kind::Credentials,
        };
        let file = aws_file::path(kind)?;
        if with_key(&aws_file::read(&file, kind)?, &file, previous).is_empty() {
            return Ok(());
        }
        aws_file::edit(&file, kind, |document| {
            for (section, keyring) in with_key(document, &file, previous) {
                match key {
                    Some(key) if !keyring => key.set(document, &file, &section)?,
                    _ => set_keyring_key(document, &file, &section, &self.id)?,
                }
            }
            Ok(())
        })
    }

    /// Takes a key that is deleted out of the keyring, if that is where keys are.
    pub fn forget(&self, agent: &Agent, id: &str) -> Result<(), Failure> {
        if self.is_in_keyring()? { keyring::forget(agent, id) } else { Ok(()) }
    }

    /// Whether a profile has the key from the keyring: this one, or another where this one has it in the clear.
    fn is_in_keyring(&self) -> Result<bool, Failure> {
        for kind in KINDS {
            let file = aws_file::path(kind)?;
            let sections = with_key(&aws_file::read(&file, kind)?, &file, &self.id);
            if sections.iter().any(|(_, keyring)| *keyring) {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

/// A section that has a key, of either file.
pub fn section_with(id: &str) -> Result<Option<String>, Failure> {
    for kind in KINDS {
        let file = aws_file::path(kind)?;
        if let Some((section, _)) = with_key(&aws_file::read(&file, kind)?, &file, id).into_iter().next() {
            return Ok(Some(section));
        }
    }
    Ok(None)
}

/// The sections that rest on a key, and whether it is in the keyring: one in the clear wins over that.
fn with_key(document: &Document, file: &Path, id: &str) -> Vec<(String, bool)> {
    let rests = |section: String| {
        let get = |setting| aws_file::get(document, file, &section, setting).ok().flatten();
        let (held, keyring) = match get("aws_access_key_id") {
            Some(held) => (held, false),
            None => (get(KEYRING_KEY)?, true),
        };
        (held == id).then_some((section, keyring))
    };
    document.profiles().into_iter().filter_map(rests).collect()
}
