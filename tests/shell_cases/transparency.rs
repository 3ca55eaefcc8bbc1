//! Cases 20 to 33: what the person has set is as it was.

use super::{asked, bash_as, follows, lose_lease, using_dev};
use crate::support::{SHELLS, Sandbox, Session, Shell};

/// What this command prints between two marks, at a prompt reached on the fast path and on the slow one.
#[track_caller]
fn on_both_paths(session: &Session, shell: Shell, setup: &str, show: &str, expected: &str) {
    for slow in [false, true] {
        let lose = if slow { lose_lease(shell) } else { "" };
        session.run("true");
        let start = session.terminal.screen().len();
        session.terminal.type_in(&format!("{lose}\r{setup}\r"));
        session.terminal.type_in(&format!("{show}\r"));
        session.terminal.wait_for_after(start, &format!("<={expected}=>"));
        session.run("true");
        assert!(session.environment()["MFA_AGENT_LEASE"].contains("/run/"), "{shell:?}: the path was slow");
    }
}

#[test]
fn case_20_the_status_of_the_last_command_is_kept() {
    for load in [Shell::Bash.load(), bash_as("4 4"), bash_as("3 2")] {
        let sandbox = Sandbox::new();
        sandbox.log_in("dev");
        let rc = format!("PROMPT_COMMAND='last=$?'\n{load}");
        let session = Session::start_rc(&sandbox, Shell::Bash, &rc);
        session.run("mfa-agent use dev");
        on_both_paths(&session, Shell::Bash, "(exit 7)", "echo \"<\"\"=$?=\"\">\"", "7");
        // A command of the prompt's own sees it as well, on the slow path too.
        let start = session.terminal.screen().len();
        session.terminal.type_in(&format!("{}; (exit 7)\r", lose_lease(Shell::Bash)));
        session.terminal.type_in("echo \"<\"\"=$last=\"\">\"\r");
        session.terminal.wait_for_after(start, "<=7=>");
    }
    let sandbox = Sandbox::new();
    let session = using_dev(&sandbox, Shell::Zsh, "", "");
    on_both_paths(&session, Shell::Zsh, "(exit 7)", "echo \"<\"\"=$?=\"\">\"", "7");
}

#[test]
fn case_21_the_statuses_of_a_pipeline_are_kept() {
    let sandbox = Sandbox::new();
    let session = using_dev(&sandbox, Shell::Bash, "", "PROMPT_COMMAND+=('pipe=\"${PIPESTATUS[*]}\"')");
    let start = session.terminal.screen().len();
    for lose in ["", "export MFA_AGENT_LEASE=/gone-${MFA_AGENT_LEASE##*-}"] {
        session.terminal.type_in(&format!("{lose}\rfalse | true | (exit 3)\r"));
        session.terminal.type_in("echo \"<\"\"=$pipe=\"\">\"\r");
        session.terminal.wait_for_after(start, "<=1 0 3=>");
    }
    let start = session.terminal.screen().len();
    session.terminal.type_in("false | true | (exit 3)\recho \"<\"\"=${PIPESTATUS[*]}=\"\">\"\r");
    session.terminal.wait_for_after(start, "<=1 0 3=>");
}

#[test]
fn case_22_an_interrupt_under_errexit_leaves_the_shell_alive() {
    for load in [Shell::Bash.load(), bash_as("4 4"), bash_as("3 2")] {
        let sandbox = Sandbox::new();
        sandbox.log_in("dev");
        let session = Session::start_rc(&sandbox, Shell::Bash, &load);
        session.run("mfa-agent use dev");
        session.run("set -e");
        for lose in ["true", lose_lease(Shell::Bash)] {
            session.run(lose.trim_end());
            let start = session.terminal.screen().len();
            session.terminal.type_in("\x03\r");
            session.terminal.wait_for_after(start, "> ");
            session.run("true");
        }
        assert!(session.key_id().is_some());
    }
    let sandbox = Sandbox::new();
    let session = using_dev(&sandbox, Shell::Zsh, "", "");
    session.run("setopt err_exit err_return");
    let start = session.terminal.screen().len();
    session.terminal.type_in("\x03\r");
    session.terminal.wait_for_after(start, "> ");
    session.run(lose_lease(Shell::Zsh));
    assert!(session.key_id().is_some());
}

