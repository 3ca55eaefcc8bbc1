//! `mfa-agent login`: gets or renews sessions, and prints nothing secret.

use protocol::role::shown;
use protocol::{Reply, Request, Session};

use crate::agent::{Agent, unexpected};
use crate::args::Login;
use crate::clock;
use crate::environment::Environment;
use crate::failure::{Exit, Failure};
use crate::mfa::{Asker, Round};
use crate::output;
use crate::span;

pub fn run(args: &Login, option: Option<&str>, environment: &Environment) -> Result<(), Failure> {
    let agent = Agent::locate(environment)?;
    let profiles = match args.names.as_slice() {
        [] => vec![environment.profile(option, args.source.as_deref())?],
        names => environment.profiles(names, args.source.as_deref())?.into_iter().map(Some).collect(),
    };
    let mut asker = Asker::new(&agent, &args.code, false)?;
    let mut worst = Exit::Done;
    for profile in &profiles {
        let duration = asker.duration();
        let reply = asker.get(|ask, round| Request::Session {
            profile: profile.clone(),
            ask,
            // While we asked, somebody else opened a new one: that is new enough.
            force: args.force && round == Round::First,
            duration,
        });
        let failure = match reply {
            Ok(Reply::Session(session)) => {
                say(profile.as_deref(), &session, asker.has_unused_code());
                continue;
            }
            Ok(_) => unexpected(),
            Err(failure) => failure,
        };
        output::failure(&failure);
        worst = worst.max(failure.exit);
        if failure.exit == Exit::Cancelled {
            break;
        }
    }
    // Each was told in its place.
    if worst == Exit::Done { Ok(()) } else { Err(Failure::new(worst, String::new())) }
}

fn say(profile: Option<&str>, session: &Session, code_unused: bool) {
    let name = shown(profile.or(session.profiles.first().map(String::as_str)).unwrap_or("default"));
    let left = span::of(u32::try_from(session.seconds_left).unwrap_or(u32::MAX));
    let unused = if session.reused && code_unused { "; the code was not needed" } else { "" };
    output::words(&format!(
        "{name}: valid for {left} (until {}){unused}",
        clock::time_of_day(session.expires_at)
    ));
}
