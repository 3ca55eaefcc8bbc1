//! `mfa-agent aws-mfa` beside the real aws-mfa, on the same files and the same AWS.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::Stdio;

use aws_simulator::Role;

use crate::support::{ACCOUNT, Run, Sandbox, key_of, open_to_others, tool};

/// What the product writes and what the real one writes must agree on, but for these values.
const VALUES: [&str; 5] =
    ["aws_access_key_id", "aws_secret_access_key", "aws_session_token", "aws_security_token", "expiration"];

/// A credentials file, options, variables, and how long the session is to last, in seconds.
type Case<'a> = (&'a str, &'a [&'a str], &'a [(&'a str, &'a str)], i64);

/// A person with aws-mfa's files, twice: in one home the product works, in the other the real aws-mfa.
struct Pair {
    sandbox: Sandbox,
    role: String,
}

impl Pair {
    fn new() -> Self {
        let sandbox = Sandbox::new();
        let role = sandbox.simulator.role(Role::new(ACCOUNT, "ops"));
        fs::remove_file(sandbox.home().join(".aws/config")).unwrap();
        let pair = Self { sandbox, role };
        pair.write(&pair.long_term("default"));
        pair
    }

    /// A long-term section as aws-mfa's documentation has it.
    fn long_term(&self, profile: &str) -> String {
        let key = key_of(&self.sandbox.alice);
        format!("[{profile}-long-term]\n{key}aws_mfa_device = {}\n\n", self.sandbox.serial)
    }

    /// Puts the same credentials file into both homes.
    fn write(&self, text: &str) {
        self.sandbox.write(".aws/credentials", text);
        self.sandbox.write("real/.aws/credentials", text);
    }

    fn file(&self) -> PathBuf {
        self.sandbox.home().join(".aws/credentials")
    }

    fn ours(&self) -> String {
        fs::read_to_string(self.file()).unwrap()
    }

    fn theirs(&self) -> String {
        fs::read_to_string(self.sandbox.home().join("real/.aws/credentials")).unwrap()
    }

    /// A code of a device that no test has used: AWS takes each once, and has two for half a minute.
    fn new_device(&self, name: &str) -> (String, String) {
        let serial = self.sandbox.alice.device(name);
        let code = self.sandbox.simulator.unused_code(&serial).unwrap();
        (serial, code)
    }

    /// Runs the product's.
    fn run(&self, arguments: &[&str], variables: &[(&str, &str)]) -> Run {
        let all = [&["aws-mfa"], arguments].concat();
        Run::of(self.sandbox.client(all).envs(variables.iter().copied()))
    }

    /// Runs the real one, in this home or that, with a code to type where it asks for one.
    fn run_real(&self, home: &str, arguments: &[&str], variables: &[(&str, &str)], code: &str) -> Run {
        let mut command = self.sandbox.command(tool("aws-mfa"), arguments);
        // Its library asks for a region today, and it has no way to name one itself.
        command.env("AWS_DEFAULT_REGION", "us-east-1");
        command.env("HOME", self.sandbox.home().join(home)).envs(variables.iter().copied());
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        // It may have ended without a question.
        let _ = writeln!(child.stdin.take().unwrap(), "{code}");
        child.wait_with_output().unwrap().into()
    }
}

/// A file without the values that differ from session to session.
fn masked(text: &str) -> String {
    let lines = text.trim_end().lines().map(|line| match line.split_once(" = ") {
        Some((key, value)) if VALUES.contains(&key) && !value.starts_with("AKIA") => format!("{key} = …"),
        _ => line.to_owned(),
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// The value of a setting in a section.
fn value<'a>(text: &'a str, section: &str, key: &str) -> Option<&'a str> {
    let (_, section) = text.split_once(&format!("[{section}]\n"))?;
    let section = section.split("\n[").next()?;
    section.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(" = "))
}

