use std::ffi::OsString;
use std::fs;

use protocol::Refusal;
use tempfile::TempDir;

use super::*;
use crate::environment::Environment;

/// A home with these two files.
struct Home(TempDir);

impl Home {
    fn new(config: &str, credentials: &str) -> Self {
        let home = tempfile::tempdir().unwrap();
        fs::create_dir(home.path().join(".aws")).unwrap();
        fs::write(home.path().join(".aws/config"), config).unwrap();
        fs::write(home.path().join(".aws/credentials"), credentials).unwrap();
        Self(home)
    }

    fn files(&self) -> Result<ConfigFiles, Refusal> {
        let home = self.0.path().as_os_str().to_owned();
        let variable = move |name: &str| (name == "HOME").then(|| OsString::from(&home));
        let environment = Environment::read(variable, std::path::Path::new("/"), None);
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(ConfigFiles::read(&environment))
    }

    fn plan(&self, profile: &str) -> Result<Plan, Refusal> {
        plan(&self.files()?, profile)
    }
}

const KEY: &str = "aws_access_key_id = AKIAALICE\naws_secret_access_key = secret\n";

#[test]
fn a_user_is_a_key_and_a_device() {
    let config =
        "[profile dev]\nregion = eu-west-1\nmfa_serial = arn:aws:iam::1:mfa/alice\nduration_seconds = 3600\n";
    let home = Home::new(config, &format!("[dev]\n{KEY}"));
    let plan = home.plan("dev").unwrap();
    assert_eq!(plan.user.key_id, "AKIAALICE");
    assert_eq!(plan.user.origin.last_four, "LICE");
    assert_eq!(plan.serial, Serial::Configured("arn:aws:iam::1:mfa/alice".to_owned()));
    assert_eq!((plan.region.as_deref(), plan.duration), (Some("eu-west-1"), Some(3_600)));
    assert!(plan.hops.is_empty());
}

#[test]
fn roles_are_assumed_from_the_user_outwards() {
    let config = "\
[profile deep]
role_arn = arn:aws:iam::2:role/deep
source_profile = ops
external_id = x-1
[profile ops]
role_arn = arn:aws:iam::1:role/ops
source_profile = default
mfa_serial = arn:aws:iam::1:mfa/alice
role_session_name = alice
";
    let home = Home::new(config, &format!("[default]\n{KEY}"));
    let plan = home.plan("deep").unwrap();
    let roles: Vec<&str> = plan.hops.iter().map(|hop| hop.role_arn.as_str()).collect();
    assert_eq!(roles, ["arn:aws:iam::1:role/ops", "arn:aws:iam::2:role/deep"]);
    assert_eq!(plan.hops[0].session_name, "alice");
    assert_eq!(plan.hops[1].external_id.as_deref(), Some("x-1"));
    assert_eq!(plan.serial, Serial::Configured("arn:aws:iam::1:mfa/alice".to_owned()));
    assert_eq!(plan.user.profile, "default");
}

#[test]
fn a_role_may_rest_on_the_key_beside_it() {
    let role = "role_arn = arn:aws:iam::1:role/ops\n";
    for source in ["", "source_profile = ops\n"] {
        let home = Home::new(&format!("[profile ops]\n{role}{source}"), &format!("[ops]\n{KEY}"));
        assert_eq!(home.plan("ops").unwrap().user.profile, "ops");
    }
}

#[test]
fn aws_mfas_sections_work_as_they_are() {
    let credentials = format!(
        "[dev-long-term]\n{KEY}aws_mfa_device = arn:aws:iam::1:mfa/alice\n\
         [dev]\nassumed_role = False\naws_access_key_id = ASIAOLD\naws_secret_access_key = x\n\
         aws_session_token = y\naws_security_token = y\nexpiration = 2020-01-01 00:00:00\n\
         [ops-long-term]\n{KEY}assume_role = arn:aws:iam::1:role/ops\n"
    );
    let home = Home::new("", &credentials);
    let plan = home.plan("dev").unwrap();
    assert_eq!(plan.user.key_id, "AKIAALICE");
    assert_eq!(plan.user.origin.section, "dev-long-term");
    assert_eq!(plan.serial, Serial::Configured("arn:aws:iam::1:mfa/alice".to_owned()));
    assert_eq!(home.plan("ops").unwrap().hops[0].role_arn, "arn:aws:iam::1:role/ops");
    let names: Vec<String> =
        list(&home.files().unwrap(), None).into_iter().map(|profile| profile.name).collect();
    assert_eq!(names, ["dev", "ops"]);
}

