//! `mfa-agent aws-mfa`: broamski/aws-mfa's sections, options, variables and words, on the agent's sessions. The one
//! command that writes a session to disk.

use std::path::{Path, PathBuf};
use std::time::Duration;

use aws_files::{Document, Kind};
use protocol::{Credentials, Refusal, Reply, Request, SESSION_SECONDS};

use super::env;
use crate::access_key::{self, AccessKey, last_four};
use crate::agent::{Agent, unexpected};
use crate::args::{AwsMfa, Code, LogLevel};
use crate::aws_file::{self, get, has, is_set, set};
use crate::clock;
use crate::environment::{AwsMfaVariables, Environment};
use crate::failure::{Exit, Failure};
use crate::interview;
use crate::message;
use crate::mfa::{Asker, Round};
use crate::output;
use crate::platform::Terminal;
use crate::shell::word;

/// What `AssumeRole` accepts as `DurationSeconds`.
const ROLE_SECONDS: std::ops::RangeInclusive<u32> = 900..=43_200;

/// The settings of a short-term section, all of which make it valid.
const SHORT_TERM: [&str; 6] = [
    "assumed_role",
    "aws_access_key_id",
    "aws_secret_access_key",
    "aws_session_token",
    "aws_security_token",
    "expiration",
];

pub fn run(args: &AwsMfa, option: Option<&str>, environment: &Environment) -> Result<(), Failure> {
    let done = Invocation::new(args, option, environment).and_then(|invocation| {
        if args.setup { invocation.set_up() } else { invocation.refresh(environment) }
    });
    // Scripts know 0, 1 and, for wrong usage, 2.
    done.map_err(|failure| match failure.exit {
        Exit::Cancelled => failure,
        _ => {
            Failure { hint: failure.what_to_do().map(str::to_owned), exit: Exit::Failed, what: failure.what }
        }
    })
}

/// What was asked for, worked out.
struct Invocation<'a> {
    args: &'a AwsMfa,
    variables: AwsMfaVariables,
    file: PathBuf,
    profile: String,
    long_term: String,
    short_term: String,
}

impl<'a> Invocation<'a> {
    fn new(args: &'a AwsMfa, option: Option<&str>, environment: &Environment) -> Result<Self, Failure> {
        let profile = match (option, &environment.aws_profile) {
            (Some(named), _) => named.to_owned(),
            (None, Some(named)) => named
                .to_str()
                .ok_or_else(|| Failure::new(Exit::Usage, "AWS_PROFILE is not UTF-8"))?
                .to_owned(),
            (None, None) => "default".to_owned(),
        };
        let section = |suffix: Option<&str>, default: &str| match suffix {
            None => format!("{profile}{default}"),
            Some(suffix) if suffix.eq_ignore_ascii_case("none") => profile.clone(),
            Some(suffix) => format!("{profile}-{suffix}"),
        };
        let long_term = section(args.long_term_suffix.as_deref(), "-long-term");
        let short_term = section(args.short_term_suffix.as_deref(), "");
        let file = aws_file::path(Kind::Credentials)?;
        Ok(Self { args, variables: AwsMfaVariables::read(), file, profile, long_term, short_term })
    }

    /// Tells what is done, in aws-mfa's words where scripts look for them.
    fn say(&self, level: LogLevel, words: &str) {
        if level >= self.args.log_level {
            let name = if level == LogLevel::Warning { "WARNING" } else { "INFO" };
            output::words(&format!("{name} - {words}"));
        }
    }

