//! The console's sign-in: credentials become a token, and a link with the token signs in, once.

use crate::clock::Seconds;
use crate::random;
use crate::request::Request;
use crate::world::{CredentialKind, Identity, World};

/// How long a link can be opened.
const OPENS_FOR: Seconds = 15 * 60;

/// A body and its type, or a status and what is wrong.
type Page = Result<(&'static str, String), (u16, String)>;

pub(crate) fn answer(world: &mut World, request: &Request, now: Seconds) -> Page {
    match request.action() {
        "getSigninToken" => token(world, request, now),
        "login" => login(world, request, now),
        action => Err((400, format!("no action {action}"))),
    }
}

/// Takes the credentials of a role or of a federated user, and no others.
fn token(world: &mut World, request: &Request, now: Seconds) -> Page {
    let refused = |why: &str| Err((400, why.to_owned()));
    let session = request.parameters.get("Session").unwrap_or_default();
    let Ok(session) = serde_json::from_str::<serde_json::Value>(session) else {
        return refused("Session is no JSON");
    };
    let field = |name: &str| session[name].as_str().unwrap_or_default().to_owned();
    let Some(credential) = world.credentials.get(&field("sessionId")) else {
        return refused("no such session");
    };
    let CredentialKind::Session { token, expires_at, identity, .. } = &credential.kind else {
        return refused("a long-term key");
    };
    if credential.secret != field("sessionKey") || *token != field("sessionToken") || *expires_at <= now {
        return refused("not the session's, or over");
    }
    let with_duration = request.parameters.get("SessionDuration").is_some();
    match identity {
        Identity::User(_) => return refused("a session of GetSessionToken"),
        // Those that a long-term key assumed may have one; this is on the safe side.
        _ if with_duration => return refused("SessionDuration is not for these"),
        Identity::Role { .. } | Identity::Federated { .. } => {}
    }
    let identity = identity.clone();
    let token = random::token();
    world.sign_in_tokens.insert(token.clone(), (identity, now + OPENS_FOR));
    Ok(("application/json", serde_json::json!({ "SigninToken": token }).to_string()))
}

/// AWS would send the browser on to the destination; here a page says who is signed in.
fn login(world: &mut World, request: &Request, now: Seconds) -> Page {
    let parameter = |name: &str| request.parameters.get(name).unwrap_or_default();
    let signed_in = world.sign_in_tokens.remove(parameter("SigninToken"));
    let Some((identity, _)) = signed_in.filter(|(_, until)| now < *until) else {
        return Err((400, "the link is over, or was used".to_owned()));
    };
    let may = match identity {
        Identity::Federated { with_policy: false, .. } => "who may do nothing ",
        _ => "",
    };
    Ok(("text/plain", format!("{} {may}at {}\n", world.arn(&identity), parameter("Destination"))))
}
