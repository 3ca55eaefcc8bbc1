//! The variables of the environment that the client obeys, each named here and nowhere else.

use std::env::var_os;
use std::ffi::OsString;
use std::path::PathBuf;

use protocol::address::SOCKET_VARIABLE;
use protocol::{NamedRole, Secret};

use crate::failure::{Exit, Failure};

/// What the surroundings say, read once.
#[derive(Debug, Default)]
pub struct Environment {
    /// `MFA_AGENT_SOCK`: another agent's socket.
    pub socket: Option<OsString>,
    /// `XDG_RUNTIME_DIR`: where our own agent's socket is.
    pub runtime_dir: Option<OsString>,
    /// `HOME`: where it is else.
    pub home: Option<OsString>,
    /// `AWS_PROFILE`: the profile, where the command line names none.
    pub aws_profile: Option<OsString>,
    /// `MFA_AGENT_PROFILE`: the profile that `env` gave to this shell.
    pub own_profile: Option<OsString>,
    /// `MFA_AGENT_LEASE`: the file that exists while what this shell was told is true.
    pub lease: Option<OsString>,
    /// `MFA_AGENT_LOOK`: there is no such file here; when this shell asks the agent instead, and the end of the key's
    /// id.
    pub look: Option<OsString>,
    /// `MFA_AGENT_LIVE`: this shell has live access, not credentials.
    pub live: bool,
    /// `AWS_ACCESS_KEY_ID`: the key that this shell holds.
    pub key_id: Option<OsString>,
    /// `AWS_REGION`.
    pub region: Option<OsString>,
    /// `AWS_DEFAULT_REGION`.
    pub default_region: Option<OsString>,
}

impl Environment {
    /// Reads them. An empty variable counts as none.
    pub fn read() -> Self {
        let read = |name| var_os(name).filter(|value| !value.is_empty());
        Self {
            socket: read(SOCKET_VARIABLE),
            runtime_dir: read("XDG_RUNTIME_DIR"),
            home: read("HOME"),
            aws_profile: read("AWS_PROFILE"),
            own_profile: read("MFA_AGENT_PROFILE"),
            lease: read("MFA_AGENT_LEASE"),
            look: read("MFA_AGENT_LOOK"),
            live: read("MFA_AGENT_LIVE").is_some(),
            key_id: read("AWS_ACCESS_KEY_ID"),
            region: read("AWS_REGION"),
            default_region: read("AWS_DEFAULT_REGION"),
        }
    }

    /// The profile to use: the one named, else `AWS_PROFILE`, else this shell's own; none of them leaves the
    /// choice to the agent's configuration. `source` is the profile that a role is assumed from that is named by its
    /// ARN.
    pub fn profile(&self, named: Option<&str>, source: Option<&str>) -> Result<Option<String>, Failure> {
        match (named, source) {
            (Some(named), _) => self.named(named, source).map(Some),
            (None, Some(_)) => Err(Failure::new(Exit::Usage, "--source goes with a role, and none is named")
                .hint("name its ARN before --source: arn:aws:iam::ACCOUNT:role/NAME")),
            (None, None) => self.unnamed(),
        }
    }

    /// The same for several; `source` is for those that are roles.
    pub fn profiles(&self, named: &[String], source: Option<&str>) -> Result<Vec<String>, Failure> {
        let is_role = |name: &str| NamedRole::of(name).is_some();
        let source_of = |name: &str| source.filter(|_| is_role(name) || named.len() == 1);
        if let (Some(source), false) = (source, named.iter().any(|name| is_role(name))) {
            // It is wrong, and said to be so.
            self.profile(named.first().map(String::as_str), Some(source))?;
        }
        named.iter().map(|name| self.named(name, source_of(name))).collect()
    }

