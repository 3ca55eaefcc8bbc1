//! Cases 34 to 46: what the shell has is what is true.

use std::path::Path;

use super::{asked, bash_as, enter, follows, lose_lease, renew_elsewhere, using_dev};
use crate::support::{SHELLS, Sandbox, Session, Shell, processes, tool};

#[test]
fn case_34_a_renewal_elsewhere_costs_one_process() {
    for shell in SHELLS {
        let sandbox = Sandbox::new();
        sandbox.log_in("dev");
        let trace = sandbox.home().join("trace");
        let session = Session::start_traced(&sandbox, shell, &trace);
        session.run("mfa-agent use dev");
        session.run("true");
        let before = processes(&trace).len();
        renew_elsewhere(&sandbox);
        session.run("true");
        session.run("true");
        assert_eq!(processes(&trace).len(), before + 1, "{shell:?}: {:?}", processes(&trace));
    }
}

#[test]
fn case_35_an_idle_terminal_runs_its_first_command_with_the_new_key() {
    // bash before 5.3: 12, where bash-preexec looks.
    for shell in SHELLS.into_iter().filter(|shell| shell.looks_before_commands()) {
        let sandbox = Sandbox::new();
        let session = using_dev(&sandbox, shell, "", "");
        let first = session.key_id();
        renew_elsewhere(&sandbox);
        let second = session.key_id();
        assert!(second.is_some() && first != second, "{shell:?}");
    }
}

#[test]
fn case_36_after_an_expiry_that_nobody_told_the_first_command_has_no_key() {
    for shell in SHELLS {
        let sandbox = Sandbox::new();
        let session = using_dev(&sandbox, shell, "", "");
        // The lease stays, as a killed agent leaves it; its end goes by.
        sandbox.kill_agent();
        let lease = session.environment()["MFA_AGENT_LEASE"].clone();
        let past = std::time::SystemTime::now() - std::time::Duration::from_mins(1);
        let ended = past.duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
        session.run(&match shell {
            Shell::Fish => format!("set -gx MFA_AGENT_EXP {ended}"),
            _ => format!("export MFA_AGENT_EXP={ended}; __mfa_agent_next={ended}"),
        });
        if Path::new(&lease).exists() {
            let file = std::fs::OpenOptions::new().write(true).open(&lease).unwrap();
            file.set_modified(past).unwrap();
        }
        // Else it is seen one command later.
        if !shell.looks_before_commands() {
            session.run("true");
        }
        assert_eq!(session.key_id(), None, "{shell:?}");
        assert!(session.terminal.shows("dev: the session has expired"), "{shell:?}");
    }
}

#[test]
fn case_37_a_shell_that_inherits_what_is_old_is_put_right_before_its_first_command() {
    for shell in SHELLS {
        let mut sandbox = Sandbox::new();
        let session = using_dev(&sandbox, shell, "", "");
        let old = session.environment();
        renew_elsewhere(&sandbox);
        // As in a window of a tmux server that was started before.
        for (name, value) in &old {
            if name.starts_with("AWS_") || name.starts_with("MFA_AGENT_") {
                sandbox.set(name, value);
            }
        }
        let window = Session::start(&sandbox, shell);
        let new = window.environment();
        assert_ne!(new["AWS_ACCESS_KEY_ID"], old["AWS_ACCESS_KEY_ID"], "{shell:?}");
        assert_ne!(new["MFA_AGENT_LEASE"], old["MFA_AGENT_LEASE"], "{shell:?}");
    }
}

