//! Identity-based policies: what their documents say to a call. An explicit deny wins, and what nothing allows is
//! denied.

use serde_json::Value;

use crate::answer::Failure;

/// A document that was understood.
#[derive(Clone, Debug)]
pub(crate) struct Document {
    /// As it was put.
    pub(crate) text: String,
    statements: Vec<Statement>,
}

#[derive(Clone, Debug)]
struct Statement {
    sid: Option<String>,
    denies: bool,
    actions: Patterns,
    resources: Patterns,
    conditions: Vec<Condition>,
}

/// What is meant, or all but that.
#[derive(Clone, Debug)]
struct Patterns {
    but: bool,
    patterns: Vec<String>,
}

/// `aws:MultiFactorAuthPresent` in one of the forms that ask for MFA.
#[derive(Clone, Copy, Debug)]
enum Condition {
    /// `Bool`: it is there, and has this value.
    Is(bool),
    /// `BoolIfExists`: it has this value, or is not there.
    IsOrAbsent(bool),
    /// `Null`: it is not there, or it is.
    IsAbsent(bool),
}

/// A call, as policies see it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Question<'a> {
    /// Such as `iam:GetUser`.
    pub(crate) action: &'a str,
    /// An ARN, or `*` for an action without one.
    pub(crate) resource: &'a str,
    /// The name of the user who calls.
    pub(crate) user: &'a str,
    /// Whether the session began with a code; none for a long-term key.
    pub(crate) mfa: Option<bool>,
}

/// What comes of a call, and the statement that decides: the policy's name and the statement's own, or its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Decision {
    Allowed(String),
    Denied(String),
    /// No policy says anything.
    NotAllowed,
}

/// What the policies, each by its name, say to a call.
pub(crate) fn decide<'a>(
    policies: impl IntoIterator<Item = (&'a str, &'a Document)>,
    question: Question,
) -> Decision {
    let mut allowed = None;
    for (name, document) in policies {
        for (place, statement) in document.statements.iter().enumerate() {
            if !statement.is_about(question) {
                continue;
            }
            let sid = statement.sid.clone().unwrap_or_else(|| (place + 1).to_string());
            let by = format!("{name}/{sid}");
            if statement.denies {
                return Decision::Denied(by);
            }
            allowed.get_or_insert(by);
        }
    }
    allowed.map_or(Decision::NotAllowed, Decision::Allowed)
}

impl Statement {
    fn is_about(&self, question: Question) -> bool {
        // Actions are compared without regard to case, and ARNs with it.
        let action = question.action.to_ascii_lowercase();
        self.actions.contain(&action, str::to_ascii_lowercase)
            && self
                .resources
                .contain(question.resource, |pattern| pattern.replace("${aws:username}", question.user))
            && self.conditions.iter().all(|condition| condition.holds(question.mfa))
    }
}

impl Patterns {
    fn contain(&self, text: &str, prepare: impl Fn(&str) -> String) -> bool {
        self.but != self.patterns.iter().any(|pattern| matches(prepare(pattern).as_bytes(), text.as_bytes()))
    }
}

impl Condition {
    fn holds(self, mfa: Option<bool>) -> bool {
        match self {
            Condition::Is(wanted) => mfa == Some(wanted),
            Condition::IsOrAbsent(wanted) => mfa.is_none_or(|mfa| mfa == wanted),
            Condition::IsAbsent(wanted) => mfa.is_none() == wanted,
        }
    }
}

/// `*` stands for any characters, `?` for one.
fn matches(pattern: &[u8], text: &[u8]) -> bool {
    match (pattern.split_first(), text.split_first()) {
        (None, None) => true,
        (Some((b'*', rest)), _) if matches(rest, text) => true,
        (Some((b'*', _)), Some((_, after))) => matches(pattern, after),
        (Some((b'?', rest)), Some((_, after))) => matches(rest, after),
        (Some((wanted, rest)), Some((found, after))) => wanted == found && matches(rest, after),
        _ => false,
    }
}

