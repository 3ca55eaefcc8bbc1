//! What the agent does to itself before it touches anything of ours, and what it does where the system forbids it.

use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::{FileExt, PermissionsExt, chown};
use std::os::unix::net::UnixStream;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};

use crate::support::{Run, Sandbox, tool, wait_until};

const AGENT: &str = env!("CARGO_BIN_EXE_mfa-agentd");

/// The user `nobody`.
const NOBODY: u32 = 65_534;

/// Only root can play another user, and mount; the run in CI does.
fn is_root() -> bool {
    let root = rustix::process::geteuid().is_root();
    assert!(root || std::env::var_os("CI").is_none(), "CI runs these tests as root");
    root
}

/// The agent under strace, with these system calls written to the file.
fn traced(sandbox: &Sandbox, calls: &str) -> (Child, PathBuf) {
    let trace = sandbox.home().join("trace");
    let calls = format!("trace={calls}");
    let arguments = ["-f", "-o", trace.to_str().unwrap(), "-e", &calls, AGENT];
    let agent = sandbox.command(tool("strace"), arguments).spawn().unwrap();
    wait_until("the agent listens", || UnixStream::connect(sandbox.socket()).is_ok());
    (agent, trace)
}

/// The agent where this call of the system always fails so.
fn without(sandbox: &Sandbox, call: &str, error: &str) -> Run {
    let inject = format!("inject={call}:error={error}");
    // One that starts all the same is ended.
    let arguments = ["-f", "-o", "/dev/null", "-e", &inject, "timeout", "20", AGENT];
    Run::of(&mut sandbox.command(tool("strace"), arguments))
}

#[test]
fn it_is_closed_before_it_looks_at_a_file_or_starts_a_thread() {
    let sandbox = Sandbox::new();
    let (mut agent, trace) = traced(&sandbox, "prctl,prlimit64,setrlimit,%file,clone,clone3");
    sandbox.log_in("dev");
    assert_eq!(sandbox.run(&["agent", "stop"]).status, 0);
    agent.wait().unwrap();
    let trace = fs::read_to_string(trace).unwrap();
    let first =
        |words: &[&str]| trace.lines().skip(1).position(|line| words.iter().any(|word| line.contains(word)));
    let dumpable = first(&["prctl(PR_SET_DUMPABLE, SUID_DUMP_DISABLE) = 0"]).unwrap();
    let core = first(&["RLIMIT_CORE, {rlim_cur=0, rlim_max=0}"]).unwrap();
    // After its own program file, that is.
    let ours = first(&[sandbox.home().parent().unwrap().to_str().unwrap(), "/etc/ssl", " clone"]).unwrap();
    assert!(dumpable < ours && core < ours, "{dumpable} and {core}, then {ours}:\n{trace}");
    assert!(first(&["/.aws/credentials"]).is_some());
}

#[test]
fn an_agent_that_cannot_be_closed_to_debuggers_does_not_start() {
    let sandbox = Sandbox::new();
    let run = without(&sandbox, "prctl", "EPERM");
    assert_eq!(run.status, 6, "{run:?}");
    assert!(run.stderr.contains("cannot be closed to debuggers") && run.stderr.contains("hint: "), "{run:?}");
    assert!(!sandbox.runtime().exists());
}

#[test]
fn a_file_system_without_locks_is_told() {
    let sandbox = Sandbox::new();
    let run = without(&sandbox, "flock", "ENOLCK");
    assert_eq!(run.status, 6, "{run:?}");
    assert!(run.stderr.contains("sock.lock") && run.stderr.contains("hint: "), "{run:?}");
    assert!(!sandbox.socket().exists());
}

#[test]
fn the_socket_is_private_from_its_first_moment_whatever_the_umask() {
    let sandbox = Sandbox::new();
    let trace = sandbox.home().join("trace");
    let script = "umask 000; exec \"$0\" -f -o \"$1\" -e trace=umask,chmod,fchmod,fchmodat,bind \"$2\"";
    let strace = tool("strace");
    let arguments = ["-c", script, strace.to_str().unwrap(), trace.to_str().unwrap(), AGENT];
    let mut agent = sandbox.command("/bin/sh", arguments).spawn().unwrap();
    wait_until("the agent listens", || UnixStream::connect(sandbox.socket()).is_ok());
    sandbox.log_in("dev");
    assert_eq!(sandbox.run(&["env", "dev"]).status, 0);
    for (path, mode) in [("sock", 0o600), ("sock.lock", 0o600), ("lease", 0o700), ("", 0o700)] {
        let found = fs::metadata(sandbox.runtime().join(path)).unwrap().permissions().mode();
        assert_eq!(found & 0o777, mode, "{path}");
    }
    assert_eq!(sandbox.run(&["agent", "stop"]).status, 0);
    agent.wait().unwrap();
    let trace = fs::read_to_string(trace).unwrap();
    let (before, after) = trace.split_once("bind(").unwrap();
    assert!(before.contains("umask(077)"), "{trace}");
    assert!(after.contains("sun_path=\"/") && !trace.contains("sun_path=@"), "no abstract name: {trace}");
    assert!(!after.contains("chmod(") && !after.contains("umask("), "nothing is made good later: {trace}");
}

