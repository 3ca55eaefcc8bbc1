//! AWS's own word on a profile: whether it knows the key, whose the device is, whether the key alone is refused.

use protocol::{CallerIdentity, IamAnswer, MfaDevice, Profile, Refusal};

use super::super::device;
use super::super::policy::check::{self, Seen};
use super::Finding;
use crate::failure::{Exit, Failure};
use crate::message;
use crate::shell::word;

/// Why a question has no answer.
#[derive(Debug)]
pub enum Trouble {
    /// The agent, or AWS, said no.
    Refused(Refusal),
    /// There was none in time.
    Late,
}

/// What came back, and the profile whose key signed.
pub type Answer = Result<(String, IamAnswer), Trouble>;

/// What AWS says to a profile's key alone, without MFA.
#[derive(Debug)]
pub struct Answers {
    /// To `GetCallerIdentity`.
    pub identity: Answer,
    /// To `ListMFADevices`, of the key's own user.
    pub devices: Answer,
    /// To `ListVirtualMFADevices`, of those that nobody has and that are named as the user is.
    pub half_done: Answer,
    /// To the calls that are to be denied.
    pub without_mfa: Vec<(&'static str, Answer)>,
}

impl Answers {
    /// There is no such profile, or none with a key, as the agent chose it.
    pub fn is_without_profile(&self) -> bool {
        matches!(
            &self.identity,
            Err(Trouble::Refused(
                Refusal::NoProfile | Refusal::UnknownProfile { .. } | Refusal::NoKey { .. }
            ))
        )
    }
}

/// No profile was named, and which one is meant is not clear.
pub fn not_asked() -> Finding {
    Finding::ok("aws", "not asked, as no profile is named: mfa-agent doctor PROFILE")
}

/// What the answers mean, of the profile that was named, or else of the one whose key signed.
pub fn findings(answers: Answers, named: Option<&str>, profiles: &[Profile]) -> Vec<Finding> {
    let Answers { identity, devices, half_done, without_mfa } = answers;
    let (signer, identity) = match identity {
        Ok((signer, IamAnswer::CallerIdentity(identity))) => (signer, identity),
        Ok(_) => return Vec::new(),
        Err(trouble) => return unanswered("key", trouble).into_iter().collect(),
    };
    let mut findings = vec![key(&signer, &identity)];
    let Some(user) = identity.user() else { return findings };
    // A role's ARN is in no file.
    let named = named.filter(|named| profiles.iter().any(|profile| profile.name == *named));
    let serial = Serial::of(named.unwrap_or(&signer), profiles);
    let half_done = match half_done {
        Ok((_, IamAnswer::VirtualMfaDevices(serials))) => serials,
        _ => Vec::new(),
    };
    match devices {
        Ok((_, IamAnswer::MfaDevices(devices))) => {
            let of = Devices { signer: &signer, user, identity: &identity, enabled: &devices };
            // What cannot work, whoever has which device, is said already.
            if let Ok(serial) = &serial {
                findings.push(of.finding(serial.as_ref(), &half_done));
                findings.extend(of.leftovers(serial.as_ref(), &half_done));
            }
        }
        Err(Trouble::Refused(refusal)) if device::is_denied(&refusal) => findings.push(Finding::warning(
            "device",
            format!("AWS does not tell {user}'s key which devices {user} has: {}", says(&refusal)),
            format!("mfa-agent policy check --profile {}", word(&signer)),
        )),
        Ok(_) => {}
        Err(trouble) => findings.extend(unanswered("device", trouble)),
    }
    findings.extend(policy(&signer, user, without_mfa));
    // One is enough.
    let mut silent = false;
    findings.retain(|finding| finding.check != "aws" || !std::mem::replace(&mut silent, true));
    findings
}

/// What it means that there is no answer to a question on `check`.
fn unanswered(check: &'static str, trouble: Trouble) -> Option<Finding> {
    let failure = match trouble {
        Trouble::Late => Failure::new(Exit::Network, "AWS did not answer in time")
            .hint("mfa-agent status shows the endpoint and the proxy that the agent runs with"),
        Trouble::Refused(refusal @ Refusal::Aws { .. }) => {
            return Some(Finding::failure(check, &message::refused(&refusal)));
        }
        Trouble::Refused(refusal @ (Refusal::Network { .. } | Refusal::Internal)) => {
            message::refused(&refusal)
        }
        // What is wrong here is said by those who look at the files, the keyring and the lock.
        Trouble::Refused(_) => return None,
    };
    let hint = failure.what_to_do().unwrap_or_default().to_owned();
    Some(Finding::warning(
        "aws",
        format!("{}; the key, the device and the policy are not known", failure.what),
        hint,
    ))
}

fn key(signer: &str, identity: &CallerIdentity) -> Finding {
    let account = &identity.account;
    match identity.user() {
        Some(user) => Finding::ok("key", format!("{signer}'s is {user}'s, of account {account}")),
        None => Finding::warning(
            "key",
            format!(
                "{signer}'s is {}'s, who is no IAM user and bound by no policy of this kind",
                identity.arn
            ),
            format!("mfa-agent keys import --profile {} --force", word(signer)),
        ),
    }
}

/// The device that a profile names, and the profile that has the setting: itself, or one that it rests on.
pub struct Serial<'a> {
    /// The device.
    pub serial: &'a str,
    place: &'a str,
}

