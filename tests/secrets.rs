//! Secrets: where they pass they do not stay.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use protocol::{Reply, Request};

use crate::keyring::decoded;
use crate::support::memory::Memory;
use crate::support::{Run, Sandbox, exported, tool, wait_until};
use crate::tls::over_tls;

/// What must not be found anywhere: the long-term secret, the session's, its token, the code.
fn needles(sandbox: &Sandbox, code: &str) -> Vec<(&'static str, String)> {
    let variables = exported(&sandbox.run(&["env", "dev"]).stdout, &[]);
    vec![
        ("the long-term secret", sandbox.alice.secret_access_key.clone()),
        ("the session's secret", variables["AWS_SECRET_ACCESS_KEY"].clone()),
        ("the session token", variables["AWS_SESSION_TOKEN"].clone()),
        ("the code", code.to_owned()),
    ]
}

#[test]
fn no_secret_is_written_to_disk() {
    let mut sandbox = Sandbox::new();
    // Whoever turns on all the logging that there is finds nothing either.
    for (name, value) in [("RUST_LOG", "trace"), ("LOG_SENSITIVE_BODIES", "true"), ("RUST_BACKTRACE", "full")]
    {
        sandbox.set(name, value);
    }
    let trace = sandbox.home().join("trace");
    let arguments = [
        "-f",
        "-y",
        "-s",
        "65536",
        "-e",
        "trace=write,pwrite64,writev,sendto,sendmsg",
        "-o",
        trace.to_str().unwrap(),
    ];
    let mut command = sandbox.command(tool("strace"), arguments);
    let mut agent = command.arg(env!("CARGO_BIN_EXE_mfa-agentd")).stderr(Stdio::piped()).spawn().unwrap();
    sandbox.wait_for_agent();
    let code = sandbox.code();
    assert_eq!(sandbox.run(&["login", "dev", "--code", &code]).status, 0);
    let needles = needles(&sandbox, &code);
    assert_eq!(sandbox.run(&["agent", "stop"]).status, 0);
    agent.wait().unwrap();

    let written = fs::read_to_string(&trace).unwrap();
    assert!(written.contains("AWS4-HMAC-SHA256"), "the trace sees what goes to AWS");
    for line in written.lines().filter(|line| !line.contains("<socket:[") && !line.contains("<UNIX")) {
        for (name, needle) in &needles {
            assert!(!line.contains(needle.as_str()), "{name} in {line}");
        }
    }
    fs::remove_file(&trace).unwrap();
    fs::remove_file(sandbox.home().join(".aws/credentials")).unwrap();
    for folder in [sandbox.home(), sandbox.runtime()] {
        for (name, needle) in &needles {
            search(&folder, name, needle);
        }
    }
}

fn search(folder: &Path, name: &str, needle: &str) {
    for entry in fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        if entry.file_type().unwrap().is_dir() {
            search(&entry.path(), name, needle);
        } else if let Ok(contents) = fs::read(entry.path()) {
            let found = contents.windows(needle.len()).any(|window| window == needle.as_bytes());
            assert!(!found, "{name} in {}", entry.path().display());
        }
    }
}

#[test]
fn no_secret_is_in_argv_or_environment() {
    use std::io::Write;
    let sandbox = Sandbox::new();
    let hold = sandbox.simulator.hold("GetSessionToken");
    let mut client = sandbox.client(["login", "dev", "--code", "-"]).stdin(Stdio::piped()).spawn().unwrap();
    let code = sandbox.code();
    writeln!(client.stdin.take().unwrap(), "{code}").unwrap();
    assert!(sandbox.simulator.wait_for_calls("GetSessionToken", 1, Duration::from_secs(20)));
    // The code is on its way now: this is when it could be seen.
    let mut seen = 0;
    for pid in [i32::try_from(client.id()).unwrap(), sandbox.agent_pid()] {
        for file in ["cmdline", "environ"] {
            // Another uid, and for the agent every uid but root's, reads no environment at all.
            let Ok(contents) = fs::read(format!("/proc/{pid}/{file}")) else { continue };
            seen += 1;
            for needle in [&code, &sandbox.alice.secret_access_key] {
                assert!(!contents.windows(needle.len()).any(|window| window == needle.as_bytes()), "{file}");
            }
        }
    }
    assert!(seen >= 2);
    hold.release();
    assert!(client.wait().unwrap().success());
}

