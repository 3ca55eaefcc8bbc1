//! Granted sockets: on another host, by a real sshd, and in a container's place.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

use protocol::{
    Ask, Envelope, GrantedSocket, NoConsent, NotHere, PROTOCOL, Refusal, Reply, Request, Secret, frame,
};

use crate::support::{
    ACCOUNT, Host, Run, SHELLS, Sandbox, Session, Shell, TestPrompter, exported, key_of, tool, wait_until,
};

const CLIENT: &str = env!("CARGO_BIN_EXE_mfa-agent");

/// A machine with the profiles `dev`, `ops` (a role over `dev`) and `bob` (somebody else's key).
fn sandbox() -> Sandbox {
    let sandbox = Sandbox::new();
    let role = sandbox.simulator.role(aws_simulator::Role::new(ACCOUNT, "ops"));
    let bob = sandbox.simulator.user(ACCOUNT, "bob");
    let serial = bob.device("bob");
    let append = |file: &str, text: String| {
        let path = sandbox.home().join(file);
        fs::write(&path, fs::read_to_string(&path).unwrap() + &text).unwrap();
    };
    append(".aws/credentials", format!("[bob]\n{}", key_of(&bob)));
    append(".aws/config", format!("[profile bob]\nmfa_serial = {serial}\n"));
    append(
        ".aws/config",
        format!("[profile ops]\nrole_arn = {role}\nsource_profile = dev\nregion = eu-west-1\n"),
    );
    sandbox
}

/// Grants a socket for these, and returns its path.
#[track_caller]
fn grant(sandbox: &Sandbox, arguments: &[&str]) -> String {
    let run = sandbox.run(&[&["agent", "grant"], arguments].concat());
    assert_eq!(run.status, 0, "{run:?}");
    let path = run.stdout.strip_suffix('\n').unwrap().to_owned();
    assert!(!path.contains('\n') && Path::new(&path).is_absolute(), "the path and nothing else: {run:?}");
    path
}

/// Bytes to a socket, and what came back.
fn send(socket: impl AsRef<Path>, bytes: &[u8]) -> String {
    let mut stream = UnixStream::connect(socket).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    // The agent may have had enough before all of it is written.
    let _ = stream.write_all(bytes);
    let mut reply = String::new();
    let _ = BufReader::new(stream).read_line(&mut reply);
    reply
}

fn ask(socket: impl AsRef<Path>, request: Request) -> Reply {
    let line = frame::encode(&Envelope { protocol: PROTOCOL, request }).unwrap();
    frame::decode(send(socket, &line).as_bytes()).unwrap()
}

fn credentials(profile: Option<&str>, ask: Ask) -> Request {
    let profile = profile.map(str::to_owned);
    Request::Credentials { profile, ask, replaces: None, min_ttl: None, duration: None }
}

/// The granted sockets, as `status` has them.
fn sockets(sandbox: &Sandbox) -> Vec<GrantedSocket> {
    match sandbox.ask(Request::Status) {
        Reply::Status(status) => status.sockets,
        other => panic!("{other:?}"),
    }
}

#[track_caller]
fn why(reply: Reply) -> NotHere {
    match reply {
        Reply::Refused(Refusal::NotHere { why, .. }) => why,
        other => panic!("{other:?}"),
    }
}

#[test]
fn another_host_gets_what_is_granted_by_a_real_sshd() {
    let sandbox = sandbox();
    sandbox.log_in("dev");
    let host = Host::start(&sandbox);
    let path = grant(&sandbox, &["--profile", "dev", "--profile", "ops", "--expires", "8h"]);
    let _forwarding = host.forward(&path);
    for (profile, arn) in [("dev", ":user/alice"), ("ops", ":assumed-role/ops/")] {
        let run = host.run(&["env", profile]);
        assert_eq!(run.status, 0, "{run:?} {}", host.log());
        let variables = exported(&run.stdout, &[]);
        let mut aws = host.command(tool("aws"), &["sts", "get-caller-identity", "--output", "json"]);
        let caller = Run::of(aws.envs(&variables));
        assert!(caller.status == 0 && caller.stdout.contains(arn), "{caller:?}");
        // There is no lease of that host's to look at.
        assert_eq!(variables["MFA_AGENT_LEASE"], "/");
    }
    // As a person types it there.
    let typed = format!("MFA_AGENT_SOCK={} {CLIENT} env --shell posix", host.socket().display());
    let typed = Run::of(&mut host.ssh(&["there", &typed]));
    assert!(
        typed.stdout.contains("export MFA_AGENT_PROFILE='dev';"),
        "without a name it is the first: {typed:?}"
    );
    let exec = host.run(&["exec", "ops", "--", "sh", "-c", "echo $AWS_REGION $MFA_AGENT_PROFILE"]);
    assert_eq!(exec.stdout, "eu-west-1 ops\n", "{exec:?}");
    assert_eq!(host.run(&["credential-process", "dev"]).status, 0);
    let profiles = host.run(&["hook", "profiles"]);
    assert_eq!(profiles.stdout, "dev\nops\n");
    let status = host.run(&["status"]);
    assert!(status.stdout.contains("Granted sockets:\n") && status.stdout.contains("dev, ops"), "{status:?}");
    // Who asked for what is written down where the agent runs, and what stands there is seen there.
    let log = sandbox.run(&["agent", "log"]).stdout;
    assert!(log.contains("grant of dev, ops: grant 1\n"), "{log}");
    assert!(log.contains("ssh[") && log.contains("]: by grant 1: credentials of ops: done\n"), "{log}");
    let [socket] = sockets(&sandbox).try_into().unwrap();
    assert_eq!((socket.number, socket.socket, socket.last_used.is_some()), (1, path, true));
    assert!((28_700..=28_800).contains(&socket.seconds_left), "{}", socket.seconds_left);
}

