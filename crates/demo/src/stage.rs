//! The stage: an AWS, a home, and the product on the PATH.

use std::collections::BTreeMap;
use std::error::Error;
use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use aws_simulator::{Role, Simulator, User};
use tempfile::TempDir;

const ACCOUNT: &str = "111122223333";

/// What a visitor's programs run on. Gone when dropped, the agent first.
pub struct Stage {
    /// The AWS.
    pub simulator: Simulator,
    /// The user behind the profiles.
    pub alice: User,
    /// Alice's MFA device.
    pub serial: String,
    environment: BTreeMap<OsString, OsString>,
    aws_cli: Option<PathBuf>,
    folder: TempDir,
}

impl Stage {
    /// Builds the product and sets the stage with it.
    pub fn set() -> Result<Self, Box<dyn Error>> {
        let programs = build()?;
        let simulator = Simulator::start();
        simulator.enable_control();
        let alice = simulator.user(ACCOUNT, "alice");
        let serial = alice.device("alice");
        let ops = simulator.role(Role::new(ACCOUNT, "ops"));

        let folder = tempfile::Builder::new().prefix("mfa-agent-demo-").tempdir()?;
        let (home, bin, run) =
            (folder.path().join("home"), folder.path().join("bin"), folder.path().join("run"));
        for path in [&home, &bin, &run, &home.join(".aws")] {
            fs::create_dir(path)?;
            fs::set_permissions(path, fs::Permissions::from_mode(0o700))?;
        }
        write(
            &home.join(".aws/config"),
            &format!(
                "[profile dev]\nregion = eu-central-1\nmfa_serial = {serial}\n\n\
                 [profile ops]\nregion = eu-central-1\nrole_arn = {ops}\nsource_profile = dev\n"
            ),
            0o600,
        )?;
        write(
            &home.join(".aws/credentials"),
            &format!(
                "[dev]\naws_access_key_id = {}\naws_secret_access_key = {}\n",
                alice.access_key_id, alice.secret_access_key
            ),
            0o600,
        )?;
        for program in ["mfa-agent", "mfa-agent-cli", "mfa-agentd"] {
            // A link would do, but the client looks for its agent beside itself.
            symlink(programs.join(program), bin.join(program))?;
        }
        let endpoint = simulator.endpoint();
        let codes = format!("{endpoint}/_simulator/code?serial={serial}");
        write(&bin.join("code"), &code_script(&codes), 0o700)?;
        // For those without the AWS CLI: the same question, by AWS's own SDK.
        let identity = format!("#!/bin/sh\nexec '{}' caller-identity\n", std::env::current_exe()?.display());
        write(&bin.join("caller-identity"), &identity, 0o700)?;
        let path = std::env::var_os("PATH").unwrap_or_default();
        let aws_cli = find("aws", &path);
        if let Some(aws) = &aws_cli {
            // Releases before 2.13 do not know AWS_ENDPOINT_URL.
            let script = format!("#!/bin/sh\nexec '{}' --endpoint-url '{endpoint}' \"$@\"\n", aws.display());
            write(&bin.join("aws"), &script, 0o700)?;
        }

        let mut environment: BTreeMap<OsString, OsString> = std::env::vars_os()
            .filter(|(name, _)| !belongs_to_another_stage(&name.to_string_lossy()))
            .collect();
        let mut paths = vec![bin];
        paths.extend(std::env::split_paths(&path));
        environment.insert("PATH".into(), std::env::join_paths(paths)?);
        environment.insert("HOME".into(), home.into());
        environment.insert("XDG_RUNTIME_DIR".into(), run.into());
        environment.insert("AWS_ENDPOINT_URL".into(), endpoint.into());
        Ok(Self { simulator, alice, serial, environment, aws_cli, folder })
    }

    /// The throw-away home.
    pub fn home(&self) -> PathBuf {
        self.folder.path().join("home")
    }

    /// What programs on the stage run with.
    pub fn environment(&self) -> &BTreeMap<OsString, OsString> {
        &self.environment
    }

    /// Whether the AWS CLI is there to be tried.
    pub fn has_aws_cli(&self) -> bool {
        self.aws_cli.is_some()
    }

    /// Runs a script on the stage with the POSIX shell.
    pub fn shell(&self, script: &str) -> Command {
        let mut command = Command::new("/bin/sh");
        command.args(["-c", script]).env_clear().envs(&self.environment).current_dir(self.home());
        command
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        let _ = self.shell("mfa-agent agent stop").stdout(Stdio::null()).stderr(Stdio::null()).status();
    }
}

/// Builds the programs the way this one was built, and says where they are.
fn build() -> Result<PathBuf, Box<dyn Error>> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.args(["build", "--package", "mfa-agent", "--bins"]).current_dir(env!("CARGO_MANIFEST_DIR"));
    if !cfg!(debug_assertions) {
        command.arg("--release");
    }
    if !command.status()?.success() {
        return Err("mfa-agent cannot be built".into());
    }
    let program = std::env::current_exe()?;
    program.parent().map(Path::to_owned).ok_or_else(|| "this program lies nowhere".into())
}

/// Variables that would lead away from the stage, or tell it from a fresh home.
fn belongs_to_another_stage(name: &str) -> bool {
    let prefixes = ["AWS_", "MFA_AGENT_", "CARGO", "RUST", "XDG_"];
    let names = ["ZDOTDIR", "LD_LIBRARY_PATH"];
    prefixes.iter().any(|prefix| name.starts_with(prefix)) || names.contains(&name)
}

/// Prints the code that the device shows: by curl, else by Python, whichever is there.
fn code_script(url: &str) -> String {
    format!(
        "#!/bin/sh\n\
         if command -v curl >/dev/null; then curl --silent --noproxy '*' '{url}'; echo\n\
         else python3 -c \"import urllib.request as r; \
         print(r.build_opener(r.ProxyHandler({{}})).open('{url}').read().decode())\"\nfi\n"
    )
}

fn find(program: &str, path: &OsString) -> Option<PathBuf> {
    std::env::split_paths(path).map(|folder| folder.join(program)).find(|candidate| candidate.is_file())
}

fn write(path: &Path, contents: &str, mode: u32) -> Result<(), Box<dyn Error>> {
    fs::write(path, contents)?;
    fs::set_permissions(path, fs::Permissions::from_mode(mode))?;
    Ok(())
}
