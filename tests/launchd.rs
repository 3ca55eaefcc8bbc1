//! The file for macOS's launchd, as far as it can be looked at elsewhere.

use std::path::Path;

use crate::support::{Run, Sandbox};

#[test]
fn the_property_list_is_one_and_what_it_runs_is_the_agent() {
    let sandbox = Sandbox::new();
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../data/launchd/io.github.mfa-agent.plist");
    // Types are checked too: launchd passes over a key of the wrong one.
    let script = "import plistlib, sys\n\
                  job = plistlib.load(open(sys.argv[1], 'rb'), fmt=plistlib.FMT_XML)\n\
                  kinds = dict(Label=str, ProgramArguments=list, RunAtLoad=bool, KeepAlive=dict, Umask=int,\n\
                  LimitLoadToSessionType=str, WorkingDirectory=str, HardResourceLimits=dict)\n\
                  wrong = [key for key in job if type(job[key]) is not kinds.get(key)]\n\
                  sys.exit(f'unknown, or of another kind: {wrong}') if wrong else None\n\
                  assert job['Label'] + '.plist' == sys.argv[1].split('/')[-1]\n\
                  assert job['Umask'] == 0o77 and job['KeepAlive'] == {'Crashed': True}\n\
                  print('\\n'.join(job['ProgramArguments']))\n";
    let read = Run::of(&mut sandbox.command("/usr/bin/python3", ["-c", script, file.to_str().unwrap()]));
    assert_eq!(read.status, 0, "{read:?}");
    let mut words = read.stdout.lines();
    assert_eq!(words.next(), Some("/usr/local/bin/mfa-agentd"));
    let mut agent = sandbox.command(env!("CARGO_BIN_EXE_mfa-agentd"), words).spawn().unwrap();
    sandbox.wait_for_agent();
    assert_eq!(sandbox.agent_pid(), i32::try_from(agent.id()).unwrap(), "launchd's process is the agent");
    assert_eq!(sandbox.run(&["agent", "stop"]).status, 0);
    assert!(agent.wait().unwrap().success(), "a clean end is no reason to start it again");
}
