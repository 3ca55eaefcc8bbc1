//! Cases 47 to 58: the question for a code.

use std::path::PathBuf;

use rustix::process::{Pid, Signal, kill_process};

use super::{asked, using_dev};
use crate::support::{Run, SHELLS, Sandbox, Session, Shell, tool, wait_until};

/// A sandbox whose clock can be moved.
fn clocked() -> (Sandbox, PathBuf) {
    let mut sandbox = Sandbox::new();
    let clock = sandbox.fake_clock();
    (sandbox, clock)
}

/// Lets the session end.
fn expire(sandbox: &Sandbox, clock: &std::path::Path) {
    sandbox.advance(clock, 43_201);
    assert_eq!(sandbox.run(&["status"]).status, 0);
}

/// Types a command after which the prompt asks, and waits until it does. Returns where the question begins.
#[track_caller]
fn until_asked(session: &Session) -> usize {
    let start = session.type_line("true");
    session.wait_for_step(start);
    session.terminal.wait_for_after(start, "MFA code for");
    session.terminal.wait_for_after(start, "): ");
    session.terminal.screen().len()
}

/// The process of the client that asks.
#[track_caller]
fn asker(sandbox: &Sandbox) -> Option<Pid> {
    let home = format!("HOME={}", sandbox.home().display());
    std::fs::read_dir("/proc").unwrap().flatten().find_map(|entry| {
        let pid: i32 = entry.file_name().to_str()?.parse().ok()?;
        let line = std::fs::read(entry.path().join("cmdline")).ok()?;
        let environment = std::fs::read(entry.path().join("environ")).ok()?;
        let asks = String::from_utf8_lossy(&line).contains("hook\0ask");
        let ours = String::from_utf8_lossy(&environment).split('\0').any(|pair| pair == home);
        (asks && ours).then(|| Pid::from_raw(pid)).flatten()
    })
}

#[test]
fn case_47_every_refusal_brings_the_prompt_back_and_is_remembered() {
    for shell in SHELLS {
        for keys in ["\x03", "\x04", "\r", "\x1b"] {
            let (sandbox, clock) = clocked();
            let session = using_dev(&sandbox, shell, "", "");
            expire(&sandbox, &clock);
            let asked_at = until_asked(&session);
            session.terminal.type_in(keys);
            session.terminal.wait_for_after(asked_at, "> ");
            assert_eq!(session.key_id(), None, "{shell:?} {keys:?}");
            for _ in 0..3 {
                session.run("true");
            }
            let shown = session.terminal.screen()[asked_at..].to_owned();
            assert!(!shown.contains("MFA code for"), "{shell:?} {keys:?}: {shown}");
        }
        // The status is what it was.
        let (sandbox, clock) = clocked();
        let session = using_dev(&sandbox, shell, "", "");
        expire(&sandbox, &clock);
        let start = session.terminal.screen().len();
        session.terminal.type_in("sh -c 'exit 7'\r");
        session.terminal.wait_for_after(start, "): ");
        let asked_at = session.terminal.screen().len();
        session.terminal.type_in("\x03");
        session.terminal.wait_for_after(asked_at, "> ");
        let start = session.terminal.screen().len();
        let status = if shell == Shell::Fish { "$status" } else { "$?" };
        session.terminal.type_in(&format!("echo \"<\"\"={status}=\"\">\"\r"));
        session.terminal.wait_for_after(start, "<=7=>");
    }
}

#[test]
fn case_48_what_is_typed_ahead_is_the_shells_with_or_without_its_end() {
    for shell in SHELLS {
        for end in ["\r", ""] {
            let (sandbox, clock) = clocked();
            let session = using_dev(&sandbox, shell, "", "");
            let gate = sandbox.home().join("gate");
            let start = session.type_line(&format!("mkfifo {0} && cat {0}", gate.display()));
            wait_until("the command runs", || gate.exists());
            expire(&sandbox, &clock);
            session.terminal.type_in(&format!("echo typed-a\"\"head{end}"));
            std::fs::write(&gate, "").unwrap();
            session.wait_for_step(start);
            if end.is_empty() {
                session.terminal.type_in("\r");
            }
            session.terminal.wait_for_after(start, "typed-ahead\r\n");
            // Then it asks.
            session.answer(start, &sandbox.code());
            assert!(session.key_id().is_some(), "{shell:?}");
        }
    }
}

#[test]
fn case_50_nobody_is_asked_where_nobody_can_answer() {
    for shell in SHELLS {
        for (name, value) in [("TERM", "dumb"), ("INSIDE_EMACS", "29"), ("MC_SID", "1")] {
            let (mut sandbox, clock) = clocked();
            sandbox.set(name, value);
            let session = using_dev(&sandbox, shell, "", "");
            expire(&sandbox, &clock);
            session.run("true");
            session.run("true");
            assert!(!session.terminal.shows("MFA code for"), "{shell:?} {name}");
            assert_eq!(session.key_id(), None, "{shell:?} {name}");
        }
        // As editors do to learn the environment.
        let (sandbox, clock) = clocked();
        let _ = using_dev(&sandbox, shell, "", "");
        expire(&sandbox, &clock);
        let run = Run::of(&mut sandbox.command(tool(shell.program()), ["-i", "-l", "-c", "env"]));
        assert!(!run.stdout.contains("MFA code") && !run.stderr.contains("MFA code"), "{run:?}");
    }
}

