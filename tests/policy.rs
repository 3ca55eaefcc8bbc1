//! `mfa-agent policy`: the policy that denies everything without MFA.

use serde_json::Value;

use crate::support::{ACCOUNT, Run, Sandbox, key_of};

/// What the product calls with the long-term key alone, before there is a session.
const WITHOUT_MFA: [&str; 6] = [
    "iam:CreateVirtualMFADevice",
    "iam:EnableMFADevice",
    "iam:GetUser",
    "iam:ListMFADevices",
    "iam:ResyncMFADevice",
    "sts:GetSessionToken",
];

#[test]
fn the_policy_is_printed_and_lets_through_what_opens_a_session() {
    let sandbox = Sandbox::new();
    for (arguments, partition) in [
        (["policy", "print"].as_slice(), "aws"),
        (&["policy", "print", "--variant", "device"], "aws"),
        (&["policy", "print", "--variant", "credentials", "--partition", "aws-us-gov"], "aws-us-gov"),
    ] {
        let run = sandbox.run(arguments);
        assert_eq!((run.status, run.stderr.as_str()), (0, ""), "{run:?}");
        let policy: Value = serde_json::from_str(&run.stdout).unwrap();
        let statements = policy["Statement"].as_array().unwrap();
        let [deny] = statements.iter().filter(|one| one["Effect"] == "Deny").collect::<Vec<_>>()[..] else {
            panic!("{policy}");
        };
        assert_eq!(deny["Condition"]["BoolIfExists"]["aws:MultiFactorAuthPresent"], "false");
        for action in WITHOUT_MFA {
            assert!(deny["NotAction"].as_array().unwrap().iter().any(|name| name == action), "{action}");
        }
        let keys = statements.iter().any(|one| one["Sid"] == "AllowManageOwnAccessKeys");
        assert_eq!(keys, !arguments.contains(&"device"));
        assert!(
            run.stdout.contains(&format!("\"arn:{partition}:iam::*:user/${{aws:username}}\"")),
            "{run:?}"
        );
    }
    assert!(!sandbox.socket().exists(), "nothing is asked for that");
}

/// What `policy check` says of dev's user, with a code that is used up where a session is needed.
fn check(sandbox: &Sandbox) -> Run {
    sandbox.run(&["policy", "check", "dev", "--code", &sandbox.simulator.code(&sandbox.serial)])
}

/// The calls that were made since the last look: the action, whether alice's key alone signed, what came of it, and the
/// statement that decided.
fn calls(sandbox: &Sandbox) -> Vec<(String, bool, Option<u16>, Option<String>)> {
    let key = Some(sandbox.alice.access_key_id.clone());
    let calls = sandbox.simulator.calls().into_iter();
    let calls =
        calls.map(|call| (call.action, call.access_key_id == key, call.status, call.decided_by)).collect();
    sandbox.simulator.clear_calls();
    calls
}

