//! `mfa-agent profiles`: what the AWS config files offer, and which of it can work; and what makes AWS's tools ask
//! mfa-agent for it.

use std::path::Path;

use aws_files::{Document, Kind};
use protocol::{Profile, frame};

use crate::agent::Agent;
use crate::args::Profiles;
use crate::difference::difference;
use crate::environment::{Environment, writes_unicode};
use crate::failure::{Exit, Failure};
use crate::platform::Terminal;
use crate::shell::word;
use crate::{aws_file, environment, interview, message, output, programs, table};
use protocol::sanitize::sanitize;

/// What a profile is called by which AWS's tools ask mfa-agent. One of its own: a key in the credentials file, or
/// a role, would win over `credential_process` in the profile itself.
const SUFFIX: &str = "-session";

pub fn run(args: &Profiles, option: Option<&str>, environment: &Environment) -> Result<(), Failure> {
    let profiles = Agent::locate(environment)?.profiles()?;
    if let Some(names) = &args.write_config {
        let named: Vec<&str> = names.iter().map(String::as_str).chain(option).collect();
        return write_config(&profiles, &named, args.yes);
    }
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

/// Offers sections for the config file by which AWS's tools take the credentials of these profiles, or of all that
/// can work.
fn write_config(profiles: &[Profile], names: &[&str], yes: bool) -> Result<(), Failure> {
    let mut chosen: Vec<&Profile> = Vec::new();
    for &name in names {
        let profile = profiles.iter().find(|profile| profile.name == name).ok_or_else(|| {
            Failure::new(Exit::Configuration, format!("no profile {name}"))
                .hint("mfa-agent profiles lists them")
        })?;
        if let Some(problem) = &profile.problem {
            return Err(message::refused(problem));
        }
        chosen.push(profile);
    }
    if names.is_empty() {
        chosen = profiles.iter().filter(|profile| profile.problem.is_none()).collect();
    }

    let file = aws_file::path(Kind::Config)?;
    let program = program()?;
    let before = aws_file::read(&file, Kind::Config)?;
    let mut after = before.clone();
    offer(&mut after, &file, profiles, &chosen, &program)?;
    if after.text() == before.text() {
        output::words(&format!("nothing to add to {}", file.display()));
        return Ok(());
    }
    let lines = difference(before.text(), after.text());
    let title = file.display().to_string();
    if yes {
        output::words(&title);
        for line in &lines {
            output::words(line);
        }
    } else {
        let terminal = Terminal::open().ok_or_else(|| {
            Failure::new(Exit::Usage, format!("{title} is not changed unasked, and nobody can be asked"))
                .hint("mfa-agent profiles --write-config --yes")
        })?;
        terminal.write(&format!("{}\n", sanitize(&title)));
        for line in &lines {
            terminal.write(&format!("{}\n", sanitize(line)));
        }
        if !interview::agrees(&terminal, "Write this?")? {
            return Err(Failure::cancelled());
        }
    }
    aws_file::edit(&file, Kind::Config, |document| {
        // What was agreed to is what was shown.
        if document.text() != before.text() {
            return Err(changed(&file));
        }
        offer(document, &file, profiles, &chosen, &program)
    })?;
    if let Some(profile) = chosen.first() {
        let name = format!("{}{SUFFIX}", profile.name);
        output::words(&format!("written; try it: aws sts get-caller-identity --profile {}", word(&name)));
    }
    Ok(())
}

fn offer(
    document: &mut Document,
    file: &Path,
    profiles: &[Profile],
    chosen: &[&Profile],
    program: &str,
) -> Result<(), Failure> {
    for profile in chosen {
        let name = format!("{}{SUFFIX}", profile.name);
        let process = format!("{program} credential-process {}", word(&profile.name));
        let held = aws_file::get(document, file, &name, "credential_process")?;
        let is_ours = held.as_ref().is_some_and(|held| held.contains(" credential-process "));
        if !is_ours && profiles.iter().any(|other| other.name == name) {
            return Err(Failure::new(
                Exit::Configuration,
                format!("profile {name} is there already, and is none of ours"),
            )
            .hint("give it another name, or name the profiles that you want: --write-config PROFILE"));
        }
        if held.as_ref() != Some(&process) {
            aws_file::set(document, file, &name, "credential_process", &process)?;
        }
        // The new profile inherits nothing.
        if let Some(region) = &profile.region
            && aws_file::get(document, file, &name, "region")?.is_none()
        {
            aws_file::set(document, file, &name, "region", region)?;
        }
    }
    Ok(())
}

/// The whole path of `mfa-agent`, since what a desktop starts has another PATH: as PATH has it, where a link
/// in it outlives an upgrade.
fn program() -> Result<String, Failure> {
    let ours =
        programs::beside(programs::FRONT).map_err(|error| programs::unknown_place(Exit::Failed, &error))?;
    let linked = environment::in_path(programs::FRONT).filter(|found| {
        found.is_absolute() && found.canonicalize().is_ok_and(|found| Some(found) == ours.canonicalize().ok())
    });
    let path = linked.unwrap_or(ours);
    match path.to_str() {
        Some(path) => Ok(word(path)),
        None => Err(Failure::new(Exit::Failed, format!("{} is no UTF-8", path.display()))
            .hint("put a link to mfa-agent into a folder of PATH")),
    }
}

fn changed(file: &Path) -> Failure {
    Failure::new(Exit::Failed, format!("{} changed meanwhile, and is left as it is", file.display()))
        .hint("run the same again")
}
