//! `mfa-agent device add`, `activate` and `resync`: what takes two codes.

use protocol::{IamAnswer, IamCall, Refusal, Secret, Signed};

use super::codes::{self, Key};
use super::{User, has_code, is_denied, is_meant, is_security_key, name, setting};
use crate::agent::unexpected;
use crate::args::{DeviceAdd, DeviceNamed};
use crate::failure::{Exit, Failure};
use crate::iam::Iam;
use crate::platform::Terminal;
use crate::shell::word;
use crate::{interview, message, output};

/// How many devices AWS lets a user have.
const MOST: usize = 8;

/// Says whether there is a new device.
pub fn run(iam: &mut Iam<'_>, user: &mut User, args: &DeviceAdd) -> Result<bool, Failure> {
    let mut wanted = args.name.clone().unwrap_or_else(|| user.name.clone());
    let there = match &args.name {
        Some(name) => Some(user.virtual_device(name)).filter(|serial| user.is_enabled(serial)),
        None => user.usable().next().map(|device| device.serial.clone()),
    };
    if let Some(serial) = there {
        output::words(&format!("{} has {} already; --name NAME adds another one", user.name, name(&serial)));
        return setting::write(iam.signer(), user, &serial).map(|()| false);
    }
    if user.devices.len() >= MOST {
        let what = format!("{} has {MOST} MFA devices, and AWS lets nobody have more", user.name);
        return Err(Failure::new(Exit::Aws, what).hint("mfa-agent device remove NAME"));
    }
    if !args.stdin {
        // Before anything is made.
        drop(codes::terminal()?);
    }

    let half_done = User::half_done(iam, &wanted)?;
    if half_done.contains(&user.virtual_device(&wanted)) {
        wanted = make_way(iam, user, args, &wanted, &half_done)?;
    }
    let (serial, seed) = create(iam, user, &wanted)?;
    let enabled = show_and_enable(iam, user, args, &serial, seed);
    if let Err(failure) = enabled {
        // Nobody can read its key again. Where it may not be deleted, the next run finds it.
        let _ = user.call(iam, &IamCall::DeleteVirtualMfaDevice { serial });
        return Err(failure);
    }
    done(iam, user, &serial).map(|()| true)
}

/// One that was made and never enabled has the name: nobody can read its key again, so it goes. AWS's own policy
/// lets that be done with MFA alone; then another name is taken.
fn make_way(
    iam: &mut Iam<'_>,
    user: &User,
    args: &DeviceAdd,
    wanted: &str,
    half_done: &[String],
) -> Result<String, Failure> {
    if !args.yes {
        let terminal = Terminal::open().ok_or_else(|| {
            Failure::new(Exit::Usage, format!("{wanted} was made before and never enabled"))
                .hint("--yes makes it anew")
        })?;
        terminal.write(&format!(
            "{wanted} was made before and never enabled. If an app has it: mfa-agent device activate {}\n",
            word(wanted)
        ));
        if !interview::agrees(&terminal, "Make it anew?")? {
            return Err(Failure::cancelled());
        }
    }
    let serial = user.virtual_device(wanted);
    match user.call(iam, &IamCall::DeleteVirtualMfaDevice { serial })? {
        Ok(_) => Ok(wanted.to_owned()),
        // Another run of this was faster.
        Err(refusal) if has_code(&refusal, "NoSuchEntity") => Ok(wanted.to_owned()),
        Err(refusal) if is_denied(&refusal) => {
            let names = (2..).map(|number| format!("{wanted}-{number}"));
            let mut free = names.filter(|name| {
                let serial = user.virtual_device(name);
                !half_done.contains(&serial) && !user.is_enabled(&serial)
            });
            let name = free.next().unwrap_or_default();
            output::words(&format!(
                "AWS lets {wanted} be deleted with MFA alone: the new one is {name}. Later: mfa-agent device remove {}",
                word(wanted)
            ));
            Ok(name)
        }
        Err(refusal) => Err(message::refused(&refusal)),
    }
}

fn create(iam: &mut Iam<'_>, user: &User, wanted: &str) -> Result<(String, Secret), Failure> {
    match user.call(iam, &IamCall::CreateVirtualMfaDevice { name: wanted.to_owned() })? {
        Ok(IamAnswer::VirtualMfaDevice { serial, seed }) => Ok((serial, seed)),
        Ok(_) => Err(unexpected()),
        Err(refusal) if has_code(&refusal, "EntityAlreadyExists") => {
            let what = format!("the account has an MFA device {wanted} already");
            Err(Failure::new(Exit::Aws, what).hint("give it another name: mfa-agent device add --name NAME"))
        }
        Err(refusal) => Err(message::refused(&refusal)),
    }
}

