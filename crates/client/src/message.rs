//! What the agent's refusals mean in words, with what to do about them and the exit status.

use protocol::{
    AwsProblem, KeyOrigin, KeyringItem, KeyringProblem, NamedRole, NetworkProblem, NoConsent, NotHere,
    PROTOCOL, ProcessFailure, ProcessProblem, Refusal, SeedFailure, SeedProblem,
};

use crate::failure::{Exit, Failure};
use crate::shell::word;
use crate::span;
use protocol::role::shown;

/// The refusal as a failure of this command.
pub fn refused(refusal: &Refusal) -> Failure {
    let (exit, what, hint) = words(refusal);
    Failure { exit, what, hint: Some(hint) }
}

/// A few words on why a profile cannot work, for a table.
pub fn short(refusal: &Refusal) -> String {
    match refusal {
        Refusal::UnknownProfile { profile, .. } => format!("source_profile {profile} does not exist"),
        Refusal::NoKey { .. } => "no access key".to_owned(),
        Refusal::HalfKey { missing, .. } => format!("no {missing}"),
        Refusal::TemporaryKey { .. } => "its key is temporary".to_owned(),
        Refusal::NotOurs { setting, .. } => format!("uses {setting}, takes no MFA code"),
        Refusal::SourceCycle { profiles } => format!("circle: {}", profiles.join(" → ")),
        Refusal::BadSetting { setting, value, .. } => format!("{setting} = {value}"),
        Refusal::SerialIsUser { .. } => "mfa_serial is the user".to_owned(),
        Refusal::SerialIsFido { .. } => "mfa_serial is a security key".to_owned(),
        Refusal::NoDevice { .. } => "no MFA device".to_owned(),
        Refusal::SeveralDevices { .. } => "several MFA devices, no mfa_serial".to_owned(),
        Refusal::DevicesNotListed { .. } => "no mfa_serial".to_owned(),
        Refusal::NotConfirmed { .. } => "not allowed yet".to_owned(),
        Refusal::Locked => "locked".to_owned(),
        other => words(other).1,
    }
}

