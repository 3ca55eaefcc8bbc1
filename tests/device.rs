//! `mfa-agent device`: a user's MFA devices, from the first one on.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::Duration;

use aws_simulator::{Fault, User};
use protocol::{Ask, IamAnswer, IamCall, Refusal, Reply, Request, Secret, Signed};

use crate::errors::check;
use crate::secrets::{is_root, left_in_memory, seed_in_memory};
use crate::support::{ACCOUNT, Run, Sandbox, Screen, key_of, tool, wait_until};

/// The actions that AWS was asked for since the last look.
fn called(sandbox: &Sandbox) -> Vec<String> {
    let actions = sandbox.simulator.calls().into_iter().map(|call| call.action).collect();
    sandbox.simulator.clear_calls();
    actions
}

#[test]
fn devices_are_listed_with_the_key_alone() {
    let sandbox = Sandbox::new();
    sandbox.alice.hardware_device("GAHT12345678");
    let run = sandbox.run(&["device", "list", "--profile", "dev"]);
    assert_eq!((run.status, run.stderr.as_str()), (0, ""), "{run:?}");
    let rows: Vec<Vec<&str>> =
        run.stdout.lines().map(|line| line.split_ascii_whitespace().collect()).collect();
    let today = rows[2][2];
    assert_eq!(rows[0], ["DEVICE", "KIND", "SINCE"]);
    assert_eq!(rows[1..], [vec!["GAHT12345678", "token", today], vec![&sandbox.serial, "app", today]]);
    assert_eq!(called(&sandbox), ["GetCallerIdentity", "ListMFADevices", "ListVirtualMFADevices"]);

    let json = sandbox.run(&["device", "list", "--profile", "dev", "--json"]);
    let json: serde_json::Value = serde_json::from_str(&json.stdout).unwrap();
    assert_eq!(json[1]["serial"], sandbox.serial.as_str());
    assert!(json[1]["enabled_at"].as_i64().unwrap() <= sandbox.simulator.now());
}

#[test]
fn who_may_not_look_without_mfa_is_asked_for_a_code() {
    let sandbox = Sandbox::new();
    sandbox.alice.deny("iam:ListMFADevices");
    let run = sandbox.run(&["device", "list", "--profile", "dev"]);
    check(&run, 3, &["MFA code"]);
    called(&sandbox);
    let terminal = sandbox.terminal(&["device", "list", "--profile", "dev"]);
    terminal.wait_for("MFA code for dev");
    sandbox.alice.allow("iam:ListMFADevices");
    terminal.type_in(&sandbox.code());
    let run = terminal.finish();
    assert!(run.status == 0 && run.stdout.contains(&sandbox.serial), "{run:?}");
    let calls = sandbox.simulator.calls();
    let list = calls.iter().rfind(|call| call.action == "ListMFADevices").unwrap();
    assert_ne!(list.access_key_id, Some(sandbox.alice.access_key_id.clone()), "the session signs");
}

#[test]
fn a_key_that_no_file_has_is_proved_and_stays_nowhere() {
    let sandbox = Sandbox::new();
    let bob = sandbox.simulator.user(ACCOUNT, "bob");
    sandbox.run(&["agent", "start"]);
    let ask = |profile: &str, secret: &str| {
        sandbox.ask(Request::Iam {
            profile: Some(profile.to_owned()),
            call: IamCall::GetUser { user: None },
            signed: Signed::Key {
                access_key_id: bob.access_key_id.clone(),
                secret_access_key: Secret::new(secret.to_owned()),
            },
            ask: Ask::Never,
        })
    };
    for profile in ["dev", "not-there-yet"] {
        match ask(profile, &bob.secret_access_key) {
            Reply::Iam { profile: signer, answer: IamAnswer::User(user) } => {
                assert_eq!((signer.as_str(), user.name.as_str()), (profile, "bob"));
            }
            other => panic!("{other:?}"),
        }
    }
    match ask("dev", "wrong") {
        Reply::Refused(Refusal::Aws { action, code, .. }) => {
            assert_eq!((action.as_str(), code.as_str()), ("iam:GetUser", "SignatureDoesNotMatch"));
        }
        other => panic!("{other:?}"),
    }
    if is_root() {
        let needles = [("the secret", bob.secret_access_key.clone())];
        assert_eq!(left_in_memory(sandbox.agent_pid(), &needles), []);
    }
}

