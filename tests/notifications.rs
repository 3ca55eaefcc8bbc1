//! Notifications: what is said, when, how often, and what a click does and does not do.

use std::fmt::Write;
use std::fs;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use protocol::{Reply, Request, Secret};

use crate::lifecycle::wait_for_end;
use crate::support::{ACCOUNT, Bus, Dunst, Run, Sandbox, Server, install, key_of, tool, wait_until};

/// What a desktop's server usually can.
const USUAL: &str = "actions body body-markup icon-static persistence";

/// A machine with a session bus, whose agent lives by a clock of the test's.
fn machine() -> (Sandbox, Bus, PathBuf) {
    let mut sandbox = Sandbox::new();
    let bus = Bus::start(&mut sandbox);
    let clock = start(&mut sandbox);
    (sandbox, bus, clock)
}

/// Starts the agent with a clock of its own.
fn start(sandbox: &mut Sandbox) -> PathBuf {
    start_by(sandbox, env!("CARGO_BIN_EXE_mfa-agent"))
}

fn start_by(sandbox: &mut Sandbox, client: &str) -> PathBuf {
    let clock = sandbox.fake_clock();
    assert_eq!(Run::of(&mut sandbox.command(client, ["agent", "start"])).status, 0);
    for variable in
        ["LD_PRELOAD", "FAKETIME_TIMESTAMP_FILE", "FAKETIME_NO_CACHE", "FAKETIME_DONT_FAKE_MONOTONIC"]
    {
        sandbox.unset(variable);
    }
    clock
}

/// Moves the clocks, and lets the agent look at them: nothing tells it of a faked clock, but every request does.
fn advance(sandbox: &Sandbox, clock: &Path, seconds: i64) {
    sandbox.advance(clock, seconds);
    assert!(matches!(sandbox.ask(Request::Log), Reply::Log(_)));
}

fn log(sandbox: &Sandbox) -> String {
    let run = sandbox.run(&["agent", "log"]);
    assert_eq!(run.status, 0, "{run:?}");
    run.stdout
}

#[track_caller]
fn wait_for_log(sandbox: &Sandbox, words: &str) {
    let start = Instant::now();
    while !log(sandbox).contains(words) {
        assert!(start.elapsed() < Duration::from_secs(30), "{}", log(sandbox));
    }
}

/// How often a line is in the log.
fn count(sandbox: &Sandbox, words: &str) -> usize {
    log(sandbox).lines().filter(|line| line.contains(words)).count()
}

/// Clicks, and returns once the agent has understood it and whatever came before.
fn click(sandbox: &Sandbox, server: &Server, id: u32) {
    let before = count(sandbox, "Refresh clicked");
    server.click(id, "refresh");
    wait_until("the click arrives", || count(sandbox, "Refresh clicked") > before);
}

/// The time that an answer takes: the shortest of a few, since this machine may be busy with something else.
fn answer_time(sandbox: &Sandbox) -> Duration {
    let request = || Request::Shell { profile: "dev".to_owned(), live: false };
    (0..5)
        .map(|_| {
            let start = Instant::now();
            let _ = sandbox.ask(request());
            start.elapsed()
        })
        .min()
        .unwrap()
}

