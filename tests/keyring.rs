//! Long-term keys in the keyring of the desktop: GNOME Keyring's real daemon, open, locked, silent and not there.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use protocol::{Reply, Request};

use crate::errors::check;
use crate::secrets::{is_root, left_in_memory};
use crate::support::memory::Memory;
use crate::support::{Bus, Keyring, PASSWORD, Run, Sandbox, Screen, key_of, tool, wait_until};

/// Why `dev` of this sandbox works.
const NAMED: &str = "mfa_agent_keyring_key";

fn credentials(sandbox: &Sandbox) -> String {
    fs::read_to_string(sandbox.home().join(".aws/credentials")).unwrap()
}

/// A desktop with an open keyring.
fn desktop() -> (Sandbox, Bus, Keyring) {
    let mut sandbox = Sandbox::new();
    let bus = Bus::start(&mut sandbox);
    let keyring = Keyring::start(&sandbox, &bus);
    (sandbox, bus, keyring)
}

/// The same, with the key of `dev` in the keyring.
fn moved() -> (Sandbox, Bus, Keyring) {
    let (sandbox, bus, keyring) = desktop();
    let run = sandbox.run(&["keys", "import", "--keyring", "--profile", "dev"]);
    assert_eq!(run.status, 0, "{run:?}");
    (sandbox, bus, keyring)
}

#[track_caller]
fn log_in(sandbox: &Sandbox) -> Run {
    sandbox.run(&["login", "dev", "--code", &sandbox.code(), "--force"])
}

#[test]
fn a_key_moves_from_the_file_into_the_keyring_and_opens_sessions_from_there() {
    let (sandbox, _bus, keyring) = desktop();
    let (id, secret) = (&sandbox.alice.access_key_id, &sandbox.alice.secret_access_key);
    let key = key_of(&sandbox.alice);
    sandbox.write(".aws/credentials", &format!("# mine\n[dev]\n# of alice\n{key}\n[other]\nregion = x\n"));
    let run = sandbox.run(&["keys", "import", "--keyring", "--profile", "dev"]);
    assert_eq!((run.status, run.stdout.as_str()), (0, ""), "{run:?}");
    assert!(run.stderr.contains("is in the keyring now, and out of [dev]"), "{run:?}");
    let expected = format!("# mine\n[dev]\n# of alice\n{NAMED} = {id}\n\n[other]\nregion = x\n");
    assert_eq!(credentials(&sandbox), expected, "all else stays");
    assert_eq!(keyring.lookup("access-key-id", id), *secret, "other programs find it");

    sandbox.log_in("dev");
    let listed = sandbox.run(&["keys", "list"]);
    assert!(listed.stdout.contains("the keyring") && listed.stdout.contains(&id[16..]), "{listed:?}");
    let listed = sandbox.run(&["keys", "list", "--json"]);
    assert!(listed.stdout.contains("\"keyring\": true"), "{listed:?}");
    for run in [&run, &listed, &sandbox.run(&["agent", "log"]), &sandbox.run(&["status", "--json"])] {
        assert!(!run.stdout.contains(secret.as_str()) && !run.stderr.contains(secret.as_str()), "{run:?}");
    }
    // Once more is no harm, and back is a plain import.
    sandbox.write("key.csv", &format!("Access key ID,Secret access key\n{id},{secret}\n"));
    let csv = sandbox.home().join("key.csv");
    let csv = csv.to_str().unwrap();
    let run = sandbox.run(&["keys", "import", csv, "--keyring", "--profile", "dev"]);
    assert_eq!((run.status, credentials(&sandbox)), (0, expected), "{run:?}");
    let run = sandbox.run(&["keys", "import", csv, "--profile", "dev"]);
    assert_eq!(run.status, 0, "{run:?}");
    assert!(credentials(&sandbox).contains(secret) && !credentials(&sandbox).contains(NAMED));
}