#[test]
fn a_role_leads_to_the_user_behind_it() {
    let sandbox = Sandbox::new();
    let config = format!(
        "[profile dev]\nregion = eu-central-1\n[profile ops]\nsource_profile = dev\nmfa_serial = {}\n\
         role_arn = arn:aws:iam::{ACCOUNT}:role/ops\nduration_seconds = 7200\n",
        sandbox.serial
    );
    sandbox.write(".aws/config", &config);
    let run = sandbox.run(&["device", "list", "--profile", "ops"]);
    assert!(run.status == 0 && run.stdout.contains(&sandbox.serial), "{run:?}");
}

#[test]
fn a_locked_agent_calls_nothing() {
    let sandbox = Sandbox::new();
    sandbox.log_in("dev");
    sandbox.run(&["lock"]);
    called(&sandbox);
    let run = sandbox.run(&["device", "list", "--profile", "dev"]);
    check(&run, 6, &["locked"]);
    assert_eq!(called(&sandbox), [""; 0]);
}

#[test]
fn a_device_that_cannot_be_one_is_in_nobodys_way() {
    let sandbox = Sandbox::new();
    sandbox.write(".aws/config", &format!("[profile dev]\nmfa_serial = arn:aws:iam::{ACCOUNT}:user/alice\n"));
    sandbox.write(".aws/credentials", &format!("[dev]\n{}", key_of(&sandbox.alice)));
    let run = sandbox.run(&["device", "list", "--profile", "dev"]);
    assert_eq!(run.status, 0, "{run:?}");
}

/// A user with a key and no device, and whose profile names none.
fn newcomer() -> (Sandbox, User) {
    let sandbox = Sandbox::new();
    let bob = sandbox.simulator.user(ACCOUNT, "bob");
    sandbox.write(".aws/config", "# mine\n[profile dev]\nregion = eu-central-1 \n");
    sandbox.write(".aws/credentials", &format!("[dev]\n{}", key_of(&bob)));
    (sandbox, bob)
}

fn serial(name: &str) -> String {
    format!("arn:aws:iam::{ACCOUNT}:mfa/{name}")
}

/// The device's codes of now and of the next half minute.
fn pair(sandbox: &Sandbox, serial: &str) -> [String; 2] {
    [0, 1].map(|step| sandbox.simulator.code_at(serial, step))
}

fn config(sandbox: &Sandbox) -> String {
    fs::read_to_string(sandbox.home().join(".aws/config")).unwrap()
}

/// The account's devices, but for that of the sandbox's alice: names, and whether they are enabled.
fn devices(sandbox: &Sandbox) -> Vec<(String, bool)> {
    let devices = sandbox.simulator.devices().into_iter().filter(|(serial, _)| *serial != sandbox.serial);
    devices.map(|(serial, enabled)| (serial.rsplit('/').next().unwrap().to_owned(), enabled)).collect()
}

/// `device add --stdin`, up to the line that it prints.
struct Adding {
    client: Child,
    stdout: BufReader<ChildStdout>,
    line: String,
}

