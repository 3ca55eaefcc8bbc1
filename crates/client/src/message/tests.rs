use protocol::Question;

use super::*;

/// How a refusal reads, with its exit status.
fn reads(refusal: &Refusal) -> String {
    let Failure { exit, what, hint } = refused(refusal);
    let hint = hint.map(|hint| format!(" | {hint}")).unwrap_or_default();
    format!("{}: {what}{hint}", exit as u8)
}

fn text(text: &str) -> String {
    text.to_owned()
}

fn aws_refused(problem: AwsProblem) -> Refusal {
    Refusal::Aws { action: text("sts:AssumeRole"), code: text("AccessDenied"), message: text("No."), problem }
}

fn network(problem: NetworkProblem, code_spent: bool) -> Refusal {
    let endpoint = text("https://sts.amazonaws.com");
    Refusal::Network {
        action: text("sts:GetSessionToken"),
        endpoint,
        problem,
        detail: text("os error 111"),
        code_spent,
    }
}

#[test]
fn codes() {
    let serial = || text("arn:aws:iam::111122223333:mfa/alice");
    let question = |expired| Question {
        profile: text("dev"),
        serial: serial(),
        role_arn: None,
        endpoint: None,
        expired,
        mfa_process: None,
        seed: None,
    };
    assert_eq!(
        reads(&Refusal::NeedsMfa(question(false))),
        "3: dev needs an MFA code, and nobody can be asked | mfa-agent login dev"
    );
    assert_eq!(
        reads(&Refusal::NeedsMfa(question(true))),
        "3: the session of dev has expired, and nobody can be asked for a code | mfa-agent login dev"
    );
    assert_eq!(
        reads(&Refusal::MalformedCode),
        "2: an MFA code is six digits | type the six digits that the MFA device shows now"
    );
    assert_eq!(
        reads(&Refusal::WrongCode { serial: serial() }),
        "4: AWS did not accept the code of arn:aws:iam::111122223333:mfa/alice | take the code that this very device shows now"
    );
    assert_eq!(
        reads(&Refusal::UsedCode { serial: serial(), wait_seconds: 17 }),
        "4: that code of arn:aws:iam::111122223333:mfa/alice was used already, and AWS takes each once | the next one comes in 17 s"
    );
    assert_eq!(
        reads(&Refusal::LastsShorter { profile: "ops".to_owned(), seconds: 7_200, most: 3_600 }),
        "5: credentials of ops last 1h at most, and shall last 2h | duration_seconds = 7200 in its profile: then the role takes a code of its own"
    );
    assert_eq!(
        reads(&Refusal::DurationOutOfBounds { seconds: 1, least: 900, most: 129_600 }),
        "2: a session cannot last 1 seconds | 900 to 129600 seconds (15m to 36h)"
    );
}

#[test]
fn on_a_granted_socket() {
    let host = || text("laptop");
    assert_eq!(
        reads(&Refusal::NotGranted { profiles: vec![text("dev"), text("ops")], host: host() }),
        "6: this socket was granted for dev, ops, and does nothing else | on laptop: mfa-agent agent grant PROFILE"
    );
    let not_here = |why| reads(&Refusal::NotHere { profile: text("dev"), host: host(), why });
    assert_eq!(
        [NotHere::NoSession, NotHere::Expired, NotHere::TooShort, NotHere::Locked, NotHere::Configuration]
            .map(not_here),
        [
            "3: there is no session of dev, and codes are not typed here | on laptop: mfa-agent login dev",
            "3: the session of dev has expired, and codes are not typed here | on laptop: mfa-agent login dev",
            "3: the session of dev ends earlier than that, and codes are not typed here | on laptop: mfa-agent login dev --force",
            "6: the agent is locked | on laptop: mfa-agent unlock",
            "5: dev cannot work | on laptop: mfa-agent doctor dev",
        ]
    );
    assert_eq!(
        reads(&Refusal::GrantOver),
        "6: the grant of this socket is over | where the agent runs: mfa-agent agent grant PROFILE"
    );
    assert_eq!(
        reads(&Refusal::NoGrant { problem: text("16 are the most") }),
        "6: the agent cannot grant a socket: 16 are the most | mfa-agent status shows the grants, mfa-agent agent revoke ends them"
    );
}

