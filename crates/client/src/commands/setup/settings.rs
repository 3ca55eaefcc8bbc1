//! A profile's region and output format, in the config file.

use aws_files::Kind;

use crate::args::OUTPUT_FORMATS;
use crate::failure::Failure;
use crate::platform::Terminal;
use crate::{aws_file, interview, output, regions, table};

/// What AWS's own tools ask for with `aws configure`, beside the key.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Settings {
    /// Such as `eu-central-1`.
    pub region: Option<String>,
    /// Such as `json`.
    pub output: Option<String>,
}

impl Settings {
    /// What the config file has for a profile.
    pub fn read(profile: &str) -> Result<Self, Failure> {
        let file = aws_file::path(Kind::Config)?;
        let document = aws_file::read(&file, Kind::Config)?;
        let get = |key| aws_file::get(&document, &file, profile, key);
        Ok(Self { region: get("region")?, output: get("output")? })
    }
}

/// What to ask for, besides what is wanted already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AskFor {
    /// What is not held.
    Missing,
    /// All, and what is held is offered.
    All,
}

/// Asks for what is not said yet.
pub fn ask(
    terminal: &mut Terminal,
    profile: &str,
    held: &Settings,
    wanted: Settings,
    ask_for: AskFor,
) -> Result<Settings, Failure> {
    let Settings { mut region, mut output } = wanted;
    let all = ask_for == AskFor::All;
    if region.is_none() && (all || held.region.is_none()) {
        region = ask_region(terminal, profile, held.region.as_deref())?;
    }
    if output.is_none() && (all || held.output.is_none()) {
        output = Some(ask_output(terminal, profile, held.output.as_deref().unwrap_or("json"))?);
    }
    Ok(Settings { region, output })
}

fn ask_output(terminal: &Terminal, profile: &str, offered: &str) -> Result<String, Failure> {
    loop {
        let answer = interview::line(terminal, &format!("Output format for {profile}"), offered)?;
        if answer == offered || OUTPUT_FORMATS.contains(&answer.as_str()) {
            return Ok(answer);
        }
        terminal.write(&format!("one of {}\n", OUTPUT_FORMATS.join(", ")));
    }
}

fn ask_region(terminal: &Terminal, profile: &str, held: Option<&str>) -> Result<Option<String>, Failure> {
    let question = format!("Region for {profile} (? lists them)");
    let mut offered = held.unwrap_or("none").to_owned();
    loop {
        let answer = interview::line(terminal, &question, &offered)?;
        match answer.as_str() {
            "none" => return Ok(None),
            "?" => {
                let rows: Vec<_> =
                    regions::all().map(|region| [region.name.to_owned(), region.place.to_owned()]).collect();
                terminal.write(&table::of(&rows));
            }
            // Once more, or the one that was meant.
            _ if answer == offered || regions::is_known(&answer) => return Ok(Some(answer)),
            _ => {
                terminal.write(&format!("{}; Enter takes what is offered\n", doubt(&answer)));
                offered = regions::nearest(&answer).map_or(answer, str::to_owned);
            }
        }
    }
}

/// Writes those that are there, and leaves the others as they are.
pub fn write(profile: &str, settings: &Settings) -> Result<(), Failure> {
    if let Some(region) = &settings.region
        && !regions::is_known(region)
    {
        output::words(&doubt(region));
    }
    let file = aws_file::path(Kind::Config)?;
    let wanted = [("region", &settings.region), ("output", &settings.output)];
    let mut changed = Vec::new();
    aws_file::edit(&file, Kind::Config, |document| {
        changed.clear();
        for (key, value) in wanted {
            if let Some(value) = value
                && aws_file::get(document, &file, profile, key)?.as_ref() != Some(value)
            {
                aws_file::set(document, &file, profile, key, value)?;
                changed.push(format!("{key} = {value}"));
            }
        }
        Ok(())
    })?;
    let place = format!("{} for profile {profile}", file.display());
    output::words(&if changed.is_empty() {
        format!("nothing to change in {place}")
    } else {
        format!("{} is in {place} now", changed.join(", "))
    });
    Ok(())
}

/// The words for a region that is not among the known ones: AWS may have made it since.
fn doubt(region: &str) -> String {
    match regions::nearest(region) {
        Some(nearest) => format!("{region} is no region that is known here; {nearest} is"),
        None => format!("{region} is no region that is known here"),
    }
}
