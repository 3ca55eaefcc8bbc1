use std::collections::BTreeMap;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::process::Command;

use super::*;

/// Every shell served, how it evaluates a file of statements, and a word on which machine this must run.
const SHELLS: [(Shell, &[&str], &str); 4] = [
    (Shell::Posix, &["bash", "--norc", "-c"], "eval \"$(cat SCRIPT)\"; env -0"),
    (Shell::Posix, &["dash", "-c"], "eval \"$(cat SCRIPT)\"; env -0"),
    (Shell::Posix, &["zsh", "-f", "-c"], "eval \"$(cat SCRIPT)\"; env -0"),
    (Shell::Fish, &["fish", "--no-config", "-c"], "cat SCRIPT | source; or exit 9; env -0"),
];

/// The environment that is left after each shell has evaluated what `write` wrote.
fn evaluated(
    locale: &str,
    write: impl Fn(Shell, &mut WipedBytes),
) -> Vec<(&'static str, BTreeMap<String, Vec<u8>>)> {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("script");
    let run = |(shell, command, code): (Shell, &'static [&'static str], &str)| {
        let mut script = WipedBytes::with_capacity(16);
        write(shell, &mut script);
        fs::write(&file, script.bytes()).unwrap();
        let output = Command::new(command[0])
            .args(&command[1..])
            .arg(code.replace("SCRIPT", file.to_str().unwrap()))
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap())
            .env("HOME", folder.path())
            .env("LC_ALL", locale)
            .env("GOES", "1")
            .output()
            .unwrap_or_else(|error| panic!("this test needs {}: {error}", command[0]));
        assert!(output.status.success() && output.stderr.is_empty(), "{}: {output:?}", command[0]);
        let variables = output.stdout.split(|&byte| byte == 0).filter_map(|entry| {
            let at = entry.iter().position(|&byte| byte == b'=')?;
            Some((String::from_utf8_lossy(&entry[..at]).into_owned(), entry[at + 1..].to_vec()))
        });
        (command[0], variables.collect())
    };
    SHELLS.map(run).into()
}

#[test]
fn every_byte_survives_in_every_shell() {
    let mut values: Vec<Vec<u8>> = (1..=255_u8).map(|byte| vec![byte]).collect();
    values.push((1..=255).collect());
    values.push((1..=255).rev().collect());
    let nasty = [
        "",
        " ",
        "\\",
        "\\\\",
        "'",
        "''",
        "\\'",
        "'\\",
        "\\\\'\\",
        "a\\",
        "\n",
        "\n\n",
        "\\\n",
        "x\r\ny\t",
        "$(touch /tmp/mfa-agent-was-here)",
        "`id`",
        "$HOME ${HOME} %self ~ ~root",
        "!!",
        "a!b",
        "#x",
        "*?[a]",
        "{a,b}",
        "\"",
        "\"'\"'\"",
        "$'\\x41'",
        "; false",
        "&& false",
        "| cat",
        "-n",
        "--",
        "=ls",
        "^x^y",
        "(id)",
        "<(id)",
        "\x1b[2J",
        "Zürich 東京 🙂",
        "\u{fdd0}\u{f600}\u{f6ff}\u{e000}",
        "\u{202e}abc",
        "\u{feff}",
        "export X=1;",
        "'; export X=1; '",
    ];
    values.extend(nasty.map(|value| value.as_bytes().to_vec()));
    values.push(b"\xff'\xfe\\\xc3(\xe2\x82'".to_vec());
    for locale in ["C.UTF-8", "C"] {
        let shells = evaluated(locale, |shell, script| {
            for (number, value) in values.iter().enumerate() {
                shell.export(script, &format!("V{number}"), value);
            }
        });
        for (shell, variables) in shells {
            for (number, value) in values.iter().enumerate() {
                let got = variables.get(&format!("V{number}")).map(Vec::as_slice);
                let shown = |value: &[u8]| value.escape_ascii().to_string();
                assert_eq!(got.map(shown), Some(shown(value)), "{shell} in {locale}");
            }
            assert_eq!(variables.get("X"), None, "{shell}: something was evaluated");
        }
    }
}

#[test]
fn what_is_unset_is_gone_and_nothing_fails() {
    let shells = evaluated("C.UTF-8", |shell, script| {
        shell.export(script, "STAYS", b"1");
        shell.unset(script, "GOES");
        shell.unset(script, "NEVER_WAS");
    });
    for (shell, variables) in shells {
        assert_eq!(variables.get("STAYS").map(Vec::as_slice), Some(b"1".as_slice()), "{shell}");
        assert_eq!(variables.get("GOES"), None, "{shell}");
    }
}

