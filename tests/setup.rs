//! `mfa-agent setup`: the first hour.

use std::collections::BTreeSet;
use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use aws_simulator::User;

use crate::keyring::is_in_files;
use crate::secrets::{is_root, left_in_memory, seed_in_memory};
use crate::support::{ACCOUNT, Bus, Keyring, Run, Sandbox, Session, Shell, key_of, tool};

fn config(sandbox: &Sandbox) -> String {
    fs::read_to_string(sandbox.home().join(".aws/config")).unwrap_or_default()
}

#[test]
fn the_list_of_regions_is_botocores() {
    let script = "import botocore.loaders\n\
                  for p in botocore.loaders.Loader().load_data('endpoints')['partitions']:\n  \
                    for r, v in p['regions'].items(): print(r, p['partition'], v['description'])";
    let output = Command::new(tool("python")).args(["-c", script]).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let theirs: BTreeSet<&str> = text.lines().collect();
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../client/src/regions.txt");
    let text = fs::read_to_string(path).unwrap();
    let ours: BTreeSet<&str> = text.lines().filter(|line| !line.starts_with('#')).collect();
    assert!(ours.len() > 40 && ours == theirs, "{:#?}", ours.symmetric_difference(&theirs));
}

#[test]
fn region_and_output_go_into_the_config_file_and_all_else_stays() {
    let sandbox = Sandbox::new();
    let before = "# mine: Zürich\r\n[profile dev]\r\nregion   =\tx  ; why\r\n\r\n[default]\r\noutput=text";
    sandbox.write(".aws/config", before);
    let run = sandbox.run(&["setup", "dev", "--settings", "--region", "eu-west-1", "--output", "json"]);
    assert_eq!((run.status, run.stdout.as_str()), (0, ""), "{run:?}");
    let file = sandbox.home().join(".aws/config");
    let place = format!("in {} for profile dev", file.display());
    assert_eq!(run.stderr, format!("region = eu-west-1, output = json is {place} now\n"));
    let after =
        before.replace("region   =\tx  ; why\r\n", "; why\r\nregion   =\teu-west-1\r\noutput = json\r\n");
    assert_eq!(config(&sandbox), after);
    // Again: nothing is there to do. And what AWS's own tool reads is what was written.
    let run = sandbox.run(&["setup", "--profile", "dev", "--settings", "--region", "eu-west-1"]);
    assert_eq!(run.stderr, format!("nothing to change {place}\n"));
    assert_eq!(config(&sandbox), after);
    let read = Run::of(&mut sandbox.command(tool("aws"), ["configure", "get", "region", "--profile", "dev"]));
    assert_eq!(read.stdout, "eu-west-1\n", "{read:?}");

    // A region that AWS may have made since is taken, and doubted.
    let run = sandbox.run(&["setup", "dev", "--settings", "--region", "eu-cental-1"]);
    assert_eq!(run.status, 0, "{run:?}");
    let doubt = "eu-cental-1 is no region that is known here; eu-central-1 is\n";
    assert!(run.stderr.starts_with(doubt), "{run:?}");
    assert!(config(&sandbox).contains("region   =\teu-cental-1\r\n"));
    let run = sandbox.run(&["setup", "dev", "--output", "xml"]);
    assert!(run.status == 2 && run.stderr.contains("yaml-stream"), "{run:?}");
    let run = sandbox.run(&["setup", "dev", "--settings"]);
    assert!(run.status == 2 && run.hint().contains("--region"), "{run:?}");

    // Into a home without any file.
    fs::remove_dir_all(sandbox.home().join(".aws")).unwrap();
    let run = sandbox.run(&["setup", "--settings", "--region", "us-east-1"]);
    assert_eq!(run.status, 0, "{run:?}");
    assert_eq!(config(&sandbox), "[default]\nregion = us-east-1\n");
}

#[test]
fn regions_are_completed() {
    let sandbox = Sandbox::new();
    let client = env!("CARGO_BIN_EXE_mfa-agent");
    for (shell, script) in [
        (
            Shell::Bash,
            "COMP_WORDS=(mfa-agent setup dev --region eu-ce) COMP_CWORD=4; __mfa_agent_complete\n\
             printf '%s\\n' \"${COMPREPLY[@]}\"",
        ),
        (
            Shell::Zsh,
            "compadd() { print -l -- ${(M)@:#eu-ce*} }; words=(mfa-agent setup dev --region eu-ce); CURRENT=5\n\
             __mfa_agent_complete",
        ),
        (Shell::Fish, "complete -C 'mfa-agent setup dev --region eu-ce'"),
    ] {
        let script = format!("{}{script}\n", shell.load());
        // Interactive, since a script has no use for the hook.
        let arguments: &[&str] =
            if shell == Shell::Bash { &["--norc", "--noprofile", "-i", "-c"] } else { &["-i", "-c"] };
        let run = Run::of(sandbox.command(tool(shell.program()), arguments).arg(script));
        assert_eq!(run.stdout, "eu-central-1\neu-central-2\n", "{shell:?} with {client}: {run:?}");
    }
}

