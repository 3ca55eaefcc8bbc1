//! What policies say, as far as MFA goes: which statement decides a call. It explains what AWS did, and decides
//! nothing itself.

use std::collections::BTreeMap;

use protocol::frame;
use serde::Deserialize;

/// What the condition is about.
const MFA_PRESENT: &str = "aws:multifactorauthpresent";

/// A policy that was read.
#[derive(Debug)]
pub struct Policy {
    /// In words: `policy require-mfa of user alice`.
    pub name: String,
    statements: Vec<Statement>,
}

/// A call.
#[derive(Debug, Clone, Copy)]
pub struct Question<'a> {
    /// Such as `iam:GetUser`.
    pub action: &'a str,
    /// An ARN.
    pub resource: &'a str,
    /// The name of the user who calls.
    pub user: &'a str,
    /// With a session that a code opened; else with the long-term key.
    pub mfa: bool,
}

/// A text, or several.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Texts {
    One(Text),
    Several(Vec<Text>),
}

/// Truths are written either way.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Text {
    Text(String),
    Truth(bool),
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Statements {
    One(Statement),
    Several(Vec<Statement>),
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Document {
    statement: Statements,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Statement {
    sid: Option<String>,
    effect: String,
    action: Option<Texts>,
    not_action: Option<Texts>,
    resource: Option<Texts>,
    not_resource: Option<Texts>,
    #[serde(default)]
    condition: BTreeMap<String, BTreeMap<String, Texts>>,
}

impl Policy {
    /// Reads a policy's text; none where it is no policy.
    pub fn read(name: String, text: &str) -> Option<Self> {
        let document: Document = frame::decode(text.as_bytes()).ok()?;
        let statements = match document.statement {
            Statements::One(statement) => vec![statement],
            Statements::Several(statements) => statements,
        };
        Some(Self { name, statements })
    }
}

/// The statement that decides: a deny where there is one, else what allows it. In words.
pub fn decider(policies: &[Policy], question: Question<'_>, denies: bool) -> Option<String> {
    let effect = if denies { "Deny" } else { "Allow" };
    policies.iter().find_map(|policy| {
        let found = policy.statements.iter().position(|statement| {
            statement.effect == effect
                && statement.is_about(question)
                && statement.holds(question.mfa) == Some(true)
        })?;
        Some(place(policy, found))
    })
}

/// A statement that would deny a call without MFA if it were written right, in words: `Bool` compares nothing where a
/// long-term key has no word on MFA.
pub fn trap(policies: &[Policy], question: Question<'_>) -> Option<String> {
    policies.iter().find_map(|policy| {
        let found = policy.statements.iter().position(|statement| {
            statement.effect == "Deny"
                && statement.is_about(question)
                && statement.condition.get("Bool").is_some_and(|test| {
                    test.iter().any(|(key, value)| {
                        key.eq_ignore_ascii_case(MFA_PRESENT) && value.truth() == Some(false)
                    })
                })
        })?;
        Some(place(policy, found))
    })
}

fn place(policy: &Policy, statement: usize) -> String {
    match &policy.statements[statement].sid {
        Some(sid) => format!("{sid} in {}", policy.name),
        None => format!("statement {} in {}", statement + 1, policy.name),
    }
}

impl Statement {
    fn is_about(&self, question: Question<'_>) -> bool {
        let action = |patterns: &Texts| {
            patterns
                .any(|pattern| matches(&pattern.to_ascii_lowercase(), &question.action.to_ascii_lowercase()))
        };
        let resource = |patterns: &Texts| {
            patterns
                .any(|pattern| matches(&pattern.replace("${aws:username}", question.user), question.resource))
        };
        let actions = match (&self.action, &self.not_action) {
            (Some(these), _) => action(these),
            (None, Some(but)) => !action(but),
            (None, None) => false,
        };
        let resources = match (&self.resource, &self.not_resource) {
            (Some(these), _) => resource(these),
            (None, Some(but)) => !resource(but),
            (None, None) => false,
        };
        actions && resources
    }

    /// Whether its conditions hold; none where one is of another kind.
    fn holds(&self, mfa: bool) -> Option<bool> {
        let mut holds = true;
        for (operator, tests) in &self.condition {
            for (key, value) in tests {
                let wanted = value.truth().filter(|_| key.eq_ignore_ascii_case(MFA_PRESENT))?;
                // A long-term key has no word on MFA.
                holds &= match operator.as_str() {
                    "Bool" => mfa && wanted,
                    "BoolIfExists" => mfa == wanted || !mfa,
                    "Null" => mfa != wanted,
                    _ => return None,
                };
            }
        }
        Some(holds)
    }
}

impl Texts {
    fn any(&self, holds: impl Fn(&str) -> bool) -> bool {
        let text = |text: &Text| matches!(text, Text::Text(text) if holds(text));
        match self {
            Self::One(one) => text(one),
            Self::Several(several) => several.iter().any(text),
        }
    }

    fn truth(&self) -> Option<bool> {
        match self {
            Self::One(text) => Some(text),
            Self::Several(several) => several.first().filter(|_| several.len() == 1),
        }
        .and_then(|text| match text {
            Text::Truth(truth) => Some(*truth),
            Text::Text(text) => text.parse().ok(),
        })
    }
}

/// `*` stands for any characters, `?` for one.
fn matches(pattern: &str, text: &str) -> bool {
    let (pattern, text) = (pattern.as_bytes(), text.as_bytes());
    let (mut at, mut read) = (0, 0);
    // Where the last star stands, and what it has taken so far.
    let mut star: Option<(usize, usize)> = None;
    while read < text.len() {
        match pattern.get(at) {
            Some(b'*') => {
                star = Some((at, read));
                at += 1;
            }
            Some(&wanted) if wanted == b'?' || wanted == text[read] => {
                at += 1;
                read += 1;
            }
            _ => {
                let Some((place, taken)) = star else { return false };
                star = Some((place, taken + 1));
                (at, read) = (place + 1, taken + 1);
            }
        }
    }
    pattern[at..].iter().all(|&byte| byte == b'*')
}

#[cfg(test)]
mod tests {
    use super::super::text;
    use super::*;
    use crate::args::{Partition, Variant};

    fn question(action: &str, mfa: bool) -> Question<'_> {
        Question { action, resource: "arn:aws:iam::111122223333:user/alice", user: "alice", mfa }
    }

    #[test]
    fn awss_own_policy_is_understood() {
        let text = text::of(Variant::Credentials, Partition::Aws);
        let policies = [Policy::read("policy p".to_owned(), &text).unwrap()];
        let decides = |action, mfa, denies| decider(&policies, question(action, mfa), denies);
        let deny = Some("DenyAllExceptListedIfNoMFA in policy p".to_owned());
        assert_eq!(decides("iam:ListAccessKeys", false, true), deny);
        assert_eq!(decides("iam:ListAccessKeys", true, true), None);
        assert_eq!(decides("iam:GetUser", false, true), None);
        let allow = Some("AllowManageOwnAccessKeys in policy p".to_owned());
        assert_eq!(decides("iam:ListAccessKeys", true, false), allow);
        assert_eq!(decides("s3:ListAllMyBuckets", true, false), None);
        assert_eq!(trap(&policies, question("iam:ListAccessKeys", false)), None);
    }

    #[test]
    fn a_condition_that_a_key_passes_by_is_a_trap() {
        let text = text::of(Variant::Device, Partition::Aws).replace("BoolIfExists", "Bool");
        let policies = [Policy::read("policy p".to_owned(), &text).unwrap()];
        let asked = question("iam:ListAccessKeys", false);
        assert_eq!(decider(&policies, asked, true), None);
        assert_eq!(trap(&policies, asked), Some("DenyAllExceptListedIfNoMFA in policy p".to_owned()));
        assert!(Policy::read(String::new(), "[]").is_none());
    }

    #[test]
    fn stars_and_question_marks_stand_for_what_they_do() {
        for (pattern, text) in
            [("*", ""), ("a*", "a"), ("a*c*e", "abcde"), ("iam:*Key*", "iam:ListAccessKeys"), ("?*", "x")]
        {
            assert!(matches(pattern, text), "{pattern} {text}");
        }
        for (pattern, text) in [("", "a"), ("a*c", "ab"), ("?", ""), ("a**b", "ac"), ("abc", "ab")] {
            assert!(!matches(pattern, text), "{pattern} {text}");
        }
    }
}
