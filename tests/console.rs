//! `console`: a link into the AWS console, in the browser or on paper.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use aws_simulator::{Fault, Role};
use protocol::{Ask, Reply, Request};

use crate::errors::check;
use crate::support::{ACCOUNT, Run, Sandbox, exported, tool, wait_until};
use crate::tls::Helper;

/// A machine with the profile `ops`, whose role is assumed from `dev`, and its sign-in at the simulator.
fn with_role() -> Sandbox {
    let mut sandbox = Sandbox::new();
    sandbox.set("MFA_AGENT_SIGNIN_ENDPOINT", sandbox.simulator.endpoint());
    let role = sandbox.simulator.role(Role::new(ACCOUNT, "ops"));
    let config = format!(
        "[profile dev]\nregion = eu-central-1\nmfa_serial = {}\n\
         [profile ops]\nregion = eu-west-1\nrole_arn = {role}\nsource_profile = dev\n",
        sandbox.serial
    );
    sandbox.write(".aws/config", &config);
    sandbox
}

/// What is behind a link: the status and the page.
fn open(sandbox: &Sandbox, link: &str) -> (String, String) {
    let arguments =
        ["--silent", "--location", "--max-time", "30", "--noproxy", "*", "--write-out", "\n%{http_code}"];
    let mut curl = sandbox.command(tool("curl"), arguments.iter().chain(&["--config", "-"]));
    let run = Run::with_input(&mut curl, &format!("url = \"{link}\"\n"));
    let (page, status) = run.stdout.rsplit_once('\n').unwrap();
    (status.to_owned(), page.to_owned())
}

#[track_caller]
fn printed(sandbox: &Sandbox, arguments: &[&str]) -> String {
    let run = sandbox.run(&[&["console", "--print"], arguments].concat());
    assert_eq!((run.status, run.stderr.as_str()), (0, ""), "{run:?}");
    run.stdout.strip_suffix('\n').unwrap().to_owned()
}

#[test]
fn a_role_signs_in_once() {
    let sandbox = with_role();
    sandbox.log_in("ops");
    let link = printed(&sandbox, &["ops"]);
    let (status, page) = open(&sandbox, &link);
    assert_eq!(status, "200", "{page}");
    assert!(page.starts_with(&format!("arn:aws:sts::{ACCOUNT}:assumed-role/ops/")), "{page}");
    assert!(page.ends_with(" at https://console.aws.amazon.com/console/home?region=eu-west-1\n"), "{page}");
    assert_eq!(open(&sandbox, &link).0, "400");

    let (_, page) = open(&sandbox, &printed(&sandbox, &["ops", "--service", "s3"]));
    assert!(page.ends_with(" at https://console.aws.amazon.com/s3/home?region=eu-west-1\n"), "{page}");
    for bad in ["S3", "../s3", "s3?x=1", ""] {
        let run = sandbox.run(&["console", "ops", "--print", "--service", bad]);
        assert!(run.status == 2 && run.stderr.contains("e.g. s3, ec2") && run.stdout.is_empty(), "{run:?}");
    }
    // What is written down on the way holds no credentials.
    let calls = sandbox.simulator.calls_of("getSigninToken");
    assert!(calls.iter().all(|call| call.target == "/federation?"), "{calls:?}");
    assert!(calls.iter().all(|call| call.parameter("SessionDuration").is_none()), "{calls:?}");
    assert!(sandbox.simulator.calls_of("GetFederationToken").is_empty());
}

#[test]
fn a_code_is_asked_for_where_one_is_needed() {
    let sandbox = with_role();
    check(&sandbox.run(&["console", "ops", "--print"]), 3, &["ops needs an MFA code"]);
    let terminal = sandbox.terminal(&["console", "ops", "--print"]);
    terminal.wait_for("MFA code for ops");
    terminal.type_in(&sandbox.code());
    let run = terminal.finish();
    assert_eq!(run.status, 0, "{run:?}");
    assert!(run.stdout.contains("Action=login"), "{run:?}");
}

