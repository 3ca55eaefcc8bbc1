//! The checks AWS makes on parameters before anything else, all complaints in one message.

use std::ops::RangeInclusive;

use crate::answer::Failure;
use crate::request::Parameters;

/// What a text may look like.
pub(crate) struct Rule {
    pub(crate) length: RangeInclusive<usize>,
    /// As AWS quotes it.
    pub(crate) pattern: &'static str,
    /// The characters that pattern allows beside letters and digits; `None` for digits only.
    pub(crate) punctuation: Option<&'static str>,
}

pub(crate) const ROLE_ARN: Rule = Rule {
    length: 20..=2_048,
    pattern: r"[\u0009\u000A\u000D\u0020-\u007E]+",
    punctuation: Some("_:/+=,.@-"),
};
pub(crate) const SESSION_NAME: Rule =
    Rule { length: 2..=64, pattern: r"[\w+=,.@-]*", punctuation: Some("_+=,.@-") };
pub(crate) const FEDERATED_NAME: Rule = Rule { length: 2..=32, ..SESSION_NAME };
pub(crate) const EXTERNAL_ID: Rule =
    Rule { length: 2..=1_224, pattern: r"[\w+=,.@:\/-]*", punctuation: Some("_+=,.@:/-") };
pub(crate) const SERIAL_NUMBER: Rule =
    Rule { length: 9..=256, pattern: r"[\w+=/:,.@-]*", punctuation: Some("_+=/:,.@-") };
pub(crate) const DEVICE_NAME: Rule =
    Rule { length: 1..=226, pattern: r"[\w+=,.@-]+", punctuation: Some("_+=,.@-") };
pub(crate) const SOURCE_IDENTITY: Rule = SESSION_NAME;
pub(crate) const POLICY_ARN: Rule = ROLE_ARN;
pub(crate) const TAG_KEY: Rule =
    Rule { length: 1..=128, pattern: TAG_PATTERN, punctuation: Some(TAG_PUNCTUATION) };
pub(crate) const TAG_VALUE: Rule = Rule { length: 0..=256, ..TAG_KEY };
const TAG_PATTERN: &str = r"[\p{L}\p{Z}\p{N}_.:/=+\-@]+";
const TAG_PUNCTUATION: &str = " _.:/=+-@";
pub(crate) const ACCESS_KEY_ID: Rule = Rule { length: 16..=128, pattern: r"[\w]+", punctuation: Some("_") };
pub(crate) const TOKEN_CODE: Rule = Rule { length: 6..=6, pattern: r"[\d]*", punctuation: None };

/// Collects complaints about the parameters of one request.
pub(crate) struct Validation<'a> {
    parameters: &'a Parameters,
    complaints: Vec<String>,
}

impl<'a> Validation<'a> {
    pub(crate) fn of(parameters: &'a Parameters) -> Validation<'a> {
        Validation { parameters, complaints: Vec::new() }
    }

    /// A text that must be there; empty, and a complaint made, if it is not.
    pub(crate) fn required(&mut self, name: &str, rule: &Rule) -> &'a str {
        self.optional(name, rule).unwrap_or_else(|| {
            self.complaints.push(complaint("null", name, "Member must not be null"));
            ""
        })
    }

    /// The texts of a list: `NAME.member.1`, and so on; `part` is what stands behind the number.
    pub(crate) fn list(&mut self, name: &str, part: &str, rule: &Rule, most: usize) -> Vec<&'a str> {
        let items: Vec<&str> =
            (1..).map_while(|number| self.optional(&format!("{name}.member.{number}{part}"), rule)).collect();
        if items.len() > most {
            let wanted = format!("Member must have length less than or equal to {most}");
            self.complaints.push(complaint(&format!("'[{}]'", items.join(", ")), name, &wanted));
        }
        items
    }

    pub(crate) fn optional(&mut self, name: &str, rule: &Rule) -> Option<&'a str> {
        let value = self.parameters.get(name)?;
        let quoted = format!("'{value}'");
        let length = value.chars().count();
        if length < *rule.length.start() {
            let wanted = format!("Member must have length greater than or equal to {}", rule.length.start());
            self.complaints.push(complaint(&quoted, name, &wanted));
        }
        if length > *rule.length.end() {
            let wanted = format!("Member must have length less than or equal to {}", rule.length.end());
            self.complaints.push(complaint(&quoted, name, &wanted));
        }
        let allowed = |character: char| match rule.punctuation {
            None => character.is_ascii_digit(),
            Some(marks) => character.is_ascii_alphanumeric() || marks.contains(character),
        };
        if !value.chars().all(allowed) {
            let wanted = format!("Member must satisfy regular expression pattern: {}", rule.pattern);
            self.complaints.push(complaint(&quoted, name, &wanted));
        }
        Some(value)
    }

    /// `DurationSeconds`, or the default if it is not given.
    pub(crate) fn duration(&mut self, bounds: RangeInclusive<i64>, default: i64) -> i64 {
        const NAME: &str = "DurationSeconds";
        let Some(text) = self.parameters.get(NAME) else { return default };
        let quoted = format!("'{text}'");
        let Ok(seconds) = text.parse::<i64>() else {
            self.complaints.push(complaint(&quoted, NAME, "Member must be an integer"));
            return default;
        };
        if seconds < *bounds.start() {
            let wanted = format!("Member must have value greater than or equal to {}", bounds.start());
            self.complaints.push(complaint(&quoted, NAME, &wanted));
        }
        if seconds > *bounds.end() {
            let wanted = format!("Member must have value less than or equal to {}", bounds.end());
            self.complaints.push(complaint(&quoted, NAME, &wanted));
        }
        seconds
    }

    pub(crate) fn finish(self) -> Result<(), Failure> {
        let detected = match self.complaints.len() {
            0 => return Ok(()),
            1 => "1 validation error detected".to_owned(),
            count => format!("{count} validation errors detected"),
        };
        Err(Failure::validation(format!("{detected}: {}", self.complaints.join("; "))))
    }
}

/// AWS names the member with a small first letter: `DurationSeconds` at `'durationSeconds'`.
fn complaint(value: &str, name: &str, wanted: &str) -> String {
    let (first, rest) = name.split_at(1);
    let member = first.to_lowercase() + rest;
    format!("Value {value} at '{member}' failed to satisfy constraint: {wanted}")
}
