//! The text of an AWS file: looked into and changed setting by setting.

use std::fmt;
use std::ops::Range;

use zeroize::Zeroizing;

use crate::line::{Line, LineKind, content, is_space, lines};

/// Which of the two files it is: they name their sections differently.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// `~/.aws/config`: `[profile NAME]`, and `[default]`.
    Config,
    /// `~/.aws/credentials`: `[NAME]`.
    Credentials,
}

/// The text of an AWS file, wiped when dropped.
#[derive(Clone)]
pub struct Document {
    kind: Kind,
    text: Zeroizing<String>,
}

/// A section that one reader takes for the profile, and another does not.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: not every tool takes [{header}] for [{}]", kind.header(profile))]
pub struct Ambiguous {
    /// The profile.
    pub profile: String,
    /// What stands between the brackets.
    pub header: String,
    /// The line, counted from 1.
    pub line: usize,
    /// The file's kind.
    pub kind: Kind,
}

/// Why a setting cannot be written. Never quotes a value: it may be a secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotSettable {
    /// The file's own words are not clear.
    #[error(transparent)]
    Ambiguous(#[from] Ambiguous),
    /// Not every reader takes such a profile's name.
    #[error("{0:?} cannot be a profile's name: letters, digits and any of _-/.%@:+ are read by every tool")]
    Name(String),
    /// Not every reader would read the value as it is.
    #[error("the value of {0} cannot stand in an AWS file")]
    Value(String),
}

impl Kind {
    /// What stands between the brackets for a profile.
    pub fn header(self, profile: &str) -> String {
        match self {
            Self::Config if profile != "default" => format!("profile {profile}"),
            _ => profile.to_owned(),
        }
    }

    /// The profile that a header is of, to botocore.
    fn botocore_profile(self, header: &str) -> Option<String> {
        match self {
            Self::Credentials => Some(header.to_owned()),
            Self::Config if header == "default" => Some(header.to_owned()),
            Self::Config if header.starts_with("profile") => {
                // As a shell would split it.
                let words: Vec<_> = header.split_whitespace().collect();
                (words.len() == 2).then(|| words[1].replace(['"', '\'', '\\'], ""))
            }
            Self::Config => None,
        }
    }

    /// The profile that a header is of, to the SDKs.
    fn sdk_profile(self, header: &str) -> Option<&str> {
        let header = header.trim_matches([' ', '\t']);
        // Two kinds of white space: these two end a word, and any is taken off it.
        match (self, header.split_once([' ', '\t'])) {
            (Self::Credentials, None) => Some(header.trim()),
            (Self::Config, None) => Some(header.trim()).filter(|name| *name == "default"),
            (Self::Config, Some((word, name))) if word.trim() == "profile" => Some(name.trim()),
            (_, Some(_)) => None,
        }
    }
}

/// A section, or the part of one: sections may be written down in several places.
struct Part {
    /// Behind its last setting.
    end: usize,
    /// How far a setting behind that is to be indented, so that what follows is not taken for more of it.
    indentation: String,
    /// Its settings: the key, and the lines of its value.
    settings: Vec<(String, Range<usize>)>,
}

/// What some editors put at the beginning of a file.
const BYTE_ORDER_MARK: char = '\u{feff}';

/// What every reader takes for something else, so that no change is the same one to all of them.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unclear {
    /// To Python it is the end of a line, to the SDKs a character like any other.
    #[error("line {line}: a carriage return without a line feed behind it")]
    LoneReturn {
        /// The line, counted from 1.
        line: usize,
    },
    /// To Python it is indentation, to the SDKs part of the setting's name, or of the value before.
    #[error("line {line} begins with white space that is neither a space nor a tab")]
    Indentation {
        /// The line, counted from 1.
        line: usize,
    },
}

impl Document {
    /// A file's text.
    pub fn new(kind: Kind, text: Zeroizing<String>) -> Result<Self, Unclear> {
        for (number, line) in text.trim_start_matches(BYTE_ORDER_MARK).split_inclusive('\n').enumerate() {
            let line = line.strip_suffix("\r\n").or(line.strip_suffix('\n')).unwrap_or(line);
            if line.contains('\r') {
                return Err(Unclear::LoneReturn { line: number + 1 });
            }
            if indentation(line).contains(|character| !matches!(character, ' ' | '\t')) {
                return Err(Unclear::Indentation { line: number + 1 });
            }
        }
        Ok(Self { kind, text })
    }

    /// The text as it is now.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The names of the profiles, in the order of their first mention.
    pub fn profiles(&self) -> Vec<String> {
        let mut names: Vec<String> = Vec::new();
        for line in lines(&self.text) {
            if let LineKind::Header(header) = line.kind
                && let Some(name) = self.kind.sdk_profile(&header.sdk)
                && !names.iter().any(|known| known == name)
            {
                names.push(name.to_owned());
            }
        }
        names
    }

    /// Whether there is a section of this profile.
    pub fn has(&self, profile: &str) -> Result<bool, Ambiguous> {
        Ok(!self.parts(profile)?.is_empty())
    }

