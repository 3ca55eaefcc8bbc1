//! `keys rotate`, `disable` and `delete`: at every moment there is a key that is stored and works, wherever it breaks off.

use std::fs;
use std::process::{Child, Stdio};
use std::time::Duration;

use aws_simulator::{Fault, Hold};

use crate::errors::check;
use crate::secrets::{is_root, left_in_memory};
use crate::support::{Bus, Keyring, Run, Sandbox, key_of, wait_until};

/// The calls that a rotation makes.
const ACTIONS: [&str; 6] = [
    "GetCallerIdentity",
    "ListAccessKeys",
    "GetAccessKeyLastUsed",
    "CreateAccessKey",
    "UpdateAccessKey",
    "DeleteAccessKey",
];

/// The id and the secret in a section of the credentials file.
fn stored(sandbox: &Sandbox, section: &str) -> (String, String) {
    let text = credentials(sandbox);
    let section = text.split(&format!("[{section}]\n")).nth(1).unwrap().split("\n[").next().unwrap();
    let value = |name: &str| {
        let line = section.lines().find(|line| line.starts_with(name)).unwrap_or_default();
        line.split(" = ").nth(1).unwrap_or_default().to_owned()
    };
    (value("aws_access_key_id"), value("aws_secret_access_key"))
}

fn credentials(sandbox: &Sandbox) -> String {
    fs::read_to_string(sandbox.home().join(".aws/credentials")).unwrap()
}

/// A person with a session.
fn logged_in() -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.log_in("dev");
    sandbox.simulator.clear_calls();
    sandbox
}

fn rotate(sandbox: &Sandbox) -> Run {
    sandbox.run(&["keys", "rotate", "dev"])
}

/// There is one key, it is stored, and nothing tells of a rotation.
#[track_caller]
fn assert_whole(sandbox: &Sandbox) {
    let (id, secret) = stored(sandbox, "dev");
    assert_eq!(sandbox.alice.keys(), [(id.clone(), true)]);
    assert!(sandbox.simulator.is_good_key(&id, &secret));
    assert_ne!(id, sandbox.alice.access_key_id);
    assert!(!credentials(sandbox).contains("mfa_agent_"), "{}", credentials(sandbox));
    assert_eq!(sandbox.run(&["env", "dev", "--no-prompt"]).status, 0, "the session goes on");
    assert_eq!(sandbox.simulator.calls_of("GetSessionToken").len(), 0, "and no code was asked for");
}

/// The stored key works, and there are no more keys than may be.
#[track_caller]
fn assert_not_locked_out(sandbox: &Sandbox) {
    let (id, secret) = stored(sandbox, "dev");
    assert!(sandbox.simulator.is_good_key(&id, &secret), "{:?}", sandbox.alice.keys());
    assert!(sandbox.alice.keys().len() <= 2);
}

/// A rotation that stops before each call until it is let go on.
struct Steps<'a> {
    sandbox: &'a Sandbox,
    holds: Vec<Hold>,
    made: usize,
    client: Child,
}

impl<'a> Steps<'a> {
    fn begin(sandbox: &'a Sandbox) -> Self {
        let holds = ACTIONS.map(|action| sandbox.simulator.hold(action)).into();
        let mut command = sandbox.client(["keys", "rotate", "dev"]);
        let client = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        Self { sandbox, holds, made: 0, client }
    }

    /// The next call that waits to be answered; none where the rotation is over.
    fn next(&mut self) -> Option<String> {
        let before = self.made;
        let mut over = false;
        wait_until("another call, or the end", || {
            over = self.client.try_wait().unwrap().is_some();
            over || self.sandbox.simulator.calls().len() > before
        });
        let calls = self.sandbox.simulator.calls();
        self.made = calls.len();
        calls.get(before).map(|call| call.action.clone())
    }

