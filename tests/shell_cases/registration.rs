//! Cases 1 to 19: what the hook is put beside, and what it does to that.

use super::{asked, bash_as, enter, follows, using_dev};
use crate::support::{Run, SHELLS, Sandbox, Session, Shell, tool};

/// A bash that has credentials, loaded by these lines.
fn bash(sandbox: &Sandbox, rc: &str) -> Session {
    sandbox.log_in("dev");
    let session = Session::start_rc(sandbox, Shell::Bash, rc);
    session.run("mfa-agent use dev");
    session
}

/// How often the hook is in `$PROMPT_COMMAND`.
fn registered(session: &Session) -> String {
    asked(
        session,
        "$(declare -p PROMPT_COMMAND STARSHIP_PROMPT_COMMAND 2>/dev/null | grep -o '__mfa_agent_[op][a-z]*' | wc -l)",
    )
}

#[test]
fn case_01_no_prompt_command_under_nounset() {
    for load in [Shell::Bash.load(), bash_as("4 4"), bash_as("3 2")] {
        let sandbox = Sandbox::new();
        let session = bash(&sandbox, &format!("set -u; unset PROMPT_COMMAND\n{load}"));
        assert!(!session.terminal.shows("unbound"), "{}", session.terminal.screen());
        follows(&sandbox, &session);
    }
}

#[test]
fn case_02_a_prompt_command_with_a_trailing_semicolon_newline_or_comment() {
    let sandbox = Sandbox::new();
    sandbox.log_in("dev");
    for load in [Shell::Bash.load(), bash_as("5 0")] {
        for theirs in
            ["'n=$((n+1));'", "'n=$((n+1)) ; '", "$'n=$((n+1))\\n'", "'n=$((n+1)) # c'", "'n=$((n+1)); :&'"]
        {
            let session =
                Session::start_rc(&sandbox, Shell::Bash, &format!("set +m; PROMPT_COMMAND={theirs}\n{load}"));
            session.run("mfa-agent use dev");
            let before: u32 = asked(&session, "$n").parse().unwrap();
            let after: u32 = asked(&session, "$n").parse().unwrap();
            assert_eq!(after, before + 1, "{theirs}");
            assert!(!session.terminal.shows("syntax"), "{theirs}: {}", session.terminal.screen());
            assert_eq!(registered(&session), "1", "{theirs}");
        }
    }
}

#[test]
fn case_03_a_prompt_command_that_is_an_array_keeps_its_order() {
    let sandbox = Sandbox::new();
    // The letter x is not the attribute of an exported variable.
    let rc = "x1() { seen=1; }; x2() { seen=$seen-2; }; PROMPT_COMMAND=(x1 'x2 x')\n";
    let session = bash(&sandbox, &format!("{rc}{}", Shell::Bash.load()));
    assert_eq!(asked(&session, "$seen"), "1-2");
    assert_eq!(asked(&session, "${PROMPT_COMMAND[*]}"), "__mfa_agent_prompt x1 x2 x");
    follows(&sandbox, &session);
}

#[test]
fn case_04_loaded_twice_and_by_exec_it_is_registered_once() {
    let sandbox = Sandbox::new();
    sandbox.log_in("dev");
    for load in [Shell::Bash.load(), bash_as("4 4")] {
        for beside in ["", "export PROMPT_COMMAND=:\n", "IFS=_\n"] {
            let session = Session::start_rc(&sandbox, Shell::Bash, &format!("{beside}{load}{load}"));
            session.run(". ~/.bashrc");
            assert_eq!(registered(&session), "1");
            enter(&session, "exec bash --noprofile -i");
            assert_eq!(registered(&session), "1");
            session.run("mfa-agent use dev");
            assert!(session.key_id().is_some());
        }
    }
    for ifs in ["", "IFS=_\n"] {
        let session = Session::start_with(
            &sandbox,
            Shell::Zsh,
            ifs,
            &format!("{}{}", Shell::Zsh.load(), Shell::Zsh.load()),
        );
        session.run(". ~/.zshrc");
        enter(&session, "exec zsh -d -i");
        assert_eq!(
            asked(&session, "${#${(M)precmd_functions:#__mfa*}}${#${(M)preexec_functions:#__mfa*}}"),
            "11"
        );
    }
    let session = Session::start_with(&sandbox, Shell::Fish, "", &Shell::Fish.load());
    session.run("source ~/.config/fish/config.fish");
    assert_eq!(asked(&session, "(functions --handlers | grep -c __mfa_agent)"), "2");
}

/// What starship's script does to the variable.
const STARSHIP: &str = r#"
starship_precmd() { STARSHIP_CMD_STATUS=$? STARSHIP_PIPE_STATUS=("${PIPESTATUS[@]}"); eval "$STARSHIP_PROMPT_COMMAND"
  PS1="star:$STARSHIP_CMD_STATUS:${STARSHIP_PIPE_STATUS[*]}> "; }
