//! The prompt's hook, in real shells on pseudo-terminals.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::time::Instant;

use crate::support::{SHELLS, Sandbox, Session, Shell, install, key_of, processes, tool, wait_until};

/// Types `use dev` and the code.
#[track_caller]
fn use_dev(sandbox: &Sandbox, session: &Session) {
    let start = session.type_line("mfa-agent use dev");
    session.answer(start, &sandbox.code());
    session.wait_for_step(start);
}

/// Renews the session from another terminal.
#[track_caller]
fn renew_elsewhere(sandbox: &Sandbox) {
    let run = sandbox.run(&["login", "dev", "--force", "--code", &sandbox.code()]);
    assert_eq!(run.status, 0, "{run:?}");
}

/// Lets the session end. bash looks at its own clock past any faked one, so the agent is made to look at its.
fn expire(sandbox: &Sandbox, clock: &std::path::Path) {
    sandbox.advance(clock, 43_201);
    assert_eq!(sandbox.run(&["status"]).status, 0);
}

#[test]
fn use_asks_and_sets_this_shell() {
    for shell in SHELLS {
        let sandbox = Sandbox::new();
        let session = Session::start(&sandbox, shell);
        assert_eq!(session.key_id(), None);
        use_dev(&sandbox, &session);
        let environment = session.environment();
        assert!(environment["AWS_ACCESS_KEY_ID"].starts_with("ASIA"), "{shell:?}");
        assert_eq!(environment["MFA_AGENT_PROFILE"], "dev");
        let shown = session.run("echo \"=$MFA_AGENT_PROMPT=\"");
        assert!(shown.contains("=dev 11h59m=") || shown.contains("=dev 12h0m="), "{shell:?}: {shown}");
        session.run("mfa-agent use --none");
        session.run("mfa-agent use --profile dev");
        assert_eq!(session.environment()["MFA_AGENT_PROFILE"], "dev", "as every command takes it: {shell:?}");
        session.run("mfa-agent use --none");
        let environment = session.environment();
        assert!(
            !environment.keys().any(|name| name.starts_with("AWS_ACCESS") || name.starts_with("MFA_AGENT_")),
            "{shell:?}: {environment:?}"
        );
        let shown = session.run("echo \"=$MFA_AGENT_PROMPT=\"");
        assert!(shown.contains("==\r\n"), "{shell:?}: {shown}");
    }
}

#[test]
fn use_without_a_profile_offers_those_used_last_on_top() {
    for shell in SHELLS {
        let sandbox = Sandbox::new();
        let key = key_of(&sandbox.alice);
        sandbox.write(
            ".aws/credentials",
            &format!("[a]\n{key}[b]\n{key}[c]\n{key}[dev]\n{key}[no]\nregion = x\n"),
        );
        sandbox.log_in("dev");
        for profile in ["c", "b", "c"] {
            assert_eq!(sandbox.run(&["env", profile]).status, 0);
        }
        let session = Session::start(&sandbox, shell);
        let start = session.type_line("mfa-agent use");
        session.terminal.wait_for_after(start, "profile: ");
        let shown = session.terminal.screen()[start..].to_owned();
        assert!(shown.contains("1  c\r\n2  b\r\n3  a\r\n4  dev\r\nprofile: "), "{shell:?}: {shown}");
        session.terminal.type_in("2\r");
        session.wait_for_step(start);
        assert_eq!(session.environment()["MFA_AGENT_PROFILE"], "b", "{shell:?}");
    }
}

#[test]
fn a_renewal_elsewhere_is_here_at_the_next_prompt_without_a_word() {
    for shell in SHELLS {
        let sandbox = Sandbox::new();
        let session = Session::start(&sandbox, shell);
        use_dev(&sandbox, &session);
        let first = session.key_id().unwrap();
        renew_elsewhere(&sandbox);
        // One command to come to the next prompt; what it was itself run with is another test's.
        let shown = session.run("true");
        let second = session.key_id().unwrap();
        assert_ne!(first, second, "{shell:?}");
        assert!(!shown.contains("mfa-agent:"), "{shell:?}: {shown}");
    }
}

#[test]
fn a_terminal_that_sat_idle_runs_its_very_next_command_with_the_new_key() {
    for shell in SHELLS.into_iter().filter(|shell| shell.looks_before_commands()) {
        let sandbox = Sandbox::new();
        let session = Session::start(&sandbox, shell);
        use_dev(&sandbox, &session);
        let first = session.key_id().unwrap();
        renew_elsewhere(&sandbox);
        let second = session.key_id().unwrap();
        assert_ne!(first, second, "{shell:?}");
    }
}

