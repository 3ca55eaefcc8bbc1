//! `mfa-agent agent grant`: a socket for another host or a container, and its end.

use protocol::role::shown_all;
use protocol::{GrantedSocket, Reply, Request};

use crate::agent::{Agent, unexpected};
use crate::args::{Grant, Revoke};
use crate::environment::Environment;
use crate::failure::{Exit, Failure};
use crate::message::{self, counted};
use crate::shell::word;
use crate::{clock, output, platform};

/// Prints the path of a new socket, and says how it is used.
pub fn grant(args: &Grant, environment: &Environment) -> Result<(), Failure> {
    let named: Vec<String> = args.names.iter().chain(&args.more).cloned().collect();
    let profiles = environment.profiles(&named, args.source.as_deref())?;
    let request = Request::Grant { profiles, duration: Some(args.expires) };
    let socket = match Agent::locate(environment)?.ask(request, None)?.reply {
        Reply::Granted(socket) => socket,
        Reply::Refused(refusal) => return Err(message::refused(&refusal)),
        _ => return Err(unexpected()),
    };
    output::data(format!("{}\n", socket.socket).as_bytes())?;
    output::words(&described(&socket));
    if platform::stdout_is_terminal() {
        let path = word(&socket.socket);
        output::words(&format!(
            "hint: ssh -R /run/user/1000/mfa-agent.sock:{path} HOST, with your uid there"
        ));
        output::words("hint: on HOST: export MFA_AGENT_SOCK=/run/user/1000/mfa-agent.sock");
    }
    Ok(())
}

fn described(socket: &GrantedSocket) -> String {
    let GrantedSocket { number, profiles, expires_at, .. } = socket;
    let (profiles, until) = (shown_all(profiles), clock::day_and_time(*expires_at, clock::now()));
    format!("grant {number} gives out {profiles} until {until}; mfa-agent agent revoke {number} ends it")
}

/// Ends grants.
pub fn revoke(args: &Revoke, environment: &Environment) -> Result<(), Failure> {
    let agent = Agent::locate(environment)?;
    let grants = if args.all {
        let status = agent.status()?;
        status.into_iter().flat_map(|status| status.sockets).map(|socket| socket.number).collect()
    } else {
        args.numbers.clone()
    };
    // Without numbers it would be all of live access.
    let reply = if grants.is_empty() { None } else { agent.ask_running(Request::Revoke { grants })? };
    match reply {
        None if args.all => output::words("no grant to end"),
        None | Some(Reply::Revoked { grants: 0 }) => {
            return Err(
                Failure::new(Exit::Failed, "there is no such grant").hint("mfa-agent status lists them")
            );
        }
        Some(Reply::Revoked { grants }) => output::words(&format!("{} ended", counted(grants, "grant"))),
        Some(Reply::Refused(refusal)) => return Err(message::refused(&refusal)),
        Some(_) => return Err(unexpected()),
    }
    Ok(())
}
