//! `mfa-agent credential-process`: what the SDKs read from the program that `credential_process` names.

use protocol::{Credentials, NamedRole};

use super::env;
use crate::agent::Agent;
use crate::args::{Code, CredentialProcess};
use crate::environment::Environment;
use crate::failure::{Exit, Failure};
use crate::mfa::Asker;
use crate::output::{self, WipedBytes};

pub fn run(args: &CredentialProcess, option: Option<&str>, environment: &Environment) -> Result<(), Failure> {
    let profile = profile(args, option, environment)?;
    let agent = Agent::locate(environment)?;
    let asker = Asker::new(&agent, &Code::default(), args.no_prompt)?;
    print(&env::obtain(asker, Some(&profile), environment)?)
}

/// The profile. Not the shell's, nor for a role's source: that is the one whose setting runs this, and would come back
/// here.
pub fn profile(
    args: &CredentialProcess,
    option: Option<&str>,
    environment: &Environment,
) -> Result<String, Failure> {
    let source = args.source.as_deref();
    let refused = |what| Failure::new(Exit::Usage, what);
    let named = args.name.as_deref().or(option).ok_or_else(|| {
        refused("credential-process serves no profile that is not named")
            .hint("mfa-agent credential-process PROFILE")
    })?;
    if let (Some(NamedRole { source: None, arn }), None) = (NamedRole::of(named), source) {
        return Err(refused("credential-process assumes no role from a profile that is not named")
            .hint(format!("mfa-agent credential-process {arn} --source PROFILE")));
    }
    Ok(environment.profile(Some(named), source)?.unwrap_or_default())
}

/// Prints the credentials.
pub fn print(credentials: &Credentials) -> Result<(), Failure> {
    env::check(credentials)?;
    let mut json = WipedBytes::with_capacity(4096);
    json.push(b"{\"Version\":1");
    // None of AWS's alphabets has anything that JSON escapes.
    for (name, value) in [
        ("AccessKeyId", credentials.access_key_id.as_str()),
        ("SecretAccessKey", credentials.secret_access_key.expose()),
        ("SessionToken", credentials.session_token.expose()),
        ("Expiration", &credentials.expiration),
    ] {
        for part in [",\"", name, "\":\"", value, "\""] {
            json.push(part.as_bytes());
        }
    }
    json.push(b"}\n");
    output::data(json.bytes())
}
