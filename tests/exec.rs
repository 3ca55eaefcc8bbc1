//! `exec`: the command has the credentials, nobody else has, and nothing is in between.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::ExitStatusExt;
use std::process::Stdio;

use aws_simulator::Role;
use rustix::process::{Pid, Signal, kill_process};

use crate::errors::check;
use crate::support::{ACCOUNT, Run, Sandbox, exported, tool};

/// The variables that a command of `exec` has.
#[track_caller]
fn inside(sandbox: &Sandbox, arguments: &[&str], before: &[(&str, &str)]) -> BTreeMap<String, String> {
    let mut command = sandbox.client(arguments);
    let run = Run::of(command.args(["--", "env", "-0"]).envs(before.iter().copied()));
    assert_eq!((run.status, run.stderr.as_str()), (0, ""), "{run:?}");
    run.stdout
        .split('\0')
        .filter_map(|pair| pair.split_once('='))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
}

#[test]
fn the_command_has_what_env_sets_and_nothing_else_changes() {
    let sandbox = Sandbox::new();
    sandbox.write(
        ".config/mfa-agent/config.toml",
        "[profile.dev.env]\nTF_VAR_stage = \"it's $(id)\\n\\U0001F511\"\n",
    );
    sandbox.log_in("dev");
    let before = [
        ("AWS_PROFILE", "other"),
        ("AWS_DEFAULT_PROFILE", "other"),
        ("AWS_SECURITY_TOKEN", "stale"),
        ("AWS_CONTAINER_CREDENTIALS_FULL_URI", "http://127.0.0.1:1/"),
        ("AWS_CONTAINER_AUTHORIZATION_TOKEN", "stale"),
        ("MINE", "stays"),
    ];
    let variables = inside(&sandbox, &["exec", "dev"], &before);

    let run = Run::of(sandbox.client(["env", "dev"]).envs(before));
    let mut own: Vec<(String, String)> = sandbox
        .environment()
        .iter()
        .map(|(name, value)| (name.to_string_lossy().into_owned(), value.to_string_lossy().into_owned()))
        .filter(|(name, _)| name != "PATH")
        .collect();
    own.extend(before.map(|(name, value)| (name.to_owned(), value.to_owned())));
    let own: Vec<_> = own.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let mut evaluated = exported(&run.stdout, &own);
    evaluated.insert("PATH".to_owned(), variables["PATH"].clone());
    assert_eq!(variables, evaluated);
    assert_eq!(variables["TF_VAR_stage"], "it's $(id)\n\u{1f511}");
    assert_eq!(variables["MINE"], "stays");
    assert!(variables["AWS_ACCESS_KEY_ID"].starts_with("ASIA"));
}

