//! `mfa-agent device`: a user's MFA devices, from the first one on.

use protocol::{Ask, IamAnswer, IamCall, Refusal, Reply, Request, Secret, Signed};

use crate::errors::check;
use crate::secrets::{is_root, left_in_memory};
use crate::support::{ACCOUNT, Sandbox, key_of};

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
    assert_eq!(called(&sandbox), ["GetCallerIdentity", "ListMFADevices"]);

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