fn show_and_enable(
    iam: &mut Iam<'_>,
    user: &mut User,
    args: &DeviceAdd,
    serial: &str,
    seed: Secret,
) -> Result<(), Failure> {
    let key = Key::new(&user.name, &user.account, seed);
    let mut attempt = |codes| enable(iam, user, serial, codes);
    if args.stdin {
        let mut line = key.uri();
        line.push(b"\n");
        output::data(line.bytes())?;
        // Whoever makes the codes has it now, and may take long.
        drop((line, key));
        return codes::from_stdin(&mut attempt);
    }
    codes::with_key(name(serial), &key, &mut attempt)
}

/// `false`: AWS did not take the codes.
fn enable(iam: &mut Iam<'_>, user: &mut User, serial: &str, codes: [Secret; 2]) -> Result<bool, Failure> {
    let call = IamCall::EnableMfaDevice { user: user.name.clone(), serial: serial.to_owned(), codes };
    match user.call(iam, &call)? {
        Ok(_) => {}
        Err(refusal) if has_code(&refusal, "InvalidAuthenticationCode") => return Ok(false),
        // The answer was lost: it may be enabled all the same.
        Err(refusal @ Refusal::Network { .. }) => {
            user.look(iam)?;
            if !user.is_enabled(serial) {
                return Err(message::refused(&refusal));
            }
        }
        Err(refusal) => return Err(message::refused(&refusal)),
    }
    Ok(true)
}

/// `mfa-agent device activate`. Says whether the device was not enabled before.
pub fn activate(iam: &mut Iam<'_>, user: &mut User, args: &DeviceNamed) -> Result<bool, Failure> {
    let enabled = user.devices.iter().find(|device| is_meant(&device.serial, &args.device));
    if let Some(serial) = enabled.map(|device| device.serial.clone()) {
        output::words(&format!("{} is enabled already", name(&serial)));
        return setting::write(iam.signer(), user, &serial).map(|()| false);
    }
    let half_done = User::half_done(iam, name(&args.device))?;
    let found = half_done.into_iter().find(|serial| is_meant(serial, &args.device));
    // What is no virtual device is a token, which AWS knows by the number on it.
    let serial = found.unwrap_or_else(|| args.device.clone());
    let mut attempt = |codes| enable(iam, user, &serial, codes);
    pair(args, &serial, &mut attempt)?;
    done(iam, user, &serial).map(|()| true)
}

/// `mfa-agent device resync`
pub fn resync(iam: &mut Iam<'_>, user: &mut User, args: &DeviceNamed) -> Result<(), Failure> {
    let found = user.devices.iter().find(|device| is_meant(&device.serial, &args.device));
    let serial = found.map(|device| device.serial.clone()).ok_or_else(|| unknown(user, &args.device))?;
    if is_security_key(&serial) {
        return Err(Failure::new(
            Exit::Usage,
            format!("{} is a security key, and has no codes", name(&serial)),
        )
        .hint("mfa-agent device list"));
    }
    let mut attempt = |codes| {
        let call = IamCall::ResyncMfaDevice { user: user.name.clone(), serial: serial.clone(), codes };
        match iam.try_call(&Signed::LongTerm, &call)? {
            Ok(_) => Ok(true),
            Err(refusal) if has_code(&refusal, "InvalidAuthenticationCode") => Ok(false),
            Err(refusal) => Err(message::refused(&refusal)),
        }
    };
    pair(args, &serial, &mut attempt)?;
    output::words(&format!("AWS knows the clock of {} now", name(&serial)));
    Ok(())
}

fn pair(args: &DeviceNamed, serial: &str, attempt: &mut codes::Try<'_>) -> Result<(), Failure> {
    if args.stdin {
        return codes::from_stdin(attempt);
    }
    codes::from_person(&mut codes::terminal()?, name(serial), attempt)
}

fn done(iam: &mut Iam<'_>, user: &mut User, serial: &str) -> Result<(), Failure> {
    output::words(&format!("{} is an MFA device of {} now", name(serial), user.name));
    // Whatever stands in the profile counts if it is still one of the user's.
    user.look(iam)?;
    let profile = iam.signer().to_owned();
    setting::write(&profile, user, serial)
}

/// What a person does with a new device.
pub fn lead_on(iam: &Iam<'_>) {
    output::words(&format!("next: mfa-agent login {}, with the code after these two", word(iam.signer())));
}

/// There is no such device.
pub fn unknown(user: &User, said: &str) -> Failure {
    Failure::new(Exit::Configuration, format!("{} has no MFA device {said}", user.name))
        .hint("mfa-agent device list")
}
