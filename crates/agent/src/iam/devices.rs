//! MFA devices.

use aws_sdk_iam::Client;
use aws_sdk_iam::types::AssignmentStatusType;
use protocol::{IamAnswer, MfaDevice, Secret};

use super::{missing, seconds};
use crate::sts::{CallError, call_error};

/// How many unassigned devices are named: those of one user are few.
const MOST: usize = 32;

/// The devices that a user has: at most eight.
pub async fn list(client: &Client, user: Option<&str>) -> Result<Vec<MfaDevice>, CallError> {
    let output = client.list_mfa_devices().set_user_name(user.map(str::to_owned)).send().await;
    let devices = output.map_err(|error| call_error(&error))?.mfa_devices;
    let described = devices
        .into_iter()
        .map(|device| MfaDevice { enabled_at: seconds(&device.enable_date), serial: device.serial_number });
    Ok(described.collect())
}

/// The virtual devices that nobody has and whose name begins so.
pub async fn list_unassigned(client: &Client, name: &str) -> Result<Vec<String>, CallError> {
    let mut found = Vec::new();
    let mut marker = None;
    loop {
        let output = client
            .list_virtual_mfa_devices()
            .assignment_status(AssignmentStatusType::Unassigned)
            .set_marker(marker)
            .send()
            .await
            .map_err(|error| call_error(&error))?;
        let serials = output.virtual_mfa_devices.into_iter().map(|device| device.serial_number);
        let begins = |serial: &String| {
            serial
                .split_once(":mfa/")
                .is_some_and(|(_, path)| path.rsplit('/').next().is_some_and(|last| last.starts_with(name)))
        };
        found.extend(serials.filter(begins));
        marker = output.marker.filter(|_| output.is_truncated);
        if marker.is_none() || found.len() >= MOST {
            found.truncate(MOST);
            return Ok(found);
        }
    }
}

/// Makes a virtual device.
pub async fn create(client: &Client, name: &str) -> Result<IamAnswer, CallError> {
    let output = client.create_virtual_mfa_device().virtual_mfa_device_name(name).send().await;
    let device = output.map_err(|error| call_error(&error))?.virtual_mfa_device;
    let device = device.ok_or_else(|| missing("a device"))?;
    // The bytes of the blob become the text, and are wiped with it.
    let seed = device.base32_string_seed.ok_or_else(|| missing("a seed"))?;
    let seed = String::from_utf8(seed.into_inner()).map_err(|_| missing("a seed in base32"))?;
    let seed = Secret::new(seed);
    let is_base32 = |byte: u8| matches!(byte, b'A'..=b'Z' | b'2'..=b'7' | b'=');
    if seed.expose().is_empty() || !seed.expose().bytes().all(is_base32) {
        return Err(missing("a seed in base32"));
    }
    Ok(IamAnswer::VirtualMfaDevice { serial: device.serial_number, seed })
}

/// Gives a device to a user.
pub async fn enable(
    client: &Client,
    user: &str,
    serial: &str,
    [first, second]: &[Secret; 2],
) -> Result<(), CallError> {
    let call = client.enable_mfa_device().user_name(user).serial_number(serial);
    let call = call.authentication_code1(first.expose()).authentication_code2(second.expose());
    call.send().await.map(|_| ()).map_err(|error| call_error(&error))
}

/// Finds out how far a device's clock is off.
pub async fn resync(
    client: &Client,
    user: &str,
    serial: &str,
    [first, second]: &[Secret; 2],
) -> Result<(), CallError> {
    let call = client.resync_mfa_device().user_name(user).serial_number(serial);
    let call = call.authentication_code1(first.expose()).authentication_code2(second.expose());
    call.send().await.map(|_| ()).map_err(|error| call_error(&error))
}

/// Takes a device from a user.
pub async fn deactivate(client: &Client, user: &str, serial: &str) -> Result<(), CallError> {
    let call = client.deactivate_mfa_device().user_name(user).serial_number(serial);
    call.send().await.map(|_| ()).map_err(|error| call_error(&error))
}

/// Deletes a virtual device that nobody has.
pub async fn delete(client: &Client, serial: &str) -> Result<(), CallError> {
    let call = client.delete_virtual_mfa_device().serial_number(serial);
    call.send().await.map(|_| ()).map_err(|error| call_error(&error))
}