fn words(refusal: &Refusal) -> (Exit, String, String) {
    match refusal {
        Refusal::NeedsMfa(question) => (
            Exit::NeedsCode,
            if question.expired {
                format!("the session of {} has expired, and nobody can be asked for a code", question.profile)
            } else {
                format!("{} needs an MFA code, and nobody can be asked", question.profile)
            },
            format!("mfa-agent login {}", word(&question.profile)),
        ),
        Refusal::MalformedCode => (
            Exit::Usage,
            "an MFA code is six digits".to_owned(),
            "type the six digits that the MFA device shows now".to_owned(),
        ),
        Refusal::AskedElsewhere { profile } => (
            Exit::NeedsCode,
            format!("the code for {profile} is asked for in another terminal"),
            "type it there".to_owned(),
        ),
        Refusal::WrongCode { serial } => (
            Exit::Aws,
            format!("AWS did not accept the code of {serial}"),
            "take the code that this very device shows now".to_owned(),
        ),
        Refusal::UsedCode { serial, wait_seconds } => (
            Exit::Aws,
            format!("that code of {serial} was used already, and AWS takes each once"),
            format!("the next one comes in {wait_seconds} s"),
        ),
        Refusal::NotAtHand => {
            (Exit::NeedsCode, "it takes more than what is at hand".to_owned(), "mfa-agent login".to_owned())
        }
        Refusal::Locked => {
            (Exit::Agent, "the agent is locked".to_owned(), "mfa-agent unlock".to_owned())
        }
        Refusal::CannotUnlock { profile } => (
            Exit::Agent,
            format!("the agent is locked, and it holds no session that a code of {profile} could prove yours"),
            "mfa-agent unlock, or mfa-agent lock --wipe to forget them all".to_owned(),
        ),
        Refusal::TooManyCodes { wait_seconds } => (
            Exit::Agent,
            "the agent is locked, and there were too many wrong codes".to_owned(),
            format!("the next one counts in {wait_seconds} s"),
        ),
        Refusal::NotConfirmed { profile, why } => (
            Exit::Agent,
            match why {
                NoConsent::Denied => format!("you did not allow the credentials of {profile} to be given out"),
                NoConsent::Unanswered => {
                    format!("nobody allowed the credentials of {profile} to be given out within a minute")
                }
                NoConsent::NobodyToAsk => {
                    format!("{profile} is to be allowed on the desktop first, and nobody can be asked there")
                }
                NoConsent::NotAsked => format!("{profile} is to be allowed on the desktop first"),
            },
            match why {
                NoConsent::NobodyToAsk => {
                    "install pinentry, zenity or kdialog, and mfa-agent agent restart from the desktop".to_owned()
                }
                _ => format!("confirm in config.toml wants that; mfa-agent env {} asks again", word(profile)),
            },
        ),
        Refusal::MfaProcess(failure) => {
            let (what, hint) = process(failure);
            (Exit::NeedsCode, what, hint)
        }
        Refusal::Seed(failure) => {
            let (what, hint) = seed(failure);
            (Exit::NeedsCode, what, hint)
        }
        Refusal::BadSeed { problem } => (
            Exit::Usage,
            format!("that is no seed that AWS's devices have: {problem}"),
            "the app's export or the QR code's otpauth:// line has it, 16 characters at least".to_owned(),
        ),
        Refusal::DurationOutOfBounds { seconds, least, most } => (
            Exit::Usage,
            format!("a session cannot last {seconds} seconds"),
            format!("{least} to {most} seconds ({} to {})", span::of(*least), span::of(*most)),
        ),
        Refusal::LastsShorter { profile, seconds, most } => {
            let (wanted, most_span) = (span::of(*seconds), span::of(*most));
            (
                Exit::Configuration,
                format!("credentials of {profile} last {most_span} at most, and shall last {wanted}"),
                if *seconds <= 43_200 && *most == 3_600 {
                    format!("duration_seconds = {seconds} in its profile: then the role takes a code of its own")
                } else {
                    format!("--min-ttl {most}, or less")
                },
            )
        }

        Refusal::NoProfile => (
            Exit::Configuration,
            "no profile is named".to_owned(),
            "name one; mfa-agent profiles lists them".to_owned(),
        ),
        Refusal::NoSource { role_arn } => (
            Exit::Configuration,
            format!("no profile is named to assume {role_arn} from"),
            "--source PROFILE; mfa-agent profiles lists them".to_owned(),
        ),
        Refusal::UnknownProfile { profile, named_by, nearest, files } => (
            Exit::Configuration,
            match named_by {
                Some(by) if NamedRole::of(by).is_some() => {
                    format!("no profile {profile} to assume {} from, in {}", shown(by), files.join(", "))
                }
                None => format!("no profile {profile} in {}", files.join(", ")),
                Some(by) => format!("no profile {profile}, the source_profile of {by}, in {}", files.join(", ")),
            },
            match nearest.as_slice() {
                [] => "mfa-agent profiles lists them".to_owned(),
                nearest => format!("did you mean {}?", nearest.join(", ")),
            },
        ),
        Refusal::Unparseable { file, line, problem } => (
            Exit::Configuration,
            match line {
                Some(line) => format!("{file}:{line}: {problem}"),
                None => format!("{file}: {problem}"),
            },
            match line {
                Some(line) => format!("vi +{line} {}", word(file)),
                None => format!("see who may read it: ls -l {}", word(file)),
            },
        ),
        Refusal::NoHome => (
            Exit::Configuration,
            "the agent was started without HOME and knows no AWS config files".to_owned(),
            "mfa-agent agent restart, from a shell that has HOME".to_owned(),
        ),
        Refusal::NoKey { section, file } => {
            (Exit::Configuration, format!("no access key in [{section}] of {file}"), import(section, ""))
        }
        Refusal::HalfKey { section, missing, file } => {
            (Exit::Configuration, format!("no {missing} in [{section}] of {file}"), import(section, ""))
        }
        Refusal::TemporaryKey { section } => (
            Exit::Configuration,
            format!("the key in [{section}] is a temporary one, and those open no MFA session"),
            format!("put the IAM user's own key there: {}", import(section, " --force")),
        ),
        Refusal::NotOurs { profile, setting } => (
            Exit::Configuration,
            format!("{profile} gets its credentials by {setting}, which takes no MFA code"),
            match setting.as_str() {
                setting if setting.starts_with("sso_") => {
                    format!("aws sso login --profile {0} && export AWS_PROFILE={0}", word(profile))
                }
                "login_session" => format!("aws login --profile {0} && export AWS_PROFILE={0}", word(profile)),
                // The SDKs do it by themselves.
                _ => format!("use it as it is: export AWS_PROFILE={}", word(profile)),
            },
        ),
        Refusal::SourceCycle { profiles } => (
            Exit::Configuration,
            format!("source_profile goes in a circle: {}", profiles.join(" → ")),
            "the last of them must have an access key and no source_profile".to_owned(),
        ),
        Refusal::BadSetting { profile, setting, value, must } => (
            Exit::Configuration,
            format!("{setting} = {value} in profile {profile} cannot work"),
            format!("it must be {must}"),
        ),
        Refusal::SerialIsUser { profile, serial } => {
            // As the console names it, unless the person did.
            let device = match serial.split_once(":user/") {
                Some((account, path)) => {
                    format!("{account}:mfa/{}", path.rsplit('/').next().unwrap_or(path))
                }
                None => "arn:aws:iam::ACCOUNT:mfa/DEVICE".to_owned(),
            };
            (
                Exit::Configuration,
                format!("mfa_serial of {profile} is the user ({serial}), not the device"),
                format!("aws configure set mfa_serial {device} --profile {}", word(profile)),
            )
        }
        Refusal::SerialIsFido { profile, serial } => (
            Exit::Configuration,
            format!("mfa_serial of {profile} is a security key or passkey ({serial}), which STS takes no code from"),
            "add an authenticator app as a second device and name that one: mfa_serial = arn:aws:iam::ACCOUNT:mfa/DEVICE"
                .to_owned(),
        ),
        Refusal::NoDevice { profile } => (
            Exit::Configuration,
            format!("the user of {profile} has no MFA device"),
            format!("mfa-agent device add --profile {}", word(profile)),
        ),
        Refusal::SeveralDevices { profile, serials } => (
            Exit::Configuration,
            format!("the user of {profile} has {} MFA devices: {}", serials.len(), serials.join(", ")),
            format!(
                "name one in the profile: mfa_serial = {}",
                serials.first().map_or("arn:aws:iam::ACCOUNT:mfa/DEVICE", String::as_str)
            ),
        ),
        Refusal::DevicesNotListed { profile, message } => (
            Exit::Configuration,
            format!("{profile} has no mfa_serial, and AWS does not list the user's devices: {message}"),
            "name it in the profile: mfa_serial = arn:aws:iam::ACCOUNT:mfa/DEVICE".to_owned(),
        ),

        Refusal::Aws { action, code, message, problem } => {
            let (what, hint) = aws(action, code, message, problem);
            (Exit::Aws, what, hint)
        }
        Refusal::Network { action, endpoint, problem, detail, code_spent } => {
            let what = match problem {
                NetworkProblem::Unreachable => format!("cannot reach {endpoint} for {action}"),
                NetworkProblem::Untrusted => format!("the certificate of {endpoint} is not trusted"),
                NetworkProblem::TimedOut => format!("{endpoint} did not answer {action} in time"),
                NetworkProblem::Throttled => format!("AWS throttles {action} at {endpoint}"),
                NetworkProblem::ServerError => format!("AWS failed inside on {action} at {endpoint}"),
                NetworkProblem::Unintelligible => format!("{endpoint} answered {action}, but not as AWS does"),
            };
            let hint = match problem {
                NetworkProblem::Untrusted => {
                    "name its CA: ca_bundle = FILE in the profile; or export AWS_CA_BUNDLE=FILE, then mfa-agent agent restart"
                }
                _ if *code_spent => "the code may be used up; take the next one",
                NetworkProblem::Throttled | NetworkProblem::ServerError => "try again in a minute",
                NetworkProblem::Unreachable | NetworkProblem::TimedOut | NetworkProblem::Unintelligible => {
                    "mfa-agent status shows the endpoint and the proxy that the agent runs with"
                }
            };
            let what = if detail.is_empty() { what } else { format!("{what}: {detail}") };
            (Exit::Network, what, hint.to_owned())
        }

        Refusal::Protocol { protocol, version } => (
            Exit::Agent,
            format!("the agent ({version}) speaks protocol {protocol}, this mfa-agent speaks {PROTOCOL}"),
            "mfa-agent agent restart".to_owned(),
        ),
        Refusal::Malformed { problem } => (
            Exit::Agent,
            format!("the agent did not understand the request: {problem}"),
            "mfa-agent agent restart".to_owned(),
        ),
        Refusal::DefaultWins { setting } => (
            Exit::Configuration,
            format!("every SDK takes the {setting} of [default] in your AWS files before live access"),
            "rename [default], e.g. to [main] and [profile main]; or leave --live out".to_owned(),
        ),
        Refusal::NoLive { problem } => (
            Exit::Agent,
            format!("the agent cannot serve live access: {problem}"),
            "mfa-agent status shows the grants, mfa-agent logout --live ends them".to_owned(),
        ),
        Refusal::NoRedirect { problem } => (
            Exit::Agent,
            format!("the agent cannot lead a browser to the console: {problem}"),
            "--print prints the link".to_owned(),
        ),
        Refusal::Keyring { item, problem } => {
            let exit = match problem {
                KeyringProblem::NotThere => Exit::Configuration,
                _ => Exit::Agent,
            };
            let (what, hint) = keyring(item, problem);
            (exit, what, hint)
        }
        Refusal::Restarting => (
            Exit::Agent,
            "the agent starts anew, again and again".to_owned(),
            "run the same again".to_owned(),
        ),
        Refusal::NotRestarted { problem } => (
            Exit::Agent,
            format!("the agent could not start anew, and goes on as it is: {problem}"),
            "mfa-agent agent status".to_owned(),
        ),
        Refusal::NotGranted { profiles, host } => (
            Exit::Agent,
            format!("this socket was granted for {}, and does nothing else", profiles.join(", ")),
            format!("on {host}: mfa-agent agent grant PROFILE"),
        ),
        Refusal::NotHere { profile, host, why } => {
            let (exit, what, command) = not_here(profile, *why);
            (exit, what, format!("on {host}: {command}"))
        }
        Refusal::GrantOver => (
            Exit::Agent,
            "the grant of this socket is over".to_owned(),
            "where the agent runs: mfa-agent agent grant PROFILE".to_owned(),
        ),
        Refusal::NoGrant { problem } => (
            Exit::Agent,
            format!("the agent cannot grant a socket: {problem}"),
            "mfa-agent status shows the grants, mfa-agent agent revoke ends them".to_owned(),
        ),
        Refusal::WouldForget { sessions } => (
            Exit::Failed,
            format!("a restart of this old agent would lose {}", counted(*sessions, "MFA session")),
            "mfa-agent agent stop && mfa-agent agent start".to_owned(),
        ),
        Refusal::Internal => (
            Exit::Failed,
            "the agent failed at this request; its sessions are unharmed".to_owned(),
            "mfa-agent agent log".to_owned(),
        ),
    }
}

