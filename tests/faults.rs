//! What a person gets when AWS is in trouble, as `docs/faults.md` says it.

use std::fmt::Write;
use std::fs;
use std::time::{Duration, Instant};

use aws_simulator::{Fault, Role};

use crate::support::{ACCOUNT, Run, Sandbox, key_of, page_holds};

/// Trouble, made in a machine where nothing is held yet; with what a person then runs.
struct Case {
    name: &'static str,
    /// The action whose calls are counted.
    action: &'static str,
    run: fn(&Sandbox) -> Run,
}

/// `login dev` with a code that AWS would take, into this trouble.
fn login_into(sandbox: &Sandbox, fault: Fault) -> Run {
    sandbox.simulator.fault(fault.on("GetSessionToken"));
    login(sandbox, &sandbox.code())
}

fn login(sandbox: &Sandbox, code: &str) -> Run {
    sandbox.run(&["login", "dev", "--code", code])
}

/// `env ops`, whose session is held, with this trouble when its role is assumed.
fn assume_into(sandbox: &Sandbox, fault: Fault) -> Run {
    let role = sandbox.simulator.role(Role::new(ACCOUNT, "ops"));
    let config = fs::read_to_string(sandbox.home().join(".aws/config")).unwrap();
    let ops = format!("[profile ops]\nregion = eu-central-1\nrole_arn = {role}\nsource_profile = dev\n");
    sandbox.write(".aws/config", &format!("{config}{ops}"));
    sandbox.log_in("dev");
    sandbox.simulator.fault(fault.on("AssumeRole"));
    sandbox.run(&["env", "ops", "--no-prompt"])
}

const CASES: [Case; 20] = [
    Case {
        name: "500",
        action: "GetSessionToken",
        run: |sandbox| login_into(sandbox, Fault::InternalFailure),
    },
    Case {
        name: "503",
        action: "GetSessionToken",
        run: |sandbox| login_into(sandbox, Fault::ServiceUnavailable),
    },
    Case {
        name: "throttled",
        action: "GetSessionToken",
        run: |sandbox| login_into(sandbox, Fault::Throttle),
    },
    Case {
        name: "the connection is closed before anything is done",
        action: "GetSessionToken",
        run: |sandbox| login_into(sandbox, Fault::DropBefore),
    },
    Case {
        name: "the answer is lost",
        action: "GetSessionToken",
        run: |sandbox| login_into(sandbox, Fault::DropAfter),
    },
    Case {
        name: "no answer ever",
        action: "GetSessionToken",
        run: |sandbox| login_into(sandbox, Fault::Hang),
    },
    Case {
        name: "a page of HTML, as from a captive portal",
        action: "GetSessionToken",
        run: |sandbox| login_into(sandbox, Fault::Garbage),
    },
    Case {
        name: "an answer of 5 MB",
        action: "GetSessionToken",
        run: |sandbox| login_into(sandbox, Fault::Huge(5_000_000)),
    },
    Case {
        name: "nobody listens",
        action: "GetSessionToken",
        run: |sandbox| {
            let config = fs::read_to_string(sandbox.home().join(".aws/config")).unwrap();
            // A port that nothing is given: 1, tcpmux.
            sandbox.write(".aws/config", &format!("{config}endpoint_url = http://127.0.0.1:1\n"));
            let mut client = sandbox.client(["login", "dev", "--code", &sandbox.code()]);
            Run::of(client.env_remove("AWS_ENDPOINT_URL"))
        },
    },
    Case { name: "a wrong code", action: "GetSessionToken", run: |sandbox| login(sandbox, &wrong(sandbox)) },
    Case {
        name: "a code that another program used",
        action: "GetSessionToken",
        run: |sandbox| {
            let code = sandbox.code();
            assert_eq!(login(sandbox, &code).status, 0);
            // The agent that sent it is gone, so that AWS has to say it.
            sandbox.run(&["agent", "stop"]);
            sandbox.simulator.clear_calls();
            login(sandbox, &code)
        },
    },
    Case {
        name: "a code that this agent used",
        action: "GetSessionToken",
        run: |sandbox| {
            let code = sandbox.code();
            assert_eq!(login(sandbox, &code).status, 0);
            sandbox.simulator.clear_calls();
            sandbox.run(&["login", "dev", "--force", "--code", &code])
        },
    },
    Case {
        name: "this machine's clock is 20 minutes behind",
        action: "GetSessionToken",
        run: |sandbox| {
            sandbox.simulator.set_offset(20 * 60);
            login(sandbox, &sandbox.code())
        },
    },
    Case {
        name: "this machine's clock is 20 minutes ahead",
        action: "GetSessionToken",
        run: |sandbox| {
            sandbox.simulator.set_offset(-20 * 60);
            login(sandbox, &sandbox.code())
        },
    },
    Case {
        name: "the key is inactive",
        action: "GetSessionToken",
        run: |sandbox| {
            sandbox.simulator.deactivate_key(&sandbox.alice.access_key_id);
            login(sandbox, &sandbox.code())
        },
    },
    Case {
        name: "the key was deleted",
        action: "GetSessionToken",
        run: |sandbox| {
            sandbox.simulator.delete_key(&sandbox.alice.access_key_id);
            login(sandbox, &sandbox.code())
        },
    },
    Case {
        name: "the key's secret is wrong",
        action: "GetSessionToken",
        run: |sandbox| {
            let key = key_of(&sandbox.alice).replace("aws_secret_access_key = ", "aws_secret_access_key = x");
            sandbox.write(".aws/credentials", &format!("[dev]\n{key}"));
            login(sandbox, &sandbox.code())
        },
    },
    Case {
        name: "a role: 503",
        action: "AssumeRole",
        run: |sandbox| assume_into(sandbox, Fault::ServiceUnavailable),
    },
    Case {
        name: "a role: 503 once",
        action: "AssumeRole",
        run: |sandbox| {
            let role = sandbox.simulator.role(Role::new(ACCOUNT, "ops"));
            let config = fs::read_to_string(sandbox.home().join(".aws/config")).unwrap();
            let ops = format!("[profile ops]\nrole_arn = {role}\nsource_profile = dev\n");
            sandbox.write(".aws/config", &format!("{config}{ops}"));
            sandbox.log_in("dev");
            sandbox.simulator.fault(Fault::ServiceUnavailable.on("AssumeRole").times(1));
            sandbox.run(&["env", "ops", "--no-prompt"])
        },
    },
    Case {
        name: "a role: the session behind it was revoked",
        action: "AssumeRole",
        run: |sandbox| {
            let revoked = Fault::Error {
                status: 403,
                code: "AccessDenied".to_owned(),
                message:
                    "User: arn:aws:iam::111122223333:user/alice is not authorized to perform: sts:AssumeRole \
                          with an explicit deny in an identity-based policy"
                        .to_owned(),
            };
            assume_into(sandbox, revoked)
        },
    },
];

