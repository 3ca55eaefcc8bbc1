//! The kept inputs of the fuzzers (`fuzz/corpus/`) for the tests: each file as it is, and changes of them, the same
//! ones at each run. It needs no fuzzer and no nightly compiler, and ends after a number of inputs, not of seconds.
#![expect(clippy::expect_used, reason = "a test that cannot go on fails where it stands")]

use std::fs;
use std::path::{Path, PathBuf};

use proptest::prelude::*;
use proptest::sample::{Index, select};
use proptest::test_runner::{Config, RngAlgorithm, TestError, TestRng, TestRunner};

/// The longest part that one change takes out or puts in, in bytes.
const PART: usize = 64;

/// Bytes that mean something to one of the formats.
const MEANINGFUL: &[u8] = b"\0\n\r\t\"'#$,:;<=>[\\]`{}\x1b\x1e\x7f\x80\xc3\xe2\xff";

/// One change of an input.
#[derive(Debug, Clone)]
enum Change {
    Replace(Index, u8),
    Insert(Index, u8),
    /// Takes a part out.
    Cut(Index, usize),
    /// Puts a part in, of the file of this number.
    Paste(Index, Index, Index, usize),
}

/// Gives each file of `fuzz/corpus/TARGET` to the target, and so many changes of them.
///
/// # Panics
///
/// Where the target does, with the input that made it; and where there is no corpus.
pub fn replay(target: &str, changes: u32, run: fn(&[u8])) {
    let files = files(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus").join(target));
    for (path, bytes) in &files {
        let _named = Named(path);
        run(bytes);
    }
    let files: Vec<Vec<u8>> = files.into_iter().map(|(_, bytes)| bytes).collect();
    let config =
        Config { cases: changes, failure_persistence: None, max_shrink_iters: 2_000, ..Config::default() };
    let mut runner = TestRunner::new_with_rng(config, TestRng::deterministic_rng(RngAlgorithm::ChaCha));
    let inputs = (any::<Index>(), prop::collection::vec(change(), 1..6))
        .prop_map(|(file, changes)| (file.get(&files).clone(), changes))
        .prop_map(|(file, changes)| {
            changes.iter().fold(file, |bytes, change| changed(bytes, change, &files))
        });
    let done = runner.run(&inputs, |bytes| {
        run(&bytes);
        Ok(())
    });
    match done {
        Ok(()) => {}
        Err(TestError::Fail(why, bytes)) => panic!("{target}: {why}, given \"{}\"", bytes.escape_ascii()),
        Err(TestError::Abort(why)) => panic!("{target}: {why}"),
    }
}

/// The files of a corpus, in the order of their names.
fn files(folder: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let entries = fs::read_dir(folder).expect("a target has a corpus");
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.expect("a folder to read").path()).collect();
    paths.sort_unstable();
    assert!(!paths.is_empty(), "{} is empty", folder.display());
    paths
        .into_iter()
        .map(|path| {
            let bytes = fs::read(&path).expect("a file to read");
            (path, bytes)
        })
        .collect()
}

fn change() -> impl Strategy<Value = Change> {
    let byte = || prop_oneof![select(MEANINGFUL), any::<u8>()];
    let at = any::<Index>;
    prop_oneof![
        (at(), byte()).prop_map(|(at, byte)| Change::Replace(at, byte)),
        (at(), byte()).prop_map(|(at, byte)| Change::Insert(at, byte)),
        (at(), 1..PART).prop_map(|(at, length)| Change::Cut(at, length)),
        (at(), at(), at(), 1..PART)
            .prop_map(|(at, file, from, length)| Change::Paste(at, file, from, length)),
    ]
}

fn changed(mut bytes: Vec<u8>, change: &Change, files: &[Vec<u8>]) -> Vec<u8> {
    let part = |from: usize, length: usize, end: usize| from..(from + length).min(end);
    match *change {
        Change::Replace(at, byte) if !bytes.is_empty() => {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        Change::Cut(at, length) if !bytes.is_empty() => {
            let range = part(at.index(bytes.len()), length, bytes.len());
            bytes.drain(range);
        }
        Change::Replace(..) | Change::Cut(..) => {}
        Change::Insert(at, byte) => {
            let at = at.index(bytes.len() + 1);
            bytes.insert(at, byte);
        }
        Change::Paste(at, file, from, length) => {
            let other = file.get(files);
            let range = part(from.index(other.len() + 1), length, other.len());
            let at = at.index(bytes.len() + 1);
            bytes.splice(at..at, other[range].iter().copied());
        }
    }
    bytes
}

/// Says which file it was, where a target panics.
struct Named<'a>(&'a Path);

impl Drop for Named<'_> {
    #[expect(clippy::print_stderr, reason = "the test's own output")]
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("given {}", self.0.display());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    static SEEN: AtomicUsize = AtomicUsize::new(0);

    #[test]
    fn each_file_and_many_changes_of_them_are_given() {
        replay("frames", 500, |_| {
            SEEN.fetch_add(1, Ordering::Relaxed);
        });
        assert!(SEEN.load(Ordering::Relaxed) > 500);
    }

    #[test]
    #[should_panic(expected = "frames: ")]
    fn a_target_that_cannot_bear_one_fails() {
        replay("frames", 500, |bytes| assert!(!bytes.starts_with(b"\xff")));
    }
}