#[test]
fn each_moment_is_shown_once_in_the_place_of_the_one_before() {
    let (sandbox, bus, clock) = machine();
    let server = bus.server(USUAL);
    sandbox.log_in("dev");
    advance(&sandbox, &clock, 43_200 - 600 - 20);
    advance(&sandbox, &clock, 43_200 - 600 + 1);
    assert_eq!(
        server.wait_for(1).arguments,
        "\"mfa-agent\" 0 \"dialog-password\" \"AWS session of dev ends in 10 min\" \"Account 111122223333\" \
         [\"refresh\", \"Refresh\", \"snooze\", \"Snooze 10 min\"] \
         {\"desktop-entry\": \"mfa-agent\", \"urgency\": 1} -1"
    );
    advance(&sandbox, &clock, 43_200 - 600 + 5);
    advance(&sandbox, &clock, 43_200 - 119);
    let second = server.wait_for(2).arguments;
    assert!(second.starts_with("\"mfa-agent\" 1 \"dialog-password\" \"AWS session of dev ends in 2 min\""));
    advance(&sandbox, &clock, 43_200 + 1);
    let third = server.wait_for(3).arguments;
    assert!(third.starts_with("\"mfa-agent\" 1 \"dialog-password\" \"AWS session of dev has expired\""));
    assert!(third.ends_with("\"urgency\": 2} 0"), "{third}");
    advance(&sandbox, &clock, 43_200 + 3_600);
    click(&sandbox, &server, 1);
    assert_eq!(server.notified().len(), 3);
    // Renewed elsewhere: taken back.
    assert_eq!(server.count("CloseNotification 1"), 0);
    sandbox.log_in("dev");
    server.wait_for_call("CloseNotification 1", 1);
}

#[test]
fn it_comes_within_a_second_of_its_moment_in_twenty_of_twenty_runs() {
    let mut first = Sandbox::new();
    let bus = Bus::start(&mut first);
    let server = bus.server(USUAL);
    let machines: Vec<_> = (0..20)
        .map(|number| {
            let mut sandbox = Sandbox::new();
            sandbox.set("DBUS_SESSION_BUS_ADDRESS", bus.address());
            sandbox.write(".config/mfa-agent/config.toml", "duration = '15m'\nnotify_before = ['14m54s']\n");
            let profile = format!("run{number:02}");
            sandbox.write(".aws/credentials", &format!("[{profile}]\n{}", key_of(&sandbox.alice)));
            let config = format!("[profile {profile}]\nmfa_serial = {}\n", sandbox.serial);
            sandbox.write(".aws/config", &config);
            sandbox.log_in(&profile);
            let Reply::Status(status) = sandbox.ask(Request::Status) else { panic!() };
            assert!(status.sessions[0].next_notification.is_some_and(|left| left <= 6), "{status:?}");
            (sandbox, profile, status.sessions[0].expires_at - (15 * 60 - 6))
        })
        .collect();
    server.wait_for(machines.len());
    let notified = server.notified();
    let late: Vec<i64> = machines
        .iter()
        .map(|(_, profile, due)| {
            let words = format!("\"AWS session of {profile} ends in 15 min\"");
            let mut told = notified.iter().filter(|call| call.arguments.contains(&words));
            let (Some(call), None) = (told.next(), told.next()) else { panic!("{profile}: {notified:?}") };
            call.at.cast_signed() - (due * 1_000).cast_signed()
        })
        .collect();
    // The boot-time clock may have come to it before the wall clock: they begin their seconds apart.
    assert!(late.iter().all(|late| (-1_000..1_000).contains(late)), "{late:?} ms");
}

#[test]
fn whatever_passed_while_the_machine_slept_is_one_notification() {
    let (sandbox, bus, clock) = machine();
    let server = bus.server(USUAL);
    sandbox.log_in("dev");
    // Back: nothing is due, and the session does not last longer for it.
    advance(&sandbox, &clock, -7_200);
    assert_eq!(server.notified(), []);
    advance(&sandbox, &clock, 86_400);
    let call = server.wait_for(1);
    assert!(call.arguments.contains("AWS session of dev has expired"), "{call:?}");
    advance(&sandbox, &clock, 86_400 + 7_200);
    click(&sandbox, &server, 1);
    assert_eq!(server.notified(), [call]);
}

