//! MFA devices.

use super::existing_user;
use crate::action::Invocation;
use crate::answer::{Answer, Failure};
use crate::base::{base32, base64};
use crate::clock::iso;
use crate::totp;
use crate::validation::{DEVICE_NAME, SERIAL_NUMBER, TOKEN_CODE, Validation};
use crate::world::{Device, UserName};
use crate::xml::{element, leaf};

/// How many a user can have.
const MOST: usize = 8;

/// How many steps the clock of a device may be off when it is enabled, and when it is resynchronized.
const REACH: i64 = 1;
const RESYNC_REACH: i64 = 60;

pub(crate) fn list(invocation: &mut Invocation) -> Answer {
    let user = existing_user(invocation, "iam:ListMFADevices")?;
    let mut members = String::new();
    for (serial, device) in &invocation.world.devices {
        let Some((_, enabled_at)) = device.owner.as_ref().filter(|(owner, _)| *owner == user) else {
            continue;
        };
        let inner = leaf("UserName", &user.name)
            + &leaf("SerialNumber", serial)
            + &leaf("EnableDate", &iso(*enabled_at));
        members += &element("member", &inner);
    }
    Ok(element("MFADevices", &members) + &leaf("IsTruncated", "false"))
}

/// All of the account, page by page.
pub(crate) fn list_virtual(invocation: &mut Invocation) -> Answer {
    invocation.authorize("iam:ListVirtualMFADevices", "*")?;
    let wanted = match invocation.parameters.get("AssignmentStatus") {
        None | Some("Any") => None,
        Some("Assigned") => Some(true),
        Some("Unassigned") => Some(false),
        Some(other) => return Err(Failure::validation(format!("{other} is no AssignmentStatus"))),
    };
    let most = invocation.parameters.get("MaxItems").and_then(|text| text.parse().ok()).unwrap_or(100);
    let after = invocation.parameters.get("Marker").unwrap_or_default();
    let prefix = format!("arn:aws:iam::{}:mfa/", invocation.world.account(&invocation.caller.identity));
    let mut found = invocation.world.devices.iter().filter(|(serial, device)| {
        let status = wanted.is_none_or(|assigned| device.owner.is_some() == assigned);
        serial.starts_with(&prefix) && serial.as_str() > after && status
    });
    let (mut members, mut last) = (String::new(), "");
    for (serial, device) in found.by_ref().take(most) {
        let mut inner = leaf("SerialNumber", serial);
        if let Some((owner, enabled_at)) = &device.owner {
            inner += &element("User", &(leaf("UserName", &owner.name) + &leaf("Arn", &owner.arn())));
            inner += &leaf("EnableDate", &iso(*enabled_at));
        }
        members += &element("member", &inner);
        last = serial;
    }
    let more = found.next().is_some();
    let marker = if more { leaf("Marker", last) } else { String::new() };
    Ok(element("VirtualMFADevices", &members) + &leaf("IsTruncated", &more.to_string()) + &marker)
}

pub(crate) fn create(invocation: &mut Invocation) -> Answer {
    let mut validation = Validation::of(invocation.parameters);
    let name = validation.required("VirtualMFADeviceName", &DEVICE_NAME);
    validation.finish()?;
    let serial = format!("arn:aws:iam::{}:mfa/{name}", invocation.world.account(&invocation.caller.identity));
    invocation.authorize("iam:CreateVirtualMFADevice", &serial)?;
    if invocation.world.devices.contains_key(&serial) {
        let message = "MFADevice entity at the same path and name already exists.";
        return Err(Failure::new(409, "EntityAlreadyExists", message));
    }
    let device = Device::new();
    // The text in base32 is itself sent in base64. The picture that AWS sends beside it is left out.
    let seed = base64(base32(&device.seed).as_bytes());
    invocation.world.devices.insert(serial.clone(), device);
    Ok(element("VirtualMFADevice", &(leaf("SerialNumber", &serial) + &leaf("Base32StringSeed", &seed))))
}

