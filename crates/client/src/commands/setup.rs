//! `mfa-agent setup`: what a profile needs, step by step.

mod settings;

use crate::args::Setup;
use crate::environment::Environment;
use crate::failure::{Exit, Failure};
use crate::platform::Terminal;

use settings::Settings;

pub fn run(args: &Setup, option: Option<&str>, environment: &Environment) -> Result<(), Failure> {
    let profile = profile(args, option, environment)?;
    let mut wanted = Settings { region: args.region.clone(), output: args.output.clone() };
    if wanted == Settings::default() {
        let mut terminal = Terminal::open().ok_or_else(|| {
            Failure::new(Exit::Usage, "there is nothing to set, and nobody can be asked")
                .hint("mfa-agent setup PROFILE --region REGION --output FORMAT")
        })?;
        wanted = settings::ask(&mut terminal, &profile)?;
    }
    settings::write(&profile, &wanted)
}

/// The profile to set up: one that need not be there yet.
fn profile(args: &Setup, option: Option<&str>, environment: &Environment) -> Result<String, Failure> {
    if let Some(name) = args.name.as_deref().or(option) {
        return Ok(name.to_owned());
    }
    match &environment.aws_profile {
        Some(name) => match name.to_str() {
            Some(name) => Ok(name.to_owned()),
            None => Err(Failure::new(Exit::Usage, "AWS_PROFILE is not UTF-8")),
        },
        None => Ok("default".to_owned()),
    }
}
