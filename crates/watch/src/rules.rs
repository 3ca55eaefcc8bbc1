//! What may have a secret. Whatever else has one is a leak.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use crate::processes::{Origin, Process, Program};
use crate::secrets::{Number, Secrets};

/// The variables that AWS's tools read secrets from: a person's shell has them, and gives them to what it starts.
const VARIABLES: [&str; 4] =
    ["AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_SECURITY_TOKEN", "AWS_CONTAINER_AUTHORIZATION_TOKEN"];

/// What AWS's credentials file is for.
const KEYS: [&str; 2] = ["secret key", "session token"];

/// How the kernel ends the path of a file whose name is gone, or another's.
const GONE: &str = " (deleted)";

/// Secrets that are where they may not be.
#[derive(Debug, PartialEq, Eq)]
pub struct Leak {
    /// Where: which argument, which variable, which file. Nothing secret.
    pub place: String,
    /// What.
    pub secrets: Vec<Number>,
}

/// A file as it was when somebody who could write to it closed it.
pub struct Written<'a> {
    /// Where it is, or was.
    pub path: &'a Path,
    /// Its permissions.
    pub mode: u32,
    /// What it holds, or the next part of it.
    pub contents: &'a [u8],
    /// Who closed it, where that is known.
    pub writer: Option<&'a Process>,
}

/// Looks at the arguments and the environment of a process.
pub fn judge_process(secrets: &Secrets, process: &Process) -> Vec<Leak> {
    let mut leaks = judge_arguments(secrets, process);
    leaks.extend(judge_environment(secrets, process));
    leaks
}

/// No program has a secret in its arguments, whoever started it. A code may be one where the person chose that, by
/// `--code`, and in a test's own programs.
fn judge_arguments(secrets: &Secrets, process: &Process) -> Vec<Leak> {
    let test = sandbox_of_process(secrets, process).map(|(_, test)| test);
    let mut leaks = Vec::new();
    let mut before: &[u8] = b"";
    for (number, argument) in split(&process.arguments).enumerate() {
        let mut found = secrets.find(argument);
        // The latter is aws-mfa's name for it.
        let chosen = [&b"--code"[..], b"--token"].iter().any(|option| {
            before == *option || argument.strip_prefix(*option).is_some_and(|rest| rest.starts_with(b"="))
        });
        let chosen = chosen && process.program == Program::Client;
        if process.is_product()
            && !chosen
            && let Some(test) = test
        {
            found.extend(secrets.find_codes(test, argument));
        }
        if !found.is_empty() {
            leaks.push(Leak { place: format!("argument {number}"), secrets: found });
        }
        before = argument;
    }
    leaks
}

/// Neither the agent nor what it starts has a secret in its environment. The client has what its starter has, in the
/// variables that are made for it; what it starts has no more than that, but for the command of `exec`. What others
/// have is theirs.
fn judge_environment(secrets: &Secrets, process: &Process) -> Vec<Leak> {
    let test = sandbox_of_process(secrets, process).map(|(_, test)| test);
    let mut leaks = Vec::new();
    for variable in split(&process.environment) {
        let end = variable.iter().position(|byte| *byte == b'=').unwrap_or(variable.len());
        let name = String::from_utf8_lossy(&variable[..end]);
        let mut found = secrets.find(variable);
        if VARIABLES.contains(&name.as_ref()) && !process.is_agents() {
            match &process.origin {
                // What the client did not have it did not get from the person.
                Origin::Client(client) => {
                    let had = secrets.find(&client.environment);
                    found.retain(|number| !had.contains(number));
                }
                Origin::Exec | Origin::Test => found.clear(),
                Origin::Agent => {}
            }
        }
        let of_the_person = matches!(process.origin, Origin::Exec);
        if let Some(test) = test.filter(|_| !of_the_person) {
            found.extend(secrets.find_codes(test, variable));
        }
        if !found.is_empty() {
            leaks.push(Leak { place: format!("variable {name}"), secrets: found });
        }
    }
    leaks
}

/// Our client writes a key into AWS's credentials file, when it is asked to, with nobody else reading it, and nowhere
/// else but where a rotated one stood; nor is any other secret there. Others may have their own in files of a home; in
/// the runtime folder, in logs, and outside of a sandbox nobody has one.
pub fn judge_file(secrets: &Secrets, file: &Written<'_>) -> Option<Leak> {
    let ours = file.writer.is_some_and(Process::is_ours);
    let mut found = secrets.find(file.contents);
    if may_hold_keys(secrets, file) {
        found.retain(|number| ours && !KEYS.contains(&secrets.get(*number).kind.as_str()));
    }
    if let Some((_, test)) = sandbox_of(secrets, file.path).filter(|_| ours) {
        found.extend(secrets.find_codes(test, file.contents));
    }
    if found.is_empty() {
        return None;
    }
    let path = file.path.display().to_string();
    let path = path.strip_suffix(GONE).unwrap_or(&path);
    let place = format!("{path} (mode {:03o})", file.mode & 0o777);
    Some(Leak { place, secrets: found })
}

