//! The small program that prompts and tools run, and the whole client that it becomes: to whoever runs it there is
//! one `mfa-agent`.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::Path;

use crate::support::{Run, Sandbox, copy, exported, tool};

const FRONT: &str = env!("CARGO_BIN_EXE_mfa-agent");
const WHOLE: &str = env!("CARGO_BIN_EXE_mfa-agent-cli");

/// What both print, which must be the same.
#[track_caller]
fn both(sandbox: &Sandbox, line: &str, variables: &[(&str, &str)]) -> Run {
    let [front, whole] = [FRONT, WHOLE].map(|program| {
        let mut command = sandbox.command(program, line.split_whitespace());
        // As the first one calls the second.
        Run::of(command.arg0(FRONT).envs(variables.iter().copied()))
    });
    assert_eq!(front.status, whole.status, "{line}: {front:?} and {whole:?}");
    // When a prompt looks again, after an agent that is gone.
    let timeless = |text: &str| {
        text.lines()
            .map(|line| line.split("MFA_AGENT_EXP").next().unwrap_or("").to_owned())
            .collect::<Vec<_>>()
    };
    let same = if line.starts_with("hook") {
        timeless(&front.stdout) == timeless(&whole.stdout)
    } else {
        front.stdout == whole.stdout
    };
    assert!(same, "{line}: {front:?} and {whole:?}");
    assert_eq!(front.stderr, whole.stderr, "{line}");
    front
}

/// The variables of a shell that uses `dev`.
fn shell_of_dev(sandbox: &Sandbox) -> Vec<(String, String)> {
    exported(&sandbox.run(&["env", "dev"]).stdout, &[]).into_iter().collect()
}

fn borrowed(variables: &[(String, String)]) -> Vec<(&str, &str)> {
    variables.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect()
}

#[test]
fn both_print_the_same() {
    let sandbox = Sandbox::new();
    sandbox.write(".config/mfa-agent/config.toml", "[profile.dev.env]\nNASTY = \"it's `a` $(x) \\\\ ü\"\n");
    sandbox.write(
        ".aws/config",
        &format!(
            "[profile dev]\nregion = eu-central-1\nmfa_serial = {}\n[profile bad]\nregion = no region\n\
             mfa_serial = {0}\nsource_profile = dev\nrole_arn = arn:aws:iam::1:user/none\n",
            sandbox.serial
        ),
    );
    let hot = [
        "env dev",
        "env dev --no-prompt",
        "env dev --shell fish",
        "env --no-prompt --shell posix dev",
        "credential-process dev --no-prompt",
        "hook sync --shell posix",
        "hook sync --shell fish --command",
        "env --unset",
        "env --unset --shell fish",
    ];
    // Nothing is held, in a shell that uses nothing.
    for line in
        ["env dev --no-prompt", "env dev --no-prompt --shell fish", "credential-process dev --no-prompt"]
    {
        assert_eq!(both(&sandbox, line, &[]).status, 3, "{line}");
    }
    assert_eq!(both(&sandbox, "env --no-prompt", &[("AWS_PROFILE", "gone")]).stdout, "false\n");
    assert_eq!(both(&sandbox, "env bad --no-prompt", &[]).status, 5);

    sandbox.log_in("dev");
    let shell = shell_of_dev(&sandbox);
    let shell = borrowed(&shell);
    for line in hot {
        assert_eq!(both(&sandbox, line, &shell).status, 0, "{line}");
        assert_eq!(both(&sandbox, line, &[]).status, 0, "{line}");
    }
    assert!(both(&sandbox, "env", &[("AWS_PROFILE", "dev")]).stdout.contains("AWS_SESSION_TOKEN="));
    let foreign = [("MFA_AGENT_PROFILE", "dev"), ("AWS_ACCESS_KEY_ID", "AKIAOTHER")];
    assert!(both(&sandbox, "hook sync --shell posix", &foreign).stdout.contains("unset MFA_AGENT_PROFILE"));

    // What never is the small one's.
    for (line, status) in [
        ("", 2),
        ("--help", 0),
        ("--version", 0),
        ("env --help", 0),
        ("env dev --bogus", 2),
        ("env dev --shell nope", 2),
        ("env dev --unset", 2),
        ("env dev --shell json", 0),
        ("env dev --shell=nu", 0),
        ("env --profile dev", 0),
        ("hook sync", 2),
        ("credential-process", 2),
        ("env gone", 5),
        ("use dev", 1),
        ("init fish", 0),
        ("profiles", 0),
    ] {
        assert_eq!(both(&sandbox, line, &[]).status, status, "{line}");
    }

    assert_eq!(sandbox.run(&["lock"]).status, 0);
    for line in hot {
        both(&sandbox, line, &shell);
    }
    assert_eq!(sandbox.run(&["logout", "--all"]).status, 0);
    for line in hot.into_iter().filter(|line| line.contains("--no-prompt") || !line.contains("dev")) {
        both(&sandbox, line, &shell);
    }
    assert_eq!(sandbox.run(&["agent", "stop"]).status, 0);
    for line in hot.into_iter().filter(|line| !line.contains("dev")) {
        both(&sandbox, line, &shell);
    }
    let elsewhere = [("MFA_AGENT_SOCK", "/nowhere/sock")];
    assert_eq!(both(&sandbox, "env dev", &elsewhere).status, 6);
}