    /// A setting's value without a comment behind it; of a value of several lines the first one. Where it is set
    /// several times, the last one. An empty value is none.
    pub fn get(&self, profile: &str, key: &str) -> Result<Option<&str>, Ambiguous> {
        let parts = self.parts(profile)?;
        let found = parts.iter().flat_map(|part| &part.settings).rfind(|(name, _)| name == key);
        let Some((_, range)) = found else { return Ok(None) };
        let line = self.text[range.clone()].split('\n').next().unwrap_or_default();
        let (_, value, _) = split(content(line));
        Ok(Some(value).filter(|value| !value.is_empty()))
    }

    /// Sets a setting: where it stands, else behind the profile's last one, else in a new section at the end.
    pub fn set(&mut self, profile: &str, key: &str, value: &str) -> Result<(), NotSettable> {
        if !is_name(profile) {
            return Err(NotSettable::Name(profile.to_owned()));
        }
        if !is_value(value) {
            return Err(NotSettable::Value(key.to_owned()));
        }
        let parts = self.parts(profile)?;
        let mut places: Vec<Range<usize>> = parts
            .iter()
            .flat_map(|part| &part.settings)
            .filter(|(name, _)| name == key)
            .map(|(_, range)| range.clone())
            .collect();
        if places.is_empty() {
            match parts.last() {
                Some(part) => self.insert(part.end, &[&part.indentation, key, " = ", value]),
                None => self.append(profile, key, value),
            }
            return Ok(());
        }
        // All of them: some readers take the first, some the last. From the end, so that the others stay in place.
        places.sort_unstable_by_key(|place| place.start);
        for place in places.into_iter().rev() {
            let replacement = replaced(&self.text[place.clone()], value);
            self.splice(place, &replacement);
        }
        Ok(())
    }

    /// Takes a setting away, wherever the profile has it. Says whether there was one.
    pub fn remove(&mut self, profile: &str, key: &str) -> Result<bool, Ambiguous> {
        let mut places: Vec<Range<usize>> = self
            .parts(profile)?
            .into_iter()
            .flat_map(|part| part.settings)
            .filter(|(name, _)| name == key)
            .map(|(_, range)| range)
            .collect();
        places.sort_unstable_by_key(|place| place.start);
        for place in places.iter().rev() {
            let comments: Zeroizing<String> = Zeroizing::new(dedented_comments(&self.text[place.clone()]));
            self.splice(place.clone(), &comments);
        }
        Ok(!places.is_empty())
    }

    /// The parts of a profile's section.
    fn parts(&self, profile: &str) -> Result<Vec<Part>, Ambiguous> {
        let mut parts: Vec<Part> = Vec::new();
        let mut inside = false;
        let mut spelling: Option<String> = None;
        for (number, Line { range, kind }) in lines(&self.text).into_iter().enumerate() {
            if let LineKind::Header(header) = kind {
                let indentation = indentation(&self.text[range.clone()]);
                if inside
                    && let Some(empty) = parts.last_mut().filter(|part| part.settings.is_empty())
                    && indentation.chars().count() > empty.indentation.chars().count()
                {
                    empty.indentation.clone_from(&indentation);
                }
                inside = self.kind.sdk_profile(&header.sdk) == Some(profile);
                let botocore = self.kind.botocore_profile(&header.botocore).as_deref() == Some(profile);
                // `[default]` and `[profile default]` together: the SDKs take the one, botocore the later.
                let other =
                    profile == "default" && spelling.as_ref().is_some_and(|known| *known != header.sdk);
                if inside != botocore || inside && other {
                    let profile = profile.to_owned();
                    let header = header.botocore;
                    return Err(Ambiguous { profile, header, line: number + 1, kind: self.kind });
                }
                if inside {
                    parts.push(Part { end: range.end, indentation, settings: Vec::new() });
                    spelling = Some(header.sdk);
                }
            } else if inside && let Some(part) = parts.last_mut() {
                match kind {
                    LineKind::Option { key } => {
                        part.end = range.end;
                        part.indentation = indentation(&self.text[range.clone()]);
                        part.settings.push((key, range));
                    }
                    LineKind::Continuation | LineKind::IndentedComment => {
                        part.end = range.end;
                        if let Some((_, setting)) = part.settings.last_mut() {
                            setting.end = range.end;
                        }
                    }
                    LineKind::Blank | LineKind::Comment | LineKind::Header(_) => {}
                }
            }
        }
        Ok(parts)
    }

    fn append(&mut self, profile: &str, key: &str, value: &str) {
        let last = self.text.trim_start_matches(BYTE_ORDER_MARK).split_inclusive('\n').next_back();
        if last.is_some_and(|line| !line.trim_matches(is_space).is_empty()) {
            self.insert(self.text.len(), &[]);
        }
        self.insert(self.text.len(), &["[", &self.kind.header(profile), "]"]);
        self.insert(self.text.len(), &[key, " = ", value]);
    }

