//! A role by its ARN in the place of a profile, assumed from a profile.

use std::fs;
use std::path::PathBuf;

use aws_simulator::Role;
use protocol::{Ask, Refusal, Reply, Request};

use crate::errors::check;
use crate::support::{ACCOUNT, Bus, Run, SHELLS, Sandbox, Session, TestPrompter, exported, tool, wait_until};

/// The other account.
const OTHER: &str = "222222222222";

/// A machine with `dev` alone, and the ARN of a role of another account that `dev` may assume.
fn sandbox() -> (Sandbox, String) {
    let sandbox = Sandbox::new();
    let arn = role(&sandbox, "team/ops");
    (sandbox, arn)
}

fn role(sandbox: &Sandbox, name: &str) -> String {
    let role = Role { trusted_accounts: vec![ACCOUNT.to_owned()], ..Role::new(OTHER, name) };
    sandbox.simulator.role(role)
}

/// Lets the agent alone live by a clock of the test's.
fn with_clock(sandbox: &mut Sandbox) -> PathBuf {
    let clock = sandbox.fake_clock();
    assert_eq!(sandbox.run(&["agent", "start"]).status, 0);
    sandbox.unset("LD_PRELOAD");
    clock
}

#[track_caller]
fn variables(run: &Run) -> std::collections::BTreeMap<String, String> {
    assert_eq!(run.status, 0, "{run:?}");
    exported(&run.stdout, &[])
}

#[test]
fn a_role_is_used_by_its_arn_from_the_profile_named() {
    let (sandbox, arn) = sandbox();
    let terminal = sandbox.terminal(&["env", &arn, "--source", "dev"]);
    terminal.wait_for("MFA code for ops in 222222222222");
    terminal.type_in(&sandbox.code());
    assert_eq!(terminal.finish().status, 0);
    let given = variables(&sandbox.run(&["env", &arn, "--source", "dev", "--no-prompt"]));
    // Region and all else is the source's.
    assert_eq!(given["AWS_REGION"], "eu-central-1");
    let word = format!("dev,{arn}");
    assert_eq!(given["MFA_AGENT_PROFILE"], word);
    let caller = Run::of(sandbox.command(tool("aws"), ["sts", "get-caller-identity"]).envs(&given));
    let session = format!("arn:aws:sts::{OTHER}:assumed-role/ops/mfa-agent");
    assert!(caller.status == 0 && caller.stdout.contains(&session), "{caller:?}");

    // Both as one word, wherever a profile goes; one session of the user, one of the role.
    let one_word = variables(&sandbox.run(&["env", &word, "--no-prompt"]));
    assert_eq!(one_word["AWS_ACCESS_KEY_ID"], given["AWS_ACCESS_KEY_ID"]);
    let exec = sandbox.run(&["exec", &arn, "--source", "dev", "--", "sh", "-c", "echo $AWS_ACCESS_KEY_ID"]);
    assert_eq!(exec.stdout.trim_end(), given["AWS_ACCESS_KEY_ID"], "{exec:?}");
    let process = sandbox.run(&["credential-process", &arn, "--source", "dev"]);
    let process: serde_json::Value = serde_json::from_str(&process.stdout).unwrap();
    assert_eq!(process["AccessKeyId"], given["AWS_ACCESS_KEY_ID"].as_str());
    let login = sandbox.run(&["login", "dev", &arn, "--source", "dev"]);
    assert_eq!(login.status, 0, "{login:?}");
    assert!(login.stderr.contains("\nops in 222222222222: valid for 11h 59m"), "{login:?}");
    assert_eq!(sandbox.simulator.calls_of("GetSessionToken").len(), 1);
    let calls = sandbox.simulator.calls_of("AssumeRole");
    assert_eq!(calls.len(), 1);
    assert_eq!(
        (calls[0].parameter("RoleArn"), calls[0].region.as_deref()),
        (Some(arn.as_str()), Some("eu-central-1"))
    );

    let status = sandbox.run(&["status", &arn, "--source", "dev"]);
    assert!(status.stdout.contains("\nops in 222222222222 "), "{status:?}");
    let json: serde_json::Value = serde_json::from_str(&sandbox.run(&["status", "--json"]).stdout).unwrap();
    let roles: Vec<_> = json["sessions"].as_array().unwrap().iter().map(|it| &it["profiles"]).collect();
    assert!(roles.contains(&&serde_json::json!([word])), "{json}");
    assert_eq!(sandbox.run(&["logout", &arn, "--source", "dev"]).stderr, "1 session forgotten\n");
    assert_eq!(sandbox.run(&["env", &word, "--no-prompt"]).status, 3);
}