    fn refresh(&self, environment: &Environment) -> Result<(), Failure> {
        let Self { args, variables, file, profile, long_term, short_term } = self;
        if long_term == short_term {
            return Err(Failure::new(
                Exit::Usage,
                format!("the key and the session cannot both be in [{long_term}]"),
            )
            .hint("give the session a section of its own: --short-term-suffix mfa"));
        }
        let document = aws_file::read(file, Kind::Credentials)?;
        let held_role = get(&document, file, short_term, "assumed_role_arn")?;
        let with_role =
            held_role.as_ref().map(|role| format!(" with assumed role: {role}")).unwrap_or_default();
        self.say(LogLevel::Info, &format!("Validating credentials for profile: {short_term}{with_role}"));

        self.check_key(&document)?;
        let chosen = |option: &Option<String>, variable: &Option<String>, key: &str| {
            let given = option.as_ref().filter(|value| !value.is_empty()).or(variable.as_ref());
            given.map_or_else(|| get(&document, file, long_term, key), |given| Ok(Some(given.clone())))
        };
        let serial = chosen(&args.device, &variables.device, "aws_mfa_device")?;
        let role_arn = chosen(&args.assume_role, &variables.role, "assume_role")?;
        let duration = self.duration(role_arn.is_some())?;
        if self.is_still_valid(&document, role_arn.as_deref())? {
            return Ok(());
        }

        let agent = Agent::locate(environment)?;
        check_file(&agent, file)?;
        let code = Code { code: args.token.clone(), duration: None };
        let mut asker = Asker::new(&agent, &code, false)?;
        let wanted = protocol::AwsMfa {
            profile: profile.clone(),
            key_section: long_term.clone(),
            serial,
            role_session_name: role_arn.as_ref().and_then(|_| self.role_session_name()),
            duration,
            role_arn,
        };
        let seconds = duration.map_or(String::new(), |seconds| format!(", Duration: {seconds}"));
        self.say(
            LogLevel::Info,
            &match &wanted.role_arn {
                Some(role) => format!("Assuming Role - Profile: {short_term}, Role: {role}{seconds}"),
                None => format!("Fetching Credentials - Profile: {short_term}{seconds}"),
            },
        );
        asker.set_aws_mfa(wanted.clone());
        // AWS gives a session of another length for another code alone.
        let force = args.force || duration.is_some() && wanted.role_arn.is_none();
        let reply = asker.get(|ask, round| Request::AwsMfa {
            wanted: wanted.clone(),
            ask,
            force: force && round == Round::First,
            code: None,
        })?;
        let Reply::Credentials(credentials) = reply else { return Err(unexpected()) };
        env::check(&credentials)?;
        self.write(&credentials, wanted.role_arn.as_deref())?;
        if asker.has_unused_code() {
            self.say(LogLevel::Info, "The code was not needed: the agent holds the session");
        }
        self.say(
            LogLevel::Warning,
            &format!(
                "This session is on disk now, for every program of yours: [{short_term}] in {}",
                file.display()
            ),
        );
        let left = credentials.expires_at.saturating_sub(clock::now());
        let moment = expiration(&credentials);
        self.say(
            LogLevel::Info,
            &format!("Success! Your credentials will expire in {left} seconds at: {moment}+00:00"),
        );
        Ok(())
    }

    /// The long-term section has a key, or there is nothing to ask a code for.
    fn check_key(&self, document: &Document) -> Result<(), Failure> {
        let Self { file, profile, long_term, .. } = self;
        let mut missing = None;
        if has(document, file, long_term)? {
            for key in ["aws_secret_access_key", "aws_access_key_id"] {
                if !is_set(document, file, long_term, key)? {
                    missing = Some(format!("no {key} in [{long_term}] of {}", file.display()));
                }
            }
        } else {
            missing =
                Some(format!("no section [{long_term}], with the long-term key, in {}", file.display()));
        }
        let Some(what) = missing else { return Ok(()) };
        let suffix = self.args.long_term_suffix.as_ref();
        let suffix = suffix.map(|suffix| format!(" --long-term-suffix {}", word(suffix))).unwrap_or_default();
        Err(Failure::new(Exit::Configuration, what)
            .hint(format!("mfa-agent aws-mfa --setup --profile {}{suffix}", word(profile))))
    }

    /// How long the credentials shall last, where somebody says so.
    fn duration(&self, role: bool) -> Result<Option<u32>, Failure> {
        let seconds = match (self.args.duration, &self.variables.duration) {
            (Some(seconds), _) if seconds > 0 => seconds,
            (_, Some(text)) => protocol::duration::parse(text).ok_or_else(|| {
                Failure::new(Exit::Usage, format!("MFA_STS_DURATION is no number of seconds: {text}"))
                    .hint("export MFA_STS_DURATION=43200")
            })?,
            _ => 0,
        };
        let bounds = if role { ROLE_SECONDS } else { SESSION_SECONDS };
        match seconds {
            0 => Ok(None),
            seconds if bounds.contains(&seconds) => Ok(Some(seconds)),
            seconds => {
                let (least, most) = (*bounds.start(), *bounds.end());
                Err(message::refused(&Refusal::DurationOutOfBounds { seconds, least, most }))
            }
        }
    }

    /// The name of a role's session: the one given, else the person's, as far as STS takes it.
    fn role_session_name(&self) -> Option<String> {
        let given = self.args.role_session_name.clone().filter(|name| !name.is_empty());
        given.or_else(|| {
            let allowed = |c: char| c.is_ascii_alphanumeric() || "_+=,.@-".contains(c);
            let user = self.variables.user.clone()?;
            ((2..=64).contains(&user.len()) && user.chars().all(allowed)).then_some(user)
        })
    }

