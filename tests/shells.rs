//! What `env` prints means the same in every shell served.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use crate::support::{Sandbox, exported, tool};

/// A shell, the name of its syntax, and how it takes our code from `$CODE`.
const SHELLS: [(&str, &str, &[&str]); 7] = [
    ("bash", "posix", &["--norc", "--noprofile", "-c", "eval \"$CODE\" && env -0"]),
    ("dash", "posix", &["-c", "eval \"$CODE\" && env -0"]),
    ("zsh", "posix", &["-f", "-c", "eval \"$CODE\" && env -0"]),
    ("fish", "fish", &["--no-config", "-c", "printf %s $CODE | source; and env -0"]),
    ("nu", "nushell", &["-n", "-c", "$env.CODE | from json | load-env; ^env -0"]),
    ("elvish", "elvish", &["-norc", "-c", "eval $E:CODE; e:env -0"]),
    ("xonsh", "xonsh", &["--no-rc", "-c", "execx($CODE)\n$[env -0]"]),
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

/// The text as TOML's escapes.
fn escaped(text: &str) -> String {
    use std::fmt::Write;
    text.chars().fold(String::new(), |mut escaped, c| {
        write!(escaped, "\\U{:08X}", u32::from(c)).unwrap();
        escaped
    })
}

#[test]
fn every_byte_of_a_persons_own_variable_arrives() {
    let sandbox = Sandbox::new();
    let value = every_character();
    let escaped = escaped(&value);
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
            if syntax == "nushell" && std::str::from_utf8(folder.as_os_str().as_encoded_bytes()).is_err() {
                // JSON is text. Nothing is set rather than something else.
                let run = sandbox.run(&["env", "dev", "--shell", syntax]);
                crate::errors::check(&run, 1, &["MFA_AGENT_LEASE"]);
                assert_eq!(run.stdout, "false\n");
                continue;
            }
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
        let fails = if shell == "xonsh" { "raise RuntimeError('mfa-agent env failed')\n" } else { "false\n" };
        assert_eq!((printed.status, printed.stdout.as_str()), (5, fails), "{shell}");
        let taken = sandbox.command(tool(shell), arguments).env("CODE", &printed.stdout).output().unwrap();
        assert!(!taken.status.success() && taken.stdout.is_empty(), "{shell} went on");
    }
}