#[test]
fn without_a_word_it_is_assumed_from_the_profile_that_counts() {
    let (mut sandbox, arn) = sandbox();
    let given = |sandbox: &Sandbox, own: &str| {
        let mut command = sandbox.client(["env", &arn, "--no-prompt"]);
        if !own.is_empty() {
            command.env("MFA_AGENT_PROFILE", own);
        }
        Run::of(&mut command)
    };
    sandbox.log_in("dev");
    // Nothing names one: an error that says how.
    let run = given(&sandbox, "");
    check(&run, 5, &["no profile is named to assume arn:aws:iam::222222222222:role/team/ops from"]);
    assert!(run.hint().starts_with("--source PROFILE"), "{run:?}");
    let word = format!("dev,{arn}");
    for own in ["dev", "dev,arn:aws:iam::222222222222:role/other"] {
        assert_eq!(variables(&given(&sandbox, own))["MFA_AGENT_PROFILE"], word, "{own}");
    }
    sandbox.set("AWS_PROFILE", "dev");
    assert_eq!(variables(&given(&sandbox, "prod"))["MFA_AGENT_PROFILE"], word);
    sandbox.unset("AWS_PROFILE");
    sandbox.write(".config/mfa-agent/config.toml", "default_profile = \"dev\"\n");
    assert_eq!(variables(&given(&sandbox, ""))["MFA_AGENT_PROFILE"], word);
    // An SDK that runs us has its own AWS_PROFILE, which would come back here.
    sandbox.set("AWS_PROFILE", "dev");
    let run = sandbox.run(&["credential-process", &arn]);
    check(&run, 2, &["assumes no role from a profile that is not named"]);
    assert_eq!(run.hint(), format!("mfa-agent credential-process {arn} --source PROFILE"));
}

#[test]
fn what_cannot_be_meant_is_refused_with_what_can() {
    let (sandbox, arn) = sandbox();
    let word = format!("dev,{arn}");
    for (arguments, status, words, hint) in [
        (
            vec!["env", arn.as_str(), "--source", "deb"],
            5,
            "no profile deb to assume ops in 222222222222 from",
            "did you mean dev?",
        ),
        (vec!["env", "dev", "--source", "dev"], 2, "and dev is none", "arn:aws:iam::ACCOUNT:role/NAME"),
        (
            vec!["login", "arn:aws:sts::222222222222:assumed-role/ops/x", "--source", "dev"],
            2,
            "assumed-role/ops/x is none",
            "arn:aws:iam::ACCOUNT:role/NAME",
        ),
        (vec!["exec", "--source", "dev", "--", "true"], 2, "and none is named", "name its ARN"),
        (vec!["env", &word, "--source", "ops"], 2, "is assumed from dev, not from ops", "leave one of them"),
        (vec!["env", &arn, "--source", &word], 2, "--source is a profile's name", "mfa-agent profiles"),
    ] {
        let run = sandbox.run(&arguments);
        assert_eq!(run.status, status, "{arguments:?}: {run:?}");
        assert!(run.stderr.contains(words), "{arguments:?}: {run:?}");
        assert!(run.hint().starts_with(hint), "{arguments:?}: {run:?}");
    }
    assert_eq!(sandbox.run(&["env", "--unset", "--source", "dev"]).status, 2);
    assert_eq!(sandbox.run(&["logout", "--all", "--source", "dev"]).status, 2);
    // A role that says no is named, and nothing else is harmed.
    let closed = sandbox.simulator.role(Role { trusted_accounts: Vec::new(), ..Role::new(OTHER, "closed") });
    sandbox.log_in("dev");
    let run = sandbox.run(&["env", &closed, "--source", "dev"]);
    check(&run, 4, &["arn:aws:iam::222222222222:role/closed"]);
    assert_eq!(sandbox.run(&["env", "dev", "--no-prompt"]).status, 0);
}

