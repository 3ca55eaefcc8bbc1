//! Refresh: a click on the notification, a code typed into a dialog, a new session in every shell.

use std::path::PathBuf;

use aws_simulator::Role;
use protocol::{Reply, Request};

use crate::lifecycle::wait_for_end;
use crate::support::{
    ACCOUNT, Bus, Dunst, Run, SHELLS, Sandbox, Screen, Server, Session, Shell, TestPrompter, memory_holds,
    tool, wait_until,
};

/// What a desktop's server usually can.
const USUAL: &str = "actions body body-markup icon-static persistence";

/// A person's desktop, with an agent that lives by a clock of the test's.
struct Desktop {
    sandbox: Sandbox,
    server: Server,
    clock: PathBuf,
    _bus: Bus,
}

impl Desktop {
    /// With a prompter that the test answers.
    fn new() -> (Self, TestPrompter) {
        let sandbox = Sandbox::new();
        let prompter = TestPrompter::new(&sandbox, "");
        (Self::of(sandbox), prompter)
    }

    fn of(mut sandbox: Sandbox) -> Self {
        let bus = Bus::start(&mut sandbox);
        let server = bus.server(USUAL);
        let clock = start(&mut sandbox);
        Self { sandbox, server, clock, _bus: bus }
    }

    /// Ten minutes before the session's end: the notification is there.
    fn announce(&self) {
        self.sandbox.advance(&self.clock, 43_200 - 599);
        assert!(matches!(self.sandbox.ask(Request::Log), Reply::Log(_)));
        self.server.wait_for(1);
    }

    /// Clicks on the notification's button.
    fn click(&self) {
        self.server.click(1, "refresh");
    }

    fn log(&self) -> String {
        self.sandbox.run(&["agent", "log"]).stdout
    }

    #[track_caller]
    fn wait_for_log(&self, words: &str) {
        wait_until(words, || self.log().contains(words));
    }

    fn calls(&self) -> usize {
        self.sandbox.simulator.calls_of("GetSessionToken").len()
    }
}

/// Starts an agent that lives by a clock of the test's; nothing else does.
fn start(sandbox: &mut Sandbox) -> PathBuf {
    let clock = sandbox.fake_clock();
    assert_eq!(sandbox.run(&["agent", "start"]).status, 0);
    for variable in
        ["LD_PRELOAD", "FAKETIME_TIMESTAMP_FILE", "FAKETIME_NO_CACHE", "FAKETIME_DONT_FAKE_MONOTONIC"]
    {
        sandbox.unset(variable);
    }
    clock
}

#[test]
fn the_button_of_a_real_server_renews_the_session_of_a_shell() {
    let mut sandbox = Sandbox::new();
    let prompter = TestPrompter::new(&sandbox, "");
    let bus = Bus::start(&mut sandbox);
    let _dunst = Dunst::start(&mut sandbox, &bus);
    let clock = start(&mut sandbox);
    sandbox.log_in("dev");
    let session = Session::start(&sandbox, Shell::Bash);
    session.run_to_prompt("mfa-agent use dev");
    let first = session.key_id().unwrap();
    sandbox.advance(&clock, 43_200 - 599);
    assert!(matches!(sandbox.ask(Request::Log), Reply::Log(_)));
    let dunst = |argument: &[&str]| Run::of(&mut sandbox.command(tool("dunstctl"), argument)).stdout;
    wait_until("dunst shows it", || dunst(&["count", "displayed"]).trim() == "1");
    // The menu of its buttons.
    dunst(&["context"]);
    prompter.type_in(&sandbox.code());
    wait_until("it is renewed", || {
        sandbox.run(&["agent", "log"]).stdout.contains("refresh of dev: a new session")
    });
    wait_until("dunst takes it back", || dunst(&["count", "displayed"]).trim() == "0");
    session.run_to_prompt("true");
    assert_ne!(session.key_id().unwrap(), first);
}

#[test]
fn a_click_a_code_and_every_shell_has_the_new_session() {
    for shell in SHELLS {
        let (desktop, prompter) = Desktop::new();
        desktop.sandbox.log_in("dev");
        let session = Session::start(&desktop.sandbox, shell);
        session.run_to_prompt("mfa-agent use dev");
        let first = session.key_id().unwrap();
        desktop.announce();
        desktop.click();
        prompter.type_in(&desktop.sandbox.code());
        desktop.wait_for_log("refresh of dev: a new session");
        // The notification is taken back, and the shell's next prompt has the new key.
        desktop.server.wait_for_call("CloseNotification", 1);
        session.run_to_prompt("true");
        assert_ne!(session.key_id().unwrap(), first, "{shell:?}");
        assert_eq!((prompter.asked("GETPIN"), desktop.calls()), (1, 2));

        let heard = prompter.heard();
        let about = format!(
            "SETDESC MFA code for AWS profile dev%0AAccount {ACCOUNT}%0ADevice {}%0A\
             This code goes to {}, which is not AWS.\n",
            desktop.sandbox.serial,
            desktop.sandbox.simulator.endpoint()
        );
        assert!(heard.contains(&about), "{heard}");
        assert!(heard.contains("SETTITLE MFA code for dev\n") && !heard.contains("SETERROR"), "{heard}");
    }
}