/// A person before anything: a home with what the console let them download, and nothing else.
fn newcomer() -> (Sandbox, User) {
    let mut sandbox = Sandbox::new();
    fs::remove_dir_all(sandbox.home().join(".aws")).unwrap();
    let bob = sandbox.simulator.user(ACCOUNT, "bob");
    sandbox.write(
        "Downloads/accessKeys.csv",
        &format!("Access key ID,Secret access key\n{},{}\n", bob.access_key_id, bob.secret_access_key),
    );
    sandbox.set("SHELL", "/usr/bin/bash");
    (sandbox, bob)
}

/// Bob's devices, by name, and whether they are enabled.
fn devices(sandbox: &Sandbox) -> Vec<(String, bool)> {
    let devices = sandbox.simulator.devices().into_iter().filter(|(serial, _)| *serial != sandbox.serial);
    devices.map(|(serial, enabled)| (serial.rsplit('/').next().unwrap().to_owned(), enabled)).collect()
}

/// What a question on the screen looks like, and what the person types.
type Answer<'a> = (&'a str, &'a dyn Fn() -> String);

/// Runs `setup` in a terminal and answers its questions, until the screen shows `until`; there it is killed, unless it
/// is done. What was on the screen comes back.
fn lead(sandbox: &Sandbox, arguments: &[&str], until: &str) -> String {
    lead_and_look(sandbox, arguments, until, |_| ())
}

/// The same, with a look at the process before it is killed.
fn lead_and_look(sandbox: &Sandbox, arguments: &[&str], until: &str, look: impl FnOnce(i32)) -> String {
    // The device that is being added: the last one made.
    let serial = || {
        let made = sandbox.simulator.calls_of("CreateVirtualMFADevice");
        let name = made.iter().rev().find(|call| call.status == Some(200)).unwrap();
        format!("arn:aws:iam::{ACCOUNT}:mfa/{}", name.parameter("VirtualMFADeviceName").unwrap())
    };
    let typed = |text: &'static str| move || text.to_owned();
    let enabled = || {
        let (serial, _) = sandbox
            .simulator
            .devices()
            .into_iter()
            .find(|(serial, enabled)| *enabled && *serial != sandbox.serial)
            .unwrap();
        sandbox.simulator.unused_code(&serial).unwrap()
    };
    let answers: [Answer<'_>; 12] = [
        ("Region for dev (? lists them) [none]: ", &typed("eu-central-1\r")),
        ("Output format for dev [json]: ", &typed("\r")),
        ("accessKeys.csv]: ", &typed("\r")),
        ("Keep the key in the keyring? [y/N] ", &typed("y\r")),
        ("is in ~/.aws/credentials? [y/N] ", &typed("n\r")),
        ("is in the keyring? [y/N] ", &typed("y\r")),
        ("Make it anew? [y/N] ", &typed("y\r")),
        ("Code of ", &|| sandbox.simulator.code_at(&serial(), -1)),
        ("The next code: ", &|| sandbox.simulator.code_at(&serial(), 0)),
        ("MFA code for dev", &enabled),
        ("Attach this? [y/N] ", &typed("y\r")),
        ("Add this? [y/N] ", &typed("y\r")),
    ];
    let mut terminal = sandbox.terminal(&[&["setup", "dev"], arguments].concat());
    let mut seen = 0;
    let questions: Vec<&str> = answers.iter().map(|(question, _)| *question).chain([until]).collect();
    loop {
        terminal.wait_for_any_after(seen, &questions);
        let screen = terminal.screen();
        let (at, question) =
            questions.iter().filter_map(|words| Some((screen[seen..].find(words)?, *words))).min().unwrap();
        seen += at + question.len();
        if question == until {
            look(terminal.pid());
            terminal.kill();
            return terminal.screen();
        }
        let (_, answer) = answers.iter().find(|(words, _)| *words == question).unwrap();
        terminal.type_in(&answer());
        // While it is typed, the line is drawn anew again and again.
        terminal.wait_for_after(seen, "\r\n");
        seen += terminal.screen()[seen..].find("\r\n").unwrap();
    }
}