#[test]
fn profiles_and_files() {
    let files = || vec![text("/home/a/.aws/config"), text("/home/a/.aws/credentials")];
    assert_eq!(
        reads(&Refusal::NoProfile),
        "5: no profile is named | name one; mfa-agent profiles lists them"
    );
    assert_eq!(
        reads(&Refusal::UnknownProfile {
            profile: text("dve"),
            named_by: None,
            nearest: vec![text("dev")],
            files: files()
        }),
        "5: no profile dve in /home/a/.aws/config, /home/a/.aws/credentials | did you mean dev?"
    );
    assert_eq!(
        reads(&Refusal::UnknownProfile {
            profile: text("base"),
            named_by: Some(text("dev")),
            nearest: vec![],
            files: files()
        }),
        "5: no profile base, the source_profile of dev, in /home/a/.aws/config, /home/a/.aws/credentials | mfa-agent profiles lists them"
    );
    let file = || text("/home/a/.aws/credentials");
    assert_eq!(
        reads(&Refusal::Unparseable {
            file: file(),
            line: Some(7),
            problem: text("a setting before any section")
        }),
        "5: /home/a/.aws/credentials:7: a setting before any section | vi +7 /home/a/.aws/credentials"
    );
    assert_eq!(
        reads(&Refusal::Unparseable { file: file(), line: None, problem: text("permission denied") }),
        "5: /home/a/.aws/credentials: permission denied | see who may read it: ls -l /home/a/.aws/credentials"
    );
    assert_eq!(
        reads(&Refusal::NoHome),
        "5: the agent was started without HOME and knows no AWS config files | mfa-agent agent restart, from a shell that has HOME"
    );
    assert_eq!(
        reads(&Refusal::BadSetting {
            profile: text("dev"),
            setting: text("duration_seconds"),
            value: text("x"),
            must: text("a number")
        }),
        "5: duration_seconds = x in profile dev cannot work | it must be a number"
    );
    assert_eq!(
        reads(&Refusal::SourceCycle { profiles: vec![text("a"), text("b"), text("a")] }),
        "5: source_profile goes in a circle: a → b → a | the last of them must have an access key and no source_profile"
    );
    assert_eq!(
        reads(&Refusal::NotOurs { profile: text("my dev"), setting: text("sso_session") }),
        "5: my dev gets its credentials by sso_session, which takes no MFA code | aws sso login --profile 'my dev' && export AWS_PROFILE='my dev'"
    );
}

#[test]
fn keys() {
    let (section, file) = (|| text("dev"), || text("/c"));
    assert_eq!(
        reads(&Refusal::NoKey { section: section(), file: file() }),
        "5: no access key in [dev] of /c | mfa-agent keys import --profile dev"
    );
    assert_eq!(
        reads(&Refusal::HalfKey { section: section(), missing: text("aws_secret_access_key"), file: file() }),
        "5: no aws_secret_access_key in [dev] of /c | mfa-agent keys import --profile dev"
    );
    assert_eq!(
        reads(&Refusal::TemporaryKey { section: section() }),
        "5: the key in [dev] is a temporary one, and those open no MFA session | put the IAM user's own key there: mfa-agent keys import --profile dev --force"
    );
    let origin = || KeyOrigin { last_four: text("MPLE"), section: section(), file: file(), keyring: false };
    assert_eq!(
        reads(&aws_refused(AwsProblem::KeyInvalid(origin()))),
        "4: AWS does not know the key …MPLE in [dev] of /c, or it is inactive | mfa-agent keys import --profile dev --force"
    );
    assert_eq!(
        reads(&aws_refused(AwsProblem::SecretWrong(origin()))),
        "4: aws_secret_access_key in [dev] of /c does not belong to the key …MPLE | mfa-agent keys import --profile dev --force"
    );
}