#[test]
fn a_user_signs_in_by_get_federation_token_unless_a_policy_wants_mfa() {
    let sandbox = with_role();
    sandbox.log_in("dev");
    let run = sandbox.run(&["console", "dev", "--print"]);
    check(&run, 4, &["the user of dev may not have a console link", "sts:GetFederationToken"]);
    assert!(run.hint().contains("role"), "{run:?}");
    assert!(sandbox.simulator.calls_of("getSigninToken").is_empty());

    sandbox.alice.must_use_mfa(false);
    let (status, page) = open(&sandbox, &printed(&sandbox, &["dev"]));
    assert_eq!(status, "200", "{page}");
    let wanted = format!("arn:aws:sts::{ACCOUNT}:federated-user/alice at https://console.aws.amazon.com/");
    assert!(page.starts_with(&wanted), "{page}");
    let calls = sandbox.simulator.calls_of("GetFederationToken");
    let last = calls.last().unwrap();
    assert_eq!(last.access_key_id.as_deref(), Some(&*sandbox.alice.access_key_id), "the long-term key signs");
    let seconds: u32 = last.parameter("DurationSeconds").unwrap().parse().unwrap();
    assert!((43_000..=43_200).contains(&seconds), "as long as the session: {seconds}");
    // A session of GetSessionToken would not do.
    let held = exported(&sandbox.run(&["env", "dev"]).stdout, &[]);
    let session = serde_json::json!({
        "sessionId": held["AWS_ACCESS_KEY_ID"],
        "sessionKey": held["AWS_SECRET_ACCESS_KEY"],
        "sessionToken": held["AWS_SESSION_TOKEN"],
    });
    let url = format!("{}/federation", sandbox.simulator.endpoint());
    let curl = ["--silent", "--data", "Action=getSigninToken", "--data-urlencode", "Session@-", &url];
    let run = Run::with_input(&mut sandbox.command(tool("curl"), curl), &session.to_string());
    assert_eq!(run.stdout, "a session of GetSessionToken");
    // Though AWS wants no code for it, nothing is given out without a session.
    sandbox.run(&["logout", "--all"]);
    assert_eq!(sandbox.run(&["console", "dev", "--print"]).status, 3);
}

#[test]
fn what_goes_wrong_is_said() {
    let sandbox = with_role();
    sandbox.log_in("ops");
    let endpoint = sandbox.simulator.endpoint();
    for (fault, status, words) in [
        (Fault::Garbage, 7, &[&*endpoint, "not as AWS does"][..]),
        (Fault::Huge(5_000_000), 7, &["not as AWS does"]),
        (Fault::DropBefore, 7, &["cannot reach"]),
        (Fault::ServiceUnavailable, 7, &["AWS failed inside"]),
        (
            Fault::Error { status: 400, code: String::new(), message: "needle".to_owned() },
            4,
            &["AWS refused signin:getSigninToken"],
        ),
    ] {
        sandbox.simulator.fault(fault.clone().on("getSigninToken"));
        let run = sandbox.run(&["console", "ops", "--print"]);
        check(&run, status, words);
        assert_eq!(run.stdout, "", "{fault:?}");
        assert!(!run.stderr.contains("needle"), "{run:?}");
        sandbox.simulator.clear_faults();
    }
    printed(&sandbox, &["ops"]);
    assert_eq!(sandbox.run(&["lock"]).status, 0);
    check(&sandbox.run(&["console", "ops", "--print"]), 6, &["locked"]);
}

#[test]
fn an_endpoint_in_the_clear_on_another_machine_gets_nothing() {
    let mut sandbox = with_role();
    sandbox.set("MFA_AGENT_SIGNIN_ENDPOINT", "http://signin.example");
    sandbox.log_in("ops");
    check(
        &sandbox.run(&["console", "ops", "--print"]),
        5,
        &["MFA_AGENT_SIGNIN_ENDPOINT = http://signin.example"],
    );
    let status = sandbox.run(&["status"]).stdout;
    assert!(status.contains("MFA_AGENT_SIGNIN_ENDPOINT"), "{status}");
}

#[test]
fn each_partition_has_its_own_sign_in() {
    for (region, host) in [
        ("eu-central-1", "signin.aws.amazon.com"),
        ("cn-north-1", "signin.amazonaws.cn"),
        ("us-gov-west-1", "signin.amazonaws-us-gov.com"),
    ] {
        let mut sandbox = Sandbox::new();
        sandbox.alice.must_use_mfa(false);
        // A device whose serial says nothing of the partition.
        let serial = sandbox.alice.hardware_device("GAHT12345678");
        sandbox.write(".aws/config", &format!("[profile dev]\nregion = {region}\nmfa_serial = {serial}\n"));
        let proxy = Helper::start(&sandbox, &["refuse"]);
        sandbox.set("HTTPS_PROXY", format!("http://127.0.0.1:{}", proxy.port()));
        let code = sandbox.simulator.unused_code(&serial).unwrap();
        let run = sandbox.run(&["login", "dev", "--code", &code]);
        assert_eq!(run.status, 0, "{run:?}");
        check(&sandbox.run(&["console", "dev", "--print"]), 7, &["cannot reach", host]);
        assert_eq!(proxy.requests(), [format!("CONNECT {host}:443 HTTP/1.1 -")]);
    }
}

/// A browser that notes its arguments and opens the last of them.
fn browser(sandbox: &Sandbox, name: &str) -> String {
    let folder = sandbox.home();
    let program = folder.join(name);
    let script = format!(
        "#!/bin/sh\ntr '\\0' '\\n' < /proc/$$/cmdline > '{0}/arguments'\n\
         '{1}' --silent --location --noproxy '*' --max-time 30 \"$2\" > '{0}/page.new'\n\
         mv '{0}/page.new' '{0}/page'\n",
        folder.display(),
        tool("curl").display(),
    );
    fs::write(&program, script).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o700)).unwrap();
    program.to_str().unwrap().to_owned()
}