#[test]
fn what_is_not_granted_is_refused_and_nobody_learns_what_there_is() {
    let sandbox = sandbox();
    sandbox.log_in("dev");
    let path = grant(&sandbox, &["dev", "dev"]);
    let pid = sandbox.agent_pid();
    // Another profile, one that does not exist, and what changes or shows more than that profile.
    let with = |profile: &str| credentials(Some(profile), Ask::Person);
    let code = || Secret::new(sandbox.code());
    let access = Request::Live {
        profile: Some("dev".to_owned()),
        ask: Ask::Never,
        replaces: None,
        own: false,
        min_ttl: None,
        duration: None,
    };
    let aws_mfa =
        "{\"aws_mfa\":{\"wanted\":{\"profile\":\"dev\",\"key_section\":\"dev\"},\"ask\":\"never\"}}";
    let iam = "{\"iam\":{\"profile\":\"dev\",\"call\":\"get_caller_identity\",\"signed\":\"session\",\"ask\":\"never\"}}";
    let requests = [
        serde_request(iam),
        with("bob"),
        with("nobody"),
        with(""),
        Request::Session { profile: Some("bob".to_owned()), ask: Ask::Never, force: false, duration: None },
        Request::Given { profile: "bob".to_owned() },
        Request::Shell { profile: "bob".to_owned(), live: false },
        Request::Shell { profile: "dev".to_owned(), live: true },
        Request::Login { profile: Some("dev".to_owned()), code: code(), duration: None, at_least: None },
        access,
        Request::Console { profile: Some("dev".to_owned()), ask: Ask::Never, service: None, redirect: false },
        serde_request(aws_mfa),
        Request::Grant { profiles: vec!["bob".to_owned()], duration: None },
        Request::Revoke { grants: vec![1] },
        Request::Revoke { grants: Vec::new() },
        Request::Lock { wipe: false },
        Request::Lock { wipe: true },
        Request::Unlock { profile: None, ask: Ask::Never },
        Request::Logout { profiles: vec!["dev".to_owned()], all: true },
        Request::Sessions { after: 0 },
        Request::Health,
        Request::Sections { profiles: vec!["dev".to_owned()] },
        Request::Log,
        Request::Restart,
        Request::Stop { only_if_empty: false },
    ];
    let mut answers = std::collections::BTreeSet::new();
    for request in requests {
        let line = frame::encode(&Envelope { protocol: PROTOCOL, request }).unwrap();
        answers.insert(send(&path, &line));
    }
    assert_eq!(answers.len(), 1, "one answer to all of them: {answers:?}");
    let answer = frame::decode(answers.first().unwrap().as_bytes()).unwrap();
    assert!(matches!(&answer, Reply::Refused(Refusal::NotGranted { profiles, .. }) if profiles == &["dev"]));
    // The code went nowhere, and all is as it was.
    assert_eq!(sandbox.simulator.calls_of("GetSessionToken").len(), 1);
    assert_eq!((sandbox.agent_pid(), sockets(&sandbox).len()), (pid, 1));
    // What is shown is about that profile alone.
    sandbox.run(&["env", "ops"]);
    let shown = send(&path, b"{\"protocol\":1,\"request\":\"status\"}\n")
        + &send(&path, b"{\"protocol\":1,\"request\":{\"profiles\":{}}}\n");
    assert!(shown.contains("\"name\":\"dev\"") && shown.contains("\"profiles\":[\"dev\"]"), "{shown}");
    for other in ["ops", "bob", "role/", ".aws/config", &sandbox.simulator.endpoint()] {
        assert!(!shown.contains(other), "{other}: {shown}");
    }
    // Another profile's region neither, in the answer to what is granted.
    let replaces = "{\"protocol\":1,\"request\":{\"credentials\":{\"profile\":\"dev\",\"ask\":\"never\",\"replaces\":\"ops\"}}}\n";
    let given = send(&path, replaces.as_bytes());
    assert!(given.contains("secret_access_key") && !given.contains("eu-west-1") && !given.contains("lease"));
    let run = Run::of(sandbox.client(["env", "bob"]).env("MFA_AGENT_SOCK", &path));
    assert_eq!((run.status, run.stdout.as_str()), (6, "false\n"), "{run:?}");
    assert!(run.stderr.contains("was granted for dev, and does nothing else"), "{run:?}");
    let log = sandbox.run(&["agent", "log"]).stdout;
    assert_eq!(log.matches("by grant 1: what is not granted: refused").count(), 1, "once a minute: {log}");
}