#[test]
fn an_expired_session_is_dropped_and_asked_for_once() {
    for shell in SHELLS {
        let mut sandbox = Sandbox::new();
        let clock = sandbox.fake_clock();
        let session = Session::start(&sandbox, shell);
        use_dev(&sandbox, &session);
        expire(&sandbox, &clock);
        // The command itself may still run with the old key; the prompt behind it asks.
        let start = session.type_line("true");
        session.wait_for_step(start);
        session.answer(start, "\r");
        for _ in 0..5 {
            let environment = session.environment();
            assert!(!environment.contains_key("AWS_ACCESS_KEY_ID"), "{shell:?}");
            assert_eq!(environment["MFA_AGENT_PROFILE"], "dev");
        }
        let shown = &session.terminal.screen()[start..];
        assert_eq!(shown.matches("MFA code for dev").count(), 1, "{shell:?}: {shown}");
        // A new session elsewhere brings this shell back.
        let run = sandbox.run(&["login", "dev", "--code", &sandbox.code()]);
        assert_eq!(run.status, 0, "{run:?}");
        session.run("true");
        assert!(session.key_id().is_some(), "{shell:?}");
    }
}

#[test]
fn an_expired_session_is_renewed_right_at_the_prompt() {
    for shell in SHELLS {
        let mut sandbox = Sandbox::new();
        let clock = sandbox.fake_clock();
        let session = Session::start(&sandbox, shell);
        use_dev(&sandbox, &session);
        let first = session.key_id().unwrap();
        expire(&sandbox, &clock);
        let start = session.type_line("true");
        session.wait_for_step(start);
        session.answer(start, &sandbox.code());
        let second = session.key_id().unwrap();
        assert_ne!(first, second, "{shell:?}");
    }
}

#[test]
fn who_wants_no_question_is_asked_none_and_who_wants_it_early_is_asked_early() {
    for shell in SHELLS {
        let mut sandbox = Sandbox::new();
        let clock = sandbox.fake_clock();
        let configure = |text: &str| sandbox.write(".config/mfa-agent/config.toml", text);
        configure("auto_prompt = 'expiring'\n[profile.dev]\nauto_prompt = 'never'\n");
        let session = Session::start(&sandbox, shell);
        use_dev(&sandbox, &session);
        let first = session.key_id().unwrap();
        sandbox.advance(&clock, 43_200 - 300);
        assert_eq!(sandbox.run(&["status"]).status, 0);
        let start = session.type_line("true");
        session.wait_for_step(start);
        let environment = session.environment();
        assert_eq!(environment["AWS_ACCESS_KEY_ID"], first, "{shell:?}");
        let shown = session.terminal.screen()[start..].to_owned();
        assert!(
            shown.contains(" left; mfa-agent login dev") && !shown.contains("MFA code for"),
            "{shell:?}: {shown}"
        );

        configure("auto_prompt = 'never'\n[profile.dev]\nauto_prompt = 'expiring'\n");
        sandbox.advance(&clock, 43_200 - 60);
        assert_eq!(sandbox.run(&["status"]).status, 0);
        let start = session.type_line("true");
        session.wait_for_step(start);
        session.answer(start, &sandbox.code());
        assert_ne!(session.key_id().unwrap(), first, "{shell:?}");
    }
}

#[test]
fn a_logout_elsewhere_takes_the_credentials_from_every_shell() {
    for shell in SHELLS {
        let sandbox = Sandbox::new();
        let session = Session::start(&sandbox, shell);
        use_dev(&sandbox, &session);
        assert_eq!(sandbox.run(&["logout", "dev"]).status, 0);
        session.run("true");
        assert_eq!(session.key_id(), None, "{shell:?}");
        assert!(
            !session
                .terminal
                .screen()
                .contains("MFA code for dev (device arn:aws:iam::111122223333:mfa/alice): \r\n")
        );
        sandbox.log_in("dev");
        session.run("true");
        assert!(session.key_id().is_some(), "{shell:?}");
    }
}