    /// Lets the call be answered; the one behind it waits.
    fn go_on(&mut self) {
        let next = ACTIONS.map(|action| self.sandbox.simulator.hold(action)).into();
        self.holds = next;
    }

    /// Lets everything go on, to the end.
    fn finish(mut self) -> Run {
        self.holds.clear();
        self.client.wait_with_output().unwrap().into()
    }
}

/// Breaks a rotation off at each of its calls, and sees that the next one makes it whole.
fn at_each_call(breaks: impl Fn(&mut Steps<'_>, &str)) {
    at_each_call_of(logged_in, breaks);
}

fn at_each_call_of(begin: impl Fn() -> Sandbox, breaks: impl Fn(&mut Steps<'_>, &str)) {
    let mut broken = 0;
    for number in 0.. {
        let sandbox = begin();
        let mut steps = Steps::begin(&sandbox);
        let mut action = steps.next();
        for _ in 0..number {
            assert_not_locked_out(&sandbox);
            steps.go_on();
            action = steps.next();
        }
        let Some(action) = action else {
            let run = steps.finish();
            assert_eq!(run.status, 0, "{run:?} {:?}", sandbox.simulator.calls());
            assert_whole(&sandbox);
            break;
        };
        breaks(&mut steps, &action);
        let run = steps.finish();
        sandbox.simulator.clear_faults();
        assert_not_locked_out(&sandbox);
        if run.status != 0 {
            broken += 1;
            let run = rotate(&sandbox);
            assert_eq!(run.status, 0, "after a break at call {number}, {action}: {run:?}");
        }
        assert_whole(&sandbox);
    }
    assert!(broken >= 6, "{broken} breaks");
}

#[test]
fn a_key_is_replaced_in_the_order_that_locks_nobody_out() {
    let sandbox = logged_in();
    let (old, key) = (sandbox.alice.access_key_id.clone(), key_of(&sandbox.alice));
    sandbox.write(
        ".aws/credentials",
        &format!("# mine\n[dev]\n# of alice\n{key}\n[same-long-term]\n{key}region = x\n"),
    );
    let run = rotate(&sandbox);
    assert_eq!((run.status, run.stdout.as_str()), (0, ""), "{run:?}");
    let (new, secret) = stored(&sandbox, "dev");
    assert_eq!(
        credentials(&sandbox),
        format!("# mine\n[dev]\n# of alice\n{key}\n[same-long-term]\n{key}region = x\n")
            .replace(&old, &new)
            .replace(&sandbox.alice.secret_access_key, &secret),
        "all else stays, and so do the profiles that share the key"
    );
    let said = format!("dev has the key …{} now; …{} is deleted", &new[16..], &old[16..]);
    assert!(run.stderr.contains(&said) && !run.stderr.contains(&secret), "{run:?}");
    assert_whole(&sandbox);
    let calls = sandbox.simulator.calls();
    let made: Vec<_> = calls
        .iter()
        .map(|call| {
            let by = match call.access_key_id.as_deref() {
                Some(id) if id == old => "old",
                Some(id) if id == new => "new",
                _ => "session",
            };
            format!("{by} {}", call.action)
        })
        .collect();
    assert_eq!(
        made,
        [
            "old GetCallerIdentity",
            "session ListAccessKeys",
            "session CreateAccessKey",
            "new GetCallerIdentity",
            "new GetCallerIdentity",
            "session ListAccessKeys",
            "session UpdateAccessKey",
            "new GetCallerIdentity",
            "session DeleteAccessKey"
        ]
    );
}

#[test]
fn a_new_key_is_waited_for_until_aws_knows_it() {
    let sandbox = logged_in();
    sandbox.simulator.new_keys_unknown_for(2);
    let run = rotate(&sandbox);
    assert_eq!(run.status, 0, "{run:?}");
    assert_whole(&sandbox);
    let refused = sandbox.simulator.calls();
    let refused = refused.iter().filter(|call| call.error_code.as_deref() == Some("InvalidClientTokenId"));
    assert_eq!(refused.count(), 2);
}

#[test]
fn broken_off_by_a_connection_that_is_dropped_before_each_call_it_ends_well() {
    at_each_call(|steps, action| steps.sandbox.simulator.fault(Fault::DropBefore.on(action)));
}

#[test]
fn broken_off_by_a_lost_answer_of_each_call_it_ends_well() {
    at_each_call(|steps, action| steps.sandbox.simulator.fault(Fault::DropAfter.on(action)));
}

#[test]
fn broken_off_by_a_failure_of_aws_at_each_call_it_ends_well() {
    at_each_call(|steps, action| steps.sandbox.simulator.fault(Fault::InternalFailure.on(action)));
}

#[test]
fn killed_at_each_call_it_ends_well() {
    at_each_call(|steps, action| {
        steps.client.kill().unwrap();
        let number = steps.made;
        steps.holds.clear();
        if ["CreateAccessKey", "UpdateAccessKey", "DeleteAccessKey"].contains(&action) {
            // The call is carried out all the same: the agent made it.
            let answered = |calls: &[aws_simulator::Call]| calls[number - 1].status.is_some();
            assert!(steps.sandbox.simulator.wait_until(Duration::from_secs(20), answered), "{action}");
        }
    });
}

#[test]
fn broken_off_by_silence_at_each_call_it_ends_well() {
    let impatient = || {
        let sandbox = Sandbox::new();
        // Three seconds: a call that waits to be let go on has them, too.
        sandbox.write(".config/mfa-agent/config.toml", "call_timeout = '3s'\n");
        sandbox.log_in("dev");
        sandbox.simulator.clear_calls();
        sandbox
    };
    at_each_call_of(impatient, |steps, action| steps.sandbox.simulator.fault(Fault::Hang.on(action)));
}

#[test]
fn silence_where_something_is_changed_is_told_with_what_to_do() {
    for action in ["CreateAccessKey", "DeleteAccessKey"] {
        let sandbox = logged_in();
        sandbox.write(".config/mfa-agent/config.toml", "call_timeout = '1s'\n");
        sandbox.simulator.fault(Fault::Hang.on(action));
        let run = rotate(&sandbox);
        check(&last_two(&run), 7, &["did not answer", "mfa-agent keys"]);
        sandbox.simulator.clear_faults();
        assert_not_locked_out(&sandbox);
        fs::remove_file(sandbox.home().join(".config/mfa-agent/config.toml")).unwrap();
        assert_eq!(rotate(&sandbox).status, 0);
        assert_whole(&sandbox);
    }
}

/// A failure without the words on the way to it.
fn last_two(run: &Run) -> Run {
    let lines: Vec<&str> = run.stderr.lines().collect();
    let stderr = lines[lines.len().saturating_sub(2)..].join("\n");
    Run { status: run.status, stdout: run.stdout.clone(), stderr }
}

fn config(sandbox: &Sandbox) -> String {
    fs::read_to_string(sandbox.home().join(".aws/config")).unwrap()
}

#[test]
fn a_key_of_the_config_file_is_replaced_there() {
    let sandbox = Sandbox::new();
    let (old, key) = (sandbox.alice.access_key_id.clone(), key_of(&sandbox.alice));
    let before = format!(
        "# mine\r\n[profile dev]\nregion = eu-central-1\nmfa_serial = {}\n{key}# more\n[profile same]\n{key}",
        sandbox.serial
    );
    sandbox.write(".aws/config", &before);
    fs::remove_file(sandbox.home().join(".aws/credentials")).unwrap();
    sandbox.log_in("dev");
    let run = rotate(&sandbox);
    assert_eq!(run.status, 0, "{run:?}");
    let keys = sandbox.alice.keys();
    let [(new, true)] = keys.as_slice() else { panic!("{keys:?}") };
    let after = config(&sandbox);
    let secret = after.split("aws_secret_access_key = ").nth(1).unwrap().lines().next().unwrap();
    assert!(sandbox.simulator.is_good_key(new, secret));
    let expected = before.replace(&old, new).replace(&sandbox.alice.secret_access_key, secret);
    assert_eq!(after, expected, "all else stays");
    assert!(!sandbox.home().join(".aws/credentials").exists());
    // The file is one that others may read, as a file of settings is.
    assert!(run.stderr.contains("others can read ") && run.stderr.contains("chmod 600"), "{run:?}");
}

#[test]
fn the_profiles_of_the_other_file_get_the_new_key_too() {
    // At once, or taken up where it broke off between the two files.
    for broken_off in [false, true] {
        let sandbox = logged_in();
        let (old, key) = (sandbox.alice.access_key_id.clone(), key_of(&sandbox.alice));
        let before = format!("{}[profile ops]\n{key}output = json\n", config(&sandbox));
        sandbox.write(".aws/config", &before);
        let refused = sandbox.run(&["keys", "delete", &old, "--profile", "dev"]);
        check(&refused, 5, &["rests on"]);
        if broken_off {
            let (new, secret) = ("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY");
            sandbox.alice.add_key(new, secret);
            sandbox.write(
                ".aws/credentials",
                &format!(
                    "[dev]\naws_access_key_id = {new}\naws_secret_access_key = {secret}\n\
                     mfa_agent_previous_key = {old}\n"
                ),
            );
            sandbox.log_in("dev");
        }
        let run = rotate(&sandbox);
        assert_eq!(run.status, 0, "{run:?}");
        let (new, secret) = stored(&sandbox, "dev");
        let expected = before.replace(&old, &new).replace(&sandbox.alice.secret_access_key, &secret);
        assert_eq!(config(&sandbox), expected);
        assert_eq!(sandbox.alice.keys(), [(new.clone(), true)]);
        check(&sandbox.run(&["keys", "disable", &new, "--profile", "dev"]), 5, &["[dev] rests on"]);
        // Of which only the other file has a profile.
        sandbox.write(".aws/credentials", "");
        sandbox.write(".aws/config", &config(&sandbox).replace("[profile ops]\n", ""));
        check(&sandbox.run(&["keys", "disable", &new, "--profile", "dev"]), 5, &["[dev] rests on"]);
    }
}

#[test]
fn a_new_key_that_is_stored_is_in_the_clients_memory_no_more() {
    if !is_root() {
        return;
    }
    let sandbox = logged_in();
    let mut steps = Steps::begin(&sandbox);
    while steps.next().expect("the old key is put away") != "UpdateAccessKey" {
        steps.go_on();
    }
    let (_, secret) = stored(&sandbox, "dev");
    let pid = i32::try_from(steps.client.id()).unwrap();
    assert_eq!(left_in_memory(pid, &[("the new secret", secret)]), []);
    assert_eq!(steps.finish().status, 0);
    assert_whole(&sandbox);
}

#[test]
fn a_second_key_of_the_user_is_not_deleted_unless_the_person_says_so() {
    let sandbox = logged_in();
    let (other, secret) = ("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY");
    sandbox.alice.add_key(other, secret);
    check(&rotate(&sandbox), 5, &["two keys", "never used", &format!("keys delete {other}")]);
    let terminal = sandbox.terminal(&["keys", "rotate", "dev"]);
    terminal.wait_for("Delete …MPLE");
    terminal.type_in("n\n");
    assert_eq!(terminal.finish().status, 5);
    assert_eq!(sandbox.alice.keys().len(), 2);
    // One that another profile has, or that was used, is not asked about.
    let before = credentials(&sandbox);
    let both = format!("{before}[ops]\naws_access_key_id = {other}\naws_secret_access_key = {secret}\n");
    sandbox.write(".aws/credentials", &both);
    check(&rotate(&sandbox), 5, &["…MPLE in [ops]", "keys delete --force"]);
    assert_eq!(sandbox.run(&["keys", "import", "--help"]).status, 0);
    assert_ne!(sandbox.run(&["device", "list", "--profile", "ops"]).status, 6);
    sandbox.write(".aws/credentials", &before);
    check(&rotate(&sandbox), 5, &["which was used on", &format!("keys disable {other}")]);
    assert_eq!(sandbox.alice.keys().len(), 2);

    let run = sandbox.run(&["keys", "delete", other, "--profile", "dev"]);
    check(&run, 5, &["is active, and was used", "keys disable"]);
    assert_eq!(sandbox.run(&["keys", "disable", "MPLE", "--profile", "dev"]).status, 0);
    assert!(sandbox.alice.keys().contains(&(other.to_owned(), false)));
    assert_eq!(sandbox.run(&["keys", "enable", "MPLE", "--profile", "dev"]).status, 0);
    assert!(sandbox.alice.keys().contains(&(other.to_owned(), true)));
    assert_eq!(sandbox.run(&["keys", "disable", other, "--profile", "dev"]).status, 0);
    let run = sandbox.run(&["keys", "delete", other, "--profile", "dev"]);
    assert_eq!(run.status, 0, "{run:?}");
    let own = &sandbox.alice.access_key_id;
    for verb in ["disable", "delete"] {
        check(&sandbox.run(&["keys", verb, own, "--profile", "dev"]), 5, &["[dev] rests on", "rotate dev"]);
    }
    check(&sandbox.run(&["keys", "disable", "ABCD", "--profile", "dev"]), 2, &["no key ABCD", own]);
    assert_eq!(sandbox.alice.keys(), [(own.clone(), true)]);

    // Never used, and the person says yes.
    sandbox.alice.add_key("AKIAIOSFODNN7EXAMPLF", secret);
    let terminal = sandbox.terminal(&["keys", "rotate", "dev"]);
    terminal.wait_for("Delete …MPLF");
    terminal.type_in("y\n");
    assert_eq!(terminal.finish().status, 0);
    assert_whole(&sandbox);
}

#[test]
fn the_old_key_stays_where_the_person_wants_it() {
    let sandbox = logged_in();
    let run = sandbox.run(&["keys", "rotate", "dev", "--keep-old"]);
    assert_eq!(run.status, 0, "{run:?}");
    let (new, _) = stored(&sandbox, "dev");
    let old = sandbox.alice.access_key_id.clone();
    let mut expected = [(old.clone(), false), (new, true)];
    expected.sort();
    assert_eq!(sandbox.alice.keys(), expected);
    assert!(run.stderr.contains(&format!("keys delete {old}")), "{run:?}");
    assert!(!credentials(&sandbox).contains("mfa_agent_"));
}

#[test]
fn without_a_session_a_code_is_asked_for_and_nothing_is_begun_without_one() {
    let sandbox = Sandbox::new();
    let before = credentials(&sandbox);
    let run = rotate(&sandbox);
    assert_eq!(run.status, 3, "{run:?}");
    assert_eq!((credentials(&sandbox), sandbox.alice.keys().len()), (before, 1));
    let terminal = sandbox.terminal(&["keys", "rotate", "dev"]);
    terminal.wait_for("MFA code for dev");
    terminal.type_in(&sandbox.code());
    assert_eq!(terminal.finish().status, 0);
    assert_eq!(sandbox.simulator.calls_of("GetSessionToken").len(), 1, "one code is enough");
}

#[test]
fn a_profile_that_has_the_same_key_from_the_keyring_has_the_new_one_from_there() {
    let mut sandbox = Sandbox::new();
    let bus = Bus::start(&mut sandbox);
    let keyring = Keyring::start(&sandbox, &bus);
    let (old, key) = (sandbox.alice.access_key_id.clone(), key_of(&sandbox.alice));
    let serial = &sandbox.serial;
    sandbox.write(".aws/credentials", &format!("[ops]\n{key}mfa_serial = {serial}\n"));
    assert_eq!(sandbox.run(&["keys", "import", "--keyring", "--profile", "ops"]).status, 0);
    // And one with a key of its own in the clear, which wins over what it had from the keyring.
    let own = "aws_access_key_id = AKIAIOSFODNN7EXAMPLE\naws_secret_access_key = wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY\n";
    let shadowed = format!("[shadowed]\n{own}mfa_agent_keyring_key = {old}\n");
    sandbox.write(".aws/credentials", &format!("{}[dev]\n{key}{shadowed}", credentials(&sandbox)));
    sandbox.log_in("dev");

    let run = rotate(&sandbox);
    assert_eq!(run.status, 0, "{run:?}");
    let (new, secret) = stored(&sandbox, "dev");
    assert_ne!(new, old);
    assert!(credentials(&sandbox).contains(&format!("mfa_agent_keyring_key = {new}\n")), "{run:?}");
    assert_eq!(keyring.lookup("access-key-id", &new), secret);
    assert_eq!(keyring.lookup("access-key-id", &old), "", "the old one is out");
    assert!(credentials(&sandbox).ends_with(&shadowed), "what rests on another key stays");
    let run = sandbox.run(&["login", "ops", "--force", "--code", &sandbox.code()]);
    assert_eq!(run.status, 0, "{run:?}");
}

#[test]
fn a_key_of_the_keyring_is_replaced_there_and_its_secret_stays_nowhere_else() {
    let mut sandbox = Sandbox::new();
    let bus = Bus::start(&mut sandbox);
    let keyring = Keyring::start(&sandbox, &bus);
    assert_eq!(sandbox.run(&["keys", "import", "--keyring", "--profile", "dev"]).status, 0);
    sandbox.log_in("dev");
    let run = rotate(&sandbox);
    assert_eq!(run.status, 0, "{run:?}");
    let keys = sandbox.alice.keys();
    let [(new, true)] = keys.as_slice() else { panic!("{keys:?}") };
    assert_eq!(credentials(&sandbox), format!("[dev]\nmfa_agent_keyring_key = {new}\n"));
    let secret = keyring.lookup("access-key-id", new);
    assert!(sandbox.simulator.is_good_key(new, &secret));
    assert_eq!(keyring.lookup("access-key-id", &sandbox.alice.access_key_id), "", "the old one is out");
    assert_eq!(sandbox.run(&["env", "dev", "--no-prompt"]).status, 0);
    assert_eq!(sandbox.run(&["login", "dev", "--force", "--code", &sandbox.code()]).status, 0);
    if is_root() {
        let found = left_in_memory(sandbox.agent_pid(), &[("the new secret", secret)]);
        assert!(found.is_empty(), "{found:?}");
    }
}

#[test]
fn the_age_and_last_use_of_keys_are_listed_where_aws_tells() {
    let sandbox = Sandbox::new();
    let run = sandbox.run(&["keys", "list", "--used"]);
    assert_eq!(run.status, 0, "{run:?}");
    assert!(run.stdout.contains('?') && run.stderr.contains("mfa-agent login dev"), "{run:?}");
    sandbox.log_in("dev");
    let run = sandbox.run(&["keys", "list", "--used"]);
    let row = run.stdout.lines().nth(1).unwrap();
    assert!(row.contains(" 0d ") && row.contains("(sts)") && !row.contains('?'), "{run:?}");
    assert_eq!(run.stderr.lines().filter(|line| line.contains("login")).count(), 0, "{run:?}");
    let json = sandbox.run(&["keys", "list", "--used", "--json"]).stdout;
    assert!(json.contains("\"last_used_for\": \"sts\"") && json.contains("\"active\": true"), "{json}");
    assert!(!sandbox.run(&["keys", "list"]).stdout.contains("AGE"));
}