#[test]
fn it_leaves_the_file_that_aws_mfa_leaves() {
    let pair = Pair::new();
    let role = pair.role.as_str();
    let other = pair.sandbox.simulator.role(Role::new(ACCOUNT, "other"));
    let stale = "assumed_role = True\nassumed_role_arn = arn:aws:iam::111122223333:role/old\n\
                 aws_access_key_id = ASIAOLD\naws_secret_access_key = old\nregion = eu-west-1\n";
    let base = pair.long_term("default") + &pair.long_term("dev");
    let with_role = base.replacen("\n\n", &format!("\nassume_role = {role}\n\n"), 1);
    let device = |name: &str| pair.new_device(name);
    // The file, the options, the variables; `@` is a device that is there for this case alone, and its session's span.
    let cases: &[Case] = &[
        (&base, &["--device", "@"], &[], 43_200),
        (&base, &[], &[("MFA_DEVICE", "@")], 43_200),
        (&base, &["--profile", "dev", "--device", "@"], &[], 43_200),
        (&format!("{base}[dev]\n{stale}\n"), &["--device", "@"], &[("AWS_PROFILE", "dev")], 43_200),
        (&format!("{base}[dev]\n{stale}\n"), &["--device", "@", "--profile", "dev"], &[], 43_200),
        (&format!("[dev]\n{stale}\n{base}"), &["--device", "@", "--profile", "dev", "--force"], &[], 43_200),
        (&base, &["--device", "@", "--duration", "1800"], &[], 1_800),
        (&base, &["--device", "@"], &[("MFA_STS_DURATION", "900")], 900),
        (&base, &["--device", "@", "--duration", "7200"], &[("MFA_STS_DURATION", "900")], 7_200),
        (&base, &["--device", "@", "--duration", "0"], &[], 43_200),
        (&base, &["--device", "@", "--short-term-suffix", "now"], &[], 43_200),
        (&base, &["--device", "@", "--short-suffix", "NONE"], &[], 43_200),
        (
            &base.replace("dev-long-term", "dev-key"),
            &["--device", "@", "--profile", "dev", "--long-term-suffix", "key"],
            &[],
            43_200,
        ),
        (
            &base.replace("dev-long-term", "dev"),
            &["--device", "@", "--profile", "dev", "--long-suffix", "none", "--short-suffix", "mfa"],
            &[],
            43_200,
        ),
        (&base, &["--device", "@", "--assume-role", role], &[], 3_600),
        (&base, &["--device", "@", "--assume", &other, "--role-session-name", "me"], &[], 3_600),
        (&base, &["--device", "@", "--duration", "900"], &[("MFA_ASSUME_ROLE", role)], 900),
        (&with_role, &["--device", "@"], &[], 3_600),
        (&with_role, &["--device", "@", "--assume-role", &other], &[("MFA_ASSUME_ROLE", role)], 3_600),
        (&base, &["--device", "@", "--log-level", "ERROR"], &[], 43_200),
        (&base, &["--dev", "@", "--dur", "900"], &[], 900),
    ];
    for (number, (file, arguments, variables, span)) in cases.iter().enumerate() {
        pair.write(file);
        let (serials, codes): (Vec<_>, Vec<_>) =
            ["ours", "real"].map(|who| device(&format!("{who}{number}"))).into_iter().unzip();
        let put = |text: &str, which: usize| text.replace('@', &serials[which]);
        let put_all = |which: usize| {
            let arguments: Vec<String> = arguments.iter().map(|text| put(text, which)).collect();
            let variables: Vec<(&str, String)> =
                variables.iter().map(|(name, value)| (*name, put(value, which))).collect();
            (arguments, variables)
        };
        let (arguments, variables) = put_all(0);
        let mut arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        arguments.extend(["--token", &codes[0]]);
        let variables: Vec<_> = variables.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let before = pair.sandbox.simulator.now();
        let ours = pair.run(&arguments, &variables);
        assert_eq!(ours.status, 0, "{number}: {ours:?}");
        assert_eq!(ours.stdout, "", "words go to stderr");

        let (real_arguments, real_variables) = put_all(1);
        let real_arguments: Vec<&str> = real_arguments.iter().map(String::as_str).collect();
        let real_variables: Vec<_> =
            real_variables.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let real = pair.run_real("real", &real_arguments, &real_variables, &codes[1]);
        assert_eq!(real.status, 0, "{number}: {real:?}");
        assert_eq!(masked(&pair.ours()), masked(&pair.theirs()), "{number}: {arguments:?}");

        // Each takes the other's for its own.
        if !arguments.contains(&"--force") {
            pair.sandbox.simulator.clear_calls();
            let real = pair.run_real("", &real_arguments, &real_variables, "");
            fs::copy(pair.sandbox.home().join("real/.aws/credentials"), pair.file()).unwrap();
            let ours = pair.run(&arguments, &variables);
            let quiet = arguments.contains(&"ERROR");
            for said in [real.stdout + &real.stderr, ours.stderr] {
                assert_eq!(
                    said.contains("Your credentials are still valid for "),
                    !quiet,
                    "{number}: {said}"
                );
            }
            assert_eq!((real.status, ours.status), (0, 0));
            assert!(pair.sandbox.simulator.calls().is_empty(), "{number}");
        }

        // It says until when, as AWS does.
        let ours = pair.ours();
        let expiration = ours.lines().find_map(|line| line.strip_prefix("expiration = ")).unwrap();
        let date = Run::of(&mut pair.sandbox.command("date", ["-u", "-d", expiration, "+%s"]));
        let left = date.stdout.trim().parse::<i64>().unwrap() - before;
        assert!((*span..span + 60).contains(&left), "{number}: {left} of {span}");
    }
}

