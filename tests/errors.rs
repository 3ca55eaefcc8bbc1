//! Bad input: each has its exit status, one clear line, a hint, and costs no session.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;
use std::time::Duration;

use aws_simulator::{Fault, Simulator};
use protocol::{PROTOCOL, Refusal, Reply, frame};

use crate::support::{ACCOUNT, Run, Sandbox, Terminal, key_of};

/// Checks what a person sees: one line with this exit status and these words, and a hint.
#[track_caller]
pub fn check(run: &Run, status: i32, words: &[&str]) {
    assert_eq!(run.status, status, "{run:?}");
    let said: Vec<&str> = run.stderr.lines().collect();
    assert_eq!(said.len(), 2, "an error is a line and a hint: {run:?}");
    assert!(said[0].starts_with("mfa-agent: ") && said[1].starts_with("hint: "), "{run:?}");
    for word in words {
        assert!(run.stderr.contains(word), "no {word:?} in {run:?}");
    }
}

/// Checks that `env dev --no-prompt` fails so, and that the shell is told.
#[track_caller]
fn check_env(sandbox: &Sandbox, status: i32, words: &[&str]) {
    let run = sandbox.run(&["env", "dev", "--no-prompt"]);
    check(&run, status, words);
    assert_eq!(run.stdout, "false\n");
}

#[test]
fn configuration_that_cannot_work_is_told_and_what_is_held_is_kept() {
    let sandbox = Sandbox::new();
    sandbox.log_in("dev");
    let good = fs::read_to_string(sandbox.home().join(".aws/config")).unwrap();
    let key = key_of(&sandbox.alice);
    let half = "aws_access_key_id = AKIAHALF\n";
    let user = "[profile dev]\nmfa_serial = arn:aws:iam::111122223333:user/alice\n";
    let fido = "[profile dev]\nmfa_serial = arn:aws:iam::111122223333:u2f/user/alice/key\n";
    let cycle = "[profile dev]\nrole_arn = arn:aws:iam::1:role/a\nsource_profile = b\n\
                 [profile b]\nrole_arn = arn:aws:iam::1:role/b\nsource_profile = dev\n";
    let cases: [(&str, &str, &[&str]); 8] = [
        ("[profile dev]\nregion\n", &key, &[".aws/config:2:"]),
        (&good, "aws_access_key_id\n", &[".aws/credentials:2:"]),
        (&good, "region = x\n", &["no access key", "credentials"]),
        (&good, half, &["aws_secret_access_key", "credentials"]),
        (user, &key, &[":mfa/", "user/alice"]),
        (fido, &key, &["security key"]),
        (cycle, &key, &["dev → b → dev"]),
        ("[profile dev]\nduration_seconds = 60\n", &key, &["duration_seconds", "900", "129600"]),
    ];
    for (config, section, words) in cases {
        sandbox.write(".aws/config", config);
        sandbox.write(".aws/credentials", &format!("[dev]\n{section}"));
        check_env(&sandbox, 5, words);
    }
    sandbox.write(".aws/config", &good);
    sandbox.write(".aws/credentials", &format!("[dev]\n{key}"));
    assert_eq!(sandbox.run(&["env", "dev", "--no-prompt"]).status, 0, "the session is still there");
}

#[test]
fn credentials_do_not_travel_in_the_clear() {
    let mut sandbox = Sandbox::new();
    sandbox.set("AWS_ENDPOINT_URL", "http://sts.example.com");
    check_env(&sandbox, 5, &["AWS_ENDPOINT_URL = http://sts.example.com", "https"]);
}

#[test]
fn an_unknown_profile_meets_its_neighbours() {
    let sandbox = Sandbox::new();
    let run = sandbox.run(&["env", "dve"]);
    check(&run, 5, &["dve"]);
    assert!(run.hint().contains("dev"), "{run:?}");
}

#[test]
fn an_own_configuration_with_an_unknown_key_is_told_with_its_line() {
    let sandbox = Sandbox::new();
    sandbox.write(".config/mfa-agent/config.toml", "\ndurations = '1h'\n");
    check_env(&sandbox, 5, &["config.toml:2:", "durations", "duration"]);
}

#[test]
fn several_devices_are_listed() {
    let sandbox = Sandbox::new();
    sandbox.write(".aws/config", "");
    let second = sandbox.alice.device("phone");
    check_env(&sandbox, 5, &[&sandbox.serial, &second, "mfa_serial"]);
}