#[test]
fn another_key_of_the_profile_stays_unless_it_is_said() {
    let (sandbox, _bus, keyring) = moved();
    let before = credentials(&sandbox);
    let other = "AKIAIOSFODNN7EXAMPLE";
    let secret = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY";
    sandbox.write("key.csv", &format!("Access key ID,Secret access key\n{other},{secret}\n"));
    let csv = sandbox.home().join("key.csv");
    let import = |more: &[&str]| {
        sandbox.run(&[&["keys", "import", csv.to_str().unwrap(), "--profile", "dev"], more].concat())
    };
    for more in [&["--keyring"][..], &[]] {
        check(&import(more), 5, &["another key", "in the keyring", "--force"]);
    }
    assert_eq!((credentials(&sandbox), keyring.lookup("access-key-id", other)), (before, String::new()));
    let run = import(&["--keyring", "--force"]);
    assert_eq!(run.status, 0, "{run:?}");
    assert!(credentials(&sandbox).contains(&format!("{NAMED} = {other}")));
    assert_eq!(keyring.lookup("access-key-id", other), secret);
}

#[test]
fn where_the_keyring_does_not_take_it_the_file_keeps_it() {
    let (sandbox, mut bus, keyring) = desktop();
    let before = credentials(&sandbox);
    let import = || sandbox.run(&["keys", "import", "--keyring", "--profile", "dev"]);
    keyring.lock();
    check(&import(), 6, &["the keyring is locked", "unlock it"]);
    keyring.freeze();
    let run = import();
    // It may be a person who holds it up, before it is known that nobody is there.
    let (first, rest) = run.stderr.split_once('\n').unwrap();
    assert_eq!(first, "mfa-agent: waiting; the keyring may ask for its password, on the desktop");
    check(&Run { stderr: rest.to_owned(), ..run }, 6, &["does not answer"]);
    keyring.thaw();
    drop(keyring);
    check(&import(), 6, &["there is no keyring", "org.freedesktop.secrets"]);
    bus.kill();
    check(&import(), 6, &["there is no keyring", "no session bus"]);
    assert_eq!(credentials(&sandbox), before);
    sandbox.log_in("dev");
}

#[test]
fn a_locked_keyring_is_said_to_be_locked_before_a_code_is_asked_for() {
    let (sandbox, _bus, keyring) = moved();
    keyring.lock();
    // No screen for the keyring's own dialog.
    let terminal = sandbox.terminal(&["env", "dev"]);
    let run = terminal.finish();
    check(&run, 6, &["the keyring is locked, and the key"]);
    assert_eq!(run.stdout, "false\n");
    check(&log_in(&sandbox), 6, &["the keyring is locked"]);
    check(&sandbox.run(&["env", "dev", "--no-prompt"]), 3, &["needs an MFA code"]);
    assert_eq!(sandbox.simulator.calls_of("GetSessionToken").len(), 0);
    keyring.unlock();
    assert_eq!(log_in(&sandbox).status, 0);
    keyring.lock();
    // What is held needs no key.
    assert_eq!(sandbox.run(&["env", "dev", "--no-prompt"]).status, 0);
}

#[test]
fn the_keyrings_own_dialog_unlocks_it_and_holds_nobody_up() {
    let (mut sandbox, bus, keyring) = moved();
    let screen = Screen::start(&mut sandbox);
    let nothing: [&str; 0] = [];
    let mut prompter = sandbox
        .command("/usr/libexec/gcr-prompter", nothing)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    wait_until("the prompter is there", || bus.has_owner("org.gnome.keyring.SystemPrompter"));
    keyring.lock();
    let terminal = sandbox.terminal(&["login", "dev"]);
    // While its dialog is open, others are served.
    wait_until("the dialog is there", || screen.has_window(""));
    let asked = Instant::now();
    assert!(matches!(sandbox.ask(Request::Status), Reply::Status(_)));
    assert!(asked.elapsed() < Duration::from_secs(5));
    let mut keys: Vec<String> = PASSWORD.chars().map(|c| c.to_string().replace('-', "minus")).collect();
    keys.push("Return".to_owned());
    let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
    screen.press("", &keys, || !keyring.is_locked());
    terminal.wait_for("MFA code for dev");
    terminal.type_in(&sandbox.code());
    assert_eq!(terminal.finish().status, 0);
    prompter.kill().unwrap();
    prompter.wait().unwrap();
}

