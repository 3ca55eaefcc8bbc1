//! AWS's files: who may read them, which of their profiles work, what other tools left there.

use std::path::Path;

use protocol::{Profile, Refusal, Sections};

use super::super::why::LONG_TERM;
use super::Finding;
use crate::message;
use crate::shell::word;

/// What is in a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Holds {
    /// Settings, and commands that are run.
    Settings,
    /// Keys among them.
    SettingsAndKeys,
    /// Keys.
    Keys,
}

/// Whether others may look into a file, or write to it; `mode` is none where there is no file.
pub fn exposed(file: &Path, holds: Holds, mode: Option<u32>) -> Option<Finding> {
    let mode = mode?;
    let path = file.display();
    let quoted = word(&file.to_string_lossy());
    let (check, private) = match holds {
        Holds::Settings => ("config file", "chmod go-w"),
        Holds::SettingsAndKeys => ("config file", "chmod 600"),
        Holds::Keys => ("credentials file", "chmod 600"),
    };
    Some(match holds {
        Holds::Keys | Holds::SettingsAndKeys if mode & 0o077 != 0 => {
            let what = format!("{path} has keys in it, and others may open it (mode {mode:03o})");
            Finding::error(check, what, format!("{private} {quoted}"))
        }
        Holds::Settings if mode & 0o022 != 0 => {
            let what = format!("others may write commands into {path}, which would be run (mode {mode:03o})");
            Finding::error(check, what, format!("{private} {quoted}"))
        }
        _ => Finding::ok(check, path.to_string()),
    })
}

/// Which profiles work. The one that is `wanted` must, and where none is, the shell's own; of the others it is said.
pub fn profiles(profiles: &[Profile], wanted: Option<&str>, own: Option<&str>) -> Vec<Finding> {
    let must_work = wanted.or(own);
    let looked_at: Vec<&Profile> =
        profiles.iter().filter(|profile| wanted.is_none_or(|wanted| wanted == profile.name)).collect();
    let mut findings = Vec::new();
    let works: Vec<&str> = looked_at
        .iter()
        .filter(|profile| profile.problem.is_none())
        .map(|profile| profile.name.as_str())
        .collect();
    if !works.is_empty() {
        findings.push(Finding::ok("profiles", format!("ready for a code: {}", works.join(", "))));
    }
    for profile in &looked_at {
        let Some(problem) = &profile.problem else { continue };
        let named = must_work == Some(profile.name.as_str());
        let not_for_codes = match problem {
            Refusal::NotOurs { .. } => true,
            // Settings for all others, by many people's habit.
            Refusal::NoKey { .. } => profile.name == "default" && profile.serial.is_none(),
            _ => false,
        };
        if not_for_codes && !named {
            continue;
        }
        let found = Finding::failure("profiles", &message::refused(problem));
        if named || works.is_empty() {
            findings.push(found);
        } else {
            findings.push(Finding::warning(found.check, found.what, found.hint.unwrap_or_default()));
        }
    }
    if let Some(wanted) = wanted
        && looked_at.is_empty()
    {
        let what = format!("no file has profile {wanted}");
        findings.push(Finding::error("profiles", what, "mfa-agent profiles"));
    } else if findings.is_empty() {
        let what = "no profile has an access key, so there is nothing to take a code for";
        findings.push(Finding::error("profiles", what, "mfa-agent keys import --profile dev"));
    }
    findings
}

/// What other tools left in the files.
pub fn leftovers(files: &Sections) -> Vec<Finding> {
    let file = &files.credentials_file;
    let sections = &files.sections;
    let temporary = sections.iter().filter(|(_, section)| section.temporary);
    temporary
        .filter_map(|(name, _)| {
            if name.starts_with("autoawsume-") {
                let what =
                    format!("awsume renews a session in [{name}] of {file}, for every program to read");
                return Some(Finding::warning("leftovers", what, "awsume -k"));
            }
            // Of a key without [NAME-long-term] the profile tells: it cannot work.
            sections.contains_key(&format!("{name}{LONG_TERM}")).then(|| {
                let what = format!(
                    "[{name}] of {file} holds a session, as aws-mfa writes it, for every program to read"
                );
                let hint =
                    format!("if no tool needs it there, take the section out by hand: vi {}", word(file));
                Finding::warning("leftovers", what, hint)
            })
        })
        .collect()
}

/// Whether a section says that its key is in the keyring.
pub fn names_keyring(files: &Sections) -> bool {
    files.sections.values().any(|section| section.keyring_key.is_some())
}

/// The sections that have a key in the clear beside that in the keyring.
pub fn in_the_clear(files: &Sections) -> Vec<Finding> {
    let both = files.sections.iter().filter(|(_, section)| section.keyring_key.is_some());
    both.filter_map(|(name, section)| {
        let key = section.key.as_ref()?;
        let file = &files.credentials_file;
        let what =
            format!("[{name}] of {file} has the key …{key} in the clear, and it wins over the keyring's");
        let profile = word(name.strip_suffix(LONG_TERM).unwrap_or(name));
        let hint = format!("mfa-agent keys import --keyring --force --profile {profile}");
        Some(Finding::warning("credentials file", what, hint))
    })
    .collect()
}

#[cfg(test)]
mod tests {
    use super::super::State;
    use super::*;

    fn profile(name: &str, problem: Option<Refusal>) -> Profile {
        let name = name.to_owned();
        Profile {
            name,
            region: None,
            source_profile: None,
            role_arn: None,
            serial: None,
            keyring_seed: false,
            recent: None,
            problem,
        }
    }

    fn no_key(section: &str) -> Refusal {
        Refusal::NoKey { section: section.to_owned(), file: "~/.aws/credentials".to_owned() }
    }

    fn states(found: &[Finding]) -> Vec<State> {
        found.iter().map(|finding| finding.state).collect()
    }

    #[test]
    fn only_the_profile_that_is_meant_must_work() {
        let sso = Refusal::NotOurs { profile: "sso".to_owned(), setting: "sso_session".to_owned() };
        let all = [
            profile("default", Some(no_key("default"))),
            profile("dev", None),
            profile("old", Some(no_key("old"))),
            profile("sso", Some(sso)),
        ];
        let found = |wanted, own| states(&profiles(&all, wanted, own));
        assert_eq!(found(None, None), [State::Ok, State::Warning]);
        assert_eq!(found(None, Some("old")), [State::Ok, State::Error]);
        assert_eq!(found(Some("dev"), None), [State::Ok]);
        assert_eq!(found(Some("sso"), None), [State::Error]);
        assert_eq!(found(Some("default"), None), [State::Error]);
        assert_eq!(found(Some("gone"), None), [State::Error]);
        assert_eq!(states(&profiles(&all[..1], None, None)), [State::Error]);
        assert_eq!(states(&profiles(&[], None, None)), [State::Error]);
    }

    #[test]
    fn a_file_is_as_private_as_what_it_holds() {
        let state = |holds, mode| exposed(Path::new("/f"), holds, Some(mode)).map(|found| found.state);
        assert_eq!(state(Holds::Keys, 0o600), Some(State::Ok));
        assert_eq!(state(Holds::Keys, 0o640), Some(State::Error));
        assert_eq!(state(Holds::Settings, 0o644), Some(State::Ok));
        assert_eq!(state(Holds::SettingsAndKeys, 0o644), Some(State::Error));
        assert_eq!(state(Holds::Settings, 0o664), Some(State::Error));
        assert_eq!(exposed(Path::new("/f"), Holds::Keys, None), None);
    }
}