#[test]
fn a_mistyped_name_meets_its_neighbours() {
    let home = Home::new("[profile production]\nregion = x\n", &format!("[dev]\n{KEY}[staging]\n{KEY}"));
    let nearest = |name: &str| match home.plan(name) {
        Err(Refusal::UnknownProfile { nearest, .. }) => nearest,
        other => panic!("{other:?}"),
    };
    assert_eq!(nearest("dve"), ["dev"]);
    assert_eq!(nearest("Stagin"), ["staging"]);
    assert_eq!(nearest("prod"), ["production"]);
    assert_eq!(nearest("zzzzzz"), [""; 0]);
}

#[test]
fn what_cannot_work_is_refused_with_the_setting() {
    let cases: [(&str, &str, &str); 12] = [
        ("[profile dev]\n", "", "NoKey"),
        ("[profile dev]\n", "[dev]\naws_access_key_id = AKIA\n", "HalfKey"),
        ("[profile dev]\n", "[dev]\naws_secret_access_key = x\n", "HalfKey"),
        (
            "",
            "[dev]\naws_access_key_id = ASIA1\naws_secret_access_key = x\naws_session_token = y\n",
            "TemporaryKey",
        ),
        ("[profile dev]\nsso_session = corp\n", "", "NotOurs"),
        ("[profile dev]\nrole_arn = arn:aws:iam::1:role/x\ncredential_source = Environment\n", "", "NotOurs"),
        ("[profile dev]\nrole_arn = arn:aws:iam::1:role/x\n", "", "BadSetting"),
        ("[profile dev]\nrole_arn = arn:aws:iam::1:role/x\nsource_profile = gone\n", "", "UnknownProfile"),
        ("[profile dev]\nmfa_serial = arn:aws:iam::1:user/alice\n", "KEY", "SerialIsUser"),
        ("[profile dev]\nmfa_serial = arn:aws:iam::1:u2f/user/alice/key\n", "KEY", "SerialIsFido"),
        ("[profile dev]\nmfa_serial = short\n", "KEY", "BadSetting"),
        ("[profile dev]\nduration_seconds = 1h\n", "KEY", "BadSetting"),
    ];
    for (config, credentials, refusal) in cases {
        let credentials = if credentials == "KEY" { format!("[dev]\n{KEY}") } else { credentials.to_owned() };
        let refused = Home::new(config, &credentials).plan("dev").unwrap_err();
        assert!(format!("{refused:?}").starts_with(refusal), "{config} {credentials}: {refused:?}");
    }
}

#[test]
fn a_cycle_is_told_in_its_order() {
    let role = |name: &str, source: &str| {
        format!("[profile {name}]\nrole_arn = arn:aws:iam::1:role/x\nsource_profile = {source}\n")
    };
    let config = role("a", "b") + &role("b", "c") + &role("c", "b");
    let refusal = Home::new(&config, "").plan("a").unwrap_err();
    assert_eq!(refusal, Refusal::SourceCycle { profiles: ["b", "c", "b"].map(str::to_owned).to_vec() });
}

#[test]
fn a_file_that_cannot_be_read_is_told_with_its_line() {
    let refused = |config: &str, credentials: &str| match Home::new(config, credentials).plan("dev") {
        Err(Refusal::Unparseable { file, line, problem }) => {
            assert!(!problem.contains("needle"), "{problem}");
            (file.rsplit('/').next().unwrap_or_default().to_owned(), line)
        }
        other => panic!("{other:?}"),
    };
    assert_eq!(refused("[profile dev]\nneedle\n", ""), ("config".to_owned(), Some(2)));
    assert_eq!(refused("", "[dev]\n\n= needle\n"), ("credentials".to_owned(), Some(3)));
    assert_eq!(refused("[profile dev\n", ""), ("config".to_owned(), Some(1)));
}