fn serde_request(text: &str) -> Request {
    frame::decode(text.as_bytes()).unwrap()
}

#[test]
fn nobody_is_asked_for_a_code_by_it_and_none_is_taken() {
    let sandbox = sandbox();
    let path = grant(&sandbox, &["dev", "ops"]);
    let there = |arguments: &[&str]| {
        let mut client = sandbox.client(arguments);
        Run::of(client.env("MFA_AGENT_SOCK", &path))
    };
    for arguments in
        [&["env", "dev"][..], &["login", "dev", "--code", "123456"], &["exec", "ops", "--", "true"]]
    {
        let run = there(arguments);
        assert_eq!(run.status, 3, "{run:?}");
        let profile = arguments[1];
        assert!(
            run.stderr.contains(&format!("there is no session of {profile}, and codes are not typed here"))
        );
        assert!(run.hint().ends_with(&format!(": mfa-agent login {profile}")), "{run:?}");
    }
    // With a terminal neither: a code that is typed there would go to whoever holds the socket there.
    let mut sandbox = sandbox;
    sandbox.set("MFA_AGENT_SOCK", &path);
    let terminal = sandbox.terminal(&["env", "dev"]).finish();
    assert!(terminal.status == 3 && !terminal.stderr.contains("MFA code for"), "{terminal:?}");
    sandbox.unset("MFA_AGENT_SOCK");
    assert_eq!(sandbox.simulator.calls().len(), 0, "nobody by it moves the agent to use the long-term key");
    sandbox.log_in("dev");
    let there = |arguments: &[&str]| Run::of(sandbox.client(arguments).env("MFA_AGENT_SOCK", &path));
    assert_eq!(there(&["login", "dev"]).status, 0, "it is there");
    let forced = there(&["login", "dev", "--force"]);
    assert!(forced.status == 3 && forced.hint().ends_with("mfa-agent login dev --force"), "{forced:?}");
    let longer = there(&["exec", "dev", "--min-ttl", "30h", "--", "true"]);
    assert!(longer.status == 3 && longer.stderr.contains("ends earlier than that"), "{longer:?}");
    // What is locked is locked here, too, and a logout leaves the grant without anything to give.
    assert_eq!(sandbox.run(&["lock"]).status, 0);
    assert_eq!(why(ask(&path, credentials(None, Ask::Person))), NotHere::Locked);
    let locked = sandbox.run(&["agent", "grant", "dev"]);
    assert_eq!(locked.status, 6, "and nothing is granted: {locked:?}");
    assert_eq!(sandbox.run(&["unlock", "--code", &sandbox.code()]).status, 0);
    assert_eq!(there(&["env", "ops"]).status, 0);
    assert_eq!(sandbox.run(&["logout", "dev"]).status, 0);
    assert_eq!(why(ask(&path, credentials(Some("dev"), Ask::Person))), NotHere::NoSession);
    // Two more codes.
    sandbox.simulator.advance(Duration::from_mins(1));
    sandbox.log_in("dev");
    assert_eq!(there(&["env", "dev"]).status, 0);
    // A profile that cannot work any more says so, and nothing of the others.
    sandbox.write(
        ".aws/config",
        "[profile ops]\nrole_arn = arn:aws:iam::111122223333:role/ops\nsource_profile = bop\n",
    );
    let reply = ask(&path, credentials(Some("ops"), Ask::Never));
    assert!(!format!("{reply:?}").contains("bo"), "{reply:?}");
    assert_eq!(why(reply), NotHere::Configuration);
}

