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

#[test]
fn a_device_is_made_enabled_and_taken_away() {
    let world = world();
    let iam = world.iam(&world.alice_keys());
    let create = || iam.create_virtual_mfa_device().virtual_mfa_device_name("tablet").send();
    let device = wait(create()).unwrap().virtual_mfa_device.unwrap();
    let serial = device.serial_number();
    assert_eq!(serial, "arn:aws:iam::111122223333:mfa/tablet");
    let seed = device.base32_string_seed().unwrap().as_ref();
    assert_eq!(seed, world.simulator.seed(serial).as_bytes());
    assert_eq!(refusal(create()).1, "EntityAlreadyExists");

    let unassigned = || {
        let answer = wait(iam.list_virtual_mfa_devices().assignment_status("Unassigned".into()).send());
        answer.unwrap().virtual_mfa_devices.into_iter().map(|device| device.serial_number).collect::<Vec<_>>()
    };
    assert_eq!(unassigned(), [serial]);
    let enable = |codes: [String; 2]| {
        let [first, second] = codes;
        let call = iam.enable_mfa_device().user_name("alice").serial_number(serial);
        call.authentication_code1(first).authentication_code2(second).send()
    };
    let codes = |steps: [i64; 2]| steps.map(|step| world.simulator.code_at(serial, step));
    let wrong = "Authentication code for device is not valid.";
    for steps in [[0, 0], [1, 0], [-1, 1], [40, 41]] {
        assert_refused(&refusal(enable(codes(steps))), 403, "InvalidAuthenticationCode", wrong);
    }
    wait(enable(codes([0, 1]))).unwrap();
    assert_eq!(refusal(enable(codes([0, 1]))).1, "EntityAlreadyExists");
    assert_eq!(unassigned(), [""; 0]);

    // What takes it away needs MFA.
    let denied = refusal(iam.deactivate_mfa_device().user_name("alice").serial_number(serial).send());
    assert_eq!(denied.1, "AccessDenied");
    let iam = world.iam(&world.mfa_session());
    let delete = || iam.delete_virtual_mfa_device().serial_number(serial).send();
    assert_eq!(refusal(delete()).1, "DeleteConflict");
    wait(iam.deactivate_mfa_device().user_name("alice").serial_number(serial).send()).unwrap();
    wait(delete()).unwrap();
    assert_eq!(refusal(delete()).1, "NoSuchEntity");
}

#[test]
fn nobody_has_more_than_eight_devices_and_all_are_listed_page_by_page() {
    let world = world();
    for number in 1..8 {
        world.alice.device(&format!("spare-{number}"));
    }
    world.simulator.token("GAHT12345678");
    let codes = [0, 1].map(|step| world.simulator.code_at("GAHT12345678", step));
    let iam = world.iam(&world.alice_keys());
    let call = iam.enable_mfa_device().user_name("alice").serial_number("GAHT12345678");
    let call = call.authentication_code1(&codes[0]).authentication_code2(&codes[1]);
    assert_eq!(refusal(call.send()).1, "LimitExceeded");
    let page = wait(iam.list_virtual_mfa_devices().max_items(5).send()).unwrap();
    assert_eq!((page.virtual_mfa_devices().len(), page.is_truncated()), (5, true));
    let rest = wait(iam.list_virtual_mfa_devices().max_items(5).set_marker(page.marker).send()).unwrap();
    assert_eq!((rest.virtual_mfa_devices().len(), rest.is_truncated()), (3, false));
}