#[test]
fn what_is_at_hand_takes_one_program_one_question_and_no_terminal() {
    let sandbox = Sandbox::new();
    sandbox.log_in("dev");
    let shell = shell_of_dev(&sandbox);
    let trace = sandbox.home().join("trace");
    let calls = |line: &str| {
        let arguments = [
            "-f",
            "-o",
            trace.to_str().unwrap(),
            "-e",
            "trace=execve,openat,connect,clone,?clone3,?fork,?vfork",
            FRONT,
        ];
        let mut command = sandbox.command(tool("strace"), arguments);
        let run = Run::of(command.args(line.split_whitespace()).envs(borrowed(&shell)));
        let trace = fs::read_to_string(&trace).unwrap();
        let count = |call: &str| trace.matches(call).count();
        let processes = count("clone(") + count("clone3(") + count("fork(");
        (run, [count("execve("), count("connect("), processes, count("\"/dev/tty\"")])
    };
    for line in [
        "env dev",
        "env dev --no-prompt --shell fish",
        "env",
        "credential-process dev",
        "hook sync --shell posix",
        "hook sync --shell fish --command",
    ] {
        let (run, counts) = calls(line);
        assert_eq!((run.status, counts), (0, [1, 1, 0, 0]), "{line}: {run:?}");
    }
    // Where it is not at hand, the second one asks again.
    assert_eq!(sandbox.run(&["lock"]).status, 0);
    let (run, counts) = calls("env dev --no-prompt");
    assert_eq!((run.status, counts[0], counts[1]), (6, 2, 2), "{run:?}");
    // A prompt does without the second one, whatever the agent says.
    let (run, counts) = calls("hook sync --shell posix");
    assert_eq!((run.status, counts), (0, [1, 1, 0, 0]), "{run:?}");
}

