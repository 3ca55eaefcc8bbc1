//! Roles: many of them cost one code, and they are renewed without one.

use std::fmt::Write;
use std::fs;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use aws_simulator::Role;
use rustix::process::{Pid, Signal, kill_process};

use crate::support::{ACCOUNT, Run, Sandbox, exported};

/// A sandbox with these roles as profiles of the same names, assumed from `dev`.
fn with_roles(roles: &[Role]) -> Sandbox {
    let sandbox = Sandbox::new();
    let mut config = format!("[profile dev]\nregion = eu-central-1\nmfa_serial = {}\n", sandbox.serial);
    for role in roles {
        let arn = sandbox.simulator.role(role.clone());
        writeln!(config, "[profile {}]\nrole_arn = {arn}\nsource_profile = dev", role.name).unwrap();
    }
    sandbox.write(".aws/config", &config);
    sandbox
}

fn key_id(run: &Run) -> String {
    assert_eq!(run.status, 0, "{run:?}");
    exported(&run.stdout, &[])["AWS_ACCESS_KEY_ID"].clone()
}

/// The same for the agent alone.
fn with_clock(sandbox: &mut Sandbox) -> PathBuf {
    let clock = sandbox.fake_clock();
    assert_eq!(sandbox.run(&["agent", "start"]).status, 0);
    sandbox.unset("LD_PRELOAD");
    clock
}

#[test]
fn ten_roles_cost_one_code() {
    let roles: Vec<_> = (0..10).map(|number| Role::new(ACCOUNT, &format!("role{number}"))).collect();
    let sandbox = with_roles(&roles);
    let terminal = sandbox.terminal(&["env", "role0"]);
    terminal.wait_for("MFA code for role0");
    terminal.type_in(&sandbox.code());
    assert_eq!(terminal.finish().status, 0);
    let keys: std::collections::BTreeSet<_> =
        roles.iter().map(|role| key_id(&sandbox.run(&["env", &role.name, "--no-prompt"]))).collect();
    assert_eq!(keys.len(), 10);
    assert_eq!(sandbox.simulator.calls_of("GetSessionToken").len(), 1);
    assert_eq!(sandbox.simulator.calls_of("AssumeRole").len(), 10);
    let status: serde_json::Value = serde_json::from_str(&sandbox.run(&["status", "--json"]).stdout).unwrap();
    assert_eq!(status["sessions"].as_array().unwrap().len(), 11);
}

#[test]
fn many_who_want_one_role_are_one_call() {
    let sandbox = with_roles(&[Role::new(ACCOUNT, "ops")]);
    sandbox.log_in("ops");
    let hold = sandbox.simulator.hold("AssumeRole");
    let clients: Vec<_> = (0..8)
        .map(|_| sandbox.client(["env", "ops"]).stdout(std::process::Stdio::piped()).spawn().unwrap())
        .collect();
    assert!(sandbox.simulator.wait_for_calls("AssumeRole", 1, Duration::from_secs(20)));
    hold.release();
    let answers: std::collections::BTreeSet<_> =
        clients.into_iter().map(|client| key_id(&client.wait_with_output().unwrap().into())).collect();
    assert_eq!(answers.len(), 1);
    assert_eq!(sandbox.simulator.calls_of("AssumeRole").len(), 1);
}

#[test]
fn a_role_is_renewed_across_its_hour_without_a_code() {
    let mut sandbox = with_roles(&[Role::new(ACCOUNT, "ops")]);
    let clock = with_clock(&mut sandbox);
    sandbox.log_in("ops");
    let first = key_id(&sandbox.run(&["env", "ops"]));
    // More than the margin is left: the same again.
    sandbox.advance(&clock, 30 * 60);
    assert_eq!(key_id(&sandbox.run(&["env", "ops", "--no-prompt"])), first);
    // Less than the SDKs want to see: a new one, while the old one is still good.
    sandbox.advance(&clock, 44 * 60);
    let second = key_id(&sandbox.run(&["env", "ops", "--no-prompt"]));
    assert_ne!(second, first);
    // Hour upon hour, to the end of the MFA session.
    let mut keys = std::collections::BTreeSet::from([first, second]);
    for hour in 2..12 {
        sandbox.advance(&clock, hour * 3_600);
        keys.insert(key_id(&sandbox.run(&["env", "ops", "--no-prompt"])));
    }
    assert_eq!(keys.len(), 12);
    assert_eq!(sandbox.simulator.calls_of("GetSessionToken").len(), 1);
    // Past it, a code is needed.
    sandbox.advance(&clock, 13 * 3_600);
    let run = sandbox.run(&["env", "ops", "--no-prompt"]);
    assert_eq!((run.status, run.stdout.as_str()), (3, "false\n"));
}