/// Why a granted socket has nothing for a profile, and the command that changes it where the agent runs.
fn not_here(profile: &str, why: NotHere) -> (Exit, String, String) {
    let elsewhere = |what: &str| format!("the session of {profile} {what}, and codes are not typed here");
    let name = word(profile);
    match why {
        NotHere::NoSession => (
            Exit::NeedsCode,
            format!("there is no session of {profile}, and codes are not typed here"),
            format!("mfa-agent login {name}"),
        ),
        NotHere::Expired => (Exit::NeedsCode, elsewhere("has expired"), format!("mfa-agent login {name}")),
        NotHere::TooShort => {
            (Exit::NeedsCode, elsewhere("ends earlier than that"), format!("mfa-agent login {name} --force"))
        }
        NotHere::Locked => (Exit::Agent, "the agent is locked".to_owned(), "mfa-agent unlock".to_owned()),
        NotHere::Configuration => {
            (Exit::Configuration, format!("{profile} cannot work"), format!("mfa-agent doctor {name}"))
        }
    }
}

/// Why a profile's `mfa_process` gave no code, and what to do about it.
pub fn process(failure: &ProcessFailure) -> (String, String) {
    let ProcessFailure { section, program, problem } = failure;
    let program = program.as_ref().map(|program| format!(" ({program})")).unwrap_or_default();
    let subject = format!("mfa_process of {section}{program}");
    let what = match problem {
        ProcessProblem::NotYoursAlone { file } => {
            format!("{subject} is not run: others can write to {file}")
        }
        ProcessProblem::NotStarted { detail } => format!("{subject} cannot be run: {detail}"),
        ProcessProblem::Failed { status: 127 } => format!("{subject} was not found"),
        ProcessProblem::Failed { status } => format!("{subject} failed with status {status}"),
        ProcessProblem::Killed => format!("{subject} was ended by a signal"),
        ProcessProblem::TimedOut { seconds } => format!("{subject} did not end within {seconds} s"),
        ProcessProblem::NoCode => format!("{subject} printed no six-digit code"),
        ProcessProblem::WrongCode => format!("AWS did not accept the code of {subject}"),
        ProcessProblem::UsedCode => format!("{subject} prints codes that were used already"),
    };
    let hint = match problem {
        ProcessProblem::NotYoursAlone { file } => format!("chmod go-w {}", word(file)),
        ProcessProblem::Failed { status: 127 } => {
            "give its whole path, or mfa-agent agent restart from a shell that finds it".to_owned()
        }
        ProcessProblem::WrongCode => "it must print the code of this very device".to_owned(),
        _ => "run the command by hand to see what it says".to_owned(),
    };
    (what, hint)
}