#[test]
fn a_killed_agent_is_told_in_one_line_and_keeps_nobody_waiting() {
    for shell in SHELLS {
        let sandbox = Sandbox::new();
        let session = Session::start(&sandbox, shell);
        use_dev(&sandbox, &session);
        sandbox.kill_agent();
        // Its leases lie until the next agent; the lease of this shell goes with them, and so does the clock's
        // trust in it: a person's command shows it.
        sandbox.run(&["status"]);
        std::fs::remove_dir_all(sandbox.runtime().join("lease")).unwrap();
        let start = session.terminal.screen().len();
        let begun = Instant::now();
        for _ in 0..5 {
            session.run("true");
        }
        assert!(begun.elapsed().as_secs() < 5, "{shell:?}");
        assert_eq!(session.key_id(), None, "{shell:?}");
        let shown = &session.terminal.screen()[start..];
        assert_eq!(shown.matches("the agent is gone").count(), 1, "{shell:?}: {shown}");
    }
}

#[test]
fn a_shell_that_uses_no_profile_is_left_alone() {
    for shell in SHELLS {
        let sandbox = Sandbox::new();
        let session = Session::start(&sandbox, shell);
        session.run("true");
        let environment = session.environment();
        assert!(
            !environment.keys().any(|name| name.starts_with("MFA_AGENT_") || name.starts_with("AWS_ACCESS")),
            "{shell:?}"
        );
        assert!(!sandbox.socket().exists(), "{shell:?}: nothing is started");
    }
}

#[test]
fn keys_that_the_person_sets_by_hand_are_theirs() {
    for shell in SHELLS {
        let sandbox = Sandbox::new();
        let session = Session::start(&sandbox, shell);
        use_dev(&sandbox, &session);
        session.run(match shell {
            Shell::Fish => "set -gx AWS_ACCESS_KEY_ID AKIAMYOWN",
            _ => "export AWS_ACCESS_KEY_ID=AKIAMYOWN",
        });
        renew_elsewhere(&sandbox);
        session.run("true");
        let environment = session.environment();
        assert_eq!(environment["AWS_ACCESS_KEY_ID"], "AKIAMYOWN", "{shell:?}");
        assert!(!environment.contains_key("MFA_AGENT_LEASE"), "{shell:?}");
    }
}

#[test]
fn what_is_typed_ahead_is_not_taken_for_a_code() {
    for shell in SHELLS {
        let mut sandbox = Sandbox::new();
        let clock = sandbox.fake_clock();
        let session = Session::start(&sandbox, shell);
        use_dev(&sandbox, &session);
        let gate = sandbox.home().join("gate");
        let start = session.type_line(&format!("mkfifo {0} && cat {0}", gate.display()));
        wait_until("the command runs", || gate.exists());
        expire(&sandbox, &clock);
        // Typed while the command runs: it belongs to the shell.
        session.terminal.type_in("echo typed-a\"\"head\r");
        std::fs::write(&gate, "").unwrap();
        session.wait_for_step(start);
        session.terminal.wait_for_after(start, "typed-ahead\r\n");
        // Then it asks.
        session.answer(start, "\r");
        session.run("true");
    }
}

#[test]
fn a_script_that_sources_the_rc_file_is_left_alone() {
    for shell in SHELLS {
        let sandbox = Sandbox::new();
        let script = format!("{}\necho still here", shell.load());
        let run = crate::support::Run::of(
            &mut sandbox.command(crate::support::tool(shell.program()), ["-c", &script]),
        );
        assert_eq!(
            (run.status, run.stdout.as_str(), run.stderr.as_str()),
            (0, "still here\n", ""),
            "{shell:?}"
        );
    }
}

#[test]
fn a_quiet_prompt_makes_no_process() {
    for shell in SHELLS {
        let sandbox = Sandbox::new();
        sandbox.log_in("dev");
        let trace = sandbox.home().join("trace");
        let session = Session::start_traced(&sandbox, shell, &trace);
        session.run("mfa-agent use dev");
        session.run("true");
        // A builtin alone, so that all that could fork is the hook.
        let before = processes(&trace);
        for _ in 0..100 {
            session.run("true");
        }
        assert_eq!(processes(&trace), before, "{shell:?}");
    }
}

