//! Reading: the SDK's own parser over the two files, read again when they changed.

use std::collections::{BTreeMap, BTreeSet};
use std::error::Error;
use std::io;
use std::path::{Path, PathBuf};

use aws_config::profile::{ProfileFileLoadError, ProfileSet};
use aws_runtime::env_config::file::{EnvConfigFileKind, EnvConfigFiles};
use aws_runtime::env_config::property::PropertiesKey;
use aws_types::os_shim_internal::{Env, Fs};
use protocol::{KeyOrigin, Refusal, Secret};

use crate::environment::Environment;
use crate::platform;

/// What is read of a section: nothing secret. A long-term secret is read when it is needed.
const SETTINGS: [&str; 32] = [
    "aws_access_key_id",
    "aws_mfa_device",
    "assume_role",
    "ca_bundle",
    "credential_process",
    "credential_source",
    "duration_seconds",
    "endpoint_url",
    "external_id",
    "ignore_configured_endpoint_urls",
    "include_profile",
    "login_session",
    "mfa_agent_keyring_key",
    "mfa_agent_keyring_seed",
    "mfa_serial",
    "parent_profile",
    "policy_arns",
    "region",
    "role_arn",
    "role_session_name",
    "services",
    "session_tags",
    "source_identity",
    "source_profile",
    "sso_account_id",
    "sso_session",
    "sso_start_url",
    "transitive_session_tags",
    "use_dualstack_endpoint",
    "use_fips_endpoint",
    "web_identity_token_file",
    "expiration",
];

/// The secret settings, of which only the presence is kept. A command may hold a device's seed.
const SECRETS: [&str; 4] =
    ["aws_secret_access_key", "aws_session_token", "aws_security_token", "mfa_process"];

/// One section of the files: a profile, or aws-mfa's `[NAME-long-term]`.
#[derive(Debug, Default, Clone)]
pub struct Section {
    settings: BTreeMap<&'static str, String>,
    secrets: BTreeSet<&'static str>,
}

impl Section {
    /// A setting's value; an empty one is as good as none.
    pub fn get(&self, setting: &str) -> Option<&str> {
        self.settings.get(setting).map(String::as_str).filter(|value| !value.is_empty())
    }

    /// The profile whose settings hold where this one has none: aws-vault's setting, and its older name.
    pub fn include(&self) -> Option<(&'static str, &str)> {
        ["include_profile", "parent_profile"]
            .into_iter()
            .find_map(|setting| Some((setting, self.get(setting)?)))
    }

    /// Whether a secret setting is there.
    pub fn has(&self, secret: &str) -> bool {
        self.secrets.contains(secret)
    }
}

/// A long-term key, opened for one call.
#[derive(Debug)]
pub struct LongTermKey {
    /// `aws_access_key_id`.
    pub id: String,
    /// `aws_secret_access_key`.
    pub secret: Secret,
}

/// A command to run, and where it was found.
#[derive(Debug)]
pub struct ForeignCommand {
    /// The command, for a shell.
    pub command: Secret,
    /// A file that names commands and that others can write to: then none is to be run.
    pub exposed: Option<String>,
}

/// What both files say.
#[derive(Debug)]
pub struct ConfigFiles {
    config_file: PathBuf,
    credentials_file: PathBuf,
    fingerprint: [Fingerprint; 2],
    /// The config file has a secret key, too.
    keys_in_config: bool,
    sections: BTreeMap<String, Section>,
    services: BTreeMap<String, ServiceEndpoints>,
}

/// A `[services NAME]` section: the `endpoint_url` of single services.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct ServiceEndpoints {
    /// That of `sts`.
    pub sts: Option<String>,
    /// That of `iam`.
    pub iam: Option<String>,
}

/// What changes when a file does; none where there is no file.
type Fingerprint = Option<platform::Fingerprint>;

impl ConfigFiles {
    /// Reads both files. One that is not there is an empty one.
    pub async fn read(environment: &Environment) -> Result<Self, Refusal> {
        let config_file = environment.config_file()?;
        let credentials_file = environment.credentials_file()?;
        // Before the contents: a change in between is seen at the next look.
        let fingerprint = [platform::fingerprint(&config_file), platform::fingerprint(&credentials_file)];
        let (config, credentials) = (contents(&config_file)?, contents(&credentials_file)?);
        Self::parsed(config_file, config, credentials_file, credentials, fingerprint).await
    }