#[test]
fn a_change_of_a_file_is_noticed() {
    let home = Home::new("", &format!("[dev]\n{KEY}"));
    let files = home.files().unwrap();
    assert!(files.is_current());
    fs::write(home.0.path().join(".aws/config"), "[profile new]\n").unwrap();
    assert!(!files.is_current());
}

#[test]
fn what_goes_along_with_a_role_is_read_as_aws_vault_reads_it() {
    let role = "[profile ops]\nrole_arn = arn:aws:iam::1:role/ops\nsource_profile = dev\n";
    let context = |settings: &str| {
        let home = Home::new(&format!("{role}{settings}"), &format!("[dev]\n{KEY}"));
        home.plan("ops").map(|plan| plan.hops[0].context.clone())
    };
    assert_eq!(context("").unwrap(), RoleContext::default());
    let full = context(
        "session_tags = team=ops, cost center = 42,empty=\n\
         transitive_session_tags = team,cost center\n\
         source_identity = alice@example.com\n\
         policy_arns = arn:aws:iam::aws:policy/ReadOnlyAccess, arn:aws:iam::1:policy/x\n",
    );
    let text = |text: &str| text.to_owned();
    assert_eq!(
        full.unwrap(),
        RoleContext {
            tags: vec![
                (text("team"), text("ops")),
                (text("cost center"), text("42")),
                (text("empty"), String::new())
            ],
            transitive_tags: vec![text("team"), text("cost center")],
            source_identity: Some(text("alice@example.com")),
            policy_arns: vec![
                text("arn:aws:iam::aws:policy/ReadOnlyAccess"),
                text("arn:aws:iam::1:policy/x")
            ],
        }
    );
    let many = (0..51).fold(text("session_tags = "), |list, number| list + &format!("k{number}=v,"));
    for (wrong, setting) in [
        ("session_tags = team", "session_tags"),
        ("session_tags = =ops", "session_tags"),
        ("session_tags = team=a*b", "session_tags"),
        ("session_tags = team=a,Team=b", "session_tags"),
        (many.as_str(), "session_tags"),
        ("transitive_session_tags = team", "transitive_session_tags"),
        ("source_identity = a", "source_identity"),
        ("source_identity = a b", "source_identity"),
        ("policy_arns = ReadOnlyAccess", "policy_arns"),
        ("external_id = x 1", "external_id"),
    ] {
        match context(&format!("{wrong}\n")) {
            Err(Refusal::BadSetting { setting: named, .. }) => assert_eq!(named, setting, "{wrong}"),
            other => panic!("{wrong}: {other:?}"),
        }
    }
}

#[test]
fn aws_vaults_includes_fill_what_a_profile_leaves_out() {
    for setting in ["include_profile", "parent_profile"] {
        let config = format!(
            "[profile common]\nregion = eu-west-1\nmfa_serial = arn:aws:iam::1:mfa/alice\ninclude_profile = base\n\
             [profile base]\nrole_session_name = alice\nregion = us-east-1\n\
             [profile ops]\nrole_arn = arn:aws:iam::1:role/ops\nsource_profile = dev\n{setting} = common\n"
        );
        let home = Home::new(&config, &format!("[dev]\n{KEY}[common]\n{KEY}"));
        let plan = home.plan("ops").unwrap();
        assert_eq!(plan.region.as_deref(), Some("eu-west-1"), "{setting}");
        assert_eq!(plan.hops[0].session_name, "alice", "{setting}");
        assert_eq!(plan.serial, Serial::Configured("arn:aws:iam::1:mfa/alice".to_owned()));
        // Keys are nobody else's.
        assert_eq!(plan.user.profile, "dev");
    }
    for include in ["nobody", "dev"] {
        let credentials = format!("[dev]\n{KEY}include_profile = {include}\n");
        match Home::new("", &credentials).plan("dev") {
            Err(Refusal::BadSetting { setting, value, .. }) => {
                assert_eq!((setting.as_str(), value.as_str()), ("include_profile", include));
            }
            other => panic!("{other:?}"),
        }
    }
}