#[test]
fn a_keyring_that_is_silent_or_gone_is_told_and_holds_nobody_else() {
    let (sandbox, _bus, keyring) = moved();
    let started = Instant::now();
    keyring.freeze();
    let mut client = sandbox.client(["login", "dev", "--code", &sandbox.code()]);
    let waiting = client.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    assert!(matches!(sandbox.ask(Request::Status), Reply::Status(_)));
    assert_eq!(sandbox.run(&["profiles"]).status, 0);
    let run: Run = waiting.wait_with_output().unwrap().into();
    check(&run, 6, &["the keyring does not answer"]);
    assert!(started.elapsed() < Duration::from_secs(30));
    keyring.thaw();
    drop(keyring);
    check(&log_in(&sandbox), 6, &["there is no keyring"]);
    // The code was not spent on it.
    assert_eq!(sandbox.simulator.calls_of("GetSessionToken").len(), 0);
}

#[test]
fn a_key_that_is_not_in_the_keyring_is_said_so() {
    let (sandbox, _bus, _keyring) = desktop();
    sandbox.write(".aws/credentials", &format!("[dev]\n{NAMED} = {}\n", sandbox.alice.access_key_id));
    check(&log_in(&sandbox), 5, &["is not in the keyring", "keys import --keyring"]);
}

#[test]
fn where_the_file_has_the_key_no_bus_is_asked() {
    let mut sandbox = Sandbox::new();
    let bus = Bus::start(&mut sandbox);
    let trace = sandbox.home().join("trace");
    let arguments =
        ["-f", "-e", "trace=connect", "-o", trace.to_str().unwrap(), env!("CARGO_BIN_EXE_mfa-agentd")];
    let mut agent = sandbox.command(tool("strace"), arguments).stderr(Stdio::null()).spawn().unwrap();
    sandbox.wait_for_agent();
    sandbox.log_in("dev");
    assert_eq!(sandbox.run(&["keys", "list"]).status, 0);
    assert_eq!(sandbox.run(&["agent", "stop"]).status, 0);
    agent.wait().unwrap();
    let connected = fs::read_to_string(&trace).unwrap();
    assert!(connected.contains("127.0.0.1"), "the trace sees what is connected to");
    let socket = bus.address().replace("unix:path=", "");
    assert!(!connected.contains(&socket), "{connected}");
}

#[test]
fn whoever_listens_on_the_bus_and_whoever_reads_the_agents_memory_finds_no_secret() {
    let (sandbox, bus, _keyring) = desktop();
    let heard = sandbox.home().join("heard");
    let mut monitor = Command::new(tool("dbus-monitor"))
        .args(["--session", "--binary"])
        .env("DBUS_SESSION_BUS_ADDRESS", bus.address())
        .stdout(fs::File::create(&heard).unwrap())
        .spawn()
        .unwrap();
    let holds = |needle: &str| {
        fs::read(&heard).unwrap().windows(needle.len()).any(|window| window == needle.as_bytes())
    };
    // It listens once it hears itself called by others.
    wait_until("the monitor listens", || bus.has_owner("org.freedesktop.secrets") && holds("NameHasOwner"));
    let (id, secret) = (&sandbox.alice.access_key_id, &sandbox.alice.secret_access_key);
    assert_eq!(sandbox.run(&["keys", "import", "--keyring", "--profile", "dev"]).status, 0);
    sandbox.log_in("dev");
    wait_until("it heard of the key", || holds("GetSecret") && holds(id));
    assert!(!holds(secret), "the secret goes over the bus in the clear");
    monitor.kill().unwrap();
    monitor.wait().unwrap();

    let root = rustix::process::geteuid().is_root();
    assert!(root || std::env::var_os("CI").is_none(), "CI runs these tests as root");
    if root {
        let pid = sandbox.agent_pid();
        let mut places = Vec::new();
        wait_until("nothing is left of the secret", || {
            // Both halves: what is freed may be overwritten in part.
            let halves = [&secret.as_bytes()[..20], &secret.as_bytes()[20..]];
            let memory = Memory::read(pid);
            places = halves.iter().flat_map(|half| memory.places(half)).collect();
            places.is_empty()
        });
    }
}

