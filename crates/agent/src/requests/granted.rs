//! What is answered on a granted socket. Whatever is not named here is refused, and what is refused is refused with
//! the same words, so that they tell nothing of what there is.

use std::sync::Arc;

use protocol::{Ask, Credentials, NamedRole, Profile, Refusal, Reply, Request, Status};

use super::{Identity, as_many_as_fit, result, status, subject};
use crate::clock::Now;
use crate::journal::Peer;
use crate::platform;
use crate::profile;
use crate::sessions::{Sessions, not_configured};

/// What the log calls a request that is not granted: its own words are the asker's, who may choose many.
const NOT_COVERED: &str = "what is not granted";

/// Answers a request by a grant, and notes who asked for what.
pub async fn answer(
    sessions: &Arc<Sessions>,
    identity: &Identity,
    peer: &Peer,
    number: u64,
    request: Request,
) -> Reply {
    let granted = |now| sessions.state().sockets.get_mut(number, now).map(|granted| granted.profiles.clone());
    let Some(profiles) = granted(Now::read()) else { return Reply::Refused(Refusal::GrantOver) };
    let subject = subject(&request);
    let reply = within(sessions, identity, peer, number, &profiles, request).await;
    let reply = reply.unwrap_or_else(Reply::Refused);
    let now = Now::read();
    let mut state = sessions.state();
    let Some(granted) = state.sockets.get_mut(number, now) else {
        // Taken back while it was worked on.
        return Reply::Refused(Refusal::GrantOver);
    };
    let event = match (&reply, subject) {
        (Reply::Refused(Refusal::NotAtHand), _) => None,
        (Reply::Refused(Refusal::NotGranted { .. }), _) => Some(format!("{NOT_COVERED}: refused")),
        (_, Some(subject)) => Some(format!("{subject}: {}", result(&reply))),
        (_, None) => None,
    };
    let event = event.filter(|event| granted.is_news(event, now));
    if matches!(reply, Reply::Credentials(_) | Reply::Shell(protocol::ShellState::Ready { .. })) {
        granted.used(now);
    }
    if let Some(event) = event {
        state.journal.note(now, peer, event);
    }
    reply
}

async fn within(
    sessions: &Arc<Sessions>,
    identity: &Identity,
    peer: &Peer,
    number: u64,
    profiles: &[String],
    request: Request,
) -> Result<Reply, Refusal> {
    let refused = || Refusal::NotGranted { profiles: profiles.to_owned(), host: platform::host() };
    let is_granted = |profile: &String| profiles.contains(profile);
    // The one that is meant. What is not granted is refused before anybody looks whether it exists. Which profile a
    // role is assumed from is nothing that is known elsewhere.
    let meant = |profile: Option<String>| match profile {
        None => profiles.first().cloned().ok_or_else(refused),
        Some(profile) if is_granted(&profile) => Ok(profile),
        Some(profile) => {
            let is_it = |granted: &&String| NamedRole::of(granted).is_some_and(|role| role.arn == profile);
            profiles.iter().find(is_it).cloned().ok_or_else(refused)
        }
    };
    match request {
        Request::Credentials { profile, replaces, min_ttl, ask: Ask::AtHand, duration: _ } => {
            let (profile, replaces) = (meant(profile)?, replaces.filter(is_granted));
            let at_hand = sessions.at_hand(peer, Some(&profile), replaces.as_deref(), min_ttl).await;
            let credentials = at_hand.ok_or(Refusal::NotAtHand)?;
            // A lease is a file of this host's, for this host's shells.
            Ok(Reply::Credentials(Credentials { lease: None, ..credentials }))
        }
        // Codes are asked for where the agent runs, whatever this client can do.
        Request::Credentials { profile, replaces, min_ttl, ask: _, duration: _ } => {
            let (profile, replaces) = (meant(profile)?, replaces.filter(is_granted));
            let credentials =
                sessions.granted_credentials(number, peer, &profile, replaces.as_deref(), min_ttl).await;
            credentials.map(Reply::Credentials)
        }
        Request::Session { profile, force, ask: _, duration: _ } => {
            sessions.granted_session(&meant(profile)?, force).await.map(Reply::Session)
        }
        Request::Shell { profile, live: false } => {
            sessions.granted_shell(peer, &meant(Some(profile))?).await.map(Reply::Shell)
        }
        Request::Given { profile } => {
            let profile = meant(Some(profile))?;
            sessions.given(&profile).await.map_err(|_| not_configured(&profile))
        }
        Request::Profiles { after } => {
            let files = sessions.files().await.map_err(|_| not_configured(&profiles[0]))?;
            let is_next = |name: &&String| after.as_ref().is_none_or(|after| *name > after);
            let roles = profiles.iter().filter(|name| NamedRole::of(name).is_some()).filter(is_next);
            let roles = roles.map(|name| profile::described_role(&files, name));
            let listed = profile::list(&files, after.as_deref()).into_iter();
            let mut listed: Vec<_> =
                listed.filter(|profile| is_granted(&profile.name)).chain(roles).collect();
            listed.sort_by(|one, other| one.name.cmp(&other.name));
            let listed = listed.into_iter().map(|profile| Profile {
                problem: profile.problem.map(|_| not_configured(&profile.name)),
                name: profile.name,
                region: profile.region,
                source_profile: None,
                role_arn: None,
                serial: None,
                keyring_seed: false,
                recent: None,
            });
            Ok(Reply::Profiles(as_many_as_fit(listed)))
        }
        Request::Status => {
            let now = Now::read();
            let held = sessions.state().describe(now).into_iter().filter_map(|mut session| {
                session.profiles.retain(is_granted);
                session.next_notification = None;
                (!session.profiles.is_empty()).then_some(session)
            });
            let socket =
                sessions.state().sockets.get_mut(number, now).map(|granted| granted.describe(number, now));
            let socket = socket.ok_or(Refusal::GrantOver)?;
            Ok(Reply::Status(Status {
                environment: std::collections::BTreeMap::new(),
                config_files: Vec::new(),
                memory: None,
                waiting: 0,
                sessions: as_many_as_fit(held),
                left_out: 0,
                live: None,
                grants: Vec::new(),
                socket: socket.socket.clone(),
                sockets: vec![socket],
                ..status(sessions, identity)
            }))
        }
        _ => Err(refused()),
    }
}