#[test]
fn a_renewal_that_fails_leaves_what_is_still_good() {
    let mut sandbox = with_roles(&[Role::new(ACCOUNT, "ops")]);
    let clock = with_clock(&mut sandbox);
    sandbox.log_in("ops");
    let first = key_id(&sandbox.run(&["env", "ops"]));
    sandbox.advance(&clock, 50 * 60);
    sandbox.simulator.fault(aws_simulator::Fault::ServiceUnavailable);
    assert_eq!(key_id(&sandbox.run(&["env", "ops", "--no-prompt"])), first);
    sandbox.simulator.clear_faults();
    assert_ne!(key_id(&sandbox.run(&["env", "ops", "--no-prompt"])), first);
}

#[test]
fn an_expired_session_is_not_given_out_and_the_prompt_says_so() {
    let mut sandbox = Sandbox::new();
    let clock = with_clock(&mut sandbox);
    sandbox.log_in("dev");
    let lease = exported(&sandbox.run(&["env", "dev"]).stdout, &[])["MFA_AGENT_LEASE"].clone();
    sandbox.advance(&clock, 43_200 - 5);
    assert_eq!(sandbox.run(&["env", "dev", "--no-prompt"]).status, 0);
    sandbox.advance(&clock, 43_200 + 1);
    let run = sandbox.run(&["env", "dev", "--no-prompt"]);
    assert_eq!((run.status, run.stdout.as_str()), (3, "false\n"));
    assert!(run.stderr.contains("expired"), "{run:?}");
    assert!(!std::path::Path::new(&lease).exists());
    // However often a script asks, AWS is not called for it.
    for _ in 0..20 {
        assert_eq!(sandbox.run(&["env", "dev", "--no-prompt"]).status, 3);
    }
    // The account's alias, for the notification of the end, is another matter.
    let calls = sandbox.simulator.calls();
    assert_eq!(calls.iter().filter(|call| call.action != "ListAccountAliases").count(), 1, "{calls:?}");
}

#[test]
fn a_session_that_ended_while_the_agent_was_stopped_is_not_given_out() {
    let mut sandbox = Sandbox::new();
    let clock = with_clock(&mut sandbox);
    sandbox.log_in("dev");
    assert_eq!(sandbox.run(&["env", "dev", "--no-prompt"]).status, 0);
    let agent = Pid::from_raw(sandbox.agent_pid()).unwrap();
    kill_process(agent, Signal::STOP).unwrap();
    sandbox.advance(&clock, 43_201);
    // It is in line before the agent goes on.
    let waiting = sandbox.client(["env", "dev", "--no-prompt"]).stdout(Stdio::piped()).spawn().unwrap();
    kill_process(agent, Signal::CONT).unwrap();
    let run = Run::from(waiting.wait_with_output().unwrap());
    assert_eq!((run.status, run.stdout.as_str()), (3, "false\n"));
}

