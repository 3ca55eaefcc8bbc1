//! STS: every row of what AWS was seen to answer.

use std::time::Duration;

use aws_simulator::Role;

use crate::support::{ACCOUNT, Keys, assert_refused, keys, refusal, wait, world};

const WRONG_CODE: &str = "MultiFactorAuthentication failed with invalid MFA one time pass code. ";
const INVALID_TOKEN: &str = "The security token included in the request is invalid.";
const WRONG_SERIAL: &str = "MultiFactorAuthentication failed, unable to validate MFA code.  \
    Please verify your MFA serial number is valid and associated with this user.";
const WRONG_SIGNATURE: &str = "The request signature we calculated does not match the signature you \
    provided. Check your AWS Secret Access Key and signing method. Consult the service documentation for \
    details.";

#[test]
fn a_session_begins_with_a_code_and_is_in_aws_shape() {
    let world = world();
    let before = world.simulator.now();
    let answer = wait(world.session_with(&world.simulator.code(&world.serial)).send()).unwrap();
    let credentials = answer.credentials().unwrap();
    assert!(credentials.access_key_id().starts_with("ASIA") && credentials.access_key_id().len() == 20);
    assert_eq!(credentials.secret_access_key().len(), 40);
    let token = credentials.session_token();
    assert!(token.len() >= 350 && token.contains('/') && token.contains('+') && token.ends_with("=="));
    let lifetime = credentials.expiration().secs() - before;
    assert!((43_200..43_210).contains(&lifetime), "{lifetime}");

    let identity = wait(world.sts(&keys(Some(credentials))).get_caller_identity().send()).unwrap();
    assert_eq!(identity.arn(), Some("arn:aws:iam::111122223333:user/alice"));
    assert_eq!(identity.account(), Some(ACCOUNT));
}

#[test]
fn a_wrong_code_and_a_used_one_get_the_same_answer() {
    let world = world();
    let code = world.simulator.code_at(&world.serial, 1);
    let wrong = world.simulator.code_at(&world.serial, 5);
    assert_refused(&refusal(world.session_with(&wrong).send()), 403, "AccessDenied", WRONG_CODE);
    wait(world.session_with(&code).send()).unwrap();
    assert_refused(&refusal(world.session_with(&code).send()), 403, "AccessDenied", WRONG_CODE);
}

#[test]
fn a_code_is_used_up_for_assume_role_too_and_not_for_another_device() {
    let world = world();
    let spare = world.alice.hardware_device("GAHT12345678");
    let code = world.simulator.code(&world.serial);
    wait(world.session_with(&code).send()).unwrap();
    let role = || world.assume_ops(&world.alice_keys());
    let again = role().serial_number(&world.serial).token_code(&code).send();
    assert_refused(&refusal(again), 403, "AccessDenied", WRONG_CODE);
    let code = world.simulator.unused_code(&spare).unwrap();
    wait(role().serial_number(&spare).token_code(code).send()).unwrap();
}

#[test]
fn there_are_two_unused_codes_and_then_none_until_time_passes() {
    let world = world();
    // From the start of a step: a step that ended meanwhile would bring a code more.
    let into_step = u64::try_from(world.simulator.now() % 30).unwrap();
    world.simulator.advance(Duration::from_secs(30 - into_step));
    let first = world.simulator.unused_code(&world.serial).unwrap();
    assert_eq!(first, world.simulator.code(&world.serial));
    wait(world.session_with(&first).send()).unwrap();
    let second = world.simulator.unused_code(&world.serial).unwrap();
    assert_ne!(first, second);
    wait(world.session_with(&second).send()).unwrap();
    assert_eq!(world.simulator.unused_code(&world.serial), None);
    world.simulator.advance(Duration::from_secs(30));
    let third = world.simulator.unused_code(&world.serial).unwrap();
    assert_ne!(second, third);
    wait(world.session_with(&third).send()).unwrap();
}

#[test]
fn a_serial_of_nobody_or_of_another_user() {
    let world = world();
    let bobs = world.simulator.user(ACCOUNT, "bob").device("bob");
    for serial in ["arn:aws:iam::111122223333:mfa/nobody", &world.alice.arn, &bobs] {
        let request = world.session_token().serial_number(serial).token_code("123456");
        assert_refused(&refusal(request.send()), 403, "AccessDenied", WRONG_SERIAL);
    }
}

#[test]
fn half_a_second_factor() {
    let world = world();
    let expected =
        "MultiFactorAuthentication failed, must provide both MFA serial number and one time pass code.";
    let only_serial = world.session_token().serial_number(&world.serial).send();
    assert_refused(&refusal(only_serial), 403, "AccessDenied", expected);
    let only_code = world.session_token().token_code(world.simulator.code(&world.serial)).send();
    assert_refused(&refusal(only_code), 403, "AccessDenied", expected);
}