#[test]
fn a_grant_ends_by_its_time_by_word_and_with_the_agent() {
    let mut sandbox = Sandbox::new();
    let clock = sandbox.fake_clock();
    sandbox.log_in("dev");
    let first = grant(&sandbox, &["dev", "--expires", "1m"]);
    let second = grant(&sandbox, &["dev"]);
    let kept = UnixStream::connect(&first).unwrap();
    assert!(matches!(ask(&first, credentials(None, Ask::Never)), Reply::Credentials(_)));
    sandbox.advance(&clock, 61);
    // Somebody who is connected already is told; nobody else finds it.
    (&kept).write_all(b"{\"protocol\":1,\"request\":\"status\"}\n").unwrap();
    let mut answer = String::new();
    BufReader::new(&kept).read_line(&mut answer).unwrap();
    assert!(answer.contains("grant_over"), "{answer}");
    assert!(!Path::new(&first).exists() && UnixStream::connect(&first).is_err());
    let run = Run::of(sandbox.client(["env", "dev"]).env("MFA_AGENT_SOCK", &first));
    assert_eq!((run.status, run.stdout.as_str()), (6, "false\n"), "{run:?}");
    assert!(sandbox.run(&["agent", "log"]).stdout.contains(" grant 1: its time is up\n"));
    // The other one, by word.
    assert!(sandbox.run(&["status"]).stdout.contains(&second));
    let run = sandbox.run(&["agent", "revoke", "2"]);
    assert_eq!((run.status, run.stderr.as_str()), (0, "1 grant ended\n"));
    assert!(!Path::new(&second).exists() && sockets(&sandbox).is_empty());
    assert_eq!(sandbox.run(&["agent", "revoke", "2"]).status, 1);
    // Live access has numbers of the same row, and another word's is left alone.
    assert_eq!(sandbox.run(&["env", "dev", "--live"]).status, 0);
    let third = grant(&sandbox, &["dev"]);
    assert!(third.contains("/4-"), "{third}");
    assert_eq!(sandbox.run(&["agent", "revoke", "--all"]).status, 0);
    assert!(!Path::new(&third).exists());
    let Reply::Status(status) = sandbox.ask(Request::Status) else { panic!() };
    assert_eq!(status.grants.len(), 1, "live access stands");
    let fourth = grant(&sandbox, &["dev"]);
    assert_eq!(sandbox.run(&["agent", "stop"]).status, 0);
    assert!(!Path::new(&fourth).exists());
    // What a killed agent left is cleared, and its name does not come again.
    let fifth = grant(&sandbox, &["dev"]);
    sandbox.kill_agent();
    assert!(Path::new(&fifth).exists());
    let sixth = grant(&sandbox, &["dev"]);
    assert!(!Path::new(&fifth).exists() && sixth != fifth);
}

#[test]
fn a_restart_keeps_the_socket_and_what_it_may() {
    let sandbox = sandbox();
    sandbox.log_in("dev");
    let path = grant(&sandbox, &["dev"]);
    let file = fs::metadata(&path).unwrap();
    let host = Host::start(&sandbox);
    let _forwarding = host.forward(&path);
    let silent = UnixStream::connect(&path).unwrap();
    let over = std::sync::atomic::AtomicBool::new(false);
    let mut pids = vec![sandbox.agent_pid()];
    std::thread::scope(|scope| {
        let client = scope.spawn(|| {
            let mut runs = 0;
            while !over.load(std::sync::atomic::Ordering::Relaxed) {
                let run = host.run(&["env", "dev"]);
                assert_eq!(run.status, 0, "{run:?}");
                runs += 1;
            }
            runs
        });
        for _ in 0..3 {
            assert_eq!(sandbox.run(&["agent", "restart"]).status, 0);
            pids.push(sandbox.agent_pid());
        }
        over.store(true, std::sync::atomic::Ordering::Relaxed);
        assert!(client.join().unwrap() > 0);
    });
    pids.dedup();
    assert_eq!(pids.len(), 4);
    assert_eq!(fs::metadata(&path).unwrap().ino(), file.ino(), "the socket was there all the time");
    // A conversation that nobody had begun is still the grant's, and no more.
    (&silent).write_all(b"{\"protocol\":1,\"request\":{\"stop\":{}}}\n").unwrap();
    let mut answer = String::new();
    BufReader::new(&silent).read_line(&mut answer).unwrap();
    assert!(answer.contains("not_granted"), "{answer}");
    let run = host.run(&["env", "bob"]);
    assert_eq!(run.status, 6, "{run:?}");
    // Also where there is nothing but the grant to lose.
    assert_eq!(sandbox.run(&["logout", "--all"]).status, 0);
    assert_eq!(sandbox.run(&["agent", "restart"]).status, 0);
    assert_eq!(sockets(&sandbox).len(), 1);
    assert_eq!(host.run(&["env", "dev"]).status, 3);
}

