//! What each shell makes of what it is told, by the published grammar of its language, as far as we write it. What is
//! outside of that is a panic: so a value that got out of its quotes is found. `tests/shells.rs` asks the shells
//! themselves.

use std::collections::BTreeMap;

use super::Shell;

/// A variable, and its value or none where it goes.
pub type Reading = BTreeMap<String, Option<Vec<u8>>>;

/// What is set and removed by a script.
pub fn read(shell: Shell, script: &[u8]) -> Reading {
    if matches!(shell, Shell::Json | Shell::Nushell) {
        let object: BTreeMap<String, Option<String>> =
            protocol::frame::decode(script).unwrap_or_else(|error| panic!("{error}"));
        return object.into_iter().map(|(name, value)| (name, value.map(String::into_bytes))).collect();
    }
    let mut script = Rest(script);
    let mut read = Reading::new();
    while !script.0.is_empty() {
        let (name, value) = match shell {
            Shell::Fish => fish(&mut script),
            Shell::Pwsh => powershell(&mut script),
            Shell::Elvish => elvish(&mut script),
            Shell::Xonsh => xonsh(&mut script),
            Shell::Dotenv => dotenv(&mut script),
            _ => posix(&mut script),
        };
        script.expect(b"\n");
        read.insert(name, value);
    }
    read
}

type Statement = (String, Option<Vec<u8>>);

/// POSIX, 2.2: between single quotes each byte is itself; outside, a backslash makes the next one so.
fn posix(script: &mut Rest) -> Statement {
    if script.take(b"unset ") {
        let name = script.name();
        script.expect(b";");
        return (name, None);
    }
    script.take(b"export ");
    let name = script.name();
    script.expect(b"=");
    let mut value = Vec::new();
    loop {
        match script.next() {
            b'\'' => value.extend_from_slice(script.until(b'\'')),
            b'\\' => value.push(script.next()),
            b';' => return (name, Some(value)),
            // What needs no quotes, in a word that `word` made.
            byte if byte.is_ascii_alphanumeric() || b"-_./:@%+=,".contains(&byte) => value.push(byte),
            byte => panic!("{} is bare", byte.escape_ascii()),
        }
    }
}

/// fish: between single quotes the backslash escapes itself and the quote, and means itself before anything else.
fn fish(script: &mut Rest) -> Statement {
    if script.take(b"set -ge ") {
        let name = script.name();
        script.expect(b"; or true;");
        return (name, None);
    }
    if !script.take(b"set -gx ") {
        script.expect(b"set -g ");
    }
    let name = script.name();
    script.expect(b" '");
    let mut value = Vec::new();
    loop {
        match script.next() {
            b'\'' => break,
            b'\\' if matches!(script.0.first(), Some(b'\'' | b'\\')) => value.push(script.next()),
            byte => value.push(byte),
        }
    }
    script.expect(b";");
    (name, Some(value))
}

/// `PowerShell`, verbatim-string-literal of its language specification, with its five quotes: a sum of texts and of
/// characters by number.
fn powershell(script: &mut Rest) -> Statement {
    script.expect(b"$env:");
    let name = script.name();
    script.expect(b" = ");
    if script.take(b"$null") {
        return (name, None);
    }
    let line = script.0.iter().position(|byte| *byte == b'\n').unwrap_or(script.0.len());
    let expression = std::str::from_utf8(script.0.split_off(..line).unwrap_or_default()).unwrap_or_default();
    (name, Some(powershell_expression(expression).into_bytes()))
}

/// What such a sum comes to.
pub fn powershell_expression(expression: &str) -> String {
    const QUOTES: [char; 5] = ['\'', '\u{2018}', '\u{2019}', '\u{201a}', '\u{201b}'];
    let mut units = Vec::new();
    let mut rest = expression;
    loop {
        if let Some(number) = rest.strip_prefix("[char]") {
            let end = number.find('+').unwrap_or(number.len());
            units.push(number[..end].parse::<u16>().unwrap_or_else(|_| panic!("no number: {rest}")));
            rest = &number[end..];
        } else {
            rest = rest.strip_prefix(QUOTES).unwrap_or_else(|| panic!("no text: {rest}"));
            loop {
                let c = rest.chars().next().unwrap_or_else(|| panic!("no end: {expression}"));
                rest = &rest[c.len_utf8()..];
                if QUOTES.contains(&c) {
                    match rest.strip_prefix(QUOTES) {
                        Some(after) => rest = after,
                        None => break,
                    }
                }
                units.extend_from_slice(c.encode_utf16(&mut [0; 2]));
            }
        }
        match rest.strip_prefix('+') {
            Some(after) => rest = after,
            None => break,
        }
    }
    assert_eq!(rest, "", "{expression}");
    String::from_utf16(&units).unwrap_or_else(|_| panic!("half a character: {expression}"))
}