#[test]
fn doctor_tells_of_the_keyring_where_a_key_is_in_it() {
    let (sandbox, _bus, keyring) = moved();
    let doctor = || sandbox.run(&["doctor", "--offline"]).stdout;
    assert!(doctor().lines().any(|line| line.contains("keyring") && line.ends_with("unlocked")));
    keyring.lock();
    assert!(doctor().contains("the keyring is locked"));
    drop(keyring);
    assert!(doctor().contains("there is none here"));
    let named = credentials(&sandbox);
    sandbox.write(".aws/credentials", &format!("{named}{}", key_of(&sandbox.alice)));
    let told = doctor();
    assert!(told.contains("in the clear, and it wins over the keyring's"), "{told}");
    assert!(told.contains("mfa-agent keys import --keyring --force --profile dev"), "{told}");
    sandbox.write(".aws/credentials", &format!("[dev]\n{}", key_of(&sandbox.alice)));
    assert!(!doctor().contains("keyring"), "it is nobody's affair");
}

#[test]
fn doctor_tells_of_a_seed_that_is_of_another_device_or_locked_away() {
    let (sandbox, _bus, keyring) = seeded();
    let doctor = || {
        let shown = sandbox.run(&["doctor", "--offline"]).stdout;
        let lines: Vec<&str> = shown.lines().collect();
        // Of each, what is said and what is behind it.
        let found = lines.iter().enumerate().filter(|(_, line)| line.contains(" seed  "));
        found.map(|(at, line)| format!("{line}\n{}", lines[at + 1])).collect::<Vec<_>>()
    };
    let found = doctor();
    assert!(found.len() == 1 && found[0].starts_with("✓ seed"), "{found:?}");

    let other = sandbox.alice.device("other");
    let before = config(&sandbox);
    sandbox.write(".aws/config", &before.replace(&sandbox.serial, &other));
    let found = doctor();
    assert_eq!(found.len(), 2, "{found:?}");
    let words = format!("the keyring has none of it, but that of {}", sandbox.serial);
    assert!(found[0].starts_with("! seed") && found[0].contains(&words), "{found:?}");
    assert!(found[0].ends_with("  hint: mfa-agent device seed --profile dev"), "{found:?}");
    assert!(found[1].contains(&format!("keeps the seed of {}, which no profile names", sandbox.serial)));
    // Both commands mend it.
    assert_eq!(store_seed(&sandbox, &sandbox.simulator.seed(&other)).status, 0);
    let (_, clear) = found[1].split_once("  hint: ").unwrap();
    assert_eq!(clear, format!("secret-tool clear service mfa-agent mfa-serial {}", sandbox.serial));
    assert_eq!(Run::of(&mut sandbox.command(tool("bash"), ["-c", clear])).status, 0);
    let found = doctor();
    assert!(found.len() == 1 && found[0].starts_with("✓ seed"), "{found:?}");

    keyring.lock();
    let found = doctor();
    assert!(found.len() == 1 && found[0].contains("the keyring that has it is locked"), "{found:?}");
    assert!(found[0].starts_with("! seed"), "{found:?}");
    keyring.unlock();
    assert!(doctor()[0].starts_with("✓ seed"));
}

/// The same desktop, with the seed of the device of `dev` in the keyring.
fn seeded() -> (Sandbox, Bus, Keyring) {
    let (sandbox, bus, keyring) = desktop();
    let run = store_seed(&sandbox, &sandbox.simulator.seed(&sandbox.serial));
    assert_eq!((run.status, run.stdout.as_str()), (0, ""), "{run:?}");
    (sandbox, bus, keyring)
}