#[test]
fn a_crash_leaves_no_core_dump() {
    let sandbox = Sandbox::new();
    let limits = |program: &[&str]| {
        let mut command = sandbox.command(tool("prlimit"), ["--core=unlimited"]);
        command.args(program).current_dir(sandbox.home()).stderr(Stdio::null());
        command
    };
    let crash = |pid: u32| {
        kill_process(Pid::from_raw(i32::try_from(pid).unwrap()).unwrap(), Signal::ABORT).unwrap();
    };
    let mut agent = limits(&[AGENT]).spawn().unwrap();
    wait_until("the agent listens", || UnixStream::connect(sandbox.socket()).is_ok());
    crash(agent.id());
    let end = agent.wait().unwrap();
    assert_eq!((end.signal(), end.core_dumped()), (Some(6), false));
    // Where the kernel writes files, a program that does nothing about it leaves one.
    if !fs::read_to_string("/proc/sys/kernel/core_pattern").unwrap().starts_with('|') && is_root() {
        let mut other = limits(&["sleep", "1000"]).spawn().unwrap();
        wait_until("it runs", || {
            fs::read_to_string(format!("/proc/{}/comm", other.id())).unwrap() == "sleep\n"
        });
        crash(other.id());
        assert!(other.wait().unwrap().core_dumped(), "this test needs a machine that dumps core");
    }
}

/// A program run as `nobody`.
fn as_nobody(sandbox: &Sandbox, program: &str, arguments: &[&str]) -> Command {
    let mut command = sandbox.command(tool("setpriv"), ["--reuid", "65534", "--clear-groups", program]);
    command.args(arguments);
    command
}

/// A folder of `nobody`'s, for a home and for what he runs.
fn folder_of_nobody(sandbox: &Sandbox) -> PathBuf {
    let folder = sandbox.home().join("nobody");
    fs::create_dir(&folder).unwrap();
    for path in [sandbox.home().parent().unwrap(), &sandbox.home()] {
        fs::set_permissions(path, PermissionsExt::from_mode(0o711)).unwrap();
    }
    fs::set_permissions(&folder, PermissionsExt::from_mode(0o700)).unwrap();
    chown(&folder, Some(NOBODY), None).unwrap();
    folder
}

/// The agent of `nobody`, and its socket.
fn agent_of_nobody(sandbox: &Sandbox, folder: &Path) -> (Child, PathBuf) {
    let program = folder.join("mfa-agentd");
    fs::copy(AGENT, &program).unwrap();
    let mut command = as_nobody(sandbox, program.to_str().unwrap(), &[]);
    let agent = command.env("XDG_RUNTIME_DIR", folder).env("HOME", folder).spawn().unwrap();
    let socket = folder.join("mfa-agent/sock");
    wait_until("the agent listens", || UnixStream::connect(&socket).is_ok());
    (agent, socket)
}

#[test]
fn its_own_user_can_neither_trace_it_nor_look_into_it() {
    if !is_root() {
        return;
    }
    let sandbox = Sandbox::new();
    let folder = folder_of_nobody(&sandbox);
    let (mut agent, _) = agent_of_nobody(&sandbox, &folder);
    let mut other = as_nobody(&sandbox, "sleep", &["1000"]).spawn().unwrap();
    wait_until("it runs", || fs::read_to_string(format!("/proc/{}/comm", other.id())).unwrap() == "sleep\n");
    let ways = |pid: u32| {
        let read = "import os, sys\nos.open(sys.argv[1], os.O_RDONLY)";
        // process_vm_readv(2) of one byte at an address where nothing is: allowed, it is EFAULT.
        let vm = "import ctypes, sys\n\
                  libc = ctypes.CDLL(None, use_errno=True)\n\
                  class Part(ctypes.Structure): _fields_ = [('at', ctypes.c_void_p), ('length', ctypes.c_size_t)]\n\
                  here = Part(ctypes.cast(ctypes.create_string_buffer(1), ctypes.c_void_p), 1)\n\
                  libc.process_vm_readv(int(sys.argv[1]), ctypes.byref(here), 1, ctypes.byref(Part(8, 1)), 1, 0)\n\
                  sys.exit(ctypes.get_errno() == 1)";
        let attach =
            "import ctypes, sys\nsys.exit(ctypes.CDLL(None).ptrace(16, int(sys.argv[1]), 0, 0) != 0)";
        let script = |script: &str, argument: String| {
            as_nobody(&sandbox, "/usr/bin/python3", &["-c", script, &argument])
                .stderr(Stdio::null())
                .status()
                .unwrap()
                .success()
        };
        let mut allowed: Vec<&str> = ["mem", "environ", "maps"]
            .into_iter()
            .filter(|file| script(read, format!("/proc/{pid}/{file}")))
            .collect();
        if script("import os, sys\nos.listdir(sys.argv[1])", format!("/proc/{pid}/fd")) {
            allowed.push("fd");
        }
        if script(vm, pid.to_string()) {
            allowed.push("process_vm_readv");
        }
        if script(attach, pid.to_string()) {
            allowed.push("ptrace");
        }
        allowed
    };
    assert_eq!(ways(agent.id()), [""; 0]);
    // An ordinary program of the same user is open, as far as this kernel lets anybody trace.
    let open = ways(other.id());
    assert!(["environ", "maps", "fd"].iter().all(|way| open.contains(way)), "{open:?}");
    for child in [&mut agent, &mut other] {
        child.kill().unwrap();
        child.wait().unwrap();
    }
}