#[test]
fn the_session_of_the_agent_is_written_without_another_code() {
    let pair = Pair::new();
    pair.write(&pair.long_term("dev"));
    pair.sandbox.log_in("dev");
    let run = pair.run(&["--profile", "dev"], &[]);
    assert_eq!(run.status, 0, "{run:?}");
    assert!(run.stderr.contains("WARNING - This session is on disk now"), "{run:?}");
    let env = pair.sandbox.run(&["env", "dev"]);
    let file = pair.ours();
    assert!(env.stdout.contains(value(&file, "dev", "aws_access_key_id").unwrap()));
    // A role of the same user costs none either.
    let run = pair.run(&["--profile", "dev", "--short-suffix", "ops", "--assume", &pair.role], &[]);
    assert_eq!(run.status, 0, "{run:?}");
    assert_eq!(pair.sandbox.simulator.calls_of("GetSessionToken").len(), 1);
    // AWS's own client takes both.
    for (profile, identity) in [("dev", "user/alice"), ("dev-ops", "assumed-role/ops/")] {
        let mut aws = pair.sandbox.command(tool("aws"), ["sts", "get-caller-identity", "--profile", profile]);
        let run = Run::of(aws.env("AWS_DEFAULT_REGION", "us-east-1"));
        assert!(run.stdout.contains(identity), "{run:?}");
    }
    // Forced, it is another one: the user's own for a code, the role's without.
    let run = pair.run(&["--profile", "dev", "--force"], &[]);
    assert_eq!(run.status, 1, "{run:?}");
    assert!(run.stderr.contains("needs an MFA code"), "{run:?}");
    let (serial, code) = pair.new_device("forced");
    let forced = ["--profile", "dev", "--force", "--device", &serial, "--token", &code];
    assert_eq!(pair.run(&forced, &[]).status, 0);
    assert_ne!(
        value(&pair.ours(), "dev", "aws_access_key_id"),
        value(&file, "dev", "aws_access_key_id"),
        "a new session"
    );
    let before = pair.sandbox.simulator.calls_of("AssumeRole").len();
    let run =
        pair.run(&["--profile", "dev", "--short-suffix", "ops", "--assume", &pair.role, "--force"], &[]);
    assert_eq!(run.status, 0, "{run:?}");
    assert_eq!(pair.sandbox.simulator.calls_of("AssumeRole").len(), before + 1);
}

#[test]
fn a_person_is_asked_on_the_terminal_and_the_words_are_not_on_stdout() {
    let pair = Pair::new();
    let terminal = pair.sandbox.terminal(&["aws-mfa"]);
    terminal.wait_for("MFA code for default");
    terminal.type_in(&pair.sandbox.code());
    terminal.wait_for("INFO - Success! Your credentials will expire in 43");
    let run = terminal.finish();
    assert_eq!((run.status, run.stdout.as_str()), (0, ""), "{run:?}");
    // Nobody to ask: said, with the file as it was.
    pair.write(&pair.long_term("dev"));
    pair.sandbox.run(&["logout", "--all"]);
    let run = pair.run(&["--profile", "dev"], &[]);
    assert_eq!(run.status, 1, "{run:?}");
    assert_eq!(pair.ours(), pair.long_term("dev"));
}