#[test]
fn case_23_an_err_trap_is_told_of_a_failure_once() {
    for load in [Shell::Bash.load(), bash_as("4 4"), bash_as("3 2")] {
        let sandbox = Sandbox::new();
        sandbox.log_in("dev");
        let session = Session::start_rc(&sandbox, Shell::Bash, &load);
        session.run("mfa-agent use dev");
        session.run("set -E; trap 'echo tra\"\"pped' ERR");
        for lose in ["true", lose_lease(Shell::Bash)] {
            session.run(lose);
            let start = session.terminal.screen().len();
            session.terminal.type_in("(exit 5)\r");
            let shown = session.run("true");
            let all = &session.terminal.screen()[start..];
            assert_eq!(all.matches("trapped").count(), 1, "{shown}");
        }
    }
    let sandbox = Sandbox::new();
    let session = using_dev(&sandbox, Shell::Zsh, "", "");
    session.run("TRAPZERR() { echo tra\"\"pped }");
    for lose in ["true", lose_lease(Shell::Zsh)] {
        session.run(lose);
        let start = session.terminal.screen().len();
        session.terminal.type_in("(exit 5)\r");
        session.run("true");
        assert_eq!(session.terminal.screen()[start..].matches("trapped").count(), 1);
    }
}

#[test]
fn case_24_nounset_with_every_optional_variable_unset() {
    for shell in [Shell::Bash, Shell::Zsh] {
        let sandbox = Sandbox::new();
        let unset =
            "unset INSIDE_EMACS MC_SID COMP_LINE PS0 STARSHIP_PROMPT_COMMAND MFA_AGENT_PROMPT; set -u";
        let session = using_dev(&sandbox, shell, unset, unset);
        follows(&sandbox, &session);
        session.run("unset MFA_AGENT_EXP MFA_AGENT_PROMPT AWS_ACCESS_KEY_ID");
        session.run(lose_lease(shell));
        session.run("true");
        session.run("unset MFA_AGENT_LEASE MFA_AGENT_PROFILE MFA_AGENT_PROMPT");
        session.run("true");
        let shown = session.terminal.screen();
        assert!(!shown.contains("unbound") && !shown.contains("not set"), "{shell:?}: {shown}");
    }
}

#[test]
fn case_25_traps_are_the_same_before_and_after() {
    for shell in [Shell::Bash, Shell::Zsh] {
        let sandbox = Sandbox::new();
        let traps = "trap 'echo int' INT; trap ': debug' DEBUG; trap ': exit' EXIT; trap 'echo urg' URG";
        let session = using_dev(&sandbox, shell, "", traps);
        session.run("trap > ~/before");
        for _ in 0..25 {
            session.run("true");
        }
        session.run(lose_lease(shell));
        session.run("trap > ~/after");
        let read = |name| std::fs::read_to_string(sandbox.home().join(name)).unwrap();
        assert!(read("before").contains("URG"), "{shell:?}");
        assert_eq!(read("before"), read("after"), "{shell:?}");
    }
}

#[test]
fn case_26_an_interrupted_read_does_not_end_the_shell() {
    let sandbox = Sandbox::new();
    let session = using_dev(&sandbox, Shell::Bash, "", "");
    let start = session.terminal.screen().len();
    session.terminal.type_in("read -p 'rea''dy: ' x\r");
    session.terminal.wait_for_after(start, "ready: ");
    let start = session.terminal.screen().len();
    session.terminal.type_in("\x03\r");
    session.terminal.wait_for_after(start, "> ");
    session.run("true");
    assert!(session.key_id().is_some());
}

#[test]
fn case_27_no_job_is_ever_reported_as_done() {
    for shell in SHELLS {
        let sandbox = Sandbox::new();
        let session = using_dev(&sandbox, shell, "", "");
        let shown = follows(&sandbox, &session);
        for mark in ["[1]", "Done", "done", "terminated"] {
            assert!(!shown.contains(mark), "{shell:?}: {shown}");
        }
    }
}

