//! `mfa-agent logout`: forgets sessions.

use protocol::{Reply, Request};

use crate::agent::{Agent, unexpected};
use crate::args::Logout;
use crate::environment::Environment;
use crate::failure::Failure;
use crate::message::{self, counted};
use crate::output;

pub fn run(args: &Logout, option: Option<&str>, environment: &Environment) -> Result<(), Failure> {
    let profiles = match args.names.as_slice() {
        _ if args.all => Vec::new(),
        [] => environment.profile(option)?.into_iter().collect(),
        names => names.to_vec(),
    };
    let request = Request::Logout { profiles, all: args.all };
    match Agent::locate(environment)?.ask_running(request)? {
        None => output::words("nothing to forget: no agent is running"),
        Some(Reply::LoggedOut { sessions: 0 }) => output::words("nothing to forget"),
        Some(Reply::LoggedOut { sessions }) => {
            output::words(&format!("{} forgotten", counted(sessions, "session")));
        }
        Some(Reply::Refused(refusal)) => return Err(message::refused(&refusal)),
        Some(_) => return Err(unexpected()),
    }
    Ok(())
}