#[test]
fn comments_and_all_else_in_the_file_stay_byte_for_byte() {
    let pair = Pair::new();
    let key = key_of(&pair.sandbox.alice).replace('\n', "\r\n");
    let before = format!(
        "# keys, kept by hand\r\n\r\n[dev-long-term]  ; of alice\r\n{key}aws_mfa_device={}\r\n\
         \r\n[dev]\r\n# ours\r\nregion   =\teu-central-1   \r\nAWS_SESSION_TOKEN = old # stale\r\n\
         s3 =\r\n    addressing_style = path\r\n\r\n; the end: Zürich, 東京\r\n[ops]\r\nregion=x",
        pair.sandbox.serial
    );
    pair.write(&before);
    open_to_others(&pair.file(), 0o640);
    let run = pair.run(&["--profile", "dev", "--token", &pair.sandbox.code()], &[]);
    assert_eq!(run.status, 0, "{run:?}");
    let after = pair.ours();
    let [id, secret, token, expiration] = [
        ("aws_access_key_id = ASIA", "aws_access_key_id = "),
        ("aws_secret_access_key = ", "aws_secret_access_key = "),
        ("AWS_SESSION_TOKEN = ", "AWS_SESSION_TOKEN = "),
        ("expiration = ", "expiration = "),
    ]
    .map(|(find, key)| {
        let line = after.lines().rfind(|line| line.starts_with(find)).unwrap();
        line.strip_prefix(key).unwrap()
    });
    let expected = before
        .replace("AWS_SESSION_TOKEN = old # stale\r\n", &format!("# stale\r\nAWS_SESSION_TOKEN = {token}\r\n"))
        .replace(
            "    addressing_style = path\r\n",
            &format!(
                "    addressing_style = path\r\nassumed_role = False\r\naws_access_key_id = {id}\r\n\
                 aws_secret_access_key = {secret}\r\naws_security_token = {token}\r\nexpiration = {expiration}\r\n"
            ),
        );
    assert_eq!(after, expected);
    assert_eq!(fs::metadata(pair.file()).unwrap().permissions().mode() & 0o777, 0o640);
    let (aws, ours) = (pair.sandbox.home().join(".aws"), "credentials");
    let names: Vec<_> = fs::read_dir(aws).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names, [ours]);
}

#[test]
fn what_cannot_work_is_said_before_a_code_is_asked_for() {
    let pair = Pair::new();
    let base = pair.long_term("default");
    let check = |file: &str, arguments: &[&str], variables: &[(&str, &str)], status: i32, words: &str| {
        pair.write(file);
        let run = pair.run(arguments, variables);
        assert_eq!(run.status, status, "{arguments:?}: {run:?}");
        assert!(run.stderr.contains(words), "{arguments:?}: {run:?}");
        assert_eq!(pair.ours(), file);
    };
    check("", &[], &[], 1, "no section [default-long-term], with the long-term key, in ");
    check(
        "[default-long-term]\naws_access_key_id = A\n",
        &[],
        &[],
        1,
        "no aws_secret_access_key in [default-long-term]",
    );
    check(&base, &["--long-suffix", "none"], &[], 1, "cannot both be in [default]");
    check(&base, &["--duration", "60"], &[], 1, "a session cannot last 60 seconds");
    check(&base, &["--duration", "60000", "--assume", &pair.role], &[], 1, "900 to 43200 seconds");
    check(&base, &[], &[("MFA_STS_DURATION", "long")], 1, "MFA_STS_DURATION is no number of seconds: long");
    check(&base, &["--token", "12345"], &[], 1, "an MFA code is six digits");
    check(&base, &["--device", "arn:aws:iam::1:user/alice"], &[], 1, "is the user");
    check(&base, &["--log-level", "LOUD"], &[], 2, "--log-level");
    check(&base, &["--duration", "x"], &[], 2, "--duration");
    check(&base, &["--setup"], &[], 1, "nobody can be asked");
    check(&format!("{base}[ default ]\n"), &[], &[], 1, "some tools take [ default ] for profile default");
    let run = pair.run(&["--token", "000000"], &[]);
    assert!(run.status == 1 && run.stderr.contains("hint: "), "{run:?}");
    let gone = pair.sandbox.home().join("elsewhere");
    let run = pair.run(&[], &[("AWS_SHARED_CREDENTIALS_FILE", gone.to_str().unwrap())]);
    assert!(run.stderr.contains("hint: mfa-agent aws-mfa --setup --profile default"), "{run:?}");
    fs::write(&gone, &base).unwrap();
    let run = pair.run(&[], &[("AWS_SHARED_CREDENTIALS_FILE", gone.to_str().unwrap())]);
    assert!(run.stderr.contains("the agent reads "), "{run:?}");
}

