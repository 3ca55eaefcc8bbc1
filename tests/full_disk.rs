//! Disks that are full: of the runtime folder, by bytes and by files, and of the AWS files.

use std::fs::{self, File};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::secrets::is_root;
use crate::support::{Run, SHELLS, Sandbox, Session, Shell, exported, key_of, processes, tool};

/// A small file system of its own at a folder, until this is dropped. What was there before is not in it.
struct Disk {
    folder: PathBuf,
    /// Ends the agent, whose folder may be there.
    end: Command,
}

impl Disk {
    fn mount(sandbox: &Sandbox, folder: &Path, size: &str) -> Self {
        mount(folder, &format!("mode=700,{size}"));
        Self { folder: folder.to_owned(), end: sandbox.client(["agent", "stop"]) }
    }

    fn resize(&self, size: &str) {
        mount(&self.folder, &format!("remount,{size}"));
    }

    /// Fills what there is room for. Returns the file that does.
    fn fill(&self) -> PathBuf {
        let path = self.folder.join("filler");
        let mut file = File::create(&path).unwrap();
        loop {
            match file.write_all(&[b'x'; 1024]) {
                Ok(()) => {}
                Err(error) if error.kind() == ErrorKind::StorageFull => return path,
                Err(error) => panic!("{error}"),
            }
        }
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = self.end.stdout(Stdio::null()).stderr(Stdio::null()).status();
        let _ = Command::new("umount").arg("--lazy").arg(&self.folder).status();
    }
}

fn mount(folder: &Path, options: &str) {
    let arguments = ["-t", "tmpfs", "-o", options, "tmpfs"];
    let run = Run::of(Command::new(tool("mount")).args(arguments).arg(folder));
    assert_eq!(run.status, 0, "{run:?}");
}

fn run_folder(sandbox: &Sandbox) -> PathBuf {
    sandbox.runtime().parent().unwrap().to_owned()
}

/// A folder, the two locks and the socket, beside the root of the disk.
const FILES_OF_AN_AGENT: usize = 5;

#[test]
fn an_agent_that_finds_no_room_says_so_and_leaves_nothing_in_the_way() {
    if !is_root() {
        return;
    }
    let sandbox = Sandbox::new();
    let disk = Disk::mount(&sandbox, &run_folder(&sandbox), "size=1m,nr_inodes=1");
    for files in 1..FILES_OF_AN_AGENT {
        disk.resize(&format!("nr_inodes={files}"));
        for arguments in [&["login", "dev", "--code", "123456"][..], &["env", "dev", "--no-prompt"]] {
            let run = sandbox.run(arguments);
            assert_eq!(run.status, 6, "{files}: {run:?}");
            assert!(run.stderr.contains("No space left on device"), "{files}: {run:?}");
            assert!(run.hint().starts_with("make room there: df -h "), "{files}: {run:?}");
        }
    }
    assert!(sandbox.simulator.calls().is_empty(), "no code went out");
    disk.resize("nr_inodes=64");
    sandbox.log_in("dev");
    let variables = exported(&sandbox.run(&["env", "dev"]).stdout, &[]);
    assert!(fs::exists(&variables["MFA_AGENT_LEASE"]).unwrap());
}

#[test]
fn a_disk_full_of_bytes_keeps_nobody_from_anything() {
    if !is_root() {
        return;
    }
    let sandbox = Sandbox::new();
    let disk = Disk::mount(&sandbox, &run_folder(&sandbox), "size=64k,nr_inodes=64");
    disk.fill();
    sandbox.log_in("dev");
    let variables = exported(&sandbox.run(&["env", "dev"]).stdout, &[]);
    assert!(fs::exists(&variables["MFA_AGENT_LEASE"]).unwrap());
    assert!(!variables.contains_key("MFA_AGENT_LOOK"));
    assert_eq!(sandbox.run(&["agent", "restart"]).status, 0);
    assert_eq!(sandbox.run(&["env", "dev", "--no-prompt"]).status, 0);
}