#[test]
fn no_secret_is_in_the_log_or_the_status() {
    let sandbox = Sandbox::new();
    let code = sandbox.code();
    assert_eq!(sandbox.run(&["login", "dev", "--code", &code]).status, 0);
    let needles = needles(&sandbox, &code);
    for arguments in [&["agent", "log"][..], &["status"], &["status", "--json"], &["profiles", "--json"]] {
        let run = sandbox.run(arguments);
        assert_eq!(run.status, 0);
        for (name, needle) in &needles {
            assert!(!run.stdout.contains(needle) && !run.stderr.contains(needle), "{name} in {arguments:?}");
        }
    }
}

#[test]
fn the_agent_is_closed_to_debuggers_and_dumps() {
    let sandbox = Sandbox::new();
    assert_eq!(sandbox.run(&["agent", "start"]).status, 0);
    let pid = sandbox.agent_pid();
    let limits = fs::read_to_string(format!("/proc/{pid}/limits"));
    if let Ok(limits) = limits {
        let core = limits.lines().find(|line| line.starts_with("Max core file size")).unwrap();
        assert_eq!(core.split_whitespace().nth(4), Some("0"), "{core}");
    }
    // A process that can be dumped belongs to its user in /proc, one that cannot to root.
    let as_nobody = |program: &str, arguments: &[&str]| {
        let mut all = vec!["--reuid", "65534", "--clear-groups", program];
        all.extend(arguments);
        sandbox.command(tool("setpriv"), all)
    };
    if rustix::process::geteuid().is_root() {
        // The same program run by another user: its memory is closed to that user too.
        let folder = sandbox.home().join("nobody");
        fs::create_dir(&folder).unwrap();
        for path in [sandbox.home().parent().unwrap().to_owned(), sandbox.home(), folder.clone()] {
            fs::set_permissions(path, PermissionsExt::from_mode(0o711)).unwrap();
        }
        std::os::unix::fs::chown(&folder, Some(65_534), Some(65_534)).unwrap();
        let program = folder.join("mfa-agentd");
        fs::copy(env!("CARGO_BIN_EXE_mfa-agentd"), &program).unwrap();
        let mut agent = as_nobody(program.to_str().unwrap(), &[])
            .env("XDG_RUNTIME_DIR", &folder)
            .env("HOME", &folder)
            .spawn()
            .unwrap();
        let socket = folder.join("mfa-agent/sock");
        wait_until("the agent listens", || {
            assert!(agent.try_wait().unwrap().is_none(), "it did not start");
            socket.exists()
        });
        let memory = format!("/proc/{}/mem", agent.id());
        let control = format!("/proc/{}/status", agent.id());
        assert!(as_nobody("cat", &[&control]).stdout(Stdio::null()).status().unwrap().success());
        let read = Run::of(&mut as_nobody("head", &["-c", "1", &memory]));
        assert!(read.stderr.contains("Permission denied"), "{read:?}");
        assert_eq!(fs::metadata(format!("/proc/{}/environ", agent.id())).unwrap().uid(), 0);
        agent.kill().unwrap();
        agent.wait().unwrap();
    } else {
        let read = Run::of(&mut sandbox.command("head", ["-c", "1", &format!("/proc/{pid}/mem")]));
        assert!(read.stderr.contains("Permission denied"), "{read:?}");
    }
}

