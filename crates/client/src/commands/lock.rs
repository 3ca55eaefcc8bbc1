//! `mfa-agent lock` and `unlock`: whether what is held is given out.

use protocol::{Reply, Request};

use crate::agent::{Agent, unexpected};
use crate::args::{Lock, Unlock};
use crate::environment::Environment;
use crate::failure::Failure;
use crate::message::{self, counted};
use crate::mfa::Asker;
use crate::output;

pub fn lock(args: &Lock, environment: &Environment) -> Result<(), Failure> {
    match Agent::locate(environment)?.ask_running(Request::Lock { wipe: args.wipe })? {
        None => output::words("nothing to lock: no agent is running"),
        Some(Reply::Locked { sessions: 0 }) => output::words("nothing to lock: no session is held"),
        Some(Reply::Locked { sessions }) if args.wipe => {
            output::words(&format!("{} wiped", counted(sessions, "session")));
        }
        Some(Reply::Locked { sessions }) => {
            output::words(&format!("{} locked", counted(sessions, "session")));
        }
        Some(Reply::Refused(refusal)) => return Err(message::refused(&refusal)),
        Some(_) => return Err(unexpected()),
    }
    Ok(())
}

pub fn unlock(args: &Unlock, option: Option<&str>, environment: &Environment) -> Result<(), Failure> {
    let agent = Agent::locate(environment)?;
    // Nobody is asked where nothing is locked, and no agent is started for it.
    match agent.ask_running(Request::Status)? {
        Some(Reply::Status(status)) if status.locked => {}
        Some(Reply::Refused(refusal)) => return Err(message::refused(&refusal)),
        _ => {
            output::words("nothing is locked");
            return Ok(());
        }
    }
    let profile = args.name.as_deref().or(option);
    let reply = Asker::new(&agent, &args.code, false)?
        .get(|ask, _| Request::Unlock { profile: profile.map(str::to_owned), ask })?;
    match reply {
        Reply::Unlocked { .. } | Reply::Session(_) => output::words("unlocked"),
        _ => return Err(unexpected()),
    }
    Ok(())
}