    /// Puts a line between two others, ended as its neighbours.
    fn insert(&mut self, at: usize, words: &[&str]) {
        let (before, after) = self.text.split_at(at);
        let neighbour = before.rfind('\n').map(|end| &before[..=end]).or_else(|| {
            let end = after.find('\n')?;
            Some(&after[..=end])
        });
        let end = if neighbour.is_some_and(|text| text.ends_with("\r\n")) { "\r\n" } else { "\n" };
        let open = !before.trim_start_matches(BYTE_ORDER_MARK).is_empty() && !before.ends_with('\n');
        let opening = if open { end } else { "" };
        let length = opening.len() + words.iter().map(|word| word.len()).sum::<usize>() + end.len();
        let mut line = Zeroizing::new(String::with_capacity(length));
        line.push_str(opening);
        for word in words {
            line.push_str(word);
        }
        line.push_str(end);
        self.splice(at..at, &line);
    }

    /// Replaces a piece of the text. A string that grows leaves its old bytes behind, so this is another one.
    fn splice(&mut self, range: Range<usize>, replacement: &str) {
        let length = self.text.len() - range.len() + replacement.len();
        let mut text = Zeroizing::new(String::with_capacity(length));
        text.push_str(&self.text[..range.start]);
        text.push_str(replacement);
        text.push_str(&self.text[range.end..]);
        self.text = text;
    }
}

impl fmt::Debug for Document {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Document").field("kind", &self.kind).finish_non_exhaustive()
    }
}

/// What a line begins with.
fn indentation(line: &str) -> String {
    line.chars().take_while(|&character| is_space(character)).collect()
}

/// A line in three: up to the value, the value, and a comment behind it.
fn split(content: &str) -> (&str, &str, &str) {
    let delimiter = content.find(['=', ':']).map_or(content.len(), |at| at + 1);
    let (key, rest) = content.split_at(delimiter);
    let mut after_space = true;
    let comment = rest.char_indices().find(|&(_, character)| {
        let begins = after_space && matches!(character, '#' | ';');
        after_space = is_space(character);
        begins
    });
    let (value, comment) = rest.split_at(comment.map_or(rest.len(), |(at, _)| at));
    let begin = value.len() - value.trim_start_matches(is_space).len();
    (&content[..key.len() + begin], value.trim_matches(is_space), comment)
}

/// The lines of a setting with another value. Comments that stood in the way of the value get lines of their own.
fn replaced(setting: &str, value: &str) -> Zeroizing<String> {
    let first_end = setting.find('\n').map_or(setting.len(), |at| at + 1);
    let (first, rest) = setting.split_at(first_end);
    let end = &first[content(first).len()..];
    let (lead, _, comment) = split(content(first));
    let rest = dedented_comments(rest);

    let capacity = setting.len() + value.len() + 2 * end.len() + 4;
    let mut text = Zeroizing::new(String::with_capacity(capacity));
    if !comment.is_empty() {
        text.push_str(comment);
        text.push_str(if end.is_empty() { "\n" } else { end });
    }
    let odd = |character: char| is_space(character) && !matches!(character, ' ' | '\t');
    if lead.ends_with([':', '=']) && !lead.contains(odd) && lead.contains('=') {
        // There was no value.
        text.push_str(lead);
        text.push_str(if lead.trim_end_matches('=').ends_with([' ', '\t']) { " " } else { "" });
    } else if lead.contains('=') && !lead.contains(odd) {
        text.push_str(lead);
    } else {
        // Not every reader takes that for the setting.
        let key = lead.split(['=', ':']).next().unwrap_or_default();
        text.push_str(&indentation(lead));
        text.push_str(key.trim_matches(is_space));
        text.push_str(" = ");
    }
    text.push_str(value);
    text.push_str(if end.is_empty() && !rest.is_empty() { "\n" } else { end });
    text.push_str(&rest);
    text
}

/// The comments among the lines of a value, at the beginning of their lines: indented, the SDKs would take them for
/// more of the value before. And the blank lines, as they are.
fn dedented_comments(lines: &str) -> String {
    let mut kept = String::with_capacity(lines.len());
    for line in lines.split_inclusive('\n') {
        let trimmed = content(line).trim_matches(is_space);
        if trimmed.is_empty() {
            kept.push_str(line);
        } else if trimmed.starts_with(['#', ';']) {
            kept.push_str(line.trim_start_matches(is_space));
        }
    }
    kept
}

/// Whether every reader takes this for a profile's name.
fn is_name(name: &str) -> bool {
    !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || "_-/.%@:+".contains(c))
}

/// Whether every reader reads this value as it is.
fn is_value(value: &str) -> bool {
    let mut after_space = true;
    !value.is_empty()
        && value.trim_matches(is_space) == value
        && !value.contains(|c: char| c.is_control() || c == '\u{feff}')
        && value.chars().all(|character| {
            let comment = after_space && matches!(character, '#' | ';');
            after_space = is_space(character);
            !comment
        })
}

#[cfg(test)]
mod tests;