#[test]
fn a_machine_that_wakes_up_tells_at_once_and_once() {
    let mut sandbox = Sandbox::new();
    let bus = Bus::start(&mut sandbox);
    let system = Bus::system(&mut sandbox);
    let (server, logind) = (bus.server(USUAL), system.logind());
    sandbox.write(".config/mfa-agent/config.toml", "lock_on = ['suspend']\n");
    let clock = start(&mut sandbox);
    sandbox.log_in("dev");
    wait_until("the agent listens", || logind.waits());
    sandbox.advance(&clock, 86_400);
    let woken = std::time::SystemTime::now();
    logind.prepares_for_sleep(false);
    // Nobody asked for anything.
    let call = server.wait_for(1);
    assert!(call.arguments.contains("AWS session of dev has expired"), "{call:?}");
    let woken = u64::try_from(woken.duration_since(std::time::UNIX_EPOCH).unwrap().as_millis()).unwrap();
    assert!(call.at - woken < 1_000, "{} ms", call.at - woken);
    logind.prepares_for_sleep(false);
    click(&sandbox, &server, 1);
    assert_eq!(server.notified(), [call]);
}

#[test]
fn a_click_counts_only_from_the_server_and_on_what_is_on_the_screen() {
    let (sandbox, bus, clock) = machine();
    let server = bus.server(USUAL);
    sandbox.log_in("dev");
    advance(&sandbox, &clock, 43_200 - 599);
    server.wait_for(1);
    let calls = sandbox.simulator.calls_of("GetSessionToken").len();
    // Anybody on the bus can send such a signal, to all and to the agent alone.
    let agent = agents_name(&bus, &sandbox);
    let signal =
        ["/org/freedesktop/Notifications", "org.freedesktop.Notifications.ActionInvoked", "uint32:1"];
    for action in ["string:refresh", "string:snooze"] {
        bus.stranger("dbus-send", &["--session", "--type=signal", signal[0], signal[1], signal[2], action]);
        let to = format!("--dest={agent}");
        bus.stranger(
            "dbus-send",
            &["--session", "--type=signal", &to, signal[0], signal[1], signal[2], action],
        );
    }
    // Nor is an action that was not offered one, nor one of another notification.
    server.click(1, "erase");
    server.click(7, "refresh");
    click(&sandbox, &server, 1);
    assert_eq!(count(&sandbox, "Refresh clicked for dev"), 1);
    assert_eq!(count(&sandbox, "put off"), 0);
    server.dismiss(1);
    server.click(1, "refresh");
    advance(&sandbox, &clock, 43_200 - 119);
    // What was dismissed is not replaced.
    assert!(server.wait_for(2).arguments.starts_with("\"mfa-agent\" 0 "));
    click(&sandbox, &server, 2);
    assert_eq!(count(&sandbox, "Refresh clicked"), 2);
    assert_eq!(sandbox.simulator.calls_of("GetSessionToken").len(), calls, "a click opens no session");
}

/// The agent's name on the bus: of its connections the one that a process of its id has.
fn agents_name(bus: &Bus, sandbox: &Sandbox) -> String {
    let pid = sandbox.agent_pid();
    (0..100)
        .map(|number| format!(":1.{number}"))
        .find(|name| bus.process_of(name) == Some(pid))
        .expect("the agent is on the bus")
}

#[test]
fn a_real_server_shows_it_and_its_buttons_arrive() {
    let (mut sandbox, bus, clock) = machine();
    let _dunst = Dunst::start(&mut sandbox, &bus);
    sandbox.log_in("dev");
    let shown = |sandbox: &Sandbox| {
        let run = Run::of(&mut sandbox.command(tool("dunstctl"), ["count", "displayed"]));
        run.stdout.trim().to_owned()
    };
    assert_eq!(shown(&sandbox), "0");
    advance(&sandbox, &clock, 43_200 - 599);
    wait_until("dunst shows it", || shown(&sandbox) == "1");
    // The menu of its buttons.
    assert_eq!(Run::of(&mut sandbox.command(tool("dunstctl"), ["context"])).status, 0);
    wait_for_log(&sandbox, "notification: Refresh clicked for dev");
    advance(&sandbox, &clock, 43_200 - 119);
    wait_until("dunst shows the next", || shown(&sandbox) == "1");
    assert_eq!(sandbox.run(&["login", "dev", "--force", "--code", &sandbox.code()]).status, 0);
    wait_until("dunst takes it back", || shown(&sandbox) == "0");
}

