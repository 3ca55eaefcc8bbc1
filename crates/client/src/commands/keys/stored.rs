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
        // As the agent reads it: the credentials file before the other, and a key in the clear before the keyring's.
        for kind in [Kind::Credentials, Kind::Config] {
            let file = aws_file::path(kind)?;
            let document = aws_file::read(&file, kind)?;
            let section = section(&document, &file, profile)?;
            let key = AccessKey::plaintext(&document, &file, &section)?;
            let (id, keyring) = match key {
                Some(key) => (Some(key.id().to_owned()), false),
                None => (aws_file::get(&document, &file, &section, KEYRING_KEY)?, true),
            };
            if let Some(id) = id {
                return Ok(Self { file, kind, section, id, keyring });
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
        if self.keyring {
            keyring::store(agent, new)?;
        }
        aws_file::edit(&self.file, self.kind, |document| {
            let sections = with_key(document, &self.file, &self.id);
            if !sections.contains(&self.section) {
                let place = format!("[{}] of {}", self.section, self.file.display());
                return Err(Failure::new(Exit::Configuration, format!("{place} was changed meanwhile"))
                    .hint("see what it has, and run the same again: mfa-agent keys list"));
            }
            for section in sections {
                if aws_file::is_set(document, &self.file, &section, "aws_access_key_id")? {
                    new.set(document, &self.file, &section)?;
                } else {
                    set_keyring_key(document, &self.file, &section, new.id())?;
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
            for section in with_key(document, &file, previous) {
                match key {
                    Some(key) if aws_file::is_set(document, &file, &section, "aws_access_key_id")? => {
                        key.set(document, &file, &section)?;
                    }
                    _ => set_keyring_key(document, &file, &section, &self.id)?,
                }
            }
            Ok(())
        })
    }

    /// Takes a key that is deleted out of the keyring, if that is where keys are.
    pub fn forget(&self, agent: &Agent, id: &str) -> Result<(), Failure> {
        if self.keyring { keyring::forget(agent, id) } else { Ok(()) }
    }
}

/// A section that has a key, of either file.
pub fn section_with(id: &str) -> Result<Option<String>, Failure> {
    for kind in [Kind::Credentials, Kind::Config] {
        let file = aws_file::path(kind)?;
        if let Some(section) = with_key(&aws_file::read(&file, kind)?, &file, id).into_iter().next() {
            return Ok(Some(section));
        }
    }
    Ok(None)
}

/// The sections that have a key, or name it in the keyring.
fn with_key(document: &Document, file: &Path, id: &str) -> Vec<String> {
    let mut names = document.profiles();
    names.retain(|name| {
        ["aws_access_key_id", KEYRING_KEY]
            .into_iter()
            .any(|setting| aws_file::get(document, file, name, setting).ok().flatten().as_deref() == Some(id))
    });
    names
}