#[test]
fn a_wrong_code_and_a_used_one_are_said_in_the_next_dialog() {
    let (desktop, prompter) = Desktop::new();
    let sandbox = &desktop.sandbox;
    let arn = sandbox.simulator.role(Role { max_session_seconds: 43_200, ..Role::new(ACCOUNT, "long") });
    sandbox.write(
        ".aws/config",
        &format!(
            "[profile dev]\nmfa_serial = {}\n[profile long]\nsource_profile = dev\nrole_arn = {arn}\n\
             duration_seconds = 43200\n",
            sandbox.serial
        ),
    );
    sandbox.log_in("dev");
    desktop.announce();
    // The device's code goes into another session.
    let used = sandbox.code();
    let run = sandbox.run(&["login", "long", "--code", &used]);
    assert_eq!(run.status, 0, "{run:?}");
    desktop.click();
    prompter.type_in("000000");
    prompter.wait_for("SETERROR AWS did not accept that code.\n");
    prompter.type_in(&used);
    prompter.wait_for("SETERROR That code was used already. The next one comes in ");
    // As people type it.
    let code = sandbox.code();
    prompter.type_in(&format!("{} {}", &code[..3], &code[3..]));
    desktop.wait_for_log("refresh of dev: a new session");
    assert!(prompter.heard().contains(" s. This is the last try.\n"), "{}", prompter.heard());
    assert_eq!(prompter.asked("GETPIN"), 3);
}

#[test]
fn three_wrong_codes_are_enough() {
    let (desktop, prompter) = Desktop::new();
    desktop.sandbox.log_in("dev");
    desktop.announce();
    desktop.click();
    for code in ["000000", "00000", "111111"] {
        prompter.type_in(code);
    }
    desktop.wait_for_log("refresh of dev: no session");
    assert!(prompter.heard().contains("SETERROR A code is six digits. This is the last try.\n"));
    assert_eq!((prompter.asked("GETPIN"), desktop.calls()), (3, 3));
    // What was held is still there.
    assert_eq!(desktop.sandbox.run(&["env", "dev", "--no-prompt"]).status, 0);
}

#[test]
fn who_cancels_is_left_alone_and_may_click_again() {
    let (desktop, prompter) = Desktop::new();
    desktop.sandbox.log_in("dev");
    desktop.announce();
    desktop.click();
    prompter.answer("ERR 83886179 Operation cancelled <Pinentry>");
    desktop.wait_for_log("refresh of dev: cancelled");
    desktop.click();
    prompter.type_in(&desktop.sandbox.code());
    desktop.wait_for_log("refresh of dev: a new session");
    assert_eq!(prompter.asked("GETPIN"), 2);
}

#[test]
fn many_clicks_are_one_dialog_and_a_login_elsewhere_closes_it() {
    let (desktop, prompter) = Desktop::new();
    desktop.sandbox.log_in("dev");
    desktop.announce();
    desktop.click();
    prompter.wait_for("GETPIN");
    for _ in 0..5 {
        desktop.click();
    }
    desktop.wait_for_log("refresh of dev: asked elsewhere");
    let dialog = prompter.process();
    // A terminal that needs a new session stands in line behind it.
    let terminal = desktop.sandbox.terminal(&["login", "dev", "--force"]);
    wait_until("the terminal waits", || match desktop.sandbox.ask(Request::Status) {
        Reply::Status(status) => status.waiting == 1,
        other => panic!("{other:?}"),
    });
    let code = desktop.sandbox.code();
    assert_eq!(desktop.sandbox.run(&["login", "dev", "--force", "--code", &code]).status, 0);
    wait_for_end(dialog);
    assert_eq!(terminal.finish().status, 0);
    desktop.wait_for_log("refresh of dev: not needed any more");
    assert_eq!(prompter.asked("GETPIN"), 1);
}

#[test]
fn a_restart_ends_the_dialog_and_tells_again() {
    let (desktop, prompter) = Desktop::new();
    desktop.sandbox.log_in("dev");
    desktop.announce();
    desktop.click();
    // As servers do after a click.
    desktop.server.dismiss(1);
    prompter.wait_for("GETPIN");
    let dialog = prompter.process();
    assert_eq!(desktop.sandbox.run(&["agent", "restart"]).status, 0);
    wait_for_end(dialog);
    prompter.pass_over();
    assert!(desktop.server.wait_for(2).arguments.contains("AWS session of dev ends in"));
    desktop.server.click(2, "refresh");
    prompter.type_in(&desktop.sandbox.code());
    desktop.wait_for_log("refresh of dev: a new session");
    desktop.server.wait_for_call("CloseNotification 2", 1);
    assert_eq!((desktop.server.notified().len(), desktop.calls()), (2, 2));
}

