//! What a change would do to a text, for a person to look at.

use similar::{ChangeTag, TextDiff};

/// How many lines are shown around a change.
const CONTEXT: usize = 3;

/// The lines that differ, each behind `-` or `+`, and a few around them.
pub fn difference(before: &str, after: &str) -> Vec<String> {
    // Without their ends: the last line may have none.
    let [before, after] = [before, after].map(|text| text.lines().collect::<Vec<&str>>());
    let difference = TextDiff::from_slices(&before, &after);
    let groups = difference.grouped_ops(CONTEXT);
    let changes = groups.iter().flatten().flat_map(|change| difference.iter_changes(change));
    let line = |change: similar::Change<&str>| {
        let sign = match change.tag() {
            ChangeTag::Delete => '-',
            ChangeTag::Insert => '+',
            ChangeTag::Equal => ' ',
        };
        format!("{sign}{}", without_secret(change.value()))
    };
    changes.map(line).collect()
}

/// The config file may hold keys, and a screen is no place for them.
fn without_secret(line: &str) -> String {
    let key = line.split(['=', ':']).next().unwrap_or_default().trim();
    let is_secret = ["aws_secret_access_key", "aws_session_token", "aws_security_token"]
        .iter()
        .any(|secret| key.eq_ignore_ascii_case(secret));
    if is_secret { format!("{key} = ***") } else { line.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_difference_shows_what_changes_and_what_is_around_it() {
        let before = "[default]\na = 1\nb = 2\nc = 3\naws_secret_access_key = needle\nd = 4\n";
        let after = "[default]\na = 1\nb = 2\nc = 3\naws_secret_access_key = needle\nd = 5\n\n[x]\n";
        assert_eq!(
            difference(before, after),
            [" b = 2", " c = 3", " aws_secret_access_key = ***", "-d = 4", "+d = 5", "+", "+[x]"]
        );
        assert_eq!(difference("a\nb\nc\nd\ne\n", "n\na\nb\nc\nd\ne\n"), ["+n", " a", " b", " c"]);
        assert_eq!(difference("", "[x]\n"), ["+[x]"]);
        assert_eq!(difference("a\r\nb\nc", "a\r\nc"), [" a", "-b", " c"]);
        assert!(difference(before, before).is_empty());
    }
}
