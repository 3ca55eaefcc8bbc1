//! `mfa-agent init`: the hook, with the path of this very program in it.

use crate::args::HookedShell;
use crate::failure::{Exit, Failure};
use crate::output::{self, WipedBytes};
use crate::shell::{self, Shell};

/// What stands in the scripts for the program's quoted path.
const PLACEHOLDER: &str = "@MFA_AGENT@";

const BASH: &str = include_str!("../../../../shell/mfa-agent.bash");
const ZSH: &str = include_str!("../../../../shell/mfa-agent.zsh");
const FISH: &str = include_str!("../../../../shell/mfa-agent.fish");

pub fn run(shell: HookedShell) -> Result<(), Failure> {
    let (script, syntax) = match shell {
        HookedShell::Bash => (BASH, Shell::Posix),
        HookedShell::Zsh => (ZSH, Shell::Posix),
        HookedShell::Fish => (FISH, Shell::Fish),
    };
    let program = std::env::current_exe()
        .map_err(|error| Failure::new(Exit::Failed, format!("cannot tell where mfa-agent lies: {error}")))?;
    let mut path = WipedBytes::with_capacity(256);
    syntax.quote(&mut path, shell::bytes(program.as_os_str()));
    let Some((before, after)) = script.split_once(PLACEHOLDER) else {
        return Err(Failure::new(Exit::Failed, "the hook has no place for the program's path"));
    };
    output::data(&[before.as_bytes(), path.bytes(), after.as_bytes()].concat())
}