#[test]
fn case_28_bash_under_every_odd_setting() {
    const SETTINGS: [&str; 17] = [
        "IFS=_",
        "IFS=0123456789",
        "IFS=",
        "set -C",
        "set -f",
        "shopt -s nullglob",
        "shopt -s failglob",
        "set -o posix",
        "set +m; shopt -s lastpipe",
        "set -a",
        "set -k",
        "set -T; trap 'd=1' DEBUG",
        "set +o history",
        "shopt -u extquote",
        "shopt -s nocasematch extglob",
        "shopt -s compat31 2>/dev/null",
        "set -euo pipefail",
    ];
    for version in ["", "4 4"] {
        let load = if version.is_empty() { Shell::Bash.load() } else { bash_as(version) };
        let sandbox = Sandbox::new();
        sandbox.log_in("dev");
        for settings in SETTINGS {
            for (before, after) in [("", settings), (settings, "")] {
                // What an older bash does otherwise is done at a prompt, not when the hook is loaded.
                if !before.is_empty() && !version.is_empty() {
                    continue;
                }
                let rc = format!("{before}\n{load}{after}\n");
                let session = Session::start_rc(&sandbox, Shell::Bash, &rc);
                session.run("mfa-agent use dev");
                session.run(lose_lease(Shell::Bash));
                let environment = session.environment();
                let shown = session.terminal.screen();
                assert!(
                    environment.get("MFA_AGENT_LEASE").is_some_and(|lease| lease.contains("/run/")),
                    "{rc}: {shown}"
                );
                assert!(environment["AWS_ACCESS_KEY_ID"].starts_with("ASIA"), "{rc}: {shown}");
                for complaint in ["mfa-agent:", "rror", "not found", "unbound", "identifier", "__mfa"] {
                    assert!(!shown.contains(complaint), "{rc}: {shown}");
                }
            }
        }
    }
}

#[test]
fn case_29_zsh_under_every_option_that_changes_the_language() {
    const OPTIONS: &str = "ksh_arrays sh_word_split err_return err_exit warn_create_global warn_nested_var \
        posix_builtins glob_subst no_multi_os print_exit_value all_export rc_expand_param ksh_glob sh_glob \
        extended_glob null_glob csh_null_glob no_nomatch no_glob noclobber no_unset rc_quotes \
        posix_identifiers posix_aliases posix_argzero posix_traps local_traps no_function_argzero c_bases octal_zeroes \
        ignore_braces brace_ccl magic_equal_subst ksh_typeset typeset_silent path_dirs auto_cd \
        sh_file_expansion sh_nullcmd prompt_subst no_bad_pattern no_equals no_case_match bash_rematch \
        debug_before_cmd no_short_loops cshjunkie_loops ksh_option_print multi_func_def pipe_fail";
    let sandbox = Sandbox::new();
    sandbox.log_in("dev");
    let all: Vec<&str> = OPTIONS.split_whitespace().collect();
    // A few at a time, set before the hook is loaded; and each by itself, set behind it.
    for options in all.chunks(5) {
        let option = options.join(" ");
        let session = Session::start_with(&sandbox, Shell::Zsh, &format!("setopt {option}"), "");
        session.run("mfa-agent use dev");
        session.run("export MFA_AGENT_LEASE=/gone-\"${MFA_AGENT_LEASE##*-}\"");
        let environment = session.environment();
        let shown = session.terminal.screen();
        assert!(environment.get("MFA_AGENT_LEASE").is_some_and(|l| l.contains("/run/")), "{option}: {shown}");
        for complaint in
            ["mfa-agent:", "__mfa", "rror", "not found", "no matches", "created globally", "not set"]
        {
            assert!(!shown.contains(complaint), "{option}: {shown}");
        }
    }
    let session = Session::start(&sandbox, Shell::Zsh);
    session.run("mfa-agent use dev");
    for option in &all {
        let inverse = option.strip_prefix("no_").map_or_else(|| format!("no_{option}"), str::to_owned);
        let start = session.terminal.screen().len();
        session.run(&format!("setopt {option}; export MFA_AGENT_LEASE=/gone-\"${{MFA_AGENT_LEASE##*-}}\""));
        session.run("true");
        session.run(&format!("setopt {inverse}"));
        let shown = session.terminal.screen()[start..].to_owned();
        assert!(session.environment()["MFA_AGENT_LEASE"].contains("/run/"), "{option}: {shown}");
        for complaint in ["mfa-agent:", "__mfa", "rror", "not found", "no matches", "created globally"] {
            assert!(!shown.contains(complaint), "{option}: {shown}");
        }
    }
}