/// elvish: between double quotes `\"` and `\\` are themselves, and `\xHH` is that byte.
fn elvish(script: &mut Rest) -> Statement {
    if script.take(b"unset-env ") {
        return (script.name(), None);
    }
    script.expect(b"set-env ");
    let name = script.name();
    script.expect(b" \"");
    let mut value = Vec::new();
    loop {
        match script.next() {
            b'"' => return (name, Some(value)),
            b'\\' => match script.next() {
                b'x' => value.push(u8::try_from(script.hexadecimal(2)).unwrap_or_default()),
                byte @ (b'"' | b'\\') => value.push(byte),
                byte => panic!("\\{}", byte.escape_ascii()),
            },
            byte @ b' '..=b'~' => value.push(byte),
            byte => panic!("{} is no text", byte.escape_ascii()),
        }
    }
}

/// xonsh: a Python text, in which a byte that is no UTF-8 is a lone surrogate (PEP 383).
fn xonsh(script: &mut Rest) -> Statement {
    if script.take(b"__xonsh__.env.pop('") {
        let name = script.name();
        script.expect(b"', None)");
        return (name, None);
    }
    script.expect(b"$");
    let name = script.name();
    script.expect(b" = '");
    let mut value = Vec::new();
    let mut push = |code: u32| match (code, char::from_u32(code)) {
        (0xdc80..=0xdcff, _) => value.push(u8::try_from(code & 0xff).unwrap_or_default()),
        (_, Some(c)) => value.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
        _ => panic!("{code:x} is no character"),
    };
    loop {
        match script.next() {
            b'\'' => return (name, Some(value)),
            b'\\' => match script.next() {
                b'u' => push(script.hexadecimal(4)),
                b'U' => push(script.hexadecimal(8)),
                byte @ (b'\'' | b'\\') => push(byte.into()),
                byte => panic!("\\{}", byte.escape_ascii()),
            },
            byte @ b' '..=b'~' => push(byte.into()),
            byte => panic!("{} is no text", byte.escape_ascii()),
        }
    }
}

/// `.env`: what all its readers take for the same. Between single quotes nothing is special.
fn dotenv(script: &mut Rest) -> Statement {
    let name = script.name();
    script.expect(b"=");
    if script.take(b"'") {
        return (name, Some(script.until(b'\'').to_vec()));
    }
    let end = script.0.iter().position(|byte| *byte == b'\n').unwrap_or(script.0.len());
    let value = script.0.split_off(..end).unwrap_or_default();
    let odd = |byte: &u8| byte.is_ascii_whitespace() || b"'\"\\$#`".contains(byte);
    assert!(!value.iter().any(odd), "{} is bare", value.escape_ascii());
    (name, Some(value.to_vec()))
}

/// What is not read yet.
struct Rest<'a>(&'a [u8]);

impl<'a> Rest<'a> {
    fn next(&mut self) -> u8 {
        *self.0.split_off_first().expect("no end")
    }

    fn take(&mut self, words: &[u8]) -> bool {
        self.0.strip_prefix(words).is_some_and(|rest| {
            self.0 = rest;
            true
        })
    }

    fn expect(&mut self, words: &[u8]) {
        assert!(self.take(words), "no {}: {}", words.escape_ascii(), self.0.escape_ascii());
    }

    fn name(&mut self) -> String {
        let end = self.0.iter().position(|byte| !byte.is_ascii_alphanumeric() && *byte != b'_');
        let name = self.0.split_off(..end.unwrap_or(self.0.len())).unwrap_or_default();
        assert!(!name.is_empty(), "no name: {}", self.0.escape_ascii());
        String::from_utf8_lossy(name).into_owned()
    }

    fn until(&mut self, end: u8) -> &'a [u8] {
        let at = self.0.iter().position(|byte| *byte == end).expect("no end");
        let text = self.0.split_off(..at).unwrap_or_default();
        self.next();
        text
    }

    fn hexadecimal(&mut self, digits: usize) -> u32 {
        let digits = self.0.split_off(..digits).and_then(|digits| std::str::from_utf8(digits).ok());
        digits.and_then(|digits| u32::from_str_radix(digits, 16).ok()).expect("no number")
    }
}