#[test]
fn the_region_and_the_device_need_not_be_in_aws_mfas_section() {
    let pair = Pair::new();
    pair.write(&format!("[dev-long-term]\n{}", key_of(&pair.sandbox.alice)));
    pair.sandbox.write(".aws/config", "[profile dev]\nregion = eu-west-3\n");
    let run = pair.run(&["--profile", "dev", "--token", &pair.sandbox.code()], &[]);
    assert_eq!(run.status, 0, "{run:?}");
    let call = &pair.sandbox.simulator.calls_of("GetSessionToken")[0];
    assert_eq!(call.region.as_deref(), Some("eu-west-3"));
    assert_eq!(call.parameter("SerialNumber"), Some(pair.sandbox.serial.as_str()));
}

#[test]
fn setup_asks_for_the_key_unseen_and_writes_its_section() {
    let pair = Pair::new();
    fs::remove_file(pair.file()).unwrap();
    fs::remove_dir(pair.sandbox.home().join(".aws")).unwrap();
    let alice = &pair.sandbox.alice;
    let (id, secret) = (alice.access_key_id.clone(), alice.secret_access_key.clone());
    let terminal = pair.sandbox.terminal(&["aws-mfa", "--setup", "--device", &pair.sandbox.serial]);
    terminal.wait_for("Profile name to [default]: ");
    terminal.type_in("dev\n");
    terminal.wait_for("aws_access_key_id: ");
    terminal.type_in(&format!("wrong\u{15}{id}\r"));
    terminal.wait_for("aws_secret_access_key: ");
    terminal.type_in(&format!("{secret}x\u{7f}\r"));
    let run = terminal.finish();
    assert_eq!((run.status, run.stdout.as_str()), (0, ""), "{run:?}");
    assert!(!run.stderr.contains(&id) && !run.stderr.contains(&secret), "{run:?}");
    assert_eq!(pair.ours(), pair.long_term("dev").trim_end().to_owned() + "\n");
    assert_eq!(fs::metadata(pair.file()).unwrap().permissions().mode() & 0o777, 0o600);
    // The real one goes on from there, once it is told the device.
    let real = pair.run_real("", &["--profile", "dev"], &[], &pair.sandbox.code());
    assert_eq!(real.status, 0, "{real:?}");

    // Another key in its place is asked about.
    let before = pair.ours();
    let terminal = pair.sandbox.terminal(&["aws-mfa", "--setup", "--profile", "dev"]);
    terminal.wait_for("Profile name to [dev]: ");
    terminal.type_in("\n");
    terminal.wait_for("aws_access_key_id: ");
    terminal.type_in("AKIAIOSFODNN7EXAMPLE\r");
    terminal.wait_for("aws_secret_access_key: ");
    terminal.type_in("wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY\r");
    terminal.wait_for("Replace it? [y/N] ");
    terminal.type_in("\n");
    assert_eq!(terminal.finish().status, 130);
    assert_eq!(pair.ours(), before);
}