fn may_hold_keys(secrets: &Secrets, file: &Written<'_>) -> bool {
    let name = file.path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let name = name.strip_suffix(GONE).unwrap_or(name);
    match file.writer {
        // `keys import`, `keys rotate`, `setup`, `aws-mfa`. The new file is beside the old one for a moment. Where the
        // person has the key in the config file, the next one goes there too.
        Some(writer) if writer.program == Program::Client => {
            let rotates = split(&writer.arguments).any(|argument| argument == b"rotate");
            let files: &[&str] = if rotates { &["credentials", "config"] } else { &["credentials"] };
            let private = file.mode.trailing_zeros() >= 6;
            files.iter().any(|the_file| {
                let is_it = name == *the_file || name.starts_with(&format!(".{the_file}.mfa-agent-"));
                is_it && (private || secrets.is_open(&file.path.with_file_name(the_file)))
            })
        }
        Some(writer) if writer.is_ours() => false,
        _ => {
            let runtime = file.path.components().any(|part| part.as_os_str() == "run");
            let log = Path::new(name).extension().is_some_and(|extension| extension == "log");
            !runtime && !log && sandbox_of(secrets, file.path).is_some()
        }
    }
}

/// The sandbox that a path is in, and its test.
fn sandbox_of<'a>(secrets: &'a Secrets, path: &Path) -> Option<(&'a Path, &'a str)> {
    let found = path.ancestors().find_map(|folder| secrets.sandboxes().get_key_value(folder));
    found.map(|(folder, test)| (folder.as_path(), test.as_str()))
}

/// The sandbox in which a program runs, by its environment, and its test.
pub fn sandbox_of_process<'a>(secrets: &'a Secrets, process: &Process) -> Option<(&'a Path, &'a str)> {
    let values = split(&process.environment).filter_map(|variable| {
        let start = variable.iter().position(|byte| *byte == b'=')? + 1;
        variable.get(start..).filter(|value| value.starts_with(b"/"))
    });
    values.map(|value| Path::new(OsStr::from_bytes(value))).find_map(|path| sandbox_of(secrets, path))
}

