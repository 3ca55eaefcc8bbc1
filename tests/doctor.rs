//! `doctor`: each fault is named, and the command that it gives mends it.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use aws_simulator::Fault;
use protocol::{Ask, IamAnswer, IamCall, Reply, Request, Signed};
use serde_json::Value;

use crate::support::{ACCOUNT, Bus, Run, SHELLS, Sandbox, Session, copy, install, key_of, tool, wait_until};

const CLIENT: &str = env!("CARGO_BIN_EXE_mfa-agent");

/// What a person does by hand, or may not do here: an editor that takes the named line out, and what asks for the
/// administrator's rights.
const HELPERS: &str = "vi() { sed -i \"${1#+}d\" \"$2\"; }
sudo() { \"$@\"; }
timedatectl() { echo \"$*\" > \"$HOME/done\"; }
systemctl() { echo \"$*\" > \"$HOME/done\"; }
apt() { mkdir -p \"$HOME/bin\" && printf '#!/bin/sh\\n' > \"$HOME/bin/$2\" && chmod 755 \"$HOME/bin/$2\"; }";

/// What a doctor found.
#[derive(Debug)]
struct Report(Value);

impl Report {
    /// What is not as it should be, of one check.
    fn wrong(&self, check: &str) -> Vec<(String, String, String)> {
        let text = |finding: &Value, key: &str| finding[key].as_str().unwrap_or_default().to_owned();
        let checks = self.0["checks"].as_array().unwrap();
        let wrong = checks.iter().filter(|finding| finding["check"] == check && finding["state"] != "ok");
        wrong.map(|finding| (text(finding, "state"), text(finding, "what"), text(finding, "hint"))).collect()
    }

    /// The one thing that is wrong there.
    #[track_caller]
    fn fault(&self, check: &str) -> (String, String, String) {
        let wrong = self.wrong(check);
        assert_eq!(wrong.len(), 1, "{check}: {self:?}");
        wrong.into_iter().next().unwrap()
    }
}

/// A machine on which nothing is wrong, and of which AWS is not asked.
fn healthy() -> Sandbox {
    let mut sandbox = Sandbox::new();
    sandbox.unset("AWS_ENDPOINT_URL");
    let path = sandbox.environment()[std::ffi::OsStr::new("PATH")].clone();
    let folders = [sandbox.home().join("bin"), Path::new(CLIENT).parent().unwrap().to_owned()];
    let folders = folders.into_iter().chain(std::env::split_paths(&path));
    sandbox.set("PATH", std::env::join_paths(folders).unwrap());
    sandbox.write(".bashrc", "eval \"$(mfa-agent init bash)\"\n");
    mode(&sandbox.home().join(".aws/credentials"), 0o600);
    sandbox
}

fn mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

/// Runs lines in a bash of the person's.
fn bash(sandbox: &Sandbox, variables: &[(&str, &str)], script: &str, argument: &str) -> Run {
    let arguments = ["--norc", "--noprofile", "-c", script, "bash", argument];
    Run::of(sandbox.command(tool("bash"), arguments).envs(variables.iter().copied()))
}

/// The same, which goes on by itself.
fn bash_in_background(sandbox: &Sandbox, script: &str) -> Child {
    let mut command = sandbox.command(tool("bash"), ["--norc", "--noprofile", "-c", script]);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap()
}

/// What a doctor's answer says; it is what it promises to be, and holds no secret.
#[track_caller]
fn report(sandbox: &Sandbox, run: &Run) -> Report {
    let json: Value = serde_json::from_str(&run.stdout).unwrap_or_else(|error| panic!("{error}: {run:?}"));
    let mut worst = 0;
    for finding in json["checks"].as_array().unwrap() {
        let state = ["ok", "warning", "error"].iter().position(|state| finding["state"] == **state).unwrap();
        worst = worst.max(state);
        let mut keys: Vec<_> = finding.as_object().unwrap().keys().map(String::as_str).collect();
        keys.sort_unstable();
        let expected: &[&str] =
            if state == 0 { &["check", "state", "what"] } else { &["check", "hint", "state", "what"] };
        assert_eq!(keys, expected, "{finding}");
        assert!(finding["check"].as_str().is_some_and(|text| !text.is_empty()), "{finding}");
        assert!(finding["what"].as_str().is_some_and(|text| !text.is_empty()), "{finding}");
    }
    assert_eq!(json.as_object().unwrap().len(), 2, "{json}");
    assert_eq!(json["state"], ["ok", "warning", "error"][worst]);
    assert_eq!(run.status, i32::from(worst == 2), "{run:?}");
    assert!(!format!("{run:?}").contains(&sandbox.alice.secret_access_key), "{run:?}");
    Report(json)
}

#[track_caller]
fn doctor(sandbox: &Sandbox, variables: &[(&str, &str)]) -> Report {
    report(sandbox, &bash(sandbox, variables, "mfa-agent doctor --offline --json; exit $?", ""))
}

/// Finds a fault, does what it says in the same shell, and finds it no more.
#[track_caller]
fn mends(sandbox: &Sandbox, variables: &[(&str, &str)], check: &str, words: &str) -> String {
    let (state, what, hint) = doctor(sandbox, variables).fault(check);
    assert!(what.contains(words), "{check}: {what}");
    let script = format!(
        "{HELPERS}\neval \"$1\" > \"$HOME/said\" 2>&1 || {{ cat \"$HOME/said\"; exit 99; }}\n\
         mfa-agent doctor --offline --json; exit $?"
    );
    let after = report(sandbox, &bash(sandbox, variables, &script, &hint));
    assert_eq!(after.wrong(check), [], "{hint}");
    format!("{state}: {hint}")
}

#[test]
fn a_healthy_machine_has_nothing_wrong_and_is_left_as_it_was() {
    let sandbox = healthy();
    let run = bash(&sandbox, &[], "mfa-agent doctor --offline; exit $?", "");
    assert_eq!((run.status, run.stderr.as_str()), (0, ""), "{run:?}");
    assert!(run.stdout.lines().all(|line| line.starts_with("✓ ")), "{}", run.stdout);
    for check in [
        "socket",
        "agent",
        "version",
        "memory",
        "config.toml",
        "config file",
        "credentials file",
        "profiles",
        "variables",
        "hook",
        "notifications",
    ] {
        assert!(run.stdout.contains(&format!("✓ {check} ")), "{check}: {}", run.stdout);
    }
    assert!(!sandbox.socket().exists(), "the agent that was started for it is ended again");
    assert_eq!(doctor(&sandbox, &[]).0["state"], "ok");
    let plain =
        bash(&sandbox, &[("LANG", "C")], "mfa-agent doctor dev --offline --color always; exit $?", "");
    assert!(plain.stdout.starts_with("\x1b[32m+\x1b[0m socket "), "{plain:?}");

    // An agent that runs, and what it holds, stay.
    let mut sandbox = healthy();
    sandbox.set("AWS_ENDPOINT_URL", sandbox.simulator.endpoint());
    sandbox.log_in("dev");
    let pid = sandbox.agent_pid();
    sandbox.simulator.clear_calls();
    doctor(&sandbox, &[]);
    assert_eq!(sandbox.agent_pid(), pid);
    assert!(sandbox.simulator.calls().is_empty(), "AWS is not called");
    asks_aws(&sandbox);
    assert_eq!(sandbox.agent_pid(), pid);
    assert_eq!(sandbox.run(&["env", "dev", "--no-prompt"]).status, 0);
}

/// The same machine, where AWS is asked.
fn online() -> Sandbox {
    let mut sandbox = healthy();
    sandbox.set("AWS_ENDPOINT_URL", sandbox.simulator.endpoint());
    sandbox
}

#[track_caller]
fn asks_aws(sandbox: &Sandbox) -> Report {
    report(sandbox, &bash(sandbox, &[], "mfa-agent doctor --json; exit $?", ""))
}

/// Finds a fault that AWS knows of, and does what it says: with these words behind it, and this on its stdin.
#[track_caller]
fn mends_at_aws(sandbox: &Sandbox, check: &str, words: &str, more: &str, input: &str) -> String {
    let (state, what, hint) = asks_aws(sandbox).fault(check);
    assert!(what.contains(words), "{check}: {what}");
    sandbox.write("input", input);
    let run = bash(sandbox, &[], &format!("eval \"$1 {more}\" < ~/input"), &hint);
    assert_eq!(run.status, 0, "{hint}: {run:?}");
    assert_eq!(asks_aws(sandbox).wrong(check), [], "{hint}: {run:?}");
    format!("{state}: {hint}")
}

#[test]
fn aws_is_asked_by_the_key_alone_and_nobody_for_a_code() {
    let sandbox = online();
    let found = asks_aws(&sandbox);
    for check in ["key", "device", "policy", "clock", "aws"] {
        assert_eq!(found.wrong(check), [], "{found:?}");
    }
    let shown = bash(&sandbox, &[], "mfa-agent doctor dev; exit $?", "").stdout;
    for line in [
        &format!("✓ key               dev's is alice's, of account {ACCOUNT}\n"),
        &format!("✓ device            {} is alice's\n", sandbox.serial),
        "✓ policy            in force for alice: denied without MFA\n",
        "✓ clock             as AWS's\n",
    ] {
        assert!(shown.contains(line), "{line}: {shown}");
    }
    let mut actions: Vec<String> = Vec::new();
    for call in sandbox.simulator.calls() {
        assert_eq!(call.access_key_id.as_ref(), Some(&sandbox.alice.access_key_id), "{call:?}");
        actions.push(call.action);
    }
    actions.sort_unstable();
    actions.dedup();
    let looks =
        ["GetCallerIdentity", "ListAccessKeys", "ListMFADevices", "ListUsers", "ListVirtualMFADevices"];
    assert_eq!(actions, looks);
    assert!(!sandbox.socket().exists(), "the agent that was started for it is ended again");
}

#[test]
fn a_profile_that_is_not_clear_is_not_guessed() {
    let sandbox = online();
    let bob = sandbox.simulator.user(ACCOUNT, "bob");
    let (alice, bob) = (key_of(&sandbox.alice), key_of(&bob));
    sandbox.write(".aws/credentials", &format!("[dev]\n{alice}[ops]\n{bob}"));
    let shown = bash(&sandbox, &[], "mfa-agent doctor", "").stdout;
    assert!(shown.contains("✓ aws               not asked, as no profile is named"), "{shown}");
    assert_eq!(sandbox.simulator.calls().len(), 0);
    let shown = bash(&sandbox, &[], "mfa-agent doctor ops", "").stdout;
    assert!(shown.contains("ops's is bob's"), "{shown}");
    sandbox.write(".config/mfa-agent/config.toml", "default_profile = 'ops'\n");
    let shown = bash(&sandbox, &[], "mfa-agent doctor", "").stdout;
    assert!(shown.contains("ops's is bob's"), "{shown}");
    let shown = bash(&sandbox, &[("AWS_PROFILE", "dev")], "mfa-agent doctor", "").stdout;
    assert!(shown.contains("dev's is alice's"), "{shown}");
    // Of a role that the shell uses, the user behind it counts.
    let role = format!("dev,arn:aws:iam::{ACCOUNT}:role/ops");
    let shown = bash(&sandbox, &[("MFA_AGENT_PROFILE", &role)], "mfa-agent doctor", "").stdout;
    assert!(shown.contains("dev's is alice's"), "{shown}");
    assert!(shown.contains(&format!("✓ device            {} is alice's", sandbox.serial)), "{shown}");
}

#[test]
fn a_key_that_aws_does_not_know_or_whose_secret_is_another() {
    let sandbox = online();
    let section = |id: &str, secret: &str| {
        format!("[dev]\naws_access_key_id = {id}\naws_secret_access_key = {secret}\n")
    };
    let (id, secret) = ("AKIAIOSFODNN7EXAMPLE", &sandbox.alice.secret_access_key);
    sandbox.alice.add_key(id, secret);
    sandbox.simulator.deactivate_key(&sandbox.alice.access_key_id);
    let mended = mends_at_aws(&sandbox, "key", "AWS does not know the key …", "-", &section(id, secret));
    assert_eq!(mended, "error: mfa-agent keys import --profile dev --force");

    let wrong = section(id, &"x".repeat(40));
    sandbox.write(".aws/credentials", &wrong);
    mode(&sandbox.home().join(".aws/credentials"), 0o600);
    let mended = mends_at_aws(&sandbox, "key", "does not belong to the key …MPLE", "-", &section(id, secret));
    assert_eq!(mended, "error: mfa-agent keys import --profile dev --force");
}

#[test]
fn a_device_of_another_account_or_of_somebody_else() {
    let sandbox = online();
    let config = fs::read_to_string(sandbox.home().join(".aws/config")).unwrap();
    let named = |serial: &str| sandbox.write(".aws/config", &config.replace(&sandbox.serial, serial));
    let hint = "error: mfa-agent device add --profile dev";

    named("arn:aws:iam::999999999999:mfa/alice");
    let words =
        format!("is of account 999999999999, and the key of account {ACCOUNT}; alice has {}", sandbox.serial);
    assert_eq!(mends_at_aws(&sandbox, "device", &words, "", ""), hint);
    assert_eq!(fs::read_to_string(sandbox.home().join(".aws/config")).unwrap(), config);

    sandbox.simulator.user(ACCOUNT, "bob").device("bob");
    named(&format!("arn:aws:iam::{ACCOUNT}:mfa/bob"));
    let words = format!("is no device of alice's, who has {}", sandbox.serial);
    assert_eq!(mends_at_aws(&sandbox, "device", &words, "", ""), hint);
    assert_eq!(fs::read_to_string(sandbox.home().join(".aws/config")).unwrap(), config);

    // A role that names it itself is mended where it does.
    let other = format!("arn:aws:iam::{ACCOUNT}:mfa/bob");
    let role = format!(
        "[profile ops]\nsource_profile = dev\nrole_arn = arn:aws:iam::{ACCOUNT}:role/ops\nmfa_serial = {other}\n"
    );
    sandbox.write(".aws/config", &format!("{config}{role}"));
    let run = bash(&sandbox, &[], "mfa-agent doctor ops --json", "");
    let (_, _, hint) = report(&sandbox, &run).fault("device");
    assert_eq!(hint, format!("aws configure set mfa_serial {} --profile ops", sandbox.serial));
    assert_eq!(bash(&sandbox, &[], "eval \"$1\"", &hint).status, 0);
    let run = bash(&sandbox, &[], "mfa-agent doctor ops --json", "");
    assert_eq!(report(&sandbox, &run).wrong("device"), []);
}

/// Makes a device, and leaves it there.
fn half_done(sandbox: &Sandbox, name: &str) -> String {
    assert_eq!(sandbox.run(&["agent", "start"]).status, 0);
    let call = IamCall::CreateVirtualMfaDevice { name: name.to_owned() };
    let profile = Some("dev".to_owned());
    match sandbox.ask(Request::Iam { profile, call, signed: Signed::LongTerm, ask: Ask::Never }) {
        Reply::Iam { answer: IamAnswer::VirtualMfaDevice { serial, .. }, .. } => serial,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_device_that_is_not_there_or_was_never_enabled() {
    let sandbox = online();
    let bob = sandbox.simulator.user(ACCOUNT, "bob");
    sandbox.write(".aws/credentials", &format!("[dev]\n{}", key_of(&bob)));
    mode(&sandbox.home().join(".aws/credentials"), 0o600);
    sandbox.write(".aws/config", "[profile dev]\nregion = eu-central-1\n");
    let (state, what, hint) = asks_aws(&sandbox).fault("device");
    assert!(state == "error" && what == "bob has none that STS takes codes of", "{state}: {what}");
    assert_eq!(hint, "mfa-agent device add --profile dev");

    let serial = half_done(&sandbox, "bob");
    sandbox.write(".aws/config", &format!("[profile dev]\nregion = eu-central-1\nmfa_serial = {serial}\n"));
    let (state, what, hint) = asks_aws(&sandbox).fault("device");
    assert!(state == "error" && what.ends_with("was made and never enabled"), "{state}: {what}");
    // The place of a person: AWS lets the first one be deleted with MFA alone, so there is a second one.
    let mut client = bash_in_background(&sandbox, &format!("{hint} --stdin --yes"));
    let mut line = String::new();
    BufReader::new(client.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
    assert!(line.starts_with("otpauth://totp/"), "{line}");
    let made = format!("{serial}-2");
    let codes = format!("{}\n{}\n", sandbox.simulator.code_at(&made, -1), sandbox.simulator.code(&made));
    client.stdin.take().unwrap().write_all(codes.as_bytes()).unwrap();
    assert!(client.wait().unwrap().success());

    let code = sandbox.simulator.code_at(&made, 1);
    assert_eq!(sandbox.run(&["login", "dev", "--code", &code]).status, 0);
    let mended = mends_at_aws(&sandbox, "device", "/bob was made and never enabled", "--yes", "");
    assert_eq!(mended, "warning: mfa-agent device remove bob --profile dev");
    assert_eq!(sandbox.simulator.devices().iter().filter(|(device, _)| device.contains("/bob")).count(), 1);
}

#[test]
fn a_policy_that_is_not_in_force() {
    let sandbox = online();
    sandbox.alice.must_use_mfa(false);
    sandbox.log_in("dev");
    let words = "not in force: alice's key alone, without MFA, may call iam:ListAccessKeys";
    let mended = mends_at_aws(&sandbox, "policy", words, "--yes", "");
    assert_eq!(mended, "warning: mfa-agent policy attach --profile dev");

    let sandbox = online();
    sandbox.alice.must_use_mfa(false);
    sandbox.alice.may_do_everything(false);
    let (state, what, hint) = asks_aws(&sandbox).fault("policy");
    assert!(state == "warning" && what.starts_with("nothing denies alice anything"), "{state}: {what}");
    assert_eq!(hint, "mfa-agent policy check --profile dev");
}

#[test]
fn a_clock_that_the_answers_themselves_tell_to_be_wrong() {
    let sandbox = online();
    sandbox.simulator.set_offset(-120);
    let (state, what, hint) = asks_aws(&sandbox).fault("clock");
    assert!(state == "warning" && what.starts_with("your clock is 2m ahead of AWS"), "{state}: {what}");
    bash(&sandbox, &[], &format!("{HELPERS}\neval \"$1\""), &hint);
    assert_eq!(fs::read_to_string(sandbox.home().join("done")).unwrap(), "set-ntp true\n");
    sandbox.simulator.set_offset(0);
    assert_eq!(asks_aws(&sandbox).wrong("clock"), []);
}

#[test]
fn an_aws_that_is_not_reached_or_says_nothing_is_one_doubt() {
    let mut sandbox = online();
    sandbox.simulator.fault(Fault::Hang);
    let begun = Instant::now();
    let found = asks_aws(&sandbox);
    // Generous: the limit is five seconds, where the calls themselves have fifteen.
    assert!(begun.elapsed() < Duration::from_secs(12), "{:?}", begun.elapsed());
    let (state, what, _) = found.fault("aws");
    assert!(state == "warning" && what.starts_with("AWS did not answer in time"), "{state}: {what}");
    for check in ["key", "device", "policy", "clock"] {
        assert_eq!(found.wrong(check), [], "nothing is said of what is not known");
    }
    sandbox.simulator.clear_faults();
    sandbox.simulator.fault(Fault::Hang.on("ListUsers"));
    let found = asks_aws(&sandbox);
    assert_eq!((found.wrong("aws").len(), found.wrong("policy").len()), (1, 0), "{found:?}");

    // Nobody listens there.
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    sandbox.set("AWS_ENDPOINT_URL", format!("http://{free}"));
    let found = asks_aws(&sandbox);
    let (state, what, hint) = found.fault("aws");
    assert!(state == "warning" && what.contains("cannot reach"), "{state}: {what}");
    assert_eq!(hint, "mfa-agent status shows the endpoint and the proxy that the agent runs with");
    assert_eq!(found.wrong("profiles"), [], "the rest is looked at");
}

#[test]
fn a_runtime_folder_or_a_socket_that_is_none_of_ours() {
    let sandbox = healthy();
    fs::create_dir(sandbox.runtime()).unwrap();
    mode(&sandbox.runtime(), 0o755);
    assert!(mends(&sandbox, &[], "socket", "open to others (mode 755)").starts_with("error: chmod 700 "));

    let sandbox = healthy();
    fs::write(sandbox.runtime(), "").unwrap();
    assert!(mends(&sandbox, &[], "socket", "is no real folder").starts_with("error: mv "));

    let sandbox = healthy();
    let elsewhere = [("XDG_RUNTIME_DIR", "run")];
    assert_eq!(mends(&sandbox, &elsewhere, "socket", "not an absolute path"), "error: unset XDG_RUNTIME_DIR");

    let sandbox = healthy();
    fs::create_dir(sandbox.runtime()).unwrap();
    mode(&sandbox.runtime(), 0o700);
    fs::write(sandbox.socket(), "").unwrap();
    assert!(mends(&sandbox, &[], "agent", "in the place of the agent's socket").starts_with("error: mv "));
}

#[test]
fn an_agent_that_is_not_there() {
    let sandbox = healthy();
    let gone = [("MFA_AGENT_SOCK", "/nowhere/sock")];
    assert_eq!(mends(&sandbox, &gone, "agent", "no agent at /nowhere/sock"), "error: unset MFA_AGENT_SOCK");

    // Half an installation, and what can be said without an agent is said.
    let client = sandbox.home().join("bin/mfa-agent");
    fs::create_dir_all(client.parent().unwrap()).unwrap();
    copy(Path::new(CLIENT), &client);
    copy(Path::new(env!("CARGO_BIN_EXE_mfa-agent-cli")), &client.with_file_name("mfa-agent-cli"));
    mode(&sandbox.home().join(".aws/credentials"), 0o644);
    let found = doctor(&sandbox, &[("AWS_DEFAULT_PROFILE", "dev")]);
    let (_, what, hint) = found.fault("agent");
    assert!(what.ends_with("bin/mfa-agentd is not there"), "{what}");
    assert_eq!(hint, "install mfa-agent, mfa-agent-cli and mfa-agentd into the same folder");
    assert!(found.fault("credentials file").2.starts_with("chmod 600 "));
    assert!(found.fault("variables").1.starts_with("AWS_DEFAULT_PROFILE is set without"));
}

#[test]
fn a_program_that_was_replaced() {
    let mut sandbox = healthy();
    let folder = sandbox.home().join("bin");
    install(&folder);
    sandbox.set("AWS_ENDPOINT_URL", sandbox.simulator.endpoint());
    let run = bash(&sandbox, &[], "mfa-agent login dev --code $1", &sandbox.code());
    assert_eq!(run.status, 0, "{run:?}");
    copy(Path::new(env!("CARGO_BIN_EXE_mfa-agentd")), &folder.join("new"));
    let notice = "its program was replaced since it started: mfa-agent agent restart\n";
    assert!(!sandbox.run(&["status"]).stdout.contains(notice));
    fs::rename(folder.join("new"), folder.join("mfa-agentd")).unwrap();
    assert!(sandbox.run(&["status"]).stdout.contains(notice));
    let mended = mends(&sandbox, &[], "program", "was replaced since it started");
    assert_eq!(mended, "warning: mfa-agent agent restart");
    assert_eq!(sandbox.run(&["env", "dev", "--no-prompt"]).status, 0, "the session is still held");
}

#[test]
fn memory_that_may_be_swapped_out() {
    let sandbox = healthy();
    let limited = ["prlimit", "--memlock=0:0", env!("CARGO_BIN_EXE_mfa-agentd")];
    // Root may lock what it likes, unless that is taken away.
    let mut agent = if rustix::process::geteuid().is_root() {
        let unprivileged = ["--bounding-set", "-ipc_lock"].into_iter().chain(limited);
        sandbox.command(tool("setpriv"), unprivileged).spawn().unwrap()
    } else {
        sandbox.command(tool("prlimit"), &limited[1..]).spawn().unwrap()
    };
    wait_until("it listens", || sandbox.socket().exists());
    let mended = mends(&sandbox, &[], "memory", "may be swapped out");
    assert_eq!(mended, "warning: ulimit -l 64 && mfa-agent agent restart");
    agent.wait().unwrap();
}

#[test]
fn a_locked_agent() {
    let mut sandbox = healthy();
    sandbox.set("AWS_ENDPOINT_URL", sandbox.simulator.endpoint());
    sandbox.log_in("dev");
    assert_eq!(sandbox.run(&["lock"]).status, 0);
    let (state, _, hint) = doctor(&sandbox, &[]).fault("lock");
    assert_eq!((state.as_str(), hint.as_str()), ("warning", "mfa-agent unlock"));
    let run = bash(&sandbox, &[], "eval \"$1\"", &format!("{hint} --code {}", sandbox.code()));
    assert_eq!(run.status, 0, "{run:?}");
    assert_eq!(doctor(&sandbox, &[]).wrong("lock"), []);
}

#[test]
fn a_clock_that_is_wrong() {
    let mut sandbox = healthy();
    sandbox.set("AWS_ENDPOINT_URL", sandbox.simulator.endpoint());
    // Codes only ever go forward.
    sandbox.simulator.set_offset(-120);
    let log_in = || sandbox.run(&["login", "dev", "--force", "--code", &sandbox.code()]);
    log_in();
    let (state, what, hint) = doctor(&sandbox, &[]).fault("clock");
    assert!(state == "warning" && what.starts_with("your clock is 2m ahead of AWS"), "{state}: {what}");
    bash(&sandbox, &[], &format!("{HELPERS}\neval \"$1\""), &hint);
    assert_eq!(fs::read_to_string(sandbox.home().join("done")).unwrap(), "set-ntp true\n");
    sandbox.simulator.set_offset(0);
    assert_eq!(log_in().status, 0);
    assert_eq!(doctor(&sandbox, &[]).wrong("clock"), []);
}

#[test]
fn a_configuration_of_ours_that_is_not_understood() {
    let sandbox = healthy();
    sandbox.write(".config/mfa-agent/config.toml", "duration = '8h'\ndefault_profil = 'dev'\n");
    let mended = mends(&sandbox, &[], "config.toml", "unknown key \"default_profil\"");
    assert!(mended.starts_with("error: vi +2 "), "{mended}");
}

#[test]
fn files_that_others_may_open() {
    let sandbox = healthy();
    mode(&sandbox.home().join(".aws/credentials"), 0o644);
    let mended = mends(&sandbox, &[], "credentials file", "others may open it (mode 644)");
    assert!(mended.starts_with("error: chmod 600 "), "{mended}");
    mode(&sandbox.home().join(".aws/config"), 0o666);
    let mended = mends(&sandbox, &[], "config file", "others may write commands into");
    assert!(mended.starts_with("error: chmod go-w "), "{mended}");
    // A file of settings may be read by all, unless a key stands there.
    let config = fs::read_to_string(sandbox.home().join(".aws/config")).unwrap();
    sandbox.write(".aws/config", &format!("{config}{}", key_of(&sandbox.alice)));
    let mended = mends(&sandbox, &[], "config file", "has keys in it, and others may open it (mode 644)");
    assert!(mended.starts_with("error: chmod 600 "), "{mended}");
}

#[test]
fn a_file_that_is_not_understood() {
    let sandbox = healthy();
    let config = fs::read_to_string(sandbox.home().join(".aws/config")).unwrap();
    sandbox.write(".aws/config", &format!("{config}[profile other\n"));
    let mended = mends(&sandbox, &[], "profiles", ".aws/config:4: ");
    assert!(mended.starts_with("error: vi +4 "), "{mended}");
}

/// Finds that a key is missing, and gives it to the command that takes one: the section, in the place of a person.
#[track_caller]
fn imports_key(sandbox: &Sandbox, words: &str) {
    let (state, what, hint) = doctor(sandbox, &[]).fault("profiles");
    assert!(state == "error" && what.contains(words), "{state}: {what}");
    assert_eq!(hint, "mfa-agent keys import --profile dev");
    sandbox.write("section", &format!("[dev]\n{}", key_of(&sandbox.alice)));
    let run = bash(sandbox, &[], "eval \"$1 -\" < ~/section", &hint);
    assert_eq!(run.status, 0, "{run:?}");
    let after = doctor(sandbox, &[]);
    assert_eq!((after.wrong("profiles"), after.wrong("credentials file")), (vec![], vec![]));
}

#[test]
fn profiles_without_a_key_or_with_a_wrong_device() {
    let sandbox = healthy();
    sandbox.write(".aws/credentials", "[dev]\n");
    mode(&sandbox.home().join(".aws/credentials"), 0o600);
    imports_key(&sandbox, "no access key in [dev]");

    let user = sandbox.serial.replace(":mfa/", ":user/");
    let config = fs::read_to_string(sandbox.home().join(".aws/config")).unwrap();
    sandbox.write(".aws/config", &config.replace(&sandbox.serial, &user));
    let mended = mends(&sandbox, &[], "profiles", "is the user");
    assert_eq!(mended, format!("error: aws configure set mfa_serial {} --profile dev", sandbox.serial));
    let config = fs::read_to_string(sandbox.home().join(".aws/config")).unwrap();
    assert!(config.contains(&format!("mfa_serial = {}\n", sandbox.serial)), "{config}");
}

#[test]
fn an_empty_home() {
    let sandbox = healthy();
    fs::remove_dir_all(sandbox.home().join(".aws")).unwrap();
    imports_key(&sandbox, "no profile has an access key");
}

#[test]
fn an_endpoint_that_is_not_awss() {
    let sandbox = healthy();
    let elsewhere = [("AWS_ENDPOINT_URL", "https://sts.example.com")];
    let mended = mends(&sandbox, &elsewhere, "endpoint", "https://sts.example.com, which is not AWS");
    assert_eq!(mended, "warning: unset AWS_ENDPOINT_URL && mfa-agent agent restart");
}

#[test]
fn variables_that_win_over_ours() {
    let key = ("AWS_ACCESS_KEY_ID", "ASIAOTHEROTHEROTHER1");
    let secret = ("AWS_SECRET_ACCESS_KEY", "x");
    let token = ("AWS_SESSION_TOKEN", "x");
    let sandbox = healthy();
    for (variables, words, hint) in [
        (
            &[key, secret, token, ("AWS_SECURITY_TOKEN", "old")][..],
            "AWS_SECURITY_TOKEN is set",
            "unset AWS_SECURITY_TOKEN",
        ),
        (
            &[key],
            "one is set without the other",
            "unset AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY AWS_SESSION_TOKEN",
        ),
        (&[("AWS_PROFILE", "gone")], "AWS_PROFILE is gone", "unset AWS_PROFILE"),
        (
            &[key, secret, token, ("AWS_PROFILE", "dev")],
            "SDK for JavaScript passes over",
            "unset AWS_PROFILE",
        ),
        (&[("AWS_PROFILE", "dev"), ("AWS_DEFAULT_PROFILE", "other")], "differ", "unset AWS_DEFAULT_PROFILE"),
        (
            &[("AWS_DEFAULT_PROFILE", "dev")],
            "without AWS_PROFILE",
            "export AWS_PROFILE=\"$AWS_DEFAULT_PROFILE\"",
        ),
        (
            &[key, secret, token, ("AWS_CONTAINER_CREDENTIALS_FULL_URI", "http://127.0.0.1:1/")],
            "AWS_CONTAINER_CREDENTIALS_FULL_URI is set",
            "unset AWS_CONTAINER_CREDENTIALS_RELATIVE_URI AWS_CONTAINER_CREDENTIALS_FULL_URI",
        ),
    ] {
        assert_eq!(mends(&sandbox, variables, "variables", words), format!("warning: {hint}"));
    }
}

#[test]
fn an_agent_that_reads_other_files() {
    let sandbox = healthy();
    assert_eq!(sandbox.run(&["agent", "start"]).status, 0);
    sandbox.write("other", "[profile dev]\n");
    let other = sandbox.home().join("other");
    let elsewhere = [("AWS_CONFIG_FILE", other.to_str().unwrap())];
    let mended = mends(&sandbox, &elsewhere, "variables", "is another than the agent reads");
    assert_eq!(mended, "warning: mfa-agent agent restart");
}

#[test]
fn what_other_tools_left() {
    let sandbox = healthy();
    let vault = [("AWS_VAULT", "dev")];
    let mended = mends(&sandbox, &vault, "other tools", "aws-vault gave this shell dev");
    assert!(mended.starts_with("warning: unset AWS_VAULT AWS_ACCESS_KEY_ID "), "{mended}");
    let awsume = [("AWSUME_PROFILE", "dev"), ("AWSUME_COMMAND", "dev")];
    let mended = mends(&sandbox, &awsume, "other tools", "awsume gave this shell dev");
    assert!(mended.starts_with("warning: unset AWSUME_PROFILE "), "{mended}");

    let key = key_of(&sandbox.alice);
    sandbox
        .write(".aws/credentials", &format!("[dev-long-term]\n{key}\n[dev]\n{key}aws_session_token = x\n"));
    let (state, what, hint) = doctor(&sandbox, &[]).fault("leftovers");
    assert!(state == "warning" && what.contains("as aws-mfa writes it"), "{state}: {what}");
    assert!(hint.contains("take the section out by hand: vi "), "{hint}");
    sandbox.write(".aws/credentials", &format!("[dev-long-term]\n{key}"));
    assert_eq!(doctor(&sandbox, &[]).wrong("leftovers"), []);
}

#[test]
fn a_hook_that_no_rc_file_loads() {
    let sandbox = healthy();
    sandbox.write(".bashrc", "# mfa-agent init bash\n");
    let mended = mends(&sandbox, &[], "hook", ".bashrc does not load it");
    assert!(mended.starts_with("warning: echo 'eval \"$(mfa-agent init bash)\"' >> "), "{mended}");
    let loaded = fs::read_to_string(sandbox.home().join(".bashrc")).unwrap();
    assert_eq!(loaded, "# mfa-agent init bash\neval \"$(mfa-agent init bash)\"\n");
}

#[test]
fn a_shell_with_the_hook_says_so_by_itself() {
    for shell in SHELLS {
        let sandbox = healthy();
        let session = Session::start(&sandbox, shell);
        let shown = session.run("mfa-agent doctor dev --offline");
        assert!(shown.contains("loaded, here and by "), "{shell:?}: {shown}");
        assert!(!session.environment().contains_key("MFA_AGENT_HOOK"), "{shell:?}");
        let shown = session.run("mfa-agent use doctor");
        assert!(shown.contains("no profile doctor"), "{shell:?}: a profile may be called so: {shown}");
        let shown = session.run("env MFA_AGENT_HOOK= mfa-agent doctor dev --offline");
        assert!(shown.contains("loads it, but this shell has not"), "{shell:?}: {shown}");
    }
}

#[test]
fn a_desktop_that_cannot_show_or_ask() {
    let mut sandbox = healthy();
    // It runs since before there was a desktop.
    assert_eq!(sandbox.run(&["agent", "start"]).status, 0);
    sandbox.set("DISPLAY", ":99");
    let bus = Bus::start(&mut sandbox);
    let (_, what, hint) = doctor(&sandbox, &[]).fault("notifications");
    assert!(what.contains("no session bus"), "{what}");
    assert_eq!(hint, "mfa-agent agent restart");
    assert_eq!(bash(&sandbox, &[], "eval \"$1\"", &hint).status, 0);
    let (_, what, hint) = doctor(&sandbox, &[]).fault("notifications");
    assert!(what.ends_with("no notification server"), "{what}");
    assert_eq!(hint, "dunst &");
    let _server = bus.server("body");
    assert_eq!(doctor(&sandbox, &[]).wrong("notifications"), []);

    let programs = sandbox.home().join("bin");
    fs::create_dir_all(&programs).unwrap();
    // Nothing of this machine's that asks.
    for program in ["sed", "mkdir", "chmod", "cat", "sh"] {
        std::os::unix::fs::symlink(tool(program), programs.join(program)).unwrap();
    }
    let client = Path::new(CLIENT).parent().unwrap().to_owned();
    sandbox.set("PATH", std::env::join_paths([programs, client]).unwrap());
    assert_eq!(sandbox.run(&["agent", "restart"]).status, 0);
    let mended = mends(&sandbox, &[], "prompter", "neither pinentry nor zenity nor kdialog");
    assert_eq!(mended, "warning: sudo apt install zenity && mfa-agent agent restart");
}

#[test]
fn nobody_to_tell_when_to_lock() {
    let mut sandbox = healthy();
    let bus = Bus::system(&mut sandbox);
    sandbox.write(".config/mfa-agent/config.toml", "lock_on = ['suspend']\n");
    let (state, what, hint) = doctor(&sandbox, &[]).fault("lock_on");
    assert!(state == "error" && what.ends_with("no systemd-logind"), "{state}: {what}");
    bash(&sandbox, &[], &format!("{HELPERS}\neval \"$1\""), &hint);
    assert_eq!(fs::read_to_string(sandbox.home().join("done")).unwrap(), "start systemd-logind\n");
    let _logind = bus.logind();
    assert_eq!(doctor(&sandbox, &[]).wrong("lock_on"), []);
}
