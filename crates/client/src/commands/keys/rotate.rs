//! `mfa-agent keys rotate`: another key in the place of a profile's, in the order that locks nobody out. How far it came is
//! noted in the key's section, so that a run that broke off, wherever, is taken up by the next one.

use std::time::Duration;

use protocol::{IamAnswer, IamCall, NewAccessKey, Refusal, Signed, UserKey};

use super::stored::{Note, Stored, section_with};
use super::{delete, exposure, last_use, list_of, set_active};
use crate::access_key::{AccessKey, last_four};
use crate::agent::{Agent, unexpected};
use crate::args::{Code, KeysRotate};
use crate::environment::Environment;
use crate::failure::{Exit, Failure};
use crate::iam::Iam;
use crate::mfa::Asker;
use crate::platform::Terminal;
use crate::shell::word;
use crate::{clock, interview, message, output};

/// The pauses between looks at whether AWS knows a new key, in seconds: it takes some until it does everywhere.
const PAUSES: [u64; 8] = [1, 1, 2, 3, 5, 8, 10, 15];

/// How far a key's date may be from the moment that its making was noted, in seconds: a call has 15.
const AROUND: u64 = 60;

pub fn run(args: &KeysRotate, option: Option<&str>, environment: &Environment) -> Result<(), Failure> {
    let profile = environment.profile(args.name.as_deref().or(option), None)?;
    let agent = Agent::locate(environment)?;
    let asker = Asker::new(&agent, &Code::default(), false)?;
    let mut iam = Iam::new(&agent, profile.as_deref(), asker);
    let arn = identity(&mut iam, &Signed::LongTerm)?.map_err(|refusal| message::refused(&refusal))?;
    let profile = iam.signer().to_owned();
    let stored = Stored::find(&profile)?;
    let mut rotation = Rotation { agent: &agent, iam, stored, profile, arn, keep_old: args.keep_old };

    let keys = list_of(&mut rotation.iam)?;
    if let Some(previous) = rotation.stored.note()?.previous {
        output::words(&format!("taking up the rotation that broke off at the key …{}", last_four(&previous)));
        let key = rotation.stored.plaintext()?;
        rotation.stored.carry_over(&previous, key.as_ref())?;
        drop(key);
        return rotation.retire(&previous).map_err(|failure| rotation.to_be_taken_up(failure));
    }
    rotation.make_room(&keys)?;
    let new = rotation.create(&keys)?;
    rotation.prove(&new)?;
    let old = rotation.stored.replace(&agent, &new)?;
    rotation.stored.carry_over(&old, Some(&new))?;
    // From here on the agent reads it where it is stored.
    drop(new);
    rotation.retire(&old).map_err(|failure| rotation.to_be_taken_up(failure))
}

struct Rotation<'a> {
    agent: &'a Agent,
    iam: Iam<'a>,
    stored: Stored,
    /// The profile whose section it is.
    profile: String,
    /// The user's.
    arn: String,
    keep_old: bool,
}

