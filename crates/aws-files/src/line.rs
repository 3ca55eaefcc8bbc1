//! What a line of an AWS file is, to the readers that there are.
//!
//! They differ. botocore reads with Python's configparser: an option may be indented, `:` is as good as `=`, deeper
//! indentation continues a value, comments are whole lines. The SDKs read by AWS's own specification: an option is
//! never indented, `=` alone counts, any indentation continues, a comment may follow a value. What is found here is
//! what either would find.

use std::ops::Range;

/// A line and what it is.
#[derive(Debug)]
pub struct Line {
    /// Where it is in the text, its end (`\n`, `\r\n`, or nothing) included.
    pub range: Range<usize>,
    /// What it is.
    pub kind: LineKind,
}

/// What stands between the brackets of a section's first line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    /// To the SDKs: up to a comment.
    pub sdk: String,
    /// To botocore: up to the line's last bracket.
    pub botocore: String,
}

/// What a line is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LineKind {
    /// Nothing but white space.
    Blank,
    /// A comment at the beginning of the line.
    Comment,
    /// A comment that is indented: to the SDKs the value before it goes on here.
    IndentedComment,
    /// `[…]`.
    Header(Header),
    /// `key = value`, or what is in the place of one.
    Option {
        /// In lower case.
        key: String,
    },
    /// More of the value before.
    Continuation,
}

/// What Python's `str.strip` takes away.
pub fn is_space(character: char) -> bool {
    character.is_whitespace() || ('\u{1c}'..='\u{1f}').contains(&character)
}

/// A line without its end.
pub fn content(line: &str) -> &str {
    let line = line.strip_suffix('\n').unwrap_or(line);
    line.strip_suffix('\r').unwrap_or(line)
}

/// All lines of a text. A byte order mark at its beginning belongs to none.
pub fn lines(text: &str) -> Vec<Line> {
    let mut lines = Vec::new();
    let mut start = if text.starts_with('\u{feff}') { '\u{feff}'.len_utf8() } else { 0 };
    // The indentation of the last header or option, and whether a value can go on.
    let mut indentation = 0;
    let mut in_option = false;
    for line in text[start..].split_inclusive('\n') {
        let range = start..start + line.len();
        start = range.end;
        let content = content(line);
        let trimmed = content.trim_matches(is_space);
        let deep = content.chars().take_while(|&character| is_space(character)).count();
        let kind = if trimmed.is_empty() {
            LineKind::Blank
        } else if trimmed.starts_with(['#', ';']) {
            if deep > 0 { LineKind::IndentedComment } else { LineKind::Comment }
        } else if in_option && deep > indentation {
            LineKind::Continuation
        } else {
            indentation = deep;
            in_option = !trimmed.starts_with('[');
            if in_option {
                let key = trimmed.split(['=', ':']).next().unwrap_or_default();
                LineKind::Option { key: key.trim_matches(is_space).to_ascii_lowercase() }
            } else {
                LineKind::Header(header(trimmed))
            }
        };
        lines.push(Line { range, kind });
    }
    lines
}

fn header(trimmed: &str) -> Header {
    let inner = |text: &str| {
        let inner = text.strip_prefix('[').unwrap_or(text);
        inner.rsplit_once(']').map_or(inner, |(name, _)| name).to_owned()
    };
    // Whatever stands before it, the first sign of a comment is one.
    let without_comment = trimmed.split(['#', ';']).next().unwrap_or_default();
    Header { sdk: inner(without_comment), botocore: inner(trimmed) }
}
