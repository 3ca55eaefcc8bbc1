//! `mfa-agent device`: the MFA devices of the user behind a profile.

mod add;
mod codes;
mod list;
mod remove;
mod seed;
mod setting;

pub use list::is_of;

use protocol::{IamAnswer, IamCall, MfaDevice, Refusal, Signed};

use crate::agent::{Agent, unexpected};
use crate::args::{Code, Device, DeviceAdd};
use crate::environment::Environment;
use crate::failure::{Exit, Failure};
use crate::iam::Iam;
use crate::message;
use crate::mfa::Asker;

pub fn run(verb: &Device, option: Option<&str>, environment: &Environment) -> Result<(), Failure> {
    let profile = environment.profile(option, None)?;
    let agent = Agent::locate(environment)?;
    if let Device::Seed(args) = verb {
        return seed::run(&agent, args, profile);
    }
    let asker = Asker::new(&agent, &Code::default(), false)?;
    let mut iam = Iam::new(&agent, profile.as_deref(), asker);
    let mut user = User::of(&mut iam)?;
    match verb {
        Device::List { json } => list::run(&mut iam, &mut user, *json),
        Device::Add(args) => add::run(&mut iam, &mut user, args).map(|new| {
            if new {
                add::lead_on(&iam);
            }
        }),
        Device::Activate(args) => add::activate(&mut iam, &mut user, args).map(|new| {
            if new {
                add::lead_on(&iam);
            }
        }),
        Device::Resync(args) => add::resync(&mut iam, &mut user, args),
        Device::Remove(args) => remove::run(&mut iam, &mut user, args),
        Device::Seed(_) => Ok(()),
    }
}

/// `device add` for a profile.
pub fn add(iam: &mut Iam<'_>, args: &DeviceAdd) -> Result<(), Failure> {
    let mut user = User::of(iam)?;
    add::run(iam, &mut user, args).map(|_| ())
}

/// The user that the devices are of.
pub struct User {
    /// The user's name.
    pub name: String,
    account: String,
    partition: String,
    /// Those that are enabled.
    devices: Vec<MfaDevice>,
}

impl User {
    /// The one whose key a profile rests on.
    pub fn of(iam: &mut Iam<'_>) -> Result<Self, Failure> {
        let IamAnswer::CallerIdentity(identity) = iam.call(&Signed::LongTerm, &IamCall::GetCallerIdentity)?
        else {
            return Err(unexpected());
        };
        let Some(name) = identity.user() else {
            let what = format!("the key of {} is {}'s, who is no IAM user", iam.signer(), identity.arn);
            return Err(Failure::new(Exit::Configuration, what)
                .hint("take the key of an IAM user: mfa-agent keys import --force"));
        };
        let mut user = Self {
            name: name.to_owned(),
            account: identity.account.clone(),
            partition: identity.partition().to_owned(),
            devices: Vec::new(),
        };
        user.look(iam)?;
        Ok(user)
    }

    /// Finds out which devices are enabled.
    fn look(&mut self, iam: &mut Iam<'_>) -> Result<(), Failure> {
        let call = IamCall::ListMfaDevices { user: Some(self.name.clone()) };
        let answer = match iam.try_call(&Signed::LongTerm, &call)? {
            // A stricter policy than AWS's own lets nobody look without MFA.
            Err(refusal) if is_denied(&refusal) => iam.call(&Signed::Session, &call)?,
            answer => answer.map_err(|refusal| message::refused(&refusal))?,
        };
        let IamAnswer::MfaDevices(devices) = answer else { return Err(unexpected()) };
        self.devices = devices;
        Ok(())
    }

    /// The virtual devices that were made and never enabled, of names that begin as this one. Who may not look finds
    /// none.
    fn half_done(iam: &mut Iam<'_>, name: &str) -> Result<Vec<String>, Failure> {
        let call = IamCall::ListUnassignedMfaDevices { name: name.to_owned() };
        match iam.try_call(&Signed::LongTerm, &call)? {
            Ok(IamAnswer::VirtualMfaDevices(serials)) => Ok(serials),
            Ok(_) => Err(unexpected()),
            Err(refusal) if is_denied(&refusal) => Ok(Vec::new()),
            Err(refusal) => Err(message::refused(&refusal)),
        }
    }

    /// Makes a call with the key alone; with a session where a policy wants that, and there is a device for it.
    fn call(&self, iam: &mut Iam<'_>, call: &IamCall) -> Result<Result<IamAnswer, Refusal>, Failure> {
        match iam.try_call(&Signed::LongTerm, call)? {
            Err(refusal) if is_denied(&refusal) && self.usable().next().is_some() => {
                iam.try_call(&Signed::Session, call)
            }
            answer => Ok(answer),
        }
    }

    /// The enabled devices that STS takes codes of.
    pub fn usable(&self) -> impl Iterator<Item = &MfaDevice> {
        self.devices.iter().filter(|device| !is_security_key(&device.serial))
    }

    pub fn is_enabled(&self, serial: &str) -> bool {
        self.devices.iter().any(|device| device.serial == serial)
    }

    /// The ARN of the virtual device of this name.
    fn virtual_device(&self, name: &str) -> String {
        format!("arn:{}:iam::{}:mfa/{name}", self.partition, self.account)
    }
}

pub fn is_denied(refusal: &Refusal) -> bool {
    matches!(refusal, Refusal::Aws { code, .. } if code.starts_with("AccessDenied"))
}

fn has_code(refusal: &Refusal, wanted: &str) -> bool {
    matches!(refusal, Refusal::Aws { code, .. } if code == wanted)
}

/// A FIDO key or a passkey.
pub fn is_security_key(serial: &str) -> bool {
    serial.contains(":u2f/")
}

/// A device by its name, as people say it: the end of its ARN, or a hardware token's serial number.
pub fn name(serial: &str) -> &str {
    serial.rsplit('/').next().unwrap_or(serial)
}

/// Whether a person means this device.
fn is_meant(serial: &str, said: &str) -> bool {
    serial == said || name(serial) == said
}
