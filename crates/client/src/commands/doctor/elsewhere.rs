//! Another host's agent, by a socket that was granted for a few profiles: what can be told of it from here.

use protocol::role::shown;
use protocol::{NamedRole, Refusal, Status};

use super::{Finding, agent};
use crate::{clock, message, span};

/// What it says by the grant.
pub struct Elsewhere {
    /// The socket as it is called here.
    pub socket: String,
    /// What it says of itself.
    pub status: Status,
    /// Its host.
    pub host: String,
    /// The profiles that it gives out, and how long each one's session lasts, in seconds, or why there is none.
    pub profiles: Vec<(String, Result<u64, Refusal>)>,
}

impl Elsewhere {
    /// What that means for `wanted`, or for all of them.
    pub fn findings(&self, wanted: Option<&str>, now: u64) -> Vec<Finding> {
        let Self { socket, status, host, profiles } = self;
        let mut findings = vec![
            Finding::ok("socket", socket.clone()),
            Finding::ok("agent", format!("on {host}, up {}", left(status.uptime))),
        ];
        let ours = env!("CARGO_PKG_VERSION");
        findings.push(if status.version == ours {
            Finding::ok("version", format!("{ours}, here and on {host}"))
        } else {
            let what = format!("the agent on {host} is {}, this mfa-agent is {ours}", status.version);
            Finding::warning("version", what, format!("install the same here and on {host}"))
        });
        if let Some(grant) = status.sockets.first() {
            findings.push(Finding::ok(
                "grant",
                format!("stands until {}", clock::day_and_time(now + grant.seconds_left, now)),
            ));
            // Its clock when it answered, and AWS's by that.
            let aws = status
                .clock_skew
                .map(|skew| (grant.expires_at - grant.seconds_left).saturating_add_signed(skew));
            let skew = aws.map(|aws| i64::try_from(aws).unwrap_or(0) - i64::try_from(now).unwrap_or(0));
            findings.extend(skew.map(agent::clock));
        }
        let is = |name: &str, wanted: &str| {
            name == wanted || NamedRole::of(name).is_some_and(|role| role.arn == wanted)
        };
        let mut meant =
            profiles.iter().filter(|(name, _)| wanted.is_none_or(|wanted| is(name, wanted))).peekable();
        if meant.peek().is_none() {
            let profiles = profiles.iter().map(|(name, _)| name.clone()).collect();
            let refusal = Refusal::NotGranted { profiles, host: host.clone() };
            findings.push(Finding::failure("profiles", &message::refused(&refusal)));
        }
        findings.extend(meant.map(|(name, session)| match session {
            Ok(seconds) => Finding::ok("session", format!("{}: {} left", shown(name), left(*seconds))),
            Err(refusal) => {
                let failure = message::refused(refusal);
                Finding::warning("session", failure.what.clone(), failure.what_to_do().unwrap_or_default())
            }
        }));
        findings
    }
}

fn left(seconds: u64) -> String {
    span::of(u32::try_from(seconds).unwrap_or(u32::MAX))
}
