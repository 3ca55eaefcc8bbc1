//! IAM: who may look at what.

use aws_sdk_iam::types::MfaDevice;

use crate::support::{ACCOUNT, assert_refused, keys, refusal, wait, world};

#[test]
fn devices_are_listed_for_a_key_alone() {
    let world = world();
    let spare = world.alice.hardware_device("GAHT12345678");
    world.simulator.user(ACCOUNT, "bob").device("bob");
    let answer = wait(world.iam(&world.alice_keys()).list_mfa_devices().send()).unwrap();
    let serials: Vec<&str> = answer.mfa_devices().iter().map(MfaDevice::serial_number).collect();
    assert_eq!(serials, [spare.as_str(), world.serial.as_str()]);
    assert!(!answer.is_truncated());
}

#[test]
fn listing_devices_can_be_denied() {
    let world = world();
    let list = || world.iam(&world.alice_keys()).list_mfa_devices();
    world.alice.deny("iam:ListMFADevices");
    let denied = "User: arn:aws:iam::111122223333:user/alice is not authorized to perform: \
        iam:ListMFADevices on resource: user alice with an explicit deny in an identity-based policy";
    assert_refused(&refusal(list().send()), 403, "AccessDenied", denied);
    world.alice.allow("iam:ListMFADevices");
    wait(list().send()).unwrap();
}

#[test]
fn an_account_has_one_alias_or_none() {
    let world = world();
    let session = world.mfa_session();
    let aliases = || wait(world.iam(&session).list_account_aliases().send()).unwrap().account_aliases;
    assert!(aliases().is_empty());
    world.simulator.name_account(ACCOUNT, "company");
    assert_eq!(aliases(), ["company"]);
    let refused = refusal(world.iam(&world.alice_keys()).list_account_aliases().send());
    let denied = "User: arn:aws:iam::111122223333:user/alice is not authorized to perform: \
        iam:ListAccountAliases on resource: * with an explicit deny in an identity-based policy";
    assert_refused(&refused, 403, "AccessDenied", denied);
}

#[test]
fn most_of_iam_needs_mfa() {
    let world = world();
    let refused = refusal(world.iam(&world.alice_keys()).list_access_keys().send());
    let denied = "User: arn:aws:iam::111122223333:user/alice is not authorized to perform: \
        iam:ListAccessKeys on resource: user alice with an explicit deny in an identity-based policy";
    assert_refused(&refused, 403, "AccessDenied", denied);
    world.alice.add_key("AKIASECOND", "second-secret");
    world.simulator.deactivate_key("AKIASECOND");
    let answer = wait(world.iam(&world.mfa_session()).list_access_keys().send()).unwrap();
    let mut listed: Vec<(&str, &str)> = answer
        .access_key_metadata()
        .iter()
        .map(|key| (key.access_key_id().unwrap(), key.status().unwrap().as_str()))
        .collect();
    listed.sort_by_key(|(_, status)| *status);
    assert_eq!(listed, [(world.alice.access_key_id.as_str(), "Active"), ("AKIASECOND", "Inactive")]);
}

#[test]
fn a_session_without_mfa_is_no_token_to_iam() {
    let world = world();
    let session = keys(wait(world.session_token().send()).unwrap().credentials());
    let refused = refusal(world.iam(&session).get_user().send());
    let invalid = "The security token included in the request is invalid.";
    assert_refused(&refused, 403, "InvalidClientTokenId", invalid);
}

#[test]
fn users_are_found_by_name() {
    let world = world();
    let iam = world.iam(&world.alice_keys());
    let answer = wait(iam.get_user().send()).unwrap();
    let user = answer.user().unwrap();
    assert_eq!((user.user_name(), user.arn()), ("alice", world.alice.arn.as_str()));
    let refused = refusal(iam.get_user().user_name("nobody").send());
    assert_refused(&refused, 404, "NoSuchEntity", "The user with name nobody cannot be found.");
}
