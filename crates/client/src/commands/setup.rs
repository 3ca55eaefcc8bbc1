//! `mfa-agent setup`: what a profile needs to work under MFA, step by step. Each step looks at what is there and does
//! what its own command does, so it can be stopped anywhere and taken up again.

mod rc_file;
mod settings;
mod state;

use std::path::PathBuf;

use protocol::{IamAnswer, IamCall, KeyringState, Reply, Request, Signed};

use super::{device, keys, policy};
use crate::agent::{Agent, unexpected};
use crate::args::{
    Code, Color, DeviceAdd, KeysImport, PolicyAttach, PolicyChange, PolicyText, Setup, Variant,
};
use crate::environment::Environment;
use crate::failure::{Exit, Failure};
use crate::iam::Iam;
use crate::mfa::Asker;
use crate::platform::Terminal;
use crate::shell::{Shell, word};
use crate::{interview, output, platform};
use protocol::sanitize::sanitize;

use rc_file::RcFile;
use settings::{AskFor, Settings};
use state::State;

pub fn run(
    args: &Setup,
    option: Option<&str>,
    color: Color,
    environment: &Environment,
) -> Result<(), Failure> {
    let profile = profile(args, option, environment)?;
    if args.settings {
        return only_settings(args, &profile);
    }
    let agent = Agent::locate(environment)?;
    let person = Person { args, profile: &profile, color, agent: &agent, environment };
    output::words(&format!("profile {profile}"));
    let state = person.look()?;
    if args.dry_run { Ok(()) } else { person.go_through(state) }
}

/// What it is to keep a key in the keyring.
const KEYRING: &str = "In ~/.aws/credentials the key is in the clear. In the keyring it is encrypted on disk, and other tools find it by mfa-agent alone.\n";

/// The profile to set up: one that need not be there yet.
fn profile(args: &Setup, option: Option<&str>, environment: &Environment) -> Result<String, Failure> {
    if let Some(name) = args.name.as_deref().or(option) {
        return Ok(name.to_owned());
    }
    match &environment.aws_profile {
        Some(name) => match name.to_str() {
            Some(name) => Ok(name.to_owned()),
            None => Err(Failure::new(Exit::Usage, "AWS_PROFILE is not UTF-8")),
        },
        None => Ok("default".to_owned()),
    }
}

/// What is given; where nothing is, it is asked for.
fn only_settings(args: &Setup, profile: &str) -> Result<(), Failure> {
    let mut wanted = Settings { region: args.region.clone(), output: args.output.clone() };
    if wanted == Settings::default() {
        let mut terminal = Terminal::open().ok_or_else(|| {
            Failure::new(Exit::Usage, "there is nothing to set, and nobody can be asked")
                .hint("mfa-agent setup PROFILE --settings --region REGION --output FORMAT")
        })?;
        let held = Settings::read(profile)?;
        wanted = settings::ask(&mut terminal, profile, &held, wanted, AskFor::All)?;
    }
    settings::write(profile, &wanted)
}

/// Who is led through it.
struct Person<'a> {
    args: &'a Setup,
    profile: &'a str,
    color: Color,
    agent: &'a Agent,
    environment: &'a Environment,
}