/// Why the seed in the keyring gave no code, and what to do about it.
pub fn seed(SeedFailure { serial, problem }: &SeedFailure) -> (String, String) {
    let subject = format!("the seed of {serial}");
    match problem {
        SeedProblem::NotYoursAlone { file } => (
            format!("{subject} is not used: others can write to {file}"),
            format!("chmod go-w {}", word(file)),
        ),
        SeedProblem::Keyring(problem) => keyring(&KeyringItem::Seed { serial: serial.clone() }, problem),
        SeedProblem::NoSeed => {
            (format!("what the keyring has for {serial} is no seed"), "mfa-agent device seed".to_owned())
        }
        SeedProblem::WrongCode => (
            format!("AWS did not accept the code of {subject}"),
            "store the seed of this very device: mfa-agent device seed".to_owned(),
        ),
        SeedProblem::UsedCode => {
            (format!("the codes of {subject} were used already"), "run the same again in a minute".to_owned())
        }
    }
}

fn aws(action: &str, code: &str, message: &str, problem: &AwsProblem) -> (String, String) {
    match problem {
        AwsProblem::KeyInvalid(origin @ KeyOrigin { last_four, .. }) => (
            format!("AWS does not know the key …{last_four} {}, or it is inactive", place(origin)),
            replace(origin),
        ),
        AwsProblem::SecretWrong(origin @ KeyOrigin { last_four, .. }) => {
            let secret = if origin.keyring { "the secret" } else { "aws_secret_access_key" };
            let what = format!("{secret} {} does not belong to the key …{last_four}", place(origin));
            (what, replace(origin))
        }
        AwsProblem::SerialNotYours { serial } => (
            format!("{serial} is not an MFA device of this user"),
            "AWS console, Security credentials, Multi-factor authentication names the right mfa_serial".to_owned(),
        ),
        AwsProblem::ClockSkew { seconds } => {
            let span = span::of(u32::try_from(seconds.unsigned_abs()).unwrap_or(u32::MAX));
            let side = if *seconds > 0 { "behind" } else { "ahead of" };
            (format!("your clock is {span} {side} AWS"), "sudo timedatectl set-ntp true".to_owned())
        }
        AwsProblem::RoleDenied { role_arn, profile } => (
            format!("{profile} may not assume {role_arn}: {message}"),
            match ["sts:TagSession", "sts:SetSourceIdentity"].into_iter().find(|it| message.contains(it)) {
                Some(action) => format!("the role's trust policy must allow {action} beside sts:AssumeRole"),
                None => "the role's trust policy must name the user, and the user's policy must allow sts:AssumeRole on it"
                    .to_owned(),
            },
        ),
        AwsProblem::RoleTooLong { role_arn, seconds } => (
            format!("{role_arn} gives no session of {}", span::of(*seconds)),
            "lower duration_seconds in the profile, or raise the role's maximum".to_owned(),
        ),
        AwsProblem::FederationDenied { profile } => (
            format!("the user of {profile} may not have a console link, as AWS takes no MFA for it: {message}"),
            "use a profile with a role (role_arn, source_profile), or sign in to the console with the password".to_owned(),
        ),
        AwsProblem::RegionDisabled => (
            format!("STS is not switched on in this region for this account: {message}"),
            "set another region in the profile, or switch this one on in the AWS console".to_owned(),
        ),
        AwsProblem::Other => (
            format!("AWS refused {action}: {code}: {message}"),
            match action {
                "signin:getSigninToken" => "begin anew: mfa-agent logout PROFILE, then this again".to_owned(),
                _ if action.starts_with("iam:") && code.starts_with("AccessDenied") => {
                    format!("the user's policy must allow {action}")
                }
                _ => "see whether the key works at all: aws sts get-caller-identity --profile PROFILE".to_owned(),
            },
        ),
    }
}