#[test]
fn nobody_else_is_answered() {
    let sandbox = Sandbox::new();
    sandbox.log_in("dev");
    let mode = fs::metadata(sandbox.socket()).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    if !rustix::process::geteuid().is_root() {
        // Only root can play another user; the run in CI does.
        assert!(std::env::var_os("CI").is_none(), "CI runs these tests as root");
        return;
    }
    // Every file permission open: what is left is the agent's own look at its peer.
    let mut folder = sandbox.socket();
    fs::set_permissions(&folder, fs::Permissions::from_mode(0o666)).unwrap();
    while folder.pop() && folder != Path::new("/tmp") && folder != Path::new("/") {
        let mode = fs::metadata(&folder).unwrap().permissions().mode();
        fs::set_permissions(&folder, fs::Permissions::from_mode(mode | 0o055)).unwrap();
    }
    let script = "import socket, sys\n\
                  s = socket.socket(socket.AF_UNIX); s.connect(sys.argv[1])\n\
                  try:\n s.sendall(b'{\"protocol\":1,\"request\":\"status\"}\\n')\nexcept OSError: pass\n\
                  try:\n print(len(s.recv(65536)))\nexcept OSError: print(0)\n";
    let socket = sandbox.socket();
    let arguments =
        ["--reuid", "65534", "--clear-groups", "/usr/bin/python3", "-c", script, socket.to_str().unwrap()];
    let run = Run::of(&mut sandbox.command(tool("setpriv"), arguments));
    assert_eq!((run.status, run.stdout.trim()), (0, "0"), "{run:?}");
    // The same by our own uid is answered.
    assert!(!sandbox.send(b"{\"protocol\":1,\"request\":\"status\"}\n").is_empty());
}

