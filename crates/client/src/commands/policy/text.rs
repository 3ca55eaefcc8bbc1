//! The policy's text: two examples of AWS's IAM User Guide, "AWS: Allows MFA-authenticated IAM users to manage their own
//! credentials" and "… their own MFA device on the Security credentials page".

use crate::args::{Partition, Variant};

impl Partition {
    /// As ARNs have it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Aws => "aws",
            Self::AwsCn => "aws-cn",
            Self::AwsUsGov => "aws-us-gov",
            Self::AwsEusc => "aws-eusc",
        }
    }
}

/// The document, as JSON with an end of line.
pub fn of(variant: Variant, partition: Partition) -> String {
    let text = match variant {
        Variant::Credentials => include_str!("../../../policies/credentials.json"),
        Variant::Device => include_str!("../../../policies/device.json"),
    };
    text.replace("\"arn:aws:", &format!("\"arn:{}:", partition.name()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_fits_a_user_in_every_partition() {
        for variant in [Variant::Credentials, Variant::Device] {
            for partition in [Partition::Aws, Partition::AwsCn, Partition::AwsUsGov, Partition::AwsEusc] {
                let text = of(variant, partition);
                // IAM counts no white space, and takes so much of all policies that are a user's own.
                let characters = text.chars().filter(|character| !character.is_whitespace()).count();
                assert!(characters <= 2_048, "{variant:?} {partition:?}: {characters}");
                assert_eq!(
                    text.matches("arn:").count(),
                    text.matches(&format!("arn:{}:iam", partition.name())).count()
                );
            }
        }
    }
}