/// `1 session`, `2 sessions`, `2 live accesses`.
pub fn counted(number: usize, thing: &str) -> String {
    let plural = match thing.ends_with('s') {
        _ if number == 1 => "",
        true => "es",
        false => "s",
    };
    format!("{number} {thing}{plural}")
}

/// Why the keyring did not do what was wanted of it, and what to do about it.
fn keyring(item: &KeyringItem, problem: &KeyringProblem) -> (String, String) {
    let (thing, put, instead) = match item {
        KeyringItem::AccessKey { last_four } => (
            format!("the key …{last_four}"),
            "mfa-agent keys import --keyring",
            "put the key into the file: mfa-agent keys import",
        ),
        KeyringItem::Seed { serial } => {
            (format!("the seed of {serial}"), "mfa-agent device seed", "type the code")
        }
    };
    match problem {
        KeyringProblem::NoService { detail } => (
            format!("there is no keyring for {thing}: {detail}"),
            format!("mfa-agent agent restart, from the desktop; or {instead}"),
        ),
        KeyringProblem::Locked => (
            format!("the keyring is locked, and {thing} in it"),
            "unlock it in its own window (seahorse, KWalletManager, KeePassXC), or log in to the desktop"
                .to_owned(),
        ),
        KeyringProblem::NotThere => {
            (format!("{thing} is not in the keyring"), format!("{put} puts it there"))
        }
        KeyringProblem::Silent => (
            format!("the keyring does not answer, for {thing}"),
            "see whether it runs: secret-tool search service mfa-agent".to_owned(),
        ),
        KeyringProblem::Failed { detail } => (
            format!("the keyring failed at {thing}: {detail}"),
            "see what it holds: secret-tool search service mfa-agent".to_owned(),
        ),
    }
}

/// Where a key is, in words.
fn place(KeyOrigin { section, file, keyring, .. }: &KeyOrigin) -> String {
    if *keyring { format!("in the keyring, of [{section}]") } else { format!("in [{section}] of {file}") }
}

/// The command that replaces a key where it is.
fn replace(KeyOrigin { section, keyring, .. }: &KeyOrigin) -> String {
    import(section, if *keyring { " --keyring --force" } else { " --force" })
}

/// The command that puts a key into a section, also over one that is there.
fn import(section: &str, over: &str) -> String {
    format!("mfa-agent keys import --profile {}{over}", word(section))
}

#[cfg(test)]
mod tests;
