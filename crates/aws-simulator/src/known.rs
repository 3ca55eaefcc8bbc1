//! What is secret becomes known to whoever watches the tests for it.

use std::fs::File;
use std::io::Write;
use std::sync::OnceLock;
use std::thread;

/// Names the file that lines are appended to: what kind of secret, the test that it is of, the secret; tabs between.
const VARIABLE: &str = "AWS_SIMULATOR_SECRETS";

/// What the thread of a server is called, before the name of the thread that started it.
pub(crate) const THREAD: &str = "aws-simulator of ";

/// Makes something known before anybody has it: a secret, or what a watcher has to know besides. Where nobody watches
/// this does nothing.
pub fn make_known(kind: &str, value: &str) {
    static FILE: OnceLock<Option<File>> = OnceLock::new();
    let file = FILE.get_or_init(|| {
        let path = std::env::var_os(VARIABLE)?;
        let file = File::options().append(true).open(&path);
        Some(file.unwrap_or_else(|error| panic!("cannot open {}: {error}", path.display())))
    });
    if let Some(mut file) = file.as_ref() {
        let thread = thread::current();
        let test = thread.name().unwrap_or("?");
        let test = test.strip_prefix(THREAD).unwrap_or(test);
        // One call, so that lines do not mix.
        let line = format!("{kind}\t{test}\t{value}\n");
        file.write_all(line.as_bytes()).expect("whoever watches must know what to watch for");
    }
}
