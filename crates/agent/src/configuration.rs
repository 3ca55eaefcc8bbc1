//! Our own `config.toml`. A key that is not known is an error: a setting that silently does nothing is worse
//! than none.

mod rules;

use std::collections::BTreeMap;
use std::io;
use std::ops::RangeInclusive;
use std::path::Path;

use protocol::{CALL_SECONDS, NamedRole, Refusal, SESSION_SECONDS, TerminalNotification};
use serde::{Deserialize, Deserializer, Serialize, de};

use crate::platform;

pub use rules::Rules;

/// After how much time that nobody needs it the agent may end, in seconds.
const IDLE_SECONDS: RangeInclusive<u32> = 60..=86_400;

/// What the person configured.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Configuration {
    /// The profile where none is named.
    pub default_profile: Option<String>,
    /// How long MFA sessions shall last, in seconds.
    #[serde(default, deserialize_with = "span")]
    pub duration: Option<u32>,
    /// How long before a session's end people are told, in seconds, longest first.
    #[serde(default = "notify_before", deserialize_with = "spans")]
    notify_before: Vec<u32>,
    #[serde(default)]
    auto_prompt: AutoPrompt,
    #[serde(default)]
    terminal_notification: Option<TerminalNotification>,
    /// What locks the agent by itself.
    #[serde(default, deserialize_with = "lock_on")]
    lock_on: LockOn,
    /// How long a session may stay unused before it is forgotten, in seconds.
    #[serde(default, deserialize_with = "unused_span")]
    forget_unused: Option<u32>,
    #[serde(default, deserialize_with = "prompter")]
    prompter: Option<String>,
    #[serde(default)]
    confirm: bool,
    /// After how much time that nobody needs the agent it ends, in seconds.
    #[serde(default, deserialize_with = "idle_span")]
    exit_when_idle: Option<u32>,
    /// How long a connection to AWS may take, in seconds.
    #[serde(default = "connect_timeout", deserialize_with = "connect_span")]
    pub connect_timeout: u32,
    /// How long a whole call to AWS may take, its retries included, in seconds.
    #[serde(default = "call_timeout", deserialize_with = "call_span")]
    pub call_timeout: u32,
    /// Settings of single profiles.
    #[serde(default)]
    pub profile: BTreeMap<String, ProfileConfiguration>,
}

/// When the prompt's hook asks for a code by itself.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AutoPrompt {
    /// When the session has expired.
    #[default]
    Expired,
    /// When the session is about to expire, too.
    Expiring,
    /// Not at all.
    Never,
}

/// What locks the agent by itself.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct LockOn {
    /// The person's screen is locked.
    pub screen_lock: bool,
    /// The machine goes to sleep.
    pub suspend: bool,
    /// Then everything is forgotten, too.
    pub wipe_on_suspend: bool,
    /// Nobody is at the desktop for so many seconds.
    pub idle: Option<u32>,
}

impl Default for Configuration {
    fn default() -> Self {
        Self {
            default_profile: None,
            duration: None,
            notify_before: notify_before(),
            auto_prompt: AutoPrompt::default(),
            terminal_notification: None,
            lock_on: LockOn::default(),
            forget_unused: None,
            prompter: None,
            confirm: false,
            exit_when_idle: None,
            connect_timeout: connect_timeout(),
            call_timeout: call_timeout(),
            profile: BTreeMap::new(),
        }
    }
}

fn notify_before() -> Vec<u32> {
    vec![600, 120]
}

fn connect_timeout() -> u32 {
    3
}

fn call_timeout() -> u32 {
    15
}

/// What the person configured for one profile.
#[derive(Debug, Default, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProfileConfiguration {
    /// How long its MFA sessions shall last, in seconds.
    #[serde(default, deserialize_with = "span")]
    pub duration: Option<u32>,
    #[serde(default, deserialize_with = "own_spans")]
    notify_before: Option<Vec<u32>>,
    auto_prompt: Option<AutoPrompt>,
    terminal_notification: Option<TerminalNotification>,
    #[serde(default, deserialize_with = "own_lock_on")]
    lock_on: Option<LockOn>,
    #[serde(default, deserialize_with = "unused_span")]
    forget_unused: Option<u32>,
    #[serde(default, deserialize_with = "prompter")]
    prompter: Option<String>,
    confirm: Option<bool>,
    /// Further variables that it sets.
    #[serde(default)]
    pub env: BTreeMap<String, String>,
}

