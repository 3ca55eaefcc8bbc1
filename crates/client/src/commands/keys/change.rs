//! `mfa-agent keys disable`, `enable` and `delete`: one key of the user's, by its id.

use protocol::{Signed, UserKey};

use super::stored::section_with;
use super::{delete, last_use, list_of, set_active};
use crate::access_key::last_four;
use crate::agent::Agent;
use crate::args::{Code, KeyId};
use crate::environment::Environment;
use crate::failure::{Exit, Failure};
use crate::iam::Iam;
use crate::mfa::Asker;
use crate::output;

/// What is to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    Disable,
    Enable,
    Delete,
}

pub fn run(
    change: Change,
    args: &KeyId,
    option: Option<&str>,
    environment: &Environment,
) -> Result<(), Failure> {
    let profile = environment.profile(option, None)?;
    let agent = Agent::locate(environment)?;
    let asker = Asker::new(&agent, &Code::default(), false)?;
    let mut iam = Iam::new(&agent, profile.as_deref(), asker);
    let keys = list_of(&mut iam)?;
    let UserKey { id, active, .. } = named(&keys, &args.id)?;
    let end = format!("…{}", last_four(id));

    if change != Change::Enable && !args.force {
        if let Some(section) = section_with(id)? {
            let what = format!("[{section}] rests on the key {end}");
            return Err(Failure::new(Exit::Configuration, what)
                .hint(format!("mfa-agent keys rotate {section} puts another in its place; or --force")));
        }
        if change == Change::Delete && *active && last_use(&mut iam, &Signed::Session, id)?.is_some() {
            let what = format!("the key {end} is active, and was used");
            return Err(Failure::new(Exit::Configuration, what).hint(format!(
                "see first whether anything misses it: mfa-agent keys disable {id}; or --force"
            )));
        }
    }
    let done = match change {
        Change::Disable => {
            set_active(&mut iam, id, false)?;
            format!("the key {end} is inactive; mfa-agent keys enable {id} takes that back")
        }
        Change::Enable => {
            set_active(&mut iam, id, true)?;
            format!("the key {end} is active")
        }
        Change::Delete => {
            delete(&mut iam, id)?;
            format!("the key {end} is deleted")
        }
    };
    output::words(&done);
    Ok(())
}

/// The key that a person means, by its whole id or the end of it.
fn named<'a>(keys: &'a [UserKey], wanted: &str) -> Result<&'a UserKey, Failure> {
    let wanted = wanted.trim_start_matches('…');
    let mut found = keys.iter().filter(|key| wanted.len() >= 4 && key.id.ends_with(wanted));
    if let (Some(key), None) = (found.next(), found.next()) {
        return Ok(key);
    }
    let all: Vec<&str> = keys.iter().map(|key| key.id.as_str()).collect();
    Err(Failure::new(Exit::Usage, format!("the user has no key {wanted}"))
        .hint(format!("there is {}", all.join(" and "))))
}