#[test]
fn snooze_puts_off_for_ten_minutes() {
    let (sandbox, bus, clock) = machine();
    let server = bus.server(USUAL);
    sandbox.log_in("dev");
    advance(&sandbox, &clock, 43_200 - 599);
    server.wait_for(1);
    server.click(1, "snooze");
    wait_for_log(&sandbox, "notification: put off");
    server.wait_for_call("CloseNotification 1", 1);
    // Two minutes before the end it is quiet, and told of the end ten minutes after the click.
    advance(&sandbox, &clock, 43_200 - 60);
    assert_eq!(server.notified().len(), 1);
    advance(&sandbox, &clock, 43_200 + 5);
    assert!(server.wait_for(2).arguments.contains("AWS session of dev has expired"));
}

#[test]
fn a_server_without_buttons_is_told_the_command() {
    let (sandbox, bus, clock) = machine();
    let server = bus.server("body");
    sandbox.log_in("dev");
    advance(&sandbox, &clock, 43_200 - 599);
    let call = server.wait_for(1).arguments;
    assert!(call.contains("\"Account 111122223333\nRenew it with: mfa-agent login dev\" [] {"), "{call}");
}

/// Sessions of dev, and 30 s later of prod, in another account.
fn two_sessions(sandbox: &mut Sandbox) -> PathBuf {
    let bob = sandbox.simulator.user("444455556666", "bob");
    let serial = bob.device("bob");
    sandbox.write(
        ".aws/credentials",
        &format!("[dev]\n{}[prod]\n{}mfa_serial = {serial}\n", key_of(&sandbox.alice), key_of(&bob)),
    );
    let clock = start(sandbox);
    sandbox.log_in("dev");
    advance(sandbox, &clock, 30);
    let code = sandbox.simulator.unused_code(&serial).unwrap();
    assert_eq!(sandbox.run(&["login", "prod", "--code", &code]).status, 0);
    clock
}

#[test]
fn a_profile_has_moments_of_its_own() {
    let mut sandbox = Sandbox::new();
    let bus = Bus::start(&mut sandbox);
    let server = bus.server(USUAL);
    sandbox.write(".config/mfa-agent/config.toml", "[profile.prod]\nnotify_before = ['1h', '5m']\n");
    let clock = two_sessions(&mut sandbox);
    for (at, words) in [
        (43_230 - 3_600, "AWS session of prod ends in 1 h"),
        (43_200 - 600, "dev (111122223333): 10 min"),
        (43_230 - 300, "prod (444455556666): 5 min"),
        (43_200 - 120, "dev (111122223333): 2 min"),
    ] {
        let before = server.notified().len();
        advance(&sandbox, &clock, at - 2);
        assert_eq!(server.notified().len(), before, "not yet: {words}");
        advance(&sandbox, &clock, at + 1);
        let call = server.wait_for(before + 1).arguments;
        assert!(call.contains(words), "{call}");
    }
    assert_eq!(server.notified().len(), 4);
}

#[test]
fn two_sessions_that_are_due_together_are_one_notification() {
    let mut sandbox = Sandbox::new();
    let bus = Bus::start(&mut sandbox);
    let server = bus.server(USUAL);
    let clock = two_sessions(&mut sandbox);
    advance(&sandbox, &clock, 43_200 - 595);
    let call = server.wait_for(1).arguments;
    assert!(call.contains("\"2 AWS sessions end within 10 min\""), "{call}");
    assert!(call.contains("\"dev (111122223333): 10 min\nprod (444455556666): 10 min\""), "{call}");
    advance(&sandbox, &clock, 43_200 - 500);
    click(&sandbox, &server, 1);
    assert_eq!(server.notified().len(), 1);
    assert_eq!(count(&sandbox, "Refresh clicked for dev"), 1, "the first to end");
    // One of them is renewed: the notification names the other.
    assert_eq!(sandbox.run(&["login", "dev", "--force", "--code", &sandbox.code()]).status, 0);
    let call = server.wait_for(2).arguments;
    assert!(call.starts_with("\"mfa-agent\" 1 ") && call.contains("AWS session of prod ends in"), "{call}");
}

