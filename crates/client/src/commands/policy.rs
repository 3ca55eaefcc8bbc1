//! `mfa-agent policy`: the IAM policy that denies everything without MFA.

pub mod attach;
pub mod check;
mod document;
mod text;

use protocol::{CallerIdentity, IamAnswer, IamCall, MfaDevice, Refusal, Signed};

use crate::agent::{Agent, unexpected};
use crate::args::{Code, Color, Policy};
use crate::environment::Environment;
use crate::failure::{Exit, Failure};
use crate::iam::Iam;
use crate::mfa::Asker;
use crate::{message, output};

pub fn run(
    verb: &Policy,
    option: Option<&str>,
    color: Color,
    environment: &Environment,
) -> Result<(), Failure> {
    let call = |name: Option<&str>, code: &Code, act: &mut dyn FnMut(&mut Iam<'_>) -> Result<(), Failure>| {
        let profile = environment.profile(name.or(option), None)?;
        let agent = Agent::locate(environment)?;
        let asker = Asker::new(&agent, code, false)?;
        act(&mut Iam::new(&agent, profile.as_deref(), asker))
    };
    match verb {
        Policy::Print(args) => output::data(text::of(args.text.variant, args.partition).as_bytes()),
        Policy::Check(args) => {
            call(args.name.as_deref(), &args.code, &mut |iam| check::run(iam, args.json, color))
        }
        Policy::Attach(args) => call(None, &args.change.code, &mut |iam| attach::attach(iam, args)),
        Policy::Detach(args) => call(None, &args.code, &mut |iam| attach::detach(iam, args)),
    }
}

/// The user whose key a profile rests on.
struct Caller {
    identity: CallerIdentity,
    user: String,
}

impl Caller {
    fn of(iam: &mut Iam<'_>) -> Result<Self, Failure> {
        let IamAnswer::CallerIdentity(identity) = iam.call(&Signed::LongTerm, &IamCall::GetCallerIdentity)?
        else {
            return Err(unexpected());
        };
        match identity.user().map(str::to_owned) {
            Some(user) => Ok(Self { identity, user }),
            None => Err(Failure::new(
                Exit::Configuration,
                format!("the key of {} is {}'s, who is no IAM user", iam.signer(), identity.arn),
            )
            .hint("policies of this kind are for IAM users; choose another profile: --profile NAME")),
        }
    }
}

/// Makes a call with the profile's session, or with its key where there is no device that could open one.
fn with_all_rights(iam: &mut Iam<'_>, call: &IamCall) -> Result<Result<IamAnswer, Refusal>, Failure> {
    match iam.try_call(&Signed::Session, call)? {
        Err(Refusal::NoDevice { .. }) => iam.try_call(&Signed::LongTerm, call),
        other => Ok(other),
    }
}

/// A user's devices.
fn devices(iam: &mut Iam<'_>, user: &str) -> Result<Vec<MfaDevice>, Failure> {
    let call = IamCall::ListMfaDevices { user: Some(user.to_owned()) };
    match with_all_rights(iam, &call)?.map_err(|refusal| message::refused(&refusal))? {
        IamAnswer::MfaDevices(devices) => Ok(devices),
        _ => Err(unexpected()),
    }
}

/// AWS knows who calls, and does not let them.
fn is_denied(refusal: &Refusal) -> bool {
    matches!(refusal, Refusal::Aws { code, .. } if code.starts_with("AccessDenied"))
}

/// There is nothing of that name.
fn is_missing(refusal: &Refusal) -> bool {
    matches!(refusal, Refusal::Aws { code, .. } if code.starts_with("NoSuchEntity"))
}