impl<'a> Serial<'a> {
    /// None where no profile on the way names one. An error where what is named cannot work.
    pub fn of(profile: &str, profiles: &'a [Profile]) -> Result<Option<Self>, ()> {
        let mut name = profile;
        // As many steps as there are profiles: a circle ends, too.
        for _ in profiles {
            let Some(found) = profiles.iter().find(|found| found.name == name) else { break };
            if found.problem.is_some() {
                return Err(());
            }
            if let Some(serial) = &found.serial {
                return Ok(Some(Self { serial, place: &found.name }));
            }
            let Some(source) = &found.source_profile else { break };
            name = source;
        }
        Ok(None)
    }
}

/// A user's devices.
struct Devices<'a> {
    signer: &'a str,
    user: &'a str,
    identity: &'a CallerIdentity,
    enabled: &'a [MfaDevice],
}

impl Devices<'_> {
    fn usable(&self) -> Vec<&str> {
        let serials = self.enabled.iter().map(|device| device.serial.as_str());
        serials.filter(|serial| !device::is_security_key(serial)).collect()
    }

    fn finding(&self, named: Option<&Serial<'_>>, half_done: &[String]) -> Finding {
        let Self { user, identity, .. } = self;
        let usable = self.usable();
        let has = match usable.as_slice() {
            [] => "none".to_owned(),
            serials => serials.join(", "),
        };
        let Some(Serial { serial, place }) = named else {
            let mend = self.mend(None);
            return match usable.as_slice() {
                [] => Finding::error("device", format!("{user} has none that STS takes codes of"), mend),
                [serial] => Finding::ok("device", format!("{serial}, the only one of {user}'s")),
                _ => {
                    let what = format!("{} names none, and {user} has several: {has}", self.signer);
                    Finding::error("device", what, mend)
                }
            };
        };
        if usable.contains(serial) {
            return Finding::ok("device", format!("{serial} is {user}'s"));
        }
        let account = serial.strip_prefix("arn:").and_then(|rest| rest.split(':').nth(3));
        let what = if half_done.iter().any(|half| half == serial) {
            format!("{serial}, the mfa_serial of {place}, was made and never enabled")
        } else if let Some(other) = account.filter(|account| *account != identity.account) {
            format!(
                "{serial}, the mfa_serial of {place}, is of account {other}, and the key of account {}; {user} has {has}",
                identity.account
            )
        } else {
            format!("{serial}, the mfa_serial of {place}, is no device of {user}'s, who has {has}")
        };
        Finding::error("device", what, self.mend(Some(place)))
    }

    /// The command that makes the setting name one of the user's. It makes a device where there is none.
    fn mend(&self, place: Option<&str>) -> String {
        match (place, self.usable().first()) {
            // `device add` writes to the profile that has the key.
            (Some(place), Some(serial)) if place != self.signer => {
                format!("aws configure set mfa_serial {} --profile {}", word(serial), word(place))
            }
            _ => format!("mfa-agent device add --profile {}", word(self.signer)),
        }
    }

    /// The devices that somebody began to make, and that are not the one that the profile names.
    fn leftovers(&self, named: Option<&Serial<'_>>, half_done: &[String]) -> Vec<Finding> {
        let is_left = |serial: &&String| {
            device::is_of(serial, self.user) && named.is_none_or(|named| named.serial != serial.as_str())
        };
        let left = half_done.iter().filter(is_left);
        left.map(|serial| {
            let name = word(device::name(serial));
            let hint = format!("mfa-agent device remove {name} --profile {}", word(self.signer));
            Finding::warning("device", format!("{serial} was made and never enabled"), hint)
        })
        .collect()
    }
}

