//! What the agent takes from its environment: read once, at its start, and these variables alone. The shell
//! that happened to start it has nothing else to say (`AWS_PROFILE`, `AWS_REGION`, keys).

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use protocol::Refusal;

use crate::child::ChildEnvironment;

/// Which service an endpoint is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Service {
    /// Security Token Service.
    Sts,
    /// Identity and Access Management.
    Iam,
}

/// The environment that the agent runs with.
#[derive(Debug, Clone, Default)]
pub struct Environment {
    home: Option<PathBuf>,
    config_folder: Option<PathBuf>,
    config_file: Option<PathBuf>,
    credentials_file: Option<PathBuf>,
    endpoint: Option<String>,
    sts_endpoint: Option<String>,
    iam_endpoint: Option<String>,
    /// `AWS_IGNORE_CONFIGURED_ENDPOINT_URLS`: neither variables nor files say where AWS is.
    pub ignore_endpoints: Option<bool>,
    /// `MFA_AGENT_SIGNIN_ENDPOINT`: where sign-in tokens for the console come from, in the place of AWS's.
    pub sign_in_endpoint: Option<String>,
    /// `AWS_CA_BUNDLE`: certificates to trust instead of the system's.
    pub ca_bundle: Option<PathBuf>,
    /// `AWS_USE_FIPS_ENDPOINT`.
    pub fips: Option<bool>,
    /// `AWS_USE_DUALSTACK_ENDPOINT`.
    pub dual_stack: Option<bool>,
    /// What the programs get that the agent runs for the person.
    pub of_children: ChildEnvironment,
    shown: BTreeMap<String, String>,
    /// Where icons are.
    pub data_folders: DataFolders,
}

/// What those programs get, where it is set: where they and their files are, the person's language, and how to
/// reach the desktop. No terminal: nobody sits at the agent's. Nothing of AWS's, nothing that loads code.
const OF_CHILDREN: [&str; 25] = [
    "PATH",
    "HOME",
    "USER",
    "LOGNAME",
    "SHELL",
    "TMPDIR",
    "TZ",
    "LANG",
    "LANGUAGE",
    "LC_ALL",
    "LC_CTYPE",
    "LC_MESSAGES",
    "DISPLAY",
    "XAUTHORITY",
    "WAYLAND_DISPLAY",
    "DBUS_SESSION_BUS_ADDRESS",
    "XDG_RUNTIME_DIR",
    "XDG_SESSION_TYPE",
    "XDG_CURRENT_DESKTOP",
    "XDG_CONFIG_HOME",
    "XDG_DATA_HOME",
    "XDG_CACHE_HOME",
    "XDG_STATE_HOME",
    "GNUPGHOME",
    "PASSWORD_STORE_DIR",
];

/// Every variable that is honoured; `status` shows those that are set.
const VARIABLES: [&str; 20] = [
    "AWS_CONFIG_FILE",
    "AWS_SHARED_CREDENTIALS_FILE",
    "AWS_ENDPOINT_URL",
    "AWS_ENDPOINT_URL_STS",
    "AWS_ENDPOINT_URL_IAM",
    "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS",
    "MFA_AGENT_SIGNIN_ENDPOINT",
    "AWS_CA_BUNDLE",
    "AWS_USE_FIPS_ENDPOINT",
    "AWS_USE_DUALSTACK_ENDPOINT",
    "HTTP_PROXY",
    "http_proxy",
    "HTTPS_PROXY",
    "https_proxy",
    "ALL_PROXY",
    "all_proxy",
    "NO_PROXY",
    "no_proxy",
    // Honoured by the TLS library where no AWS_CA_BUNDLE is set.
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
];

/// Where programs keep data that no person wrote, the person's own folder first (XDG Base Directories).
#[derive(Debug, Clone, Default)]
pub struct DataFolders(Vec<PathBuf>);

impl DataFolders {
    /// The file of this name that is found first.
    pub fn find(&self, name: &str) -> Option<PathBuf> {
        self.0.iter().map(|folder| folder.join(name)).find(|path| path.is_file())
    }
}

impl Environment {
    /// Reads it by `variable`; a relative path is one below `current_folder`. An empty value is as good as
    /// none. `config_folder` is where this system keeps a person's configuration.
    pub fn read(
        variable: impl Fn(&str) -> Option<OsString>,
        current_folder: &Path,
        config_folder: Option<PathBuf>,
    ) -> Self {
        let set = |name: &str| variable(name).filter(|value| !value.is_empty());
        let path = |name: &str| set(name).map(|value| current_folder.join(value));
        let text = |name: &str| set(name).map(|value| value.to_string_lossy().into_owned());
        let flag = |name: &str| text(name).map(|value| value.eq_ignore_ascii_case("true"));
        let home = path("HOME");
        let in_home = |file: PathBuf| match (file.strip_prefix(current_folder.join("~")), &home) {
            (Ok(rest), Some(home)) => home.join(rest),
            _ => file,
        };
        let shown = VARIABLES
            .iter()
            .filter_map(|name| Some(((*name).to_owned(), without_password(name, &text(name)?))))
            .collect();
        Self {
            config_folder,
            config_file: path("AWS_CONFIG_FILE").map(in_home),
            credentials_file: path("AWS_SHARED_CREDENTIALS_FILE").map(in_home),
            endpoint: text("AWS_ENDPOINT_URL"),
            sts_endpoint: text("AWS_ENDPOINT_URL_STS"),
            iam_endpoint: text("AWS_ENDPOINT_URL_IAM"),
            ignore_endpoints: flag("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS"),
            sign_in_endpoint: text("MFA_AGENT_SIGNIN_ENDPOINT"),
            ca_bundle: path("AWS_CA_BUNDLE"),
            fips: flag("AWS_USE_FIPS_ENDPOINT"),
            dual_stack: flag("AWS_USE_DUALSTACK_ENDPOINT"),
            of_children: OF_CHILDREN
                .into_iter()
                .filter_map(|name| Some((OsString::from(name), set(name)?)))
                .collect(),
            shown,
            data_folders: DataFolders(
                path("XDG_DATA_HOME")
                    .or_else(|| Some(home.as_ref()?.join(".local/share")))
                    .into_iter()
                    .chain(std::env::split_paths(
                        &set("XDG_DATA_DIRS").unwrap_or("/usr/local/share:/usr/share".into()),
                    ))
                    .filter(|folder| folder.is_absolute())
                    .collect(),
            ),
            home,
        }
    }