#[test]
fn a_kill_at_any_step_leaves_the_old_file_or_the_new_one() {
    let pair = Pair::new();
    let before = format!("# mine\n{}[default]\nregion = x\n", pair.long_term("default"));
    pair.write(&before);
    pair.sandbox.log_in("default");
    assert_eq!(pair.run(&[], &[]).status, 0);
    let after = pair.ours();
    assert_ne!(after, before);
    let client = env!("CARGO_BIN_EXE_mfa-agent");
    // Every system call that it makes is one place to be killed at.
    let trace = pair.sandbox.home().join("trace");
    fs::write(pair.file(), &before).unwrap();
    let arguments = ["-qq", "-o", trace.to_str().unwrap(), client, "aws-mfa"];
    assert_eq!(Run::of(&mut pair.sandbox.command(tool("strace"), arguments)).status, 0);
    let mut times = BTreeMap::new();
    let trace = fs::read_to_string(&trace).unwrap();
    let calls: Vec<_> = trace.lines().filter_map(|line| line.split_once('(')).map(|(name, _)| name).collect();
    let (mut seen, mut killed) = ([0; 2], 0);
    // The first one is the program's own start.
    for call in &calls[1..] {
        let time = times.entry(call).and_modify(|time| *time += 1).or_insert(1);
        fs::write(pair.file(), &before).unwrap();
        let inject = format!("inject={call}:signal=KILL:when={time}");
        let arguments = ["-qq", "-o", "/dev/null", "-e", &inject, client, "aws-mfa"];
        let run = Run::of(&mut pair.sandbox.command(tool("strace"), arguments));
        let now = pair.ours();
        assert!(now == before || now == after, "killed at {call} {time}: {now}");
        seen[usize::from(now == after)] += 1;
        killed += usize::from(run.status == 128 + 9);
    }
    assert!(killed >= 100 && seen[0] > 50 && seen[1] > 1, "killed {killed} times: {seen:?}");
    // What the killed ones left is cleared away by the next.
    fs::write(pair.file(), &before).unwrap();
    assert_eq!(pair.run(&[], &[]).status, 0);
    let names: Vec<_> = fs::read_dir(pair.sandbox.home().join(".aws"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    assert_eq!(names, ["credentials"]);
}

#[test]
fn the_session_goes_into_the_file_and_nowhere_else() {
    let pair = Pair::new();
    // An agent that was started by it would be traced as well, and for as long as it runs.
    assert_eq!(pair.sandbox.run(&["agent", "start"]).status, 0);
    let code = pair.sandbox.code();
    let trace = pair.sandbox.home().join("trace");
    let options =
        ["-f", "-y", "-s", "65536", "-e", "trace=execve,write,pwrite64,writev,sendto,sendmsg", "-o"];
    let client = [env!("CARGO_BIN_EXE_mfa-agent"), "aws-mfa", "--token", "-"];
    let all = [&options[..], &[trace.to_str().unwrap()], &client].concat();
    let mut child = pair
        .sandbox
        .command(tool("strace"), all)
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    writeln!(child.stdin.take().unwrap(), "{code}").unwrap();
    let run: Run = child.wait_with_output().unwrap().into();
    assert_eq!(run.status, 0, "{run:?}");
    let file = pair.ours();
    let needles =
        ["aws_secret_access_key", "aws_session_token"].map(|key| value(&file, "default", key).unwrap());
    let written = fs::read_to_string(&trace).unwrap();
    let mut found = 0;
    for line in written.lines().filter(|line| needles.iter().any(|needle| line.contains(needle))) {
        assert!(
            line.contains(".credentials.mfa-agent-") || line.contains("<socket:[") || line.contains("<UNIX"),
            "{line}"
        );
        found += 1;
    }
    assert!(found > 0);
    // The code went to the agent and to AWS alone.
    for line in written.lines().filter(|line| line.contains(&code)) {
        assert!(line.contains("<socket:[") || line.contains("<UNIX"), "{line}");
    }
}

#[test]
fn a_disk_that_is_full_and_a_folder_that_is_closed_leave_the_file_as_it_was() {
    let pair = Pair::new();
    pair.sandbox.log_in("default");
    let before = pair.ours();
    // No file may grow beyond these bytes: as on a full disk, the write fails half-way.
    let limited = ["-c", "trap '' XFSZ; ulimit -f 0; exec \"$0\" aws-mfa", env!("CARGO_BIN_EXE_mfa-agent")];
    let run = Run::of(&mut pair.sandbox.command(tool("bash"), limited));
    assert_eq!(run.status, 1, "{run:?}");
    assert!(run.stderr.contains("cannot write ") && run.stderr.contains("hint: "), "{run:?}");
    assert_eq!(pair.ours(), before);
    // Who may not write the file does not replace it, though the folder would let them. Root may.
    fs::set_permissions(pair.file(), fs::Permissions::from_mode(0o400)).unwrap();
    let run = pair.run(&[], &[]);
    if rustix::process::geteuid().is_root() {
        assert_eq!(run.status, 0, "{run:?}");
    } else {
        assert!(run.status == 1 && pair.ours() == before, "{run:?}");
    }
    assert_eq!(fs::metadata(pair.file()).unwrap().permissions().mode() & 0o777, 0o400);
}