const DONE: &str = "in every new one: mfa-agent use dev";

#[test]
fn behind_its_step_no_secret_and_no_seed_is_in_its_memory() {
    if !is_root() {
        return;
    }
    let (sandbox, bob) = newcomer();
    let key = [("the key", bob.secret_access_key.clone())];
    lead_and_look(&sandbox, &[], "Code of ", |pid| assert_eq!(left_in_memory(pid, &key), []));
    lead_and_look(&sandbox, &[], "MFA code for dev", |pid| {
        let devices = sandbox.simulator.devices();
        let (serial, _) = devices.iter().find(|(serial, on)| *on && *serial != sandbox.serial).unwrap();
        let seed = sandbox.simulator.seed(serial);
        assert_eq!(left_in_memory(pid, &key), []);
        assert_eq!(seed_in_memory(pid, &seed), [""; 0]);
    });
}

/// All that there is to be at the end, once each.
fn assert_set_up(sandbox: &Sandbox, bob: &User) {
    assert_set_up_with(sandbox, &format!("[dev]\n{}", key_of(bob)));
}

/// The same, with this in the credentials file.
fn assert_set_up_with(sandbox: &Sandbox, credentials: &str) {
    let file = |name: &str| fs::read_to_string(sandbox.home().join(name)).unwrap();
    assert_eq!(file(".aws/credentials"), credentials);
    let enabled: Vec<_> = devices(sandbox).into_iter().filter(|(_, enabled)| *enabled).collect();
    let [(device, _)] = &enabled[..] else { panic!("{enabled:?}") };
    assert_eq!(
        file(".aws/config"),
        format!(
            "[profile dev]\nregion = eu-central-1\noutput = json\nmfa_serial = arn:aws:iam::{ACCOUNT}:mfa/{device}\n"
        )
    );
    let client = env!("CARGO_BIN_EXE_mfa-agent");
    assert_eq!(file(".bashrc"), format!("alias mine=true\neval \"$({client} init bash)\"\n"));
    assert_eq!(sandbox.run(&["policy", "check", "dev"]).status, 0);
    // A new shell, with this very rc file.
    let session = Session::start_rc(sandbox, Shell::Bash, &file(".bashrc"));
    // A step each: AWS's client takes its time on a busy machine.
    session.run("mfa-agent use dev");
    let shown = session.run("mine && command aws sts get-caller-identity");
    assert!(shown.contains(&format!("arn:aws:iam::{ACCOUNT}:user/bob")), "{shown}");
    assert!(session.key_id().unwrap().starts_with("ASIA"));
}

#[test]
fn a_newcomer_is_led_from_the_consoles_file_to_a_new_shell() {
    for in_force in [true, false] {
        let (mut sandbox, bob) = newcomer();
        use_test_tools(&mut sandbox);
        bob.must_use_mfa(in_force);
        // Dotfiles live elsewhere, as many people have them.
        sandbox.write("dotfiles/bashrc", "alias mine=true");
        std::os::unix::fs::symlink("dotfiles/bashrc", sandbox.home().join(".bashrc")).unwrap();
        let dry = sandbox.run(&["setup", "dev", "--dry-run"]);
        assert_eq!(dry.status, 0, "{dry:?}");
        assert!(dry.stdout.starts_with("✗ key     none\n✗ region  none\n"), "{dry:?}");
        assert!(!sandbox.home().join(".aws").exists());

        let screen = lead(&sandbox, &[], DONE);
        assert!(!screen.contains(&bob.secret_access_key[..12]), "{screen}");
        let offered = screen.contains("Attach this?");
        assert_eq!(offered, !in_force, "{screen}");
        assert!(sandbox.home().join(".bashrc").symlink_metadata().unwrap().is_symlink());
        assert_set_up(&sandbox, &bob);

        // Once more: everything is there, nothing is asked and nothing is changed.
        sandbox.simulator.clear_calls();
        let again = sandbox.run(&["setup", "dev"]);
        assert_eq!(again.status, 0, "{again:?}");
        assert!(!again.stdout.contains('✗'), "{again:?}");
        let looks = |action: &str| action.starts_with("Get") || action.starts_with("List");
        assert!(sandbox.simulator.calls().iter().all(|call| looks(&call.action)));
        // AWS's own tool reads what was written.
        let read =
            Run::of(&mut sandbox.command(tool("aws"), ["configure", "get", "region", "--profile", "dev"]));
        assert_eq!(read.stdout, "eu-central-1\n", "{read:?}");
    }
}