/// Where any half of a secret, or all of a code, is in the agent's memory.
fn in_memory(pid: i32, needles: &[(&'static str, String)]) -> Vec<(&'static str, Vec<String>)> {
    let memory = Memory::read(pid);
    let found = |needle: &str| match needle.len() {
        6 => memory.places(needle.as_bytes()),
        length => {
            let (first, second) = needle.as_bytes().split_at(length / 2);
            [memory.places(first), memory.places(second)].concat()
        }
    };
    let places = needles.iter().map(|(name, needle)| (*name, found(needle)));
    places.filter(|(_, places)| !places.is_empty()).collect()
}

/// Where the seed of a device is in a process's memory: any half of its base32, which is in `otpauth://` lines too, of its
/// bytes, or of the bits that a QR code has of it.
pub fn seed_in_memory(pid: i32, seed: &str) -> Vec<String> {
    let memory = Memory::read(pid);
    let halves = |bytes: &[u8]| {
        let (first, second) = bytes.split_at(bytes.len() / 2);
        [memory.places(first), memory.places(second)].concat()
    };
    let mut found = [halves(seed.as_bytes()), halves(&decoded(seed))].concat();
    found.extend(in_qr_codes(seed).iter().flat_map(|bytes| halves(bytes)));
    found
}

/// Capitals and digits as a QR code packs them, two in eleven bits, wherever in a byte they begin. The bytes at the ends,
/// which are not theirs alone, are left out.
fn in_qr_codes(text: &str) -> Vec<Vec<u8>> {
    let value = |byte: u8| u16::from(if byte.is_ascii_digit() { byte - b'0' } else { byte - b'A' + 10 });
    let pairs = text.as_bytes().chunks_exact(2).map(|pair| value(pair[0]) * 45 + value(pair[1]));
    let bits: Vec<u8> =
        pairs.flat_map(|pair| (0..11).rev().map(move |bit| (pair >> bit & 1) as u8)).collect();
    let byte = |bits: &[u8]| bits.iter().fold(0, |byte, bit| byte << 1 | bit);
    (0..8).map(|first| bits[first..].chunks_exact(8).map(byte).collect()).collect()
}

/// The same once the agent has come to rest: who has its answer may be ahead of who gave it.
pub fn left_in_memory(pid: i32, needles: &[(&'static str, String)]) -> Vec<(&'static str, Vec<String>)> {
    let start = Instant::now();
    loop {
        let found = in_memory(pid, needles);
        if found.is_empty() || start.elapsed() > Duration::from_secs(30) {
            return found;
        }
    }
}

/// Only root reads another process's memory; the run in CI does.
pub fn is_root() -> bool {
    let root = rustix::process::geteuid().is_root();
    assert!(root || std::env::var_os("CI").is_none(), "CI runs these tests as root");
    root
}

/// A code that is not in the agent's memory by chance before it gets there.
fn code_of_its_own(sandbox: &Sandbox, pid: i32) -> String {
    let code = sandbox.code();
    let there = Memory::read(pid).places(code.as_bytes());
    assert!(there.is_empty(), "{code} is there already: {there:?}");
    code
}

#[test]
fn at_rest_no_secret_is_in_memory_in_the_clear() {
    if !is_root() {
        return;
    }
    let sandbox = Sandbox::new();
    assert_eq!(sandbox.run(&["agent", "start"]).status, 0);
    let pid = sandbox.agent_pid();
    let code = code_of_its_own(&sandbox, pid);

    // What is there must be found: the code on its way, and the key that signs.
    let hold = sandbox.simulator.hold("GetSessionToken");
    let client = sandbox.client(["login", "dev", "--code", &code]).stderr(Stdio::null()).spawn();
    assert!(sandbox.simulator.wait_for_calls("GetSessionToken", 1, Duration::from_secs(20)));
    let on_the_way =
        vec![("the code", code.clone()), ("the long-term secret", sandbox.alice.secret_access_key.clone())];
    let found = in_memory(pid, &on_the_way);
    assert_eq!(found.len(), 2, "{found:?}");
    hold.release();
    assert!(client.unwrap().wait().unwrap().success());

    let needles = needles(&sandbox, &code);
    for _ in 0..20 {
        assert_eq!(sandbox.run(&["env", "dev", "--no-prompt"]).status, 0);
    }
    let found = left_in_memory(pid, &needles);
    assert!(found.is_empty(), "while held: {found:?}");
    assert_eq!(sandbox.run(&["lock"]).status, 0);
    let found = left_in_memory(pid, &needles);
    assert!(found.is_empty(), "locked: {found:?}");
    assert_eq!(sandbox.run(&["lock", "--wipe"]).status, 0);
    let found = left_in_memory(pid, &needles);
    assert!(found.is_empty(), "wiped: {found:?}");
}

#[test]
fn a_signal_has_everything_forgotten_and_the_agent_goes_on() {
    let sandbox = Sandbox::new();
    let code = sandbox.code();
    assert_eq!(sandbox.run(&["login", "dev", "--code", &code]).status, 0);
    let needles = needles(&sandbox, &code);
    let lease = exported(&sandbox.run(&["env", "dev"]).stdout, &[])["MFA_AGENT_LEASE"].clone();
    let pid = sandbox.agent_pid();
    sandbox.signal_agent(rustix::process::Signal::USR1);
    wait_until("shells are told", || !fs::exists(&lease).unwrap());
    assert_eq!(sandbox.run(&["env", "dev", "--no-prompt"]).status, 3);
    assert_eq!(sandbox.agent_pid(), pid);
    let log = sandbox.run(&["agent", "log"]).stdout;
    assert!(log.contains("SIGUSR1: 1 sessions forgotten"), "{log}");
    if is_root() {
        let found = left_in_memory(pid, &needles);
        assert!(found.is_empty(), "{found:?}");
    }
}

#[test]
fn a_console_link_does_not_stay_in_memory() {
    if !is_root() {
        return;
    }
    let mut sandbox = Sandbox::new();
    sandbox.set("MFA_AGENT_SIGNIN_ENDPOINT", sandbox.simulator.endpoint());
    sandbox.alice.must_use_mfa(false);
    sandbox.log_in("dev");
    let pid = sandbox.agent_pid();
    let console = |redirect| {
        let profile = Some("dev".to_owned());
        match sandbox.ask(Request::Console { profile, ask: protocol::Ask::Never, service: None, redirect }) {
            Reply::Console(console) => console.url.expose().to_owned(),
            other => panic!("{other:?}"),
        }
    };
    let link = console(false);
    let address = console(true);
    let mut needles = vec![("the address", address.rsplit('/').next().unwrap().to_owned())];
    let tokens = sandbox.simulator.sign_in_tokens();
    assert_eq!(tokens.len(), 2);
    for token in tokens {
        let escaped = token.replace('+', "%2B").replace('/', "%2F").replace('=', "%3D");
        needles.extend([("a token", token), ("a link", escaped)]);
    }
    assert!(
        needles.iter().any(|(_, needle)| link.ends_with(needle.as_str())),
        "a link is looked for as it is"
    );
    for call in sandbox.simulator.calls_of("getSigninToken") {
        let session: serde_json::Value = serde_json::from_str(call.parameter("Session").unwrap()).unwrap();
        for (name, field) in [("the federated secret", "sessionKey"), ("the federated token", "sessionToken")]
        {
            needles.push((name, session[field].as_str().unwrap().to_owned()));
        }
    }
    let found = left_in_memory(pid, &needles);
    assert!(found.is_empty(), "while the address waits: {found:?}");
    let curl = ["--silent", "--location", "--noproxy", "*", &address];
    let run = Run::of(&mut sandbox.command(tool("curl"), curl));
    assert!(run.stdout.contains("federated-user/alice"), "{run:?}");
    let found = left_in_memory(pid, &needles);
    assert!(found.is_empty(), "{found:?}");
}

#[test]
fn a_call_over_tls_leaves_nothing_in_memory() {
    if !is_root() {
        return;
    }
    let (mut sandbox, authority, _server) = over_tls();
    sandbox.set("AWS_CA_BUNDLE", authority.certificate());
    assert_eq!(sandbox.run(&["agent", "start"]).status, 0);
    let pid = sandbox.agent_pid();
    let code = code_of_its_own(&sandbox, pid);
    assert_eq!(sandbox.run(&["login", "dev", "--code", &code]).status, 0);
    let found = left_in_memory(pid, &needles(&sandbox, &code));
    assert!(found.is_empty(), "{found:?}");
}

#[test]
fn no_secret_is_in_memory_after_logout_or_expiry() {
    if !is_root() {
        return;
    }
    let mut sandbox = Sandbox::new();
    let clock = sandbox.fake_clock();
    assert_eq!(sandbox.run(&["agent", "start"]).status, 0);
    let pid = sandbox.agent_pid();
    for end in ["logout", "expiry"] {
        let code = code_of_its_own(&sandbox, pid);
        assert_eq!(sandbox.run(&["login", "dev", "--code", &code]).status, 0);
        let needles = needles(&sandbox, &code);
        match end {
            "logout" => assert_eq!(sandbox.run(&["logout", "--all"]).status, 0),
            _ => sandbox.advance(&clock, 43_201),
        }
        assert_eq!(sandbox.run(&["env", "dev", "--no-prompt"]).status, 3);
        let found = left_in_memory(pid, &needles);
        assert!(found.is_empty(), "{end}: {found:?}");
    }
}

#[test]
fn the_key_is_in_its_locked_page_and_nowhere_else() {
    if !is_root() {
        return;
    }
    let sandbox = Sandbox::new();
    sandbox.log_in("dev");
    let pid = sandbox.agent_pid();
    sandbox.run(&["env", "dev"]);
    let memory = Memory::read(pid);
    let page = memory.key_page();
    let mut pieces = 0;
    for piece in page.contents().chunks_exact(8) {
        // A piece of a key, and no number or pointer.
        if piece.windows(2).any(|pair| pair == [0, 0]) {
            continue;
        }
        pieces += 1;
        let places = memory.places(piece);
        assert_eq!(places.len(), 1, "{places:?}");
    }
    assert!(pieces >= 7, "two keys of 32 bytes, and {pieces} pieces of them were looked for");
    let Reply::Status(status) = sandbox.ask(Request::Status) else { panic!() };
    assert_eq!(status.memory, Some(protocol::Memory::Locked));
}

#[test]
fn without_locked_memory_it_works_and_says_so() {
    let sandbox = Sandbox::new();
    let program = env!("CARGO_BIN_EXE_mfa-agentd");
    let limited = ["prlimit", "--memlock=0:0", program];
    // Root may lock what it likes, unless that is taken away.
    let mut agent = if rustix::process::geteuid().is_root() {
        let unprivileged = ["--bounding-set", "-ipc_lock"].into_iter().chain(limited);
        sandbox.command(tool("setpriv"), unprivileged).spawn().unwrap()
    } else {
        sandbox.command(tool("prlimit"), &limited[1..]).spawn().unwrap()
    };
    sandbox.wait_for_agent();
    sandbox.log_in("dev");
    assert_eq!(sandbox.run(&["env", "dev"]).status, 0);
    let status = sandbox.run(&["status"]).stdout;
    assert!(status.contains("may be swapped out"), "{status}");
    assert!(sandbox.run(&["status", "--json"]).stdout.contains("\"memory\": \"swappable\""));
    let log = sandbox.run(&["agent", "log"]).stdout;
    assert_eq!(log.matches("cannot be locked").count(), 1, "{log}");
    assert_eq!(sandbox.run(&["agent", "stop"]).status, 0);
    assert!(agent.wait().unwrap().success());
}