#[test]
fn stdout_has_code_and_nothing_else() {
    let sandbox = Sandbox::new();
    let mut printed = vec![sandbox.run(&["env", "dev", "--no-prompt"]), sandbox.run(&["env", "gone"])];
    printed.push(sandbox.run(&["env", "dev", "--code", "000001"]));
    printed.push(sandbox.run(&["env", "--what"]));
    sandbox.log_in("dev");
    printed.push(sandbox.run(&["env", "dev"]));
    printed.push(sandbox.run(&["env", "dev", "--live"]));
    printed.push(sandbox.run(&["env", "--unset"]));
    assert_eq!(sandbox.run(&["lock"]).status, 0);
    printed.push(sandbox.run(&["env", "dev"]));
    for run in printed {
        assert!(!run.stdout.is_empty() && (run.status == 0) == run.stderr.is_empty(), "{run:?}");
        for line in run.stdout.lines() {
            let word = line.split(' ').next().unwrap();
            assert!(["export", "unset", "false"].contains(&word), "{line}");
        }
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
    for (shell, sets) in [
        ("fish", "set -gx"),
        ("bash", "export "),
        ("zsh", "export "),
        ("nu", "{\n  \"AWS_ACCESS_KEY_ID\": \"ASIA"),
        ("elvish", "set-env AWS_ACCESS_KEY_ID \"ASIA"),
        ("xonsh", "$AWS_ACCESS_KEY_ID = 'ASIA"),
    ] {
        let program = if shell == "nu" { "^" } else { "" };
        let script = format!("{program}{} env dev; echo", env!("CARGO_BIN_EXE_mfa-agent"));
        let run = crate::support::Run::of(&mut sandbox.command(tool(shell), ["-c", &script]));
        assert!(run.stdout.starts_with(sets), "{shell}: {run:?}");
    }
}

#[test]
fn the_lines_of_the_help_set_and_stop_in_their_shells() {
    let sandbox = Sandbox::new();
    sandbox.log_in("dev");
    let folder = Path::new(env!("CARGO_BIN_EXE_mfa-agent")).parent().unwrap().to_owned();
    let path = std::env::join_paths(
        std::iter::once(folder).chain(std::env::split_paths(&std::env::var_os("PATH").unwrap())),
    )
    .unwrap();
    for (shell, arguments, line, then) in [
        ("bash", &["-c"][..], "eval \"$(mfa-agent env PROFILE)\"", " && echo went on"),
        ("zsh", &["-f", "-c"], "eval \"$(mfa-agent env PROFILE)\"", " && echo went on"),
        ("fish", &["-c"], "mfa-agent env PROFILE | source", "; and echo went on"),
        ("nu", &["-n", "-c"], "mfa-agent env PROFILE | from json | load-env", "; ^echo went on"),
        ("elvish", &["-norc", "-c"], "eval (mfa-agent env PROFILE | slurp)", "; echo went on"),
        ("xonsh", &["--no-rc", "-c"], "execx($(mfa-agent env PROFILE))", "; echo went on"),
    ] {
        for (profile, goes_on) in [("dev", true), ("gone", false)] {
            let script = line.replace("PROFILE", profile) + then;
            let mut command = sandbox.command(tool(shell), arguments);
            let run = crate::support::Run::of(command.arg(script).env("PATH", &path));
            assert_eq!(run.stdout.contains("went on"), goes_on, "{shell}: {run:?}");
        }
    }
    let help = sandbox.run(&["env", "--help"]).stdout;
    for line in [
        "| Out-String | Invoke-Expression",
        "| from json | load-env",
        "eval (mfa-agent env dev | slurp)",
        "execx($(mfa-agent env dev))",
    ] {
        assert!(help.contains(line), "{help}");
    }
}

#[test]
fn unset_removes_in_every_shell() {
    let sandbox = Sandbox::new();
    for (shell, syntax, arguments) in SHELLS {
        let code = sandbox.run(&["env", "--unset", "--shell", syntax]).stdout;
        let mut command = sandbox.command(tool(shell), arguments);
        let run = crate::support::Run::of(
            command
                .env("CODE", code)
                .env("AWS_SESSION_TOKEN", "old")
                .env("MFA_AGENT_EXP", "1")
                .env("STAYS", "1"),
        );
        assert!(run.status == 0 && run.stdout.contains("STAYS=1"), "{shell}: {run:?}");
        for gone in ["\0AWS_SESSION_TOKEN=", "\0MFA_AGENT_EXP="] {
            assert!(!run.stdout.contains(gone), "{shell}: {run:?}");
        }
    }
}

#[test]
fn json_is_an_object_and_nothing_on_failure() {
    let sandbox = Sandbox::new();
    let value = every_character();
    let escaped = escaped(&value);
    sandbox.write(".config/mfa-agent/config.toml", &format!("[profile.dev.env]\nNASTY = \"{escaped}\"\n"));
    sandbox.log_in("dev");
    let run = sandbox.run(&["env", "dev", "--shell", "json"]);
    let json: serde_json::Value = serde_json::from_str(&run.stdout).unwrap();
    let variables =
        exported(&sandbox.run(&["env", "dev", "--shell", "posix"]).stdout, &[("AWS_PROFILE", "x")]);
    for (name, value) in json.as_object().unwrap() {
        assert_eq!(value.as_str(), variables.get(name).map(String::as_str), "{name}");
    }
    assert_eq!(json["NASTY"], value);
    assert!(json["AWS_PROFILE"].is_null() && json["AWS_SESSION_TOKEN"].is_string(), "{json}");
    for syntax in ["json", "dotenv"] {
        let run = sandbox.run(&["env", "gone", "--shell", syntax]);
        assert_eq!((run.status, run.stdout.as_str()), (5, ""), "{run:?}");
        let run = sandbox.run(&["env", "--bogus", "--shell", syntax]);
        assert_eq!((run.status, run.stdout.as_str()), (2, ""), "{run:?}");
    }
}

#[test]
fn a_dotenv_file_means_the_same_to_all_that_read_it() {
    let sandbox = Sandbox::new();
    let configuration = |value: &str| {
        sandbox.write(
            ".config/mfa-agent/config.toml",
            &format!("[profile.dev.env]\nOWN = {value:?}\nPLAIN = \"a/b+c=d\"\n"),
        );
    };
    configuration("two words # \u{1f511} %s ~ *");
    sandbox.log_in("dev");
    let run = sandbox.run(&["env", "dev", "--shell", "dotenv"]);
    sandbox.write(".env", &run.stdout);
    let variables = exported(&sandbox.run(&["env", "dev", "--shell", "posix"]).stdout, &[]);

    let python = "import dotenv, json; print(json.dumps(dotenv.dotenv_values('.env')))";
    let node = "console.log(JSON.stringify(require('dotenv').parse(require('fs').readFileSync('.env'))))";
    let modules = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/test-tools/node_modules");
    for (program, flag, script) in [("python3", "-c", python), ("node", "-e", node)] {
        let mut command = sandbox.command(tool(program), [flag, script]);
        let run = crate::support::Run::of(command.current_dir(sandbox.home()).env("NODE_PATH", &modules));
        let read: BTreeMap<String, String> =
            serde_json::from_str(&run.stdout).unwrap_or_else(|_| panic!("{run:?}"));
        assert_eq!(read, variables, "{program}");
    }
    // docker takes what follows the first `=` as it is: all of AWS's own values are unquoted.
    for (name, value) in variables.iter().filter(|(name, _)| *name != "OWN") {
        assert!(run.stdout.lines().any(|line| line == format!("{name}={value}")), "{name}: {run:?}");
    }
    configuration("it's");
    let refused = sandbox.run(&["env", "dev", "--shell", "dotenv"]);
    crate::errors::check(&refused, 1, &["OWN"]);
    assert_eq!(refused.stdout, "");
    crate::errors::check(&sandbox.run(&["env", "--unset", "--shell", "dotenv"]), 2, &[".env"]);
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
