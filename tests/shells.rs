//! What `env` prints means the same in every shell served.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use crate::support::{Sandbox, tool};

/// A shell, the name of its syntax, and how it takes our code from `$CODE`.
const SHELLS: [(&str, &str, &[&str]); 4] = [
    ("bash", "posix", &["--norc", "--noprofile", "-c", "eval \"$CODE\" && env -0"]),
    ("dash", "posix", &["-c", "eval \"$CODE\" && env -0"]),
    ("zsh", "posix", &["-f", "-c", "eval \"$CODE\" && env -0"]),
    ("fish", "fish", &["--no-config", "-c", "printf %s $CODE | source; and env -0"]),
];

/// The variables of a shell after it took the code that `env dev` prints for it.
fn taken(sandbox: &Sandbox, shell: &str, syntax: &str, arguments: &[&str]) -> BTreeMap<Vec<u8>, Vec<u8>> {
    let printed = sandbox.client(["env", "dev", "--shell", syntax]).output().unwrap();
    assert!(printed.status.success(), "{}", String::from_utf8_lossy(&printed.stderr));
    let code = std::ffi::OsString::from_vec(printed.stdout);
    let output = sandbox
        .command(tool(shell), arguments)
        .env("CODE", code)
        .env("AWS_SECURITY_TOKEN", "stale")
        .env_remove("MFA_AGENT_LEASE")
        .output()
        .unwrap();
    assert!(output.status.success(), "{shell}: {}", String::from_utf8_lossy(&output.stderr));
    output
        .stdout
        .split(|byte| *byte == 0)
        .filter_map(|pair| {
            let equals = pair.iter().position(|byte| *byte == b'=')?;
            Some((pair[..equals].to_vec(), pair[equals + 1..].to_vec()))
        })
        .collect()
}

/// Every character whose UTF-8 holds a byte that no other does, from U+0001 on, and some that shells stumble
/// over.
fn every_character() -> String {
    let mut text: String = (1..=0x7ff).filter_map(char::from_u32).collect();
    text.push_str("\u{1f511}$(touch owned)`touch owned`'\"\\\n!history !! ${x} \\' '\\'' %s ~ * \u{202e}\\");
    text
}

#[test]
fn every_byte_of_a_persons_own_variable_arrives() {
    let sandbox = Sandbox::new();
    let value = every_character();
    let escaped: String = value.chars().fold(String::new(), |text, c| {
        use std::fmt::Write;
        let mut text = text;
        write!(text, "\\U{:08X}", u32::from(c)).unwrap();
        text
    });
    sandbox.write(".config/mfa-agent/config.toml", &format!("[profile.dev.env]\nNASTY = \"{escaped}\"\n"));
    sandbox.log_in("dev");
    for (shell, syntax, arguments) in SHELLS {
        let variables = taken(&sandbox, shell, syntax, arguments);
        assert_eq!(variables[&b"NASTY"[..]], value.as_bytes(), "{shell}");
        assert!(!variables.contains_key(&b"AWS_SECURITY_TOKEN"[..]), "{shell}");
        assert!(variables[&b"AWS_SESSION_TOKEN"[..]].len() > 100, "{shell}");
    }
    assert!(!Path::new("owned").exists() && !sandbox.home().join("owned").exists());
}

#[test]
fn every_byte_of_a_path_arrives() {
    let mut sandbox = Sandbox::new();
    let home = sandbox.home();
    // Every byte that a path can hold, in names short enough for a socket's path.
    let bytes: Vec<u8> = (1..=255).filter(|byte| *byte != b'/').collect();
    for (number, chunk) in bytes.chunks(32).enumerate() {
        let mut name = format!("{number}").into_bytes();
        name.extend(chunk);
        let folder = home.join(PathBuf::from(std::ffi::OsString::from_vec(name)));
        fs::create_dir(&folder).unwrap();
        fs::set_permissions(&folder, fs::Permissions::from_mode(0o700)).unwrap();
        sandbox.set("XDG_RUNTIME_DIR", &folder);
        sandbox.simulator.advance(std::time::Duration::from_mins(1));
        sandbox.log_in("dev");
        for (shell, syntax, arguments) in SHELLS {
            let variables = taken(&sandbox, shell, syntax, arguments);
            let lease =
                PathBuf::from(std::ffi::OsString::from_vec(variables[&b"MFA_AGENT_LEASE"[..]].clone()));
            assert!(lease.starts_with(&folder) && lease.is_file(), "{shell}: {}", lease.display());
        }
        assert_eq!(sandbox.run(&["agent", "stop"]).status, 0);
    }
}

#[test]
fn a_failure_is_false_in_every_shell() {
    let sandbox = Sandbox::new();
    for (shell, syntax, arguments) in SHELLS {
        let printed = sandbox.run(&["env", "gone", "--shell", syntax]);
        assert_eq!((printed.status, printed.stdout.as_str()), (5, "false\n"), "{shell}");
        let taken = sandbox.command(tool(shell), arguments).env("CODE", &printed.stdout).output().unwrap();
        assert!(!taken.status.success() && taken.stdout.is_empty(), "{shell} went on");
    }
}

#[test]
fn an_unquoted_eval_still_sets_all() {
    let sandbox = Sandbox::new();
    sandbox.log_in("dev");
    let script = format!("eval $({} env dev) && env -0", env!("CARGO_BIN_EXE_mfa-agent"));
    let run = crate::support::Run::of(&mut sandbox.command(tool("bash"), ["--norc", "-c", &script]));
    for name in ["AWS_ACCESS_KEY_ID=ASIA", "AWS_SESSION_TOKEN=", "MFA_AGENT_EXP="] {
        assert!(run.stdout.contains(name), "{run:?}");
    }
}

#[test]
fn the_shell_is_known_by_its_parent() {
    let sandbox = Sandbox::new();
    sandbox.log_in("dev");
    for (shell, sets) in [("fish", "set -gx"), ("bash", "export "), ("zsh", "export ")] {
        let script = format!("{} env dev; true", env!("CARGO_BIN_EXE_mfa-agent"));
        let run = crate::support::Run::of(&mut sandbox.command(tool(shell), ["-c", &script]));
        assert!(run.stdout.starts_with(sets), "{shell}: {run:?}");
    }
}

#[test]
fn a_full_disk_and_a_closed_pipe_are_no_panic() {
    let sandbox = Sandbox::new();
    sandbox.log_in("dev");
    let script = format!("{} env dev > /dev/full", env!("CARGO_BIN_EXE_mfa-agent"));
    let run = crate::support::Run::of(&mut sandbox.command("/bin/sh", ["-c", &script]));
    assert_eq!(run.status, 1, "{run:?}");
    assert!(run.stderr.contains("stdout"), "{run:?}");
    let script = format!("{} env dev | true", env!("CARGO_BIN_EXE_mfa-agent"));
    let run = crate::support::Run::of(&mut sandbox.command("/bin/sh", ["-c", &script]));
    assert!(!run.stderr.contains("panicked"), "{run:?}");
    // Nothing goes to a socket that happens to get the number of a closed stdout.
    let script = format!("{} env dev >&- 2>&-", env!("CARGO_BIN_EXE_mfa-agent"));
    let run = crate::support::Run::of(&mut sandbox.command("/bin/sh", ["-c", &script]));
    assert!(run.status <= 1, "{run:?}");
    assert_eq!(sandbox.run(&["env", "dev", "--no-prompt"]).status, 0);
}
