//! `mfa-agent device remove`

use protocol::{IamAnswer, IamCall, Refusal, Signed};

use super::{User, add, has_code, is_denied, is_meant, is_security_key, name, setting};
use crate::args::DeviceRemove;
use crate::failure::{Exit, Failure};
use crate::iam::Iam;
use crate::platform::Terminal;
use crate::{interview, message, output};

pub fn run(iam: &mut Iam<'_>, user: &mut User, args: &DeviceRemove) -> Result<(), Failure> {
    let enabled = user.devices.iter().find(|device| is_meant(&device.serial, &args.device));
    let enabled = enabled.map(|device| device.serial.clone());
    let serial = if let Some(serial) = &enabled {
        serial.clone()
    } else {
        // Broken off halfway, or never enabled.
        let half_done = User::half_done(iam, name(&args.device))?;
        let found = half_done.into_iter().find(|serial| is_meant(serial, &args.device));
        found.ok_or_else(|| add::unknown(user, &args.device))?
    };
    if !args.yes {
        agree(user, &serial, enabled.is_some())?;
    }
    if enabled.is_some() {
        let call = IamCall::DeactivateMfaDevice { user: user.name.clone(), serial: serial.clone() };
        let signed = if args.long_term { Signed::LongTerm } else { Signed::Session };
        match iam.try_call(&signed, &call)? {
            Ok(_) => {}
            // Another run of this was faster.
            Err(refusal) if has_code(&refusal, "NoSuchEntity") => {}
            Err(refusal) => return Err(message::refused(&refusal)),
        }
    }
    if serial.contains(":mfa/") {
        match delete(iam, &serial)? {
            Ok(_) => {}
            Err(refusal) if has_code(&refusal, "NoSuchEntity") => {}
            Err(refusal) if is_denied(&refusal) || matches!(refusal, Refusal::NoDevice { .. }) => {
                let what = format!("AWS lets {} be deleted with MFA alone", name(&serial));
                return Err(Failure::new(Exit::Aws, what)
                    .hint("with another device: mfa-agent device add, then this again"));
            }
            Err(refusal) => return Err(message::refused(&refusal)),
        }
    }
    output::words(&format!("{} is no MFA device of {} any more", name(&serial), user.name));
    let profile = iam.signer().to_owned();
    setting::forget(&profile, &serial)
}

/// With the key alone where that may be; else with the session, which is valid though its device is gone.
fn delete(iam: &mut Iam<'_>, serial: &str) -> Result<Result<IamAnswer, Refusal>, Failure> {
    let call = IamCall::DeleteVirtualMfaDevice { serial: serial.to_owned() };
    match iam.try_call(&Signed::LongTerm, &call)? {
        Err(refusal) if is_denied(&refusal) => iam.try_call(&Signed::Session, &call),
        answer => Ok(answer),
    }
}

fn agree(user: &User, serial: &str, enabled: bool) -> Result<(), Failure> {
    let terminal = Terminal::open().ok_or_else(|| {
        Failure::new(Exit::Usage, format!("{} is not removed unasked, and nobody can be asked", name(serial)))
            .hint("--yes removes it")
    })?;
    let is_last = user.usable().all(|device| device.serial == serial);
    if enabled && is_last && !is_security_key(serial) {
        terminal.write(&format!(
            "{} has no other device: where a policy demands MFA, all that is left is to add one.\n",
            user.name
        ));
    }
    if interview::agrees(&terminal, &format!("Remove {}?", name(serial)))? {
        Ok(())
    } else {
        Err(Failure::cancelled())
    }
}