    /// What files with these texts say.
    #[cfg(any(test, fuzzing))]
    pub async fn of_texts(config: String, credentials: String) -> Result<Self, Refusal> {
        let [config_file, credentials_file] = ["config", "credentials"].map(PathBuf::from);
        Self::parsed(config_file, config, credentials_file, credentials, [None, None]).await
    }

    async fn parsed(
        config_file: PathBuf,
        config: String,
        credentials_file: PathBuf,
        credentials: String,
        fingerprint: [Fingerprint; 2],
    ) -> Result<Self, Refusal> {
        let names: Vec<String> = named_services(&config).map(str::to_owned).collect();
        let keys_in_config =
            config.lines().any(|line| line.trim_start().starts_with("aws_secret_access_key"));
        let parsed = parse_texts((&config_file, config), (&credentials_file, credentials)).await?;
        let services = names.into_iter().map(|name| {
            let endpoints = service_endpoints(&parsed, &name);
            (name, endpoints)
        });
        let (sections, services) = (sections(&parsed), services.collect());
        Ok(Self { config_file, credentials_file, fingerprint, keys_in_config, sections, services })
    }

    /// Whether the files are still as they were read.
    pub fn is_current(&self) -> bool {
        self.fingerprint
            == [platform::fingerprint(&self.config_file), platform::fingerprint(&self.credentials_file)]
    }

    /// A section by its name, without `profile `.
    pub fn section(&self, name: &str) -> Option<&Section> {
        self.sections.get(name)
    }

    /// The section `[services NAME]`.
    pub fn services(&self, name: &str) -> Option<&ServiceEndpoints> {
        self.services.get(name)
    }

    /// All such sections, by name.
    pub fn all_services(&self) -> impl Iterator<Item = (&str, &ServiceEndpoints)> {
        self.services.iter().map(|(name, endpoints)| (name.as_str(), endpoints))
    }

    /// The names of all sections.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.sections.keys().map(String::as_str)
    }

    /// Whether the config file has keys in it, too.
    pub fn keys_in_config(&self) -> bool {
        self.keys_in_config
    }

    /// The config file's path.
    pub fn config_file(&self) -> String {
        self.config_file.display().to_string()
    }

    /// The credentials file's path.
    pub fn credentials_file(&self) -> String {
        self.credentials_file.display().to_string()
    }

    /// The `mfa_process` of a section, as the file has it now; none where it was taken out.
    pub async fn open_mfa_process(&self, section: &str) -> Result<Option<ForeignCommand>, Refusal> {
        let exposed = self.exposed();
        let parsed = parse(&self.config_file, &self.credentials_file).await?;
        let command = parsed.get_profile(section).and_then(|profile| profile.get("mfa_process"));
        Ok(command.map(|command| ForeignCommand { command: Secret::new(command.trim().to_owned()), exposed }))
    }

    /// A file that somebody else can write to: nothing is done without a person at its word.
    pub fn exposed(&self) -> Option<String> {
        let files = [&self.config_file, &self.credentials_file];
        let exposed = files.into_iter().find(|file| !platform::is_ours_alone(file));
        exposed.map(|file| file.display().to_string())
    }

    /// Opens the long-term key of a section, as the file has it now.
    pub async fn open_key(&self, origin: &KeyOrigin) -> Result<LongTermKey, Refusal> {
        let parsed = parse(&self.config_file, &self.credentials_file).await?;
        let section = &origin.section;
        let get = |setting: &str| {
            let value = parsed.get_profile(section)?.get(setting)?.trim();
            (!value.is_empty()).then(|| value.to_owned())
        };
        let half = |missing: &str| Refusal::HalfKey {
            section: section.clone(),
            missing: missing.to_owned(),
            file: self.credentials_file(),
        };
        Ok(LongTermKey {
            id: get("aws_access_key_id").ok_or_else(|| half("aws_access_key_id"))?,
            secret: Secret::new(get("aws_secret_access_key").ok_or_else(|| half("aws_secret_access_key"))?),
        })
    }
}

