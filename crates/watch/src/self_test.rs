//! Leaks that are made on purpose, one of each kind, before and after the tests: what does not find them finds nothing.

use std::fs;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crate::run::Run;

/// The test that planted secrets are of.
pub const PLANTED: &str = "the watch itself";

/// How long it may take to find them. A busy machine takes a second.
const PATIENCE: Duration = Duration::from_mins(1);

/// Leaks, and waits until all of it is found: by then all that came before has been looked at.
pub fn finds_everything(run: &Run) -> Result<(), String> {
    let folder = Folder::make().map_err(|error| format!("no folder for the self-test: {error}"))?;
    let before = run.planted_found();
    let planted = leak(run, &folder.0).map_err(|error| format!("the self-test cannot leak: {error}"))?;
    let start = Instant::now();
    while run.planted_found() - before < planted {
        if start.elapsed() > PATIENCE {
            let found = run.planted_found() - before;
            return Err(format!("of {planted} secrets that were leaked on purpose {found} were found"));
        }
        thread::sleep(Duration::from_millis(5));
    }
    Ok(())
}

/// One leak of each kind. Says how many.
fn leak(run: &Run, folder: &Path) -> io::Result<usize> {
    let mut planted = 0;
    let mut secret = || {
        planted += 1;
        let secret = random()?;
        run.make_known("secret key", &secret)?;
        io::Result::Ok(secret)
    };
    // A shell that is called as our programs are.
    let [client, agent] = ["mfa-agent", "mfa-agentd"].map(|name| folder.join(name));
    for program in [&client, &agent] {
        fs::copy("/bin/sh", program)?;
    }
    let shell = |program: &Path, script: &str| {
        let mut command = Command::new(program);
        command.args(["-c", script]).env_clear().env("HOME", folder.join("home")).stdin(Stdio::null());
        command
    };

    ends_well(shell(&client, ":").arg(secret()?))?;
    ends_well(shell(&client, ":").arg(hexadecimal(&secret()?)))?;
    ends_well(shell(&agent, ":").env("AWS_SESSION_TOKEN", secret()?))?;
    // What the agent starts is as the agent.
    tell(&mut shell(&agent, "read -r secret; SECRET=$secret env true; :"), &secret()?)?;
    let folders = [folder.join("home"), folder.join("run/mfa-agent"), "/tmp".into(), "/dev/shm".into()];
    for place in folders {
        fs::create_dir_all(&place)?;
        let file = place.join(format!("watch-self-test-{}", std::process::id()));
        let script = format!("read -r secret; echo \"$secret\" >'{}'", file.display());
        tell(&mut shell(&agent, &script), &secret()?)?;
        // It is found all the same.
        fs::remove_file(file)?;
    }
    Ok(planted)
}

/// Runs a program that reads a secret.
fn tell(command: &mut Command, secret: &str) -> io::Result<()> {
    let mut child = command.stdin(Stdio::piped()).spawn()?;
    if let Some(mut input) = child.stdin.take() {
        writeln!(input, "{secret}")?;
    }
    let status = child.wait()?;
    if status.success() { Ok(()) } else { Err(io::Error::other(status.to_string())) }
}

fn ends_well(command: &mut Command) -> io::Result<()> {
    let status = command.status()?;
    if status.success() { Ok(()) } else { Err(io::Error::other(status.to_string())) }
}

/// As long as a secret key.
fn random() -> io::Result<String> {
    let mut bytes = [0; 20];
    fs::File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(hexadecimal_of(&bytes))
}

fn hexadecimal(text: &str) -> String {
    hexadecimal_of(text.as_bytes())
}

fn hexadecimal_of(bytes: &[u8]) -> String {
    let digit = |value: u8| char::from_digit(u32::from(value), 16).unwrap_or('0');
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 0xf)]).collect()
}

/// A folder that goes.
struct Folder(PathBuf);

impl Folder {
    fn make() -> io::Result<Self> {
        let folder = PathBuf::from(format!("/tmp/watch-{}", std::process::id()));
        fs::create_dir(&folder)?;
        Ok(Self(folder))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}