#[test]
fn whatever_comes_by_it_harms_nobody() {
    let sandbox = Sandbox::new();
    sandbox.log_in("dev");
    let path = grant(&sandbox, &["dev"]);
    let host = Host::start(&sandbox);
    let _forwarding = host.forward(&path);
    let pid = sandbox.agent_pid();
    let socket = host.socket();
    for garbage in [&b"\n"[..], b"hunter2\n", b"\xff\xfe\x00\n", b"{}\n", b"{\"protocol\":1}\n"] {
        let answer = send(&socket, garbage);
        assert!(answer.contains("malformed") && !answer.contains("hunter2"), "{answer}");
    }
    send(&socket, &vec![b'x'; 8_000_000]);
    // Leaving is understood in every protocol, but not here.
    for number in [0, 2, 999] {
        for request in ["\"restart\"", "{\"stop\":{}}", "{\"stop\":{\"only_if_empty\":false}}"] {
            let answer =
                send(&socket, format!("{{\"protocol\":{number},\"request\":{request}}}\n").as_bytes());
            assert!(answer.contains("\"protocol\":{\"protocol\":1"), "{answer}");
        }
    }
    // More silent connections than it may have, and as many half requests: the agent's own user waits for none.
    let crowd: Vec<_> = (0..200)
        .map(|number| {
            let mut stream = UnixStream::connect(&path).unwrap();
            if number % 2 == 0 {
                stream.write_all(b"{\"protocol\":1,").unwrap();
            }
            stream
        })
        .collect();
    let start = Instant::now();
    assert_eq!(sandbox.run(&["env", "dev", "--no-prompt"]).status, 0);
    assert!(start.elapsed() < Duration::from_secs(4), "{:?}: it waits for a half request", start.elapsed());
    assert_eq!(sandbox.agent_pid(), pid);
    drop(crowd);
    wait_until("its own place is free again", || host.run(&["env", "dev"]).status == 0);
}

/// Only root can play another user, and mount; the run in CI does.
fn is_root() -> bool {
    let root = rustix::process::geteuid().is_root();
    assert!(root || std::env::var_os("CI").is_none(), "CI runs these tests as root");
    root
}

#[test]
fn another_user_is_not_answered_and_cannot_even_see_it() {
    let sandbox = Sandbox::new();
    sandbox.log_in("dev");
    let path = grant(&sandbox, &["dev"]);
    let folder = Path::new(&path).parent().unwrap();
    let mode = |path: &Path| fs::symlink_metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(folder), mode(Path::new(&path))), (0o700, 0o600));
    if !is_root() {
        return;
    }
    // Even where somebody opens every door to it.
    let nobody = 65_534;
    let open = |path: &Path| fs::set_permissions(path, PermissionsExt::from_mode(0o777)).unwrap();
    open(&sandbox.home());
    for path in Path::new(&path).ancestors().take_while(|path| *path != std::env::temp_dir()) {
        open(path);
    }
    let script = "import socket, sys\n\
                  s = socket.socket(socket.AF_UNIX); s.connect(sys.argv[1])\n\
                  try:\n s.sendall(b'{\"protocol\":1,\"request\":\"status\"}\\n'); print(s.recv(10))\n\
                  except ConnectionError: print(b'')\n";
    let as_nobody =
        ["--reuid", &nobody.to_string(), "--clear-groups", "/usr/bin/python3", "-c", script, &path];
    let run = Run::of(&mut sandbox.command(tool("setpriv"), as_nobody));
    assert_eq!((run.status, run.stdout.as_str()), (0, "b''\n"), "{run:?}");
    // Who is root in a container of somebody else's is somebody else.
    let home = sandbox.home().join("nobody");
    fs::create_dir(&home).unwrap();
    chown(&home, Some(nobody), None).unwrap();
    let client = home.join("mfa-agent");
    fs::copy(CLIENT, &client).unwrap();
    fs::copy(env!("CARGO_BIN_EXE_mfa-agent-cli"), home.join("mfa-agent-cli")).unwrap();
    let unshare = ["--reuid", "65534", "--clear-groups", "unshare", "--user", "--map-root-user"];
    let mut command = sandbox.command(tool("setpriv"), unshare);
    let run = Run::of(command.arg(&client).args(["env", "dev"]).env("MFA_AGENT_SOCK", &path));
    assert_eq!((run.status, run.stdout.as_str()), (6, "false\n"), "{run:?}");
    assert!(run.stderr.contains("not by uid 0"), "the client asks nothing of it either: {run:?}");
}