#[test]
fn the_log_has_one_entry_for_both_by_the_name_that_was_typed() {
    let sandbox = Sandbox::new();
    assert_eq!(sandbox.run(&["agent", "start"]).status, 0);
    let lines = || {
        let log = sandbox.run(&["agent", "log"]).stdout;
        let lines = log.lines().filter(|line| line.contains("credentials of dev"));
        lines.map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(sandbox.run(&["env", "dev", "--no-prompt"]).status, 3);
    assert_eq!(lines().len(), 1, "{:?}", lines());
    assert!(
        lines()[0].contains("mfa-agent[") && lines()[0].ends_with(": needs an MFA code"),
        "{:?}",
        lines()
    );
    sandbox.log_in("dev");
    assert_eq!(sandbox.run(&["env", "dev"]).status, 0);
    assert_eq!(lines().len(), 2, "{:?}", lines());
    assert!(lines()[1].contains("mfa-agent[") && lines()[1].ends_with(": done"), "{:?}", lines());
}

#[test]
fn the_second_program_has_all_that_the_first_was_given() {
    let sandbox = Sandbox::new();
    let client = sandbox.home().join("bin/mfa-agent");
    fs::create_dir(client.parent().unwrap()).unwrap();
    copy(Path::new(FRONT), &client);
    // Tells what it got.
    sandbox.write(
        "bin/mfa-agent-cli",
        "#!/bin/sh\nprintf '%s|' \"$@\"; env; readlink /proc/$$/fd/7 /proc/$$/fd/8\n\
         grep -E 'Sig(Ign|Blk)' /proc/self/status; pwd; umask\n",
    );
    let whole = client.with_file_name("mfa-agent-cli");
    fs::set_permissions(&whole, PermissionsExt::from_mode(0o755)).unwrap();
    let run = |program: &Path| {
        let script =
            "cd /; umask 027; exec 7</dev/null 8>>\"$HOME/eight\"; trap '' PIPE USR1; exec \"$0\" \"$@\"";
        let mut command = sandbox.command("/bin/sh", ["-c", script]);
        command.arg(program).args(["login", "", "a\nb", "--code"]).arg(OsStr::from_bytes(b"\xff\xfe"));
        command.env("ODD", OsStr::from_bytes(b"\xff=\n")).env("EMPTY", "");
        let mut output = command.output().unwrap();
        // The shells' own.
        output.stdout.retain(u8::is_ascii);
        Run::from(output)
    };
    let (through, directly) = (run(&client), run(&whole));
    assert_eq!(through.stdout, directly.stdout);
    assert!(through.stdout.starts_with("login||a\nb|--code||"), "{through:?}");
    for word in ["\n/dev/null\n", "/eight\n", "EMPTY=\n", "SigIgn:\t"] {
        assert!(through.stdout.contains(word), "{word}: {through:?}");
    }

    // The name it was called by is an argument like the others.
    let trace = sandbox.home().join("trace");
    let script = "exec -a 'by this name' \"$0\" status";
    let arguments = ["-f", "-e", "trace=execve", "-o", trace.to_str().unwrap(), "bash", "-c", script, FRONT];
    Run::of(&mut sandbox.command(tool("strace"), arguments));
    let trace = fs::read_to_string(trace).unwrap();
    assert_eq!(trace.matches("[\"by this name\", \"status\"]").count(), 2, "{trace}");
}

#[test]
fn a_second_program_that_is_not_there_is_named() {
    let sandbox = Sandbox::new();
    let client = sandbox.home().join("bin/mfa-agent");
    fs::create_dir(client.parent().unwrap()).unwrap();
    copy(Path::new(FRONT), &client);
    let run = |line: &str| Run::of(&mut sandbox.command(&client, line.split_whitespace()));
    let words = format!(
        "mfa-agent: {}-cli is not there\nhint: install mfa-agent, mfa-agent-cli and mfa-agentd into the same folder\n",
        client.display()
    );
    for (line, stdout) in [
        ("login dev", ""),
        ("env dev", "false\n"),
        ("env dev --shell xonsh", "raise"),
        ("env dev --shell json", ""),
        ("hook use --shell fish dev", "false\n"),
        ("credential-process dev", ""),
    ] {
        let run = run(line);
        assert_eq!((run.status, run.stderr.as_str()), (1, words.as_str()), "{line}");
        assert!(
            run.stdout.starts_with(stdout) && run.stdout.is_empty() == stdout.is_empty(),
            "{line}: {run:?}"
        );
    }
    // One in PATH is another release's, or anybody's.
    sandbox.write("other/mfa-agent-cli", "#!/bin/sh\ntouch \"$HOME/ran\"\n");
    let other = sandbox.home().join("other");
    fs::set_permissions(other.join("mfa-agent-cli"), PermissionsExt::from_mode(0o755)).unwrap();
    let path = format!("{}:/usr/bin:/bin", other.display());
    let run = Run::of(sandbox.command(&client, ["status"]).env("PATH", path).current_dir(&other));
    assert_eq!((run.status, run.stderr), (1, words));
    assert!(!sandbox.home().join("ran").exists());

    // What is at hand needs no other.
    sandbox.log_in("dev");
    let alone = Run::of(&mut sandbox.command(&client, ["env", "dev"]));
    assert_eq!((alone.status, alone.stdout), (0, sandbox.run(&["env", "dev"]).stdout));
    // One that cannot be run is told as what it is.
    sandbox.write("bin/mfa-agent-cli", "");
    let broken = Run::of(&mut sandbox.command(&client, ["status"]));
    assert_eq!(broken.status, 1);
    assert!(
        broken.stderr.contains("cannot run ") && broken.stderr.contains("Permission denied"),
        "{broken:?}"
    );
}

#[test]
fn what_is_written_down_is_the_path_of_the_first_program() {
    let sandbox = Sandbox::new();
    let front = Path::new(FRONT).canonicalize().unwrap();
    for program in [FRONT, WHOLE] {
        let hook = Run::of(&mut sandbox.command(program, ["init", "bash"])).stdout;
        assert!(hook.contains(&format!("'{}'", front.display())), "{hook}");
        assert!(!hook.contains("mfa-agent-cli"));
    }
    let run = sandbox.run(&["profiles", "--yes", "--write-config", "dev"]);
    assert_eq!(run.status, 0, "{run:?}");
    let config = fs::read_to_string(sandbox.home().join(".aws/config")).unwrap();
    assert!(config.contains("mfa-agent credential-process dev") && !config.contains("-cli"), "{config}");
}