#[test]
fn five_hundred_sessions_that_end_together_are_one_notification() {
    let mut sandbox = Sandbox::new();
    let bus = Bus::start(&mut sandbox);
    let server = bus.server(USUAL);
    let (mut credentials, mut config, mut serials) = (String::new(), String::new(), Vec::new());
    for number in 0..500 {
        let name = format!("user{number:03}");
        let user = sandbox.simulator.user(ACCOUNT, &name);
        let serial = user.device(&name);
        write!(credentials, "[{name}]\n{}", key_of(&user)).unwrap();
        writeln!(config, "[profile {name}]\nmfa_serial = {serial}").unwrap();
        serials.push((name, serial));
    }
    sandbox.write(".aws/credentials", &credentials);
    sandbox.write(".aws/config", &config);
    let clock = start(&mut sandbox);
    for (name, serial) in &serials {
        let code = Secret::new(sandbox.simulator.unused_code(serial).unwrap());
        let login = Request::Login { profile: Some(name.clone()), code, duration: None, at_least: None };
        assert!(matches!(sandbox.ask(login), Reply::Session(_)), "{name}");
    }
    // More than one line of the protocol holds.
    let status = sandbox.run(&["status", "--json"]).stdout;
    assert_eq!(status.matches("\"serial\":").count(), 500, "{status}");
    advance(&sandbox, &clock, 43_200 - 599);
    let call = server.wait_for(1).arguments;
    assert!(call.contains("\"500 AWS sessions end within ") && call.contains("and 496 more"), "{call}");
    advance(&sandbox, &clock, 43_200 - 500);
    click(&sandbox, &server, 1);
    assert_eq!(server.notified().len(), 1);
}

#[test]
fn without_a_bus_nothing_fails_and_one_that_comes_later_is_used() {
    let mut sandbox = Sandbox::new();
    let clock = start(&mut sandbox);
    sandbox.log_in("dev");
    advance(&sandbox, &clock, 43_200 - 599);
    wait_for_log(&sandbox, "notification: not shown: no session bus");
    assert!(answer_time(&sandbox) < Duration::from_millis(200));
    advance(&sandbox, &clock, 43_200 - 119);
    // Where a login on the desktop puts it.
    let bus = Bus::start(&mut sandbox);
    let server = bus.server(USUAL);
    let link = sandbox.runtime().parent().unwrap().join("bus");
    std::os::unix::fs::symlink(bus.address().strip_prefix("unix:path=").unwrap(), link).unwrap();
    advance(&sandbox, &clock, 43_200 + 1);
    assert!(server.wait_for(1).arguments.contains("AWS session of dev has expired"));
    assert_eq!(count(&sandbox, "notification: not shown"), 1, "{}", log(&sandbox));
}

#[test]
fn a_bus_that_never_answers_delays_nobody() {
    let mut sandbox = Sandbox::new();
    let path = sandbox.home().join("silent");
    let silent = UnixListener::bind(&path).unwrap();
    silent.set_nonblocking(true).unwrap();
    sandbox.set("DBUS_SESSION_BUS_ADDRESS", format!("unix:path={}", path.display()));
    let clock = start(&mut sandbox);
    sandbox.log_in("dev");
    assert!(silent.accept().is_err(), "nobody connects before there is something to show");
    advance(&sandbox, &clock, 43_200 - 599);
    let mut connection = None;
    wait_until("the agent connects", || {
        connection = silent.accept().ok();
        connection.is_some()
    });
    // While it waits for the bus.
    assert!(answer_time(&sandbox) < Duration::from_millis(200));
    wait_for_log(&sandbox, "notification: not shown: the session bus does not answer");
    drop(connection);
}