#[test]
fn parameters_out_of_bounds() {
    let world = world();
    let complaint = |value: &str, member: &str, wanted: &str| {
        format!(
            "1 validation error detected: Value '{value}' at '{member}' failed to satisfy constraint: \
             Member must {wanted}"
        )
    };
    for (duration, wanted) in [
        (899, "have value greater than or equal to 900"),
        (129_601, "have value less than or equal to 129600"),
    ] {
        let refused = refusal(world.session_token().duration_seconds(duration).send());
        let expected = complaint(&duration.to_string(), "durationSeconds", wanted);
        assert_refused(&refused, 400, "ValidationError", &expected);
    }
    for (code, wanted) in [
        ("1234567", "have length less than or equal to 6"),
        ("12345", "have length greater than or equal to 6"),
        ("12345a", r"satisfy regular expression pattern: [\d]*"),
    ] {
        let expected = complaint(code, "tokenCode", wanted);
        assert_refused(&refusal(world.session_with(code).send()), 400, "ValidationError", &expected);
    }
    let role = world.assume_ops(&world.alice_keys());
    let expected = complaint("a b", "roleSessionName", r"satisfy regular expression pattern: [\w+=,.@-]*");
    assert_refused(&refusal(role.role_session_name("a b").send()), 400, "ValidationError", &expected);
    let two = refusal(world.session_with("12345a7").send());
    assert!(two.2.starts_with("2 validation errors detected: "), "{two:?}");
}

#[test]
fn a_wrong_secret() {
    let world = world();
    let keys = Keys(world.alice.access_key_id.clone(), "x".repeat(40), None);
    let refused = refusal(world.sts(&keys).get_caller_identity().send());
    assert_refused(&refused, 403, "SignatureDoesNotMatch", WRONG_SIGNATURE);
}

#[test]
fn a_clock_that_is_late_or_early() {
    let world = world();
    let identity = || refusal(world.sts(&world.alice_keys()).get_caller_identity().send());
    for (offset, start, end) in
        [(1_000, "Signature expired: ", " - 15 min.)"), (-400, "Signature not yet current: ", " + 5 min.)")]
    {
        world.simulator.set_offset(offset);
        let (status, code, message) = identity();
        assert_eq!((status, code.as_str()), (403, "SignatureDoesNotMatch"));
        assert!(message.starts_with(start) && message.ends_with(end), "{message}");
    }
    for offset in [800, -200] {
        world.simulator.set_offset(offset);
        wait(world.sts(&world.alice_keys()).get_caller_identity().send()).unwrap();
    }
}

#[test]
fn keys_that_are_unknown_or_inactive_and_tokens_that_do_not_belong() {
    let world = world();
    let good = world.mfa_session();
    let identity = |keys: &Keys| refusal(world.sts(keys).get_caller_identity().send());
    let Keys(id, secret, token) = good.clone();
    for wrong in [
        Keys("AKIAUNKNOWN".to_owned(), secret.clone(), None),
        Keys(id.clone(), secret.clone(), None),
        Keys(id, secret, Some("another".to_owned())),
        Keys(world.alice.access_key_id.clone(), world.alice.secret_access_key.clone(), token),
    ] {
        assert_refused(&identity(&wrong), 403, "InvalidClientTokenId", INVALID_TOKEN);
    }
    world.simulator.deactivate_key(&world.alice.access_key_id);
    assert_refused(&identity(&world.alice_keys()), 403, "InvalidClientTokenId", INVALID_TOKEN);
    world.simulator.delete_key(&good.0);
    assert_refused(&identity(&good), 403, "InvalidClientTokenId", INVALID_TOKEN);
}

#[test]
fn an_expired_session() {
    let world = world();
    let session = world.mfa_session();
    world.simulator.expire_session(&session.0);
    let refused = refusal(world.sts(&session).get_caller_identity().send());
    assert_refused(&refused, 403, "ExpiredToken", "The security token included in the request is expired");
}

#[test]
fn sessions_end_when_the_clock_says_so() {
    let world = world();
    let answer = wait(world.session_token().duration_seconds(900).send()).unwrap();
    let session = keys(answer.credentials());
    let sts = world.sts(&session);
    world.simulator.advance(Duration::from_secs(800));
    wait(sts.get_caller_identity().send()).unwrap();
    world.simulator.advance(Duration::from_secs(100));
    assert_eq!(refusal(sts.get_caller_identity().send()).1, "ExpiredToken");
}

#[test]
fn sessions_cannot_beget_sessions() {
    let world = world();
    let sts = world.sts(&world.mfa_session());
    let refused = refusal(sts.get_session_token().send());
    assert_refused(&refused, 403, "AccessDenied", "Cannot call GetSessionToken with session credentials");
    let refused = refusal(sts.get_federation_token().name("fed").send());
    assert_refused(&refused, 403, "AccessDenied", "Cannot call GetFederationToken with session credentials");
}

#[test]
fn the_mfa_of_a_session_opens_a_role_and_its_absence_does_not() {
    let world = world();
    let answer = wait(world.assume_ops(&world.mfa_session()).send()).unwrap();
    let user = answer.assumed_role_user().unwrap();
    assert_eq!(user.arn(), "arn:aws:sts::111122223333:assumed-role/ops/test");
    let identity = wait(world.sts(&keys(answer.credentials())).get_caller_identity().send()).unwrap();
    assert_eq!(identity.arn(), Some(user.arn()));
    assert_eq!(identity.user_id(), Some(user.assumed_role_id()));

    let without = keys(wait(world.session_token().send()).unwrap().credentials());
    let denied = format!(
        "User: {} is not authorized to perform: sts:AssumeRole on resource: {}",
        world.alice.arn, world.ops
    );
    world.alice.must_use_mfa(false);
    for caller in [without, world.alice_keys()] {
        assert_refused(&refusal(world.assume_ops(&caller).send()), 403, "AccessDenied", &denied);
    }
}