#[test]
fn a_source_with_a_role_makes_a_chain_of_an_hour() {
    let sandbox = Sandbox::new();
    let ops = Role::new(ACCOUNT, "ops");
    let deep = Role {
        trusted_accounts: Vec::new(),
        trusted_roles: vec![ops.arn()],
        requires_mfa: false,
        ..Role::new(OTHER, "deep")
    };
    let source = sandbox.simulator.role(Role { max_session_seconds: 43_200, ..ops });
    let arn = sandbox.simulator.role(deep);
    let config = fs::read_to_string(sandbox.home().join(".aws/config")).unwrap();
    let ops = format!(
        "[profile ops]\nrole_arn = {source}\nsource_profile = dev\nregion = us-west-2\nduration_seconds = 28800\n\
         role_session_name = alice\n"
    );
    sandbox.write(".aws/config", &format!("{config}{ops}"));
    sandbox.log_in("dev");
    let given = variables(&sandbox.run(&["env", &arn, "--source", "ops", "--no-prompt"]));
    assert_eq!(given["AWS_REGION"], "us-west-2");
    let calls = sandbox.simulator.calls_of("AssumeRole");
    assert_eq!(calls.len(), 2);
    for (call, name) in calls.iter().zip(["alice", "mfa-agent"]) {
        assert_eq!(call.parameter("DurationSeconds"), Some("3600"));
        assert_eq!(call.parameter("RoleSessionName"), Some(name), "the source's settings are the source's");
    }
    let run = sandbox.run(&["exec", &arn, "--source", "ops", "--min-ttl", "2h", "--", "true"]);
    assert_eq!(run.status, 5, "{run:?}");
}

#[test]
fn a_shell_that_uses_one_goes_on_tracking_it_and_so_do_its_children() {
    for shell in SHELLS {
        let (mut sandbox, arn) = sandbox();
        let clock = with_clock(&mut sandbox);
        let session = Session::start(&sandbox, shell);
        let start = session.type_line(&format!("mfa-agent use {arn} --source dev"));
        session.terminal.wait_for_after(start, "MFA code for ops in 222222222222");
        session.terminal.type_in(&sandbox.code());
        session.wait_for_step(start);
        let word = format!("dev,{arn}");
        let environment = session.environment();
        assert_eq!(environment["MFA_AGENT_PROFILE"], word, "{shell:?}");
        let first = environment["AWS_ACCESS_KEY_ID"].clone();
        let shown = session.run("echo \"=$MFA_AGENT_PROMPT=\"");
        assert!(shown.contains("=ops 59m=") || shown.contains("=ops 1h0m="), "{shell:?}: {shown}");

        // The role is renewed for the shell that holds it, without a word.
        sandbox.advance(&clock, 50 * 60);
        assert_eq!(sandbox.run(&["status"]).status, 0);
        wait_until("the role is renewed", || sandbox.simulator.calls_of("AssumeRole").len() == 2);
        wait_until("the shell is told", || {
            sandbox.run(&["agent", "log"]).stdout.contains(&format!("role of {word}: renewed"))
        });
        let shown = session.run("true");
        assert!(!shown.contains("mfa-agent:"), "{shell:?}: {shown}");
        let second = session.key_id().unwrap();
        assert_ne!(second, first, "{shell:?}");

        // A child that knows nothing but its environment, after a logout and a login elsewhere.
        let start = session.terminal.screen().len();
        session.terminal.type_in(&format!("{}\r", shell.program()));
        session.terminal.wait_for_after(start, "> ");
        assert_eq!(sandbox.run(&["logout", &arn, "--source", "dev"]).stderr, "1 session forgotten\n");
        session.run_to_prompt("true");
        let environment = session.environment();
        assert!(!environment.contains_key("AWS_ACCESS_KEY_ID"), "{shell:?}: {environment:?}");
        assert_eq!(environment["MFA_AGENT_PROFILE"], word);
        assert!(
            session
                .terminal
                .screen()
                .contains("mfa-agent: ops in 222222222222: no session; mfa-agent use dev,arn:"),
            "{shell:?}: {}",
            session.terminal.screen()
        );
        sandbox.simulator.advance(std::time::Duration::from_mins(1));
        sandbox.log_in("dev");
        wait_until("the role is there again", || sandbox.run(&["env", &word, "--no-prompt"]).status == 0);
        session.run_to_prompt("true");
        assert!(session.key_id().is_some_and(|key| key != second), "{shell:?}");

        // Another role of the same source, without saying it; and none.
        let other = role(&sandbox, "other");
        session.run_to_prompt(&format!("mfa-agent use {other}"));
        assert_eq!(session.environment()["MFA_AGENT_PROFILE"], format!("dev,{other}"), "{shell:?}");
        session.run_to_prompt("mfa-agent use --none");
        let environment = session.environment();
        assert!(
            !environment.keys().any(|name| name.starts_with("AWS_") && name != "AWS_ENDPOINT_URL"),
            "the region goes too: {shell:?}: {environment:?}"
        );
    }
}

