//! A keyring of a test's own: GNOME Keyring's daemon, on a bus of the sandbox's.

use std::io::Write;
use std::process::{Child, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};

use super::{Bus, Run, Sandbox, tool, wait_until};

const NAME: &str = "org.freedesktop.secrets";
const COLLECTION: &str = "/org/freedesktop/secrets/collection/login";

/// What unlocks it.
pub const PASSWORD: &str = "of-the-keyring";

/// The daemon.
pub struct Keyring {
    process: Child,
    address: String,
}

impl Keyring {
    /// Starts it, unlocked. Everything that is run in the sandbox from now on finds it.
    pub fn start(sandbox: &Sandbox, bus: &Bus) -> Self {
        let arguments = ["--components=secrets", "--unlock", "--foreground"];
        let mut process = sandbox
            .command(tool("gnome-keyring-daemon"), arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        // The password is all that comes, without the end of a line.
        process.stdin.take().unwrap().write_all(PASSWORD.as_bytes()).unwrap();
        wait_until("the keyring owns its name", || bus.has_owner(NAME));
        let keyring = Self { process, address: bus.address() };
        // It owns its name a moment before it is open.
        wait_until("the keyring is open", || !keyring.is_locked());
        keyring
    }

    /// Locks it, as the end of a desktop session does.
    pub fn lock(&self) {
        let objects = format!("['{COLLECTION}']");
        let run = self.call("/org/freedesktop/secrets", "org.freedesktop.Secret.Service.Lock", &[&objects]);
        assert_eq!(run.status, 0, "{run:?}");
        assert!(self.is_locked());
    }

    /// Unlocks it, as a login to the desktop does.
    pub fn unlock(&self) {
        let script = format!(
            "import dbus\n\
             service = dbus.SessionBus().get_object('{NAME}', '/org/freedesktop/secrets')\n\
             plain = dbus.String('', variant_level=1)\n\
             _, session = service.OpenSession('plain', plain, dbus_interface='org.freedesktop.Secret.Service')\n\
             none, password = dbus.ByteArray(b''), dbus.ByteArray(b'{PASSWORD}')\n\
             secret = dbus.Struct((session, none, password, 'text/plain'), signature='oayays')\n\
             service.UnlockWithMasterPassword('{COLLECTION}', secret,\n\
             dbus_interface='org.gnome.keyring.InternalUnsupportedGuiltRiddenInterface')\n"
        );
        let run = Run::of(
            Command::new("/usr/bin/python3")
                .args(["-c", &script])
                .env("DBUS_SESSION_BUS_ADDRESS", &self.address),
        );
        assert_eq!(run.status, 0, "{run:?}");
        assert!(!self.is_locked());
    }

    /// Whether it is locked.
    pub fn is_locked(&self) -> bool {
        let property = ["org.freedesktop.Secret.Collection", "Locked"];
        self.call(COLLECTION, "org.freedesktop.DBus.Properties.Get", &property).stdout.contains("true")
    }

    /// What another program finds in it, by an attribute.
    pub fn lookup(&self, attribute: &str, value: &str) -> String {
        let run = Run::of(
            Command::new(tool("secret-tool"))
                .args(["lookup", "service", "mfa-agent", attribute, value])
                .env("DBUS_SESSION_BUS_ADDRESS", &self.address),
        );
        run.stdout
    }

    /// Stops it where it stands: it owns its name, and answers nothing.
    pub fn freeze(&self) {
        self.signal(Signal::STOP);
    }

    /// Lets it go on.
    pub fn thaw(&self) {
        self.signal(Signal::CONT);
    }

    fn signal(&self, signal: Signal) {
        let pid = i32::try_from(self.process.id()).unwrap();
        kill_process(Pid::from_raw(pid).unwrap(), signal).unwrap();
    }

    fn call(&self, path: &str, method: &str, arguments: &[&str]) -> Run {
        Run::of(
            Command::new(tool("gdbus"))
                .args(["call", "--session", "--dest", NAME, "--object-path", path, "--method", method])
                .args(arguments)
                .env("DBUS_SESSION_BUS_ADDRESS", &self.address),
        )
    }
}

impl Drop for Keyring {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