#[test]
fn in_a_container_the_mounted_socket_is_that_grant_and_no_later_one() {
    let sandbox = Sandbox::new();
    sandbox.log_in("dev");
    let path = grant(&sandbox, &["dev"]);
    let place = sandbox.home().join("mfa-agent.sock");
    fs::write(&place, "").unwrap();
    // As rootless containers do it: namespaces of its own, in which this user is root, and the socket mounted where
    // nothing else of the runtime folder is.
    let script = "set -e; mount --bind \"$1\" \"$2\"; mount -t tmpfs none \"$3\"; test ! -e \"$1\"; \
                  export MFA_AGENT_SOCK=$2; \"$4\" env dev --shell posix; echo ready; read line; \
                  \"$4\" env dev --shell posix && exit 9; echo refused";
    let run_folder = sandbox.runtime().parent().unwrap().to_owned();
    let mut command = sandbox.command(tool("unshare"), ["--user", "--map-root-user", "--mount"]);
    command.args(["/bin/bash", "-c", script, "container"]);
    command.args([Path::new(&path), &place, &run_folder, Path::new(CLIENT)]);
    command.stdin(std::process::Stdio::piped()).stdout(std::process::Stdio::piped());
    let mut container = command.stderr(std::process::Stdio::piped()).spawn().unwrap();
    let mut stdout = BufReader::new(container.stdout.take().unwrap());
    let mut given = String::new();
    while stdout.read_line(&mut given).unwrap() > 0 && !given.ends_with("ready\n") {}
    assert!(given.contains("export AWS_SESSION_TOKEN="), "{given}");
    // A later grant lies elsewhere: what the container has is dead.
    assert_eq!(sandbox.run(&["agent", "revoke", "1"]).status, 0);
    grant(&sandbox, &["dev"]);
    container.stdin.take().unwrap().write_all(b"go on\n").unwrap();
    let mut rest = String::new();
    stdout.read_to_string(&mut rest).unwrap();
    assert!(container.wait().unwrap().success() && rest == "false\nrefused\n", "{rest}");
}

/// Lets the minute be over after which this shell asks the agent, or what it has, as its own clock would.
fn time_passes(shell: Shell, variable: &str, value: &str) -> String {
    match shell {
        Shell::Fish => format!("set -gx {variable} {value}"),
        Shell::Bash | Shell::Zsh => format!("export {variable}={value}; __mfa_agent_next=0"),
    }
}

