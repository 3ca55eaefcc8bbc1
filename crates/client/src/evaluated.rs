//! What a shell evaluates of ours, whatever else may be wrong with the arguments.

use std::ffi::{OsStr, OsString};

use crate::platform;
use crate::shell::Shell;

/// Somebody evaluates our stdout: the verb is `env`, or `hook use`.
pub fn is_evaluated(arguments: &[OsString]) -> bool {
    let mut verbs = Vec::with_capacity(2);
    let mut arguments = arguments.iter().skip(1).map(OsString::as_os_str);
    while let Some(argument) = arguments.next() {
        if argument == OsStr::new("--profile") || argument == OsStr::new("--color") {
            arguments.next();
        } else if !argument.as_encoded_bytes().starts_with(b"-") {
            verbs.push(argument);
        }
        match verbs.as_slice() {
            [env] if *env == OsStr::new("env") => return true,
            [hook, verb] => return *hook == OsStr::new("hook") && *verb == OsStr::new("use"),
            [] | [_] => {}
            _ => return false,
        }
    }
    false
}

/// The shell that evaluates our stdout.
pub fn shell(arguments: &[OsString]) -> Shell {
    let mut arguments = arguments.iter().filter_map(|argument| argument.to_str());
    let named = arguments.find_map(|argument| match argument.strip_prefix("--shell")? {
        "" => Some(None),
        value => value.strip_prefix('=').map(Some),
    });
    named
        .and_then(|value| value.or_else(|| arguments.next()))
        .and_then(Shell::named)
        .or_else(|| Shell::of_program(platform::parent_program().as_deref()).ok())
        .unwrap_or(Shell::Posix)
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::args::Invocation;

    fn argv(line: &str) -> Vec<OsString> {
        ["mfa-agent"].into_iter().chain(line.split(' ')).map(OsString::from).collect()
    }

    #[test]
    fn env_is_known_even_where_the_rest_is_wrong() {
        for line in ["env --bogus", "--color never env a b", "--profile x env --nope", "--color=never env"] {
            assert!(is_evaluated(&argv(line)), "{line}");
            assert!(Invocation::try_parse_from(argv(line)).is_err() || line == "--color=never env", "{line}");
        }
        for line in ["login env", "--profile env login", "status"] {
            assert!(!is_evaluated(&argv(line)), "{line}");
        }
    }

    #[test]
    fn the_shell_of_a_failure_is_the_one_named() {
        for (line, shell) in [
            ("env --shell json --bogus", Shell::Json),
            ("env --bogus --shell=xonsh dev", Shell::Xonsh),
            ("env dev --shell nu", Shell::Nushell),
        ] {
            assert_eq!(super::shell(&argv(line)), shell, "{line}");
        }
    }
}