#[test]
fn without_room_for_leases_shells_ask_once_a_minute_and_have_leases_again_when_there_is_some() {
    if !is_root() {
        return;
    }
    for shell in SHELLS {
        let sandbox = Sandbox::new();
        // Not even the leases' folder.
        let disk =
            Disk::mount(&sandbox, &run_folder(&sandbox), &format!("size=1m,nr_inodes={FILES_OF_AN_AGENT}"));
        sandbox.log_in("dev");
        let trace = sandbox.home().join("trace");
        let session = Session::start_traced(&sandbox, shell, &trace);
        session.run("mfa-agent use dev");
        let first = session.environment();
        assert_eq!(first["MFA_AGENT_LEASE"], "/", "{shell:?}: {first:?}");
        // It makes no process at each prompt.
        session.run("true");
        let before = processes(&trace);
        for _ in 0..20 {
            session.run("true");
        }
        assert_eq!(processes(&trace), before, "{shell:?}");
        // It is told: to who reads the log, and to who asks the doctor.
        let log = sandbox.run(&["agent", "log"]).stdout;
        assert!(log.contains("no leases: No space left on device"), "{log}");
        assert!(
            sandbox.run(&["doctor"]).stdout.contains("prompts learn of changes a minute late"),
            "{shell:?}"
        );
        // A restart loses nothing, and finds no room either.
        assert_eq!(sandbox.run(&["agent", "restart"]).status, 0);
        // Within a minute the shell has what is new.
        assert_eq!(sandbox.run(&["login", "dev", "--force", "--code", &sandbox.code()]).status, 0);
        session.run(&a_minute_passes(shell, &first["MFA_AGENT_LOOK"]));
        let second = session.environment();
        assert_ne!(second["AWS_ACCESS_KEY_ID"], first["AWS_ACCESS_KEY_ID"], "{shell:?}");
        assert_eq!(second["MFA_AGENT_LEASE"], "/", "{shell:?}: {second:?}");
        // There is room again.
        disk.resize("nr_inodes=64");
        session.run(&a_minute_passes(shell, &second["MFA_AGENT_LOOK"]));
        let third = session.environment();
        assert!(fs::exists(&third["MFA_AGENT_LEASE"]).unwrap(), "{shell:?}: {third:?}");
        assert_ne!(third["MFA_AGENT_LEASE"], "/");
        assert!(!third.contains_key("MFA_AGENT_LOOK"), "{shell:?}: {third:?}");
        assert!(sandbox.run(&["agent", "log"]).stdout.contains("leases again"));
        assert_eq!(fs::read_dir(sandbox.runtime().join("lease")).unwrap().count(), 1, "no half one");
        // A logout is there at the next prompt.
        assert_eq!(sandbox.run(&["logout", "dev"]).status, 0);
        session.run("true");
        assert!(!session.environment().contains_key("AWS_SECRET_ACCESS_KEY"), "{shell:?}");
    }
}

/// What a shell does for a minute to have passed since it asked.
fn a_minute_passes(shell: Shell, look: &str) -> String {
    let look = format!("1-{}", look.split_once('-').unwrap().1);
    match shell {
        Shell::Fish => format!("set -gx MFA_AGENT_LOOK {look}"),
        Shell::Bash | Shell::Zsh => format!("export MFA_AGENT_LOOK={look}; __mfa_agent_next=0"),
    }
}

#[test]
fn a_disk_that_fills_up_meanwhile_loses_no_session() {
    if !is_root() {
        return;
    }
    let sandbox = Sandbox::new();
    let disk = Disk::mount(&sandbox, &run_folder(&sandbox), "size=1m,nr_inodes=64");
    sandbox.log_in("dev");
    let before = exported(&sandbox.run(&["env", "dev"]).stdout, &[]);
    while File::create(disk.folder.join(format!("{}", fs::read_dir(&disk.folder).unwrap().count()))).is_ok() {
    }
    // What is there goes on, and a restart finds room for what it needs: none.
    let after = exported(&sandbox.run(&["env", "dev"]).stdout, &[]);
    assert_eq!(before, after);
    assert_eq!(sandbox.run(&["agent", "restart"]).status, 0);
    assert_eq!(exported(&sandbox.run(&["env", "dev"]).stdout, &[]), before);
    // What cannot be made is told.
    let grant = sandbox.run(&["agent", "grant", "--profile", "dev"]);
    assert!(grant.status != 0 && grant.stderr.contains("No space left on device"), "{grant:?}");
    assert_eq!(sandbox.run(&["env", "dev", "--no-prompt"]).status, 0);
}