fn sections(parsed: &ProfileSet) -> BTreeMap<String, Section> {
    parsed
        .profiles()
        .map(|name| {
            let profile = parsed.get_profile(name);
            let get = |setting: &str| profile.and_then(|profile| profile.get(setting));
            let section = Section {
                settings: SETTINGS
                    .into_iter()
                    .filter_map(|setting| Some((setting, get(setting)?.trim().to_owned())))
                    .collect(),
                secrets: SECRETS
                    .into_iter()
                    .filter(|secret| get(secret).is_some_and(|value| !value.is_empty()))
                    .collect(),
            };
            (name.to_owned(), section)
        })
        .collect()
}

/// The names of the `[services NAME]` sections: the parser tells what is in one, and not which there are.
fn named_services(config: &str) -> impl Iterator<Item = &str> {
    config.lines().filter_map(|line| {
        let (heading, _) = line.strip_prefix('[')?.split_once(']')?;
        let (kind, name) = heading.trim().split_once([' ', '\t'])?;
        (kind == SERVICES).then(|| name.trim())
    })
}

const SERVICES: &str = "services";

fn service_endpoints(parsed: &ProfileSet, section: &str) -> ServiceEndpoints {
    let endpoint = |service: &str| {
        let key = PropertiesKey::builder()
            .section_key(SERVICES)
            .section_name(section)
            .property_name(service)
            .sub_property_name("endpoint_url");
        let value = parsed.other_sections().get(&key.build().ok()?)?.trim();
        (!value.is_empty()).then(|| value.to_owned())
    };
    ServiceEndpoints { sts: endpoint("sts"), iam: endpoint("iam") }
}

async fn parse(config_file: &Path, credentials_file: &Path) -> Result<ProfileSet, Refusal> {
    let config = contents(config_file)?;
    let credentials = contents(credentials_file)?;
    parse_texts((config_file, config), (credentials_file, credentials)).await
}

/// What two files have in them.
async fn parse_texts(
    (config_file, config): (&Path, String),
    (credentials_file, credentials): (&Path, String),
) -> Result<ProfileSet, Refusal> {
    let files = EnvConfigFiles::builder()
        .with_contents(EnvConfigFileKind::Config, config.clone())
        .with_contents(EnvConfigFileKind::Credentials, credentials)
        .build();
    let error = match load(&files).await {
        Ok(parsed) => return Ok(parsed),
        Err(error) => error,
    };
    // The parser does not say which of the two it was.
    let config_alone = EnvConfigFiles::builder().with_contents(EnvConfigFileKind::Config, config).build();
    let file = if load(&config_alone).await.is_err() { config_file } else { credentials_file };
    Err(unparseable(file, &error))
}

/// Everything is given: neither this process's environment nor its file system is looked at.
async fn load(files: &EnvConfigFiles) -> Result<ProfileSet, ProfileFileLoadError> {
    aws_config::profile::load(&Fs::from_slice(&[]), &Env::from_slice(&[]), files, None).await
}

fn contents(path: &Path) -> Result<String, Refusal> {
    let refuse =
        |problem: String| Refusal::Unparseable { file: path.display().to_string(), line: None, problem };
    match platform::read_file(path) {
        Ok(bytes) => String::from_utf8(bytes).map_err(|_| refuse("it is no UTF-8 text".to_owned())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(String::new()),
        Err(error) => Err(refuse(error.to_string())),
    }
}

fn unparseable(file: &Path, error: &ProfileFileLoadError) -> Refusal {
    let text = error.source().map_or_else(|| error.to_string(), ToString::to_string);
    // "error parsing FILE on line N:\n  WHAT"
    let (line, problem) = match text.rsplit_once(" on line ").and_then(|(_, rest)| rest.split_once(':')) {
        Some((line, problem)) => (line.parse().ok(), problem.trim().to_owned()),
        None => (None, text),
    };
    Refusal::Unparseable { file: file.display().to_string(), line, problem }
}