#[test]
fn case_51_one_of_many_terminals_asks_and_the_others_follow() {
    for shell in SHELLS {
        let (sandbox, clock) = clocked();
        sandbox.log_in("dev");
        let sessions: Vec<Session> = (0..4).map(|_| Session::start(&sandbox, shell)).collect();
        for session in &sessions {
            session.run_to_prompt("mfa-agent use dev");
        }
        expire(&sandbox, &clock);
        let asked_at = until_asked(&sessions[0]);
        for other in &sessions[1..] {
            let start = other.terminal.screen().len();
            other.run("true");
            other.run("true");
            let shown = other.terminal.screen()[start..].to_owned();
            assert!(!shown.contains("MFA code for") && shown.matches("mfa-agent:").count() <= 1, "{shown}");
        }
        // A session that somebody opens elsewhere closes the question.
        let run = sandbox.run(&["login", "dev", "--code", &sandbox.code()]);
        assert_eq!(run.status, 0, "{run:?}");
        sessions[0].terminal.wait_for_after(asked_at, "> ");
        for session in &sessions {
            session.run("true");
            assert!(session.key_id().is_some(), "{shell:?}: {}", session.terminal.screen());
        }
    }
}

#[test]
fn case_52_the_terminal_is_left_as_it_was() {
    for shell in SHELLS {
        for end in ["answer", "^C", "kill -9", "agent"] {
            let (sandbox, clock) = clocked();
            let session = using_dev(&sandbox, shell, "", "");
            session.run("stty -g > ~/before");
            expire(&sandbox, &clock);
            let asked_at = until_asked(&session);
            match end {
                "answer" => session.terminal.type_in(&sandbox.code()),
                "^C" => session.terminal.type_in("\x03"),
                "agent" => {
                    sandbox.kill_agent();
                    // It goes by itself, unless the agent died before the question watched it.
                    session.terminal.type_in("\x03");
                }
                _ => kill_process(asker(&sandbox).unwrap(), Signal::KILL).unwrap(),
            }
            session.terminal.wait_for_after(asked_at, "> ");
            session.run("true");
            session.run("stty -g > ~/after");
            let read = |name| std::fs::read_to_string(sandbox.home().join(name)).unwrap();
            assert_eq!(read("before"), read("after"), "{shell:?} {end}");
        }
    }
}

#[test]
fn case_53_a_question_ends_with_its_terminal_or_by_a_signal() {
    for shell in SHELLS {
        for signal in [Signal::TERM, Signal::HUP] {
            let (sandbox, clock) = clocked();
            let session = using_dev(&sandbox, shell, "", "");
            expire(&sandbox, &clock);
            let asked_at = until_asked(&session);
            kill_process(asker(&sandbox).unwrap(), signal).unwrap();
            session.terminal.wait_for_after(asked_at, "> ");
            session.run("true");
            assert_eq!(asker(&sandbox), None, "{shell:?}");
        }
        let (sandbox, clock) = clocked();
        let mut session = using_dev(&sandbox, shell, "", "");
        expire(&sandbox, &clock);
        until_asked(&session);
        let pid = asker(&sandbox).unwrap();
        session.terminal.kill();
        drop(session);
        wait_until("it goes with its terminal", || asker(&sandbox) != Some(pid));
    }
}

#[test]
fn case_54_the_code_is_in_no_history_and_no_trace() {
    for shell in SHELLS {
        let (sandbox, clock) = clocked();
        let session = using_dev(&sandbox, shell, "", "");
        expire(&sandbox, &clock);
        session.run(if shell == Shell::Fish { "set -g fish_trace 1" } else { "set -x" });
        let start = session.terminal.screen().len();
        if !session.terminal.screen().contains("MFA code for") {
            session.run("true");
        }
        let code = sandbox.code();
        session.answer(0, &code);
        session.run("true");
        session.run(if shell == Shell::Fish { "history > ~/history" } else { "fc -l 1 > ~/history" });
        let history = std::fs::read_to_string(sandbox.home().join("history")).unwrap();
        assert!(!history.contains(&code), "{shell:?}");
        assert!(!session.environment().values().any(|value| value.contains(&code)), "{shell:?}");
        let shown = session.terminal.screen()[start..].to_owned();
        for traced in [format!("{code}'"), format!("code {code}"), format!("={code}")] {
            assert!(!shown.contains(&traced), "{shell:?}: {shown}");
        }
    }
}

#[test]
fn case_55_the_handler_of_fish_is_run_once_at_a_prompt() {
    let (sandbox, clock) = clocked();
    let counter = "set -g n 0; function count --on-event fish_prompt; set -g n (math $n + 1); end";
    let session = using_dev(&sandbox, Shell::Fish, "", counter);
    expire(&sandbox, &clock);
    let before: u32 = {
        let start = session.type_line("set -g before $n");
        session.wait_for_step(start);
        session.answer(start, "\r");
        asked(&session, "$before").parse().unwrap()
    };
    // The prompt that asked, and the one of `asked`.
    assert_eq!(asked(&session, "$n").parse::<u32>().unwrap(), before + 2);
}

#[test]
fn case_56_fish_looks_before_a_command_where_no_prompt_was_drawn_anew() {
    let sandbox = Sandbox::new();
    let session = using_dev(&sandbox, Shell::Fish, "", "");
    let first = session.key_id();
    super::renew_elsewhere(&sandbox);
    let start = session.terminal.screen().len();
    session.terminal.type_in("echo )\r");
    session.terminal.wait_for_after(start, "Unexpected");
    // What could not be read is still there to be mended; it is thrown away.
    session.terminal.type_in("\x15");
    let second = session.key_id();
    assert!(second.is_some() && first != second, "{}", &session.terminal.screen()[start..]);
}

#[test]
fn case_57_the_handlers_of_fish_repaint_nothing() {
    let hook = Run::of(&mut Sandbox::new().client(["init", "fish"])).stdout;
    for word in ["commandline", "repaint", "fish_prompt_", "fish_right_prompt", "functions --erase", "read "]
    {
        assert!(!hook.contains(word), "{word}");
    }
}
