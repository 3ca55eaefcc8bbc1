//! `mfa-agent device`: the MFA devices of the user behind a profile.

mod list;

use protocol::{IamAnswer, IamCall, MfaDevice, Refusal, Signed};

use crate::agent::{Agent, unexpected};
use crate::args::{Code, Device};
use crate::environment::Environment;
use crate::failure::{Exit, Failure};
use crate::iam::Iam;
use crate::message;
use crate::mfa::Asker;

pub fn run(verb: &Device, option: Option<&str>, environment: &Environment) -> Result<(), Failure> {
    let profile = environment.profile(option)?;
    let agent = Agent::locate(environment)?;
    let asker = Asker::new(&agent, &Code::default(), false)?;
    let mut iam = Iam::new(&agent, profile.as_deref(), asker);
    match verb {
        Device::List { json } => list::run(&mut iam, *json),
    }
}

/// The user that the devices are of.
struct User {
    name: String,
}

impl User {
    /// The one whose key a profile rests on.
    fn of(iam: &mut Iam<'_>) -> Result<Self, Failure> {
        let IamAnswer::CallerIdentity(identity) = iam.call(&Signed::LongTerm, &IamCall::GetCallerIdentity)?
        else {
            return Err(unexpected());
        };
        match identity.user() {
            Some(name) => Ok(Self { name: name.to_owned() }),
            None => Err(Failure::new(
                Exit::Configuration,
                format!("the key of {} is {}'s, who is no IAM user", iam.signer(), identity.arn),
            )
            .hint("take the key of an IAM user: mfa-agent keys import --force")),
        }
    }

    /// The devices that are enabled.
    fn devices(&self, iam: &mut Iam<'_>) -> Result<Vec<MfaDevice>, Failure> {
        let call = IamCall::ListMfaDevices { user: Some(self.name.clone()) };
        match iam.try_call(&Signed::LongTerm, &call)? {
            Ok(IamAnswer::MfaDevices(devices)) => return Ok(devices),
            // A stricter policy than AWS's own lets nobody look without MFA.
            Err(Refusal::Aws { code, .. }) if code.starts_with("AccessDenied") => {}
            Err(refusal) => return Err(message::refused(&refusal)),
            Ok(_) => return Err(unexpected()),
        }
        match iam.call(&Signed::Session, &call)? {
            IamAnswer::MfaDevices(devices) => Ok(devices),
            _ => Err(unexpected()),
        }
    }
}
