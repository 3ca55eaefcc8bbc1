//! `mfa-agent init`: the hook, with the path of `mfa-agent` in it.

use crate::args::HookedShell;
use crate::failure::{Exit, Failure};
use crate::output::{self, WipedBytes};
use crate::programs;
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
    let program =
        programs::beside(programs::FRONT).map_err(|error| programs::unknown_place(Exit::Failed, &error))?;
    let mut path = WipedBytes::with_capacity(256);
    syntax.quote(&mut path, shell::bytes(program.as_os_str()));
    let Some((before, after)) = script.split_once(PLACEHOLDER) else {
        return Err(Failure::new(Exit::Failed, "the hook has no place for the program's path"));
    };
    output::data(&[before.as_bytes(), path.bytes(), after.as_bytes()].concat())
}
