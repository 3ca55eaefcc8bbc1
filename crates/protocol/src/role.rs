//! A role in the place of a profile: `dev,arn:aws:iam::111122223333:role/ops` is that role, assumed from profile `dev`.
//! No profile is called so: AWS's files allow no comma in a profile's name.

use std::borrow::Cow;

/// A role that is named by its ARN.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NamedRole<'a> {
    /// The profile that it is assumed from; else the default one.
    pub source: Option<&'a str>,
    /// Its ARN.
    pub arn: &'a str,
}

impl<'a> NamedRole<'a> {
    /// Reads what stands in the place of a profile's name; `None` where that is a profile's name.
    pub fn of(profile: &'a str) -> Option<Self> {
        let (source, arn) = match profile.find(",arn:") {
            _ if profile.starts_with("arn:") => (None, profile),
            Some(comma) if comma > 0 => (Some(&profile[..comma]), &profile[comma + 1..]),
            _ => return None,
        };
        let is_plain = source.is_none_or(|source| !source.contains(','));
        (is_plain && is_role(arn)).then_some(Self { source, arn })
    }

    /// Both as one word.
    pub fn joined(source: &str, arn: &str) -> String {
        format!("{source},{arn}")
    }

    /// The role's name, without its path.
    pub fn name(&self) -> &'a str {
        self.arn.rsplit('/').next().unwrap_or_default()
    }

    /// Its account.
    pub fn account(&self) -> &'a str {
        self.arn.split(':').nth(4).unwrap_or_default()
    }
}

/// What people are shown of a profile: its name; of a role, `ops in 111122223333`.
pub fn shown(profile: &str) -> Cow<'_, str> {
    match NamedRole::of(profile) {
        Some(role) => Cow::Owned(format!("{} in {}", role.name(), role.account())),
        None => Cow::Borrowed(profile),
    }
}

/// The same of several, one after the other.
pub fn shown_all(profiles: &[String]) -> String {
    profiles.iter().map(|profile| shown(profile)).collect::<Vec<_>>().join(", ")
}

/// Whether it is a role's ARN, as IAM makes them: `arn:PARTITION:iam::ACCOUNT:role/PATH/NAME`.
fn is_role(arn: &str) -> bool {
    let mut parts = arn.splitn(6, ':');
    let mut is = |wanted: &dyn Fn(&str) -> bool| parts.next().is_some_and(wanted);
    let path = |text: &str| text.bytes().all(|byte| byte.is_ascii_graphic());
    let name = |text: &str| {
        (1..=64).contains(&text.len())
            && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_+=,.@-".contains(&byte))
    };
    is(&|scheme| scheme == "arn")
        && is(&|partition| {
            partition.starts_with("aws")
                && partition.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-')
        })
        && is(&|service| service == "iam")
        && is(&str::is_empty)
        && is(&|account| account.len() == 12 && account.bytes().all(|byte| byte.is_ascii_digit()))
        && is(&|resource| {
            // IAM: a path has 512 characters at most.
            let resource = resource.strip_prefix("role/").filter(|rest| rest.len() <= 512 + 64);
            resource.is_some_and(|rest| path(rest) && name(rest.rsplit('/').next().unwrap_or_default()))
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    const ARN: &str = "arn:aws:iam::222222222222:role/ops";

    #[test]
    fn a_role_is_read_with_and_without_its_source() {
        assert_eq!(NamedRole::of(ARN), Some(NamedRole { source: None, arn: ARN }));
        let joined = NamedRole::joined("dev", ARN);
        assert_eq!(joined, "dev,arn:aws:iam::222222222222:role/ops");
        assert_eq!(NamedRole::of(&joined), Some(NamedRole { source: Some("dev"), arn: ARN }));
        for (arn, name) in [
            ("arn:aws-cn:iam::222222222222:role/team/a:b/ops,x", "ops,x"),
            ("arn:aws-us-gov:iam::222222222222:role/,arn:/ops@dev", "ops@dev"),
            (
                "arn:aws:iam::222222222222:role/aws-reserved/sso.amazonaws.com/AWSReservedSSO_a_1",
                "AWSReservedSSO_a_1",
            ),
        ] {
            for text in [arn.to_owned(), NamedRole::joined("a/b:c", arn)] {
                let role = NamedRole::of(&text).unwrap_or_else(|| panic!("{text}"));
                assert_eq!((role.arn, role.name(), role.account()), (arn, name, "222222222222"));
            }
        }
    }

    #[test]
    fn all_else_is_a_profile() {
        for text in [
            "dev",
            "",
            "dev,ops",
            "dev,",
            ",arn:aws:iam::222222222222:role/ops",
            "a,b,arn:aws:iam::222222222222:role/ops",
            "dev,arn:aws:iam::222222222222:user/alice",
            "arn:aws:iam::222222222222:role/",
            "arn:aws:iam::222222222222:role/o ps",
            "arn:aws:iam::222222222222:role/ops/",
            "arn:aws:iam::22222222222:role/ops",
            "arn:aws:iam:eu-west-1:222222222222:role/ops",
            "arn:aws:sts::222222222222:assumed-role/ops/me",
            "arn:gcp:iam::222222222222:role/ops",
        ] {
            assert_eq!(NamedRole::of(text), None, "{text}");
            assert_eq!(shown(text), text);
        }
    }

    #[test]
    fn people_are_shown_the_name_and_the_account() {
        assert_eq!(
            shown(&NamedRole::joined("dev", "arn:aws:iam::222222222222:role/team/ops")),
            "ops in 222222222222"
        );
    }
}