#[test]
fn an_expired_one_is_asked_for_at_the_prompt() {
    for shell in SHELLS {
        let (mut sandbox, arn) = sandbox();
        let clock = sandbox.fake_clock();
        sandbox.log_in("dev");
        let session = Session::start(&sandbox, shell);
        session.run_to_prompt(&format!("mfa-agent use {arn} --source dev"));
        let first = session.key_id().unwrap();
        sandbox.advance(&clock, 43_201);
        assert_eq!(sandbox.run(&["status"]).status, 0);
        let start = session.type_line("true");
        session.wait_for_step(start);
        session.terminal.wait_for_after(start, "MFA code for ops in 222222222222");
        let asked = session.terminal.screen().len();
        session.terminal.type_in(&sandbox.code());
        session.terminal.wait_for_after(asked, "> ");
        let environment = session.environment();
        assert_ne!(environment["AWS_ACCESS_KEY_ID"], first, "{shell:?}");
        assert_eq!(environment["MFA_AGENT_PROFILE"], format!("dev,{arn}"));
    }
}

#[test]
fn a_click_on_its_notification_renews_what_it_rests_on() {
    let (mut sandbox, arn) = sandbox();
    let prompter = TestPrompter::new(&sandbox, "");
    let bus = Bus::start(&mut sandbox);
    let server = bus.server("actions body body-markup icon-static persistence");
    let clock = with_clock(&mut sandbox);
    let run = sandbox.run(&["login", &arn, "--source", "dev", "--code", &sandbox.code()]);
    assert_eq!(run.status, 0, "{run:?}");
    sandbox.advance(&clock, 43_200 - 599);
    assert!(matches!(sandbox.ask(Request::Log), Reply::Log(_)));
    let notified = server.wait_for(1);
    assert!(notified.arguments.contains("AWS session of ops in 222222222222 ends in 10 min"), "{notified:?}");
    server.click(1, "refresh");
    prompter.type_in(&sandbox.code());
    let refreshed = format!("refresh of dev,{arn}: a new session");
    wait_until("it is renewed", || sandbox.run(&["agent", "log"]).stdout.contains(&refreshed));
    assert!(prompter.heard().contains("SETDESC MFA code for AWS role ops in 222222222222%0A"));
    let Reply::Status(status) = sandbox.ask(Request::Status) else { panic!() };
    assert!(status.sessions.iter().any(|session| session.seconds_left > 43_000), "{status:?}");
}