impl Configuration {
    /// Whether the person must say yes before a profile's credentials are given out. A role that is named by its ARN
    /// is given out no more easily than the profile that it is assumed from.
    pub fn confirm(&self, profile: &str) -> bool {
        self.own(profile, |own| own.confirm).unwrap_or(self.confirm)
    }

    /// How long the session shall last that a code opens for a profile, in seconds.
    pub fn duration(&self, profile: &str) -> Option<u32> {
        self.own(profile, |own| own.duration)
    }

    /// When the prompt's hook asks for a code for a profile by itself.
    pub fn auto_prompt(&self, profile: &str) -> AutoPrompt {
        self.own(profile, |own| own.auto_prompt).unwrap_or(self.auto_prompt)
    }

    /// How the terminal of the shell that says that a profile's end is near shows it besides.
    pub fn terminal_notification(&self, profile: &str) -> Option<TerminalNotification> {
        self.own(profile, |own| own.terminal_notification).or(self.terminal_notification)
    }

    /// The program that asks for a profile through the desktop, by name or path.
    pub fn prompter(&self, profile: &str) -> Option<&str> {
        self.own(profile, |own| own.prompter.as_deref()).or(self.prompter.as_deref())
    }

    /// The programs that may ask through the desktop, by name or path.
    pub fn prompters(&self) -> impl Iterator<Item = &str> {
        let own = self.profile.values().filter_map(|own| own.prompter.as_deref());
        self.prompter.as_deref().into_iter().chain(own)
    }

    /// Whether something locks the agent by itself.
    pub fn locks(&self) -> bool {
        let own = self.profile.values().filter_map(|own| own.lock_on);
        [self.lock_on].into_iter().chain(own).any(|lock_on| lock_on != LockOn::default())
    }

    fn own<'a, T: 'a>(
        &'a self,
        profile: &str,
        setting: impl Fn(&'a ProfileConfiguration) -> Option<T>,
    ) -> Option<T> {
        settings_of(&self.profile, profile).find_map(setting)
    }

    /// Reads the file; one that is not there is an empty one.
    pub fn read(path: Option<&Path>) -> Result<Self, Refusal> {
        let Some(path) = path else { return Ok(Self::default()) };
        let refuse = |line, problem| Refusal::Unparseable { file: path.display().to_string(), line, problem };
        let text = match platform::read_file(path)
            .and_then(|bytes| String::from_utf8(bytes).map_err(|_| io::Error::other("it is no UTF-8 text")))
        {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Self::default()),
            Err(error) => return Err(refuse(None, error.to_string())),
        };
        let configuration = Self::parse(&text).map_err(|(line, problem)| refuse(line, problem))?;
        if configuration.prompters().next().is_some() && !platform::is_ours_alone(path) {
            let problem =
                "it names a program to run, and others can write to it; chmod go-w makes it yours alone";
            return Err(refuse(None, problem.to_owned()));
        }
        Ok(configuration)
    }

    /// What a text says; or the line, where there is one, and the problem.
    pub fn parse(text: &str) -> Result<Self, (Option<u32>, String)> {
        toml::from_str(text).map_err(|error| {
            let line = error.span().and_then(|span| {
                let before = text.get(..span.start)?;
                u32::try_from(before.matches('\n').count() + 1).ok()
            });
            (line, problem(error.message()))
        })
    }
}

/// A profile's own settings; of a role that is named by its ARN also those of the profile that it is assumed from.
fn settings_of<'a, T>(all: &'a BTreeMap<String, T>, profile: &str) -> impl Iterator<Item = &'a T> {
    let source = NamedRole::of(profile).and_then(|role| role.source);
    [Some(profile), source].into_iter().flatten().filter_map(|name| all.get(name))
}