/// A code that is not the device's at any moment near.
fn wrong(sandbox: &Sandbox) -> String {
    let codes: Vec<String> = (-3..=3).map(|step| sandbox.simulator.code_at(&sandbox.serial, step)).collect();
    (0..1_000_000).map(|number| format!("{number:06}")).find(|code| !codes.contains(code)).unwrap()
}

/// The words for a stretch of time, coarse enough for a busy machine.
fn took(time: Duration) -> &'static str {
    match time.as_secs() {
        0..=9 => "at once",
        10..=29 => "15 s",
        _ => "too long",
    }
}

#[test]
fn the_table_of_faults_is_what_a_person_gets() {
    let rows: Vec<String> = std::thread::scope(|scope| {
        let runs: Vec<_> = CASES.iter().map(|case| scope.spawn(|| row(case))).collect();
        runs.into_iter().map(|run| run.join().unwrap()).collect()
    });
    let table = format!("| | exit | words | calls | time |\n|---|---|---|---|---|\n{}", rows.concat());
    page_holds("faults.md", "faults", &table);
}

fn row(case: &Case) -> String {
    let sandbox = Sandbox::new();
    let start = Instant::now();
    let run = (case.run)(&sandbox);
    let time = took(start.elapsed());
    let calls = sandbox.simulator.calls_of(case.action).len();
    // Whoever waits for two seconds is told so; a busy machine takes that long for what is quick elsewhere.
    let said: Vec<&str> = run.stderr.lines().filter(|line| !line.starts_with("mfa-agent: waiting")).collect();
    let mut words = said.join("<br>").replace("mfa-agent: ", "");
    // What differs from run to run.
    words = words.replace(&sandbox.simulator.endpoint(), "http://127.0.0.1:PORT");
    words = words.replace(&*sandbox.home().to_string_lossy(), "~");
    let key = &sandbox.alice.access_key_id;
    words = words.replace(&key[key.len() - 4..], "LAST");
    if let Some((before, rest)) = words.split_once("comes in ") {
        let after = rest.trim_start_matches(|character: char| character.is_ascii_digit());
        words = format!("{before}comes in N{after}");
    }
    words = words.replace('|', "\\|");
    let mut row = String::new();
    writeln!(row, "| {} | {} | {words} | {calls} | {time} |", case.name, run.status).unwrap();
    row
}