#[test]
fn consent_for_the_source_is_wanted_for_its_roles_and_each_by_itself() {
    let (sandbox, arn) = sandbox();
    let prompter = TestPrompter::new(&sandbox, "[profile.dev]\nconfirm = true\n");
    // In another terminal: a code that is typed is consent there.
    let code = sandbox.code();
    let client = env!("CARGO_BIN_EXE_mfa-agent");
    let login = [client, "login", "dev", "--code", code.as_str()];
    let login = Run::of(&mut sandbox.command(tool("setsid"), [&["--wait"][..], &login].concat()));
    assert_eq!(login.status, 0, "{login:?}");
    let env = || {
        let mut command = sandbox.client(["env", &arn, "--source", "dev"]);
        command.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped()).spawn().unwrap()
    };
    let asked = env();
    prompter.answer("OK");
    assert_eq!(asked.wait_with_output().unwrap().status.code(), Some(0));
    let heard = prompter.heard();
    assert!(
        heard.contains(&format!("SETDESC Give the credentials of {arn}, by AWS profile dev to a program?")),
        "{heard}"
    );
    assert_eq!(sandbox.run(&["env", &arn, "--source", "dev"]).status, 0, "a yes counts for a while");
    let other = role(&sandbox, "other");
    let mut command = sandbox.client(["env", &other, "--source", "dev"]);
    let other = command.stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null()).spawn();
    prompter.answer("ERR 83886194 Not confirmed <Pinentry>");
    assert_eq!(other.unwrap().wait().unwrap().code(), Some(6));
    assert_eq!(prompter.asked("CONFIRM"), 2);
}

#[test]
fn a_grant_gives_out_the_role_and_not_its_source() {
    let (sandbox, arn) = sandbox();
    sandbox.log_in("dev");
    let run = sandbox.run(&["agent", "grant", "--profile", &arn, "--source", "dev"]);
    assert!(run.status == 0 && run.stderr.contains(" gives out ops in 222222222222 until "), "{run:?}");
    let path = run.stdout.trim_end().to_owned();
    let there = |arguments: &[&str]| Run::of(sandbox.client(arguments).env("MFA_AGENT_SOCK", &path));
    let word = format!("dev,{arn}");
    // As the only one, by its ARN, which is all that is known there, and by both.
    for arguments in [&["env"][..], &["env", &arn], &["env", &arn, "--source", "dev"]] {
        assert_eq!(variables(&there(arguments))["MFA_AGENT_PROFILE"], word, "{arguments:?}");
    }
    assert_eq!(there(&["hook", "profiles"]).stdout, format!("{word}\n"));
    for refused in [vec!["env", "dev"], vec!["env", &role(&sandbox, "other"), "--source", "dev"]] {
        let run = there(&refused);
        assert_eq!(run.status, 6, "{refused:?}: {run:?}");
        assert!(run.stderr.contains("this socket was granted for"), "{run:?}");
    }
    // A grant for a role that no profile is named for says so where it is made.
    let request = Request::Grant { profiles: vec![arn.clone()], duration: None };
    assert!(
        matches!(sandbox.ask(request), Reply::Refused(Refusal::NoSource { role_arn }) if role_arn == arn)
    );
}

#[test]
fn live_access_and_the_console_take_one() {
    let (mut sandbox, arn) = sandbox();
    sandbox.set("MFA_AGENT_SIGNIN_ENDPOINT", sandbox.simulator.endpoint());
    sandbox.log_in("dev");
    let live = variables(&sandbox.run(&["env", &arn, "--source", "dev", "--live"]));
    let caller = Run::of(sandbox.command(tool("aws"), ["sts", "get-caller-identity"]).envs(&live));
    assert!(caller.status == 0 && caller.stdout.contains(":assumed-role/ops/"), "{caller:?}");
    let console = sandbox.run(&["console", &arn, "--source", "dev", "--print"]);
    assert!(console.status == 0 && console.stdout.contains("Action=login"), "{console:?}");
    let why = Run::of(sandbox.client(["why", &arn, "--source", "dev"]).envs(&live));
    assert!(why.stdout.contains("live access to ops in 222222222222"), "{why:?}");
    // One that is granted is renewed and named like any other, over a restart too.
    assert_eq!(sandbox.run(&["agent", "restart"]).status, 0);
    let request = Request::Credentials {
        profile: Some(format!("dev,{arn}")),
        ask: Ask::Never,
        replaces: None,
        min_ttl: None,
        duration: None,
    };
    assert!(matches!(sandbox.ask(request), Reply::Credentials(_)));
}