#[test]
fn a_remote_prompt_follows_a_renewal_within_a_minute_and_keeps_what_it_has_when_the_line_is_down() {
    for shell in SHELLS {
        let sandbox = Sandbox::new();
        sandbox.log_in("dev");
        let path = grant(&sandbox, &["dev"]);
        // Another machine with its own home and files; its agent is the forwarded one.
        let mut remote = Sandbox::new();
        remote.set("MFA_AGENT_SOCK", &path);
        remote.write(".aws/credentials", "");
        let session = Session::start(&remote, shell);
        session.run_to_prompt("mfa-agent use dev");
        let first = session.environment();
        assert_eq!(first["MFA_AGENT_LEASE"], "/", "{shell:?}");
        let a_minute_passes = || {
            let key = session.environment()["MFA_AGENT_LOOK"].split_once('-').unwrap().1.to_owned();
            session.run_to_prompt(&time_passes(shell, "MFA_AGENT_LOOK", &format!("1-{key}")));
        };
        let run = sandbox.run(&["login", "dev", "--force", "--code", &sandbox.code()]);
        assert_eq!(run.status, 0, "{run:?}");
        // Not at every prompt, but once the minute is over.
        session.run_to_prompt("true");
        assert_eq!(session.environment()["AWS_ACCESS_KEY_ID"], first["AWS_ACCESS_KEY_ID"], "{shell:?}");
        a_minute_passes();
        let second = session.environment();
        assert_ne!(second["AWS_ACCESS_KEY_ID"], first["AWS_ACCESS_KEY_ID"], "{shell:?}");
        assert!(second["MFA_AGENT_LOOK"].len() == 15, "{shell:?}: {second:?}");
        // A logout reaches it, and it says so once.
        assert_eq!(sandbox.run(&["logout", "dev"]).status, 0);
        a_minute_passes();
        let third = session.environment();
        assert!(!third.contains_key("AWS_SECRET_ACCESS_KEY"), "{shell:?}: {third:?}");
        assert!(!third.contains_key("MFA_AGENT_LOOK"), "{shell:?}: {third:?}");
        assert!(session.terminal.screen().contains("dev: no session; on "), "{shell:?}");
        let start = session.terminal.screen().len();
        session.run_to_prompt(&time_passes(shell, "MFA_AGENT_EXP", "1"));
        assert!(!session.terminal.screen()[start..].contains("no session"), "{shell:?}");
        // Back, it comes by itself.
        sandbox.simulator.advance(Duration::from_mins(1));
        sandbox.log_in("dev");
        session.run_to_prompt(&time_passes(shell, "MFA_AGENT_EXP", "1"));
        let fourth = session.environment();
        assert!(fourth.contains_key("AWS_SECRET_ACCESS_KEY"), "{shell:?}: {fourth:?}");
        // The line is down: what is good stays, without a word, until its end.
        assert_eq!(sandbox.run(&["agent", "revoke", "--all"]).status, 0);
        let start = session.terminal.screen().len();
        a_minute_passes();
        let kept = session.environment();
        let secret = |variables: &BTreeMap<String, String>| variables["AWS_SECRET_ACCESS_KEY"].clone();
        assert_eq!(secret(&kept), secret(&fourth), "{shell:?}");
        assert_ne!(kept["MFA_AGENT_LOOK"].split_once('-').unwrap().0, "1", "{shell:?}: not at every prompt");
        assert!(!session.terminal.screen()[start..].contains("mfa-agent:"), "{shell:?}");
        session.run_to_prompt(&time_passes(shell, "MFA_AGENT_EXP", "1"));
        assert!(!session.environment().contains_key("AWS_SECRET_ACCESS_KEY"), "{shell:?}");
        assert!(session.terminal.screen()[start..].contains("dev: the agent is gone"), "{shell:?}");
    }
}

#[test]
fn what_a_terminal_was_allowed_is_not_allowed_to_who_asks_through_it() {
    let sandbox = Sandbox::new();
    let prompter = TestPrompter::new(&sandbox, "confirm = true\n");
    sandbox.log_in("dev");
    // Typing the code was consent, for what runs in this terminal.
    assert_eq!(sandbox.run(&["env", "dev"]).status, 0);
    let path = grant(&sandbox, &["dev"]);
    let shell = || ask(&path, Request::Shell { profile: "dev".to_owned(), live: false });
    let refused = shell();
    assert!(
        matches!(refused, Reply::Refused(Refusal::NotConfirmed { why: NoConsent::NotAsked, .. })),
        "{refused:?}"
    );
    assert_eq!(prompter.asked("CONFIRM"), 0);
    std::thread::scope(|scope| {
        let asked = scope.spawn(|| ask(&path, credentials(Some("dev"), Ask::Person)));
        prompter.answer("OK");
        assert!(matches!(asked.join().unwrap(), Reply::Credentials(_)));
    });
    let heard = prompter.heard();
    assert!(heard.contains("asks by the socket of grant 1, from another host or a container"), "{heard}");
    assert!(heard.contains("A yes counts for the grant, for 10 minutes"), "{heard}");
    // A yes is for that grant alone.
    assert!(matches!(ask(&path, credentials(Some("dev"), Ask::Person)), Reply::Credentials(_)));
    assert!(matches!(shell(), Reply::Shell(_)));
    assert_eq!(prompter.asked("CONFIRM"), 1);
    let other = grant(&sandbox, &["dev"]);
    std::thread::scope(|scope| {
        let asked = scope.spawn(|| ask(&other, credentials(Some("dev"), Ask::Person)));
        prompter.answer("ERR 83886194 Not confirmed <Pinentry>");
        let answer = asked.join().unwrap();
        assert!(matches!(answer, Reply::Refused(Refusal::NotConfirmed { why: NoConsent::Denied, .. })));
    });
}

#[test]
fn a_role_that_aws_refuses_is_not_asked_for_at_every_request() {
    let sandbox = sandbox();
    let role = format!("arn:aws:iam::{ACCOUNT}:role/closed");
    let config = fs::read_to_string(sandbox.home().join(".aws/config")).unwrap();
    sandbox.write(
        ".aws/config",
        &format!("{config}[profile closed]\nrole_arn = {role}\nsource_profile = dev\n"),
    );
    sandbox.log_in("dev");
    let path = grant(&sandbox, &["closed"]);
    for _ in 0..5 {
        let reply = ask(&path, credentials(None, Ask::Never));
        assert!(matches!(reply, Reply::Refused(Refusal::Aws { .. })), "{reply:?}");
    }
    assert_eq!(sandbox.simulator.calls_of("AssumeRole").len(), 1);
}