#[test]
fn case_30_a_trace_never_shows_a_secret_and_goes_on_afterwards() {
    for shell in SHELLS {
        let sandbox = Sandbox::new();
        let session = using_dev(&sandbox, shell, "", "");
        let secrets = |session: &Session| {
            let environment = session.environment();
            [environment["AWS_SECRET_ACCESS_KEY"].clone(), environment["AWS_SESSION_TOKEN"].clone()]
        };
        let mut all = Vec::from(secrets(&session));
        session.run(match shell {
            Shell::Fish => "set -g fish_trace 1",
            _ => "set -xv",
        });
        super::renew_elsewhere(&sandbox);
        session.run("true");
        all.extend(secrets(&session));
        session.run(lose_lease(shell));
        session.run("mfa-agent use dev");
        session.run("mfa-agent use --none");
        session.run("mfa-agent use dev");
        all.extend(secrets(&session));
        let shown = session.run("true");
        assert!(
            shown.contains(if shell == Shell::Fish { "> true" } else { "true\r\n" }),
            "{shell:?}: {shown}"
        );
        let traced = session.run("echo still");
        assert!(traced.matches("echo still").count() >= 2, "{shell:?}: the trace goes on: {traced}");
        let screen = session.terminal.screen().replace("\r\n", "");
        assert_eq!(all.len(), 6);
        for secret in all {
            assert!(!screen.contains(&secret) && !screen.contains(&secret[..12]), "{shell:?}");
        }
        // Nor is one left in a variable of the hook's.
        let names = match shell {
            Shell::Fish => {
                "set --names | string match '__mfa_agent_*' | while read n; echo $$n; end > ~/left"
            }
            _ => "{ set | grep -a '^__mfa_agent_[a-z]*='; } > ~/left 2>&1",
        };
        session.run(names);
        let left = std::fs::read_to_string(sandbox.home().join("left")).unwrap();
        let secret = session.environment()["AWS_SECRET_ACCESS_KEY"].clone();
        assert!(!left.contains(&secret), "{shell:?}: {left}");
    }
}

#[test]
fn case_31_nothing_else_of_the_shell_changes() {
    for shell in [Shell::Bash, Shell::Zsh] {
        let sandbox = Sandbox::new();
        let session = using_dev(&sandbox, shell, "", "umask 027; set +m");
        session.run("cd /; { sleep 300 & }");
        let state = "$! $(jobs -p):${#PS1}:$(umask):$PWD:$-:${#IFS}";
        let before = asked(&session, state);
        for lose in ["true", lose_lease(shell)] {
            session.run(lose);
            assert_eq!(asked(&session, state), before, "{shell:?}");
        }
        let start = session.terminal.screen().len();
        session.terminal.type_in("true last-word\recho \"<\"\"=$_=\"\">\"\r");
        session.terminal.wait_for_after(start, "<=last-word=>");
        session.run("kill %1 || kill $!");
    }
    // The completion puts its own IFS away again.
    let sandbox = Sandbox::new();
    let session = using_dev(&sandbox, Shell::Bash, "", "");
    session.run("COMP_WORDS=(mfa-agent use '') COMP_CWORD=2; __mfa_agent_complete");
    assert_eq!(asked(&session, "${COMPREPLY[*]}${#IFS}"), "dev3");
    session.run("COMP_WORDS=(mfa-agent log) COMP_CWORD=1; __mfa_agent_complete");
    assert_eq!(asked(&session, "${COMPREPLY[*]}"), "login logout");
}

#[test]
fn case_32_the_history_holds_what_was_typed_and_no_more() {
    let sandbox = Sandbox::new();
    let session = using_dev(&sandbox, Shell::Bash, "", "HISTCONTROL=ignorespace");
    session.run("history -c");
    session.run(lose_lease(Shell::Bash));
    session.run("true");
    assert_eq!(asked(&session, "$(history | wc -l)$HISTCONTROL"), "3ignorespace");
}

#[test]
fn case_33_fish_keeps_status_pipestatus_and_duration() {
    let sandbox = Sandbox::new();
    let prompt = "function fish_prompt; echo \"$status|$pipestatus> \"; end";
    let session = using_dev(&sandbox, Shell::Fish, "", prompt);
    for lose in ["true", lose_lease(Shell::Fish)] {
        session.run(lose);
        let start = session.terminal.screen().len();
        session.terminal.type_in("false | true | sh -c 'exit 3'\r");
        session.terminal.wait_for_after(start, "3|1 0 3> ");
    }
    session.run(lose_lease(Shell::Fish));
    let start = session.terminal.screen().len();
    session.terminal.type_in("sh -c 'sleep 0.3'\r");
    session.terminal.type_in("test $CMD_DURATION -ge 300 -a $CMD_DURATION -lt 5000; and echo la\"\"sted\r");
    session.terminal.wait_for_after(start, "lasted\r\n");
}