impl Rotation<'_> {
    /// AWS lets a user have two keys. One that an earlier run made and did not come to store goes; of another one the
    /// person decides.
    fn make_room(&mut self, keys: &[UserKey]) -> Result<(), Failure> {
        let own = self.stored.id().to_owned();
        if !keys.iter().any(|key| key.id == own) {
            let what = format!("AWS lists no key …{} of this user", last_four(&own));
            return Err(Failure::new(Exit::Configuration, what)
                .hint(format!("mfa-agent keys import --force --profile {}", word(&self.profile))));
        }
        let note = self.stored.note()?;
        for other in keys.iter().filter(|key| key.id != own) {
            let end = last_four(&other.id);
            let left_behind = match &note.rotation {
                Some(Note::Made(id)) => *id == other.id,
                Some(Note::Begun(at)) => {
                    other.created_at.abs_diff(*at) <= AROUND && self.last_use(&other.id)?.is_none()
                }
                None => false,
            };
            if left_behind {
                output::words(&format!("the key …{end}, which a rotation that broke off has left, goes"));
            } else {
                self.may_go(other)?;
            }
            delete(&mut self.iam, &other.id)?;
            self.stored.forget(self.agent, &other.id)?;
        }
        self.stored.set_note(None)
    }

    /// Whether a second key that is not of our making may be deleted: the person says so, of one that was never used.
    fn may_go(&mut self, other: &UserKey) -> Result<(), Failure> {
        let own = last_four(self.stored.id()).to_owned();
        let end = last_four(&other.id);
        let two = format!("the user of {} has two keys, and AWS lets no third be", self.profile);
        if let Some(section) = section_with(&other.id)? {
            return Err(Failure::new(
                Exit::Configuration,
                format!("{two}: …{own}, and …{end} in [{section}]"),
            )
            .hint(format!("if nothing needs it: mfa-agent keys delete --force {}", other.id)));
        }
        if let Some(used) = self.last_use(&other.id)? {
            let what = format!(
                "{two}: …{own}, and …{end}, which was used on {} for {}",
                clock::date(used.at),
                used.service
            );
            let next = if other.active { "disable" } else { "delete" };
            return Err(Failure::new(Exit::Configuration, what)
                .hint(format!("if nothing needs it: mfa-agent keys {next} {}", other.id)));
        }
        let made = clock::date(other.created_at);
        let unused = || {
            Failure::new(
                Exit::Configuration,
                format!("{two}: …{own}, and …{end}, made on {made} and never used"),
            )
            .hint(format!("if nobody keeps it for later: mfa-agent keys delete {}", other.id))
        };
        let terminal = Terminal::open().ok_or_else(unused)?;
        let question = format!("{two}. Delete …{end}, made on {made} and never used?");
        if interview::agrees(&terminal, &question)? { Ok(()) } else { Err(unused()) }
    }

    fn create(&mut self, before: &[UserKey]) -> Result<AccessKey, Failure> {
        let skew = self.agent.status()?.and_then(|status| status.clock_skew).unwrap_or(0);
        self.stored.set_note(Some(Note::Begun(clock::now().saturating_add_signed(skew))))?;
        let NewAccessKey { id, secret } =
            match self.iam.try_call(&Signed::Session, &IamCall::CreateAccessKey)? {
                Ok(IamAnswer::NewAccessKey(new)) => new,
                Ok(_) => return Err(unexpected()),
                Err(refusal) => {
                    // Where the answer was lost there may be one, whose secret nobody knows.
                    let now = if matches!(refusal, Refusal::Aws { .. }) {
                        Ok(Vec::new())
                    } else {
                        list_of(&mut self.iam)
                    };
                    if let Ok(now) = now {
                        for key in now.iter().filter(|key| before.iter().all(|known| known.id != key.id)) {
                            delete(&mut self.iam, &key.id)?;
                        }
                        self.stored.set_note(None)?;
                    }
                    return Err(self.to_be_taken_up(message::refused(&refusal)));
                }
            };
        self.stored.set_note(Some(Note::Made(id.clone())))?;
        output::words(&format!("the key …{} is made", last_four(&id)));
        let form = |problem| Failure::new(Exit::Aws, format!("AWS made a key of an unknown form: {problem}"));
        AccessKey::new(protocol::Secret::new(id), secret).map_err(form)
    }

    /// Sees that AWS knows the new key, as this user's. One that it does not come to know goes again.
    fn prove(&mut self, new: &AccessKey) -> Result<(), Failure> {
        let signed = Signed::Key {
            access_key_id: new.id().to_owned(),
            secret_access_key: protocol::Secret::new(new.secret().expose().to_owned()),
        };
        let problem = match self.patiently(&signed)? {
            Ok(arn) if arn == self.arn => return Ok(()),
            Ok(arn) => Failure::new(Exit::Aws, format!("the new key is {arn}'s, and not {}'s", self.arn)),
            // Whether it works is not known: the next run begins with it.
            Err(refusal @ Refusal::Network { .. }) => {
                return Err(self.to_be_taken_up(message::refused(&refusal)));
            }
            Err(refusal) => message::refused(&refusal),
        };
        delete(&mut self.iam, new.id())?;
        self.stored.set_note(None)?;
        let what = format!("the new key does not work, and is deleted again: {}", problem.what);
        Err(self.to_be_taken_up(Failure { what, ..problem }))
    }

    /// Puts the old key away. The stored one is seen to work before and after each step.
    fn retire(&mut self, old: &str) -> Result<(), Failure> {
        self.prove_stored()?;
        let (new, end) = (last_four(self.stored.id()).to_owned(), last_four(old));
        let held = list_of(&mut self.iam)?.into_iter().find(|key| key.id == old);
        if let Some(key) = held {
            if key.active {
                set_active(&mut self.iam, old, false)?;
            }
            if let Err(failure) = self.prove_stored() {
                set_active(&mut self.iam, old, true)?;
                return Err(failure);
            }
            if !self.keep_old {
                delete(&mut self.iam, old)?;
            }
        }
        if !self.keep_old {
            self.stored.forget(self.agent, old)?;
        }
        self.stored.clear()?;
        let kept = if self.keep_old {
            format!("is inactive; mfa-agent keys delete {old} deletes it")
        } else {
            "is deleted".to_owned()
        };
        output::words(&format!("{} has the key …{new} now; …{end} {kept}", self.profile));
        if let Some(words) = self.stored.file().and_then(exposure) {
            output::words(&words);
        }
        Ok(())
    }

    /// Sees that the key works that the agent finds where it is stored.
    fn prove_stored(&mut self) -> Result<(), Failure> {
        match self.patiently(&Signed::LongTerm)? {
            Ok(arn) if arn == self.arn => Ok(()),
            Ok(arn) => {
                Err(Failure::new(Exit::Aws, format!("the stored key is {arn}'s, and not {}'s", self.arn)))
            }
            Err(refusal) => Err(self.to_be_taken_up(message::refused(&refusal))),
        }
    }

    /// Whose key signs, once AWS knows it.
    fn patiently(&mut self, signed: &Signed) -> Result<Result<String, Refusal>, Failure> {
        for pause in PAUSES {
            match identity(&mut self.iam, signed)? {
                Err(Refusal::Aws { code, .. }) if code == "InvalidClientTokenId" => {}
                known => return Ok(known),
            }
            // Nothing tells of it: it must be looked at again.
            std::thread::sleep(Duration::from_secs(pause));
        }
        identity(&mut self.iam, signed)
    }

    fn last_use(&mut self, id: &str) -> Result<Option<protocol::LastUse>, Failure> {
        last_use(&mut self.iam, &Signed::Session, id)
    }

    /// Whatever it was, the next run goes on from here.
    fn to_be_taken_up(&self, failure: Failure) -> Failure {
        let profile = word(&self.profile);
        let hint = format!("the key of {profile} works; run the same again: mfa-agent keys rotate {profile}");
        failure.hint(hint)
    }
}

/// Whose key signs.
fn identity(iam: &mut Iam<'_>, signed: &Signed) -> Result<Result<String, Refusal>, Failure> {
    match iam.try_call(signed, &IamCall::GetCallerIdentity)? {
        Ok(IamAnswer::CallerIdentity(identity)) => Ok(Ok(identity.arn)),
        Ok(_) => Err(unexpected()),
        Err(refusal) => Ok(Err(refusal)),
    }
}
