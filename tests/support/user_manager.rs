//! A systemd of a user's own, as a login starts it, where there is none: the test's user is `nobody`.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::Write;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use super::{Run, Sandbox, key_of, tool, wait_until};

/// The user `nobody`.
const NOBODY: u32 = 65_534;

/// What makes room for the manager in mounts that nobody else sees, and becomes it.
const BECOME: &str = "\
    set -e
    mount --make-rprivate /
    ! mountpoint -q /sys/fs/cgroup || umount -R /sys/fs/cgroup
    mount -t cgroup2 none /sys/fs/cgroup
    mkdir -p \"/sys/fs/cgroup/$1/manager\"
    chown -R 65534:65534 \"/sys/fs/cgroup/$1\"
    echo $$ >\"/sys/fs/cgroup/$1/manager/cgroup.procs\"
    mkdir -p /run/systemd
    mount -t tmpfs none /run/systemd
    mkdir /run/systemd/system
    exec setpriv --reuid 65534 --regid 65534 --clear-groups \"$2\" --user --log-target=console --log-level=notice";

/// A running `systemd --user`. Dropped, it goes with everything that it started.
pub struct UserManager {
    process: Child,
    folder: PathBuf,
    /// The root of its control groups, and the name of its own.
    groups: File,
    name: String,
}

impl UserManager {
    /// A manager that knows the product's units, with the folders and the AWS files of the sandbox's user.
    pub fn start(sandbox: &Sandbox) -> Self {
        let folder = sandbox.home().join("nobody");
        for path in ["run", "home/.aws", "home/.config/systemd/user/mfa-agent.service.d", "bin"] {
            fs::create_dir_all(folder.join(path)).unwrap();
        }
        let write = |path: &str, text: &str| fs::write(folder.join("home").join(path), text).unwrap();
        write(".aws/credentials", &format!("[dev]\n{}", key_of(&sandbox.alice)));
        write(".aws/config", &format!("[profile dev]\nmfa_serial = {}\n", sandbox.serial));
        // What docs/systemd.md says to write where the programs lie elsewhere and the agent needs a variable.
        write(
            ".config/systemd/user/mfa-agent.service.d/override.conf",
            &format!(
                "[Service]\nExecStart=\nExecStart={}\nEnvironment=AWS_ENDPOINT_URL={}\n",
                folder.join("bin/mfa-agentd").display(),
                sandbox.simulator.endpoint(),
            ),
        );
        super::install(&folder.join("bin"));
        for unit in ["mfa-agent.socket", "mfa-agent.service"] {
            let ours = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../data/systemd/user").join(unit);
            fs::copy(ours, folder.join("home/.config/systemd/user").join(unit)).unwrap();
        }
        let all = Run::of(Command::new("chown").args(["-R", "65534:65534"]).arg(&folder));
        assert_eq!(all.status, 0, "{all:?}");
        for path in [sandbox.home().parent().unwrap(), &sandbox.home()] {
            fs::set_permissions(path, PermissionsExt::from_mode(0o711)).unwrap();
        }
        fs::set_permissions(folder.join("run"), PermissionsExt::from_mode(0o700)).unwrap();
        chown(folder.join("run"), Some(NOBODY), None).unwrap();

        let name = format!(
            "mfa-agent-test-{}",
            folder.parent().unwrap().parent().unwrap().file_name().unwrap().display()
        );
        let systemd = ["/usr/lib/systemd/systemd", "/lib/systemd/systemd"]
            .into_iter()
            .find(|program| Path::new(program).exists())
            .expect("these tests need systemd; tests/run installs all that they need");
        let log = File::create(sandbox.home().join("systemd.log")).unwrap();
        let process = Command::new(tool("unshare"))
            .args(["--mount", "--", "/bin/sh", "-c", BECOME, "sh", &name, systemd])
            .env_clear()
            .envs(environment(&folder))
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        let root = format!("/proc/{}/root/sys/fs/cgroup", process.id());
        wait_until("the manager takes orders", || folder.join("run/systemd/private").exists());
        let manager = Self { process, groups: File::open(root).unwrap(), folder, name };
        wait_until("it has started", || manager.property("default.target", "ActiveState") == "active");
        manager
    }

    /// `nobody`'s folder: `home`, `run`, `bin`.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The agent's socket.
    pub fn socket(&self) -> PathBuf {
        self.folder.join("run/mfa-agent/sock")
    }

    /// A program, ready to be run by `nobody`, beside the manager and not below it.
    pub fn command<Argument: AsRef<OsStr>>(
        &self,
        program: impl AsRef<OsStr>,
        arguments: impl IntoIterator<Item = Argument>,
    ) -> Command {
        let mut command = Command::new(tool("setpriv"));
        command
            .args(["--reuid", "65534", "--regid", "65534", "--clear-groups"])
            .arg(program)
            .args(arguments)
            .env_clear()
            .envs(environment(&self.folder))
            .stdin(Stdio::null());
        command
    }

    /// Runs `systemctl --user`.
    pub fn systemctl(&self, arguments: &[&str]) -> Run {
        Run::of(&mut self.command(tool("systemctl"), ["--user"].iter().chain(arguments)))
    }

    /// A property of a unit.
    pub fn property(&self, unit: &str, name: &str) -> String {
        self.systemctl(&["show", "-P", name, unit]).stdout.trim().to_owned()
    }

    /// Runs the client.
    pub fn run(&self, arguments: &[&str]) -> Run {
        Run::of(&mut self.command(self.folder.join("bin/mfa-agent"), arguments))
    }
}

impl Drop for UserManager {
    fn drop(&mut self) {
        let own = PathBuf::from(format!("/proc/self/fd/{}/{}", self.groups.as_raw_fd(), self.name));
        let killed = File::options()
            .write(true)
            .open(own.join("cgroup.kill"))
            .and_then(|mut kill| kill.write_all(b"1"));
        if killed.is_err() {
            let _ = self.process.kill();
        }
        let _ = self.process.wait();
        // The last processes of a group may still be on their way out of it.
        let start = std::time::Instant::now();
        while !remove_groups(&own) && start.elapsed().as_secs() < 5 {
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
    }
}

/// Removes a control group and those below it; true where none is left.
fn remove_groups(group: &Path) -> bool {
    for entry in fs::read_dir(group).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            remove_groups(&entry.path());
        }
    }
    fs::remove_dir(group).is_ok() || !group.exists()
}

fn environment(folder: &Path) -> [(&'static str, PathBuf); 4] {
    [
        ("PATH", "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin".into()),
        ("HOME", folder.join("home")),
        ("XDG_RUNTIME_DIR", folder.join("run")),
        ("LANG", "C.UTF-8".into()),
    ]
}