#[test]
fn the_browser_is_started_with_no_secret_among_its_arguments_and_is_signed_in() {
    let mut sandbox = with_role();
    sandbox.log_in("ops");
    let program = browser(&sandbox, "browser");
    // One that is not there, and one that fails: the next is tried.
    sandbox.set("BROWSER", format!("/nonexistent/browser:false:{program} --new %s"));
    let run = sandbox.run(&["console", "ops"]);
    assert_eq!((run.status, run.stdout.as_str()), (0, ""), "{run:?}");
    assert!(run.stderr.contains("ops: the console opens in the browser"), "{run:?}");
    let page = sandbox.home().join("page");
    wait_until("the browser is there", || page.exists());
    let page = fs::read_to_string(page).unwrap();
    assert!(page.starts_with(&format!("arn:aws:sts::{ACCOUNT}:assumed-role/ops/")), "{page}");

    let arguments = fs::read_to_string(sandbox.home().join("arguments")).unwrap();
    let address = arguments.lines().last().unwrap();
    assert!(address.starts_with("http://127.0.0.1:"), "{arguments}");
    assert!(!arguments.contains("Signin") && !arguments.contains("IQoJ"), "{arguments}");
    // It was for once.
    assert_eq!(open(&sandbox, address), ("000".to_owned(), String::new()));
    let token =
        sandbox.simulator.calls_of("login").pop().unwrap().parameter("SigninToken").unwrap().to_owned();
    for arguments in [&["agent", "log"][..], &["status", "--json"]] {
        let run = sandbox.run(arguments);
        assert!(!run.stdout.contains(&token) && !run.stdout.contains("/console/"), "{run:?}");
    }
    assert!(sandbox.run(&["agent", "log"]).stdout.contains("console of ops: done"));
}

#[test]
fn without_a_browser_nobody_is_asked_for_a_code() {
    let mut sandbox = with_role();
    sandbox.set("PATH", sandbox.home());
    let run = sandbox.run(&["console", "ops"]);
    check(&run, 1, &["no browser to start"]);
    assert!(run.hint().contains("--print"), "{run:?}");
    // By its name, from PATH.
    let program = browser(&sandbox, "xdg-open");
    let script = fs::read_to_string(&program).unwrap().replace("\"$2\"", "\"$1\"");
    fs::write(&program, script).unwrap();
    sandbox.log_in("ops");
    let path = std::env::var_os("PATH").unwrap();
    let folders = std::iter::once(sandbox.home()).chain(std::env::split_paths(&path));
    sandbox.set("PATH", std::env::join_paths(folders).unwrap());
    assert_eq!(sandbox.run(&["console", "ops"]).status, 0);
    wait_until("the browser is there", || sandbox.home().join("page").exists());
}

#[test]
fn an_address_that_leads_to_the_console_is_for_this_user_and_its_right_path_alone() {
    let sandbox = with_role();
    sandbox.log_in("ops");
    let request =
        Request::Console { profile: Some("ops".to_owned()), ask: Ask::Never, service: None, redirect: true };
    let Reply::Console(console) = sandbox.ask(request) else { panic!() };
    let address = console.url.expose();
    let (base, nonce) = address.rsplit_once('/').unwrap();
    let wrong = format!("{base}/{}", "0".repeat(nonce.len()));
    assert_eq!(open(&sandbox, &wrong).0, "404");
    assert_eq!(open(&sandbox, &format!("{address}?x")).0, "404");
    let port = base.rsplit(':').next().unwrap().split('/').next().unwrap();
    let rebound = address.replacen("127.0.0.1", "evil.example", 1);
    let resolve = format!("evil.example:{port}:127.0.0.1");
    let curl =
        ["--silent", "--noproxy", "*", "--output", "/dev/null", "--write-out", "%{http_code}", "--resolve"];
    let run = Run::of(&mut sandbox.command(tool("curl"), curl.iter().chain([&&*resolve, &&*rebound])));
    assert_eq!(run.stdout, "404", "{run:?}");
    if rustix::process::geteuid().is_root() {
        let curl = tool("curl");
        let arguments = ["--reuid", "65534", "--clear-groups", curl.to_str().unwrap(), "--silent", address];
        let run = Run::of(&mut sandbox.command(tool("setpriv"), arguments));
        // Closed without a word: an empty reply, or a reset.
        assert!([52, 56].contains(&run.status) && run.stdout.is_empty(), "{run:?}");
    } else {
        assert!(std::env::var_os("CI").is_none(), "this test needs root in CI");
    }
    assert_eq!(sandbox.run(&["lock"]).status, 0);
    assert_eq!(open(&sandbox, address).0, "404");
    assert_eq!(sandbox.run(&["unlock", "--code", &sandbox.code()]).status, 0);
    assert_eq!(open(&sandbox, address).0, "200");
    assert_eq!(open(&sandbox, address).0, "000");
}