#[test]
fn chains_of_roles_go_through_and_a_too_long_one_is_capped() {
    let ops = Role::new(ACCOUNT, "ops");
    let deep = Role {
        trusted_accounts: Vec::new(),
        trusted_roles: vec![ops.arn()],
        requires_mfa: false,
        external_id: Some("x-1".to_owned()),
        ..Role::new("444455556666", "deep")
    };
    let sandbox = with_roles(std::slice::from_ref(&ops));
    let arn = sandbox.simulator.role(deep);
    let config = format!(
        "[profile dev]\nmfa_serial = {}\n\
         [profile ops]\nrole_arn = {}\nsource_profile = dev\n\
         [profile deep]\nrole_arn = {arn}\nsource_profile = ops\nexternal_id = x-1\nregion = us-west-2\n\
         role_session_name = alice@laptop\nduration_seconds = 28800\n",
        sandbox.serial,
        ops.arn()
    );
    sandbox.write(".aws/config", &config);
    sandbox.log_in("deep");
    key_id(&sandbox.run(&["env", "deep"]));
    let calls = sandbox.simulator.calls_of("AssumeRole");
    assert_eq!(calls.len(), 2);
    assert_eq!(calls[1].parameter("RoleSessionName"), Some("alice@laptop"));
    assert_eq!(calls[1].parameter("ExternalId"), Some("x-1"));
    assert_eq!(calls[1].parameter("DurationSeconds"), Some("3600"));
    assert_eq!(calls[1].region.as_deref(), Some("us-west-2"));
}

#[test]
fn a_role_for_longer_than_an_hour_takes_its_own_code() {
    let long = Role { max_session_seconds: 43_200, ..Role::new(ACCOUNT, "long") };
    let sandbox = with_roles(std::slice::from_ref(&long));
    let config = format!(
        "[profile dev]\nmfa_serial = {}\n[profile long]\nrole_arn = {}\nsource_profile = dev\nduration_seconds = 28800\n",
        sandbox.serial,
        long.arn()
    );
    sandbox.write(".aws/config", &config);
    let terminal = sandbox.terminal(&["env", "long"]);
    terminal.wait_for("MFA code for long");
    terminal.type_in(&sandbox.code());
    assert_eq!(terminal.finish().status, 0);
    assert_eq!(sandbox.simulator.calls_of("GetSessionToken").len(), 0);
    let calls = sandbox.simulator.calls_of("AssumeRole");
    assert_eq!(calls.len(), 1);
    assert_eq!(calls[0].parameter("DurationSeconds"), Some("28800"));
    assert_eq!(calls[0].parameter("SerialNumber"), Some(sandbox.serial.as_str()));
    assert_eq!(sandbox.run(&["env", "long", "--no-prompt"]).status, 0);
}

#[test]
fn a_role_that_says_no_is_named() {
    let closed = Role { trusted_accounts: Vec::new(), ..Role::new("444455556666", "closed") };
    let sandbox = with_roles(&[closed]);
    sandbox.log_in("closed");
    let run = sandbox.run(&["env", "closed"]);
    assert_eq!((run.status, run.stdout.as_str()), (4, "false\n"));
    assert!(run.stderr.contains("arn:aws:iam::444455556666:role/closed"), "{run:?}");
    // The MFA session is unharmed.
    assert_eq!(sandbox.run(&["env", "dev", "--no-prompt"]).status, 0);
}

#[test]
fn tags_identity_and_policies_go_along_and_are_inherited() {
    let ops = Role { takes_context: true, ..Role::new(ACCOUNT, "ops") };
    let deep = Role {
        trusted_accounts: Vec::new(),
        trusted_roles: vec![ops.arn()],
        requires_mfa: false,
        takes_context: true,
        ..Role::new("444455556666", "deep")
    };
    let sandbox = with_roles(&[ops.clone(), deep.clone()]);
    let config = |of_deep: &str| {
        format!(
            "[profile dev]\nmfa_serial = {}\n\
             [profile ops]\nrole_arn = {}\nsource_profile = dev\n\
             session_tags = team=ops, cost center=42\ntransitive_session_tags = team\n\
             source_identity = alice\npolicy_arns = arn:aws:iam::aws:policy/ReadOnlyAccess\n\
             [profile deep]\nrole_arn = {}\nsource_profile = ops\n{of_deep}",
            sandbox.serial,
            ops.arn(),
            deep.arn()
        )
    };
    sandbox.write(".aws/config", &config("session_tags = stage=prod\nsource_identity = alice\n"));
    sandbox.log_in("deep");
    key_id(&sandbox.run(&["env", "deep"]));
    let calls = sandbox.simulator.calls_of("AssumeRole");
    for (name, value) in [
        ("Tags.member.1.Key", "team"),
        ("Tags.member.1.Value", "ops"),
        ("Tags.member.2.Key", "cost center"),
        ("Tags.member.2.Value", "42"),
        ("TransitiveTagKeys.member.1", "team"),
        ("SourceIdentity", "alice"),
        ("PolicyArns.member.1.arn", "arn:aws:iam::aws:policy/ReadOnlyAccess"),
    ] {
        assert_eq!(calls[0].parameter(name), Some(value), "{name}");
    }
    assert_eq!(calls[1].parameter("Tags.member.1.Key"), Some("stage"));
    // Other tags are another session.
    let first = key_id(&sandbox.run(&["env", "deep", "--no-prompt"]));
    sandbox.write(".aws/config", &config("session_tags = stage=test\n"));
    assert_ne!(key_id(&sandbox.run(&["env", "deep", "--no-prompt"])), first);
    // What is inherited cannot be changed behind it.
    sandbox.write(".aws/config", &config("source_identity = mallory\n"));
    let run = sandbox.run(&["env", "deep", "--no-prompt"]);
    assert_eq!(run.status, 4, "{run:?}");
    assert!(run.hint().contains("sts:SetSourceIdentity"), "{run:?}");
    sandbox.write(".aws/config", &config("session_tags = team=other\n"));
    assert_eq!(sandbox.run(&["env", "deep", "--no-prompt"]).status, 4);
}