#[test]
fn a_check_before_and_after_attach_shows_what_the_policy_does() {
    let sandbox = Sandbox::new();
    sandbox.alice.must_use_mfa(false);
    sandbox.log_in("dev");
    calls(&sandbox);

    let before = check(&sandbox);
    let table = "\
CALL                WITHOUT MFA                    WITH MFA
iam:GetUser         ✓ allowed                      ✓ allowed
iam:ListMFADevices  ✓ allowed                      ✓ allowed
iam:ListAccessKeys  ✗ allowed, and must be denied  ✓ allowed
iam:ListUsers       ✗ allowed, and must be denied  ✓ allowed
";
    assert!(before.status == 1 && before.stdout.starts_with(table), "{before:?}");
    assert!(
        before.stderr.contains("not in force: alice may call iam:ListAccessKeys without MFA"),
        "{before:?}"
    );
    assert_eq!(before.hint(), "attach it: mfa-agent policy attach");
    let made = calls(&sandbox);
    let everything = Some("AdministratorAccess/1".to_owned());
    assert!(made.contains(&("ListUsers".to_owned(), true, Some(200), everything.clone())), "{made:?}");
    assert!(made.contains(&("ListUsers".to_owned(), false, Some(200), everything.clone())), "{made:?}");
    let looks = |action: &str| ["Get", "List"].iter().any(|begin| action.starts_with(begin));
    assert!(made.iter().all(|(action, ..)| looks(action)), "{made:?}");

    // A person looks at it, and agrees.
    let terminal = sandbox.terminal(&["policy", "attach", "--profile", "dev"]);
    terminal.wait_for("policy require-mfa of user alice\r\n+{\r\n+  \"Version\": \"2012-10-17\"");
    terminal.wait_for("+      \"Sid\": \"DenyAllExceptListedIfNoMFA\"");
    terminal.wait_for("Attach this? [y/N] ");
    assert_eq!(sandbox.alice.policy("require-mfa"), None);
    terminal.type_in("y\r");
    assert_eq!(terminal.finish().status, 0);
    let printed = sandbox.run(&["policy", "print"]).stdout;
    assert_eq!(sandbox.alice.policy("require-mfa"), Some(printed));
    calls(&sandbox);

    let after = check(&sandbox);
    let table = "\
CALL                WITHOUT MFA  WITH MFA
iam:GetUser         ✓ allowed    ✓ allowed
iam:ListMFADevices  ✓ allowed    ✓ allowed
iam:ListAccessKeys  ✓ denied     ✓ allowed
iam:ListUsers       ✓ denied     ✓ allowed
";
    assert!(after.status == 0 && after.stdout.starts_with(table), "{after:?}");
    assert_eq!(after.stderr, "in force for alice: denied without MFA, and not with it\n");
    let deny = "denied by DenyAllExceptListedIfNoMFA in policy require-mfa of user alice\n";
    assert!(after.stdout.contains(&format!("iam:ListUsers without MFA: {deny}")), "{after:?}");
    let made = calls(&sandbox);
    let denied = Some("require-mfa/DenyAllExceptListedIfNoMFA".to_owned());
    assert!(made.contains(&("ListUsers".to_owned(), true, Some(403), denied.clone())), "{made:?}");
    assert!(made.contains(&("ListAccessKeys".to_owned(), true, Some(403), denied)), "{made:?}");
    assert!(made.contains(&("ListUsers".to_owned(), false, Some(200), everything)), "{made:?}");
    let own = Some("require-mfa/AllowManageOwnUserMFA".to_owned());
    assert!(made.contains(&("ListMFADevices".to_owned(), true, Some(200), own)), "{made:?}");

    // Once more there is nothing to do, and what it is changed to is shown.
    let again = sandbox.run(&["policy", "attach", "--profile", "dev"]);
    assert!(again.status == 0 && again.stderr.contains("says just that already"), "{again:?}");
    assert!(calls(&sandbox).iter().all(|(action, ..)| looks(action)));
    let other = sandbox.run(&["policy", "attach", "--profile", "dev", "--variant", "device", "--yes"]);
    assert!(
        other.status == 0 && other.stderr.contains("-      \"Sid\": \"AllowManageOwnPasswords\""),
        "{other:?}"
    );
    let device = sandbox.run(&["policy", "print", "--variant", "device"]).stdout;
    assert_eq!(sandbox.alice.policy("require-mfa"), Some(device));

    let terminal = sandbox.terminal(&["policy", "detach", "--profile", "dev"]);
    terminal.wait_for("-{\r\n-  \"Version\"");
    terminal.wait_for("Take it away? [y/N] ");
    terminal.type_in("n\r");
    assert_eq!(terminal.finish().status, 130);
    assert!(sandbox.alice.policy("require-mfa").is_some());
    let gone = sandbox.run(&["policy", "detach", "--profile", "dev", "--yes"]);
    assert_eq!((gone.status, sandbox.alice.policy("require-mfa")), (0, None), "{gone:?}");
    let gone = sandbox.run(&["policy", "detach", "--profile", "dev"]);
    assert_eq!((gone.status, gone.stderr.as_str()), (0, "user alice has no policy require-mfa of its own\n"));
    assert_eq!(check(&sandbox).status, 1);
}

