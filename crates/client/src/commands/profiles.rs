//! `mfa-agent profiles`: what the AWS config files offer, and which of it can work.

use protocol::{Profile, frame};

use crate::agent::Agent;
use crate::args::Profiles;
use crate::environment::{Environment, writes_unicode};
use crate::failure::{Exit, Failure};
use crate::{message, output, table};

pub fn run(args: &Profiles, environment: &Environment) -> Result<(), Failure> {
    let profiles = Agent::locate(environment)?.profiles()?;
    if args.json {
        let json = frame::pretty(&profiles).map_err(|error| {
            Failure::new(Exit::Failed, format!("cannot write the profiles as JSON: {error}"))
        })?;
        return output::data(&json);
    }
    if profiles.is_empty() {
        output::words("the AWS config files have no profiles");
        return Ok(());
    }
    let mut rows = vec![["PROFILE", "KIND", "REGION", "SOURCE", "WORKS"].map(str::to_owned)];
    rows.extend(profiles.iter().map(row));
    output::data(table::of(&rows).as_bytes())
}

fn row(profile: &Profile) -> [String; 5] {
    let or_dash = |text: &Option<String>| text.clone().unwrap_or_else(|| "-".to_owned());
    let works = match &profile.problem {
        None if writes_unicode() => "✓".to_owned(),
        None => "yes".to_owned(),
        Some(problem) => message::short(problem),
    };
    [
        profile.name.clone(),
        if profile.role_arn.is_some() { "role" } else { "user" }.to_owned(),
        or_dash(&profile.region),
        or_dash(&profile.source_profile),
        works,
    ]
}