if [[ -z $PROMPT_COMMAND ]]; then PROMPT_COMMAND=starship_precmd
elif [[ $PROMPT_COMMAND != *starship_precmd* ]]; then
  STARSHIP_PROMPT_COMMAND=$PROMPT_COMMAND; PROMPT_COMMAND=starship_precmd
fi
"#;

#[test]
fn case_05_loaded_again_after_starship_took_the_variable() {
    for load in [Shell::Bash.load(), bash_as("4 4")] {
        let sandbox = Sandbox::new();
        let session = bash(&sandbox, &format!("{load}{STARSHIP}{load}"));
        assert_eq!(registered(&session), "1");
        follows(&sandbox, &session);
    }
}

#[test]
fn case_06_starship_loaded_before_sees_the_right_status() {
    for load in [Shell::Bash.load(), bash_as("4 4")] {
        let array = load == Shell::Bash.load();
        let sandbox = Sandbox::new();
        let session = bash(&sandbox, &format!("{STARSHIP}{load}"));
        let start = session.terminal.screen().len();
        session.terminal.type_in("false | true | (exit 3)\r");
        session.terminal.wait_for_after(start, if array { "star:3:1 0 3> " } else { "star:3:3> " });
        follows(&sandbox, &session);
    }
}

#[test]
fn case_07_a_tool_that_replaces_the_variable_belongs_before_the_hook() {
    let sandbox = Sandbox::new();
    let load = Shell::Bash.load();
    let session = bash(&sandbox, &format!("{load}PROMPT_COMMAND=:\n"));
    // Whatever was there is gone, the hook with it; loaded again it is back, and `use` works meanwhile.
    assert_eq!(registered(&session), "0");
    assert!(session.key_id().is_some());
    session.run(load.trim());
    assert_eq!(registered(&session), "1");
    follows(&sandbox, &session);
}

#[test]
fn case_08_a_child_that_inherits_the_variable_without_the_hook_says_nothing() {
    let sandbox = Sandbox::new();
    for load in [Shell::Bash.load(), bash_as("4 4")] {
        let session = Session::start_rc(&sandbox, Shell::Bash, &format!("export PROMPT_COMMAND=:\n{load}"));
        let start = session.terminal.screen().len();
        enter(&session, "PS1='child> ' bash --norc --noprofile -i");
        let shown = session.terminal.screen()[start..].to_owned();
        assert!(!shown.contains("__mfa") && !shown.contains("not found"), "{shown}");
    }
}

#[test]
fn case_09_an_exported_string_stays_an_exported_string() {
    let sandbox = Sandbox::new();
    let session = bash(&sandbox, &format!("export PROMPT_COMMAND='m=1'\n{}", Shell::Bash.load()));
    assert_eq!(asked(&session, "$m${PROMPT_COMMAND@a}${#PROMPT_COMMAND[@]}"), "1x1");
    follows(&sandbox, &session);
}

#[test]
fn case_10_a_readonly_prompt_command_costs_one_line_and_no_more() {
    for declared in
        ["readonly PROMPT_COMMAND=:", "readonly PROMPT_COMMAND", "readonly -a PROMPT_COMMAND=(: :)"]
    {
        let sandbox = Sandbox::new();
        let session = bash(&sandbox, &format!("{declared}\n{}reached=1\n", Shell::Bash.load()));
        let shown = session.terminal.screen();
        assert_eq!(shown.matches("readonly").count(), 1, "{declared}: {shown}");
        assert!(shown.contains("mfa-agent: PROMPT_COMMAND is readonly"), "{shown}");
        assert_eq!(asked(&session, "$reached"), "1");
        assert!(session.key_id().is_some());
    }
}

#[test]
fn case_11_what_is_registered_is_the_plain_name_of_a_function() {
    let sandbox = Sandbox::new();
    let session = bash(&sandbox, &Shell::Bash.load());
    assert_eq!(asked(&session, "$(type -t \"${PROMPT_COMMAND[0]}\")"), "function");
    // As a terminal's own script runs the elements that it finds.
    session.run("theirs=(\"${PROMPT_COMMAND[@]}\"); wrap() { local c; for c in \"${theirs[@]}\"; do \"$c\"; done; }; PROMPT_COMMAND=wrap");
    follows(&sandbox, &session);
}

#[test]
fn case_12_bash_preexec_is_used_where_it_is() {
    // What bash-preexec does, in short.
    const PREEXEC: &str = r#"
bash_preexec_imported=defined; precmd_functions=(theirs) preexec_functions=()
theirs() { order+=t; }
__bp_precmd() { local s=$? f; for f in "${precmd_functions[@]}"; do (exit $s); "$f"; done; ready=1; }
__bp_preexec() { local f; [[ ${ready-} ]] || return 0; ready=
  for f in "${preexec_functions[@]}"; do "$f" "$BASH_COMMAND"; done; }
PROMPT_COMMAND=__bp_precmd
trap '[[ $BASH_COMMAND == __bp_* ]] || __bp_preexec' DEBUG
"#;
    let sandbox = Sandbox::new();
    let load = Shell::Bash.load();
    let session = bash(&sandbox, &format!("{PREEXEC}{load}{load}"));
    assert_eq!(asked(&session, "$PROMPT_COMMAND"), "__bp_precmd");
    assert_eq!(asked(&session, "${precmd_functions[*]}"), "__mfa_agent_prompt theirs");
    assert_eq!(asked(&session, "${preexec_functions[*]}"), "__mfa_agent_before");
    let first = session.key_id();
    super::renew_elsewhere(&sandbox);
    // The very next command.
    assert_ne!(session.key_id(), first);
}