#[test]
fn devices() {
    let profile = || text("dev");
    let user = text("arn:aws:iam::111122223333:user/team/alice");
    assert_eq!(
        reads(&Refusal::SerialIsUser { profile: profile(), serial: user }),
        "5: mfa_serial of dev is the user (arn:aws:iam::111122223333:user/team/alice), not the device | aws configure set mfa_serial arn:aws:iam::111122223333:mfa/alice --profile dev"
    );
    let fido = text("arn:aws:iam::111122223333:u2f/user/alice/key");
    assert_eq!(
        reads(&Refusal::SerialIsFido { profile: profile(), serial: fido }),
        "5: mfa_serial of dev is a security key or passkey (arn:aws:iam::111122223333:u2f/user/alice/key), which STS takes no code from | add an authenticator app as a second device and name that one: mfa_serial = arn:aws:iam::ACCOUNT:mfa/DEVICE"
    );
    assert_eq!(
        reads(&Refusal::NoDevice { profile: profile() }),
        "5: the user of dev has no MFA device | mfa-agent device add --profile dev"
    );
    let serials = vec![text("arn:aws:iam::111122223333:mfa/a"), text("GAHT12345678")];
    assert_eq!(
        reads(&Refusal::SeveralDevices { profile: profile(), serials }),
        "5: the user of dev has 2 MFA devices: arn:aws:iam::111122223333:mfa/a, GAHT12345678 | name one in the profile: mfa_serial = arn:aws:iam::111122223333:mfa/a"
    );
    assert_eq!(
        reads(&Refusal::DevicesNotListed { profile: profile(), message: text("Denied.") }),
        "5: dev has no mfa_serial, and AWS does not list the user's devices: Denied. | name it in the profile: mfa_serial = arn:aws:iam::ACCOUNT:mfa/DEVICE"
    );
    assert_eq!(
        reads(&aws_refused(AwsProblem::SerialNotYours { serial: text("GAHT1") })),
        "4: GAHT1 is not an MFA device of this user | AWS console, Security credentials, Multi-factor authentication names the right mfa_serial"
    );
}

#[test]
fn what_aws_says() {
    assert_eq!(
        reads(&aws_refused(AwsProblem::ClockSkew { seconds: 34_140 })),
        "4: your clock is 9h 29m behind AWS | sudo timedatectl set-ntp true"
    );
    assert_eq!(
        reads(&aws_refused(AwsProblem::ClockSkew { seconds: -1_000 })),
        "4: your clock is 16m ahead of AWS | sudo timedatectl set-ntp true"
    );
    let role_arn = || text("arn:aws:iam::111122223333:role/admin");
    assert_eq!(
        reads(&aws_refused(AwsProblem::RoleDenied { role_arn: role_arn(), profile: text("admin") })),
        "4: admin may not assume arn:aws:iam::111122223333:role/admin: No. | the role's trust policy must name the user, and the user's policy must allow sts:AssumeRole on it"
    );
    assert_eq!(
        reads(&aws_refused(AwsProblem::RoleTooLong { role_arn: role_arn(), seconds: 43_200 })),
        "4: arn:aws:iam::111122223333:role/admin gives no session of 12h | lower duration_seconds in the profile, or raise the role's maximum"
    );
    assert_eq!(
        reads(&aws_refused(AwsProblem::RegionDisabled)),
        "4: STS is not switched on in this region for this account: No. | set another region in the profile, or switch this one on in the AWS console"
    );
    assert_eq!(
        reads(&aws_refused(AwsProblem::Other)),
        "4: AWS refused sts:AssumeRole: AccessDenied: No. | see whether the key works at all: aws sts get-caller-identity --profile PROFILE"
    );
}