#[test]
fn a_kill_after_any_step_and_another_run_come_to_the_same_end() {
    for stop in [
        "region = eu-central-1, output = json is in ",
        "accessKeys.csv]: ",
        "is in [dev] of ",
        "Code of ",
        "The next code: ",
        "is an MFA device of bob now",
        "with MFA, AWS knows dev as ",
        "Attach this? [y/N] ",
        "is attached to user bob",
        "Add this? [y/N] ",
        "loads the hook now",
    ] {
        let (mut sandbox, bob) = newcomer();
        use_test_tools(&mut sandbox);
        bob.must_use_mfa(false);
        sandbox.write(".bashrc", "alias mine=true\n");
        lead(&sandbox, &[], stop);
        let screen = lead(&sandbox, &[], DONE);
        // What was done is not done again.
        for (done, question) in [
            ("is in [dev] of", "accessKeys.csv]: "),
            ("is an MFA device", "Code of "),
            ("is attached", "Attach"),
        ] {
            assert!(stop != done || !screen.contains(question), "{stop}: {screen}");
        }
        assert_set_up(&sandbox, &bob);
    }
}

/// What the file has of a key that is in the keyring.
fn named(bob: &User) -> String {
    format!("[dev]\nmfa_agent_keyring_key = {}\n", bob.access_key_id)
}

#[test]
fn where_a_keyring_is_open_the_key_goes_there_if_the_person_likes() {
    let (mut sandbox, bob) = newcomer();
    use_test_tools(&mut sandbox);
    sandbox.write(".bashrc", "alias mine=true\n");
    let bus = Bus::start(&mut sandbox);
    let keyring = Keyring::start(&sandbox, &bus);
    // Killed before the answer and behind it.
    lead(&sandbox, &[], "Keep the key in the keyring? [y/N] ");
    let screen = lead(&sandbox, &[], "is in the keyring now");
    assert!(screen.contains("In ~/.aws/credentials the key is in the clear."), "{screen}");
    let screen = lead(&sandbox, &[], DONE);
    assert!(!screen.contains("accessKeys.csv]"), "{screen}");
    // The kill came before it went, or behind that.
    let _ = fs::remove_file(sandbox.home().join("Downloads/accessKeys.csv"));
    assert_eq!(keyring.lookup("access-key-id", &bob.access_key_id), bob.secret_access_key);
    assert_set_up_with(&sandbox, &named(&bob));
    assert_eq!(is_in_files(&sandbox.home(), &bob.secret_access_key), None);
    let dry = sandbox.run(&["setup", "dev", "--dry-run", "--keyring"]);
    let line = format!("✓ key     …{}, in the keyring, of user bob\n", &bob.access_key_id[16..]);
    assert!(dry.stdout.starts_with(&line), "{dry:?}");

    // Where it is locked, nobody is bothered with it.
    keyring.lock();
    fs::remove_file(sandbox.home().join(".aws/credentials")).unwrap();
    sandbox.write(
        "Downloads/accessKeys.csv",
        &format!("Access key ID,Secret access key\n{},{}\n", bob.access_key_id, bob.secret_access_key),
    );
    let screen = lead(&sandbox, &[], "is in [dev] of ");
    assert!(!screen.contains("keyring"), "{screen}");
}

#[test]
fn who_says_keyring_has_the_key_there_also_one_of_the_file() {
    let (mut sandbox, bob) = newcomer();
    let bus = Bus::start(&mut sandbox);
    let keyring = Keyring::start(&sandbox, &bus);
    let dry = sandbox.run(&["setup", "dev", "--dry-run", "--keyring"]);
    assert!(dry.stdout.starts_with("✗ key     none; it goes into the keyring\n"), "{dry:?}");
    let file = sandbox.home().join("Downloads/accessKeys.csv");
    let all =
        ["setup", "dev", "--yes", "--keyring", "--region", "eu-central-1", "--key", file.to_str().unwrap()];
    let run = sandbox.run(&all);
    assert!(run.status == 3 && run.stderr.contains("is in the keyring now"), "{run:?}");
    let credentials = || fs::read_to_string(sandbox.home().join(".aws/credentials")).unwrap();
    assert_eq!(credentials(), named(&bob));

    // Out of the file, where somebody put it back.
    sandbox.write(".aws/credentials", &format!("# mine\n[dev]\n{}", key_of(&bob)));
    let dry = sandbox.run(&["setup", "dev", "--dry-run", "--keyring"]);
    let line = format!(
        "✗ key     …{}, of user bob, in the clear; it goes into the keyring\n",
        &bob.access_key_id[16..]
    );
    assert!(dry.stdout.starts_with(&line), "{dry:?}");
    let run = sandbox.run(&["setup", "dev", "--yes", "--keyring"]);
    assert_eq!(run.status, 3, "{run:?}");
    assert_eq!(credentials(), format!("# mine\n{}", named(&bob)));
    assert_eq!(keyring.lookup("access-key-id", &bob.access_key_id), bob.secret_access_key);

    // Without one, nothing is written elsewhere in its place.
    drop(keyring);
    fs::remove_file(sandbox.home().join(".aws/credentials")).unwrap();
    let run = sandbox.run(&all);
    assert!(run.status == 6 && run.stderr.contains("there is no keyring"), "{run:?}");
    assert!(!sandbox.home().join(".aws/credentials").exists());
}

