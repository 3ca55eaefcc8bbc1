//! A call to AWS that fails while others wait for what it was to bring: they hear of it too, and do not make it again.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use aws_simulator::{Fault, Role};
use protocol::{AwsProblem, Envelope, NetworkProblem, PROTOCOL, Refusal, Reply, Request, Secret, frame};

use crate::support::{ACCOUNT, Run, Sandbox, Terminal, key_of, wait_until};

const CLIENTS: usize = 20;

/// How long a call may take here: long enough for all to be there, on a busy machine.
const CALL_TIME: Duration = Duration::from_secs(10);

/// Clients that wait, each with a file for its words.
struct Crowd<'a> {
    sandbox: &'a Sandbox,
    clients: Vec<Child>,
}

impl<'a> Crowd<'a> {
    /// Starts so many clients without a terminal, and returns when all of them wait for the agent.
    fn waiting(sandbox: &'a Sandbox, clients: usize, arguments: &[&str]) -> Self {
        let clients = (0..clients).map(|number| {
            let words = fs::File::create(words_of(sandbox, number)).unwrap();
            sandbox.client(arguments).stdout(Stdio::null()).stderr(words).spawn().unwrap()
        });
        let crowd = Self { sandbox, clients: clients.collect() };
        for number in 0..crowd.clients.len() {
            wait_until("it waits", || {
                fs::read_to_string(words_of(sandbox, number)).unwrap().contains("waiting;")
            });
        }
        crowd
    }

    /// What all of them end with: the status, and the words without those on the wait.
    fn ends(self) -> BTreeSet<(i32, String)> {
        let ends = self.clients.into_iter().enumerate().map(|(number, mut client)| {
            let status = client.wait().unwrap().code().unwrap();
            (status, last_words(&fs::read_to_string(words_of(self.sandbox, number)).unwrap()))
        });
        ends.collect()
    }
}

fn words_of(sandbox: &Sandbox, number: usize) -> std::path::PathBuf {
    sandbox.home().join(format!("words{number}"))
}

/// The last two lines: what failed, and the hint.
fn last_words(words: &str) -> String {
    let lines: Vec<&str> = words.lines().map(str::trim_end).collect();
    lines[lines.len().saturating_sub(2)..].join("\n")
}

/// `ops`, a role that is assumed from `dev`, whose session is held.
fn with_role() -> Sandbox {
    let sandbox = Sandbox::new();
    let role = sandbox.simulator.role(Role::new(ACCOUNT, "ops"));
    let mut config = fs::read_to_string(sandbox.home().join(".aws/config")).unwrap();
    writeln!(config, "[profile ops]\nrole_arn = {role}\nsource_profile = dev").unwrap();
    sandbox.write(".aws/config", &config);
    sandbox.log_in("dev");
    sandbox
}

/// The code after the one that went out already, as the agent knows, and AWS does not.
fn next_code(sandbox: &Sandbox) -> String {
    sandbox.simulator.code_at(&sandbox.serial, 1)
}

fn limit_calls(sandbox: &Sandbox) {
    let settings = format!("call_timeout = '{}s'\n", CALL_TIME.as_secs());
    sandbox.write(".config/mfa-agent/config.toml", &settings);
}

#[test]
fn a_role_that_hangs_is_one_call_however_many_wait_for_it() {
    let sandbox = with_role();
    limit_calls(&sandbox);
    sandbox.simulator.fault(Fault::Hang.on("AssumeRole"));
    let start = Instant::now();
    let ends = Crowd::waiting(&sandbox, CLIENTS, &["env", "ops"]).ends();
    assert!(start.elapsed() < 2 * CALL_TIME, "{:?}", start.elapsed());
    assert_eq!(ends.len(), 1, "{ends:?}");
    let (status, words) = ends.first().unwrap();
    assert!(*status == 7 && words.contains("did not answer sts:AssumeRole in time"), "{ends:?}");
    assert_eq!(sandbox.simulator.calls_of("AssumeRole").len(), 1);
    // Who comes later has a call of its own.
    sandbox.simulator.clear_faults();
    assert_eq!(sandbox.run(&["env", "ops"]).status, 0);
    assert_eq!(sandbox.simulator.calls_of("AssumeRole").len(), 2);
}

