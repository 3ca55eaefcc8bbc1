//! The shell: its variables, what other tools left in it, and the hook.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use super::super::why::{Mend, Trap};
use super::Finding;
use crate::environment::Traces;
use crate::shell::{Shell, word};

/// The language that the mending commands are in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Syntax(Shell);

impl Syntax {
    /// That of the program that ran us.
    pub fn of_program(program: Option<&[u8]>) -> Self {
        Self(Shell::of_program(program).unwrap_or(Shell::Posix))
    }

    fn unset(self, names: &[&str]) -> String {
        let names = names.join(" ");
        match self.0 {
            Shell::Fish => format!("set -e {names}"),
            _ => format!("unset {names}"),
        }
    }

    fn mend(self, mend: Mend, wanted: Option<&str>) -> String {
        match mend {
            Mend::Unset(names) => self.unset(names),
            Mend::NameProfile if self.0 == Shell::Fish => {
                "set -gx AWS_PROFILE $AWS_DEFAULT_PROFILE".to_owned()
            }
            Mend::NameProfile => "export AWS_PROFILE=\"$AWS_DEFAULT_PROFILE\"".to_owned(),
            Mend::Evaluate => {
                let profile = wanted.map_or_else(String::new, |wanted| format!(" {}", word(wanted)));
                self.0.evaluation(&profile).unwrap_or_default()
            }
            Mend::Restart => "mfa-agent agent restart".to_owned(),
        }
    }
}

/// What in this shell's variables is in the way. `ours`: what they hold is what `env` gave.
pub fn variables(
    traps: &[Trap],
    traces: &Traces,
    ours: bool,
    wanted: Option<&str>,
    syntax: Syntax,
) -> Vec<Finding> {
    let mut findings: Vec<Finding> = traps
        .iter()
        .map(|trap| Finding::warning("variables", trap.what.clone(), syntax.mend(trap.mend, wanted)))
        .collect();
    let keys =
        ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_CREDENTIAL_EXPIRATION"];
    if let Some(profile) = &traces.aws_vault {
        // A shell of its own, or its variables in another one's.
        let names: Vec<&str> = ["AWS_VAULT"].into_iter().chain(keys.into_iter().filter(|_| !ours)).collect();
        let what = format!("AWS_VAULT is set: aws-vault gave this shell {}", profile.to_string_lossy());
        findings.push(Finding::warning("other tools", what, syntax.unset(&names)));
    }
    if let Some(profile) = &traces.awsume {
        let names: Vec<&str> = ["AWSUME_PROFILE", "AWSUME_EXPIRATION", "AWSUME_COMMAND"]
            .into_iter()
            .chain(keys.into_iter().filter(|_| !ours))
            .collect();
        let what = format!("AWSUME_PROFILE is set: awsume gave this shell {}", profile.to_string_lossy());
        findings.push(Finding::warning("other tools", what, syntax.unset(&names)));
    }
    if findings.is_empty() {
        findings.push(Finding::ok("variables", "none of this shell's is in the way"));
    }
    findings
}

/// A shell that there is a hook for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hooked {
    Bash,
    Zsh,
    Fish,
}

impl Hooked {
    /// The shell that ran us, if it is one.
    pub fn of_program(program: Option<&[u8]>) -> Option<Self> {
        match program? {
            b"bash" => Some(Self::Bash),
            b"zsh" => Some(Self::Zsh),
            b"fish" => Some(Self::Fish),
            _ => None,
        }
    }

    /// The file that an interactive one begins with.
    pub fn rc_file(self, home: Option<&OsStr>, traces: &Traces) -> Option<PathBuf> {
        let home = home.map(Path::new);
        match self {
            Self::Bash => Some(home?.join(".bashrc")),
            Self::Zsh => Some(traces.zsh_folder.as_deref().map(Path::new).or(home)?.join(".zshrc")),
            Self::Fish => {
                let folder = traces.config_folder.as_ref().map(PathBuf::from);
                Some(folder.or_else(|| Some(home?.join(".config")))?.join("fish/config.fish"))
            }
        }
    }