fn store_seed(sandbox: &Sandbox, seed: &str) -> Run {
    let mut client = sandbox.client(["device", "seed", "--stdin", "--yes", "--profile", "dev"]);
    let mut client =
        client.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    client.stdin.take().unwrap().write_all(format!("{seed}\n").as_bytes()).unwrap();
    client.wait_with_output().unwrap().into()
}

fn config(sandbox: &Sandbox) -> String {
    fs::read_to_string(sandbox.home().join(".aws/config")).unwrap()
}

/// Whether a file below a folder has this in it.
pub fn is_in_files(folder: &Path, needle: &str) -> Option<PathBuf> {
    fs::read_dir(folder).unwrap().map(|entry| entry.unwrap()).find_map(|entry| {
        let kind = entry.file_type().unwrap();
        if kind.is_dir() {
            return is_in_files(&entry.path(), needle);
        }
        let has = |text: Vec<u8>| text.windows(needle.len()).any(|window| window == needle.as_bytes());
        (kind.is_file() && has(fs::read(entry.path()).unwrap())).then(|| entry.path())
    })
}

#[test]
fn a_seed_in_the_keyring_gives_the_codes_and_stays_nowhere_else() {
    let (sandbox, _bus, keyring) = desktop();
    let seed = sandbox.simulator.seed(&sandbox.serial);
    let run = store_seed(&sandbox, &format!("otpauth://totp/AWS:alice?secret={seed}&issuer=AWS"));
    assert_eq!((run.status, run.stdout.as_str()), (0, ""), "{run:?}");
    assert!(run.stderr.contains("whoever can open your keyring can make codes"), "{run:?}");
    assert!(config(&sandbox).contains("mfa_agent_keyring_seed = true"), "{}", config(&sandbox));
    assert!(keyring.lookup("mfa-serial", &sandbox.serial).contains(&seed));
    check(&sandbox.run(&["env", "dev", "--no-prompt"]), 3, &["needs an MFA code"]);
    assert_eq!(sandbox.simulator.calls_of("GetSessionToken").len(), 0, "nothing is done unasked");

    let code = sandbox.code();
    let login = sandbox.run(&["login", "dev"]);
    assert_eq!(login.status, 0, "{login:?}");
    let log = sandbox.run(&["agent", "log"]);
    assert!(log.stdout.contains(&format!("seed of {}: a new session", sandbox.serial)), "{log:?}");
    for run in [&run, &login, &log, &sandbox.run(&["status", "--json"])] {
        assert!(!run.stdout.contains(&seed) && !run.stderr.contains(&seed), "{run:?}");
    }
    assert!(is_in_files(&sandbox.home(), "alice").is_some(), "the search finds what is there");
    assert_eq!(is_in_files(&sandbox.home(), &seed), None);
    if is_root() {
        let bytes = decoded(&seed);
        let needles = [("the seed", seed), ("the code", code)];
        let found = left_in_memory(sandbox.agent_pid(), &needles);
        assert!(found.is_empty(), "{found:?}");
        // As it goes into HMAC, too: padded, it is one block of its hash (RFC 2104).
        let memory = Memory::read(sandbox.agent_pid());
        for pad in [0, 0x36, 0x5c] {
            let found = memory.places(&bytes.iter().map(|byte| byte ^ pad).collect::<Vec<_>>());
            assert!(found.is_empty(), "the bytes of the seed, with {pad:#x}: {found:?}");
        }
    }
}

/// What a base32 text stands for (RFC 4648), in whole bytes.
pub fn decoded(base32: &str) -> Vec<u8> {
    let bits = base32.bytes().flat_map(|byte| {
        let value = if byte.is_ascii_digit() { byte - b'2' + 26 } else { byte - b'A' };
        (0..5).rev().map(move |bit| value >> bit & 1)
    });
    let bits: Vec<_> = bits.collect();
    bits.chunks_exact(8).map(|bits| bits.iter().fold(0, |byte, bit| byte << 1 | bit)).collect()
}