#[test]
fn nobody_is_locked_out_unless_it_is_said() {
    let sandbox = Sandbox::new();
    let bob = sandbox.simulator.user(ACCOUNT, "bob");
    bob.must_use_mfa(false);
    sandbox.alice.join("devs");
    bob.join("devs");
    sandbox.log_in("dev");
    for target in [["--user", "bob"], ["--group", "devs"]] {
        let arguments = [&["policy", "attach", "--profile", "dev", "--yes"], &target[..]].concat();
        let run = sandbox.run(&arguments);
        assert!(run.status == 1 && run.stderr.contains("bob has no MFA device"), "{run:?}");
        assert!(run.hint().contains("device add") && run.hint().contains("--force"), "{run:?}");
    }
    let by_bob = |arguments: &[&str]| {
        sandbox
            .write(".aws/credentials", &format!("[dev]\n{}[bob]\n{}", key_of(&sandbox.alice), key_of(&bob)));
        sandbox.run(&[&["policy"], arguments, &["--profile", "bob"]].concat())
    };
    // Without a device there is only the key: it is enough to see that nothing is in force, and to attach it.
    let run = by_bob(&["check"]);
    assert!(
        run.status == 1
            && run.stdout.contains("iam:GetUser         ✓ allowed                      - no device"),
        "{run:?}"
    );
    let run = by_bob(&["attach", "--yes"]);
    assert!(run.status == 1 && run.stderr.contains("bob has no MFA device"), "{run:?}");
    let run = by_bob(&["attach", "--yes", "--force"]);
    assert_eq!(run.status, 0, "{run:?}");
    let run = by_bob(&["check"]);
    assert!(run.status == 1 && run.stderr.contains("in force, and bob has no MFA device"), "{run:?}");
    assert_eq!(run.hint(), "mfa-agent device add");
    // Somebody with rights takes it back, and gives it to all where all have one.
    let run = sandbox.run(&["policy", "detach", "--profile", "dev", "--user", "bob", "--yes"]);
    assert!(run.status == 0 && bob.policy("require-mfa").is_none(), "{run:?}");
    bob.device("bob");
    let run = sandbox.run(&["policy", "attach", "--profile", "dev", "--group", "devs", "--yes"]);
    assert_eq!(run.status, 0, "{run:?}");
    sandbox.alice.must_use_mfa(false);
    let run = check(&sandbox);
    let deny = "denied by DenyAllExceptListedIfNoMFA in policy require-mfa of group devs\n";
    assert!(run.status == 0 && run.stdout.contains(deny), "{run:?}");
}

#[test]
fn a_policy_of_somebody_elses_is_judged_by_what_it_does() {
    let sandbox = Sandbox::new();
    sandbox.log_in("dev");
    // It looks right, and lets every key pass.
    sandbox.alice.must_use_mfa(false);
    let printed = sandbox.run(&["policy", "print"]).stdout;
    let arn = sandbox.alice.attach_policy("force-mfa", &printed.replace("BoolIfExists", "Bool"));
    let run = check(&sandbox);
    assert_eq!(run.status, 1, "{run:?}");
    let trap = format!(
        "iam:ListUsers passes DenyAllExceptListedIfNoMFA in {arn}, attached to user alice: its Bool is not met by a key"
    );
    assert!(run.stdout.contains(&trap), "{run:?}");

    // Nobody but administrators may read policies: the calls are proof enough.
    sandbox.alice.attach_policy("force-mfa", &printed);
    sandbox.alice.may_do_everything(false);
    let run = check(&sandbox);
    assert_eq!(run.status, 0, "{run:?}");
    assert!(run.stdout.contains("iam:ListUsers       ✓ denied     - allowed by no policy\n"), "{run:?}");
    assert!(run.stdout.contains("alice may not read all policies (iam:ListGroupsForUser)"), "{run:?}");
    let json = sandbox.run(&["policy", "check", "dev", "--json"]);
    let json: Value = serde_json::from_str(&json.stdout).unwrap();
    assert_eq!((&json["in_force"], &json["user"]), (&true.into(), &"alice".into()));
    assert_eq!(json["calls"][3]["with_mfa"], "not_allowed");
    // Whom nothing allows anything, nothing is proved for; and one who cannot put a policy is told who can.
    sandbox
        .alice
        .attach_policy("force-mfa", &printed.replace("\"Deny\"", "\"Allow\"").replace("NotAction", "Action"));
    let run = sandbox.run(&["policy", "attach", "--profile", "dev", "--yes"]);
    assert!(run.status == 4 && run.hint().contains("--profile NAME"), "{run:?}");

    // A deny that does not ask for MFA at all.
    let all = r#"{"Version":"2012-10-17","Statement":{"Sid":"No","Effect":"Deny","Action":"iam:ListUsers","Resource":"*"}}"#;
    sandbox.alice.attach_policy("force-mfa", &printed);
    sandbox.alice.put_policy("no", all);
    let run = check(&sandbox);
    assert!(run.status == 1 && run.stderr.contains("alice is denied iam:ListUsers with MFA too"), "{run:?}");
}