impl Document {
    /// Reads a document. What is not known here is refused, and never passed over.
    pub(crate) fn parse(text: &str) -> Result<Document, Failure> {
        let malformed = |what: &str| Failure::new(400, "MalformedPolicyDocument", what);
        let value: Value = serde_json::from_str(text)
            .map_err(|_| malformed("The policy is not in the valid JSON format."))?;
        let fields = value.as_object().ok_or_else(|| malformed("Syntax errors in policy."))?;
        if fields.get("Version").and_then(Value::as_str) != Some("2012-10-17") {
            return Err(malformed("The policy must contain a valid version string."));
        }
        if fields.keys().any(|key| !["Version", "Id", "Statement"].contains(&key.as_str())) {
            return Err(malformed("Syntax errors in policy."));
        }
        let statements = match fields.get("Statement") {
            Some(Value::Array(statements)) => statements.iter().map(Statement::parse).collect(),
            Some(statement @ Value::Object(_)) => Statement::parse(statement).map(|one| vec![one]),
            _ => None,
        };
        let statements = statements
            .filter(|statements: &Vec<Statement>| !statements.is_empty())
            .ok_or_else(|| malformed("Syntax errors in policy."))?;
        let mut sids: Vec<&String> = statements.iter().filter_map(|one| one.sid.as_ref()).collect();
        sids.sort_unstable();
        if sids.windows(2).any(|pair| pair[0] == pair[1]) {
            return Err(malformed("Statement IDs (SID) in a single policy must be unique."));
        }
        Ok(Document { text: text.to_owned(), statements })
    }

    /// Its characters as IAM counts them.
    pub(crate) fn size(&self) -> usize {
        self.text.chars().filter(|character| !character.is_whitespace()).count()
    }
}

impl Statement {
    fn parse(value: &Value) -> Option<Statement> {
        let fields = value.as_object()?;
        let known = ["Sid", "Effect", "Action", "NotAction", "Resource", "NotResource", "Condition"];
        if fields.keys().any(|key| !known.contains(&key.as_str())) {
            return None;
        }
        let either = |name: &str| {
            let (these, but) = (fields.get(name), fields.get(&format!("Not{name}")));
            match (these, but) {
                (Some(value), None) => Some(Patterns { but: false, patterns: texts(value)? }),
                (None, Some(value)) => Some(Patterns { but: true, patterns: texts(value)? }),
                _ => None,
            }
        };
        Some(Statement {
            sid: match fields.get("Sid") {
                None => None,
                Some(sid) => Some(sid.as_str()?.to_owned()),
            },
            denies: match fields.get("Effect")?.as_str()? {
                "Allow" => false,
                "Deny" => true,
                _ => return None,
            },
            actions: either("Action")?,
            resources: either("Resource")?,
            conditions: match fields.get("Condition") {
                None => Vec::new(),
                Some(conditions) => conditions
                    .as_object()?
                    .iter()
                    .map(|(operator, test)| Condition::parse(operator, test))
                    .collect::<Option<_>>()?,
            },
        })
    }
}

impl Condition {
    fn parse(operator: &str, test: &Value) -> Option<Condition> {
        let [(key, value)] = test.as_object()?.iter().collect::<Vec<_>>()[..] else { return None };
        if !key.eq_ignore_ascii_case("aws:MultiFactorAuthPresent") {
            return None;
        }
        let [value] = &texts(value)?[..] else { return None };
        let value = value.parse().ok()?;
        match operator {
            "Bool" => Some(Condition::Is(value)),
            "BoolIfExists" => Some(Condition::IsOrAbsent(value)),
            "Null" => Some(Condition::IsAbsent(value)),
            _ => None,
        }
    }
}