#[test]
fn no_device_and_no_leave_to_look_are_told_apart() {
    let sandbox = Sandbox::new();
    let bob = sandbox.simulator.user(ACCOUNT, "bob");
    sandbox.write(".aws/config", "");
    sandbox.write(".aws/credentials", &format!("[dev]\n{}", key_of(&bob)));
    check_env(&sandbox, 5, &["MFA device"]);
    bob.deny("iam:ListMFADevices");
    check_env(&sandbox, 5, &["mfa_serial"]);
}

#[test]
fn a_malformed_code_or_duration_is_wrong_usage_and_goes_nowhere() {
    let sandbox = Sandbox::new();
    for code in ["12345", "1234567", "12345a", "", "１２３４５６"] {
        check(&sandbox.run(&["login", "dev", "--code", code]), 2, &["six digits"]);
    }
    for duration in ["60", "37h", "899", "129601"] {
        let run = sandbox.run(&["login", "dev", "--duration", duration]);
        assert_eq!(run.status, 2, "{run:?}");
        assert!(run.stderr.contains("900 to 129600 seconds"), "{run:?}");
    }
    assert!(sandbox.simulator.calls().is_empty());
}

#[test]
fn a_wrong_code_is_asked_for_again_three_times() {
    let sandbox = Sandbox::new();
    // A code of long ago is no code of now.
    let wrong = |number: i64| sandbox.simulator.code_at(&sandbox.serial, -100 - number);
    let terminal = sandbox.terminal(&["env", "dev"]);
    terminal.wait_for("MFA code for dev");
    terminal.type_in(&wrong(0));
    terminal.wait_for("2 tries left");
    terminal.type_in(&wrong(1));
    terminal.wait_for("1 try left");
    terminal.type_in(&wrong(2));
    let run = terminal.finish();
    assert_eq!((run.status, run.stdout.as_str()), (4, "false\n"), "{run:?}");
    assert_eq!(sandbox.simulator.calls_of("GetSessionToken").len(), 3);
}

#[test]
fn a_used_code_is_told_from_a_wrong_one_and_not_sent_again() {
    let sandbox = Sandbox::new();
    let code = sandbox.code();
    assert_eq!(sandbox.run(&["login", "dev", "--code", &code]).status, 0);
    let run = sandbox.run(&["login", "dev", "--force", "--code", &code]);
    check(&run, 4, &["used"]);
    assert!(run.stderr.contains(" s"), "how long to wait: {run:?}");
    assert_eq!(sandbox.simulator.calls_of("GetSessionToken").len(), 1);
}

#[test]
fn a_wrong_key_is_not_a_wrong_code() {
    let sandbox = Sandbox::new();
    let id = sandbox.alice.access_key_id.clone();
    sandbox.simulator.deactivate_key(&id);
    let run = sandbox.run(&["login", "dev", "--code", &sandbox.code()]);
    check(&run, 4, &[&id[id.len() - 4..], "[dev]", "credentials"]);
    assert!(!run.stderr.contains(&id), "the key's id is not spelled out: {run:?}");
}

#[test]
fn a_wrong_secret_and_a_wrong_serial_are_told() {
    let sandbox = Sandbox::new();
    let key =
        format!("aws_access_key_id = {}\naws_secret_access_key = needle\n", sandbox.alice.access_key_id);
    sandbox.write(".aws/credentials", &format!("[dev]\n{key}"));
    let run = sandbox.run(&["login", "dev", "--code", &sandbox.code()]);
    check(&run, 4, &["secret", "[dev]"]);
    assert!(!run.stderr.contains("needle"));

    sandbox.write(".aws/credentials", &format!("[dev]\n{}", key_of(&sandbox.alice)));
    sandbox.write(".aws/config", "[profile dev]\nmfa_serial = arn:aws:iam::111122223333:mfa/nobody\n");
    check(&sandbox.run(&["login", "dev", "--code", "123456"]), 4, &["mfa/nobody"]);
}

#[test]
fn a_clock_that_is_off_is_told_by_how_much() {
    let sandbox = Sandbox::new();
    sandbox.simulator.set_offset(9 * 3_600 + 29 * 60 + 30);
    let run = sandbox.run(&["login", "dev", "--code", &sandbox.code()]);
    check(&run, 4, &["9h 29m", "behind"]);
}

