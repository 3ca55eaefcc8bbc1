//! A client that goes away in the middle: what only it wanted to know ends with it, and a change of AWS's does not.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use protocol::{Ask, Envelope, IamCall, PROTOCOL, Refusal, Reply, Request, Signed, frame};

use crate::support::{ACCOUNT, Run, Sandbox, key_of, wait_until};

/// A person with a session, whose calls may take a minute.
fn patient() -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.write(".config/mfa-agent/config.toml", "call_timeout = '1m'\n");
    sandbox.log_in("dev");
    sandbox
}

fn start(sandbox: &Sandbox, arguments: &[&str]) -> Child {
    sandbox.client(arguments).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap()
}

/// A request of IAM's that waits for a code, on a connection of its own.
fn in_line(sandbox: &Sandbox, call: IamCall) -> UnixStream {
    let profile = Some("bob".to_owned());
    let request = Request::Iam { profile, call, signed: Signed::Session, ask: Ask::Wait };
    let mut stream = UnixStream::connect(sandbox.socket()).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    stream.write_all(&frame::encode(&Envelope { protocol: PROTOCOL, request }).unwrap()).unwrap();
    stream
}

#[track_caller]
fn reply(stream: UnixStream) -> Reply {
    let mut line = Vec::new();
    let read = BufReader::new(stream).read_until(b'\n', &mut line);
    frame::decode(&line).unwrap_or_else(|error| panic!("{read:?}: {error}"))
}

#[test]
fn a_restart_does_not_wait_for_calls_that_only_look_and_whose_client_is_gone() {
    for (action, command) in [
        ("ListAccessKeys", &["keys", "list", "--used"][..]),
        ("ListMFADevices", &["device", "list", "--profile", "dev"]),
        ("GetFederationToken", &["console", "dev", "--print"]),
    ] {
        let sandbox = patient();
        let hold = sandbox.simulator.hold(action);
        let mut client = start(&sandbox, command);
        assert!(sandbox.simulator.wait_for_calls(action, 1, Duration::from_secs(20)), "{action}");
        client.kill().unwrap();
        client.wait().unwrap();
        let (old, start) = (sandbox.agent_pid(), Instant::now());
        let run = sandbox.run(&["agent", "restart"]);
        assert_eq!(run.status, 0, "{run:?}");
        // The call is on its way all the time.
        assert!(start.elapsed() < Duration::from_secs(15), "{action}: {:?}", start.elapsed());
        assert_ne!(sandbox.agent_pid(), old);
        hold.release();
        assert_eq!(sandbox.run(&["env", "dev", "--no-prompt"]).status, 0);
    }
}

#[test]
fn a_call_that_makes_a_key_goes_to_its_end_without_its_client_and_before_a_restart() {
    let sandbox = patient();
    let hold = sandbox.simulator.hold("CreateAccessKey");
    let mut client = start(&sandbox, &["keys", "rotate", "dev"]);
    assert!(sandbox.simulator.wait_for_calls("CreateAccessKey", 1, Duration::from_secs(20)));
    client.kill().unwrap();
    client.wait().unwrap();
    let old = sandbox.agent_pid();
    let restarting = start(&sandbox, &["agent", "restart"]);
    // The agent goes on, and looks at its log in between.
    for _ in 0..20 {
        assert!(!sandbox.run(&["agent", "log"]).stdout.contains("iam:CreateAccessKey"));
        assert_eq!(sandbox.agent_pid(), old);
    }
    hold.release();
    let run: Run = restarting.wait_with_output().unwrap().into();
    assert_eq!(run.status, 0, "{run:?}");
    assert_ne!(sandbox.agent_pid(), old);
    let log = sandbox.run(&["agent", "log"]).stdout;
    assert!(log.contains("iam:CreateAccessKey for dev: done"), "{log}");
    assert_eq!(sandbox.alice.keys().len(), 2);
    assert_eq!(sandbox.simulator.calls_of("CreateAccessKey").len(), 1);
}

#[test]
fn who_waits_with_a_call_for_a_code_leaves_the_line_with_its_client_and_comes_back_after_a_restart() {
    let sandbox = Sandbox::new();
    // Something to hand over: else a restart begins anew.
    sandbox.log_in("dev");
    let bob = sandbox.simulator.user(ACCOUNT, "bob");
    let serial = bob.device("bob");
    let (alices, bobs) = (key_of(&sandbox.alice), key_of(&bob));
    sandbox.write(".aws/credentials", &format!("[dev]\n{alices}[bob]\n{bobs}mfa_serial = {serial}\n"));
    let asked = sandbox.terminal(&["env", "bob"]);
    asked.wait_for("MFA code for bob");
    for call in [IamCall::ListAccessKeys { user: None }, IamCall::CreateAccessKey] {
        let waiting = in_line(&sandbox, call.clone());
        sandbox.wait_for_line(2);
        drop(waiting);
        sandbox.wait_for_line(1);
        // It is asked to come again, and the restart is not kept waiting.
        let waiting = in_line(&sandbox, call);
        sandbox.wait_for_line(2);
        let start = Instant::now();
        assert_eq!(sandbox.run(&["agent", "restart"]).status, 0);
        assert!(start.elapsed() < Duration::from_secs(15), "{:?}", start.elapsed());
        let told = reply(waiting);
        assert!(matches!(told, Reply::Refused(Refusal::Restarting)), "{told:?}");
        sandbox.wait_for_line(1);
    }
    assert_eq!(sandbox.simulator.calls_of("CreateAccessKey").len(), 0);
    // With the code the call is made, once.
    let waiting = in_line(&sandbox, IamCall::CreateAccessKey);
    sandbox.wait_for_line(2);
    asked.type_in(&sandbox.simulator.unused_code(&serial).unwrap());
    assert_eq!(asked.finish().status, 0);
    let told = reply(waiting);
    assert!(matches!(told, Reply::Iam { .. }), "{told:?}");
    assert_eq!(sandbox.simulator.calls_of("CreateAccessKey").len(), 1);
}

#[test]
fn a_code_of_aws_mfa_goes_to_its_end_without_its_client() {
    let sandbox = Sandbox::new();
    let key = key_of(&sandbox.alice);
    sandbox
        .write(".aws/credentials", &format!("[dev-long-term]\n{key}aws_mfa_device = {}\n", sandbox.serial));
    assert_eq!(sandbox.run(&["agent", "start"]).status, 0);
    let hold = sandbox.simulator.hold("GetSessionToken");
    let mut client = start(&sandbox, &["aws-mfa", "--profile", "dev", "--token", &sandbox.code()]);
    assert!(
        sandbox.simulator.wait_for_calls("GetSessionToken", 1, Duration::from_secs(5)),
        "{:?}",
        client.wait_with_output()
    );
    client.kill().unwrap();
    client.wait().unwrap();
    hold.release();
    wait_until("the session is there", || sandbox.run(&["env", "dev", "--no-prompt"]).status == 0);
    assert_eq!(sandbox.simulator.calls_of("GetSessionToken").len(), 1);
}