impl Adding {
    fn start(sandbox: &Sandbox, options: &[&str]) -> Self {
        let arguments = [&["device", "add", "--profile", "dev", "--stdin"][..], options].concat();
        let mut client = sandbox
            .client(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stdout = BufReader::new(client.stdout.take().unwrap());
        let mut line = String::new();
        stdout.read_line(&mut line).unwrap();
        Self { client, stdout, line: line.trim_end().to_owned() }
    }

    /// Gives it codes, and waits for its end.
    fn codes(mut self, codes: &[String]) -> Run {
        // It may have ended without reading.
        let _ = self.client.stdin.take().unwrap().write_all((codes.join("\n") + "\n").as_bytes());
        let mut rest = String::new();
        self.stdout.read_to_string(&mut rest).unwrap();
        let mut run: Run = self.client.wait_with_output().unwrap().into();
        run.stdout = rest;
        run
    }
}

/// Adds a device of this name, and says what that ended with.
fn add(sandbox: &Sandbox, name: &str, options: &[&str]) -> Run {
    let adding = Adding::start(sandbox, options);
    let known = sandbox.simulator.devices().iter().any(|(known, _)| *known == serial(name));
    let codes = if known { pair(sandbox, &serial(name)).to_vec() } else { Vec::new() };
    adding.codes(&codes)
}

#[test]
fn a_first_device_is_made_enabled_and_written_where_the_session_finds_it() {
    let (sandbox, _) = newcomer();
    let adding = Adding::start(&sandbox, &[]);
    let line = adding.line.clone();
    let expected = format!(
        "otpauth://totp/AWS:bob@{ACCOUNT}?secret={}&issuer=AWS",
        sandbox.simulator.seed(&serial("bob"))
    );
    assert_eq!(line, expected);
    let codes = pair(&sandbox, &serial("bob"));
    let run = adding.codes(&codes);
    assert_eq!((run.status, run.stdout.as_str()), (0, ""), "{run:?}");
    assert!(run.stderr.contains("bob is an MFA device of bob now\n"), "{run:?}");
    assert!(run.stderr.ends_with("next: mfa-agent login dev, with the code after these two\n"), "{run:?}");
    assert_eq!(devices(&sandbox), [("bob".to_owned(), true)]);
    let written = format!("# mine\n[profile dev]\nregion = eu-central-1 \nmfa_serial = {}\n", serial("bob"));
    assert_eq!(config(&sandbox), written);
    // Nothing without MFA but what the policy lets through.
    let calls = sandbox.simulator.calls();
    assert!(calls.iter().all(|call| call.status == Some(200)), "{calls:?}");

    // The codes are used up, and the agent knows it.
    check(&sandbox.run(&["login", "dev", "--code", &codes[1]]), 4, &["used"]);
    sandbox.simulator.advance(Duration::from_mins(1));
    let code = sandbox.simulator.unused_code(&serial("bob")).unwrap();
    assert_eq!(sandbox.run(&["login", "dev", "--code", &code]).status, 0);

    // Again is no other one.
    called(&sandbox);
    let again = Adding::start(&sandbox, &[]).codes(&[]);
    assert_eq!((again.status, again.stdout.as_str()), (0, ""), "{again:?}");
    assert!(again.stderr.contains("bob has bob already"), "{again:?}");
    assert_eq!(called(&sandbox), ["GetCallerIdentity", "ListMFADevices"]);
    assert_eq!(config(&sandbox), written);

    if is_root() {
        let seed = line.split(['=', '&']).nth(1).unwrap();
        assert_eq!(seed.len(), 64);
        assert_eq!(left_in_memory(sandbox.agent_pid(), &[("the seed", seed.to_owned())]), []);
    }
}

#[test]
fn a_person_scans_and_types_and_the_terminal_keeps_nothing() {
    let (sandbox, _) = newcomer();
    let terminal = sandbox.terminal(&["device", "add", "--profile", "dev"]);
    terminal.wait_for("Code of bob:");
    assert!(terminal.shows("▄") && !terminal.shows("otpauth://"), "a picture alone");
    let seed = sandbox.simulator.seed(&serial("bob"));
    let grouped = |text: &str| {
        text.as_bytes()
            .chunks(4)
            .map(|four| String::from_utf8_lossy(four).into_owned())
            .collect::<Vec<_>>()
            .join(" ")
    };
    terminal.type_in("s");
    terminal.wait_for(&grouped(&seed[..32]));
    terminal.wait_for(&format!("?secret={seed}&issuer=AWS"));
    let shown = terminal.screen().len();
    terminal.type_in("s");
    terminal.wait_for_after(shown, "▄");
    terminal.wait_for_after(shown, "Code of bob:");
    // Two that are none in a row.
    let shown = terminal.screen().len();
    terminal.type_in(&sandbox.simulator.code_at(&serial("bob"), 0));
    terminal.wait_for_after(shown, "The next code:");
    terminal.wait_for_after(shown, "it comes in");
    terminal.type_in(&sandbox.simulator.code_at(&serial("bob"), 0));
    terminal.wait_for_after(shown, "that is the same code; the next one comes in");
    terminal.type_in(&sandbox.simulator.code_at(&serial("bob"), 5));
    terminal.wait_for_after(shown, "AWS did not take these two");
    let shown = terminal.screen().len();
    let [first, second] = pair(&sandbox, &serial("bob"));
    terminal.wait_for_after(shown, "Code of bob:");
    terminal.type_in(&first);
    terminal.wait_for_after(shown, "The next code:");
    terminal.type_in(&second);
    let run = terminal.finish();
    assert_eq!((run.status, run.stdout.as_str()), (0, ""), "{run:?}");
    let (_, after) = run.stderr.rsplit_once("\x1b[?1049l").unwrap();
    assert!(after.contains("bob is an MFA device of bob now"), "{after:?}");
    let (screen, erased) =
        run.stderr[..run.stderr.len() - after.len()].rsplit_once("\x1b[1;1H\x1b[2K").unwrap();
    assert!(screen.contains("\x1b[?1049h") && !erased.contains('▄'), "{erased:?}");
    assert_eq!(erased.matches("\x1b[2K").count(), 23, "every line");
}

#[test]
fn who_stops_leaves_nothing_behind_where_that_may_be() {
    for policy in [false, true] {
        let (sandbox, bob) = newcomer();
        bob.must_use_mfa(policy);
        let terminal = sandbox.terminal(&["device", "add", "--profile", "dev"]);
        terminal.wait_for("Code of bob:");
        let before = terminal.modes().local_modes;
        terminal.type_in("\x03");
        let run = terminal.finish();
        assert!(!before.contains(rustix::termios::LocalModes::ECHO));
        assert_eq!(run.status, 130, "{run:?}");
        let left = if policy { vec![("bob".to_owned(), false)] } else { vec![] };
        assert_eq!(devices(&sandbox), left);
        assert!(!config(&sandbox).contains("mfa_serial"));
    }
}

#[test]
fn a_kill_at_any_call_and_another_run_end_in_one_device() {
    let actions = [
        "GetCallerIdentity",
        "ListMFADevices",
        "ListVirtualMFADevices",
        "CreateVirtualMFADevice",
        "EnableMFADevice",
    ];
    for policy in [false, true] {
        for action in actions {
            let (sandbox, bob) = newcomer();
            bob.must_use_mfa(policy);
            let hold = sandbox.simulator.hold(action);
            let mut client = sandbox
                .client(["device", "add", "--profile", "dev", "--stdin"])
                .stdin(Stdio::piped())
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn()
                .unwrap();
            if action == "EnableMFADevice" {
                wait_until("it is made", || !devices(&sandbox).is_empty());
                let codes = pair(&sandbox, &serial("bob")).join("\n") + "\n";
                client.stdin.as_ref().unwrap().write_all(codes.as_bytes()).unwrap();
            }
            assert!(sandbox.simulator.wait_for_calls(action, 1, Duration::from_secs(20)), "{action}");
            client.kill().unwrap();
            client.wait().unwrap();
            hold.release();
            // The agent carries out what it began to change.
            let changes = |call: &&aws_simulator::Call| {
                ["CreateVirtualMFADevice", "EnableMFADevice"].contains(&&*call.action)
            };
            let answered = |calls: &[aws_simulator::Call]| {
                calls.iter().filter(changes).all(|call| call.status.is_some())
            };
            assert!(sandbox.simulator.wait_until(Duration::from_secs(20), answered), "{action}");

            let name = if action == "CreateVirtualMFADevice" && policy { "bob-2" } else { "bob" };
            let run = add(&sandbox, name, &["--yes"]);
            assert_eq!(run.status, 0, "{action}: {run:?}");
            let mut expected = vec![(name.to_owned(), true)];
            if name != "bob" {
                assert!(run.stderr.contains("AWS lets bob be deleted with MFA alone"), "{run:?}");
                expected.insert(0, ("bob".to_owned(), false));
            }
            assert_eq!(devices(&sandbox), expected, "{action} {policy}");
            assert!(config(&sandbox).contains(&format!("mfa_serial = {}\n", serial(name))), "{action}");
            if name != "bob" {
                // With the new one, what is left of the old one goes.
                let list = sandbox.run(&["device", "list", "--profile", "dev"]).stdout;
                assert!(
                    list.lines().any(|line| line.contains(&serial("bob")) && line.contains("never enabled")),
                    "{list}"
                );
                sandbox.simulator.advance(Duration::from_mins(1));
                let code = sandbox.simulator.unused_code(&serial(name)).unwrap();
                assert_eq!(sandbox.run(&["login", "dev", "--code", &code]).status, 0);
                let run = sandbox.run(&["device", "remove", "bob", "--profile", "dev", "--yes"]);
                assert_eq!(run.status, 0, "{run:?}");
                assert_eq!(devices(&sandbox), [(name.to_owned(), true)]);
            }
        }
    }
}

#[test]
fn what_was_made_and_never_enabled_is_finished_by_who_has_its_key() {
    let (sandbox, bob) = newcomer();
    bob.must_use_mfa(true);
    let mut adding = Adding::start(&sandbox, &[]);
    adding.client.kill().unwrap();
    adding.client.wait().unwrap();
    let unasked = Adding::start(&sandbox, &[]).codes(&[]);
    check(&unasked, 2, &["bob was made before and never enabled", "--yes"]);
    let terminal = sandbox.terminal(&["device", "activate", "bob", "--profile", "dev"]);
    terminal.wait_for("Code of bob:");
    for code in pair(&sandbox, &serial("bob")) {
        let shown = terminal.screen().len();
        terminal.type_in(&code);
        terminal.wait_for_any_after(shown, &["The next code:", "bob is an MFA device"]);
    }
    let run = terminal.finish();
    assert_eq!(run.status, 0, "{run:?}");
    assert_eq!(devices(&sandbox), [("bob".to_owned(), true)]);
    assert!(config(&sandbox).contains("mfa_serial"));
    let again = sandbox.run(&["device", "activate", "bob", "--profile", "dev"]);
    assert!(again.status == 0 && again.stderr.contains("bob is enabled already"), "{again:?}");
}

/// Runs a command of `device` that takes two codes from stdin.
fn with_codes(sandbox: &Sandbox, verb: &str, device: &str, codes: &[String]) -> Run {
    let mut client = sandbox
        .client(["device", verb, device, "--profile", "dev", "--stdin"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let _ = client.stdin.take().unwrap().write_all((codes.join("\n") + "\n").as_bytes());
    client.wait_with_output().unwrap().into()
}

#[test]
fn a_hardware_token_is_enabled_set_right_and_taken_away() {
    let (sandbox, _) = newcomer();
    sandbox.simulator.token("GAHT12345678");
    let off = |steps: i64| [steps, steps + 1].map(|step| sandbox.simulator.code_at("GAHT12345678", step));
    check(&with_codes(&sandbox, "activate", "GAHT00000000", &off(0)), 4, &["NoSuchEntity", "GAHT00000000"]);
    check(&with_codes(&sandbox, "activate", "GAHT12345678", &off(9)), 4, &["did not take these two codes"]);
    let run = with_codes(&sandbox, "activate", "GAHT12345678", &off(0));
    assert_eq!(run.status, 0, "{run:?}");
    assert!(config(&sandbox).contains("mfa_serial = GAHT12345678\n"), "{}", config(&sandbox));

    // Its clock runs ahead.
    let ahead = sandbox.simulator.code_at("GAHT12345678", 20);
    check(&sandbox.run(&["login", "dev", "--code", &ahead]), 4, &["did not accept the code of GAHT12345678"]);
    let run = with_codes(&sandbox, "resync", "GAHT12345678", &off(20));
    assert_eq!(run.status, 0, "{run:?}");
    let ahead = sandbox.simulator.code_at("GAHT12345678", 22);
    assert_eq!(sandbox.run(&["login", "dev", "--code", &ahead]).status, 0);

    let run = sandbox.run(&["device", "remove", "GAHT12345678", "--profile", "dev", "--yes"]);
    assert_eq!(run.status, 0, "{run:?}");
    assert_eq!(sandbox.simulator.calls_of("DeleteVirtualMFADevice").len(), 0);
    assert_eq!(config(&sandbox), "# mine\n[profile dev]\nregion = eu-central-1 \n");
}

#[test]
fn a_device_is_removed_by_a_session_and_the_last_one_not_unwarned() {
    let sandbox = Sandbox::new();
    let before = config(&sandbox);
    let unasked = sandbox.run(&["device", "remove", "alice", "--profile", "dev"]);
    check(&unasked, 2, &["--yes"]);
    let terminal = sandbox.terminal(&["device", "remove", "alice", "--profile", "dev"]);
    terminal.wait_for("alice has no other device");
    terminal.wait_for("Remove alice? [y/N]");
    terminal.type_in("n\n");
    assert_eq!(terminal.finish().status, 130);
    assert_eq!(config(&sandbox), before);
    let denied = sandbox.run(&["device", "remove", "alice", "--profile", "dev", "--yes", "--long-term"]);
    check(&denied, 4, &["iam:DeactivateMFADevice"]);

    // Killed between the two calls, and run again: the session is still there.
    let hold = sandbox.simulator.hold("DeleteVirtualMFADevice");
    let terminal = sandbox.terminal(&["device", "remove", "alice", "--profile", "dev"]);
    terminal.wait_for("[y/N]");
    terminal.type_in("y\n");
    terminal.wait_for("MFA code for dev");
    terminal.type_in(&sandbox.code());
    assert!(sandbox.simulator.wait_for_calls("DeleteVirtualMFADevice", 1, Duration::from_secs(20)));
    let mut terminal = terminal;
    terminal.kill();
    hold.release();
    assert!(config(&sandbox).contains("mfa_serial"));
    let run = sandbox.run(&["device", "remove", "alice", "--profile", "dev", "--yes"]);
    assert_eq!(run.status, 0, "{run:?}");
    assert!(sandbox.simulator.devices().is_empty());
    assert!(!config(&sandbox).contains("mfa_serial"), "{}", config(&sandbox));
    let gone = sandbox.run(&["device", "remove", "alice", "--profile", "dev", "--yes"]);
    check(&gone, 5, &["no MFA device alice"]);
    // Who lost it may take it away with the key alone, where no policy is in the way.
    let (sandbox, bob) = newcomer();
    bob.must_use_mfa(false);
    bob.device("lost");
    let run = sandbox.run(&["device", "remove", "lost", "--profile", "dev", "--yes", "--long-term"]);
    assert!(run.status == 0 && devices(&sandbox).is_empty(), "{run:?}");
}

#[test]
fn another_device_leaves_the_profile_its_own() {
    let sandbox = Sandbox::new();
    let before = config(&sandbox);
    sandbox.alice.hardware_device(&format!("arn:aws:iam::{ACCOUNT}:u2f/user/alice/key"));
    let run = add(&sandbox, "tablet", &["--name", "tablet"]);
    assert_eq!(run.status, 0, "{run:?}");
    assert!(run.stderr.contains(&format!("stays {}", sandbox.serial)), "{run:?}");
    assert_eq!(config(&sandbox), before);
    let list = sandbox.run(&["device", "list", "--profile", "dev"]);
    assert!(list.stdout.contains("security key") && list.stderr.contains("STS takes no codes"), "{list:?}");
    for number in 0..5 {
        sandbox.alice.device(&format!("more-{number}"));
    }
    check(&add(&sandbox, "ninth", &["--name", "ninth"]), 4, &["8 MFA devices"]);
    assert_eq!(sandbox.simulator.calls_of("CreateVirtualMFADevice").len(), 1);
    // A name that somebody else's device has.
    let (sandbox, _) = newcomer();
    check(&add(&sandbox, "alice", &["--name", "alice"]), 4, &["has an MFA device alice already", "--name"]);
}

#[test]
fn a_stale_device_in_the_profile_is_replaced_and_aws_mfas_section_gets_its_own() {
    let (sandbox, bob) = newcomer();
    sandbox.write(".aws/config", &format!("[profile dev]\nmfa_serial = {}\n", serial("old-phone")));
    assert_eq!(add(&sandbox, "bob", &[]).status, 0);
    assert_eq!(config(&sandbox), format!("[profile dev]\nmfa_serial = {}\n", serial("bob")));

    sandbox.write(".aws/config", "");
    sandbox.write(".aws/credentials", &format!("[dev-long-term]\n{}", key_of(&bob)));
    assert_eq!(add(&sandbox, "bob", &[]).status, 0);
    assert_eq!(config(&sandbox), "");
    let credentials = fs::read_to_string(sandbox.home().join(".aws/credentials")).unwrap();
    assert!(credentials.ends_with(&format!("aws_mfa_device = {}\n", serial("bob"))), "{credentials}");
}

#[test]
fn a_lost_answer_is_looked_up_and_nothing_is_done_twice() {
    let (sandbox, _) = newcomer();
    let adding = Adding::start(&sandbox, &[]);
    sandbox.simulator.fault(Fault::DropAfter.on("EnableMFADevice"));
    let run = adding.codes(&pair(&sandbox, &serial("bob")));
    assert_eq!(run.status, 0, "{run:?}");
    assert_eq!(sandbox.simulator.calls_of("EnableMFADevice").len(), 1);
    let (sandbox, _) = newcomer();
    sandbox.simulator.fault(Fault::DropAfter.on("CreateVirtualMFADevice"));
    let run = add(&sandbox, "bob", &[]);
    assert_eq!(run.status, 7, "{run:?}");
    assert_eq!(sandbox.simulator.calls_of("CreateVirtualMFADevice").len(), 1);
}

#[test]
fn a_seed_stays_in_the_clients_memory_no_longer_than_it_is_shown() {
    if !is_root() {
        return;
    }
    // While it waits for the codes of a line that was printed, nobody needs it any more.
    let (sandbox, _) = newcomer();
    let adding = Adding::start(&sandbox, &[]);
    let seed = adding.line.split(['=', '&']).nth(1).unwrap().to_owned();
    let pid = i32::try_from(adding.client.id()).unwrap();
    let mut found = Vec::new();
    wait_until(&format!("no seed: {found:?}"), || {
        found = seed_in_memory(pid, &seed);
        found.is_empty()
    });
    assert_eq!(adding.codes(&pair(&sandbox, &serial("bob"))).status, 0);

    // On the screen, key s shows it in the other form: so there it is, once.
    let (sandbox, _) = newcomer();
    let terminal = sandbox.terminal(&["device", "add", "--profile", "dev"]);
    terminal.wait_for("Code of bob:");
    let seed = sandbox.simulator.seed(&serial("bob"));
    for _ in 0..3 {
        let shown = terminal.screen().len();
        let mut found = Vec::new();
        wait_until("one seed", || {
            found = seed_in_memory(terminal.pid(), &seed);
            // Its two halves.
            found.len() == 2
        });
        terminal.type_in("s");
        terminal.wait_for_after(shown, "Code of bob:");
    }
    terminal.type_in("\x03");
    assert_eq!(terminal.finish().status, 130);
}

/// What a decoder of QR codes sees on a screen.
fn decoded(picture: &Path) -> String {
    let mut command = Command::new(tool("zbarimg"));
    let output = command.args(["--quiet", "--raw", "-Sdisable", "-Sqrcode.enable"]).arg(picture).output();
    String::from_utf8_lossy(&output.unwrap().stdout).trim().to_owned()
}

/// The codes of now and of the next half minute that an authenticator makes of a line.
fn authenticator(line: &str) -> Vec<String> {
    let seed = line.split(['=', '&']).nth(1).unwrap();
    // Through stdin: this is a seed.
    let mut oathtool = Command::new(tool("oathtool"))
        .args(["--totp", "--base32", "--window", "1", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    oathtool.stdin.take().unwrap().write_all(seed.as_bytes()).unwrap();
    let output = oathtool.wait_with_output().unwrap();
    String::from_utf8_lossy(&output.stdout).lines().map(str::to_owned).collect()
}

#[test]
fn a_camera_before_a_terminal_of_either_kind_reads_the_picture() {
    for (background, foreground) in [("black", "white"), ("white", "black"), ("#fdf6e3", "#657b83")] {
        let (mut sandbox, _) = newcomer();
        let screen = Screen::start(&mut sandbox);
        let font = ["-fa", "DejaVu Sans Mono", "-fs", "11", "-geometry", "80x24", "-T", "enrolment"];
        let script = "\"$0\" device add --profile dev; echo $? >\"$HOME/status\"";
        let command = ["-e", "sh", "-c", script, env!("CARGO_BIN_EXE_mfa-agent")];
        let mut xterm = sandbox
            .command(tool("xterm"), font)
            .args(["-bg", background, "-fg", foreground])
            .args(command)
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let picture = sandbox.home().join("picture.png");
        let mut line = String::new();
        wait_until("a decoder reads it", || {
            screen.photograph(&picture);
            line = decoded(&picture);
            !line.is_empty()
        });
        let seed = sandbox.simulator.seed(&serial("bob"));
        assert_eq!(line, format!("otpauth://totp/AWS:bob@{ACCOUNT}?secret={seed}&issuer=AWS"));

        let codes = authenticator(&line).concat();
        assert_eq!(codes.len(), 12, "{codes}");
        let keys: Vec<&str> = codes.split("").filter(|key| !key.is_empty()).collect();
        screen.press("enrolment", &keys, || devices(&sandbox) == [("bob".to_owned(), true)]);
        xterm.wait().unwrap();
        assert_eq!(fs::read_to_string(sandbox.home().join("status")).unwrap(), "0\n");
        assert!(config(&sandbox).contains("mfa_serial"));
    }
}

#[test]
fn no_history_of_a_terminal_has_the_key() {
    for second_screen in ["on", "off"] {
        let (sandbox, _) = newcomer();
        let socket = sandbox.home().join("tmux");
        let tmux = |arguments: &[&str]| {
            let mut command = sandbox.command(tool("tmux"), ["-u", "-f", "/dev/null", "-S"]);
            let run = Run::of(command.arg(&socket).args(arguments));
            assert_eq!(run.status, 0, "{arguments:?}: {run:?}");
            run.stdout
        };
        tmux(&["new-session", "-d", "-x", "80", "-y", "24", "sh"]);
        tmux(&["set-option", "-g", "alternate-screen", second_screen]);
        let shows = |words: &str| wait_until(words, || tmux(&["capture-pane", "-p"]).contains(words));
        let types = |keys: &str| drop(tmux(&["send-keys", "-l", keys]));
        let command = format!("'{}' device add --profile dev", env!("CARGO_BIN_EXE_mfa-agent"));
        types(&(command + "\r"));
        shows("Code of bob:");
        shows("▄");
        types("s");
        let seed = sandbox.simulator.seed(&serial("bob"));
        shows(&seed[..4]);
        shows("for a password manager");
        // Whatever may scroll: a pair that is not taken, and the picture once more.
        types("s");
        shows("Scan it");
        let old = [-9, -7].map(|step| sandbox.simulator.code_at(&serial("bob"), step));
        types(&old[0]);
        shows("The next code:");
        types(&old[1]);
        shows("AWS did not take these two");
        let [first, second] = pair(&sandbox, &serial("bob"));
        shows("Code of bob:");
        types(&first);
        shows("The next code:");
        types(&second);
        shows("bob is an MFA device of bob now");
        let mut all = tmux(&["capture-pane", "-p", "-J", "-S", "-"]);
        all += &tmux(&["capture-pane", "-p", "-J", "-q", "-a", "-S", "-"]);
        for trace in ["▄", "otpauth", &seed[..4], &seed[28..32], &seed[60..]] {
            assert!(!all.contains(trace), "{trace} with alternate-screen {second_screen}: {all}");
        }
        tmux(&["kill-server"]);
        sandbox_holds_no(&sandbox, &seed);
    }
}

/// No file of the home has this.
fn sandbox_holds_no(sandbox: &Sandbox, secret: &str) {
    let mut folders = vec![sandbox.home()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if let Ok(contents) = fs::read(&path) {
                let found = contents.windows(secret.len()).any(|window| window == secret.as_bytes());
                assert!(!found, "{}", path.display());
            }
        }
    }
}

#[test]
fn a_window_that_is_too_small_gets_the_text() {
    let (mut sandbox, _) = newcomer();
    sandbox.set("LANG", "C");
    let terminal = sandbox.terminal(&["device", "add", "--profile", "dev"]);
    terminal.wait_for("There is no room here for the QR code");
    terminal.wait_for(&format!("?secret={}&issuer=AWS", sandbox.simulator.seed(&serial("bob"))));
    terminal.wait_for("Code of bob:");
    terminal.type_in("\x03");
    assert_eq!(terminal.finish().status, 130);
}

#[test]
fn what_a_person_sees() {
    let (sandbox, _) = newcomer();
    let none = sandbox.run(&["device", "list", "--profile", "dev"]);
    assert_eq!(none.stderr, "bob has no MFA device; mfa-agent device add makes one\n", "{none:?}");
    let nobody = sandbox.run(&["device", "add", "--profile", "dev"]);
    check(&nobody, 3, &["two codes are needed, and nobody can be asked", "--stdin"]);
    assert_eq!(devices(&sandbox), []);
    check(&sandbox.run(&["device", "resync", "x", "--profile", "dev"]), 5, &["bob has no MFA device x"]);
    let login = sandbox.run(&["login", "dev"]);
    check(&login, 5, &["no MFA device", "mfa-agent device add --profile dev"]);
}