/// Whether calls without MFA are denied.
fn policy(signer: &str, user: &str, answers: Vec<(&'static str, Answer)>) -> Option<Finding> {
    let profile = word(signer);
    let mut denied = false;
    for (action, answer) in answers {
        let answer = match answer {
            Ok((_, answer)) => Ok(answer),
            Err(Trouble::Refused(refusal @ Refusal::Aws { .. })) => Err(refusal),
            Err(trouble) => return unanswered("policy", trouble),
        };
        match check::seen(answer) {
            Ok(Seen::Allowed) => {
                let what = format!("not in force: {user}'s key alone, without MFA, may call {action}");
                let hint = format!("mfa-agent policy attach --profile {profile}");
                return Some(Finding::warning("policy", what, hint));
            }
            Ok(Seen::Denied) => denied = true,
            Ok(Seen::NotAllowed | Seen::NotMade) => {}
            Err(failure) => return Some(Finding::failure("policy", &failure)),
        }
    }
    Some(if denied {
        Finding::ok("policy", format!("in force for {user}: denied without MFA"))
    } else {
        let what = format!("nothing denies {user} anything for want of MFA; nothing is allowed either");
        Finding::warning("policy", what, format!("mfa-agent policy check --profile {profile}"))
    })
}

fn says(refusal: &Refusal) -> &str {
    match refusal {
        Refusal::Aws { message, .. } => message,
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::super::State;
    use super::*;

    const SERIAL: &str = "arn:aws:iam::111122223333:mfa/alice";

    fn profile(name: &str, serial: Option<&str>, source: Option<&str>) -> Profile {
        Profile {
            name: name.to_owned(),
            region: None,
            source_profile: source.map(str::to_owned),
            role_arn: None,
            serial: serial.map(str::to_owned),
            keyring_seed: false,
            recent: None,
            problem: None,
        }
    }

    fn signed(answer: IamAnswer) -> (String, IamAnswer) {
        ("dev".to_owned(), answer)
    }

    fn answers(devices: &[&str]) -> Answers {
        let arn = "arn:aws:iam::111122223333:user/alice".to_owned();
        let enabled = devices.iter().map(|serial| MfaDevice { serial: (*serial).to_owned(), enabled_at: 0 });
        Answers {
            identity: Ok(signed(IamAnswer::CallerIdentity(CallerIdentity {
                account: "111122223333".to_owned(),
                arn,
            }))),
            devices: Ok(signed(IamAnswer::MfaDevices(enabled.collect()))),
            half_done: Ok(signed(IamAnswer::VirtualMfaDevices(Vec::new()))),
            without_mfa: Vec::new(),
        }
    }

    #[test]
    fn a_device_is_judged_where_it_is_named() {
        let role = "arn:aws:iam::999999999999:mfa/alice";
        let profiles = [
            profile("dev", Some(SERIAL), None),
            profile("ops", None, Some("dev")),
            profile("far", Some(role), Some("dev")),
            profile("a", None, Some("b")),
            profile("b", None, Some("a")),
        ];
        let device = |named, devices: &[&str]| {
            let findings = findings(answers(devices), named, &profiles);
            findings.into_iter().find(|finding| finding.check == "device").unwrap()
        };
        assert_eq!(device(None, &[SERIAL]).state, State::Ok);
        assert_eq!(device(Some("ops"), &[SERIAL]).state, State::Ok);
        let far = device(Some("far"), &[SERIAL]);
        assert!(far.what.contains("is of account 999999999999"), "{far:?}");
        assert_eq!(far.hint.unwrap(), format!("aws configure set mfa_serial {SERIAL} --profile far"));
        assert_eq!(device(Some("dev"), &[]).hint.unwrap(), "mfa-agent device add --profile dev");
        // A circle is said elsewhere, and ends here.
        assert_eq!(device(Some("a"), &[SERIAL]).state, State::Ok);
        assert_eq!(device(Some("a"), &[SERIAL, "GAHT12345678"]).state, State::Error);
        let user = Refusal::SerialIsUser { profile: "dev".to_owned(), serial: String::new() };
        let broken = [Profile { problem: Some(user), ..profile("dev", None, None) }];
        assert!(findings(answers(&[]), None, &broken).iter().all(|finding| finding.check != "device"));
        assert_eq!(device(Some("a"), &["arn:aws:iam::111122223333:u2f/user/alice/k"]).state, State::Error);
    }

    #[test]
    fn silence_is_one_doubt() {
        let mut silent = answers(&[]);
        silent.devices = Err(Trouble::Late);
        silent.without_mfa = vec![("iam:ListUsers", Err(Trouble::Late))];
        let found = findings(silent, None, &[]);
        let states: Vec<_> = found.iter().map(|finding| (finding.check, finding.state)).collect();
        assert_eq!(states, [("key", State::Ok), ("aws", State::Warning)]);
    }
}