#[test]
fn a_server_that_comes_later_shows_what_was_missed_and_one_that_dies_is_survived() {
    let (sandbox, bus, clock) = machine();
    sandbox.log_in("dev");
    advance(&sandbox, &clock, 43_200 - 599);
    wait_for_log(&sandbox, "notification: not shown: no notification server");
    assert!(answer_time(&sandbox) < Duration::from_millis(200));
    let server = bus.server(USUAL);
    assert!(server.wait_for(1).arguments.contains("AWS session of dev ends in 10 min"));
    // Its ids begin anew: nothing of the next server's is replaced.
    server.kill();
    let server = bus.server(USUAL);
    let before = server.notified().len();
    advance(&sandbox, &clock, 43_200 - 119);
    let call = server.wait_for(before + 1).arguments;
    assert!(call.starts_with("\"mfa-agent\" 0 ") && call.contains("ends in 2 min"), "{call}");
    click(&sandbox, &server, 1);
    assert!(answer_time(&sandbox) < Duration::from_millis(200));
}

#[test]
fn a_bus_that_dies_takes_nothing_with_it() {
    let (sandbox, mut bus, clock) = machine();
    let server = bus.server(USUAL);
    sandbox.log_in("dev");
    advance(&sandbox, &clock, 43_200 - 599);
    server.wait_for(1);
    let agent = sandbox.agent_pid();
    bus.kill();
    drop(server);
    assert!(answer_time(&sandbox) < Duration::from_millis(200));
    assert_eq!(sandbox.run(&["env", "dev", "--no-prompt"]).status, 0);
    bus.start_again();
    let server = bus.server(USUAL);
    let before = server.notified().len();
    advance(&sandbox, &clock, 43_200 - 119);
    assert!(server.wait_for(before + 1).arguments.contains("ends in 2 min"));
    assert_eq!(sandbox.agent_pid(), agent);
}

#[test]
fn a_server_that_is_slow_to_start_shows_it_late_and_once() {
    let (sandbox, bus, clock) = machine();
    bus.starts_server(USUAL);
    sandbox.log_in("dev");
    advance(&sandbox, &clock, 43_200 - 599);
    wait_for_log(&sandbox, "notification: not shown: the notification server does not answer");
    assert!(answer_time(&sandbox) < Duration::from_millis(200));
    let server = bus.started_server();
    assert!(server.wait_for(1).arguments.contains("AWS session of dev ends in 10 min"));
    click(&sandbox, &server, 1);
    // One that hangs for a while does the same.
    server.hang();
    advance(&sandbox, &clock, 43_200 - 119);
    wait_until("it is late again", || count(&sandbox, "the notification server does not answer") == 2);
    server.go_on();
    assert!(server.wait_for(2).arguments.starts_with("\"mfa-agent\" 1 "));
    click(&sandbox, &server, 1);
    assert_eq!(server.notified().len(), 2);
}

#[test]
fn what_was_renewed_while_the_server_was_late_does_not_stay_on_the_screen() {
    let (sandbox, bus, clock) = machine();
    bus.starts_server(USUAL);
    sandbox.log_in("dev");
    advance(&sandbox, &clock, 43_200 - 599);
    wait_for_log(&sandbox, "notification: not shown: the notification server does not answer");
    assert_eq!(sandbox.run(&["login", "dev", "--force", "--code", &sandbox.code()]).status, 0);
    let server = bus.started_server();
    server.wait_for_call("CloseNotification 1", 1);
    assert_eq!(server.notified().len(), 1);
}