/// The parser's words, and for an unknown key the known one that is most like it.
fn problem(message: &str) -> String {
    let message = message.lines().next().unwrap_or_default();
    // `invalid type: string "VALUE", expected …`: the value may be a secret.
    if message.starts_with("invalid ")
        && let Some((_, expected)) = message.rsplit_once(", expected ")
    {
        return format!("a value of the wrong kind; expected {expected}");
    }
    let mut quoted = message.split('`').skip(1).step_by(2);
    match (message.starts_with("unknown field"), quoted.next()) {
        // Known above the profiles, or one of those would be named.
        (
            true,
            Some(unknown @ ("default_profile" | "exit_when_idle" | "connect_timeout" | "call_timeout")),
        ) => {
            format!("{unknown} is for all profiles: it stands above the first [profile.NAME]")
        }
        (true, Some(unknown)) => match quoted.max_by(|one, other| {
            strsim::jaro_winkler(unknown, one).total_cmp(&strsim::jaro_winkler(unknown, other))
        }) {
            Some(nearest) => format!("unknown key \"{unknown}\"; did you mean \"{nearest}\"?"),
            None => format!("unknown key \"{unknown}\""),
        },
        _ => message.to_owned(),
    }
}

/// A list of spans, as texts; longest first.
fn spans<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u32>, D::Error> {
    let texts = Vec::<String>::deserialize(deserializer)?;
    let mut spans = texts
        .iter()
        .map(|text| protocol::duration::parse(text).filter(|seconds| *seconds > 0))
        .collect::<Option<Vec<_>>>()
        .ok_or_else(|| de::Error::custom("notify_before is a list of spans, e.g. [\"10m\", \"2m\"]"))?;
    spans.sort_unstable_by(|one, other| other.cmp(one));
    spans.dedup();
    Ok(spans)
}

fn own_spans<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Vec<u32>>, D::Error> {
    spans(deserializer).map(Some)
}

fn own_lock_on<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<LockOn>, D::Error> {
    lock_on(deserializer).map(Some)
}

/// A list of words, of `{ idle = SPAN }` and of `{ suspend = "wipe" }`.
fn lock_on<'de, D: Deserializer<'de>>(deserializer: D) -> Result<LockOn, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged, deny_unknown_fields)]
    enum Item {
        Word(String),
        Idle { idle: String },
        Suspend { suspend: String },
    }
    let refused = || {
        let items = "\"screen-lock\", \"suspend\", { suspend = \"wipe\" } and { idle = \"30m\" }";
        de::Error::custom(format!("lock_on is a list of {items}"))
    };
    let mut lock_on = LockOn::default();
    for item in Vec::<Item>::deserialize(deserializer).map_err(|_| refused())? {
        match item {
            Item::Word(word) if word == "screen-lock" => lock_on.screen_lock = true,
            Item::Word(word) if word == "suspend" => lock_on.suspend = true,
            Item::Suspend { suspend } if suspend == "wipe" => {
                (lock_on.suspend, lock_on.wipe_on_suspend) = (true, true);
            }
            Item::Word(_) | Item::Suspend { .. } => return Err(refused()),
            Item::Idle { idle } => {
                let span = protocol::duration::parse(&idle).filter(|seconds| *seconds > 0);
                lock_on.idle = Some(span.ok_or_else(refused)?);
            }
        }
    }
    Ok(lock_on)
}

/// A program whose way of asking is known.
fn prompter<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    let name = String::deserialize(deserializer)?;
    if crate::prompter::is_known(&name) {
        Ok(Some(name))
    } else {
        let words =
            "a prompter is pinentry (or pinentry-…), zenity, kdialog or osascript, by name or whole path";
        Err(de::Error::custom(words))
    }
}

/// A span of an MFA session.
fn span<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u32>, D::Error> {
    let refused = "a duration is 900 to 129600 seconds (\"15m\" to \"36h\")";
    span_within(deserializer, SESSION_SECONDS, refused).map(Some)
}

fn unused_span<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u32>, D::Error> {
    span_within(
        deserializer,
        1..=*SESSION_SECONDS.end(),
        "forget_unused is 1 to 129600 seconds (\"1s\" to \"36h\")",
    )
    .map(Some)
}

fn idle_span<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u32>, D::Error> {
    let refused = "exit_when_idle is a minute to a day (\"1m\" to \"24h\")";
    span_within(deserializer, IDLE_SECONDS, refused).map(Some)
}