impl Person<'_> {
    /// Shows what is there.
    fn look(&self) -> Result<State, Failure> {
        let state = State::look(self.agent, self.profile, self.args.keyring, self.environment)?;
        output::data(state.text(self.color).as_bytes())?;
        Ok(state)
    }

    /// Does what is missing, one step after the other.
    fn go_through(&self, mut state: State) -> Result<(), Failure> {
        // Before the first call: it goes where the region says.
        self.settings(&state.settings)?;
        if !state.has_key {
            self.key()?;
            // With the key there is more to be seen.
            state = self.look()?;
        }
        if state.key_in_the_clear && self.args.keyring {
            self.import(None, true, false)?;
        }
        if !state.has_device {
            let mut iam = self.iam()?;
            let add = DeviceAdd { name: None, yes: self.args.yes, stdin: false };
            device::add(&mut iam, &add).map_err(|failure| match failure.exit {
                Exit::NeedsCode => failure.hint(format!(
                    "mfa-agent device add --profile {} --stdin, then the same again",
                    word(self.profile)
                )),
                _ => failure,
            })?;
        }
        let mut iam = self.iam()?;
        match iam.call(&Signed::Session, &IamCall::GetCallerIdentity)? {
            IamAnswer::CallerIdentity(identity) => {
                output::words(&format!("with MFA, AWS knows {} as {}", self.profile, identity.arn));
            }
            _ => return Err(unexpected()),
        }
        if !state.policy_in_force && !self.args.no_policy {
            self.policy(&mut iam)?;
        }
        if let Some(file) = state.rc_file.as_ref().filter(|file| !file.loads) {
            self.hook(file)?;
        }
        let profile = word(self.profile);
        let shell = Shell::of_program(platform::parent_program().as_deref()).unwrap_or(Shell::Posix);
        let evaluation = shell.evaluation(&format!(" {profile}"));
        output::words(&format!("done; in this shell: {}", evaluation.unwrap_or_default()));
        output::words(&format!("in every new one: mfa-agent use {profile}"));
        Ok(())
    }

    fn iam(&self) -> Result<Iam<'_>, Failure> {
        let asker = Asker::new(self.agent, &self.args.code, false)?;
        Ok(Iam::new(self.agent, Some(self.profile), asker))
    }

    /// Asks for what is neither given nor there, unless nobody is to be asked.
    fn settings(&self, held: &Settings) -> Result<(), Failure> {
        let Setup { region, output, yes, .. } = self.args;
        let mut wanted = Settings { region: region.clone(), output: output.clone() };
        let given = wanted != Settings::default();
        let missing = held.region.is_none() && region.is_none() || held.output.is_none() && output.is_none();
        if missing
            && !yes
            && let Some(mut terminal) = Terminal::open()
        {
            wanted = settings::ask(&mut terminal, self.profile, held, wanted, AskFor::Missing)?;
        } else if !given {
            return Ok(());
        }
        settings::write(self.profile, &wanted)
    }

    /// Where the key comes from is asked, unless it is said.
    fn key(&self) -> Result<(), Failure> {
        let mut file = self.args.key.clone();
        let mut remove_file = false;
        let terminal = if self.args.yes { None } else { Terminal::open() };
        let keyring = match &terminal {
            Some(terminal) if !self.args.keyring && self.has_keyring()? => {
                terminal.write(KEYRING);
                interview::agrees(terminal, "Keep the key in the keyring?")?
            }
            _ => self.args.keyring,
        };
        if file.is_none() {
            let terminal = terminal.ok_or_else(|| {
                Failure::new(
                    Exit::Usage,
                    format!("{} has no key, and nobody can be asked for one", self.profile),
                )
                .hint(format!("mfa-agent setup {} --key accessKeys.csv", word(self.profile)))
            })?;
            let offered = downloaded(self.environment);
            let question = "The CSV file of the AWS console with the key, or none to type it";
            let answer = interview::line(&terminal, question, offered.as_deref().unwrap_or("none"))?;
            if answer != "none" {
                let place = if keyring { "the keyring" } else { "~/.aws/credentials" };
                let question = format!("Delete {answer} when the key is in {place}?");
                remove_file = interview::agrees(&terminal, &question)?;
                file = Some(expanded(&answer, self.environment));
            }
        }
        self.import(file, keyring, remove_file)
    }

    fn import(&self, file: Option<PathBuf>, keyring: bool, remove_file: bool) -> Result<(), Failure> {
        let import = KeysImport { file, user: None, keyring, force: false, remove_file };
        keys::import(&import, self.profile, self.environment)
    }

    /// Whether there is one that is open. Where it is locked nothing is said of it: who wants it can say so.
    fn has_keyring(&self) -> Result<bool, Failure> {
        match self.agent.ask(Request::Health, None)?.reply {
            Reply::Health(health) => Ok(health.keyring == Some(KeyringState::Unlocked)),
            _ => Ok(false),
        }
    }

    /// Offers to attach the policy. Who may not is told what to give to somebody who may; the rest works without it.
    fn policy(&self, iam: &mut Iam<'_>) -> Result<(), Failure> {
        let change = PolicyChange {
            user: None,
            group: None,
            policy: "require-mfa".to_owned(),
            yes: self.args.yes,
            code: Code::default(),
        };
        let text = PolicyText { variant: Variant::default() };
        output::words(
            "AWS asks for no MFA yet; this policy makes it ask for everything but what leads to a session:",
        );
        match policy::attach::attach(iam, &PolicyAttach { text, change, force: false }) {
            Err(failure) if failure.exit == Exit::Aws => {
                output::words(&format!("without the policy for now: {}", failure.what));
                output::words("an administrator attaches it: mfa-agent policy print shows it");
                Ok(())
            }
            // Not now: all else goes on.
            Err(failure) if failure == Failure::cancelled() => {
                output::words("without the policy for now; later: mfa-agent policy attach");
                Ok(())
            }
            done => done,
        }
    }

    fn hook(&self, file: &RcFile) -> Result<(), Failure> {
        let path = file.path.display().to_string();
        let lines = file.change()?;
        output::words("The hook keeps the credentials of every shell right:");
        if self.args.yes {
            for line in [path.as_str()].into_iter().chain(lines.iter().map(String::as_str)) {
                output::words(line);
            }
        } else {
            let Some(terminal) = Terminal::open() else { return Ok(()) };
            for line in [path.as_str()].into_iter().chain(lines.iter().map(String::as_str)) {
                terminal.write(&format!("{}\n", sanitize(line)));
            }
            if !interview::agrees(&terminal, "Add this?")? {
                output::words("without the hook for now; later: mfa-agent doctor");
                return Ok(());
            }
        }
        file.add()?;
        output::words(&format!("{path} loads the hook now"));
        Ok(())
    }
}

/// The newest file that the console may have let the person download.
fn downloaded(environment: &Environment) -> Option<String> {
    let home = PathBuf::from(environment.home.as_deref()?);
    let is_one = |name: &str| {
        let name = name.to_ascii_lowercase();
        name.rsplit('.').next() == Some("csv")
            && (name.contains("accesskeys") || name.contains("credentials"))
    };
    let mut found = Vec::new();
    for folder in [PathBuf::from("."), home.join("Downloads"), home] {
        for entry in std::fs::read_dir(&folder).into_iter().flatten().flatten() {
            if entry.file_name().to_str().is_some_and(is_one) {
                found.push((entry.metadata().and_then(|metadata| metadata.modified()).ok(), entry.path()));
            }
        }
    }
    let (_, path) = found.into_iter().max()?;
    Some(path.to_str()?.to_owned())
}

/// A path as people type it.
fn expanded(path: &str, environment: &Environment) -> PathBuf {
    match (path.strip_prefix("~/"), &environment.home) {
        (Some(rest), Some(home)) => PathBuf::from(home).join(rest),
        _ => PathBuf::from(path),
    }
}