/// A text, or several; a truth is written either way.
fn texts(value: &Value) -> Option<Vec<String>> {
    let text = |value: &Value| match value {
        Value::String(text) => Some(text.clone()),
        Value::Bool(truth) => Some(truth.to_string()),
        _ => None,
    };
    match value {
        Value::Array(values) => values.iter().map(text).collect(),
        value => Some(vec![text(value)?]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn document(statements: &str) -> Document {
        Document::parse(&format!(r#"{{"Version":"2012-10-17","Statement":{statements}}}"#)).unwrap()
    }

    fn of(documents: &[Document], action: &str, resource: &str, mfa: Option<bool>) -> Decision {
        let policies = documents.iter().map(|document| ("p", document));
        decide(policies, Question { action, resource, user: "alice", mfa })
    }

    #[test]
    fn a_deny_wins_and_what_nothing_allows_is_not_allowed() {
        let both = document(
            r#"[{"Effect":"Allow","Action":"*","Resource":"*"},
                {"Sid":"No","Effect":"Deny","Action":["iam:List*","s3:?et"],"Resource":"*"}]"#,
        );
        assert_eq!(
            of(std::slice::from_ref(&both), "iam:GetUser", "*", None),
            Decision::Allowed("p/1".to_owned())
        );
        assert_eq!(
            of(std::slice::from_ref(&both), "IAM:listUsers", "*", None),
            Decision::Denied("p/No".to_owned())
        );
        assert_eq!(of(std::slice::from_ref(&both), "s3:Get", "*", None), Decision::Denied("p/No".to_owned()));
        assert_eq!(of(&[both], "s3:Geet", "*", None), Decision::Allowed("p/1".to_owned()));
        assert_eq!(of(&[], "iam:GetUser", "*", None), Decision::NotAllowed);
    }

    #[test]
    fn resources_and_the_callers_name_are_compared() {
        let own = document(
            r#"{"Sid":"Own","Effect":"Allow","Action":"iam:*","Resource":"arn:aws:iam::*:user/${aws:username}"}"#,
        );
        let decided = |resource| of(std::slice::from_ref(&own), "iam:GetUser", resource, None);
        assert_eq!(decided("arn:aws:iam::111122223333:user/alice"), Decision::Allowed("p/Own".to_owned()));
        assert_eq!(decided("arn:aws:iam::111122223333:user/bob"), Decision::NotAllowed);
        assert_eq!(decided("*"), Decision::NotAllowed);
        let but = document(r#"{"Effect":"Allow","NotAction":"iam:*","NotResource":["a","b*"]}"#);
        let decided =
            |action, resource| of(std::slice::from_ref(&but), action, resource, None) != Decision::NotAllowed;
        assert!(decided("s3:Get", "c") && !decided("s3:Get", "bc") && !decided("iam:Get", "c"));
    }

    #[test]
    fn a_long_term_key_has_no_word_on_mfa() {
        let with = |operator: &str, value: &str| {
            let text = format!(
                r#"{{"Effect":"Deny","Action":"*","Resource":"*",
                    "Condition":{{"{operator}":{{"aws:MultiFactorAuthPresent":{value}}}}}}}"#
            );
            [None, Some(false), Some(true)]
                .map(|mfa| of(&[document(&text)], "iam:GetUser", "*", mfa) != Decision::NotAllowed)
        };
        assert_eq!(with("BoolIfExists", "\"false\""), [true, true, false]);
        assert_eq!(with("Bool", "false"), [false, true, false], "the trap");
        assert_eq!(with("Bool", "[\"true\"]"), [false, false, true]);
        assert_eq!(with("Null", "true"), [true, false, false]);
    }

    #[test]
    fn what_is_not_known_is_refused() {
        for statement in [
            r#"{"Effect":"Allow","Action":"*"}"#,
            r#"{"Effect":"Maybe","Action":"*","Resource":"*"}"#,
            r#"{"Effect":"Allow","Action":"*","NotAction":"*","Resource":"*"}"#,
            r#"{"Effect":"Allow","Action":"*","Resource":"*","Principal":"*"}"#,
            r#"{"Effect":"Allow","Action":"*","Resource":"*","Condition":{"Bool":{"aws:SecureTransport":"true"}}}"#,
            r#"[{"Sid":"A","Effect":"Allow","Action":"*","Resource":"*"},
                {"Sid":"A","Effect":"Allow","Action":"*","Resource":"*"}]"#,
            "[]",
        ] {
            let text = format!(r#"{{"Version":"2012-10-17","Statement":{statement}}}"#);
            assert_eq!(Document::parse(&text).unwrap_err().code, "MalformedPolicyDocument", "{statement}");
        }
        assert!(Document::parse("no JSON").is_err());
        assert!(Document::parse(r#"{"Version":"2008-10-17","Statement":[]}"#).is_err());
    }
}
