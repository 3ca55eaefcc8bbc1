//! Policies: what their documents say holds, by AWS's own client.

use aws_simulator::User;

use crate::support::{ACCOUNT, Keys, World, assert_refused, refusal, wait, world};

const DENY: &str = r#"{"Version":"2012-10-17","Statement":[{"Sid":"NoMfaNoWork","Effect":"Deny",
    "NotAction":["iam:GetUser","sts:GetSessionToken"],"Resource":"*",
    "Condition":{"BoolIfExists":{"aws:MultiFactorAuthPresent":"false"}}}]}"#;

/// Bob, who may do everything, with MFA or without.
fn bob(world: &World) -> (User, Keys) {
    let bob = world.simulator.user(ACCOUNT, "bob");
    bob.must_use_mfa(false);
    let keys = Keys(bob.access_key_id.clone(), bob.secret_access_key.clone(), None);
    (bob, keys)
}

#[test]
fn an_inline_policy_is_put_read_listed_and_deleted() {
    let world = world();
    let (_, keys) = bob(&world);
    let iam = world.iam(&keys);
    let put = || iam.put_user_policy().user_name("bob").policy_name("mfa").policy_document(DENY);
    wait(iam.list_access_keys().send()).unwrap();
    wait(put().send()).unwrap();
    // From now on bob has to show a code.
    let refused = refusal(iam.list_access_keys().send());
    let denied = "User: arn:aws:iam::111122223333:user/bob is not authorized to perform: iam:ListAccessKeys on \
        resource: user bob with an explicit deny in an identity-based policy";
    assert_refused(&refused, 403, "AccessDenied", denied);
    let call = world.simulator.calls_of("ListAccessKeys").pop().unwrap();
    assert_eq!(call.decided_by.as_deref(), Some("mfa/NoMfaNoWork"));
    wait(iam.get_user().send()).unwrap();

    let administrator = world.iam(&world.mfa_session());
    let read = wait(administrator.get_user_policy().user_name("bob").policy_name("mfa").send()).unwrap();
    assert_eq!(percent_decoded(read.policy_document()), DENY);
    let listed = wait(administrator.list_user_policies().user_name("bob").send()).unwrap();
    assert_eq!(listed.policy_names(), ["mfa"]);
    wait(administrator.delete_user_policy().user_name("bob").policy_name("mfa").send()).unwrap();
    let gone = refusal(administrator.delete_user_policy().user_name("bob").policy_name("mfa").send());
    assert_refused(&gone, 404, "NoSuchEntity", "The user policy with name mfa cannot be found.");
    wait(iam.list_access_keys().send()).unwrap();

    let malformed = put().policy_document(DENY.replace("BoolIfExists", "StringLike"));
    assert_refused(&refusal(malformed.send()), 400, "MalformedPolicyDocument", "Syntax errors in policy.");
    let long = put().policy_document(DENY.replace("iam:GetUser", &"x".repeat(2_000)));
    let limit = "Maximum policy size of 2048 bytes exceeded for user bob";
    assert_refused(&refusal(long.send()), 409, "LimitExceeded", limit);
}

#[test]
fn a_groups_policies_are_its_members() {
    let world = world();
    let (bob, keys) = bob(&world);
    bob.join("devs");
    let administrator = world.iam(&world.mfa_session());
    let put = administrator.put_group_policy().group_name("devs").policy_name("mfa").policy_document(DENY);
    wait(put.send()).unwrap();
    assert_eq!(refusal(world.iam(&keys).list_users().send()).1, "AccessDenied");
    let group = wait(administrator.get_group().group_name("devs").send()).unwrap();
    assert_eq!(group.users()[0].user_name(), "bob");
    let groups = wait(administrator.list_groups_for_user().user_name("bob").send()).unwrap();
    assert_eq!(groups.groups()[0].group_name(), "devs");
    let read = wait(administrator.get_group_policy().group_name("devs").policy_name("mfa").send()).unwrap();
    assert_eq!(percent_decoded(read.policy_document()), DENY);
    let listed = wait(administrator.list_group_policies().group_name("devs").send()).unwrap();
    assert_eq!(listed.policy_names(), ["mfa"]);
    wait(administrator.delete_group_policy().group_name("devs").policy_name("mfa").send()).unwrap();
    assert_eq!(wait(world.iam(&keys).list_users().send()).unwrap().users().len(), 2);
    let none = wait(administrator.list_attached_group_policies().group_name("devs").send()).unwrap();
    assert!(none.attached_policies().is_empty());
    let missing = refusal(administrator.get_group().group_name("nobody").send());
    assert_refused(&missing, 404, "NoSuchEntity", "The group with name nobody cannot be found.");
}

#[test]
fn a_managed_policy_is_read_and_what_nothing_allows_is_refused() {
    let world = world();
    let (bob, keys) = bob(&world);
    bob.may_do_everything(false);
    let own = r#"{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":["iam:Get*","iam:ListAtt*"],
        "Resource":["arn:aws:iam::*:user/${aws:username}","arn:aws:iam::*:policy/*"]}}"#;
    let arn = bob.attach_policy("own", own);
    let iam = world.iam(&keys);
    let attached = wait(iam.list_attached_user_policies().user_name("bob").send()).unwrap();
    assert_eq!(attached.attached_policies()[0].policy_arn(), Some(arn.as_str()));
    let policy = wait(iam.get_policy().policy_arn(&arn).send()).unwrap();
    let version = policy.policy().unwrap().default_version_id().unwrap();
    let version = wait(iam.get_policy_version().policy_arn(&arn).version_id(version).send()).unwrap();
    assert_eq!(percent_decoded(version.policy_version().unwrap().document().unwrap()), own);
    assert_eq!(refusal(iam.get_user().user_name("alice").send()).1, "AccessDenied");
    let refused = refusal(iam.list_users().send());
    let nothing = "User: arn:aws:iam::111122223333:user/bob is not authorized to perform: iam:ListUsers on \
        resource: arn:aws:iam::111122223333:user/ because no identity-based policy allows the iam:ListUsers action";
    assert_refused(&refused, 403, "AccessDenied", nothing);
    // A session needs no permission.
    wait(world.sts(&keys).get_session_token().send()).unwrap();
}

fn percent_decoded(text: &str) -> String {
    percent_encoding::percent_decode_str(text).decode_utf8_lossy().into_owned()
}
