//! `mfa-agent logout`: forgets sessions, or ends live access to them.

use protocol::{Reply, Request};

use crate::agent::{Agent, unexpected};
use crate::args::Logout;
use crate::environment::Environment;
use crate::failure::Failure;
use crate::message::{self, counted};
use crate::output;

pub fn run(args: &Logout, option: Option<&str>, environment: &Environment) -> Result<(), Failure> {
    let request = if let Some(grants) = &args.live {
        Request::Revoke { grants: grants.clone() }
    } else {
        let profiles = match args.names.as_slice() {
            _ if args.all => Vec::new(),
            [] => environment.profile(option, args.source.as_deref())?.into_iter().collect(),
            names => environment.profiles(names, args.source.as_deref())?,
        };
        Request::Logout { profiles, all: args.all }
    };
    match Agent::locate(environment)?.ask_running(request)? {
        None => output::words("nothing to forget: no agent is running"),
        Some(Reply::LoggedOut { sessions: 0, grants: 0 }) => output::words("nothing to forget"),
        Some(Reply::LoggedOut { sessions, grants: 0 }) => {
            output::words(&format!("{} forgotten", counted(sessions, "session")));
        }
        Some(Reply::LoggedOut { sessions, grants }) => {
            let (sessions, grants) = (counted(sessions, "session"), counted(grants, "live access"));
            output::words(&format!("{sessions} forgotten, {grants} ended"));
        }
        Some(Reply::Revoked { grants: 0 }) => output::words("no live access to end"),
        Some(Reply::Revoked { grants }) => {
            output::words(&format!("{} ended", counted(grants, "live access")));
        }
        Some(Reply::Refused(refusal)) => return Err(message::refused(&refusal)),
        Some(_) => return Err(unexpected()),
    }
    Ok(())
}