#[test]
fn an_unquoted_eval_works_too() {
    let mut script = WipedBytes::with_capacity(16);
    Shell::Posix.export(&mut script, "A", b"1");
    Shell::Posix.export(&mut script, "B", b"2");
    Shell::Posix.unset(&mut script, "NEVER_WAS");
    for shell in ["bash", "dash", "zsh"] {
        let mut command = Command::new(shell);
        command.arg("-c").arg("eval $(printf %s \"$1\"); printf %s \"$A$B\"").arg("-");
        let output = command.arg(OsStr::from_bytes(script.bytes())).output().unwrap();
        assert_eq!(output.stdout, b"12", "{shell}: {output:?}");
    }
}

#[test]
fn what_stands_for_failure_fails_in_every_shell() {
    for (shell, command, _) in SHELLS {
        let fails = std::str::from_utf8(shell.fails()).unwrap();
        let status = Command::new(command[0]).args(&command[1..]).arg(fails).status();
        let status = status.unwrap_or_else(|error| panic!("this test needs {}: {error}", command[0]));
        assert_eq!(status.code(), Some(1), "{}", command[0]);
    }
}

#[test]
fn the_shell_is_known_by_its_program() {
    assert_eq!(Shell::of_program(Some(b"fish")), Ok(Shell::Fish));
    for (program, shell) in [
        (&b"pwsh"[..], Shell::Pwsh),
        (b"nu", Shell::Nushell),
        (b"elvish", Shell::Elvish),
        (b"xonsh", Shell::Xonsh),
    ] {
        assert_eq!(Shell::of_program(Some(program)), Ok(shell));
    }
    for program in [Some(b"bash".as_slice()), Some(b"make"), None] {
        assert_eq!(Shell::of_program(program), Ok(Shell::Posix));
    }
    let failure = Shell::of_program(Some(b"tcsh")).unwrap_err();
    assert_eq!((failure.exit, failure.what.as_str()), (Exit::Usage, "tcsh is not among the shells served"));
}

#[test]
fn every_character_survives_in_powershell_by_its_published_grammar() {
    let mut values: Vec<String> = (1..=0x2_0000).filter_map(char::from_u32).map(|c| c.to_string()).collect();
    values.push((1..=0x2_ffff).filter_map(char::from_u32).collect());
    values.extend(
        ["", "'", "it''s", "‘’‚‛“”", "a\r\nb\n", "$(id) `n ${x} $env:X", "+[char]65", "🔑"]
            .map(str::to_owned),
    );
    for value in values {
        let mut script = WipedBytes::with_capacity(16);
        Shell::Pwsh.export(&mut script, "K", value.as_bytes());
        let script = std::str::from_utf8(script.bytes()).unwrap();
        // What the console's code page cannot change.
        assert!(script.is_ascii() && !script[..script.len() - 1].contains(['\n', '\r']), "{script}");
        let expression = script.strip_prefix("$env:K = ").unwrap().strip_suffix('\n').unwrap();
        assert_eq!(reader::powershell_expression(expression), value);
    }
    let mut script = WipedBytes::with_capacity(16);
    Shell::Pwsh.unset(&mut script, "K");
    assert_eq!(script.bytes(), b"$env:K = $null\n");
}

#[test]
fn a_value_that_no_way_of_writing_carries_is_known() {
    for shell in [Shell::Pwsh, Shell::Nushell, Shell::Json, Shell::Dotenv] {
        assert!(!shell.holds(b"\xff") && shell.holds("é 🔑".as_bytes()), "{shell:?}");
    }
    for odd in ["it's", "a\\", "$x", "a\nb", "\r", "\u{1b}"] {
        assert!(!Shell::Dotenv.holds(odd.as_bytes()), "{odd}");
    }
}

#[test]
fn a_name_is_one_that_shells_take() {
    for name in ["A", "_", "TF_VAR_x", "a1"] {
        assert!(is_name(name), "{name}");
    }
    for name in ["", "1A", "A-B", "A B", "A=B", "A;id", "é", "A\n"] {
        assert!(!is_name(name), "{name}");
    }
}

#[test]
fn a_word_is_quoted_only_where_it_must_be() {
    assert_eq!(word("dev"), "dev");
    assert_eq!(word("it's"), "'it'\\''s'");
    assert_eq!(word(""), "''");
}