#[test]
fn other_tools_go_on_with_the_files() {
    let (sandbox, _) = newcomer();
    let before =
        format!("# mine\n[ops-long-term]\n{}aws_mfa_device = {}\n", key_of(&sandbox.alice), sandbox.serial);
    sandbox.write(".aws/credentials", &before);
    lead(&sandbox, &[], DONE);
    let after = fs::read_to_string(sandbox.home().join(".aws/credentials")).unwrap();
    assert!(after.starts_with(&format!("{before}\n[dev]\n")), "{after}");

    let mut command = sandbox.command(tool("aws-mfa"), ["--profile", "ops"]);
    command.env("AWS_DEFAULT_REGION", "us-east-1");
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut real = command.spawn().unwrap();
    real.stdin.take().unwrap().write_all(format!("{}\n", sandbox.code()).as_bytes()).unwrap();
    let run: Run = real.wait_with_output().unwrap().into();
    assert_eq!(run.status, 0, "{run:?}");
    for (profile, user) in [("ops", "alice"), ("dev", "bob")] {
        let caller = ["sts", "get-caller-identity", "--region", "eu-central-1", "--profile", profile];
        let run = Run::of(&mut sandbox.command(tool("aws"), caller));
        assert!(run.status == 0 && run.stdout.contains(&format!("user/{user}")), "{run:?}");
    }
}

#[test]
fn a_script_is_told_what_it_has_to_give() {
    let (sandbox, bob) = newcomer();
    let run = sandbox.run(&["setup", "dev", "--yes"]);
    assert!(run.status == 2 && run.hint().contains("--key accessKeys.csv"), "{run:?}");
    let file = sandbox.home().join("Downloads/accessKeys.csv");
    let all = ["setup", "dev", "--yes", "--region", "eu-central-1", "--key", file.to_str().unwrap()];
    // All but the device, whose codes nobody can be asked for.
    let run = sandbox.run(&all);
    assert!(run.status == 3 && run.hint().contains("--stdin"), "{run:?}");
    assert_eq!(devices(&sandbox), []);
    let serial = bob.device("bob");
    let code = sandbox.simulator.unused_code(&serial).unwrap();
    sandbox.write(".aws/config", &format!("{}mfa_serial = {serial}\n", config(&sandbox)));
    let run = sandbox.run(&[&all[..], &["--code", &code]].concat());
    assert_eq!(run.status, 0, "{run:?}");
    // Whose shell has no hook, and whose user may not put policies, has all else.
    assert!(run.stderr.contains(&format!("AWS knows dev as arn:aws:iam::{ACCOUNT}:user/bob")), "{run:?}");

    // A role has nothing of its own to be set up.
    sandbox.write(
        ".aws/config",
        &format!("[profile ops]\nrole_arn = arn:aws:iam::{ACCOUNT}:role/ops\nsource_profile = dev\n"),
    );
    let run = sandbox.run(&["setup", "ops"]);
    assert!(run.status == 2 && run.hint() == "mfa-agent setup dev", "{run:?}");
}

/// Lets shells find AWS's own client, where the tests have it.
fn use_test_tools(sandbox: &mut Sandbox) {
    let tools = tool("aws").parent().unwrap().to_owned();
    let path = sandbox.environment()[std::ffi::OsStr::new("PATH")].clone();
    let path = std::env::join_paths(std::iter::once(tools).chain(std::env::split_paths(&path))).unwrap();
    sandbox.set("PATH", path);
}