fn connect_span<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u32, D::Error> {
    span_within(deserializer, CALL_SECONDS, "connect_timeout is 1 to 60 seconds (\"1s\" to \"1m\")")
}

fn call_span<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u32, D::Error> {
    span_within(deserializer, CALL_SECONDS, "call_timeout is 1 to 60 seconds (\"1s\" to \"1m\")")
}

/// A span as a text or a number of seconds.
fn span_within<'de, D: Deserializer<'de>>(
    deserializer: D,
    bounds: RangeInclusive<u32>,
    refused: &str,
) -> Result<u32, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Span {
        Seconds(u32),
        Text(String),
    }
    let seconds = match Span::deserialize(deserializer)? {
        Span::Seconds(seconds) => Some(seconds),
        Span::Text(text) => protocol::duration::parse(&text),
    };
    seconds.filter(|seconds| bounds.contains(seconds)).ok_or_else(|| de::Error::custom(refused))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn read(text: &str) -> Result<Configuration, Refusal> {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), text).unwrap();
        Configuration::read(Some(file.path()))
    }

    fn refused(text: &str) -> (Option<u32>, String) {
        match read(text) {
            Err(Refusal::Unparseable { line, problem, .. }) => (line, problem),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn settings_are_read() {
        let configuration = read(
            "default_profile = 'dev'\nduration = '1h'\n[profile.dev]\nduration = 900\nenv.TF_VAR_x = 'y'\n",
        )
        .unwrap();
        assert_eq!(configuration.default_profile.as_deref(), Some("dev"));
        assert_eq!(configuration.duration, Some(3_600));
        assert_eq!(configuration.profile["dev"].duration, Some(900));
        assert!(!configuration.confirm("dev"));
        let configuration = read("confirm = true\n[profile.dev]\nconfirm = false\n").unwrap();
        assert!(configuration.confirm("prod") && !configuration.confirm("dev"));
    }

    #[test]
    fn variables_of_a_profile_are_read() {
        let configuration = read("[profile.dev]\nenv.TF_VAR_x = 'y'\n").unwrap();
        assert_eq!(configuration.profile["dev"].env["TF_VAR_x"], "y");
    }

    #[test]
    fn a_profile_has_its_own() {
        let text = "auto_prompt = 'never'\nterminal_notification = 'osc9'\nprompter = 'kdialog'\n[profile.dev]\n\
                    auto_prompt = 'expiring'\nterminal_notification = 'osc99'\nprompter = 'zenity'\n";
        let read = read(text).unwrap();
        assert_eq!(
            (read.auto_prompt("dev"), read.auto_prompt("prod")),
            (AutoPrompt::Expiring, AutoPrompt::Never)
        );
        assert_eq!((read.prompter("dev"), read.prompter("prod")), (Some("zenity"), Some("kdialog")));
        assert_eq!(read.terminal_notification("dev"), Some(TerminalNotification::Osc99));
        assert_eq!(read.terminal_notification("prod"), Some(TerminalNotification::Osc9));
        assert_eq!(refused("[profile.dev]\nprompter = 'rofi'\n").0, Some(2));
        assert_eq!(refused("[profile.dev]\nnotify_before = ['x']\n").0, Some(2));
    }

    #[test]
    fn an_agent_stays_unless_a_span_is_named() {
        let ends = |text: &str| read(text).unwrap().exit_when_idle;
        assert_eq!(ends(""), None);
        assert_eq!((ends("exit_when_idle = '1m'"), ends("exit_when_idle = 86400")), (Some(60), Some(86_400)));
        for wrong in ["'59s'", "'25h'", "0", "true"] {
            assert_eq!(refused(&format!("exit_when_idle = {wrong}")).0, Some(1), "{wrong}");
        }
        let words = "exit_when_idle is for all profiles: it stands above the first [profile.NAME]";
        assert_eq!(refused("[profile.dev]\nexit_when_idle = '1m'\n").1, words);
    }

    #[test]
    fn what_locks_is_a_list() {
        let lock_on = |text: &str| read(text).unwrap().lock_on;
        assert_eq!(lock_on(""), LockOn::default());
        assert_eq!(
            lock_on("lock_on = ['suspend', { idle = '30m' }]"),
            LockOn { suspend: true, idle: Some(1_800), ..LockOn::default() }
        );
        assert_eq!(
            lock_on("lock_on = [{ suspend = 'wipe' }]"),
            LockOn { suspend: true, wipe_on_suspend: true, ..LockOn::default() }
        );
        for wrong in [
            "['sleep']",
            "[{ suspend = 'x' }]",
            "[{ idle = '0' }]",
            "[{ idle = 'x' }]",
            "[{ idl = '1m' }]",
            "'suspend'",
            "[3]",
        ] {
            let refused = refused(&format!("lock_on = {wrong}\n"));
            assert!(refused.1.starts_with("lock_on is a list of"), "{wrong}: {refused:?}");
        }
    }

    #[test]
    fn a_call_has_its_time_and_never_more_than_a_client_waits() {
        let limits = |text: &str| read(text).map(|read| (read.connect_timeout, read.call_timeout));
        assert_eq!(limits(""), Ok((3, 15)));
        assert_eq!(limits("connect_timeout = '10s'\ncall_timeout = '1m'\n"), Ok((10, 60)));
        assert_eq!(limits("call_timeout = 5\n"), Ok((3, 5)));
        for wrong in ["'0s'", "'61s'", "0", "61", "'x'"] {
            let (line, problem) = refused(&format!("\ncall_timeout = {wrong}\n"));
            assert_eq!(
                (line, problem.as_str()),
                (Some(2), "call_timeout is 1 to 60 seconds (\"1s\" to \"1m\")")
            );
        }
        assert!(refused("connect_timeout = '2m'\n").1.starts_with("connect_timeout is"));
    }

    #[test]
    fn how_long_a_session_may_stay_unused_is_a_span() {
        assert_eq!(read("forget_unused = '4h'\n").unwrap().forget_unused, Some(14_400));
        for wrong in ["'0s'", "'37h'", "0", "'never'"] {
            assert!(
                refused(&format!("forget_unused = {wrong}\n")).1.starts_with("forget_unused is"),
                "{wrong}"
            );
        }
    }

    #[test]
    fn mistakes_are_told_with_their_line() {
        assert_eq!(
            refused("duration = '1h'\ndefault_profil = 'dev'\n"),
            (Some(2), "unknown key \"default_profil\"; did you mean \"default_profile\"?".to_owned())
        );
        assert_eq!(refused("\n\nduration = '5m'\n").0, Some(3));
        assert_eq!(refused("duration\n").0, Some(1));
        for key in ["default_profile = 'x'", "connect_timeout = '1s'", "call_timeout = '1s'"] {
            let (line, problem) = refused(&format!("[profile.dev]\n{key}\n"));
            assert!(line == Some(2) && problem.contains("is for all profiles"), "{problem}");
        }
        let secret = refused("[profile]\ndev = 'needle'\n");
        assert!(!secret.1.contains("needle"), "{secret:?}");
    }

    #[test]
    fn a_prompter_is_one_that_we_know_how_to_ask() {
        assert_eq!(read("prompter = '/usr/bin/zenity'\n").unwrap().prompter("dev"), Some("/usr/bin/zenity"));
        assert_eq!(refused("\nprompter = 'rofi'\n").0, Some(2));
        assert_eq!(refused("prompter = 'bin/pinentry'\n").0, Some(1));
    }

    #[test]
    fn a_file_that_others_can_write_names_no_program() {
        use std::os::unix::fs::PermissionsExt;
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::set_permissions(file.path(), fs::Permissions::from_mode(0o620)).unwrap();
        fs::write(file.path(), "default_profile = 'dev'\n").unwrap();
        assert!(Configuration::read(Some(file.path())).is_ok());
        for text in ["prompter = 'zenity'\n", "[profile.dev]\nprompter = 'zenity'\n"] {
            fs::write(file.path(), text).unwrap();
            assert!(Configuration::read(Some(file.path())).is_err());
        }
    }

    #[test]
    fn no_file_is_an_empty_one() {
        assert!(Configuration::read(Some(Path::new("/nonexistent/config.toml"))).is_ok());
    }
}
