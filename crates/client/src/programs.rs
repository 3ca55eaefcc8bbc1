//! Our own programs. They lie in one folder, that of the one that runs, and are never looked for in PATH.

use std::io;
use std::path::{Path, PathBuf};

use crate::failure::{Exit, Failure};

/// What people type, and what runs at prompts.
pub const FRONT: &str = "mfa-agent";
/// What does everything that the front does not.
pub const COMPLETE: &str = "mfa-agent-cli";
/// The agent.
pub const AGENT: &str = "mfa-agentd";

/// Where the one of this name lies.
pub fn beside(name: &str) -> io::Result<PathBuf> {
    Ok(std::env::current_exe()?.with_file_name(format!("{name}{}", std::env::consts::EXE_SUFFIX)))
}

/// The system does not tell where our programs lie.
pub fn unknown_place(exit: Exit, error: &io::Error) -> Failure {
    Failure::new(exit, format!("cannot tell where mfa-agent lies: {error}"))
}

/// A program of ours is not where it belongs.
pub fn missing(exit: Exit, program: &Path) -> Failure {
    Failure::new(exit, format!("{} is not there", program.display()))
        .hint("install mfa-agent, mfa-agent-cli and mfa-agentd into the same folder")
}