#[test]
fn root_is_another_user_and_gets_no_answer() {
    if !is_root() {
        return;
    }
    let sandbox = Sandbox::new();
    let folder = folder_of_nobody(&sandbox);
    let (mut agent, socket) = agent_of_nobody(&sandbox, &folder);
    let mut stream = UnixStream::connect(&socket).unwrap();
    let _ = stream.write_all(b"{\"protocol\":1,\"request\":\"status\"}\n");
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    assert_eq!(String::from_utf8_lossy(&answer), "");
    // The client says why, before it sends a word: its own user's folder is another's.
    let run = Run::of(sandbox.client(["env", "dev"]).env("XDG_RUNTIME_DIR", &folder));
    assert_eq!((run.status, run.stdout.as_str()), (6, "false\n"), "{run:?}");
    assert!(run.stderr.contains("belongs to uid 65534, not to uid 0"), "{run:?}");
    agent.kill().unwrap();
    agent.wait().unwrap();
}

#[test]
fn no_file_says_which_process_is_ended() {
    let sandbox = Sandbox::new();
    sandbox.log_in("dev");
    for (file, contents) in [("sock.lock", "1"), ("start.lock", "-1"), ("pid", "1\n"), ("mfa-agent.pid", "")]
    {
        fs::write(sandbox.runtime().join(file), contents).unwrap();
    }
    let pid = sandbox.agent_pid();
    let trace = sandbox.home().join("trace");
    let calls = "trace=kill,tkill,tgkill,pidfd_send_signal,connect";
    let arguments = ["-f", "-o", trace.to_str().unwrap(), "-e", calls, env!("CARGO_BIN_EXE_mfa-agent")];
    let stop = Run::of(sandbox.command(tool("strace"), arguments).args(["agent", "stop"]));
    assert_eq!(stop.status, 0, "{stop:?}");
    crate::lifecycle::wait_for_end(pid);
    let trace = fs::read_to_string(trace).unwrap();
    assert!(trace.contains("connect(") && !trace.contains("kill(") && !trace.contains("signal("), "{trace}");
}

#[test]
fn an_agent_in_the_path_is_not_the_one_that_is_started() {
    let mut sandbox = Sandbox::new();
    sandbox.write("bin/mfa-agentd", "#!/bin/sh\ntouch \"$HOME/ran\"\n");
    let fake = sandbox.home().join("bin/mfa-agentd");
    fs::set_permissions(&fake, PermissionsExt::from_mode(0o755)).unwrap();
    let path = format!("{}:/usr/bin:/bin", fake.parent().unwrap().display());
    sandbox.set("PATH", path);
    sandbox.log_in("dev");
    assert!(!sandbox.home().join("ran").exists());
    let program = fs::read_link(format!("/proc/{}/exe", sandbox.agent_pid()));
    assert!(program.is_err() || program.unwrap() == Path::new(AGENT).canonicalize().unwrap());
}

#[test]
fn sixty_four_kilobytes_of_locked_memory_are_enough() {
    let sandbox = Sandbox::new();
    let limited = ["prlimit", "--memlock=65536:65536", AGENT];
    // Root may lock what it likes, unless that is taken away.
    let mut agent = if rustix::process::geteuid().is_root() {
        let unprivileged = ["--bounding-set", "-ipc_lock"].into_iter().chain(limited);
        sandbox.command(tool("setpriv"), unprivileged).spawn().unwrap()
    } else {
        sandbox.command(tool("prlimit"), &limited[1..]).spawn().unwrap()
    };
    wait_until("it listens", || UnixStream::connect(sandbox.socket()).is_ok());
    sandbox.log_in("dev");
    assert!(sandbox.run(&["status", "--json"]).stdout.contains("\"memory\": \"locked\""));
    assert_eq!(sandbox.run(&["agent", "stop"]).status, 0);
    assert!(agent.wait().unwrap().success());
}

