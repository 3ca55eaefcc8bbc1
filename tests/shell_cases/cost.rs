//! Cases 67 to 69: what a prompt costs.

use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use super::{lose_lease, using_dev};
use crate::support::{SHELLS, Sandbox, Session, Shell, processes};

/// The hook at this many prompts, without a person who types.
fn prompts(shell: Shell, count: usize) -> String {
    match shell {
        Shell::Fish => format!("for i in (seq {count}); emit fish_prompt; emit fish_preexec true; end"),
        Shell::Zsh => {
            format!("repeat {count} {{ for f in $precmd_functions $preexec_functions; do $f true; done }}")
        }
        Shell::Bash => format!(
            "for ((i = 0; i < {count}; i++)); do for f in \"${{PROMPT_COMMAND[@]}}\"; do eval \"$f\"; done; done"
        ),
    }
}

#[test]
fn case_67_a_thousand_quiet_prompts_make_no_process() {
    for shell in SHELLS {
        let sandbox = Sandbox::new();
        sandbox.log_in("dev");
        let trace = sandbox.home().join("trace");
        let session = Session::start_traced(&sandbox, shell, &trace);
        session.run("mfa-agent use dev");
        // fish makes one for `seq`.
        session.run(&prompts(shell, 1));
        let once = processes(&trace).len();
        session.run(&prompts(shell, 1));
        let twice = processes(&trace).len();
        session.run(&prompts(shell, 1_000));
        assert_eq!(processes(&trace).len() - twice, twice - once, "{shell:?}");
    }
}

#[test]
fn case_68_a_shell_without_a_profile_does_nothing_at_all() {
    for shell in SHELLS {
        let sandbox = Sandbox::new();
        let trace = sandbox.home().join("trace");
        let session = Session::start_calls_traced(&sandbox, shell, &trace, "%file,%process");
        session.run("true");
        let calls = || {
            let text = std::fs::read_to_string(&trace).unwrap();
            let shell = text.split(' ').next().unwrap_or_default().to_owned();
            text.lines().filter(|line| line.starts_with(&shell) && line.contains("mfa-agent")).count()
        };
        // Loading it ran the client; no file of ours is looked at after that.
        let before = calls();
        session.run(&prompts(shell, 100));
        assert_eq!(calls(), before, "{shell:?}");
        assert!(!sandbox.runtime().exists(), "{shell:?}");
    }
}

#[test]
fn case_69_an_agent_that_hangs_or_is_gone_keeps_a_prompt_waiting_once_and_briefly() {
    for shell in SHELLS {
        let sandbox = Sandbox::new();
        let session = using_dev(&sandbox, shell, "", "");
        session.run("true");
        let agent = Pid::from_raw(sandbox.agent_pid()).unwrap();
        kill_process(agent, Signal::STOP).unwrap();
        session.run(lose_lease(shell));
        let begun = Instant::now();
        session.run("true");
        let first = begun.elapsed();
        let start = session.terminal.screen().len();
        let begun = Instant::now();
        for _ in 0..10 {
            session.run("true");
        }
        let ten = begun.elapsed();
        kill_process(agent, Signal::CONT).unwrap();
        // The limit is 200 ms for each; the rest is for the machine that the tests share.
        assert!(first < Duration::from_secs(2), "{shell:?}: {first:?}");
        assert!(ten < Duration::from_millis(1_900), "{shell:?}: {ten:?}, as if each had waited");
        assert_eq!(
            session.terminal.screen()[start..].matches("mfa-agent:").count(),
            0,
            "{shell:?}: said once"
        );
        assert_eq!(session.terminal.screen().matches("does not answer").count(), 1, "{shell:?}");
    }
}