#[test]
fn nothing_stays_on_the_screen_when_all_is_forgotten_or_the_agent_ends() {
    for (arguments, left) in [
        (&["agent", "stop"][..], 599),
        (&["logout", "--all"], 599),
        (&["logout", "--all"], -5),
        (&["lock", "--wipe"], 599),
        (&["lock", "--wipe"], -5),
        // SIGTERM.
        (&[], 599),
    ] {
        let (sandbox, bus, clock) = machine();
        let server = bus.server(USUAL);
        sandbox.log_in("dev");
        wait_until("the watch knows of it", || match sandbox.ask(Request::Status) {
            Reply::Status(status) => status.sessions[0].next_notification.is_some(),
            other => panic!("{other:?}"),
        });
        advance(&sandbox, &clock, 43_200 - left);
        server.wait_for(1);
        let agent = sandbox.agent_pid();
        if arguments.is_empty() {
            terminate(agent);
        } else {
            assert_eq!(sandbox.run(arguments).status, 0);
        }
        server.wait_for_call("CloseNotification 1", 1);
        if arguments.is_empty() || arguments[0] == "agent" {
            wait_for_end(agent);
        }
    }
}

#[test]
fn a_restart_that_fails_brings_the_notification_back() {
    let mut sandbox = Sandbox::new();
    let bus = Bus::start(&mut sandbox);
    let server = bus.server(USUAL);
    let folder = sandbox.home().join("bin");
    let client = install(&folder);
    let clock = start_by(&mut sandbox, client.to_str().unwrap());
    sandbox.log_in("dev");
    advance(&sandbox, &clock, 43_200 - 599);
    let first = server.wait_for(1);
    fs::remove_file(folder.join("mfa-agentd")).unwrap();
    assert_eq!(Run::of(&mut sandbox.command(&client, ["agent", "restart"])).status, 6);
    assert_eq!(server.wait_for(2).arguments, first.arguments);
    assert_eq!(server.count("CloseNotification 1"), 1);
    click(&sandbox, &server, 2);
}

fn terminate(pid: i32) {
    let pid = rustix::process::Pid::from_raw(pid).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
}

#[test]
fn a_desktop_that_hangs_does_not_keep_the_agent_from_its_end() {
    let (sandbox, bus, clock) = machine();
    let server = bus.server(USUAL);
    sandbox.log_in("dev");
    advance(&sandbox, &clock, 43_200 - 599);
    server.wait_for(1);
    wait_for_log(&sandbox, "notification: shown");
    let agent = sandbox.agent_pid();
    server.hang();
    let begun = Instant::now();
    terminate(agent);
    wait_for_end(agent);
    // One second, and what a busy machine adds.
    assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
}

#[test]
fn a_restart_takes_the_notification_along() {
    let (sandbox, bus, clock) = machine();
    let server = bus.server(USUAL);
    sandbox.log_in("dev");
    advance(&sandbox, &clock, 43_200 - 599);
    let first = server.wait_for(1);
    assert_eq!(sandbox.run(&["agent", "restart"]).status, 0);
    // Down before the other process shows it: there are never two.
    assert_eq!(server.count("CloseNotification 1"), 1);
    let second = server.wait_for(2);
    assert_eq!(second.arguments, first.arguments);
    // What the person took away is not brought back.
    server.dismiss(2);
    assert_eq!(sandbox.run(&["agent", "restart"]).status, 0);
    advance(&sandbox, &clock, 43_200 - 119);
    let third = server.wait_for(3).arguments;
    assert!(third.contains("ends in 2 min"), "{third}");
}

