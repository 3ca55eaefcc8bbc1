//! The actions of IAM.

use crate::action::Invocation;
use crate::answer::{Answer, Failure};
use crate::clock::iso;
use crate::world::{CredentialKind, UserName};
use crate::xml::{element, leaf};

pub(crate) fn get_user(invocation: &mut Invocation) -> Answer {
    let user = existing_user(invocation, "iam:GetUser")?;
    let record = &invocation.world.users[&user];
    let inner = leaf("Path", "/")
        + &leaf("UserName", &user.name)
        + &leaf("UserId", &record.id)
        + &leaf("Arn", &user.arn())
        + &leaf("CreateDate", &iso(record.created_at));
    Ok(element("User", &inner))
}

pub(crate) fn list_mfa_devices(invocation: &mut Invocation) -> Answer {
    let user = existing_user(invocation, "iam:ListMFADevices")?;
    let devices = invocation.world.devices.iter().filter(|(_, device)| device.owner == user);
    let members = devices.map(|(serial, device)| {
        let inner = leaf("UserName", &user.name)
            + &leaf("SerialNumber", serial)
            + &leaf("EnableDate", &iso(device.enabled_at));
        element("member", &inner)
    });
    Ok(element("MFADevices", &members.collect::<String>()) + &leaf("IsTruncated", "false"))
}

pub(crate) fn list_access_keys(invocation: &mut Invocation) -> Answer {
    let user = existing_user(invocation, "iam:ListAccessKeys")?;
    let mut members = String::new();
    for (id, credential) in &invocation.world.credentials {
        let CredentialKind::LongTerm { user: owner, active, created_at } = &credential.kind else { continue };
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

/// The user the action is about, if the caller may do that and the user exists.
fn existing_user(invocation: &Invocation, permission: &str) -> Result<UserName, Failure> {
    let user = invocation.subject()?;
    invocation.authorize(permission, &format!("user {}", user.name))?;
    if invocation.world.users.contains_key(&user) {
        return Ok(user);
    }
    let message = format!("The user with name {} cannot be found.", user.name);
    Err(Failure::new(404, "NoSuchEntity", message))
}