#[test]
fn a_role_that_is_not_there_or_does_not_trust_the_caller() {
    let world = world();
    let session = world.mfa_session();
    let foreign = world.simulator.role(Role::new("444455556666", "foreign"));
    let trusted_accounts = vec![ACCOUNT.to_owned()];
    let open = Role { trusted_accounts, ..Role::new("444455556666", "open") };
    let open = world.simulator.role(Role { external_id: Some("secret-handshake".to_owned()), ..open });
    let missing = format!("arn:aws:iam::{ACCOUNT}:role/missing");
    for role in [&foreign, &open, &missing] {
        let refused = refusal(world.assume_ops(&session).role_arn(role).send());
        let resource = format!("is not authorized to perform: sts:AssumeRole on resource: {role}");
        assert_refused(&refused, 403, "AccessDenied", &format!("User: {} {resource}", world.alice.arn));
    }
    wait(world.assume_ops(&session).role_arn(&open).external_id("secret-handshake").send()).unwrap();
}

#[test]
fn one_hour_for_temporary_callers_and_the_roles_own_limit_for_keys() {
    let world = world();
    let long = Role { max_session_seconds: 7_200, ..Role::new(ACCOUNT, "long") };
    let long = world.simulator.role(long);
    let chained = world.assume_ops(&world.mfa_session()).role_arn(&long).duration_seconds(3_601);
    let one_hour =
        "The requested DurationSeconds exceeds the 1 hour session limit for roles assumed by role chaining.";
    assert_refused(&refusal(chained.send()), 400, "ValidationError", one_hour);

    world.simulator.advance(Duration::from_mins(1));
    let by_key = |duration| {
        let code = world.simulator.unused_code(&world.serial).unwrap();
        let request = world.assume_ops(&world.alice_keys()).role_arn(&long).duration_seconds(duration);
        request.serial_number(&world.serial).token_code(code)
    };
    wait(by_key(7_200).send()).unwrap();
    let above = "The requested DurationSeconds exceeds the MaxSessionDuration set for this role.";
    assert_refused(&refusal(by_key(7_201).send()), 400, "ValidationError", above);
}

#[test]
fn a_role_reaches_the_next_one_without_carrying_its_mfa() {
    let world = world();
    let trusted_roles = vec![world.ops.clone()];
    let next = Role { trusted_roles, requires_mfa: false, ..Role::new(ACCOUNT, "next") };
    let strict = Role { requires_mfa: true, name: "strict".to_owned(), ..next.clone() };
    let (next, strict) = (world.simulator.role(next), world.simulator.role(strict));
    let ops = keys(wait(world.assume_ops(&world.mfa_session()).send()).unwrap().credentials());
    wait(world.assume_ops(&ops).role_arn(next).send()).unwrap();
    let refused = refusal(world.assume_ops(&ops).role_arn(&strict).send());
    let denied = format!(
        "User: arn:aws:sts::111122223333:assumed-role/ops/test is not authorized to perform: \
         sts:AssumeRole on resource: {strict}"
    );
    assert_refused(&refused, 403, "AccessDenied", &denied);
}

#[test]
fn a_federation_token_names_its_user() {
    let world = world();
    let request = || world.sts(&world.alice_keys()).get_federation_token().name("visitor");
    assert_eq!(refusal(request().send()).1, "AccessDenied", "the policy denies it without MFA");
    world.alice.must_use_mfa(false);
    let answer = wait(request().send()).unwrap();
    let identity = wait(world.sts(&keys(answer.credentials())).get_caller_identity().send()).unwrap();
    assert_eq!(identity.arn(), Some("arn:aws:sts::111122223333:federated-user/visitor"));
}

#[test]
fn planted_credentials_arrive_letter_by_letter_and_work() {
    let world = world();
    let hostile = "needle<&>\"' \u{e9}\n\u{1b}[31m$(id)`x`'; rm -rf ~ #";
    world.simulator.plant_credentials("ASIANEEDLE", "needle-secret", "needle-token/+==");
    world.simulator.plant_credentials(hostile, hostile, hostile);
    let first = world.mfa_session();
    let expected = Keys("ASIANEEDLE".into(), "needle-secret".into(), Some("needle-token/+==".into()));
    assert_eq!(first, expected);
    wait(world.sts(&first).get_caller_identity().send()).unwrap();
    let second = wait(world.session_token().send()).unwrap();
    assert_eq!(keys(second.credentials()), Keys(hostile.into(), hostile.into(), Some(hostile.into())));
    let third = wait(world.session_token().send()).unwrap();
    assert!(keys(third.credentials()).0.starts_with("ASIA"));
}