    /// A profile that is named; a role's ARN together with its source, as far as that is known here: the source named,
    /// else `AWS_PROFILE`, else this shell's own.
    fn named(&self, named: &str, source: Option<&str>) -> Result<String, Failure> {
        let refused = |what: String, hint: &str| Err(Failure::new(Exit::Usage, what).hint(hint));
        match (NamedRole::of(named), source) {
            (Some(NamedRole { source: None, arn }), Some(source)) => match NamedRole::of(source) {
                None => Ok(NamedRole::joined(source, arn)),
                Some(_) => refused(
                    format!("--source is a profile's name, and {source} is a role"),
                    "mfa-agent profiles lists them; one with a role_arn can be a source too",
                ),
            },
            (Some(NamedRole { source: None, arn }), None) => {
                let unnamed = self.unnamed()?;
                let source = unnamed.as_deref().and_then(|own| match NamedRole::of(own) {
                    // What this shell's own role is assumed from.
                    Some(role) => role.source,
                    None => Some(own),
                });
                // Without one it is for the agent's configuration to say.
                Ok(source.map_or_else(|| arn.to_owned(), |source| NamedRole::joined(source, arn)))
            }
            (Some(NamedRole { source: Some(own), .. }), Some(source)) if own != source => {
                refused(format!("{named} is assumed from {own}, not from {source}"), "leave one of them out")
            }
            (None, Some(_)) => refused(
                format!("--source goes with a role's ARN, and {named} is none"),
                "arn:aws:iam::ACCOUNT:role/NAME",
            ),
            _ => Ok(named.to_owned()),
        }
    }

    fn unnamed(&self) -> Result<Option<String>, Failure> {
        let (variable, value) = match (&self.aws_profile, &self.own_profile) {
            (Some(value), _) => ("AWS_PROFILE", value),
            (None, Some(value)) => ("MFA_AGENT_PROFILE", value),
            (None, None) => return Ok(None),
        };
        match value.to_str() {
            Some(profile) => Ok(Some(profile.to_owned())),
            None => Err(Failure::new(Exit::Usage, format!("{variable} is not UTF-8"))),
        }
    }

    /// A region variable is set, so it matters who set it.
    pub fn has_region(&self) -> bool {
        self.region.is_some() || self.default_region.is_some()
    }
}