    /// The line that loads the hook, by a program as the shell is to call it.
    pub fn line(self, program: &str) -> String {
        match self {
            Self::Bash => format!("eval \"$({program} init bash)\""),
            Self::Zsh => format!("eval \"$({program} init zsh)\""),
            Self::Fish => format!("{program} init fish | source"),
        }
    }
}

/// Whether an rc file loads the hook.
pub fn loads_hook(text: &str) -> bool {
    let loads = |line: &str| {
        let mut calls = line.split("mfa-agent").skip(1);
        calls.any(|rest| rest.trim_start_matches(['"', '\'']).starts_with(" init "))
    };
    text.lines().any(|line| !line.trim_start().starts_with('#') && loads(line))
}

/// The hook. Its function says so where it ran us; else only the rc file (`file`, which `loads` it) is to be known:
/// a script has no hook, and whoever looks at a terminal may have opened it before the line was there.
pub fn hook(hooked: Hooked, file: Option<&Path>, ran_us: bool, loads: bool, looked_at: bool) -> Finding {
    let line = hooked.line("mfa-agent");
    let Some(file) = file else {
        return Finding::warning("hook", "HOME is not set, and so there is no rc file to load it", line);
    };
    let (path, quoted) = (file.display(), word(&file.to_string_lossy()));
    match (ran_us, loads) {
        (true, true) => Finding::ok("hook", format!("loaded, here and by {path}")),
        (true, false) => Finding::warning(
            "hook",
            format!("loaded here, but {path} does not load it in the next shell"),
            format!("echo '{line}' >> {quoted}"),
        ),
        (false, true) if looked_at => {
            let what = format!("{path} loads it, but this shell has not");
            Finding::warning("hook", what, line)
        }
        (false, true) => Finding::ok("hook", format!("loaded by {path}")),
        (false, false) => Finding::warning(
            "hook",
            format!("{path} does not load it: shells do not notice what becomes of their session"),
            format!("echo '{line}' >> {quoted}"),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::super::State;
    use super::*;

    #[test]
    fn what_mends_is_in_the_shells_own_language() {
        let fish = Syntax::of_program(Some(b"fish"));
        let posix = Syntax::of_program(Some(b"make"));
        let unset = Mend::Unset(&["A", "B"]);
        assert_eq!(
            (fish.mend(unset, None), posix.mend(unset, None)),
            ("set -e A B".to_owned(), "unset A B".to_owned())
        );
        assert_eq!(posix.mend(Mend::Evaluate, Some("a b")), "eval \"$(mfa-agent env 'a b')\"");
        assert_eq!(fish.mend(Mend::Evaluate, None), "mfa-agent env | source");
    }

    #[test]
    fn our_own_credentials_are_not_another_tools() {
        let traces = Traces { aws_vault: Some("dev".into()), ..Traces::default() };
        let hint = |ours| variables(&[], &traces, ours, None, Syntax(Shell::Posix))[0].hint.clone().unwrap();
        assert_eq!(hint(true), "unset AWS_VAULT");
        assert!(hint(false).starts_with("unset AWS_VAULT AWS_ACCESS_KEY_ID "), "{}", hint(false));
    }

    #[test]
    fn a_hook_is_known_by_its_function_or_its_line() {
        let state = |ran_us, loads, looked_at| {
            hook(Hooked::Zsh, Some(Path::new("/h/.zshrc")), ran_us, loads, looked_at).state
        };
        assert_eq!(state(true, true, true), State::Ok);
        assert_eq!(state(true, false, true), State::Warning);
        assert_eq!(state(false, true, true), State::Warning);
        assert_eq!(state(false, true, false), State::Ok);
        assert_eq!(state(false, false, false), State::Warning);
        assert!(loads_hook("a\n  eval \"$(/opt/mfa-agent/mfa-agent init zsh)\"\n"));
        assert!(loads_hook("'/my tools/mfa-agent' init fish | source"));
        assert!(!loads_hook("# eval \"$(mfa-agent init zsh)\"\nmfa-agent status\n"));
    }
}