#[test]
fn a_role_that_is_refused_is_refused_to_all_who_wait_for_it() {
    let denied = Fault::Error { status: 403, code: "AccessDenied".to_owned(), message: "no".to_owned() };
    for (fault, calls, status) in [(Fault::ServiceUnavailable, 3, 7), (Fault::Throttle, 3, 7), (denied, 1, 4)]
    {
        let sandbox = with_role();
        let hold = sandbox.simulator.hold("AssumeRole");
        sandbox.simulator.fault(fault.clone().on("AssumeRole"));
        let crowd = Crowd::waiting(&sandbox, CLIENTS, &["env", "ops"]);
        hold.release();
        let ends = crowd.ends();
        assert_eq!(ends.len(), 1, "{fault:?}: {ends:?}");
        assert_eq!(ends.first().unwrap().0, status, "{fault:?}: {ends:?}");
        // The SDK's own tries, and no more.
        assert_eq!(sandbox.simulator.calls_of("AssumeRole").len(), calls, "{fault:?}");
        sandbox.simulator.clear_faults();
        assert_eq!(sandbox.run(&["env", "ops"]).status, 0);
    }
}

#[test]
fn a_role_of_another_session_is_assumed_though_the_call_of_the_one_before_failed() {
    let sandbox = with_role();
    let hold = sandbox.simulator.hold("AssumeRole");
    sandbox.simulator.fault(Fault::ServiceUnavailable.on("AssumeRole").times(3));
    let crowd = Crowd::waiting(&sandbox, 1, &["env", "ops"]);
    // The session is revoked at AWS, and the person has a new one.
    let run = sandbox.run(&["login", "dev", "--force", "--code", &sandbox.code()]);
    assert_eq!(run.status, 0, "{run:?}");
    let later = sandbox.client(["env", "ops"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    hold.release();
    assert_eq!(crowd.ends().first().unwrap().0, 7);
    let later: Run = later.wait_with_output().unwrap().into();
    assert_eq!(later.status, 0, "{later:?}");
}

#[test]
fn a_code_that_gets_no_answer_ends_the_wait_of_all_in_line() {
    let sandbox = Sandbox::new();
    limit_calls(&sandbox);
    sandbox.simulator.fault(Fault::Hang.on("GetSessionToken"));
    let asked = sandbox.terminal(&["env", "dev"]);
    asked.wait_for("MFA code for dev");
    let others: Vec<Terminal> = (0..3).map(|_| sandbox.terminal(&["env", "dev"])).collect();
    let crowd = Crowd::waiting(&sandbox, CLIENTS - 4, &["env", "dev"]);
    sandbox.wait_for_line(CLIENTS);
    let start = Instant::now();
    asked.type_in(&sandbox.code());
    let runs: Vec<Run> = std::iter::once(asked).chain(others).map(Terminal::finish).collect();
    let mut ends = crowd.ends();
    assert!(start.elapsed() < 2 * CALL_TIME, "{:?}", start.elapsed());
    for run in &runs {
        assert_eq!(run.stdout, "false\n", "{run:?}");
        ends.insert((run.status, last_words(&run.stderr)));
    }
    assert_eq!(ends.len(), 1, "{ends:?}");
    let (status, words) = ends.first().unwrap();
    assert!(*status == 7 && words.contains("did not answer sts:GetSessionToken in time"), "{ends:?}");
    for run in &runs[1..] {
        assert!(!run.stderr.contains("MFA code"), "nobody else is asked: {run:?}");
    }
    assert_eq!(sandbox.simulator.calls_of("GetSessionToken").len(), 1);
    // Who comes later is asked.
    sandbox.simulator.clear_faults();
    let later = sandbox.terminal(&["env", "dev"]);
    later.wait_for("MFA code for dev");
    later.type_in(&next_code(&sandbox));
    assert_eq!(later.finish().status, 0);
}

#[test]
fn a_key_that_is_refused_ends_the_wait_of_all_in_line() {
    let sandbox = Sandbox::new();
    sandbox.simulator.deactivate_key(&sandbox.alice.access_key_id);
    let asked = sandbox.terminal(&["env", "dev"]);
    asked.wait_for("MFA code for dev");
    let other = sandbox.terminal(&["env", "dev"]);
    sandbox.wait_for_line(2);
    asked.type_in(&sandbox.code());
    for run in [asked.finish(), other.finish()] {
        assert_eq!((run.status, run.stdout.as_str()), (4, "false\n"), "{run:?}");
        assert!(run.stderr.contains("inactive"), "{run:?}");
    }
    assert_eq!(sandbox.simulator.calls_of("GetSessionToken").len(), 1);
}

#[test]
fn a_wrong_code_takes_nobodys_turn_and_ends_nobodys_wait() {
    let sandbox = Sandbox::new();
    let asked = sandbox.terminal(&["env", "dev"]);
    asked.wait_for("MFA code for dev");
    let other = sandbox.terminal(&["env", "dev"]);
    let silent = sandbox.client(["env", "dev"]).stdout(Stdio::piped()).spawn().unwrap();
    sandbox.wait_for_line(3);
    let codes: Vec<String> = (-3..=3).map(|step| sandbox.simulator.code_at(&sandbox.serial, step)).collect();
    let wrong =
        (0..1_000_000).map(|number| format!("{number:06}")).find(|code| !codes.contains(code)).unwrap();
    asked.type_in(&wrong);
    asked.wait_for("2 tries left");
    sandbox.wait_for_line(3);
    // The next one is asked where the first gives up, and the third waits on.
    asked.type_in("\x03");
    assert_eq!(asked.finish().status, 130);
    other.wait_for("MFA code for dev");
    sandbox.wait_for_line(2);
    other.type_in(&sandbox.code());
    assert_eq!(other.finish().status, 0);
    let silent: Run = silent.wait_with_output().unwrap().into();
    assert_eq!(silent.status, 0, "{silent:?}");
    assert_eq!(sandbox.simulator.calls_of("GetSessionToken").len(), 2);
}

#[test]
fn who_is_being_asked_goes_on_though_a_code_from_elsewhere_gets_no_answer() {
    let sandbox = Sandbox::new();
    let asked = sandbox.terminal(&["env", "dev"]);
    asked.wait_for("MFA code for dev");
    sandbox.simulator.fault(Fault::ServiceUnavailable.on("GetSessionToken").times(1));
    let elsewhere = sandbox.run(&["login", "dev", "--code", &sandbox.code()]);
    assert_eq!(elsewhere.status, 7, "{elsewhere:?}");
    asked.type_in(&next_code(&sandbox));
    assert_eq!(asked.finish().status, 0);
}

/// Logins on the socket, one for each code, that all wait for the first one's call. Returns what they are told when that
/// goes on.
fn logins(sandbox: &Sandbox, codes: &[String], meanwhile: impl FnOnce()) -> Vec<Refusal> {
    let hold = sandbox.simulator.hold("GetSessionToken");
    let log_in = |code: &String| {
        let (profile, code) = (Some("dev".to_owned()), Secret::new(code.clone()));
        let request = Request::Login { profile, code, duration: None, at_least: None };
        let mut stream = UnixStream::connect(sandbox.socket()).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        stream.write_all(&frame::encode(&Envelope { protocol: PROTOCOL, request }).unwrap()).unwrap();
        stream
    };
    let first = log_in(&codes[0]);
    assert!(sandbox.simulator.wait_for_calls("GetSessionToken", 1, Duration::from_secs(20)));
    let mut streams = vec![first];
    streams.extend(codes[1..].iter().map(log_in));
    // The agent takes them in their order: when it answers these, it has looked at those.
    for _ in 0..5 {
        assert!(matches!(sandbox.ask(Request::Status), Reply::Status(_)));
    }
    meanwhile();
    hold.release();
    let told = streams.into_iter().map(|stream| {
        let mut line = Vec::new();
        BufReader::new(stream).read_until(b'\n', &mut line).unwrap();
        match frame::decode(&line).unwrap() {
            Reply::Refused(refusal) => refusal,
            other => panic!("{other:?}"),
        }
    });
    told.collect()
}

#[test]
fn the_same_code_many_times_is_one_call_and_another_one_is_not_used_up() {
    let sandbox = Sandbox::new();
    assert_eq!(sandbox.run(&["agent", "start"]).status, 0);
    let codes = [0, 1].map(|step| sandbox.simulator.code_at(&sandbox.serial, step));
    let mut given = vec![codes[0].clone(); CLIENTS];
    given.push(codes[1].clone());
    sandbox.simulator.fault(Fault::ServiceUnavailable.on("GetSessionToken"));
    let told = logins(&sandbox, &given, || {});
    assert_eq!(sandbox.simulator.calls_of("GetSessionToken").len(), 1);
    for (refusal, code) in told.iter().zip(&given) {
        let Refusal::Network { problem: NetworkProblem::ServerError, code_spent, .. } = refusal else {
            panic!("{refusal:?}");
        };
        assert_eq!(*code_spent, *code == codes[0], "{refusal:?}");
    }
    // It can be used: it went nowhere.
    sandbox.simulator.clear_faults();
    let run = sandbox.run(&["login", "dev", "--code", &codes[1]]);
    assert_eq!(run.status, 0, "{run:?}");
}

#[test]
fn a_wrong_code_is_told_to_who_has_the_same_one_and_to_nobody_else() {
    let sandbox = Sandbox::new();
    assert_eq!(sandbox.run(&["agent", "start"]).status, 0);
    let good: Vec<String> = (-3..=3).map(|step| sandbox.simulator.code_at(&sandbox.serial, step)).collect();
    let wrong: Vec<String> =
        (0..100).map(|number| format!("{number:06}")).filter(|code| !good.contains(code)).take(2).collect();
    let given = [&wrong[0], &wrong[0], &wrong[0], &wrong[1]].map(Clone::clone);
    let told = logins(&sandbox, &given, || {});
    assert!(told.iter().all(|refusal| matches!(refusal, Refusal::WrongCode { .. })), "{told:?}");
    // Each of the two was looked at by AWS.
    assert_eq!(sandbox.simulator.calls_of("GetSessionToken").len(), 2);
}

#[test]
fn a_denied_login_is_told_to_all_who_wait_with_codes_of_their_own() {
    let sandbox = Sandbox::new();
    assert_eq!(sandbox.run(&["agent", "start"]).status, 0);
    let codes = [0, 1, -1].map(|step| sandbox.simulator.code_at(&sandbox.serial, step));
    let told = logins(&sandbox, &codes, || sandbox.simulator.deactivate_key(&sandbox.alice.access_key_id));
    for refusal in &told {
        assert!(matches!(refusal, Refusal::Aws { problem: AwsProblem::KeyInvalid(_), .. }), "{refusal:?}");
    }
    assert_eq!(sandbox.simulator.calls_of("GetSessionToken").len(), 1);
}

#[test]
fn a_device_that_cannot_be_looked_up_is_looked_up_once() {
    let sandbox = Sandbox::new();
    sandbox.write(".aws/config", "[profile dev]\nregion = eu-central-1\n");
    sandbox.write(".aws/credentials", &format!("[dev]\n{}", key_of(&sandbox.alice)));
    limit_calls(&sandbox);
    sandbox.simulator.fault(Fault::Hang.on("ListMFADevices"));
    let ends = Crowd::waiting(&sandbox, CLIENTS, &["env", "dev"]).ends();
    assert_eq!(ends.len(), 1, "{ends:?}");
    let (status, words) = ends.first().unwrap();
    assert!(*status == 7 && words.contains("did not answer iam:ListMFADevices in time"), "{ends:?}");
    assert_eq!(sandbox.simulator.calls_of("ListMFADevices").len(), 1);
}
