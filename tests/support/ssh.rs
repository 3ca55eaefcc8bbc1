//! Another host: a real sshd on loopback, of this very user, with a home and a runtime folder of its own.

use std::fs;
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

use super::{Run, Sandbox, tool, wait_until};

/// The host, and the way there.
pub struct Host {
    folder: TempDir,
    daemon: Child,
    endpoint: String,
}

/// A connection that forwards a socket, and is open as long as this lives.
pub struct Forwarding(Child);

impl Host {
    /// One whose sshd takes connections.
    pub fn start(sandbox: &Sandbox) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        for name in ["home", "run"] {
            fs::create_dir(path(name)).unwrap();
            fs::set_permissions(path(name), PermissionsExt::from_mode(0o700)).unwrap();
        }
        if rustix::process::geteuid().is_root() {
            // Where sshd's service is not installed as one, nobody has made it.
            fs::create_dir_all("/run/sshd").unwrap();
        }
        for key in ["host", "user"] {
            let made = Command::new(tool("ssh-keygen"))
                .args(["-q", "-t", "ed25519", "-N", "", "-f"])
                .arg(path(key))
                .stdin(Stdio::null())
                .status();
            assert!(made.unwrap().success());
        }
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let here = folder.path().display();
        let server = format!(
            "ListenAddress 127.0.0.1:{port}\nHostKey {here}/host\nAuthorizedKeysFile {here}/user.pub\n\
             PidFile none\nUsePAM no\nStrictModes no\nPasswordAuthentication no\nStreamLocalBindUnlink yes\n\
             AllowAgentForwarding no\nPermitRootLogin yes\n"
        );
        let id = Command::new("id").arg("-un").output().unwrap();
        let user = String::from_utf8(id.stdout).unwrap();
        let client = format!(
            "Host there\nHostName 127.0.0.1\nPort {port}\nUser {user}\nIdentityFile {here}/user\n\
             IdentitiesOnly yes\nUserKnownHostsFile {here}/known\nExitOnForwardFailure yes\nBatchMode yes\n"
        );
        let known = fs::read_to_string(path("host.pub")).unwrap();
        fs::write(path("known"), format!("[127.0.0.1]:{port} {known}")).unwrap();
        fs::write(path("sshd_config"), server).unwrap();
        fs::write(path("ssh_config"), client).unwrap();
        // By its whole path, or it does not start itself anew.
        let sshd = Path::new("/usr/sbin/sshd");
        assert!(sshd.is_file(), "these tests need sshd; tests/run installs all that they need");
        let log = fs::File::create(path("log")).unwrap();
        let mut command = Command::new(sshd);
        command.args(["-D", "-e", "-f"]).arg(path("sshd_config")).stdin(Stdio::null()).stderr(log);
        let daemon = command.spawn().unwrap();
        let host = Self { daemon, endpoint: sandbox.simulator.endpoint(), folder };
        wait_until("sshd takes connections", || TcpStream::connect(("127.0.0.1", port)).is_ok());
        host
    }

    /// Where the socket of another host's agent is to appear.
    pub fn socket(&self) -> PathBuf {
        self.folder.path().join("agent.sock")
    }

    /// Forwards a socket to there, as `ssh -R` does.
    pub fn forward(&self, granted: &str) -> Forwarding {
        let forward = format!("{}:{granted}", self.socket().display());
        let child = self.ssh(&["-N", "-R", &forward, "there"]).spawn().unwrap();
        wait_until("it is forwarded", || UnixStream::connect(self.socket()).is_ok());
        Forwarding(child)
    }

    /// `ssh`, ready to be run.
    pub fn ssh(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(tool("ssh"));
        command.arg("-F").arg(self.folder.path().join("ssh_config")).args(arguments);
        command.env_clear().stdin(Stdio::null());
        command
    }

    /// A program on that host, whose agent is the forwarded one.
    pub fn command(&self, program: impl AsRef<std::ffi::OsStr>, arguments: &[&str]) -> Command {
        let mut command = Command::new(program);
        command.args(arguments).env_clear().stdin(Stdio::null());
        command
            .env("PATH", std::env::var_os("PATH").unwrap())
            .env("HOME", self.folder.path().join("home"))
            .env("XDG_RUNTIME_DIR", self.folder.path().join("run"))
            .env("MFA_AGENT_SOCK", self.socket())
            .env("AWS_ENDPOINT_URL", &self.endpoint);
        command
    }

    /// Runs the client on that host.
    pub fn run(&self, arguments: &[&str]) -> Run {
        Run::of(&mut self.command(env!("CARGO_BIN_EXE_mfa-agent"), arguments))
    }

    /// What sshd wrote.
    pub fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap()
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        let _ = self.daemon.kill();
        let _ = self.daemon.wait();
    }
}

impl Drop for Forwarding {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
