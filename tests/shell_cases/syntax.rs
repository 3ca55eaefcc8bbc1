//! Cases 59 to 65: what is printed for a shell to evaluate.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use super::{asked, bash_as, follows, lose_lease, using_dev};
use crate::support::{Run, SHELLS, Sandbox, Session, Shell, install, tool};

#[test]
fn case_59_every_value_arrives_through_the_hook_as_it_was() {
    const VALUE: &str =
        "it's \\ $(touch owned) `touch owned` !! !x # ${x} \\' '\\'' %s ~ * ; touch owned; \\";
    for shell in SHELLS {
        let sandbox = Sandbox::new();
        let escaped = VALUE.replace('\\', "\\\\");
        sandbox
            .write(".config/mfa-agent/config.toml", &format!("[profile.dev.env]\nNASTY = \"{escaped}\"\n"));
        let session = using_dev(&sandbox, shell, "cd", "");
        assert_eq!(session.environment()["NASTY"], VALUE, "{shell:?}: by `use`");
        session.run(lose_lease(shell));
        session.run("true");
        assert_eq!(session.environment()["NASTY"], VALUE, "{shell:?}: by the prompt");
        assert!(!sandbox.home().join("owned").exists());
    }
}

#[test]
fn case_60_a_program_whose_path_has_spaces_quotes_and_dollars() {
    for shell in SHELLS {
        let sandbox = Sandbox::new();
        let folder = sandbox.home().join("it's a $HOME `x` \"\\ folder\\");
        let client = install(&folder);
        fs::set_permissions(&folder, fs::Permissions::from_mode(0o755)).unwrap();
        let printed = Run::of(&mut sandbox.command(client, ["init", shell.program()]));
        assert_eq!(printed.status, 0, "{printed:?}");
        sandbox.write("hook", &printed.stdout);
        sandbox.log_in("dev");
        let session = Session::start_rc(&sandbox, shell, "source ~/hook");
        session.run("mfa-agent use dev");
        follows(&sandbox, &session);
    }
}

#[test]
fn case_61_bash_reads_it_and_nothing_newer_than_3_2_is_left_unguarded() {
    let sandbox = Sandbox::new();
    let hook = sandbox.run(&["init", "bash"]).stdout;
    for newer in [
        "@Q}",
        "@P}",
        "@a}",
        "local -n",
        "declare -A",
        "local -",
        ";&",
        "<(",
        "mapfile",
        "readarray",
        "|&",
        "&>>",
    ] {
        assert!(
            !hook.lines().any(|line| !line.trim_start().starts_with('#') && line.contains(newer)),
            "{newer}"
        );
    }
    // The way that it takes there, in the bash that is here.
    sandbox.log_in("dev");
    let session = Session::start_rc(&sandbox, Shell::Bash, &bash_as("3 2"));
    session.run("mfa-agent use dev");
    assert_eq!(asked(&session, "$(type __mfa_agent_clock | grep -c SECONDS)"), "3");
    assert_eq!(asked(&session, "${PROMPT_COMMAND:0:17}"), "\"${__mfa_agent_on");
    follows(&sandbox, &session);
}

#[test]
fn case_63_zsh_without_files_and_zsh_that_plays_another_shell() {
    for arguments in [&["-f", "-i"][..], &["--emulate", "sh", "-i"], &["--emulate", "ksh", "-i"]] {
        let sandbox = Sandbox::new();
        sandbox.log_in("dev");
        let load = Shell::Zsh.load();
        let script = format!(
            "{load}\nmfa-agent use dev; __mfa_agent_prompt; {}; __mfa_agent_prompt; env | grep -c '^MFA_AGENT_LEASE=.*/run/'",
            lose_lease(Shell::Zsh)
        );
        let arguments: Vec<&str> = arguments.iter().copied().chain(["-c", &script]).collect();
        let run = Run::of(&mut sandbox.command(tool("zsh"), &arguments));
        assert_eq!((run.stdout.as_str(), run.stderr.as_str()), ("1\n", ""), "{arguments:?}");
    }
}

#[test]
fn case_64_fish_gets_global_variables_and_never_universal_ones() {
    let sandbox = Sandbox::new();
    let session = using_dev(&sandbox, Shell::Fish, "", "");
    follows(&sandbox, &session);
    assert_eq!(asked(&session, "(set --names -U | string match -r '^(AWS|MFA|__mfa).*' | count)"), "0");
    assert_eq!(asked(&session, "(set --names -gx | string match -r '^AWS_ACCESS.*' | count)"), "1");
    let hook = sandbox.run(&["init", "fish"]).stdout;
    assert!(!hook.contains("<?"), "only fish 4 has it");
}

#[test]
fn case_65_the_hook_is_ascii_ends_with_a_line_and_is_always_the_same() {
    let sandbox = Sandbox::new();
    for shell in SHELLS {
        let run = sandbox.run(&["init", shell.program()]);
        assert_eq!((run.status, run.stderr.as_str()), (0, ""));
        assert!(
            run.stdout.is_ascii() && run.stdout.ends_with('\n') && !run.stdout.contains('\r'),
            "{shell:?}"
        );
        assert_eq!(run.stdout, sandbox.run(&["init", shell.program()]).stdout);
        let file = format!("../../shell/mfa-agent.{}", shell.program());
        let source = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(file)).unwrap();
        let client = env!("CARGO_BIN_EXE_mfa-agent");
        assert_eq!(run.stdout, source.replace("@MFA_AGENT@", &format!("'{client}'")), "{shell:?}");
    }
}
