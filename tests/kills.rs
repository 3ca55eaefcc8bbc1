//! Ends that nobody can refuse, at a hundred moments of a run: the next use is clean.

use std::process::Stdio;
use std::thread;
use std::time::Duration;

use protocol::{Reply, Request};

use crate::support::{Sandbox, wait_until};

/// How many moments.
const MOMENTS: u32 = 100;

#[test]
fn an_agent_killed_at_any_moment_leaves_nothing_in_the_way() {
    let sandbox = Sandbox::new();
    for moment in 0..MOMENTS {
        let mut agent = sandbox.client(["agent", "run"]).stderr(Stdio::null()).spawn().unwrap();
        let mut client =
            sandbox.client(["status"]).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        // From before its first line to long after it serves.
        thread::sleep(Duration::from_micros(200) * moment);
        agent.kill().unwrap();
        agent.wait().unwrap();
        client.wait().unwrap();
        let run = sandbox.run(&["agent", "start"]);
        assert_eq!(run.status, 0, "{moment}: {run:?}");
        assert_eq!(sandbox.run(&["agent", "stop"]).status, 0, "{moment}");
    }
}

#[test]
fn an_agent_killed_in_the_middle_of_a_login_costs_the_code_at_most() {
    let sandbox = Sandbox::new();
    // As many as there are codes while the clocks still agree.
    for moment in 0..8 {
        sandbox.simulator.set_offset(i64::from(moment) * 30);
        assert_eq!(sandbox.run(&["agent", "start"]).status, 0);
        let pid = sandbox.agent_pid();
        let code = sandbox.code();
        let arguments = ["login", "dev", "--code", &code];
        let mut client = sandbox.client(arguments).stderr(Stdio::null()).spawn().unwrap();
        thread::sleep(Duration::from_millis(2) * moment);
        let agent = rustix::process::Pid::from_raw(pid).unwrap();
        rustix::process::kill_process(agent, rustix::process::Signal::KILL).unwrap();
        crate::lifecycle::wait_for_end(pid);
        client.wait().unwrap();
        let run = sandbox.run(&["env", "dev", "--no-prompt"]);
        assert!(run.status == 3 || run.status == 0, "{moment}: {run:?}");
        sandbox.run(&["agent", "stop"]);
    }
    sandbox.simulator.set_offset(9 * 30);
    sandbox.log_in("dev");
    assert_eq!(sandbox.run(&["env", "dev", "--no-prompt"]).status, 0);
}

#[test]
fn a_client_killed_at_any_moment_harms_nobody() {
    let sandbox = Sandbox::new();
    sandbox.log_in("dev");
    let pid = sandbox.agent_pid();
    for moment in 0..MOMENTS {
        let mut client =
            sandbox.client(["env", "dev"]).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        thread::sleep(Duration::from_micros(50) * moment);
        client.kill().unwrap();
        client.wait().unwrap();
        let mut asking = sandbox.terminal(&["login", "dev", "--force"]);
        thread::sleep(Duration::from_micros(100) * moment);
        asking.kill();
    }
    wait_until("nobody stands in line", || match sandbox.ask(Request::Status) {
        Reply::Status(status) => status.waiting == 0,
        other => panic!("{other:?}"),
    });
    assert_eq!(sandbox.run(&["env", "dev", "--no-prompt"]).status, 0);
    assert_eq!(sandbox.agent_pid(), pid);
}