#[test]
fn case_38_exec_and_children_go_on_and_another_user_is_told_nothing_odd() {
    for shell in SHELLS {
        let sandbox = Sandbox::new();
        let session = using_dev(&sandbox, shell, "", "");
        let arguments = match shell {
            Shell::Bash => "--noprofile -i",
            Shell::Zsh => "-d -i",
            Shell::Fish => "-i",
        };
        enter(&session, &format!("exec {} {arguments}", shell.program()));
        let first = session.key_id();
        assert!(first.is_some(), "{shell:?}");
        enter(&session, &format!("{} {arguments}", shell.program()));
        follows(&sandbox, &session);
    }
    // Another user cannot look into the folder: to that one the agent is not there.
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let sandbox = Sandbox::new();
    let session = using_dev(&sandbox, Shell::Bash, "", "");
    let setpriv = tool("setpriv");
    let start = session.terminal.screen().len();
    session.run("cp ~/.bashrc /tmp/mfa-agent-rc-$$; chmod 755 /tmp/mfa-agent-rc-$$");
    let child = format!(
        "{} --reuid 65534 --clear-groups bash --noprofile --rcfile /tmp/mfa-agent-rc-$$ -i",
        setpriv.display()
    );
    enter(&session, &child);
    session.run("true");
    session.run("true");
    enter(&session, "exit");
    session.run("rm /tmp/mfa-agent-rc-$$");
    let shown = session.terminal.screen()[start..].to_owned();
    assert!(shown.matches("mfa-agent: dev").count() <= 1, "{shown}");
    assert!(!shown.contains("panicked"), "{shown}");
    // What that one did not see has not been taken from this shell.
    assert!(session.key_id().is_some());
}

#[test]
fn case_39_a_lease_of_another_host_is_looked_for_once_in_a_while() {
    for shell in SHELLS {
        let mut sandbox = Sandbox::new();
        for (name, value) in [
            ("MFA_AGENT_PROFILE", "dev"),
            ("MFA_AGENT_LEASE", "/run/user/4711/mfa-agent/lease/0123456789abcdef-WXYZ"),
            ("MFA_AGENT_EXP", "4102444800"),
            ("AWS_ACCESS_KEY_ID", "ASIAABCDEFGHIJKLWXYZ"),
        ] {
            sandbox.set(name, value);
        }
        let trace = sandbox.home().join("trace");
        let session = Session::start_traced(&sandbox, shell, &trace);
        session.run("true");
        let before = processes(&trace).len();
        for _ in 0..20 {
            session.run("true");
        }
        assert_eq!(processes(&trace).len(), before, "{shell:?}");
        assert_eq!(session.terminal.screen().matches("mfa-agent:").count(), 1, "{shell:?}");
        assert!(!sandbox.socket().exists());
    }
}

#[test]
fn case_40_no_lease_of_an_agent_that_died_is_taken_for_one_of_the_next() {
    for shell in SHELLS {
        let sandbox = Sandbox::new();
        let session = using_dev(&sandbox, shell, "", "");
        let old = session.environment();
        sandbox.kill_agent();
        sandbox.simulator.advance(std::time::Duration::from_mins(1));
        sandbox.log_in("dev");
        assert!(!Path::new(&old["MFA_AGENT_LEASE"]).exists(), "{shell:?}");
        session.run("true");
        let new = session.environment();
        assert_ne!(new["MFA_AGENT_LEASE"], old["MFA_AGENT_LEASE"], "{shell:?}");
        assert_ne!(new["AWS_ACCESS_KEY_ID"], old["AWS_ACCESS_KEY_ID"], "{shell:?}");
    }
}

#[test]
fn case_41_each_terminal_keeps_its_own_profile() {
    let sandbox = Sandbox::new();
    let config = std::fs::read_to_string(sandbox.home().join(".aws/config")).unwrap();
    let credentials = std::fs::read_to_string(sandbox.home().join(".aws/credentials")).unwrap();
    sandbox.write(".aws/config", &format!("{config}{}", config.replace("profile dev", "profile other")));
    sandbox.write(".aws/credentials", &format!("{credentials}{}", credentials.replace("[dev]", "[other]")));
    let first = using_dev(&sandbox, Shell::Zsh, "", "");
    let second = Session::start(&sandbox, Shell::Fish);
    second.run("mfa-agent use other");
    follows(&sandbox, &first);
    second.run("true");
    assert_eq!(first.environment()["MFA_AGENT_PROFILE"], "dev");
    assert_eq!(second.environment()["MFA_AGENT_PROFILE"], "other");
}

#[test]
fn case_42_what_the_person_sets_by_hand_is_never_touched() {
    for shell in SHELLS {
        for (name, value) in [("AWS_ACCESS_KEY_ID", "AKIAMYOWN"), ("AWS_PROFILE", "mine")] {
            let sandbox = Sandbox::new();
            let session = using_dev(&sandbox, shell, "", "");
            session.run(&match shell {
                Shell::Fish => format!("set -gx {name} {value}"),
                _ => format!("export {name}={value}"),
            });
            renew_elsewhere(&sandbox);
            session.run("true");
            let environment = session.environment();
            assert_eq!(environment[name], value, "{shell:?}");
            assert!(!environment.contains_key("MFA_AGENT_LEASE"), "{shell:?} {name}");
        }
    }
}