    /// Whether the short-term section holds what is wanted, and says so; else why not.
    fn is_still_valid(&self, document: &Document, role: Option<&str>) -> Result<bool, Failure> {
        let Self { file, short_term, .. } = self;
        let get = |key| get(document, file, short_term, key);
        if !has(document, file, short_term)? {
            let words =
                format!("Short term credentials section {short_term} is missing, obtaining new credentials.");
            self.say(LogLevel::Info, &words);
            return Ok(false);
        }
        let mut complete = true;
        for key in SHORT_TERM {
            complete &= is_set(document, file, short_term, key)?;
        }
        let expiration = get("expiration")?.unwrap_or_default();
        let expires = clock::epoch_seconds(&expiration);
        let (true, Some(expires)) = (complete, expires) else {
            let words = "Your existing credentials are missing or invalid, obtaining new credentials.";
            self.say(LogLevel::Warning, words);
            return Ok(false);
        };
        if self.args.force {
            self.say(LogLevel::Info, "Forcing refresh of credentials.");
            return Ok(false);
        }
        if get("assumed_role_arn")?.as_deref() != role {
            self.say(LogLevel::Info, "Obtaining credentials for a new role or profile.");
            return Ok(false);
        }
        let left = Duration::from_secs(expires).checked_sub(clock::since_epoch());
        let Some(left) = left else {
            self.say(LogLevel::Info, "Your credentials have expired, renewing.");
            return Ok(false);
        };
        self.say(
            LogLevel::Info,
            &format!(
                "Your credentials are still valid for {:.6} seconds they will expire at {expiration}",
                left.as_secs_f64()
            ),
        );
        Ok(true)
    }

    fn write(&self, credentials: &Credentials, role: Option<&str>) -> Result<(), Failure> {
        let Self { file, short_term, .. } = self;
        let expiration = expiration(credentials);
        let token = credentials.session_token.expose();
        aws_file::edit(file, Kind::Credentials, |document| {
            let mut set = |key, value| set(document, file, short_term, key, value);
            set("assumed_role", if role.is_some() { "True" } else { "False" })?;
            if let Some(role) = role {
                set("assumed_role_arn", role)?;
            }
            set("aws_access_key_id", &credentials.access_key_id)?;
            set("aws_secret_access_key", credentials.secret_access_key.expose())?;
            set("aws_session_token", token)?;
            // For programs that use the first boto.
            set("aws_security_token", token)?;
            set("expiration", &expiration)?;
            match role {
                Some(_) => Ok(()),
                None => aws_file::remove(document, file, short_term, "assumed_role_arn"),
            }
        })
    }

    fn set_up(&self) -> Result<(), Failure> {
        let mut terminal = Terminal::open().ok_or_else(|| {
            Failure::new(Exit::NeedsCode, "--setup asks for a key, and nobody can be asked")
                .hint("run it in a terminal")
        })?;
        let profile = interview::line(&terminal, "Profile name to", &self.profile)?;
        let long_term = match self.args.long_term_suffix.as_deref() {
            None => format!("{profile}-long-term"),
            Some(suffix) if suffix.eq_ignore_ascii_case("none") => profile.clone(),
            Some(suffix) => format!("{profile}-{suffix}"),
        };
        let id = interview::unseen(&mut terminal, "aws_access_key_id")?;
        access_key::check_id(&id).map_err(access_key::mistyped)?;
        let secret = interview::unseen(&mut terminal, "aws_secret_access_key")?;
        let key = AccessKey::new(id, secret).map_err(access_key::mistyped)?;
        let file = &self.file;
        let document = aws_file::read(file, Kind::Credentials)?;
        let held = get(&document, file, &long_term, "aws_access_key_id")?;
        if let Some(held) = held.filter(|held| *held != key.id()) {
            let question = format!("[{long_term}] has the key …{} already. Replace it?", last_four(&held));
            if !interview::agrees(&terminal, &question)? {
                return Err(Failure::cancelled());
            }
        }
        aws_file::edit(file, Kind::Credentials, |document| {
            key.set(document, file, &long_term)?;
            match &self.args.device {
                Some(device) => set(document, file, &long_term, "aws_mfa_device", device),
                None => Ok(()),
            }
        })?;
        self.say(LogLevel::Info, &format!("[{long_term}] is in {} now", file.display()));
        Ok(())
    }
}

/// The agent must mean the same file: the key that it uses is the one of the section that was looked at.
fn check_file(agent: &Agent, file: &Path) -> Result<(), Failure> {
    let Reply::Status(status) = agent.ask(Request::Status, None)?.reply else { return Err(unexpected()) };
    match status.config_files.get(1) {
        Some(theirs) if *theirs != file.display().to_string() => Err(Failure::new(
            Exit::Agent,
            format!("the agent reads {theirs}, and this shell names {}", file.display()),
        )
        .hint("let it start anew with this shell's AWS_SHARED_CREDENTIALS_FILE: mfa-agent agent restart")),
        _ => Ok(()),
    }
}

/// The end of the credentials as aws-mfa writes it: UTC, without saying so.
fn expiration(credentials: &Credentials) -> String {
    credentials.expiration.replace('T', " ").trim_end_matches('Z').to_owned()
}