/// The variables that name a container's endpoint, the one first that wins, but for the SDK for Go.
pub const CONTAINER_VARIABLES: [&str; 2] =
    ["AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "AWS_CONTAINER_CREDENTIALS_FULL_URI"];

/// What else the SDKs look at, read for `why` and `doctor` alone.
#[derive(Debug, Default)]
pub struct Consumed {
    /// `AWS_SECRET_ACCESS_KEY` is set.
    pub secret: bool,
    /// `AWS_SESSION_TOKEN`.
    pub token: Option<Secret>,
    /// `AWS_SECURITY_TOKEN`.
    pub security_token: Option<Secret>,
    /// `AWS_DEFAULT_PROFILE`.
    pub default_profile: Option<OsString>,
    /// `AWS_WEB_IDENTITY_TOKEN_FILE` is set.
    pub web_identity: bool,
    /// Those of [`CONTAINER_VARIABLES`] that are set.
    pub containers: Vec<&'static str>,
    /// `MFA_AGENT_EXP`: when what the shell holds ends, in seconds since the epoch.
    pub expires_at: Option<u64>,
    /// `AWS_CONFIG_FILE`.
    pub config_file: Option<OsString>,
    /// `AWS_SHARED_CREDENTIALS_FILE`.
    pub credentials_file: Option<OsString>,
}

impl Consumed {
    /// Reads them. An empty variable counts as none.
    pub fn read() -> Self {
        let read = |name: &str| var_os(name).filter(|value| !value.is_empty());
        let secret = |name: &str| Some(Secret::new(read(name)?.to_string_lossy().into_owned()));
        Self {
            secret: read("AWS_SECRET_ACCESS_KEY").is_some(),
            token: secret("AWS_SESSION_TOKEN"),
            security_token: secret("AWS_SECURITY_TOKEN"),
            default_profile: read("AWS_DEFAULT_PROFILE"),
            web_identity: read("AWS_WEB_IDENTITY_TOKEN_FILE").is_some(),
            containers: CONTAINER_VARIABLES.into_iter().filter(|name| read(name).is_some()).collect(),
            expires_at: read("MFA_AGENT_EXP").and_then(|text| text.to_str()?.parse().ok()),
            config_file: read("AWS_CONFIG_FILE"),
            credentials_file: read("AWS_SHARED_CREDENTIALS_FILE"),
        }
    }
}

/// What the shell, the desktop and other tools leave in the environment, read for `doctor` alone.
#[derive(Debug, Default)]
pub struct Traces {
    /// `MFA_AGENT_HOOK` is set: the hook's function ran us.
    pub hook: bool,
    /// `AWS_VAULT`: aws-vault runs this shell, with the credentials of that profile.
    pub aws_vault: Option<OsString>,
    /// `AWSUME_PROFILE`: awsume gave this shell that profile.
    pub awsume: Option<OsString>,
    /// `DISPLAY` or `WAYLAND_DISPLAY` is set: there is a desktop to show notifications on.
    pub desktop: bool,
    /// `ZDOTDIR`: where zsh has its rc files instead of `HOME`.
    pub zsh_folder: Option<OsString>,
    /// `XDG_CONFIG_HOME`.
    pub config_folder: Option<OsString>,
}

impl Traces {
    /// Reads them. An empty variable counts as none.
    pub fn read() -> Self {
        let read = |name| var_os(name).filter(|value| !value.is_empty());
        Self {
            hook: read("MFA_AGENT_HOOK").is_some(),
            aws_vault: read("AWS_VAULT"),
            awsume: read("AWSUME_PROFILE"),
            desktop: read("DISPLAY").or_else(|| read("WAYLAND_DISPLAY")).is_some(),
            zsh_folder: read("ZDOTDIR"),
            config_folder: read("XDG_CONFIG_HOME"),
        }
    }
}

/// aws-mfa's variables.
#[derive(Debug, Default)]
pub struct AwsMfaVariables {
    /// `MFA_DEVICE`: the MFA device.
    pub device: Option<String>,
    /// `MFA_STS_DURATION`: how long the session shall last, in seconds.
    pub duration: Option<String>,
    /// `MFA_ASSUME_ROLE`: the role to assume.
    pub role: Option<String>,
    /// `LOGNAME`, `USER`, `LNAME`, `USERNAME`, the first that is set: the person.
    pub user: Option<String>,
}

impl AwsMfaVariables {
    /// Reads them. An empty variable counts as none.
    pub fn read() -> Self {
        let read = |name| var_os(name)?.into_string().ok().filter(|value| !value.is_empty());
        Self {
            device: read("MFA_DEVICE"),
            duration: read("MFA_STS_DURATION"),
            role: read("MFA_ASSUME_ROLE"),
            user: ["LOGNAME", "USER", "LNAME", "USERNAME"].into_iter().find_map(read),
        }
    }
}

/// A variable that a person's own configuration sets has this value.
pub fn is_set_to(name: &str, value: &str) -> bool {
    var_os(name).is_some_and(|current| current == value)
}

/// One of AWS's files, where the agent finds it too: by its variable (`AWS_CONFIG_FILE`,
/// `AWS_SHARED_CREDENTIALS_FILE`), else in the home.
pub fn aws_file(variable: &str, name: &str) -> Option<PathBuf> {
    let read = |name| var_os(name).filter(|value| !value.is_empty());
    let home = read("HOME").map(PathBuf::from);
    let Some(named) = read(variable).map(PathBuf::from) else { return Some(home?.join(".aws").join(name)) };
    match (named.strip_prefix("~"), home) {
        (Ok(rest), Some(home)) => Some(home.join(rest)),
        _ => Some(std::env::current_dir().ok()?.join(named)),
    }
}

/// The person's login shell (`SHELL`).
pub fn login_shell() -> Option<PathBuf> {
    Some(PathBuf::from(var_os("SHELL").filter(|value| !value.is_empty())?))
}

/// The first program of this name in `PATH`.
pub fn in_path(name: &str) -> Option<PathBuf> {
    std::env::split_paths(&var_os("PATH")?).map(|folder| folder.join(name)).find(|program| program.is_file())
}

/// The commands that start a browser, by `BROWSER`, best first: each a program and arguments, of which `%s` is the
/// address.
pub fn browsers() -> Vec<String> {
    let browser = var_os("BROWSER").and_then(|value| value.into_string().ok()).unwrap_or_default();
    browser.split(':').filter(|command| !command.trim().is_empty()).map(str::to_owned).collect()
}

/// The locale (`LC_ALL`, `LC_CTYPE`, `LANG`: the first that is set) writes UTF-8.
pub fn writes_unicode() -> bool {
    ["LC_ALL", "LC_CTYPE", "LANG"]
        .into_iter()
        .find_map(|name| var_os(name).filter(|value| !value.is_empty()))
        .is_some_and(|locale| {
            let locale = locale.to_string_lossy().to_ascii_lowercase();
            locale.contains("utf-8") || locale.contains("utf8")
        })
}

/// `NO_COLOR` is set, or the terminal (`TERM`) knows no colours.
pub fn refuses_color() -> bool {
    var_os("NO_COLOR").is_some_and(|value| !value.is_empty())
        || var_os("TERM").is_none_or(|term| term.is_empty() || term == "dumb")
}

/// The terminal (`TERM`) can move its cursor.
pub fn moves_cursor() -> bool {
    var_os("TERM").is_some_and(|term| !term.is_empty() && term != "dumb")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_profile_is_the_named_one_then_aws_profile_then_this_shells_own() {
        let mut environment = Environment {
            aws_profile: Some("aws".into()),
            own_profile: Some("own".into()),
            ..Environment::default()
        };
        assert_eq!(environment.profile(Some("named"), None).unwrap().unwrap(), "named");
        assert_eq!(environment.profile(None, None).unwrap().unwrap(), "aws");
        environment.aws_profile = None;
        assert_eq!(environment.profile(None, None).unwrap().unwrap(), "own");
        environment.own_profile = None;
        assert_eq!(environment.profile(None, None).unwrap(), None);
    }

    #[test]
    fn a_role_goes_with_the_source_named_then_aws_profile_then_what_this_shell_has() {
        const ARN: &str = "arn:aws:iam::222222222222:role/ops";
        let other = "dev,arn:aws:iam::222222222222:role/other";
        let mut environment = Environment {
            aws_profile: Some("aws".into()),
            own_profile: Some(other.into()),
            ..Environment::default()
        };
        let given =
            |environment: &Environment, source| environment.profile(Some(ARN), source).unwrap().unwrap();
        assert_eq!(given(&environment, Some("named")), format!("named,{ARN}"));
        assert_eq!(given(&environment, None), format!("aws,{ARN}"));
        environment.aws_profile = None;
        assert_eq!(given(&environment, None), format!("dev,{ARN}"));
        environment.own_profile = Some("own".into());
        assert_eq!(given(&environment, None), format!("own,{ARN}"));
        environment.own_profile = None;
        assert_eq!(given(&environment, None), ARN);
        assert_eq!(environment.profile(Some(other), None).unwrap().unwrap(), other);
        assert_eq!(environment.profile(Some(other), Some("dev")).unwrap().unwrap(), other);

        let names = ["dev", ARN].map(str::to_owned);
        assert_eq!(environment.profiles(&names, Some("ops")).unwrap(), ["dev", &format!("ops,{ARN}")]);
        for (named, source) in [(None, "dev"), (Some("dev"), "ops"), (Some(ARN), other), (Some(other), "ops")]
        {
            let failure = environment.profile(named, Some(source)).unwrap_err();
            assert_eq!(failure.exit, Exit::Usage, "{failure:?}");
        }
        let dev = ["dev".to_owned()];
        for names in [&dev[..], &[]] {
            assert_eq!(environment.profiles(names, Some("ops")).unwrap_err().exit, Exit::Usage);
        }
    }
}