#[test]
fn case_43_a_universal_key_of_fish_is_not_used_unknowingly() {
    let sandbox = Sandbox::new();
    let session = using_dev(&sandbox, Shell::Fish, "set -Ux AWS_ACCESS_KEY_ID AKIAUNIVERSAL", "");
    let shown = session.run("mfa-agent use --none");
    assert!(shown.contains("universal AWS_ACCESS_KEY_ID is in use"), "{shown}");
    assert_eq!(session.key_id().as_deref(), Some("AKIAUNIVERSAL"));
}

#[test]
fn case_44_the_end_is_a_number_whatever_the_text_of_the_expiration() {
    for shell in SHELLS {
        let sandbox = Sandbox::new();
        let session = using_dev(&sandbox, shell, "", "");
        session.run(match shell {
            Shell::Fish => "set -gx AWS_SESSION_EXPIRATION 1999-01-01T00:00:00+14:00",
            _ => "export AWS_SESSION_EXPIRATION=1999-01-01T00:00:00+14:00",
        });
        session.run("true");
        assert!(session.key_id().is_some(), "{shell:?}");
    }
}

#[test]
fn case_45_bash_without_its_clock_takes_another() {
    for (load, after) in [
        (Shell::Bash.load(), "unset EPOCHSECONDS EPOCHREALTIME"),
        (format!("unset EPOCHSECONDS\n{}", Shell::Bash.load()), ""),
        (bash_as("4 2"), "SECONDS=0"),
        (bash_as("3 2"), "SECONDS=0"),
        (bash_as("3 2"), "SECONDS=99999; SECONDS=5"),
    ] {
        let sandbox = Sandbox::new();
        sandbox.log_in("dev");
        let session = Session::start_rc(&sandbox, Shell::Bash, &load);
        session.run(
            &format!("{after} true; {after}")
                .replace(" true; ", if after.is_empty() { "true" } else { "; " }),
        );
        session.run("mfa-agent use dev");
        let shown = asked(&session, "$MFA_AGENT_PROMPT");
        assert!(shown == "dev 11h59m" || shown == "dev 12h0m", "{after}: {shown}");
        // Past its end by that clock.
        session.run("export MFA_AGENT_EXP=$(($(date +%s) - 5)); __mfa_agent_next=0");
        session.run(lose_lease(Shell::Bash));
        let shown = asked(&session, "$MFA_AGENT_PROMPT");
        assert!(shown == "dev 11h59m" || shown == "dev 12h0m", "{after}: {shown}");
    }
}

#[test]
fn case_46_a_hostile_environment_is_not_evaluated() {
    for shell in SHELLS {
        let mut sandbox = Sandbox::new();
        sandbox.log_in("dev");
        let owned = sandbox.home().join("owned");
        let hostile = format!("a[$(touch {0})]`touch {0}`$(touch {0})", owned.display());
        for name in [
            "MFA_AGENT_EXP",
            "__mfa_agent_next",
            "__mfa_agent_ask",
            "__mfa_agent_now",
            "__mfa_agent_code",
            "__mfa_agent_seconds",
            "__mfa_agent_offset",
            "__mfa_agent_shown",
            "__mfa_agent_ticks",
            "MFA_AGENT_PROFILE",
            "MFA_AGENT_PROMPT",
        ] {
            sandbox.set(name, &hostile);
        }
        sandbox.set("MFA_AGENT_LEASE", "/");
        let loads = if shell == Shell::Bash {
            vec![shell.load(), bash_as("4 2"), bash_as("3 2")]
        } else {
            vec![shell.load()]
        };
        for load in loads {
            let session = Session::start_rc(&sandbox, shell, &load);
            session.run("true");
            session.run(lose_lease(shell));
            session.run("true");
            assert!(!owned.exists(), "{shell:?} {load}: {}", session.terminal.screen());
        }
    }
}