#[test]
fn where_a_terminal_asks_no_dialog_opens() {
    let (desktop, prompter) = Desktop::new();
    desktop.sandbox.log_in("dev");
    desktop.announce();
    let terminal = desktop.sandbox.terminal(&["login", "dev", "--force"]);
    terminal.wait_for("MFA code for dev");
    desktop.click();
    desktop.wait_for_log("refresh of dev: asked elsewhere");
    terminal.type_in(&desktop.sandbox.code());
    assert_eq!(terminal.finish().status, 0);
    assert_eq!(prompter.asked("GETPIN"), 0);
}

#[test]
fn nothing_is_asked_while_locked() {
    let (desktop, prompter) = Desktop::new();
    desktop.sandbox.log_in("dev");
    desktop.announce();
    assert_eq!(desktop.sandbox.run(&["lock"]).status, 0);
    desktop.click();
    desktop.wait_for_log("refresh of dev: locked");
    assert_eq!(prompter.asked("GETPIN"), 0);
}

#[test]
fn an_mfa_process_needs_nobody_and_a_dialog_asks_where_it_fails() {
    let (desktop, prompter) = Desktop::new();
    let sandbox = &desktop.sandbox;
    let serial = &sandbox.serial;
    let process = r#"cat "$HOME/code""#;
    sandbox.write(".aws/config", &format!("[profile dev]\nmfa_serial = {serial}\nmfa_process = {process}\n"));
    sandbox.log_in("dev");
    desktop.announce();
    desktop.click();
    prompter.wait_for("SETERROR mfa_process of dev gave no code.\n");
    prompter.answer("ERR 83886179 Operation cancelled <Pinentry>");
    desktop.wait_for_log("refresh of dev: cancelled");
    sandbox.write("code", &sandbox.code());
    desktop.click();
    desktop.wait_for_log("refresh of dev: a new session");
    assert_eq!(prompter.asked("GETPIN"), 1);
}

#[test]
fn without_a_program_that_asks_the_log_says_so() {
    let sandbox = Sandbox::new();
    sandbox.write(".config/mfa-agent/config.toml", "prompter = \"pinentry-that-is-not-there\"\n");
    let desktop = Desktop::of(sandbox);
    desktop.sandbox.log_in("dev");
    desktop.announce();
    desktop.click();
    desktop.wait_for_log("refresh of dev: nothing to ask with: pinentry-that-is-not-there not found");
}

#[test]
fn what_is_typed_does_not_stay_in_memory() {
    let (desktop, prompter) = Desktop::new();
    desktop.sandbox.log_in("dev");
    desktop.announce();
    desktop.click();
    let code = desktop.sandbox.code();
    prompter.answer(&format!("D {}%{:02X}\nOK", &code[..5], code.as_bytes()[5]));
    desktop.wait_for_log("refresh of dev: a new session");
    if !rustix::process::geteuid().is_root() {
        // Only root can look into the agent's memory; the run in CI does.
        assert!(std::env::var_os("CI").is_none(), "CI runs these tests as root");
        return;
    }
    let pid = desktop.sandbox.agent_pid();
    assert!(memory_holds(pid, desktop.sandbox.serial.as_bytes()), "the search finds what is there");
    for trace in [format!("D {}", &code[..5]), format!("{}%", &code[..5]), format!("TokenCode={code}")] {
        assert!(!memory_holds(pid, trace.as_bytes()), "{trace}");
    }
}

#[test]
fn real_dialogs_take_a_code() {
    for name in ["pinentry-gtk-2", "pinentry-qt", "zenity"] {
        let mut sandbox = Sandbox::new();
        let screen = Screen::start(&mut sandbox);
        let program = tool(name);
        let configuration = format!("prompter = {:?}\n", program.to_str().unwrap());
        sandbox.write(".config/mfa-agent/config.toml", &configuration);
        let desktop = Desktop::of(sandbox);
        desktop.sandbox.log_in("dev");
        desktop.announce();
        desktop.click();
        let wrong = ["0", "0", "0", "0", "0", "0", "Return"];
        screen.press("MFA code for dev", &wrong, || desktop.calls() == 2);
        let code: Vec<_> = desktop.sandbox.code().chars().map(String::from).collect();
        let mut keys: Vec<_> = code.iter().map(String::as_str).collect();
        keys.push("Return");
        screen.press("MFA code for dev", &keys, || desktop.calls() == 3);
        desktop.wait_for_log("refresh of dev: a new session");
        assert_eq!(desktop.calls(), 3, "{name}");
    }
}
