//! MFA devices.

use aws_sdk_iam::Client;
use protocol::MfaDevice;

use super::seconds;
use crate::sts::{CallError, call_error};

/// The devices that a user has: at most eight.
pub async fn list(client: &Client, user: Option<&str>) -> Result<Vec<MfaDevice>, CallError> {
    let output = client.list_mfa_devices().set_user_name(user.map(str::to_owned)).send().await;
    let devices = output.map_err(|error| call_error(&error))?.mfa_devices;
    let described = devices
        .into_iter()
        .map(|device| MfaDevice { enabled_at: seconds(&device.enable_date), serial: device.serial_number });
    Ok(described.collect())
}