#[test]
fn an_aws_that_does_not_answer_is_a_network_error_and_a_code_goes_out_once() {
    let sandbox = Sandbox::new();
    for (fault, words) in [
        (Fault::DropBefore, "cannot reach"),
        (Fault::InternalFailure, "500"),
        (Fault::ServiceUnavailable, "503"),
        (Fault::Garbage, ""),
        (Fault::Throttle, "slow"),
    ] {
        sandbox.simulator.clear_calls();
        sandbox.simulator.fault(fault.on("GetSessionToken").times(1));
        // Whether the code was used up is not known: it is not sent again.
        let run = sandbox.run(&["login", "dev", "--code", "000001"]);
        assert_eq!(run.status, 7, "{words}: {run:?}");
        assert_eq!(sandbox.simulator.calls_of("GetSessionToken").len(), 1, "{run:?}");
        sandbox.simulator.clear_faults();
        sandbox.run(&["agent", "stop"]);
    }
}

#[test]
fn a_lost_answer_leaves_the_code_used() {
    let sandbox = Sandbox::new();
    sandbox.simulator.fault(Fault::DropAfter.on("GetSessionToken").times(1));
    let code = sandbox.code();
    let run = sandbox.run(&["login", "dev", "--code", &code]);
    check(&run, 7, &["may be used up"]);
    check(&sandbox.run(&["login", "dev", "--code", &code]), 4, &["used"]);
    assert_eq!(sandbox.simulator.calls_of("GetSessionToken").len(), 1);
    sandbox.log_in("dev");
}

#[test]
fn an_sts_that_hangs_is_given_up_and_holds_nobody_else() {
    let sandbox = Sandbox::new();
    let bob = sandbox.simulator.user("444455556666", "bob");
    let serial = bob.device("bob");
    sandbox.write(
        ".aws/credentials",
        &format!("[dev]\n{}[bob]\n{}mfa_serial = {serial}\n", key_of(&sandbox.alice), key_of(&bob)),
    );
    sandbox.simulator.fault(Fault::Hang.on("GetSessionToken").times(1));
    let hanging = sandbox
        .client(["login", "dev", "--code", "000001"])
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    assert!(sandbox.simulator.wait_for_calls("GetSessionToken", 1, Duration::from_secs(20)));
    let code = sandbox.simulator.unused_code(&serial).unwrap();
    assert_eq!(sandbox.run(&["login", "bob", "--code", &code]).status, 0);
    let hanging: Run = hanging.wait_with_output().unwrap().into();
    check(&hanging, 7, &["in time"]);
    assert_eq!(sandbox.run(&["env", "bob", "--no-prompt"]).status, 0);
}

#[test]
fn an_unreachable_aws_costs_no_code() {
    let mut sandbox = Sandbox::new();
    let gone = Simulator::start().endpoint();
    sandbox.set("AWS_ENDPOINT_URL", &gone);
    let run = sandbox.run(&["login", "dev", "--code", "000001"]);
    check(&run, 7, &[&gone, "refused"]);
    // It never left: it may be tried again.
    check(&sandbox.run(&["login", "dev", "--code", "000001"]), 7, &[&gone]);
}

#[test]
fn aws_words_are_printed_escaped() {
    let sandbox = Sandbox::new();
    sandbox.simulator.fault(
        Fault::Error {
            status: 403,
            code: "AccessDenied".to_owned(),
            message: "\x1b]0;owned\x07 no\u{202e}".to_owned(),
        }
        .on("GetSessionToken"),
    );
    let run = sandbox.run(&["login", "dev", "--code", "000001"]);
    assert!([4, 7].contains(&run.status), "{run:?}");
    assert!(
        !run.stderr.contains('\x1b') && !run.stderr.contains('\u{202e}') && !run.stderr.contains('\x07'),
        "{run:?}"
    );
}

#[test]
fn credentials_outside_awss_alphabet_are_no_session() {
    for (secret, token) in [("x'; touch owned; '", "t"), ("s", "$(touch owned)"), ("s", "a\nb"), ("", "t")] {
        let sandbox = Sandbox::new();
        sandbox.simulator.plant_credentials("ASIAPLANTEDKEY000000", secret, token);
        let run = sandbox.run(&["env", "dev", "--code", &sandbox.code()]);
        assert_eq!((run.status, run.stdout.as_str()), (7, "false\n"), "{run:?}");
        assert_eq!(sandbox.run(&["status", "dev"]).status, 3);
    }
}

#[test]
fn no_home_is_told() {
    let mut sandbox = Sandbox::new();
    sandbox.unset("HOME");
    check_env(&sandbox, 5, &["HOME"]);
}