#[test]
fn a_shell_of_another_user_drops_what_it_cannot_look_after() {
    if !rustix::process::geteuid().is_root() {
        // sudo would ask for a password; the run in CI does not need one.
        assert!(std::env::var_os("CI").is_none(), "CI runs these tests as root");
        return;
    }
    let sandbox = Sandbox::new();
    let session = Session::start(&sandbox, Shell::Bash);
    use_dev(&sandbox, &session);
    // What the other user may run and read.
    let folder = sandbox.home().join("bin");
    let client = install(&folder);
    sandbox.write("bin/rc", &format!("PS1='> '\neval \"$({} init bash)\"\n", client.display()));
    for path in [sandbox.home().parent().unwrap(), &sandbox.home(), &folder] {
        fs::set_permissions(path, fs::Permissions::from_mode(0o711)).unwrap();
    }
    let own = session.key_id();
    let start = session.terminal.screen().len();
    session.terminal.type_in(&format!(
        "{} -E -u nobody /bin/bash --noprofile --rcfile {}/rc -i\r",
        tool("sudo").display(),
        folder.display()
    ));
    session.terminal.wait_for_after(start, "mfa-agent: ");
    session.run("true");
    let shown = session.run("echo \"$(id -un)=${AWS_ACCESS_KEY_ID-}=$MFA_AGENT_PROFILE\"");
    assert!(shown.contains("nobody==dev\r\n"), "{shown}");
    let said = session.terminal.screen()[start..].matches("mfa-agent: ").count();
    assert_eq!(said, 1, "{}", &session.terminal.screen()[start..]);
    // The shell that it was started from still has its own.
    let start = session.terminal.screen().len();
    session.terminal.type_in("exit\r");
    session.terminal.wait_for_after(start, "exit\r\n> ");
    assert_eq!(session.key_id(), own);
}

#[test]
fn a_question_goes_away_with_the_agent_that_it_is_for() {
    for shell in SHELLS {
        let mut sandbox = Sandbox::new();
        let clock = sandbox.fake_clock();
        let session = Session::start(&sandbox, shell);
        use_dev(&sandbox, &session);
        expire(&sandbox, &clock);
        let start = session.type_line("true");
        session.terminal.wait_for_after(start, "MFA code for");
        let asked = session.terminal.screen().len();
        sandbox.kill_agent();
        session.terminal.wait_for_after(asked, "> ");
        let shown = session.run("true");
        assert!(!shown.contains("MFA code for"), "{shell:?}: {shown}");
    }
}

#[test]
fn every_command_is_completed_in_every_shell() {
    let sandbox = Sandbox::new();
    for (verb, known, least) in [
        (None, "env", 10),
        (Some("device"), "add", 5),
        (Some("keys"), "import", 5),
        (Some("policy"), "check", 4),
    ] {
        let help = sandbox.run(&verb.into_iter().chain(["--help"]).collect::<Vec<_>>()).stdout;
        let (_, commands) = help.split_once("Commands:\n").unwrap();
        let (commands, _) = commands.split_once("\n\n").unwrap();
        let mut names: Vec<&str> = commands
            .lines()
            .filter_map(|line| line.strip_prefix("  ")?.split(' ').next())
            .filter(|name| !name.is_empty())
            .collect();
        names.sort_unstable();
        assert!(names.contains(&known) && names.len() >= least, "{help}");
        for shell in SHELLS {
            let file = format!("../../shell/mfa-agent.{}", shell.program());
            let hook =
                fs::read_to_string(std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(&file)).unwrap();
            assert!(hook.contains(&names.join(" ")), "{file} does not list {names:?}");
        }
    }
}

#[test]
fn a_terminal_shows_the_end_on_its_desktop_where_the_person_wants_it() {
    for (setting, sequence) in [
        ("osc9", "\x1b]9;AWS session of dev ends in 9m "),
        ("osc777", "\x1b]777;notify;mfa-agent;AWS session of dev ends in 9m "),
        ("osc99", "\x1b]99;;AWS session of dev ends in 9m "),
    ] {
        let mut sandbox = Sandbox::new();
        let configuration = format!("terminal_notification = \"{setting}\"\n");
        sandbox.write(".config/mfa-agent/config.toml", &configuration);
        let clock = sandbox.fake_clock();
        let session = Session::start(&sandbox, Shell::Zsh);
        use_dev(&sandbox, &session);
        sandbox.advance(&clock, 43_200 - 9 * 60 - 30);
        assert_eq!(sandbox.run(&["status"]).status, 0);
        session.run_to_prompt("true");
        let shown = session.terminal.screen();
        assert!(shown.contains("s left; mfa-agent login dev --force"), "{shown}");
        let (_, seconds) = shown.split_once(sequence).unwrap_or_else(|| panic!("{shown:?}"));
        assert!(seconds.split_once("s\x1b\\").unwrap().0.parse::<u8>().is_ok(), "{shown:?}");
        assert_eq!(shown.matches(sequence).count(), 1, "{shown:?}");
    }
}
