//! The certificates that are trusted instead of the system's.

use std::path::{Path, PathBuf};

use aws_smithy_http_client::tls::TrustStore;
use protocol::Refusal;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;

use crate::environment::Environment;
use crate::platform::{self, Fingerprint};
use crate::profile::Target;
use crate::sts::CallError;

/// A file of certificates, and what names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CaBundle {
    /// The file.
    pub file: PathBuf,
    named_by: String,
}

impl CaBundle {
    /// That of a profile's calls: a variable wins over the profile, as in the AWS CLI.
    pub fn of(environment: &Environment, profile: &str, target: &Target) -> Result<Option<Self>, Refusal> {
        if let Some(file) = &environment.ca_bundle {
            return Ok(Some(Self { file: file.clone(), named_by: "AWS_CA_BUNDLE".to_owned() }));
        }
        let Some(named) = &target.ca_bundle else { return Ok(None) };
        // The agent's own folder says nothing to whoever wrote a relative one.
        let file = environment.in_home(Path::new(named)).filter(|file| file.is_absolute());
        let refused = || Refusal::BadSetting {
            profile: profile.to_owned(),
            setting: "ca_bundle".to_owned(),
            value: named.clone(),
            must: "a file's whole path, or one below ~/".to_owned(),
        };
        let named_by = format!("ca_bundle of profile {profile}");
        Ok(Some(Self { file: file.ok_or_else(refused)?, named_by }))
    }

    /// What changes when the file does.
    pub fn fingerprint(&self) -> Option<Fingerprint> {
        platform::fingerprint(&self.file)
    }

    /// Reads the file.
    pub fn read(&self) -> Result<TrustStore, CallError> {
        let refuse = |problem: String| CallError::CaBundle {
            file: self.file.display().to_string(),
            problem: format!("{problem}, and {} names it", self.named_by),
        };
        let pem = platform::read_file(&self.file).map_err(|error| refuse(error.kind().to_string()))?;
        let certificates =
            CertificateDer::pem_slice_iter(&pem).collect::<Result<Vec<_>, _>>().unwrap_or_default();
        if certificates.is_empty() {
            return Err(refuse("it is no list of PEM certificates".to_owned()));
        }
        // The HTTP client panics at what is PEM and no certificate.
        let bad = certificates
            .iter()
            .position(|certificate| webpki::anchor_from_trusted_cert(certificate).is_err());
        match bad {
            Some(bad) => Err(refuse(format!("its certificate {} cannot be read", bad + 1))),
            None => Ok(TrustStore::empty().with_pem_certificate(pem)),
        }
    }
}