#[test]
fn a_grant_is_for_profiles_that_are_there_and_says_what_is_wrong_with_others() {
    let sandbox = Sandbox::new();
    let run = sandbox.run(&["agent", "grant", "dve"]);
    assert_eq!((run.status, run.stdout.as_str()), (5, ""), "{run:?}");
    assert!(run.stderr.contains("dve") && run.hint().contains("dev"), "{run:?}");
    for _ in 0..16 {
        grant(&sandbox, &["dev"]);
    }
    let many = sandbox.run(&["agent", "grant", "dev"]);
    assert!(many.status == 6 && many.stderr.contains("16 are the most"), "{many:?}");
    assert_eq!(sandbox.run(&["agent", "revoke", "--all"]).status, 0);
    grant(&sandbox, &["dev"]);
}

#[test]
fn doctor_and_why_tell_what_can_be_told_from_here() {
    let sandbox = sandbox();
    sandbox.log_in("dev");
    let path = grant(&sandbox, &["dev", "bob"]);
    let mut remote = Sandbox::new();
    remote.set("MFA_AGENT_SOCK", &path);
    remote.unset("AWS_ENDPOINT_URL");
    fs::remove_dir_all(remote.home().join(".aws")).unwrap();
    let host = match ask(&path, credentials(Some("prod"), Ask::Never)) {
        Reply::Refused(Refusal::NotGranted { host, .. }) => host,
        other => panic!("{other:?}"),
    };

    let run = remote.run(&["doctor"]);
    assert_eq!((run.status, run.stderr.as_str()), (0, ""), "{run:?}");
    let lines: Vec<String> =
        run.stdout.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
    let version = env!("CARGO_PKG_VERSION");
    for expected in [
        format!("✓ socket {path}"),
        format!("✓ version {version}, here and on {host}"),
        "✓ clock as AWS's".to_owned(),
        "! session there is no session of bob, and codes are not typed here".to_owned(),
        format!("hint: on {host}: mfa-agent login bob"),
    ] {
        assert!(lines.contains(&expected), "{expected}: {run:?}");
    }
    let begins = |words: &str| lines.iter().any(|line| line.starts_with(words));
    assert!(begins(&format!("✓ agent on {host}, up ")) && begins("✓ session dev: "), "{run:?}");
    assert!(begins("✓ grant stands until "), "{run:?}");
    // Nothing that needs an order, a file or a key, none of which is here.
    for word in ["too old", "restart", "ready for a code", "keys", ".aws"] {
        assert!(!run.stdout.contains(word), "{word}: {run:?}");
    }
    // One that is not granted is not said to be in no file.
    let run = remote.run(&["doctor", "prod"]);
    assert!(run.status == 1 && run.stdout.contains("this socket was granted for dev, bob"), "{run:?}");
    let json: serde_json::Value =
        serde_json::from_str(&remote.run(&["doctor", "dev", "--json"]).stdout).unwrap();
    assert_eq!(json["state"], "ok", "{json}");

    let run = remote.run(&["why"]);
    assert_eq!(run.status, 0, "{run:?}");
    let told = format!("the agent is on {host}: the AWS files here are not looked at\n");
    assert!(run.stdout.contains("this shell has nothing for any of them\n") && run.stdout.contains(&told));
    // With the credentials in the shell.
    for (name, value) in exported(&remote.run(&["env", "dev"]).stdout, &[]) {
        remote.set(&name, value);
    }
    let run = remote.run(&["why", "dev"]);
    assert_eq!((run.status, run.stderr.as_str()), (0, ""), "{run:?}");
    let table = run.stdout.split("\n\n").next().unwrap();
    for row in table.lines().skip(1) {
        assert!(row.contains("this shell's variables: session of dev, key …"), "{run:?}");
    }
    let run = remote.run(&["why", "bob"]);
    assert!(run.stdout.contains("this shell has the session of dev, not of bob\n"), "{run:?}");

    // The grant is over, or the line is down.
    assert_eq!(sandbox.run(&["agent", "revoke", "1"]).status, 0);
    let run = remote.run(&["doctor"]);
    assert!(run.status == 1 && run.stdout.contains("no agent at"), "{run:?}");
    assert!(run.stdout.contains("hint: unset MFA_AGENT_SOCK\n"), "{run:?}");
}
