//! The seeds of MFA devices in the keyring: whether what the files say of them is so.

use std::collections::BTreeMap;

use protocol::{KeyringState, Profile};

use super::Finding;
use super::aws::Serial;
use crate::shell::word;

/// What the profiles need of the keyring. `kept`: the devices whose seeds it has, where it tells.
pub fn findings(
    profiles: &[Profile],
    state: Option<&KeyringState>,
    kept: Option<&[String]>,
    desktop: bool,
) -> Vec<Finding> {
    // By device: two profiles with one have one seed.
    let mut needed: BTreeMap<&str, &str> = BTreeMap::new();
    for profile in profiles.iter().filter(|profile| profile.keyring_seed) {
        if let Ok(Some(Serial { serial, .. })) = Serial::of(&profile.name, profiles) {
            needed.entry(serial).or_insert(&profile.name);
        }
    }
    let mut findings: Vec<Finding> = needed
        .iter()
        .filter_map(|(serial, profile)| {
            let codes = format!("the codes of {profile} come from the seed of {serial}");
            match state? {
                KeyringState::Locked => {
                    let what = format!("{codes}, and the keyring that has it is locked");
                    Some(Finding::warning("seed", what, super::agent::unlock(desktop)))
                }
                KeyringState::Missing { detail } => {
                    let what = format!("{codes}, and there is no keyring here: {detail}");
                    Some(Finding::warning("seed", what, super::agent::RESTART))
                }
                KeyringState::Unlocked if kept?.iter().any(|kept| kept == serial) => {
                    Some(Finding::ok("seed", format!("the keyring has that of {serial}")))
                }
                KeyringState::Unlocked => {
                    let what = format!("{codes}, and the keyring has none of it{}", of_others(kept?));
                    let hint = format!("mfa-agent device seed --profile {}", word(profile));
                    Some(Finding::warning("seed", what, hint))
                }
            }
        })
        .collect();
    let named = |serial: &str| profiles.iter().any(|profile| profile.serial.as_deref() == Some(serial));
    let left = kept.unwrap_or_default().iter().filter(|serial| !named(serial));
    findings.extend(left.map(|serial| {
        Finding::warning(
            "seed",
            format!("the keyring keeps the seed of {serial}, which no profile names"),
            format!("secret-tool clear service mfa-agent mfa-serial {}", word(serial)),
        )
    }));
    findings
}

fn of_others(kept: &[String]) -> String {
    match kept {
        [] => String::new(),
        serials => format!(", but that of {}", serials.join(", ")),
    }
}
