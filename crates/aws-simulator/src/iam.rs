//! The actions of IAM. Each group has a file of its own.

pub(crate) mod account;
pub(crate) mod devices;
pub(crate) mod keys;
pub(crate) mod policies;

use crate::action::Invocation;
use crate::answer::{Answer, Failure};
use crate::clock::iso;
use crate::world::UserName;
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
