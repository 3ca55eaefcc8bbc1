//! `mfa-agent policy`: the policy that denies everything without MFA.

use serde_json::Value;

use crate::support::Sandbox;

/// What the product calls with the long-term key alone, before there is a session.
const WITHOUT_MFA: [&str; 6] = [
    "iam:CreateVirtualMFADevice",
    "iam:EnableMFADevice",
    "iam:GetUser",
    "iam:ListMFADevices",
    "iam:ResyncMFADevice",
    "sts:GetSessionToken",
];

#[test]
fn the_policy_is_printed_and_lets_through_what_opens_a_session() {
    let sandbox = Sandbox::new();
    for (arguments, partition) in [
        (["policy", "print"].as_slice(), "aws"),
        (&["policy", "print", "--variant", "device"], "aws"),
        (&["policy", "print", "--variant", "credentials", "--partition", "aws-us-gov"], "aws-us-gov"),
    ] {
        let run = sandbox.run(arguments);
        assert_eq!((run.status, run.stderr.as_str()), (0, ""), "{run:?}");
        let policy: Value = serde_json::from_str(&run.stdout).unwrap();
        let statements = policy["Statement"].as_array().unwrap();
        let [deny] = statements.iter().filter(|one| one["Effect"] == "Deny").collect::<Vec<_>>()[..] else {
            panic!("{policy}");
        };
        assert_eq!(deny["Condition"]["BoolIfExists"]["aws:MultiFactorAuthPresent"], "false");
        for action in WITHOUT_MFA {
            assert!(deny["NotAction"].as_array().unwrap().iter().any(|name| name == action), "{action}");
        }
        let keys = statements.iter().any(|one| one["Sid"] == "AllowManageOwnAccessKeys");
        assert_eq!(keys, !arguments.contains(&"device"));
        assert!(
            run.stdout.contains(&format!("\"arn:{partition}:iam::*:user/${{aws:username}}\"")),
            "{run:?}"
        );
    }
    assert!(!sandbox.socket().exists(), "nothing is asked for that");
}
