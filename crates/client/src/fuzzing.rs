//! What must hold for whatever the agent and the environment say, for the fuzzer and for the tests.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;

use protocol::{Credentials, Secret};

use crate::agent::Agent;
use crate::commands::env::{self, Given};
use crate::commands::hook;
use crate::environment::Environment;
use crate::output::WipedBytes;
use crate::shell::reader::{Reading, read};
use crate::shell::{Shell, is_name, word};

/// All shells, and the forms for programs.
const SHELLS: [Shell; 8] = [
    Shell::Posix,
    Shell::Fish,
    Shell::Pwsh,
    Shell::Nushell,
    Shell::Elvish,
    Shell::Xonsh,
    Shell::Dotenv,
    Shell::Json,
];

/// Whatever an agent gives and a shell has in its environment: what each shell is told to evaluate is the variables
/// that were meant, byte by byte, and nothing else; or nothing is told. The input is, with 0x1e between them: the
/// profile, its region, the expiration, the key's id, the secret, the token, a variable's name and value, the
/// lease; and of the shell its lease, its key's id, and its region as the agent knows it and as it is.
pub fn shell_code(input: &[u8]) {
    let parts: Vec<&[u8]> = input.split(|byte| *byte == b'\x1e').collect();
    let bytes = |number: usize| parts.get(number).copied().unwrap_or_default();
    // A variable has no NUL.
    let variable =
        |number| Some(OsStr::from_bytes(bytes(number).split(|byte| *byte == 0).next()?).to_owned());
    let variable = |number| variable(number).filter(|value: &OsString| !value.is_empty());
    let text = |number| String::from_utf8_lossy(bytes(number)).into_owned();
    let some = |number| Some(text(number)).filter(|text| !text.is_empty());

    let credentials = Credentials {
        profile: text(0),
        access_key_id: text(3),
        secret_access_key: Secret::new(text(4)),
        session_token: Secret::new(text(5)),
        expiration: text(2),
        expires_at: 1,
        region: some(1),
        replaced_region: some(11),
        lease: some(8),
        variables: BTreeMap::from([(text(6), text(7))]),
    };
    let environment = Environment {
        socket: Some("/dev/null/sock".into()),
        own_profile: Some(OsString::from(text(0))),
        lease: variable(9),
        key_id: variable(10),
        region: variable(12),
        ..Environment::default()
    };
    let Ok(agent) = Agent::locate(&environment) else { panic!("it is where MFA_AGENT_SOCK says") };

    let given = Given::Keys(credentials);
    let mut meant = Reading::new();
    let changed = env::changes(&given, &agent, &environment, |name, value| {
        meant.insert(name.to_owned(), value.map(<[u8]>::to_vec));
    });
    for shell in SHELLS {
        match env::script(shell, &given, &agent, &environment) {
            Err(_) => {
                let holds = meant.values().flatten().all(|value| shell.holds(value));
                assert!(changed.is_err() || !holds, "{shell:?} can be told {meant:?}");
            }
            Ok(script) => {
                assert!(changed.is_ok());
                assert!(!script.bytes().contains(&0));
                let mut expected = meant.clone();
                if shell == Shell::Dotenv {
                    expected.retain(|_, value| value.is_some());
                }
                let mut told = read(shell, script.bytes());
                // The moment of this very call is in it.
                assert_eq!(told.remove(env::LOOK).is_some(), expected.remove(env::LOOK).is_some());
                assert_eq!(told, expected, "{shell:?}");
            }
        }
    }
    assert!(meant.keys().all(|name| is_name(name)), "{meant:?}");

    // What the hook tells a shell that has no credentials.
    for shell in [Shell::Posix, Shell::Fish] {
        let lease = environment.lease.as_deref().map(OsStr::as_bytes);
        let script = hook::waiting(shell, lease, true, true, &environment);
        let told = read(shell, script.bytes());
        assert!(told.keys().all(|name| is_name(name)));
        if let Some(lease) = lease {
            assert_eq!(told["MFA_AGENT_LEASE"].as_deref(), Some(lease));
        }
    }
    let _ = hook::key_is_foreign(&environment);
    // What a person is told to type.
    let mut echoed = WipedBytes::with_capacity(64);
    echoed.push(b"X=");
    echoed.push(word(&text(0)).as_bytes());
    echoed.push(b";\n");
    assert_eq!(read(Shell::Posix, echoed.bytes())["X"].as_deref(), Some(text(0).as_bytes()));
}

#[cfg(test)]
mod tests {
    #[test]
    fn whatever_is_given_a_shell_evaluates_what_was_meant_and_nothing_else() {
        corpus::replay("shell_code", 2_000, super::shell_code);
    }
}
