//! `mfa-agent man`: the manual's pages, made of the arguments and their help.

use std::path::Path;

use clap::CommandFactory;

use crate::args::Invocation;
use crate::failure::{Exit, Failure};

/// Writes `mfa-agent.1` and a page for each command into the folder.
pub fn run(folder: &Path) -> Result<(), Failure> {
    clap_mangen::generate_to(Invocation::command(), folder).map_err(|error| {
        Failure::new(Exit::Failed, format!("cannot write pages into {}: {error}", folder.display()))
            .hint("a folder that is there and that you may write to")
    })
}
