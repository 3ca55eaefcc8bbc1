//! The line that loads the hook, in the rc file of the person's shell.

use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Read, Seek, Write};
use std::path::{Path, PathBuf};

use crate::commands::doctor::shell::{Hooked, loads_hook};
use crate::difference::difference;
use crate::environment::{Environment, Traces};
use crate::failure::{Exit, Failure};
use crate::shell::word;
use crate::{environment, platform};

/// An rc file, and the line that it needs.
pub struct RcFile {
    /// The file; it need not be there.
    pub path: PathBuf,
    /// The line.
    pub line: String,
    /// It loads the hook already.
    pub loads: bool,
}

impl RcFile {
    /// That of the shell that ran us, else of the person's login shell (`SHELL`); none where it has no hook.
    pub fn of_person(environment: &Environment) -> Result<Option<Self>, Failure> {
        let login = environment::login_shell();
        let login = login.as_deref().and_then(Path::file_name).map(std::ffi::OsStr::as_encoded_bytes);
        let shell = Hooked::of_program(platform::parent_program().as_deref()).or(Hooked::of_program(login));
        let Some(shell) = shell else { return Ok(None) };
        let Some(path) = shell.rc_file(environment.home.as_deref(), &Traces::read()) else { return Ok(None) };
        let text = read(&path)?;
        Ok(Some(Self { line: shell.line(&program()?), loads: loads_hook(&text), path }))
    }

    /// What would be added, for a person to look at.
    pub fn change(&self) -> Result<Vec<String>, Failure> {
        let before = read(&self.path)?;
        Ok(difference(&before, &format!("{before}{}", self.addition(&before))))
    }

    /// Adds the line, unless it is there by now. A link is followed, and all else of the file stays as it is.
    pub fn add(&self) -> Result<(), Failure> {
        let cannot = |error: std::io::Error| cannot("write", &self.path, &error);
        if let Some(folder) = self.path.parent() {
            platform::make_private_folder(folder).map_err(cannot)?;
        }
        let mut file =
            OpenOptions::new().read(true).append(true).create(true).open(&self.path).map_err(cannot)?;
        // Two of us at once would each see that it is missing. Where there are no locks there is one person.
        let _ = file.lock();
        let text = text(&mut file).map_err(cannot)?;
        if loads_hook(&text) {
            return Ok(());
        }
        file.write_all(self.addition(&text).as_bytes()).map_err(cannot)?;
        file.sync_all().map_err(cannot)
    }

    /// The line as it is to be appended: one write, so that it is there or is not.
    fn addition(&self, before: &str) -> String {
        let end = if before.is_empty() || before.ends_with('\n') { "" } else { "\n" };
        format!("{end}{}\n", self.line)
    }
}

/// How the line calls us: by name where PATH leads here, else by our whole path.
fn program() -> Result<String, Failure> {
    let ours = std::env::current_exe()
        .map_err(|error| Failure::new(Exit::Failed, format!("cannot tell where mfa-agent lies: {error}")))?
        .with_file_name("mfa-agent");
    let found = environment::in_path("mfa-agent").and_then(|found| found.canonicalize().ok());
    if found.is_some() && found == ours.canonicalize().ok() {
        return Ok("mfa-agent".to_owned());
    }
    match ours.to_str() {
        Some(path) => Ok(word(path)),
        None => Err(Failure::new(Exit::Failed, format!("{} is no UTF-8", ours.display()))
            .hint("put a link to mfa-agent into a folder of PATH")),
    }
}

fn read(path: &Path) -> Result<String, Failure> {
    match File::open(path) {
        Ok(mut file) => text(&mut file).map_err(|error| cannot("read", path, &error)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(String::new()),
        Err(error) => Err(cannot("read", path, &error)),
    }
}

/// What rc files hold need not be UTF-8; what is looked for in it is.
fn text(file: &mut File) -> std::io::Result<String> {
    let mut bytes = Vec::new();
    file.rewind()?;
    file.read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

fn cannot(what: &str, path: &Path, error: &std::io::Error) -> Failure {
    Failure::new(Exit::Failed, format!("cannot {what} {}: {error}", path.display()))
        .hint(format!("see who may: ls -ld {}", word(&path.to_string_lossy())))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn file(folder: &Path, before: &str) -> RcFile {
        let path = folder.join("deep/rc");
        fs::create_dir_all(folder.join("deep")).unwrap();
        fs::write(&path, before).unwrap();
        RcFile { path, line: "eval \"$(mfa-agent init bash)\"".to_owned(), loads: false }
    }

    #[test]
    fn the_line_is_appended_once_and_a_link_stays() {
        let folder = tempfile::tempdir().unwrap();
        let rc = file(folder.path(), "alias l='ls'");
        let link = folder.path().join(".bashrc");
        std::os::unix::fs::symlink("deep/rc", &link).unwrap();
        let rc = RcFile { path: link.clone(), ..rc };
        assert_eq!(rc.change().unwrap(), [" alias l='ls'", "+eval \"$(mfa-agent init bash)\""]);
        for _ in 0..2 {
            rc.add().unwrap();
            assert_eq!(fs::read_to_string(&link).unwrap(), "alias l='ls'\neval \"$(mfa-agent init bash)\"\n");
        }
        assert!(link.symlink_metadata().unwrap().is_symlink());
    }

    #[test]
    fn a_file_is_made_where_there_is_none() {
        let folder = tempfile::tempdir().unwrap();
        let rc = file(folder.path(), "");
        fs::remove_dir_all(folder.path().join("deep")).unwrap();
        rc.add().unwrap();
        assert_eq!(fs::read_to_string(&rc.path).unwrap(), "eval \"$(mfa-agent init bash)\"\n");
    }
}