/// A person with a session, whose AWS files are on a disk of their own.
fn with_files_on_a_disk() -> (Sandbox, Disk) {
    let sandbox = Sandbox::new();
    let folder = sandbox.home().join(".aws");
    let files = ["config", "credentials"].map(|name| (name, fs::read(folder.join(name)).unwrap()));
    let disk = Disk::mount(&sandbox, &folder, "size=64k,nr_inodes=64");
    for (name, contents) in files {
        fs::write(folder.join(name), contents).unwrap();
    }
    sandbox.log_in("dev");
    sandbox.simulator.clear_calls();
    (sandbox, disk)
}

fn aws_files(sandbox: &Sandbox) -> [Vec<u8>; 2] {
    ["config", "credentials"].map(|name| fs::read(sandbox.home().join(".aws").join(name)).unwrap())
}

/// There is nothing but the AWS files and what fills the disk.
fn assert_nothing_left(sandbox: &Sandbox) {
    let entries = fs::read_dir(sandbox.home().join(".aws")).unwrap();
    let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name()).collect();
    names.retain(|name| name != "filler");
    names.sort();
    assert_eq!(names, ["config", "credentials"]);
}

#[test]
fn a_key_that_does_not_fit_the_disk_leaves_the_files_as_they_were() {
    if !is_root() {
        return;
    }
    let (sandbox, disk) = with_files_on_a_disk();
    let filler = disk.fill();
    let before = aws_files(&sandbox);
    sandbox.write(
        "key.csv",
        "Access key ID,Secret access key\nAKIAIOSFODNN7EXAMPLE,wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY\n",
    );
    let csv = sandbox.home().join("key.csv");
    let import = || sandbox.run(&["keys", "import", csv.to_str().unwrap(), "--profile", "other"]);
    let run = import();
    assert_eq!(run.status, 1, "{run:?}");
    assert!(run.stderr.contains("No space left on device") && run.stderr.contains("hint: "), "{run:?}");
    assert_eq!(aws_files(&sandbox), before);
    assert_nothing_left(&sandbox);
    fs::remove_file(filler).unwrap();
    assert_eq!(import().status, 0);
}

#[test]
fn a_rotation_that_the_disk_breaks_off_goes_on_when_there_is_room() {
    if !is_root() {
        return;
    }
    // Before anything is made, and at each step after: once the disk is full nothing of the files changes.
    for action in ["GetCallerIdentity", "CreateAccessKey", "UpdateAccessKey", "DeleteAccessKey"] {
        let (sandbox, disk) = with_files_on_a_disk();
        let hold = sandbox.simulator.hold(action);
        let mut rotate = sandbox.client(["keys", "rotate", "dev"]);
        let client = rotate.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        assert!(sandbox.simulator.wait_for_calls(action, 1, Duration::from_secs(20)), "{action}");
        let filler = disk.fill();
        let before = aws_files(&sandbox);
        hold.release();
        let run: Run = client.wait_with_output().unwrap().into();
        assert_ne!(run.status, 0, "{action}: {run:?}");
        assert!(run.stderr.contains("No space left on device") && run.stderr.contains("hint: "), "{run:?}");
        assert_eq!(aws_files(&sandbox), before, "{action}");
        assert_nothing_left(&sandbox);
        // What is stored works all the time.
        let key = |sandbox: &Sandbox| {
            let text = fs::read_to_string(sandbox.home().join(".aws/credentials")).unwrap();
            let value = |name| text.lines().find_map(|line| line.strip_prefix(name)).unwrap().to_owned();
            (value("aws_access_key_id = "), value("aws_secret_access_key = "))
        };
        let (id, secret) = key(&sandbox);
        assert!(sandbox.simulator.is_good_key(&id, &secret), "{action}");
        assert!(!run.stderr.contains(&secret), "{run:?}");
        if action == "GetCallerIdentity" {
            assert!(
                sandbox.simulator.calls_of("CreateAccessKey").is_empty(),
                "no key for which there is no room"
            );
        }
        fs::remove_file(filler).unwrap();
        let run = sandbox.run(&["keys", "rotate", "dev"]);
        assert_eq!(run.status, 0, "{action}: {run:?}");
        let (id, secret) = key(&sandbox);
        assert!(sandbox.simulator.is_good_key(&id, &secret), "{action}");
        assert!(!key_of(&sandbox.alice).contains(&id), "{action}");
        assert_eq!(sandbox.alice.keys(), [(id, true)], "{action}");
        assert_nothing_left(&sandbox);
    }
}
