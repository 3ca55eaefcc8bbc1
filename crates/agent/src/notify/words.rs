//! A notification in words.

use protocol::role::shown;

use super::{Entry, Notice, TOGETHER_SECONDS};

/// How many sessions, or profiles of one, are named before the rest is counted.
pub(super) const NAMED: usize = 4;

/// How much of a name is shown, in characters.
const NAME_CHARACTERS: usize = 40;

/// A notification in words.
#[derive(Debug, PartialEq, Eq)]
pub struct Words {
    /// Its heading: plain text.
    pub summary: String,
    /// What else there is to say.
    pub body: String,
}

impl Notice {
    /// Whether something has come to its end.
    pub fn is_critical(&self) -> bool {
        self.entries.iter().any(|entry| entry.left == 0)
    }

    /// It in words. Without buttons they name the command; with `markup` the body's special characters are
    /// escaped.
    pub fn words(&self, buttons: bool, markup: bool) -> Words {
        let over = self.entries.iter().filter(|entry| entry.left == 0).count();
        let mut lines = Vec::new();
        let summary = match self.entries.as_slice() {
            [Entry { profiles, account, account_alias, left }] => {
                lines.extend(account.iter().map(|account| match account_alias {
                    Some(alias) => format!("Account {alias} ({account})"),
                    None => format!("Account {account}"),
                }));
                let names = enumerate(profiles);
                match left {
                    0 => format!("AWS session of {names} has expired"),
                    left => format!("AWS session of {names} ends in {}", span(*left)),
                }
            }
            entries => {
                lines.extend(entries.iter().take(NAMED).map(|entry| {
                    let account = entry.account_alias.iter().chain(&entry.account).next();
                    let account = account.iter().map(|account| format!(" ({account})"));
                    let left = if entry.left == 0 { "expired".to_owned() } else { span(entry.left) };
                    format!("{}{}: {left}", enumerate(&entry.profiles), account.collect::<String>())
                }));
                if entries.len() > NAMED {
                    lines.push(format!("and {} more", entries.len() - NAMED));
                }
                let longest = entries.last().map_or(0, |entry| entry.left);
                match over {
                    0 => format!("{} AWS sessions end within {}", entries.len(), span(longest)),
                    over if over == entries.len() => format!("{over} AWS sessions have expired"),
                    _ if longest <= TOGETHER_SECONDS => format!("{} AWS sessions expire now", entries.len()),
                    over => format!("{over} of {} AWS sessions have expired", entries.len()),
                }
            }
        };
        if !buttons {
            let profile = self.entries.first().and_then(|entry| entry.profiles.first());
            let profile = profile.filter(|profile| is_plain(profile)).map_or("PROFILE", String::as_str);
            lines.push(format!("Renew it with: mfa-agent login {profile}"));
        }
        let body = lines.join("\n");
        Words { summary, body: if markup { escaped(&body) } else { body } }
    }
}

/// A text for a server that reads markup.
pub fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

/// The first names, and how many more there are.
fn enumerate(names: &[String]) -> String {
    let shown: Vec<_> = names.iter().take(NAMED).map(|name| presentable(name)).collect();
    match names.len().saturating_sub(NAMED) {
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}

/// A name without what would break or turn around the line it is shown in.
fn presentable(name: &str) -> String {
    let name = shown(name);
    let harmless = |character: char| match character {
        '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => '\u{fffd}',
        character if character.is_control() => '\u{fffd}',
        character => character,
    };
    let mut shown: String = name.chars().take(NAME_CHARACTERS).map(harmless).collect();
    if name.chars().nth(NAME_CHARACTERS).is_some() {
        shown.push('…');
    }
    shown
}

/// Whether a shell takes a name as it is.
fn is_plain(name: &str) -> bool {
    name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._/@:+=,-".contains(&byte))
}

/// `90 s`, `10 min`, `1 h 5 min`.
fn span(seconds: u64) -> String {
    let minutes = (seconds + 30) / 60;
    match (minutes / 60, minutes % 60) {
        _ if seconds < 100 => format!("{seconds} s"),
        (0, minutes) => format!("{minutes} min"),
        (hours, 0) => format!("{hours} h"),
        (hours, minutes) => format!("{hours} h {minutes} min"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_shown_as_they_are_and_harm_nothing() {
        let entry = |name: &str| Entry {
            profiles: vec![name.to_owned()],
            account: None,
            account_alias: None,
            left: 600,
        };
        let notice =
            Notice { generation: 1, entries: vec![entry("<b>a&b</b>\n\u{202e}"), entry(&"x".repeat(99))] };
        let words = notice.words(false, true);
        assert_eq!(
            words.body,
            format!(
                "&lt;b&gt;a&amp;b&lt;/b&gt;\u{fffd}\u{fffd}: 10 min\n{}…: 10 min\n\
                 Renew it with: mfa-agent login PROFILE",
                "x".repeat(40)
            )
        );
        assert!(notice.words(false, false).body.starts_with("<b>a&b</b>"));
    }

    #[test]
    fn an_account_is_called_by_its_name() {
        let entry = Entry {
            profiles: vec!["dev".to_owned()],
            account: Some("111122223333".to_owned()),
            account_alias: Some("company".to_owned()),
            left: 600,
        };
        let mut notice = Notice { generation: 1, entries: vec![entry.clone()] };
        assert_eq!(notice.words(true, false).body, "Account company (111122223333)");
        notice.entries.push(Entry { account_alias: None, ..entry });
        assert_eq!(notice.words(true, false).body, "dev (company): 10 min\ndev (111122223333): 10 min");
    }
}