#[test]
fn a_home_that_cannot_be_written_is_enough() {
    if !is_root() {
        return;
    }
    let sandbox = Sandbox::new();
    // A mount that this process and its children alone see.
    let script = "mount --bind \"$HOME\" \"$HOME\" && mount -o remount,bind,ro \"$HOME\" && \
                  ! touch \"$HOME/probe\" 2>/dev/null && \
                  \"$0\" login dev --code \"$1\" && \"$0\" env dev --shell posix && \"$0\" agent stop";
    let client = env!("CARGO_BIN_EXE_mfa-agent");
    let arguments = ["--mount", "/bin/sh", "-c", script, client, &sandbox.code()];
    let run = Run::of(&mut sandbox.command(tool("unshare"), arguments));
    assert_eq!(run.status, 0, "{run:?}");
    assert!(run.stdout.contains("export AWS_SESSION_TOKEN="), "{run:?}");
}

/// Whether this kernel has memory that it does not read itself.
pub fn kernel_has_secret_memory(sandbox: &Sandbox) -> bool {
    let probe = "import ctypes, sys\nsys.exit(ctypes.CDLL(None).syscall(447, 0) < 0)";
    sandbox.command("/usr/bin/python3", ["-c", probe]).status().unwrap().success()
}

/// The mappings of such memory, and how many descriptors of it are open. Root alone sees that.
fn secret_mappings(pid: i32) -> (Vec<u64>, usize) {
    let maps = fs::read_to_string(format!("/proc/{pid}/maps")).unwrap();
    let start = |line: &str| u64::from_str_radix(line.split('-').next().unwrap(), 16).unwrap();
    let mappings = maps.lines().filter(|line| line.contains("/secretmem")).map(start).collect();
    let files = fs::read_dir(format!("/proc/{pid}/fd")).unwrap().flatten();
    let targets = files.filter_map(|file| fs::read_link(file.path()).ok());
    (mappings, targets.filter(|target| target.to_string_lossy().contains("secretmem")).count())
}

#[test]
fn where_it_is_asked_for_the_key_is_where_the_kernel_does_not_read() {
    let sandbox = Sandbox::new();
    if !kernel_has_secret_memory(&sandbox) {
        writeln!(std::io::stderr(), "only the fall-back is tested: this kernel has no memfd_secret").unwrap();
        return;
    }
    let mut agent = sandbox.client(["agent", "run", "--memory", "memfd-secret"]).spawn().unwrap();
    wait_until("it listens", || UnixStream::connect(sandbox.socket()).is_ok());
    sandbox.log_in("dev");
    let mut pid = sandbox.agent_pid();
    for _ in 0..2 {
        assert!(sandbox.run(&["status", "--json"]).stdout.contains("\"memory\": \"secret\""));
        assert!(sandbox.run(&["status"]).stdout.contains("the machine does not hibernate"));
        assert_eq!(sandbox.run(&["env", "dev", "--no-prompt"]).status, 0);
        if is_root() {
            let (mappings, open) = secret_mappings(pid);
            assert_eq!((mappings.len(), open), (1, 0), "one page, and nothing that a child could map");
            let memory = fs::File::open(format!("/proc/{pid}/mem")).unwrap();
            let read = memory.read_at(&mut [0; 32], mappings[0]);
            assert!(read.is_err(), "{read:?}");
        }
        // The next process keeps it so.
        assert_eq!(sandbox.run(&["agent", "restart"]).status, 0);
        assert_ne!(sandbox.agent_pid(), pid);
        pid = sandbox.agent_pid();
    }
    assert!(agent.wait().unwrap().success());
}

#[test]
fn without_such_memory_the_key_is_in_a_locked_page_and_the_log_says_so() {
    let sandbox = Sandbox::new();
    let inject = ["-f", "-o", "/dev/null", "-e", "inject=memfd_secret:error=ENOSYS", AGENT];
    let mut command = sandbox.command(tool("strace"), inject);
    let mut agent = command.args(["--memory", "memfd-secret"]).spawn().unwrap();
    wait_until("it listens", || UnixStream::connect(sandbox.socket()).is_ok());
    sandbox.log_in("dev");
    assert!(sandbox.run(&["status", "--json"]).stdout.contains("\"memory\": \"locked\""));
    let log = sandbox.run(&["agent", "log"]).stdout;
    assert_eq!(log.matches("memory that the kernel cannot read is not to be had").count(), 1, "{log}");
    assert_eq!(sandbox.run(&["agent", "stop"]).status, 0);
    assert!(agent.wait().unwrap().success());
}
