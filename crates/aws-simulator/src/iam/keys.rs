//! Access keys.

use super::existing_user;
use crate::action::Invocation;
use crate::answer::{Answer, Failure};
use crate::clock::iso;
use crate::random;
use crate::validation::{ACCESS_KEY_ID, Validation};
use crate::world::{Credential, CredentialKind, UserName};
use crate::xml::{element, leaf};

/// How many a user may have.
const MOST: usize = 2;

pub(crate) fn create(invocation: &mut Invocation) -> Answer {
    let user = existing_user(invocation, "iam:CreateAccessKey")?;
    let is_his = |credential: &&Credential| credential.is_key_of(&user);
    if invocation.world.credentials.values().filter(is_his).count() >= MOST {
        let message = format!("Cannot exceed quota for AccessKeysPerUser: {MOST}");
        return Err(Failure::new(409, "LimitExceeded", message));
    }
    let (id, secret) = (random::identifier("AKIA"), random::secret());
    let kind = CredentialKind::LongTerm {
        user: user.clone(),
        active: true,
        created_at: invocation.now,
        last_used: None,
        unknown_for: invocation.world.new_keys_unknown_for,
    };
    invocation.world.credentials.insert(id.clone(), Credential { secret: secret.clone(), kind });
    let inner = leaf("UserName", &user.name)
        + &leaf("AccessKeyId", &id)
        + &leaf("Status", "Active")
        + &leaf("SecretAccessKey", &secret)
        + &leaf("CreateDate", &iso(invocation.now));
    Ok(element("AccessKey", &inner))
}

pub(crate) fn list(invocation: &mut Invocation) -> Answer {
    let user = existing_user(invocation, "iam:ListAccessKeys")?;
    let mut members = String::new();
    for (id, credential) in &invocation.world.credentials {
        let CredentialKind::LongTerm { user: owner, active, created_at, .. } = &credential.kind else {
            continue;
        };
        if *owner == user {
            let inner = leaf("UserName", &user.name)
                + &leaf("AccessKeyId", id)
                + &leaf("Status", if *active { "Active" } else { "Inactive" })
                + &leaf("CreateDate", &iso(*created_at));
            members += &element("member", &inner);
        }
    }
    Ok(element("AccessKeyMetadata", &members) + &leaf("IsTruncated", "false"))
}

pub(crate) fn update(invocation: &mut Invocation) -> Answer {
    let (user, id) = key(invocation, "iam:UpdateAccessKey")?;
    let status = invocation.parameters.get("Status").unwrap_or_default().to_owned();
    let now_active = match status.as_str() {
        "Active" => true,
        "Inactive" => false,
        _ => return Err(Failure::validation("Member must satisfy enum value set: [Active, Inactive]")),
    };
    match invocation.world.credentials.get_mut(&id) {
        Some(credential) if credential.is_key_of(&user) => {
            if let CredentialKind::LongTerm { active, .. } = &mut credential.kind {
                *active = now_active;
            }
            Ok(String::new())
        }
        _ => Err(no_key(&id)),
    }
}

pub(crate) fn delete(invocation: &mut Invocation) -> Answer {
    let (user, id) = key(invocation, "iam:DeleteAccessKey")?;
    match invocation.world.credentials.get(&id) {
        Some(credential) if credential.is_key_of(&user) => {
            invocation.world.credentials.remove(&id);
            Ok(String::new())
        }
        _ => Err(no_key(&id)),
    }
}

/// Of a key that was never used AWS says `N/A` and no date.
pub(crate) fn last_used(invocation: &mut Invocation) -> Answer {
    let (_, id) = key(invocation, "iam:GetAccessKeyLastUsed")?;
    let Some(CredentialKind::LongTerm { user, last_used, .. }) =
        invocation.world.credentials.get(&id).map(|credential| &credential.kind)
    else {
        return Err(no_key(&id));
    };
    let used = match last_used {
        Some((at, service)) => {
            leaf("LastUsedDate", &iso(*at)) + &leaf("ServiceName", service) + &leaf("Region", "us-east-1")
        }
        None => leaf("ServiceName", "N/A") + &leaf("Region", "N/A"),
    };
    Ok(leaf("UserName", &user.name) + &element("AccessKeyLastUsed", &used))
}

/// The user and the key that an action is about.
fn key(invocation: &mut Invocation, permission: &str) -> Result<(UserName, String), Failure> {
    let mut validation = Validation::of(invocation.parameters);
    let id = validation.required("AccessKeyId", &ACCESS_KEY_ID).to_owned();
    validation.finish()?;
    Ok((existing_user(invocation, permission)?, id))
}

fn no_key(id: &str) -> Failure {
    Failure::new(404, "NoSuchEntity", format!("The Access Key with id {id} cannot be found."))
}