#[test]
fn case_13_zsh_without_any_hook_arrays_under_no_unset() {
    let sandbox = Sandbox::new();
    let session =
        using_dev(&sandbox, Shell::Zsh, "unset precmd_functions preexec_functions; setopt no_unset", "");
    follows(&sandbox, &session);
}

#[test]
fn case_14_zsh_with_a_broken_fpath() {
    let sandbox = Sandbox::new();
    let session =
        using_dev(&sandbox, Shell::Zsh, "fpath=(/nowhere); unfunction add-zsh-hook 2>/dev/null", "");
    follows(&sandbox, &session);
}

#[test]
fn case_16_fish_takes_the_hook_by_eval_too() {
    let sandbox = Sandbox::new();
    sandbox.log_in("dev");
    // Quoted, that is. Unquoted, fish joins the lines to a single one.
    let load = format!("eval \"$({} init fish)\"", env!("CARGO_BIN_EXE_mfa-agent"));
    let session = Session::start_rc(&sandbox, Shell::Fish, &load);
    session.run("mfa-agent use dev");
    follows(&sandbox, &session);
}

#[test]
fn case_17_fish_has_one_handler_when_conf_d_loads_the_hook_as_well() {
    let sandbox = Sandbox::new();
    sandbox.write(".config/fish/conf.d/mfa-agent.fish", &Shell::Fish.load());
    let session = using_dev(&sandbox, Shell::Fish, "", "");
    assert_eq!(asked(&session, "(functions --handlers | grep -c __mfa_agent)"), "2");
    follows(&sandbox, &session);
}

#[test]
fn case_18_aliases_and_functions_named_like_builtins() {
    const ALIASES: &str = "alias local='echo LOCAL' return='echo RETURN' eval='echo EVAL' printf='echo PRINTF' \
        set='echo SET' shift='echo SHIFT' typeset='echo TYPESET' command='echo COMMAND' \
        stty='echo STTY' date='echo DATE' zi='echo ZI' mfa-agent='mfa-agent'";
    const FUNCTIONS: &str = "test() { echo TEST; }; date() { echo DATE; }; stty() { echo STTY; }";
    for shell in [Shell::Bash, Shell::Zsh] {
        // The line that loads the hook says `eval` itself.
        let loadable = ALIASES.replace("eval='echo EVAL'", "");
        for (before, after) in [(loadable.as_str(), ""), ("", ALIASES), (FUNCTIONS, ""), ("", FUNCTIONS)] {
            let sandbox = Sandbox::new();
            let session = using_dev(&sandbox, shell, before, after);
            let shown = follows(&sandbox, &session);
            for word in ["LOCAL", "RETURN", "EVAL", "PRINTF", "SHIFT", "TYPESET", "COMMAND"] {
                assert!(!shown.contains(word), "{shell:?} {shown}");
            }
        }
    }
    let functions = "function math; echo M; end; function contains; echo C; end; function isatty; false; end; \
        function source; echo S; end; function path; echo P; end; function printf; echo F; end";
    let sandbox = Sandbox::new();
    let session = using_dev(&sandbox, Shell::Fish, "", functions);
    follows(&sandbox, &session);
}

#[test]
fn case_19_scripts_that_source_the_rc_file_under_errexit_and_nounset() {
    let sandbox = Sandbox::new();
    for shell in SHELLS {
        let strict = if shell == Shell::Fish { "" } else { "set -eu; " };
        let shows = match shell {
            Shell::Bash => "declare -p PROMPT_COMMAND 2>/dev/null || declare -F || :",
            Shell::Zsh => {
                "print -r -- \"${precmd_functions-}${preexec_functions-}\"; functions | grep mfa || :"
            }
            Shell::Fish => "functions --all | string match '*mfa*'; true",
        };
        let script = format!("{strict}{}\n{shows}", shell.load());
        let run = Run::of(&mut sandbox.command(tool(shell.program()), ["-c", &script]));
        assert_eq!((run.status, run.stdout.trim(), run.stderr.as_str()), (0, "", ""), "{shell:?}");
    }
    let rc = sandbox.home().join("rc");
    sandbox.write("rc", &Shell::Bash.load());
    let run = Run::of(sandbox.command(tool("bash"), ["-euc", "echo on"]).env("BASH_ENV", rc));
    assert_eq!((run.status, run.stdout.as_str(), run.stderr.as_str()), (0, "on\n", ""));
}