#[test]
fn the_command_takes_the_place_of_the_client_with_its_status_and_signals() {
    let sandbox = Sandbox::new();
    sandbox.log_in("dev");
    for status in [0, 1, 3, 77, 126, 255] {
        let script = format!("exit {status}");
        assert_eq!(sandbox.run(&["exec", "dev", "--", "sh", "-c", &script]).status, status);
    }
    // The same process, from its first word to its end.
    let mut child = sandbox
        .client(["exec", "dev", "--", "sh", "-c", "echo $$; exec cat"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    std::io::BufRead::read_line(&mut std::io::BufReader::new(child.stdout.as_mut().unwrap()), &mut line)
        .unwrap();
    let pid = i32::try_from(child.id()).unwrap();
    assert_eq!(line.trim().parse(), Ok(pid));
    kill_process(Pid::from_raw(pid).unwrap(), Signal::USR1).unwrap();
    assert_eq!(child.wait().unwrap().signal(), Some(10), "the signal ended the command itself");
}

#[test]
fn the_command_gets_no_descriptor_and_no_signal_setting_of_ours() {
    let sandbox = Sandbox::new();
    sandbox.log_in("dev");
    let look = "ls /proc/self/fd; grep '^Sig[BIC]' /proc/self/status";
    let plain = Run::of(&mut sandbox.command("/bin/sh", ["-c", look]));
    let inside = sandbox.run(&["exec", "dev", "--", "/bin/sh", "-c", look]);
    assert_eq!((inside.stdout, inside.status), (plain.stdout, 0));
}

#[test]
fn arguments_go_as_they_are_and_no_shell_sees_them() {
    let sandbox = Sandbox::new();
    sandbox.log_in("dev");
    let words = ["$(touch owned)", "a b", "'", "", "--", "--profile", "-x", "\n", "*"];
    let mut command = sandbox.client(["exec", "dev", "--", "printf", "%s|"]);
    let run = Run::of(command.args(words));
    assert_eq!(run.stdout, words.map(|word| format!("{word}|")).concat(), "{run:?}");
}

#[test]
fn a_code_is_asked_for_on_the_terminal_and_the_command_has_it_afterwards() {
    let sandbox = Sandbox::new();
    let terminal =
        sandbox.terminal(&["exec", "dev", "--", "sh", "-c", "test -t 0 && echo $AWS_ACCESS_KEY_ID"]);
    terminal.wait_for("MFA code for dev");
    terminal.type_in(&sandbox.code());
    let run = terminal.finish();
    assert!(run.status == 0 && run.stdout.starts_with("ASIA"), "{run:?}");
}

#[test]
fn what_keeps_it_from_running_has_its_own_status_and_runs_nothing() {
    let sandbox = Sandbox::new();
    let run = sandbox.run(&["exec", "dev", "--no-prompt", "--", "echo", "ran"]);
    check(&run, 3, &["dev needs an MFA code"]);
    assert_eq!(run.stdout, "");
    check(&sandbox.run(&["exec", "gone", "--", "echo", "ran"]), 5, &["gone"]);
    sandbox.log_in("dev");
    check(&sandbox.run(&["exec", "dev", "--", "no-such-program"]), 127, &["no-such-program", "PATH"]);
    let file = sandbox.home().join("file");
    fs::write(&file, "#!/bin/sh\n").unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
    check(&sandbox.run(&["exec", "dev", "--", file.to_str().unwrap()]), 126, &["file"]);
    for usage in [
        &["exec", "dev"][..],
        &["exec", "dev", "echo", "ran"],
        &["exec", "dev", "--min-ttl", "37h", "--", "x"],
    ] {
        let run = sandbox.run(usage);
        assert_eq!((run.status, run.stdout.as_str()), (2, ""), "{run:?}");
    }
}

/// A sandbox with profile `prod`, a role in another region and with a variable of its own.
fn with_prod() -> Sandbox {
    let sandbox = Sandbox::new();
    let arn = sandbox.simulator.role(Role::new(ACCOUNT, "prod"));
    let serial = &sandbox.serial;
    sandbox.write(
        ".aws/config",
        &format!(
            "[profile dev]\nregion = eu-central-1\nmfa_serial = {serial}\n\
             [profile prod]\nrole_arn = {arn}\nsource_profile = dev\n"
        ),
    );
    sandbox
}

#[test]
fn inside_of_another_exec_the_inner_profile_wins_and_alone() {
    let sandbox = with_prod();
    sandbox.log_in("dev");
    let client = env!("CARGO_BIN_EXE_mfa-agent");
    let dev = inside(&sandbox, &["exec", "dev"], &[]);
    let prod = inside(&sandbox, &["exec", "dev", "--", client, "exec", "prod"], &[]);
    assert_eq!(prod["MFA_AGENT_PROFILE"], "prod");
    for name in ["AWS_ACCESS_KEY_ID", "AWS_SESSION_TOKEN", "MFA_AGENT_LEASE"] {
        assert_ne!(prod[name], dev[name], "{name}");
    }
    assert!(!prod.contains_key("AWS_REGION"), "the region of dev is none of prod's");
    // Without a name it is the profile of the outer one.
    let again = inside(&sandbox, &["exec", "prod", "--", client, "exec"], &[]);
    assert_eq!(again["AWS_ACCESS_KEY_ID"], prod["AWS_ACCESS_KEY_ID"]);
}

#[test]
fn what_the_profile_before_set_goes_with_it_and_what_the_person_changed_stays() {
    let sandbox = with_prod();
    let own = "OURS = \"dev\"\nBOTH = \"dev\"\nCHANGED = \"dev\"\n";
    let configuration = format!("[profile.dev.env]\n{own}[profile.prod.env]\nBOTH = \"prod\"\n");
    sandbox.write(".config/mfa-agent/config.toml", &configuration);
    sandbox.log_in("dev");
    let dev = inside(&sandbox, &["exec", "dev"], &[]);
    assert_eq!((dev["OURS"].as_str(), dev["BOTH"].as_str()), ("dev", "dev"));
    let mut shell = dev.clone();
    shell.insert("CHANGED".to_owned(), "by hand".to_owned());
    let shell: Vec<_> = shell.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();

    let prod = inside(&sandbox, &["exec", "prod"], &shell);
    assert!(!prod.contains_key("OURS"), "{prod:?}");
    assert_eq!((prod["BOTH"].as_str(), prod["CHANGED"].as_str()), ("prod", "by hand"));
    // The same where a shell evaluates it, and where nothing comes after.
    let printed = Run::of(sandbox.client(["env", "prod"]).envs(shell.iter().copied())).stdout;
    let evaluated = exported(&printed, &shell);
    assert!(!evaluated.contains_key("OURS") && evaluated["CHANGED"] == "by hand", "{evaluated:?}");
    let printed = Run::of(sandbox.client(["env", "--unset"]).envs(shell.iter().copied())).stdout;
    let evaluated = exported(&printed, &shell);
    assert!(!evaluated.contains_key("OURS") && !evaluated.contains_key("BOTH"), "{evaluated:?}");
    assert_eq!(evaluated["CHANGED"], "by hand");
}

#[test]
fn min_ttl_renews_a_role_without_a_code() {
    let mut sandbox = with_prod();
    let clock = sandbox.fake_clock();
    assert_eq!(sandbox.run(&["agent", "start"]).status, 0);
    sandbox.unset("LD_PRELOAD");
    sandbox.log_in("prod");
    let key = |arguments: &[&str]| inside(&sandbox, arguments, &[])["AWS_ACCESS_KEY_ID"].clone();
    let first = key(&["exec", "prod", "--no-prompt"]);
    sandbox.advance(&clock, 20 * 60);
    // 40 minutes are left.
    assert_eq!(key(&["exec", "prod", "--no-prompt", "--min-ttl", "30m"]), first);
    let second = key(&["exec", "prod", "--no-prompt", "--min-ttl", "1h"]);
    assert_ne!(second, first);
    assert_eq!(
        key(&["exec", "prod", "--no-prompt", "--min-ttl", "1h"]),
        second,
        "it is not renewed over and over"
    );
    assert_eq!(sandbox.simulator.calls_of("GetSessionToken").len(), 1);
    let run = sandbox.run(&["exec", "prod", "--min-ttl", "2h", "--", "echo", "ran"]);
    check(&run, 5, &["prod", "1h at most", "2h", "duration_seconds"]);
    assert_eq!(run.stdout, "");
}

#[test]
fn min_ttl_asks_for_a_code_where_nothing_else_renews() {
    let sandbox = Sandbox::new();
    assert_eq!(sandbox.run(&["login", "dev", "--duration", "1h", "--code", &sandbox.code()]).status, 0);
    let run = sandbox.run(&["exec", "dev", "--no-prompt", "--min-ttl", "2h", "--", "echo", "ran"]);
    check(&run, 3, &["dev"]);
    assert_eq!(run.stdout, "");
    assert_eq!(sandbox.run(&["exec", "dev", "--no-prompt", "--min-ttl", "50m", "--", "true"]).status, 0);
    // A longer one than usual, where that is what it takes.
    let command = ["exec", "dev", "--min-ttl", "20h", "--", "sh", "-c", "echo $MFA_AGENT_EXP"];
    let terminal = sandbox.terminal(&command);
    terminal.wait_for("MFA code for dev");
    terminal.type_in(&sandbox.code());
    let run = terminal.finish();
    let ends: i64 = run.stdout.trim().parse().unwrap_or_else(|_| panic!("{run:?}"));
    let left = ends - sandbox.simulator.now();
    assert!((20 * 3_600 - 60..=20 * 3_600 + 60).contains(&left), "{left}");
    assert_eq!(sandbox.simulator.calls_of("GetSessionToken").len(), 2);
    let run = sandbox.run(&["exec", "dev", "--min-ttl", "2h", "--duration", "1h", "--", "true"]);
    check(&run, 2, &["--duration 1h", "--min-ttl"]);
}

#[test]
fn a_credential_process_gives_json_or_nothing() {
    let sandbox = Sandbox::new();
    let run = sandbox.run(&["credential-process", "dev", "--no-prompt"]);
    check(&run, 3, &["dev"]);
    assert_eq!(run.stdout, "");
    check(&sandbox.run(&["credential-process", "gone"]), 5, &["gone"]);
    let unnamed = Run::of(sandbox.client(["credential-process"]).env("AWS_PROFILE", "dev"));
    check(&unnamed, 2, &["not named"]);

    let terminal = sandbox.terminal(&["credential-process", "dev"]);
    terminal.wait_for("MFA code for dev");
    terminal.type_in(&sandbox.code());
    let run = terminal.finish();
    let json: serde_json::Value = serde_json::from_str(&run.stdout).unwrap();
    let exported = exported(&sandbox.run(&["env", "dev"]).stdout, &[]);
    let expected = serde_json::json!({
        "Version": 1,
        "AccessKeyId": exported["AWS_ACCESS_KEY_ID"],
        "SecretAccessKey": exported["AWS_SECRET_ACCESS_KEY"],
        "SessionToken": exported["AWS_SESSION_TOKEN"],
        "Expiration": exported["AWS_CREDENTIAL_EXPIRATION"],
    });
    assert_eq!(json, expected);
    assert_eq!(sandbox.run(&["credential-process", "--profile", "dev"]).stdout, run.stdout);
}

#[test]
fn twenty_credential_processes_are_one_question() {
    let sandbox = Sandbox::new();
    let terminal = sandbox.terminal(&["env", "dev"]);
    terminal.wait_for("MFA code for dev");
    let children: Vec<_> = (0..20)
        .map(|_| {
            let mut command = sandbox.client(["credential-process", "dev"]);
            command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
        })
        .collect();
    terminal.type_in(&sandbox.code());
    assert_eq!(terminal.finish().status, 0);
    let answers: std::collections::BTreeSet<String> =
        children.into_iter().map(|child| Run::from(child.wait_with_output().unwrap()).stdout).collect();
    assert_eq!(answers.len(), 1, "{answers:?}");
    assert!(answers.first().unwrap().starts_with("{\"Version\":1,"));
    assert_eq!(sandbox.simulator.calls_of("GetSessionToken").len(), 1);
}

#[test]
fn the_command_of_a_shell_follows_renewals() {
    use crate::support::{SHELLS, Session, Shell};
    for shell in SHELLS {
        let sandbox = Sandbox::new();
        sandbox.log_in("dev");
        let session = Session::start(&sandbox, shell);
        let arguments = match shell {
            Shell::Bash => "--noprofile -i",
            Shell::Zsh => "-d -i",
            Shell::Fish => "-i",
        };
        let client = env!("CARGO_BIN_EXE_mfa-agent");
        let start = session.terminal.screen().len();
        session
            .terminal
            .type_in(&format!("{client} exec dev -- {} {arguments}\r", tool(shell.program()).display()));
        session.terminal.wait_for_after(start, "\r\n");
        session.run("true");
        let first = session.key_id();
        assert!(first.is_some(), "{shell:?}: {}", session.terminal.screen());
        let run = sandbox.run(&["login", "dev", "--force", "--code", &sandbox.code()]);
        assert_eq!(run.status, 0, "{run:?}");
        session.run_to_prompt("true");
        let second = session.key_id();
        assert!(second.is_some() && second != first, "{shell:?}: {}", session.terminal.screen());
    }
}