#[test]
fn the_network() {
    assert_eq!(
        reads(&network(NetworkProblem::Unreachable, false)),
        "7: cannot reach https://sts.amazonaws.com for sts:GetSessionToken: os error 111 | mfa-agent status shows the endpoint and the proxy that the agent runs with"
    );
    assert_eq!(
        reads(&network(NetworkProblem::TimedOut, true)),
        "7: https://sts.amazonaws.com did not answer sts:GetSessionToken in time: os error 111 | the code may be used up; take the next one"
    );
    assert_eq!(
        reads(&network(NetworkProblem::Untrusted, false)),
        "7: the certificate of https://sts.amazonaws.com is not trusted: os error 111 | name its CA: ca_bundle = FILE in the profile; or export AWS_CA_BUNDLE=FILE, then mfa-agent agent restart"
    );
    assert_eq!(
        reads(&network(NetworkProblem::Throttled, false)),
        "7: AWS throttles sts:GetSessionToken at https://sts.amazonaws.com: os error 111 | try again in a minute"
    );
    assert_eq!(
        reads(&network(NetworkProblem::ServerError, false)),
        "7: AWS failed inside on sts:GetSessionToken at https://sts.amazonaws.com: os error 111 | try again in a minute"
    );
    assert_eq!(
        reads(&network(NetworkProblem::Unintelligible, false)),
        "7: https://sts.amazonaws.com answered sts:GetSessionToken, but not as AWS does: os error 111 | mfa-agent status shows the endpoint and the proxy that the agent runs with"
    );
}

#[test]
fn the_agent() {
    assert_eq!(
        reads(&Refusal::Protocol { protocol: 2, version: text("0.9.0") }),
        "6: the agent (0.9.0) speaks protocol 2, this mfa-agent speaks 1 | mfa-agent agent restart"
    );
    assert_eq!(
        reads(&Refusal::Malformed { problem: text("syntax") }),
        "6: the agent did not understand the request: syntax | mfa-agent agent restart"
    );
    assert_eq!(
        reads(&Refusal::WouldForget { sessions: 2 }),
        "1: a restart of this old agent would lose 2 MFA sessions | mfa-agent agent stop && mfa-agent agent start"
    );
    assert_eq!(reads(&Refusal::Restarting), "6: the agent starts anew, again and again | run the same again");
    assert_eq!(
        reads(&Refusal::NotRestarted { problem: text("/usr/bin/mfa-agentd: it is gone") }),
        "6: the agent could not start anew, and goes on as it is: /usr/bin/mfa-agentd: it is gone | mfa-agent agent status"
    );
    assert_eq!(reads(&Refusal::Locked), "6: the agent is locked | mfa-agent unlock");
    assert_eq!(
        reads(&Refusal::CannotUnlock { profile: text("dev") }),
        "6: the agent is locked, and it holds no session that a code of dev could prove yours | mfa-agent unlock, or mfa-agent lock --wipe to forget them all"
    );
    assert_eq!(
        reads(&Refusal::TooManyCodes { wait_seconds: 4 }),
        "6: the agent is locked, and there were too many wrong codes | the next one counts in 4 s"
    );
    assert_eq!(
        reads(&Refusal::Internal),
        "1: the agent failed at this request; its sessions are unharmed | mfa-agent agent log"
    );
}

#[test]
fn a_table_has_few_words() {
    assert_eq!(short(&Refusal::NoKey { section: text("dev"), file: text("/c") }), "no access key");
    assert_eq!(short(&Refusal::SourceCycle { profiles: vec![text("a"), text("a")] }), "circle: a → a");
    assert_eq!(
        short(&Refusal::Unparseable { file: text("/c"), line: Some(7), problem: text("no section") }),
        "/c:7: no section"
    );
}
