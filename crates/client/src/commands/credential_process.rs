//! `mfa-agent credential-process`: what the SDKs read from the program that `credential_process` names.

use protocol::Credentials;

use super::env;
use crate::agent::Agent;
use crate::args::{Code, CredentialProcess};
use crate::environment::Environment;
use crate::failure::{Exit, Failure};
use crate::mfa::Asker;
use crate::output::{self, WipedBytes};

pub fn run(args: &CredentialProcess, option: Option<&str>, environment: &Environment) -> Result<(), Failure> {
    // Not the shell's profile: that is the one whose setting runs this, and would come back here.
    let Some(profile) = args.name.as_deref().or(option) else {
        return Err(Failure::new(Exit::Usage, "credential-process serves no profile that is not named")
            .hint("mfa-agent credential-process PROFILE"));
    };
    let agent = Agent::locate(environment)?;
    let asker = Asker::new(&agent, &Code::default(), args.no_prompt)?;
    print(&env::obtain(asker, Some(profile), environment)?)
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
