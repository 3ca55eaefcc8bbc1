//! Where a call goes.

use std::net::IpAddr;

use protocol::Refusal;

use crate::ca_bundle::CaBundle;
use crate::environment::{Environment, Service, without_password};
use crate::profile::Target;

/// Where a call goes.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// The region that the call is signed for.
    pub region: String,
    /// The URL, where it is not to be derived from the region.
    pub url: Option<String>,
    /// The FIPS variant.
    pub fips: bool,
    /// The dual-stack variant.
    pub dual_stack: bool,
    /// The certificates that are trusted there, where not the system's.
    pub ca_bundle: Option<CaBundle>,
}

/// What says where a service is, and the URL: a variable, the service's own in the profile's `services`, the profile's
/// for all services; in this order, as in the SDKs.
fn configured<'a>(
    environment: &'a Environment,
    service: Service,
    profile: &str,
    target: &'a Target,
) -> Result<Option<(String, &'a str)>, Refusal> {
    if environment.ignore_endpoints.or(target.ignore_endpoints) == Some(true) {
        return Ok(None);
    }
    if let Some(url) = environment.endpoint(service) {
        return Ok(Some(("AWS_ENDPOINT_URL".to_owned(), url)));
    }
    if let Some((section, endpoints)) = &target.services {
        let Some(endpoints) = endpoints else {
            return Err(Refusal::BadSetting {
                profile: profile.to_owned(),
                setting: "services".to_owned(),
                value: section.clone(),
                must: format!("the name of a section of the config file: [services {section}]"),
            });
        };
        let (name, url) = match service {
            Service::Sts => ("sts", &endpoints.sts),
            Service::Iam => ("iam", &endpoints.iam),
        };
        if let Some(url) = url {
            return Ok(Some((format!("{name} endpoint_url of [services {section}]"), url)));
        }
    }
    Ok(target.endpoint.as_deref().map(|url| ("endpoint_url".to_owned(), url)))
}

/// The domains of AWS, of all its partitions.
const AWS_DOMAINS: [&str; 8] = [
    "amazonaws.com",
    "amazonaws.com.cn",
    "api.aws",
    "amazonaws.eu",
    "c2s.ic.gov",
    "sc2s.sgov.gov",
    "cloud.adc-e.uk",
    "csp.hci.ic.gov",
];

impl Endpoint {
    /// The endpoint of a service for a profile. A variable wins over the profile, as in the SDKs.
    pub fn new(
        environment: &Environment,
        service: Service,
        profile: &str,
        target: &Target,
        partition: Partition,
    ) -> Result<Self, Refusal> {
        let region = match (service, &target.region) {
            (Service::Sts, Some(region)) => region.clone(),
            // IAM is one endpoint for a partition.
            (Service::Sts, None) | (Service::Iam, _) => partition.home_region().to_owned(),
        };
        let configured = configured(environment, service, profile, target)?;
        if let Some((setting, url)) = &configured {
            check(profile, setting, url)?;
        }
        let url = configured.map(|(_, url)| url);
        Ok(Self {
            region,
            url: url.map(str::to_owned),
            fips: environment.fips.or(target.fips).unwrap_or(false),
            dual_stack: environment.dual_stack.or(target.dual_stack).unwrap_or(false),
            ca_bundle: CaBundle::of(environment, profile, target)?,
        })
    }

    /// The URL, where it is not one of AWS's own, for people to see.
    pub fn foreign(&self) -> Option<String> {
        foreign(self.url.as_deref()?)
    }

    /// The endpoint in an error's words.
    pub fn describe(&self, service: Service) -> String {
        let service = match service {
            Service::Sts => "sts",
            Service::Iam => "iam",
        };
        match &self.url {
            Some(url) => without_password("", url),
            None => format!("{service} in {}", self.region),
        }
    }
}

/// A group of regions with accounts of their own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Partition {
    /// `aws`
    Aws,
    /// `aws-cn`
    China,
    /// `aws-us-gov`
    GovCloud,
}

impl Partition {
    /// The partition of the first hint that says something: ARNs and region names.
    pub fn of<'a>(hints: impl IntoIterator<Item = &'a str>) -> Self {
        for hint in hints {
            if hint.starts_with("arn:aws-cn:") || hint.starts_with("cn-") {
                return Self::China;
            }
            if hint.starts_with("arn:aws-us-gov:") || hint.starts_with("us-gov-") {
                return Self::GovCloud;
            }
        }
        Self::Aws
    }

    fn home_region(self) -> &'static str {
        match self {
            Self::Aws => "us-east-1",
            Self::China => "cn-north-1",
            Self::GovCloud => "us-gov-west-1",
        }
    }
}