#[test]
fn a_runtime_folder_that_is_not_ours_alone_is_refused_and_left_as_it_is() {
    let sandbox = Sandbox::new();
    fs::create_dir(sandbox.runtime()).unwrap();
    fs::set_permissions(sandbox.runtime(), fs::Permissions::from_mode(0o755)).unwrap();
    check_env(&sandbox, 6, &["755"]);
    assert_eq!(fs::metadata(sandbox.runtime()).unwrap().permissions().mode() & 0o777, 0o755);
    fs::remove_dir(sandbox.runtime()).unwrap();

    std::os::unix::fs::symlink(sandbox.home(), sandbox.runtime()).unwrap();
    check_env(&sandbox, 6, &["no real folder"]);
    fs::remove_file(sandbox.runtime()).unwrap();

    fs::create_dir(sandbox.runtime()).unwrap();
    fs::set_permissions(sandbox.runtime(), fs::Permissions::from_mode(0o700)).unwrap();
    if rustix::process::geteuid().is_root() {
        std::os::unix::fs::chown(sandbox.runtime(), Some(12_345), None).unwrap();
        check_env(&sandbox, 6, &["belongs to uid 12345"]);
    }
}

#[test]
fn a_file_in_the_sockets_place_is_left_alone() {
    let sandbox = Sandbox::new();
    fs::create_dir(sandbox.runtime()).unwrap();
    fs::set_permissions(sandbox.runtime(), fs::Permissions::from_mode(0o700)).unwrap();
    fs::write(sandbox.socket(), "precious").unwrap();
    check_env(&sandbox, 6, &["in the place of the agent's socket"]);
    assert_eq!(fs::read_to_string(sandbox.socket()).unwrap(), "precious");
    fs::remove_file(sandbox.socket()).unwrap();
}

#[test]
fn a_dead_socket_is_replaced() {
    let sandbox = Sandbox::new();
    fs::create_dir(sandbox.runtime()).unwrap();
    fs::set_permissions(sandbox.runtime(), fs::Permissions::from_mode(0o700)).unwrap();
    drop(UnixListener::bind(sandbox.socket()).unwrap());
    sandbox.log_in("dev");
}

#[test]
fn an_agent_of_another_protocol_is_named_and_can_be_stopped() {
    use std::io::{BufRead, BufReader, Write};
    let sandbox = Sandbox::new();
    fs::create_dir(sandbox.runtime()).unwrap();
    fs::set_permissions(sandbox.runtime(), fs::Permissions::from_mode(0o700)).unwrap();
    let listener = UnixListener::bind(sandbox.socket()).unwrap();
    let other = std::thread::spawn(move || {
        // What is at hand is asked for first.
        for _ in 0..2 {
            let (mut stream, _) = listener.accept().unwrap();
            BufReader::new(stream.try_clone().unwrap()).read_line(&mut String::new()).unwrap();
            let version = "9.9.9".to_owned();
            let reply = Reply::Refused(Refusal::Protocol { protocol: PROTOCOL + 1, version });
            stream.write_all(&frame::encode(&reply).unwrap()).unwrap();
        }
    });
    let run = sandbox.run(&["env", "dev", "--no-prompt"]);
    other.join().unwrap();
    check(&run, 6, &["9.9.9", "agent restart"]);
    fs::remove_file(sandbox.socket()).unwrap();

    // The other way round: our agent is asked in a protocol of the future.
    sandbox.log_in("dev");
    let reply: Reply =
        frame::decode(&sandbox.send(b"{\"protocol\":999,\"request\":{\"conjure\":{}}}\n")).unwrap();
    assert!(matches!(reply, Reply::Refused(Refusal::Protocol { protocol: PROTOCOL, .. })), "{reply:?}");
    assert_eq!(sandbox.run(&["env", "dev", "--no-prompt"]).status, 0);
    let reply: Reply =
        frame::decode(&sandbox.send(b"{\"protocol\":999,\"request\":{\"stop\":{}}}\n")).unwrap();
    assert!(matches!(reply, Reply::Stopping { sessions: 1, .. }), "{reply:?}");
}

#[test]
fn an_agent_killed_in_the_middle_is_told_at_once() {
    let sandbox = Sandbox::new();
    let hold = {
        assert_eq!(sandbox.run(&["agent", "start"]).status, 0);
        sandbox.simulator.hold("GetSessionToken")
    };
    let client = sandbox
        .client(["env", "dev", "--code", "000001"])
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    assert!(sandbox.simulator.wait_for_calls("GetSessionToken", 1, Duration::from_secs(20)));
    sandbox.kill_agent();
    let run: Run = client.wait_with_output().unwrap().into();
    check(&run, 6, &["went away"]);
    assert_eq!(run.stdout, "false\n");
    drop(hold);
    // The next one starts another agent by itself.
    sandbox.log_in("dev");
}

