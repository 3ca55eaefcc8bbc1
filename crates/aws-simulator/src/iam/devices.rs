//! MFA devices.

use super::existing_user;
use crate::action::Invocation;
use crate::answer::Answer;
use crate::clock::iso;
use crate::xml::{element, leaf};

pub(crate) fn list(invocation: &mut Invocation) -> Answer {
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
