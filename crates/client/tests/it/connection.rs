//! Agents that are not there, not ours, or not sane.

use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;
use std::process::{Command, Stdio};

use crate::stub::{CREDENTIALS, Stub, client, end, ended};

fn told(stub: &Stub, bytes: &[u8]) -> (i32, String, String) {
    let child = stub.client("env dev --no-prompt").spawn().unwrap();
    drop(stub.call().send(bytes));
    end(child)
}

#[test]
fn an_answer_that_is_none_is_an_error() {
    let stub = Stub::new();
    let long = vec![b'x'; 70_000];
    let cases: [(&[u8], &str); 6] = [
        (b"", "the agent went away before it answered\nhint: run the same again"),
        (b"{\"credentials\":", "the agent went away before it answered\nhint: run the same again"),
        (
            b"hello\n",
            "the agent's answer is not understood: no valid message (syntax at column 1)\nhint: mfa-agent agent restart",
        ),
        (
            b"{\"opened\":{}}\n",
            "the agent's answer is not understood: no valid message (unknown or missing field at column 9)\nhint: mfa-agent agent restart",
        ),
        (
            b"{\"stopping\":{\"sessions\":0,\"pid\":1}}\n",
            "the agent's answer does not belong to the question\nhint: mfa-agent agent restart",
        ),
        (&long, "the agent's answer is longer than an answer can be\nhint: mfa-agent agent restart"),
    ];
    for (bytes, words) in cases {
        assert_eq!(told(&stub, bytes), (6, "false\n".to_owned(), format!("mfa-agent: {words}\n")));
    }
}

#[test]
fn an_answer_in_pieces_is_put_together() {
    let stub = Stub::new();
    let child = stub.client("env dev --shell posix").spawn().unwrap();
    let long = "x".repeat(20_000);
    let reply = CREDENTIALS.replace("\"session_token\":\"", &format!("\"session_token\":\"{long}"));
    let mut call = stub.call();
    for piece in reply.as_bytes().chunks(777) {
        call = call.send(piece);
    }
    drop(call.send(b"\nmore that nobody reads"));
    let (status, stdout, stderr) = end(child);
    assert_eq!((status, stderr.as_str()), (0, ""));
    assert!(stdout.contains(&format!("export AWS_SESSION_TOKEN='{long}Rk9P/b+r=';\n")));
}

#[test]
fn nothing_is_sent_to_another_users_agent() {
    if !rustix::process::geteuid().is_root() {
        // Only root can run the client as another user.
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    let program = folder.path().join("client");
    // By another process: one that another test starts meanwhile would inherit the file, open for writing.
    assert!(Command::new("cp").args([client(), program.as_path()]).status().unwrap().success());
    let socket = folder.path().join("sock");
    let listener = UnixListener::bind(&socket).unwrap();
    std::fs::set_permissions(&socket, std::fs::Permissions::from_mode(0o777)).unwrap();
    let child = Command::new("setpriv")
        .args(["--reuid=65534", "--clear-groups"])
        .arg(&program)
        .args(["env", "dev"])
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap())
        .env("MFA_AGENT_SOCK", &socket)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let (mut stream, _) = listener.accept().unwrap();
    let mut heard = Vec::new();
    std::io::Read::read_to_end(&mut stream, &mut heard).unwrap();
    let words = format!(
        "mfa-agent: the agent at {} is run by uid 0, not by uid 65534\nhint: point MFA_AGENT_SOCK or XDG_RUNTIME_DIR to an agent of your own, or unset them\n",
        socket.display()
    );
    assert_eq!(end(child), (6, "false\n".to_owned(), words));
    assert!(heard.is_empty(), "{heard:?}");
}

#[test]
fn where_the_socket_is_overridden_nothing_is_started() {
    let stub = Stub::new();
    let elsewhere = stub.folder.path().join("elsewhere");
    let output = stub.client("login dev").env("MFA_AGENT_SOCK", &elsewhere).output().unwrap();
    let words = format!(
        "mfa-agent: no agent at {}, which MFA_AGENT_SOCK names; mfa-agent agent start begins one there\nhint: unset MFA_AGENT_SOCK\n",
        elsewhere.display()
    );
    assert_eq!(ended(&output), (6, String::new(), words));
}

#[test]
fn a_file_in_the_sockets_place_is_named() {
    let stub = Stub::new();
    std::fs::remove_file(stub.socket()).unwrap();
    std::fs::write(stub.socket(), "").unwrap();
    let (status, stdout, stderr) = ended(&stub.client("status").output().unwrap());
    let words =
        format!("mfa-agent: {0} is in the place of the agent's socket, and is none", stub.socket().display());
    assert_eq!((status, stdout.as_str()), (6, ""));
    assert!(stderr.starts_with(&words), "{stderr}");
}

#[test]
fn a_folder_open_to_others_is_refused_and_left_alone() {
    let stub = Stub::new();
    let folder = stub.folder.path().join("mfa-agent");
    std::fs::set_permissions(&folder, std::fs::Permissions::from_mode(0o770)).unwrap();
    let (status, _, stderr) = ended(&stub.client("status").output().unwrap());
    let words =
        format!("mfa-agent: the runtime folder {} is open to others (mode 770)\nhint: ", folder.display());
    assert_eq!(status, 6);
    assert!(stderr.starts_with(&words), "{stderr}");
    assert_eq!(folder.metadata().unwrap().permissions().mode() & 0o777, 0o770);
    assert!(stub.is_quiet());
}

#[test]
fn a_closed_stdout_gets_no_answer_mixed_into_the_conversation() {
    let stub = Stub::new();
    let child = stub.shell("client env dev --no-prompt --shell posix <&- >&-; echo $? >&2").spawn().unwrap();
    let call = stub.expect("credentials").reply(CREDENTIALS);
    let (_, _, stderr) = end(child);
    assert!(
        stderr.starts_with("mfa-agent: cannot write to stdout: ") && stderr.ends_with("\n1\n"),
        "{stderr}"
    );
    assert!(!call.is_open());
}

#[test]
fn a_full_disk_is_an_error_and_no_panic() {
    let stub = Stub::new();
    let child = stub.shell("client env dev --no-prompt --shell posix >/dev/full").spawn().unwrap();
    let _call = stub.call().reply(CREDENTIALS);
    let words = "mfa-agent: cannot write to stdout: No space left on device (os error 28)\n";
    assert_eq!(end(child), (1, String::new(), words.to_owned()));
}