#[test]
fn a_code_of_the_seed_that_was_used_is_followed_by_the_next_and_a_clock_that_is_off_is_read() {
    let (sandbox, _bus, _keyring) = seeded();
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    // Two minutes off, near the end of a half minute.
    sandbox.simulator.set_offset(120 + 24 - i64::try_from(now % 30).unwrap());
    assert_eq!(sandbox.run(&["login", "dev"]).status, 0);
    let calls = sandbox.simulator.calls_of("GetSessionToken").len();
    assert_eq!(calls, 2, "the first answer told the time");
    let run = sandbox.run(&["login", "dev", "--force"]);
    assert_eq!(run.status, 0, "{run:?}");
    assert_eq!(sandbox.simulator.calls_of("GetSessionToken").len(), 3);
}

#[test]
fn a_locked_keyring_is_told_and_a_person_is_asked_for_the_code() {
    let (sandbox, _bus, keyring) = seeded();
    keyring.lock();
    check(&sandbox.run(&["env", "dev"]), 3, &["the keyring is locked, and the seed of"]);
    let terminal = sandbox.terminal(&["login", "dev"]);
    terminal.wait_for("MFA code for dev");
    assert!(terminal.shows("the keyring is locked, and the seed of"));
    terminal.type_in(&sandbox.code());
    assert_eq!(terminal.finish().status, 0);
}

#[test]
fn a_seed_is_forgotten_and_what_is_none_is_not_stored() {
    let (sandbox, _bus, keyring) = seeded();
    let held = keyring.lookup("mfa-serial", &sandbox.serial);
    for (text, words) in
        [("123456", "no base32"), ("GEZDGNBV", "too short"), ("otpauth://hotp/a?secret=x", "totp")]
    {
        let run = store_seed(&sandbox, text);
        // After what it gives up.
        let (_, refusal) = run.stderr.split_once('\n').unwrap();
        check(&Run { stderr: refusal.to_owned(), ..run }, 2, &["no seed", words]);
    }
    assert_eq!(keyring.lookup("mfa-serial", &sandbox.serial), held);
    let before = config(&sandbox);
    let run = sandbox.run(&["device", "seed", "--forget", "--profile", "dev"]);
    assert_eq!(run.status, 0, "{run:?}");
    assert_eq!(keyring.lookup("mfa-serial", &sandbox.serial), "");
    assert!(before.contains("keyring_seed") && !config(&sandbox).contains("keyring_seed"));
    check(&sandbox.run(&["env", "dev"]), 3, &["needs an MFA code"]);
    sandbox.write(".aws/config", &before);
    check(&sandbox.run(&["env", "dev"]), 3, &["the seed of", "is not in the keyring"]);
    assert_eq!(sandbox.simulator.calls_of("GetSessionToken").len(), 0);
}

#[test]
fn who_is_asked_types_the_seed_unseen_or_says_no() {
    let (sandbox, _bus, keyring) = desktop();
    let seed = sandbox.simulator.seed(&sandbox.serial);
    let no = sandbox.terminal(&["device", "seed", "--profile", "dev"]);
    no.wait_for("[y/N]");
    no.type_in("n\n");
    assert_ne!(no.finish().status, 0);
    assert_eq!(keyring.lookup("mfa-serial", &sandbox.serial), "");
    let yes = sandbox.terminal(&["device", "seed", "--profile", "dev"]);
    yes.wait_for("[y/N]");
    assert!(yes.shows("whoever can open your keyring"));
    yes.type_in("y\n");
    yes.wait_for("Seed, or otpauth:// line");
    yes.type_in(&format!("{seed}\n"));
    yes.wait_for("is in the keyring now");
    assert!(!yes.shows(&seed));
    assert_eq!(yes.finish().status, 0);
    assert_eq!(sandbox.run(&["login", "dev"]).status, 0);
}
