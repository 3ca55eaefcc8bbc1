//! Starting the agent where none runs.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use crate::stub::{CREDENTIALS, Stub, client, end, ended};

/// The client beside an agent's program that is this shell code.
fn beside(stub: &Stub, program: &str) -> Command {
    command(stub, &client_beside(stub, Some(program)))
}

fn command(stub: &Stub, client: &Path) -> Command {
    let mut command = Command::new("setsid");
    command
        .arg("--wait")
        .arg(client)
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap())
        .env("XDG_RUNTIME_DIR", stub.folder.path())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

fn client_beside(stub: &Stub, program: Option<&str>) -> PathBuf {
    let folder = stub.folder.path().join("bin");
    std::fs::create_dir_all(&folder).unwrap();
    let ours = folder.join("mfa-agent");
    std::fs::copy(client(), &ours).unwrap();
    if let Some(program) = program {
        let agent = folder.join("mfa-agentd");
        std::fs::write(&agent, format!("#!/bin/sh\n{program}\n")).unwrap();
        std::fs::set_permissions(&agent, std::fs::Permissions::from_mode(0o755)).unwrap();
    }
    ours
}

fn run(stub: &Stub, program: &str) -> (i32, String, String) {
    let output: Output = beside(stub, program).args(["env", "dev"]).output().unwrap();
    ended(&output)
}

#[test]
fn it_is_started_from_our_own_folder_and_answers() {
    let stub = Stub::listening_at("hidden");
    let program = "test \"$*\" = --report || exit 1
        cd $XDG_RUNTIME_DIR/mfa-agent && mv hidden sock && echo '{\"listening\":{\"pid\":7}}'";
    let child = beside(&stub, program).args(["env", "dev", "--shell", "posix"]).spawn().unwrap();
    drop(stub.expect("credentials").reply(CREDENTIALS));
    let (status, stdout, stderr) = end(child);
    assert_eq!((status, stderr.as_str()), (0, ""));
    assert!(stdout.starts_with("export "), "{stdout}");
    let mode = stub.folder.path().join("mfa-agent/start.lock").metadata().unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[test]
fn why_it_did_not_start_is_told() {
    let stub = Stub::listening_at("hidden");
    let failed = "echo '{\"failed\":{\"problem\":\"no locked memory\",\"hint\":\"ulimit -l 64\"}}'";
    let words = "mfa-agent: the agent did not start: no locked memory\nhint: ulimit -l 64\n";
    assert_eq!(run(&stub, failed), (6, "false\n".to_owned(), words.to_owned()));
    let words = "mfa-agent: the agent ended before it listened\nhint: mfa-agent agent run shows why\n";
    assert_eq!(run(&stub, "exit 1"), (6, "false\n".to_owned(), words.to_owned()));
    assert_eq!(run(&stub, "echo hello"), (6, "false\n".to_owned(), words.to_owned()));
}

#[test]
fn an_agent_that_is_not_installed_is_named() {
    let stub = Stub::listening_at("hidden");
    let client = client_beside(&stub, None);
    let output = Command::new(&client)
        .args(["agent", "start"])
        .env_clear()
        .env("XDG_RUNTIME_DIR", stub.folder.path())
        .output()
        .unwrap();
    let words = format!(
        "mfa-agent: {}d is not there\nhint: install mfa-agent, mfa-agent-cli and mfa-agentd into the same folder\n",
        client.display()
    );
    assert_eq!(ended(&output), (6, String::new(), words));
}

#[test]
fn many_clients_start_one_agent() {
    let stub = Stub::listening_at("hidden");
    let program = "cd $XDG_RUNTIME_DIR/mfa-agent; echo started >>count; mv hidden sock && echo '{\"listening\":{\"pid\":7}}'";
    let client = client_beside(&stub, Some(program));
    let children: Vec<_> = (0..8)
        .map(|_| {
            command(&stub, &client).args(["env", "dev", "--no-prompt", "--shell", "posix"]).spawn().unwrap()
        })
        .collect();
    for _ in &children {
        drop(stub.call().reply(CREDENTIALS));
    }
    for child in children {
        assert_eq!(end(child).0, 0);
    }
    assert_eq!(std::fs::read_to_string(stub.folder.path().join("mfa-agent/count")).unwrap(), "started\n");
}

#[test]
fn the_folder_is_made_for_us_alone() {
    let stub = Stub::new();
    let home = tempfile::tempdir().unwrap();
    let program = "echo '{\"failed\":{\"problem\":\"as told\",\"hint\":\"\"}}'";
    let output = beside(&stub, program)
        .args(["agent", "start"])
        .env_remove("XDG_RUNTIME_DIR")
        .env("HOME", home.path())
        .output()
        .unwrap();
    let (status, _, stderr) = ended(&output);
    assert_eq!(status, 6);
    assert!(stderr.starts_with("mfa-agent: the agent did not start: as told\n"), "{stderr}");
    if !std::path::Path::new(&format!("/run/user/{}", rustix::process::geteuid())).exists() {
        let made =
            std::fs::read_dir(home.path().join(".local/state/mfa-agent")).unwrap().next().unwrap().unwrap();
        assert_eq!(made.metadata().unwrap().permissions().mode() & 0o777, 0o700);
    }
}
