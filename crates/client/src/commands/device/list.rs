//! `mfa-agent device list`

use protocol::{MfaDevice, frame};
use serde::Serialize;

use super::User;
use crate::failure::{Exit, Failure};
use crate::iam::Iam;
use crate::{clock, output, table};

/// What a program reads of a device.
#[derive(Serialize)]
struct Shown<'a> {
    serial: &'a str,
    kind: &'static str,
    enabled_at: u64,
}

pub fn run(iam: &mut Iam<'_>, json: bool) -> Result<(), Failure> {
    let user = User::of(iam)?;
    let devices = user.devices(iam)?;
    if json {
        let shown: Vec<Shown> = devices
            .iter()
            .map(|MfaDevice { serial, enabled_at }| Shown {
                serial,
                kind: kind(serial),
                enabled_at: *enabled_at,
            })
            .collect();
        let json = frame::pretty(&shown).map_err(|error| {
            Failure::new(Exit::Failed, format!("cannot write the devices as JSON: {error}"))
        })?;
        return output::data(&json);
    }
    if devices.is_empty() {
        output::words(&format!("{} has no MFA device", user.name));
        return Ok(());
    }
    let mut rows = vec![["DEVICE", "KIND", "SINCE"].map(str::to_owned)];
    rows.extend(devices.iter().map(|device| {
        [device.serial.clone(), kind(&device.serial).to_owned(), clock::date(device.enabled_at)]
    }));
    output::data(table::of(&rows).as_bytes())
}

/// What a device is, by its serial.
fn kind(serial: &str) -> &'static str {
    if serial.contains(":mfa/") {
        "app"
    } else if serial.contains(":u2f/") {
        "security key"
    } else {
        "token"
    }
}