#[test]
fn garbage_on_the_socket_harms_nobody() {
    let sandbox = Sandbox::new();
    sandbox.log_in("dev");
    for garbage in [vec![b'x'; 5_000_000], vec![0; 100], b"{\"protocol\":1}\n".to_vec(), vec![0xff; 70_000]] {
        let reply = sandbox.send(&garbage);
        if !reply.is_empty() {
            let reply: Reply = frame::decode(&reply).unwrap();
            assert!(matches!(reply, Reply::Refused(Refusal::Malformed { .. })), "{reply:?}");
        }
    }
    assert_eq!(sandbox.run(&["env", "dev", "--no-prompt"]).status, 0);
}

#[test]
fn a_person_who_cancels_gets_130_and_a_sane_terminal() {
    let sandbox = Sandbox::new();
    for cancel in ["\x03", "\r", "\x1b", "\x04"] {
        // A shell of its own keeps the terminal open after the client is gone.
        let script = format!("{} env dev; echo \"status $?\"; read -r end", env!("CARGO_BIN_EXE_mfa-agent"));
        let script = format!("read -r begin; {script}");
        let terminal = Terminal::run(&sandbox, "/bin/sh", ["-c", &format!("{{ {script}; }} >/dev/tty")]);
        let before = terminal.modes();
        terminal.type_in("\n");
        terminal.wait_for("MFA code for dev");
        assert_ne!(terminal.modes().local_modes, before.local_modes, "no echo while a code is typed");
        terminal.type_in(cancel);
        terminal.wait_for("status 130");
        assert_eq!(terminal.modes().local_modes, before.local_modes, "{cancel:?}");
        terminal.type_in("\n");
        assert_eq!(terminal.finish().status, 0);
    }
    assert!(sandbox.simulator.calls().is_empty());
}

#[test]
fn a_stop_that_nobody_waits_for_is_a_stop() {
    use std::io::Write;
    let sandbox = Sandbox::new();
    sandbox.log_in("dev");
    let pid = sandbox.agent_pid();
    let mut stream = std::os::unix::net::UnixStream::connect(sandbox.socket()).unwrap();
    stream.write_all(b"{\"protocol\":1,\"request\":{\"stop\":{}}}\n").unwrap();
    drop(stream);
    crate::lifecycle::wait_for_end(pid);
    sandbox.log_in("dev");
}

#[test]
fn a_logout_wins_over_a_call_in_flight() {
    let sandbox = Sandbox::new();
    let hold = sandbox.simulator.hold("GetSessionToken");
    let login = sandbox.client(["login", "dev", "--code", &sandbox.code()]).spawn().unwrap();
    assert!(sandbox.simulator.wait_for_calls("GetSessionToken", 1, Duration::from_secs(20)));
    assert_eq!(sandbox.run(&["logout", "--all"]).status, 0);
    hold.release();
    let _ = login.wait_with_output().unwrap();
    assert_eq!(sandbox.run(&["env", "dev", "--no-prompt"]).status, 3);
}

#[test]
fn a_config_file_that_is_no_file_keeps_nobody_waiting() {
    let sandbox = Sandbox::new();
    sandbox.log_in("dev");
    let config = sandbox.home().join(".config/mfa-agent");
    fs::create_dir_all(&config).unwrap();
    let pipe = std::process::Command::new("mkfifo").arg(config.join("config.toml")).status().unwrap();
    assert!(pipe.success());
    check_env(&sandbox, 5, &["config.toml", "no regular file"]);
    assert_eq!(sandbox.run(&["status"]).status, 0);
}

#[test]
fn many_profiles_are_listed_page_by_page() {
    use std::fmt::Write;
    let sandbox = Sandbox::new();
    let mut config = String::new();
    for number in 0..1_500 {
        writeln!(config, "[profile organisation-account-{number:04}]\nsso_session = corp").unwrap();
    }
    sandbox.write(".aws/config", &config);
    let run = sandbox.run(&["profiles", "--json"]);
    assert_eq!(run.status, 0, "{}", run.stderr);
    let profiles: Vec<protocol::Profile> = serde_json::from_str(&run.stdout).unwrap();
    assert_eq!(profiles.len(), 1_501);
}

#[test]
fn a_clock_in_an_answer_does_not_make_a_session_longer() {
    let sandbox = Sandbox::new();
    // AWS's clock is behind by less than a signature would be refused for.
    sandbox.simulator.set_offset(-200);
    assert_eq!(sandbox.run(&["login", "dev", "--duration", "15m", "--code", &sandbox.code()]).status, 0);
    let status: serde_json::Value = serde_json::from_str(&sandbox.run(&["status", "--json"]).stdout).unwrap();
    assert!(status["sessions"][0]["seconds_left"].as_u64().unwrap() <= 960);
}
