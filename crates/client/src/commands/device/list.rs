//! `mfa-agent device list`

use protocol::{MfaDevice, frame};
use serde::Serialize;

use super::{User, is_security_key, name};
use crate::failure::{Exit, Failure};
use crate::iam::Iam;
use crate::{clock, output, table};

/// What a program reads of a device.
#[derive(Serialize)]
struct Shown<'a> {
    serial: &'a str,
    kind: &'static str,
    /// Seconds since the epoch; none for one that was made and never enabled.
    enabled_at: Option<u64>,
}

pub fn run(iam: &mut Iam<'_>, user: &mut User, json: bool) -> Result<(), Failure> {
    let half_done = User::half_done(iam, &user.name)?;
    let enabled = user.devices.iter().map(|MfaDevice { serial, enabled_at }| Shown {
        serial,
        kind: kind(serial),
        enabled_at: Some(*enabled_at),
    });
    let half_done = half_done.iter().filter(|serial| is_of(serial, &user.name)).map(|serial| Shown {
        serial,
        kind: kind(serial),
        enabled_at: None,
    });
    let shown: Vec<Shown> = enabled.chain(half_done).collect();
    if json {
        let json = frame::pretty(&shown).map_err(|error| {
            Failure::new(Exit::Failed, format!("cannot write the devices as JSON: {error}"))
        })?;
        return output::data(&json);
    }
    if shown.is_empty() {
        output::words(&format!("{} has no MFA device; mfa-agent device add makes one", user.name));
        return Ok(());
    }
    let mut rows = vec![["DEVICE", "KIND", "SINCE"].map(str::to_owned)];
    rows.extend(shown.iter().map(|device| {
        let since = device.enabled_at.map_or_else(|| "never enabled".to_owned(), clock::date);
        [device.serial.to_owned(), device.kind.to_owned(), since]
    }));
    output::data(table::of(&rows).as_bytes())?;
    if shown.iter().any(|device| is_security_key(device.serial)) {
        output::words("a security key signs in to the console alone: STS takes no codes of it");
    }
    Ok(())
}

/// The name that `device add` gives, or one that it takes where that is taken.
pub fn is_of(serial: &str, user: &str) -> bool {
    let rest = name(serial).strip_prefix(user);
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('-'))
}

/// What a device is, by its serial.
fn kind(serial: &str) -> &'static str {
    if serial.contains(":mfa/") {
        "app"
    } else if is_security_key(serial) {
        "security key"
    } else {
        "token"
    }
}