fn split(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    text.split(|byte| *byte == 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    const KEY: &str = "q8Zr/1vJt+W0mYyBf3nXc7LkDs5HgUaPo2Ei4TbN";
    const SEED: &str = "MZXW6YTBOJRGC6TROV2XQ53ZOBUWK4TUNFSGC3DT";

    fn known() -> Secrets {
        let mut secrets = Secrets::default();
        let lines = "sandbox\tone\t/tmp/box\ncode\tone\t123456\nopen file\tone\t/tmp/box/open/credentials\n";
        secrets.learn(format!("secret key\tone\t{KEY}\nseed\tone\t{SEED}\n{lines}").as_bytes());
        secrets
    }

    fn client(arguments: &str, environment: &str) -> Process {
        Process::made_up("/x/mfa-agent", Origin::Test, arguments, environment)
    }

    fn places(process: &Process) -> Vec<String> {
        judge_process(&known(), process).into_iter().map(|leak| leak.place).collect()
    }

    #[test]
    fn no_program_has_a_secret_in_its_arguments() {
        for program in ["mfa-agent", "mfa-agentd", "bash", "zenity"] {
            let process =
                Process::made_up(program, Origin::Test, &format!("{program} -c {KEY}"), "HOME=/tmp/box");
            assert_eq!(places(&process), ["argument 2"], "{program}");
        }
    }

    #[test]
    fn a_code_is_an_argument_where_the_person_chose_that() {
        for chosen in ["--code 123456", "--code=123456", "--token 123456"] {
            let chosen = format!("mfa-agent login {chosen}");
            assert!(places(&client(&chosen, "HOME=/tmp/box/home")).is_empty());
            let agent = Process::made_up("mfa-agentd", Origin::Test, &chosen, "HOME=/tmp/box/home");
            assert_eq!(places(&agent).len(), 1);
        }
        for other in ["login 123456", "--profile 123456", "--codes=123456"] {
            assert_eq!(places(&client(other, "HOME=/tmp/box/home")).len(), 1, "{other}");
            assert!(places(&client(other, "HOME=/tmp/another")).is_empty(), "it is another test's: {other}");
        }
        // A dialog that the agent starts; what a test starts for itself is its own.
        let dialog = |origin| Process::made_up("zenity", origin, "zenity 123456", "HOME=/tmp/box/home");
        assert_eq!(places(&dialog(Origin::Agent)), ["argument 1"]);
        assert!(places(&dialog(Origin::Test)).is_empty());
    }

    #[test]
    fn the_agent_and_what_it_starts_have_no_secret_in_their_environment() {
        for variable in ["AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "X"] {
            let environment = format!("HOME=/tmp/box {variable}={KEY}");
            let expected = [format!("variable {variable}")];
            for (program, origin) in [
                ("mfa-agentd", Origin::Test),
                ("mfa-agentd", Origin::Agent),
                ("zenity", Origin::Agent),
                ("mfa-agent", Origin::Agent),
            ] {
                assert_eq!(places(&Process::made_up(program, origin, program, &environment)), expected);
            }
        }
        let coded = Process::made_up("mfa-agentd", Origin::Test, "mfa-agentd", "HOME=/tmp/box X=123456");
        assert_eq!(places(&coded), ["variable X"]);
    }

    #[test]
    fn a_client_has_what_the_person_gave_it_and_hands_on_no_more() {
        let variable = format!("HOME=/tmp/box AWS_SECRET_ACCESS_KEY={KEY}");
        assert!(places(&client("mfa-agent", &variable)).is_empty());
        assert_eq!(places(&client("mfa-agent", &format!("X={KEY}"))), ["variable X"]);
        assert_eq!(places(&client("mfa-agent", "HOME=/tmp/box X=123456")), ["variable X"]);
        let (with, without) = (Arc::new(client("mfa-agent", &variable)), Arc::new(client("mfa-agent", "")));
        let browser = |origin| Process::made_up("browser", origin, "browser", &variable);
        assert!(places(&browser(Origin::Client(with))).is_empty());
        assert_eq!(places(&browser(Origin::Client(without))), ["variable AWS_SECRET_ACCESS_KEY"]);
        assert!(places(&browser(Origin::Exec)).is_empty());
    }

    #[test]
    fn a_file_of_ours_has_no_secret_but_for_awss_own() {
        let leaks = |path: &str, mode: u32, writer: Option<&str>| {
            let writer = writer.map(|program| Process::made_up(program, Origin::Test, "", ""));
            let (path, contents) = (Path::new(path), KEY.as_bytes());
            judge_file(&known(), &Written { path, mode, contents, writer: writer.as_ref() }).is_some()
        };
        let ours = Some("mfa-agent-cli");
        for path in [
            "/tmp/box/home/.aws/credentials",
            "/tmp/box/home/.aws/credentials (deleted)",
            "/tmp/box/home/.aws/.credentials.mfa-agent-17",
        ] {
            assert!(!leaks(path, 0o600, ours), "{path}");
            assert!(leaks(path, 0o640, ours), "open to others: {path}");
            assert!(leaks(path, 0o600, Some("mfa-agentd")), "the agent writes none: {path}");
        }
        assert!(!leaks("/tmp/box/open/credentials", 0o640, ours), "as the person has it");
        for path in
            ["/tmp/box/home/.aws/config", "/tmp/box/home/x", "/tmp/x", "/root/x", "/tmp/credentials.log"]
        {
            assert!(leaks(path, 0o600, ours), "{path}");
            assert!(leaks(path, 0o600, Some("mfa-agentd")), "{path}");
        }
        for writer in [Some("bash"), None] {
            assert!(!leaks("/tmp/box/home/environment", 0o644, writer), "a test's own");
            for path in
                ["/tmp/box/run/mfa-agent/x", "/tmp/box/home/systemd.log", "/tmp/sh-thd.1", "/dev/shm/x"]
            {
                assert!(leaks(path, 0o600, writer), "{path}");
            }
        }
    }

    #[test]
    fn a_file_of_ours_has_no_code_and_no_seed() {
        let writer = client("mfa-agent", "");
        let file = |path: &'static str, contents: &'static [u8]| {
            let file = Written { path: Path::new(path), mode: 0o600, contents, writer: Some(&writer) };
            judge_file(&known(), &file).is_some()
        };
        assert!(file("/tmp/box/run/x", b"code=123456\n"));
        assert!(file("/tmp/box/home/.aws/config", b"123456"));
        assert!(file("/tmp/box/home/.aws/credentials", b"123456"));
        assert!(file("/tmp/box/home/.aws/credentials", SEED.as_bytes()));
        assert!(!file("/tmp/box/run/x", b"1234567"));
        assert!(!file("/tmp/another/x", b"123456"));
    }
}