#[test]
fn a_clock_that_is_past_the_end_for_a_moment_ends_nothing() {
    let (sandbox, bus, clock) = machine();
    let server = bus.server(USUAL);
    sandbox.log_in("dev");
    let before = sandbox.run(&["env", "dev", "--no-prompt"]).stdout;
    advance(&sandbox, &clock, 86_400);
    // While it says so, nothing is given out.
    assert!(server.wait_for(1).arguments.contains("AWS session of dev has expired"));
    assert_eq!(sandbox.run(&["env", "dev", "--no-prompt"]).status, 3);
    advance(&sandbox, &clock, 0);
    server.wait_for_call("CloseNotification 1", 1);
    let after = sandbox.run(&["env", "dev", "--no-prompt"]);
    assert_eq!(after.status, 0, "{after:?}");
    let key = |text: &str| text.lines().find(|line| line.contains("AWS_ACCESS_KEY_ID=")).map(str::to_owned);
    assert!(key(&before).is_some());
    assert_eq!(key(&before), key(&after.stdout));
    assert_eq!(server.notified().len(), 1);
    // The end itself is still to come, and is told of then.
    advance(&sandbox, &clock, 43_201);
    assert!(server.wait_for(2).arguments.contains("AWS session of dev has expired"));
}

/// Waits until IAM was asked for the account's name, and the agent knows what came of it.
#[track_caller]
fn wait_for_alias_call(sandbox: &Sandbox) {
    wait_until("IAM is asked", || sandbox.simulator.calls_of("ListAccountAliases").len() == 1);
}

#[test]
fn an_account_is_called_by_its_alias_which_is_asked_for_once() {
    let (sandbox, bus, clock) = machine();
    let server = bus.server(USUAL);
    sandbox.simulator.name_account(ACCOUNT, "company");
    sandbox.log_in("dev");
    advance(&sandbox, &clock, 43_200 - 700);
    assert!(sandbox.simulator.calls_of("ListAccountAliases").is_empty(), "a login makes no further call");
    assert!(sandbox.run(&["status"]).stdout.contains("dev       111122223333  mfa"));
    advance(&sandbox, &clock, 43_200 - 620);
    wait_for_alias_call(&sandbox);
    let Reply::Status(status) = sandbox.ask(Request::Status) else { panic!() };
    assert!(status.sessions[0].next_notification.is_some_and(|left| left <= 20), "{status:?}");
    wait_until("status shows it", || {
        sandbox.run(&["status"]).stdout.contains("dev       company (111122223333)  mfa")
    });
    assert!(sandbox.run(&["status", "--json"]).stdout.contains(r#""account_alias": "company""#));
    advance(&sandbox, &clock, 43_200 - 599);
    assert!(server.wait_for(1).arguments.contains("\"Account company (111122223333)\""));
    // A restart forgets nothing of it.
    assert_eq!(sandbox.run(&["agent", "restart"]).status, 0);
    server.wait_for(2);
    advance(&sandbox, &clock, 43_200 - 119);
    assert!(server.wait_for(3).arguments.contains("\"Account company (111122223333)\""));
    assert_eq!(sandbox.simulator.calls_of("ListAccountAliases").len(), 1);
}

#[test]
fn where_iam_does_not_tell_the_alias_nothing_waits_and_nobody_asks_again() {
    let (sandbox, bus, clock) = machine();
    let server = bus.server(USUAL);
    sandbox.alice.deny("iam:ListAccountAliases");
    sandbox.log_in("dev");
    // There was no time to ask before.
    advance(&sandbox, &clock, 43_200 - 599);
    assert!(server.wait_for(1).arguments.contains("\"Account 111122223333\""));
    wait_for_alias_call(&sandbox);
    advance(&sandbox, &clock, 43_200 - 119);
    assert!(server.wait_for(2).arguments.contains("\"Account 111122223333\""));
    assert_eq!(sandbox.run(&["login", "dev", "--force", "--code", &sandbox.code()]).status, 0);
    advance(&sandbox, &clock, 86_400 - 719);
    assert!(server.wait_for(3).arguments.contains("\"Account 111122223333\""));
    assert_eq!(sandbox.simulator.calls_of("ListAccountAliases").len(), 1);
}
