//! The watch, run around commands that leak. Only root can watch; CI is root.
#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails where it stands")]

use std::process::{Command, Output, Stdio};

const KEY: &str = "q8Zr/1vJt+W0mYyBf3nXc7LkDs5HgUaPo2Ei4TbN";

/// What begins each script: a sandbox, a secret that is known, and a shell that is called as our programs are.
const PREPARE: &str = r#"
    set -e
    box=/tmp/box
    mkdir -p $box/home/.aws $box/run/mfa-agent
    tell() { printf '%s\tsome::test\t%s\n' "$1" "$2" >>"$AWS_SIMULATOR_SECRETS"; }
    tell sandbox $box
    tell code 123456
    read -r key
    tell 'secret key' "$key"
    for program in mfa-agent mfa-agent-cli mfa-agentd; do cp /bin/sh $box/$program; done
    export HOME=$box/home
    $box/mfa-agent -c :
"#;

fn is_root() -> bool {
    let output = Command::new("id").arg("-u").output().unwrap();
    let root = output.stdout == b"0\n";
    assert!(root || std::env::var_os("CI").is_none(), "CI runs these tests as root");
    root
}

fn watch() -> Command {
    Command::new(env!("CARGO_BIN_EXE_watch"))
}

/// Runs a script with the secret on its stdin. Its exit status, and the words of the watch.
fn watched(options: &[&str], script: &str) -> (i32, String) {
    use std::io::Write;
    let mut command = watch();
    command.args(options).args(["/bin/sh", "-c", &format!("{PREPARE}{script}")]).env_remove("CI");
    let mut child = command.stdin(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    writeln!(child.stdin.take().unwrap(), "{KEY}").unwrap();
    let Output { status, stderr, .. } = child.wait_with_output().unwrap();
    let words = String::from_utf8(stderr).unwrap();
    assert!(!words.contains(KEY), "it does not say the secret: {words}");
    (status.code().unwrap(), words)
}

#[test]
fn where_nothing_leaks_nothing_is_found() {
    if !is_root() {
        return;
    }
    let (status, words) = watched(
        &[],
        r#"
        # A person's shell has secrets, and so have its files; the client keeps AWS's for it.
        echo "$key" >$HOME/mine
        umask 077
        AWS_SECRET_ACCESS_KEY=$key $box/mfa-agent -c 'echo "$AWS_SECRET_ACCESS_KEY" >$HOME/.aws/credentials'
        $box/mfa-agent -c ': --code "$2"' --code 123456
        # `exec` becomes a command that has them, and that is a client again, perhaps.
        for command in true $box/mfa-agent; do
            echo "$key" | $box/mfa-agent-cli -c "read -r AWS_SESSION_TOKEN
                export AWS_SESSION_TOKEN; exec $command -c :" exec
        done
        "#,
    );
    assert!(words.ends_with(": nothing found\n"), "{words}");
    assert_eq!(status, 0, "{words}");
}

#[test]
fn a_leak_of_each_kind_is_found_and_fails_the_run() {
    if !is_root() {
        return;
    }
    for (leak, expected) in [
        (
            r#"$box/mfa-agent-cli -c : "$key""#,
            "mfa-agent-cli (pid #): argument 3: a secret key of some::test",
        ),
        (r#"/bin/true "$key""#, "true (pid #): argument 1: a secret key of some::test"),
        (
            r#"/bin/true "$(printf %s "$key" | base64 -w 0)""#,
            "true (pid #): argument 1: a secret key of some::test",
        ),
        ("$box/mfa-agent -c : 123456", "mfa-agent (pid #): argument 3: a code of some::test"),
        ("X=$key $box/mfa-agent -c :", "mfa-agent (pid #): variable X: a secret key of some::test"),
        (
            "AWS_SECRET_ACCESS_KEY=$key $box/mfa-agentd -c :",
            "mfa-agentd (pid #): variable AWS_SECRET_ACCESS_KEY: a secret key of some::test",
        ),
        (
            r#"echo "$key" | $box/mfa-agent -c 'read -r key; (AWS_SESSION_TOKEN=$key env true); :'"#,
            "env (pid #): variable AWS_SESSION_TOKEN: a secret key of some::test",
        ),
        (
            r#"echo "$key" | $box/mfa-agent -c 'read -r AWS_SESSION_TOKEN; export AWS_SESSION_TOKEN; exec env true'"#,
            "env (pid #): variable AWS_SESSION_TOKEN: a secret key of some::test",
        ),
        (
            r#"echo "$key" | $box/mfa-agentd -c 'read -r key; (X=$key env true); :'"#,
            "env (pid #): variable X: a secret key of some::test",
        ),
        (
            "echo 123456 | $box/mfa-agentd -c 'read -r code; echo $code >$HOME/x; rm $HOME/x'",
            "mfa-agentd (pid #) left: /tmp/box/home/x (mode 644): a code of some::test",
        ),
        (
            r#"echo "$key" | $box/mfa-agentd -c 'read -r key; echo "$key" >/tmp/box/run/mfa-agent/x'"#,
            "mfa-agentd (pid #) left: /tmp/box/run/mfa-agent/x (mode 644): a secret key of some::test",
        ),
        (
            r#"echo "$key" | $box/mfa-agent -c 'read -r key; echo "$key" >$HOME/.aws/credentials'"#,
            "mfa-agent (pid #) left: /tmp/box/home/.aws/credentials (mode 644): a secret key of some::test",
        ),
        (
            r#"echo "$key" | $box/mfa-agent -c 'read -r key; echo "$key" >/var/tmp/watch-test-$PPID; rm /var/tmp/watch-test-$PPID'"#,
            "mfa-agent (pid #) left: /var/tmp/watch-test-# (mode 644): a secret key of some::test",
        ),
        // Whoever it was.
        (
            r#"echo "$key" | tee /dev/shm/x >/dev/null"#,
            "tee (pid #) left: /dev/shm/x (mode 644): a secret key of some::test",
        ),
        // A file that nobody has closed by the end.
        (
            "echo $key | setsid sh -c 'exec 3>/tmp/open; cat >&3; sleep 30' >&- 2>&- & until test -s /tmp/open; do :; done",
            "somebody left: /tmp/open (mode 644): a secret key of some::test",
        ),
    ] {
        let (status, words) = watched(&[], &format!("umask 022; {leak}"));
        let without_numbers = ["(pid ", "watch-test-"].iter().fold(words.clone(), |words, before| {
            let mut parts = words.split(before);
            let first = parts.next().unwrap().to_owned();
            parts.fold(first, |text, part| {
                text + before + "#" + part.trim_start_matches(|letter: char| letter.is_ascii_digit())
            })
        });
        assert!(without_numbers.contains(&format!("watch: LEAK: {expected}\n")), "{leak}: {words}");
        assert_eq!(status, 1, "{leak}: {words}");
    }
}

#[test]
fn a_file_system_that_only_our_program_sees_is_watched() {
    if !is_root() {
        return;
    }
    let (status, words) = watched(
        &[],
        r#"mkdir /tmp/mine; echo "$key" | unshare --mount sh -c '
            mount -t tmpfs none /tmp/mine; $0 -c "read -r key; echo \$key >/tmp/mine/x"' $box/mfa-agentd"#,
    );
    assert!(status == 1 && words.contains("/x (mode 644): a secret key of some::test\n"), "{words}");
}

#[test]
fn what_fails_fails_and_what_was_not_watched_does_too() {
    if !is_root() {
        return;
    }
    let (status, words) = watched(&[], "exit 7");
    assert!(status == 7 && words.ends_with(": nothing found\n"), "{words}");
    let (status, words) = watched(&["--all"], "");
    assert!(status == 1 && words.contains("FAILED: no mfa-agentd was seen\n"), "{words}");
    assert!(words.ends_with(": not everything was watched\n"), "{words}");
    let (status, words) = watched(&[], "tell sandbox /tmp/another");
    let expected = "FAILED: nothing was seen of the programs of some::test\n";
    assert!(status == 1 && words.contains(expected), "{words}");
}

#[test]
fn when_the_watch_is_killed_the_run_has_failed_and_nothing_hangs() {
    if !is_root() {
        return;
    }
    let script = "kill -9 $PPID; /bin/true && /bin/echo alive";
    let output = watch().args(["/bin/sh", "-c", script]).output().unwrap();
    assert!(!output.status.success());
    assert_eq!(output.stdout, b"alive\n");
}

#[test]
fn without_root_it_is_said_and_ci_fails() {
    let nobody = |ci: bool| {
        let mut command = Command::new("setpriv");
        command.args(["--reuid", "65534", "--clear-groups", env!("CARGO_BIN_EXE_watch"), "echo", "run"]);
        let command = if ci { command.env("CI", "true") } else { command.env_remove("CI") };
        let output = command.output().unwrap();
        (output.status.success(), output.stdout, String::from_utf8(output.stderr).unwrap())
    };
    if !is_root() {
        return;
    }
    let (success, stdout, words) = nobody(false);
    assert!(success && stdout == b"run\n", "{words}");
    assert_eq!(words, "watch: nobody watches these tests for secrets: only root can\n");
    let (success, stdout, words) = nobody(true);
    assert!(!success && stdout.is_empty(), "{words}");
    assert_eq!(words, "watch: cannot watch these tests for secrets, which CI does: only root can\n");
}