pub(crate) fn enable(invocation: &mut Invocation) -> Answer {
    let (serial, codes) = pair(invocation)?;
    let user = existing_user(invocation, "iam:EnableMFADevice")?;
    let (now, devices) = (invocation.now, &mut invocation.world.devices);
    let has = devices.values().filter(|device| device.is_of(&user)).count();
    let device = devices.get_mut(serial).ok_or_else(|| unknown(serial))?;
    if device.owner.is_some() {
        let message = format!("MFA device is already in use: {serial}");
        return Err(Failure::new(409, "EntityAlreadyExists", message));
    }
    if has >= MOST {
        let message = format!("Cannot exceed quota for MFADevicesPerUser: {MOST}");
        return Err(Failure::new(409, "LimitExceeded", message));
    }
    let current = totp::step_at(now);
    let step = totp::accepted_pair(&device.seed, device.last_accepted, codes, current, REACH);
    device.last_accepted = Some(step.ok_or_else(wrong_pair)?);
    device.owner = Some((user, now));
    Ok(String::new())
}

pub(crate) fn resync(invocation: &mut Invocation) -> Answer {
    let (serial, codes) = pair(invocation)?;
    let user = existing_user(invocation, "iam:ResyncMFADevice")?;
    let current = totp::step_at(invocation.now);
    let device = own(invocation, &user, serial)?;
    let step = totp::accepted_pair(&device.seed, device.last_accepted, codes, current, RESYNC_REACH);
    let step = step.ok_or_else(wrong_pair)?;
    (device.last_accepted, device.ahead) = (Some(step), step - current);
    Ok(String::new())
}

pub(crate) fn deactivate(invocation: &mut Invocation) -> Answer {
    let mut validation = Validation::of(invocation.parameters);
    let serial = validation.required("SerialNumber", &SERIAL_NUMBER);
    validation.finish()?;
    let user = existing_user(invocation, "iam:DeactivateMFADevice")?;
    let device = own(invocation, &user, serial)?;
    device.owner = None;
    Ok(String::new())
}

pub(crate) fn delete(invocation: &mut Invocation) -> Answer {
    let mut validation = Validation::of(invocation.parameters);
    let serial = validation.required("SerialNumber", &SERIAL_NUMBER);
    validation.finish()?;
    invocation.authorize("iam:DeleteVirtualMFADevice", serial)?;
    match invocation.world.devices.get(serial) {
        Some(device) if device.owner.is_some() => {
            let message = "MFA VirtualDevice in use. Must deactivate first.";
            Err(Failure::new(409, "DeleteConflict", message))
        }
        Some(_) if serial.contains(":mfa/") => {
            invocation.world.devices.remove(serial);
            Ok(String::new())
        }
        _ => Err(unknown(serial)),
    }
}

/// The serial number and the two codes of a request.
fn pair<'a>(invocation: &Invocation<'a>) -> Result<(&'a str, [&'a str; 2]), Failure> {
    let mut validation = Validation::of(invocation.parameters);
    let serial = validation.required("SerialNumber", &SERIAL_NUMBER);
    let codes =
        ["AuthenticationCode1", "AuthenticationCode2"].map(|name| validation.required(name, &TOKEN_CODE));
    validation.finish()?;
    Ok((serial, codes))
}

fn own<'a>(invocation: &'a mut Invocation, user: &UserName, serial: &str) -> Result<&'a mut Device, Failure> {
    let device = invocation.world.devices.get_mut(serial).filter(|device| device.is_of(user));
    device.ok_or_else(|| unknown(serial))
}

fn unknown(serial: &str) -> Failure {
    let message = format!("VirtualMFADevice with serial number {serial} doesn't exist.");
    Failure::new(404, "NoSuchEntity", message)
}

fn wrong_pair() -> Failure {
    Failure::new(403, "InvalidAuthenticationCode", "Authentication code for device is not valid.")
}