    /// The AWS config file.
    pub fn config_file(&self) -> Result<PathBuf, Refusal> {
        self.aws_file(self.config_file.as_ref(), "config")
    }

    /// The AWS credentials file.
    pub fn credentials_file(&self) -> Result<PathBuf, Refusal> {
        self.aws_file(self.credentials_file.as_ref(), "credentials")
    }

    /// A path that may be written as one of the home.
    pub fn in_home(&self, path: &Path) -> Option<PathBuf> {
        match path.strip_prefix("~") {
            Ok(rest) => Some(self.home.as_ref()?.join(rest)),
            Err(_) => Some(path.to_owned()),
        }
    }

    /// Our own configuration file, where there can be one.
    pub fn own_config_file(&self) -> Option<PathBuf> {
        let folder = self.config_folder.as_ref()?;
        Some(folder.join("mfa-agent").join("config.toml"))
    }

    /// The endpoint that a variable sets for a service.
    pub fn endpoint(&self, service: Service) -> Option<&str> {
        let own = match service {
            Service::Sts => &self.sts_endpoint,
            Service::Iam => &self.iam_endpoint,
        };
        own.as_deref().or(self.endpoint.as_deref())
    }

    /// The variables that are set, for people to see.
    pub fn shown(&self) -> &BTreeMap<String, String> {
        &self.shown
    }

    fn aws_file(&self, named: Option<&PathBuf>, name: &str) -> Result<PathBuf, Refusal> {
        match (named, &self.home) {
            (Some(file), _) => Ok(file.clone()),
            (None, Some(home)) => Ok(home.join(".aws").join(name)),
            (None, None) => Err(Refusal::NoHome),
        }
    }
}

/// A URL may hold a password; a proxy's may be without its scheme.
pub fn without_password(name: &str, value: &str) -> String {
    let is_proxy = name.to_ascii_uppercase().ends_with("_PROXY");
    let authority = value.find("://").map(|scheme| scheme + 3).or(is_proxy.then_some(0));
    match (authority, value.rfind('@')) {
        (Some(start), Some(at)) if start <= at => format!("{}***{}", &value[..start], &value[at..]),
        _ => value.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environment(variables: &[(&str, &str)]) -> Environment {
        let find = |name: &str| variables.iter().find(|(key, _)| *key == name).map(|(_, value)| value.into());
        Environment::read(find, Path::new("/start"), None)
    }

    #[test]
    fn files_are_found_by_variable_or_home() {
        let plain = environment(&[("HOME", "/home/alice")]);
        assert_eq!(plain.config_file().unwrap(), Path::new("/home/alice/.aws/config"));
        let named = environment(&[
            ("HOME", "/home/alice"),
            ("AWS_CONFIG_FILE", "conf/aws"),
            ("AWS_SHARED_CREDENTIALS_FILE", "~/keys"),
        ]);
        assert_eq!(named.config_file().unwrap(), Path::new("/start/conf/aws"));
        assert_eq!(named.credentials_file().unwrap(), Path::new("/home/alice/keys"));
        assert_eq!(environment(&[("HOME", "")]).config_file(), Err(Refusal::NoHome));
    }

    #[test]
    fn nothing_else_of_aws_leaks_in() {
        let environment = environment(&[
            ("AWS_REGION", "eu-west-1"),
            ("AWS_SECRET_ACCESS_KEY", "needle"),
            ("AWS_CONFIG_FILE", "/home/alice@example/config"),
            ("HTTPS_PROXY", "http://alice:needle@proxy:3128"),
            ("all_proxy", "alice:needle@proxy:3128"),
        ]);
        let shown: Vec<_> =
            environment.shown().iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        assert_eq!(
            shown,
            [
                ("AWS_CONFIG_FILE", "/home/alice@example/config"),
                ("HTTPS_PROXY", "http://***@proxy:3128"),
                ("all_proxy", "***@proxy:3128"),
            ]
        );
        assert!(!format!("{environment:?}").contains("needle"));
    }

    #[test]
    fn a_services_own_endpoint_wins() {
        let environment =
            environment(&[("AWS_ENDPOINT_URL", "http://a"), ("AWS_ENDPOINT_URL_STS", "http://b")]);
        assert_eq!(environment.endpoint(Service::Sts), Some("http://b"));
        assert_eq!(environment.endpoint(Service::Iam), Some("http://a"));
    }
}
