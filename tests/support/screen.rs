//! A screen of a test's own, with nobody before it but the test.

use std::io::{BufRead, BufReader};
use std::os::fd::OwnedFd;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::{Sandbox, tool, wait_until};

/// An X server without a screen that anybody sees.
pub struct Screen {
    server: Child,
    display: String,
}

impl Screen {
    /// Starts one; whatever is run in the sandbox from now on finds it.
    pub fn start(sandbox: &mut Sandbox) -> Self {
        let (reader, writer) = std::io::pipe().unwrap();
        // It writes the number that it took to its stdout, and keeps the rest to itself.
        let server = Command::new(tool("Xvfb"))
            .args(["-displayfd", "1", "-noreset", "-screen", "0", "800x600x24", "-nolisten", "tcp"])
            .stdin(Stdio::null())
            .stdout(OwnedFd::from(writer))
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut number = String::new();
        BufReader::new(reader).read_line(&mut number).unwrap();
        let display = format!(":{}", number.trim());
        sandbox.set("DISPLAY", &display);
        Self { server, display }
    }

    /// Waits for a window whose name begins so, and presses these keys in it, by xdotool's names, until that has
    /// its effect. What is pressed before a program has noticed that it has the focus is lost, so the keys must
    /// do no harm when they come twice.
    pub fn press(&self, name: &str, keys: &[&str], mut done: impl FnMut() -> bool) {
        let mut next = Instant::now();
        wait_until(&format!("an effect of {keys:?}"), || {
            if !done()
                && Instant::now() >= next
                && let Some(window) = self.window(name)
            {
                self.xdotool(&["windowfocus", &window]);
                self.xdotool(&["key", "--delay", "20", "--repeat", "20", "BackSpace"]);
                for key in keys {
                    self.xdotool(&["key", "--delay", "20", key]);
                }
                next = Instant::now() + Duration::from_secs(3);
            }
            done()
        });
    }

    /// What is on it, as a picture.
    pub fn photograph(&self, file: &Path) {
        let mut import = Command::new(tool("import"));
        import.args(["-display", &self.display, "-window", "root"]).arg(file);
        assert!(import.status().unwrap().success());
    }

    /// Whether there is a window whose name begins so.
    pub fn has_window(&self, name: &str) -> bool {
        self.window(name).is_some()
    }

    /// The first window whose name begins so.
    fn window(&self, name: &str) -> Option<String> {
        let found = self.xdotool(&["search", "--onlyvisible", "--name", &format!("^{name}")]);
        found.lines().next().map(str::to_owned)
    }

    fn xdotool(&self, arguments: &[&str]) -> String {
        let output = Command::new(tool("xdotool"))
            .args(arguments)
            .env("DISPLAY", &self.display)
            .stderr(Stdio::null())
            .output()
            .unwrap();
        String::from_utf8_lossy(&output.stdout).into_owned()
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}
