//! What must hold for any text that stands in an AWS file, for the fuzzer and for the tests.

use std::collections::{BTreeMap, BTreeSet};
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use aws_config::profile::ProfileSet;
use aws_runtime::env_config::file::{EnvConfigFileKind, EnvConfigFiles};
use aws_types::os_shim_internal::{Env, Fs};
use zeroize::Zeroizing;

use crate::line::is_space;
use crate::{Document, Kind};

/// Profile → setting → value.
type Reading = BTreeMap<String, BTreeMap<String, String>>;

/// Any file may be looked into and changed: what is set is read back, what was there stays, line by line and as the
/// SDK reads it. The input is, with 0x1e between them: `config` or `credentials`, a profile, a setting, a value (none
/// removes it), and the text.
pub fn aws_edit(input: &[u8]) {
    let Ok(input) = std::str::from_utf8(input) else { return };
    let mut parts = input.splitn(5, '\u{1e}');
    let mut next = || parts.next().unwrap_or_default();
    let (kind, profile, key, value, text) = (next(), next(), next(), next(), next());
    let kind = if kind == "config" { Kind::Config } else { Kind::Credentials };
    // Settings that the commands know, and none that a person types.
    let key = if key.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_') { key } else { "region" };
    let key = if key.is_empty() { "region" } else { key };

    let Ok(mut document) = Document::new(kind, Zeroizing::new(text.to_owned())) else {
        return assert!(text.contains(|character| is_space(character) && !" \t\n".contains(character)));
    };
    assert_eq!(document.text(), text);
    for name in document.profiles() {
        let _ = document.has(&name);
        let _ = document.get(&name, key);
    }
    let had = document.get(profile, key).ok().flatten().map(str::to_owned);
    let done = if value.is_empty() {
        document.remove(profile, key).is_ok()
    } else {
        document.set(profile, key, value).is_ok()
    };
    let after = document.text().to_owned();
    if !done {
        return assert_eq!(after, text, "a change that is refused changes nothing");
    }
    let expected = (!value.is_empty()).then_some(value);
    assert_eq!(document.get(profile, key), Ok(expected), "{text:?} became {after:?}");
    match expected {
        Some(value) => document.set(profile, key, value).is_ok_and(|()| true),
        None => document.remove(profile, key).is_ok(),
    };
    assert_eq!(document.text(), after, "the same again is no change of {text:?}");
    if expected.is_none() && had.is_none() {
        assert!(
            after == text || text.to_lowercase().contains(key),
            "there was nothing to remove in {text:?}"
        );
    }

    let kept = |line: &str| {
        let line = line.trim_start_matches('\u{feff}');
        // The setting's own lines: itself, and what continues it.
        !(line.starts_with(is_space) || line.to_lowercase().starts_with(key))
    };
    let mut left = after.split('\n').map(|line| line.trim_start_matches('\u{feff}').trim_end_matches('\r'));
    for line in text.split('\n').filter(|line| kept(line)) {
        let line = line.trim_start_matches('\u{feff}').trim_end_matches('\r');
        assert!(left.any(|other| other == line), "{line:?} of {text:?} is lost in {after:?}");
    }

    let keys: BTreeSet<String> = text
        .lines()
        .filter_map(|line| Some(line.split_once('=')?.0.trim().to_lowercase()))
        // To botocore the very setting that changes, with a value that begins with `=`.
        .filter(|name| name.split_once(':').is_none_or(|(name, _)| name.trim_matches(is_space) != key))
        .chain([key.to_owned()])
        .collect();
    let Some(mut before) = read(kind, text, &keys) else { return };
    match expected {
        Some(value) => {
            before.entry(profile.to_owned()).or_default().insert(key.to_owned(), value.to_owned());
        }
        None => {
            before.entry(profile.to_owned()).and_modify(|settings| drop(settings.remove(key)));
        }
    }
    assert_eq!(read(kind, &after, &keys), Some(before), "{text:?} became {after:?}");
}

/// What the SDK reads; none where it takes the file for none, or where it takes now this and now that.
fn read(kind: Kind, text: &str, keys: &BTreeSet<String>) -> Option<Reading> {
    // Two spellings of one section are merged in an order that differs from run to run.
    let padded = |line: &str| {
        let inner = line.trim_start().strip_prefix('[').and_then(|rest| rest.split(']').next());
        let other = |character: char| character.is_whitespace() && character != ' ';
        inner.is_some_and(|inner| inner.split(' ').any(str::is_empty) || inner.contains(other))
    };
    if text.split(['\n', '\r']).any(padded) {
        return None;
    }
    let kind = match kind {
        Kind::Config => EnvConfigFileKind::Config,
        Kind::Credentials => EnvConfigFileKind::Credentials,
    };
    let files = EnvConfigFiles::builder().with_contents(kind, text).build();
    let (fs, env) = (Fs::from_slice(&[]), Env::from_slice(&[]));
    let load = pin!(aws_config::profile::load(&fs, &env, &files, None));
    // Nothing is opened, so nothing is waited for.
    let Poll::Ready(read) = load.poll(&mut Context::from_waker(Waker::noop())) else {
        panic!("the SDK waits for something");
    };
    let read: ProfileSet = read.ok()?;
    let settings = |name: &str| {
        let settings = keys.iter().filter_map(|key| {
            let value = read.get_profile(name)?.get(key)?;
            Some((key.clone(), value.to_owned()))
        });
        (name.to_owned(), settings.collect())
    };
    Some(read.profiles().map(settings).collect())
}

#[cfg(test)]
mod tests {
    #[test]
    fn whatever_stands_in_a_file_stays_but_for_the_change() {
        corpus::replay("aws_edit", 4_000, super::aws_edit);
    }
}