#[test]
fn a_role_that_takes_no_tags_says_what_its_policy_lacks() {
    let sandbox = with_roles(&[Role::new(ACCOUNT, "ops")]);
    let config = fs::read_to_string(sandbox.home().join(".aws/config")).unwrap();
    sandbox.write(".aws/config", &format!("{config}\nsession_tags = team=ops\n"));
    sandbox.log_in("ops");
    let run = sandbox.run(&["env", "ops"]);
    assert_eq!(
        (run.status, run.hint()),
        (4, "the role's trust policy must allow sts:TagSession beside sts:AssumeRole")
    );
}

#[test]
fn a_role_whose_maximum_is_lower_is_told_with_both_ways_out() {
    let sandbox = with_roles(&[Role::new(ACCOUNT, "long")]);
    let config = fs::read_to_string(sandbox.home().join(".aws/config")).unwrap();
    sandbox.write(".aws/config", &format!("{config}\nduration_seconds = 28800\n"));
    let run = sandbox.run(&["login", "long", "--code", &sandbox.code()]);
    assert_eq!(run.status, 4, "{run:?}");
    assert!(run.stderr.contains("role/long gives no session of 8h"), "{run:?}");
    assert_eq!(run.hint(), "lower duration_seconds in the profile, or raise the role's maximum");
}

#[test]
fn profiles_of_other_kinds_are_named_with_the_command_that_serves_them() {
    let sandbox = Sandbox::new();
    for (settings, setting, hint) in [
        (
            "sso_session = corp\nsso_account_id = 1",
            "sso_session",
            "aws sso login --profile other && export AWS_PROFILE=other",
        ),
        (
            "sso_start_url = https://x",
            "sso_start_url",
            "aws sso login --profile other && export AWS_PROFILE=other",
        ),
        (
            "login_session = arn:aws:iam::1:user/x",
            "login_session",
            "aws login --profile other && export AWS_PROFILE=other",
        ),
        (
            "role_arn = arn:aws:iam::111122223333:role/x\nweb_identity_token_file = /t",
            "web_identity_token_file",
            "use it as it is: export AWS_PROFILE=other",
        ),
        (
            "role_arn = arn:aws:iam::111122223333:role/x\ncredential_source = Ec2InstanceMetadata",
            "credential_source",
            "use it as it is: export AWS_PROFILE=other",
        ),
        ("credential_process = /bin/true", "credential_process", "use it as it is: export AWS_PROFILE=other"),
    ] {
        sandbox.write(".aws/config", &format!("[profile other]\n{settings}\n"));
        let run = sandbox.run(&["env", "other", "--no-prompt"]);
        assert_eq!((run.status, run.stdout.as_str(), run.hint()), (5, "false\n", hint), "{setting}");
        assert!(run.stderr.contains(&format!("gets its credentials by {setting}")), "{run:?}");
    }
}