/// Whether STS or IAM answers there. Below the same domains there are hosts that anybody can rent: a bucket called
/// `sts`, an API.
fn is_awss_own(host: &str) -> bool {
    let below = |domain: &&str| host.strip_suffix(*domain)?.strip_suffix('.');
    let Some(rest) = AWS_DOMAINS.iter().find_map(below) else { return false };
    let labels: Vec<&str> = rest.split('.').collect();
    match labels[..] {
        ["sts" | "sts-fips" | "iam" | "iam-fips"] | ["iam", "us-gov" | "global"] => true,
        ["sts" | "sts-fips" | "iam" | "iam-fips", region] => is_region(region),
        // An interface endpoint of a VPC; services of other people's are called `vpce-svc-…`.
        [endpoint, "sts" | "sts-fips", region, "vpce"] => endpoint.starts_with("vpce-") && is_region(region),
        _ => false,
    }
}

/// Whether it has the form of a region's name: `eu-central-1`.
fn is_region(name: &str) -> bool {
    let parts: Vec<&str> = name.split('-').collect();
    let letters = |part: &&str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_lowercase());
    matches!(&parts[..], [words @ .., number]
        if words.len() >= 2 && words.iter().all(letters) && number.parse::<u8>().is_ok())
}

/// A URL that credentials may go to.
pub fn check(profile: &str, setting: &str, url: &str) -> Result<(), Refusal> {
    if may_carry_credentials(url) {
        return Ok(());
    }
    Err(Refusal::BadSetting {
        profile: profile.to_owned(),
        setting: setting.to_owned(),
        value: without_password("", url),
        must: "https://…, or http://… on this machine: credentials go over it".to_owned(),
    })
}

fn may_carry_credentials(url: &str) -> bool {
    let host = host(url).unwrap_or_default();
    let loopback = host == "localhost"
        || host.trim_matches(['[', ']']).parse().is_ok_and(|address: IpAddr| address.is_loopback());
    url.starts_with("https://") || url.starts_with("http://") && loopback
}

/// The URL, where it is not one of AWS's own, for people to see.
pub fn foreign(url: &str) -> Option<String> {
    let host = host(url).unwrap_or_default();
    (!is_awss_own(host)).then(|| without_password("", url))
}

/// The host of a URL, without user and port.
fn host(url: &str) -> Option<&str> {
    let authority = url.split_once("://")?.1.split(['/', '?', '#']).next()?;
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    match host.find(']') {
        Some(end) => Some(&host[..=end]),
        None => host.split(':').next(),
    }
}

#[cfg(test)]
mod botocore;

#[cfg(test)]
mod tests {
    use super::*;

    fn endpoint(url: &str) -> Result<Endpoint, Refusal> {
        let target = Target { endpoint: Some(url.to_owned()), ..Target::default() };
        Endpoint::new(&Environment::default(), Service::Sts, "dev", &target, Partition::Aws)
    }

    #[test]
    fn credentials_travel_in_the_clear_on_this_machine_alone() {
        for good in
            ["https://sts.example", "http://127.0.0.1:5000", "http://localhost:1/x", "http://[::1]:80"]
        {
            assert!(endpoint(good).is_ok(), "{good}");
        }
        for bad in [
            "http://sts.example",
            "http://127.0.0.1.evil.example",
            "http://localhost@evil.example",
            "ftp://x",
        ] {
            assert!(endpoint(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn what_is_not_awss_own_is_named() {
        for own in [
            "https://sts.amazonaws.com",
            "https://sts.eu-west-1.amazonaws.com",
            "https://sts-fips.us-east-1.api.aws:443/",
            "https://sts.cn-north-1.amazonaws.com.cn",
            "https://iam.us-gov.amazonaws.com",
            "https://sts.us-gov-west-1.amazonaws.com",
            "https://sts.us-iso-east-1.c2s.ic.gov",
            "https://vpce-0a1b-2c3d.sts.us-east-1.vpce.amazonaws.com",
        ] {
            assert_eq!(endpoint(own).unwrap().foreign(), None, "{own}");
        }
        for foreign in [
            "https://notamazonaws.com",
            "https://amazonaws.com.evil.example",
            "http://127.0.0.1:1",
            // Anybody can rent these.
            "https://sts.s3.amazonaws.com",
            "https://sts.s3-eu-west-1.amazonaws.com",
            "https://abc123.execute-api.eu-west-1.amazonaws.com",
            "https://sts.eu-west-1.elb.amazonaws.com",
            "https://vpce-0a1b.vpce-svc-0a1b.us-east-1.vpce.amazonaws.com",
            "https://amazonaws.com",
        ] {
            assert_eq!(endpoint(foreign).unwrap().foreign().as_deref(), Some(foreign));
        }
    }

    #[test]
    fn the_partition_follows_the_hints() {
        let partition = Partition::of(["123456789012", "arn:aws-us-gov:iam::1:mfa/x"]);
        let endpoint =
            Endpoint::new(&Environment::default(), Service::Iam, "gov", &Target::default(), partition)
                .unwrap();
        assert_eq!(endpoint.region, "us-gov-west-1");
    }
}
