//! `caller-identity`: who the credentials in the environment are, by AWS's own SDK.

use std::error::Error;

use aws_sdk_sts::config::BehaviorVersion;
use aws_smithy_http_client::Builder;
use aws_smithy_http_client::tls::{Provider, rustls_provider::CryptoMode};

/// Prints the ARN that AWS says these credentials are of.
pub fn print() -> Result<(), Box<dyn Error>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let arn = runtime.block_on(async {
        let http = Builder::new().tls_provider(Provider::Rustls(CryptoMode::Ring)).build_https();
        let settings = aws_config::defaults(BehaviorVersion::latest()).http_client(http).load().await;
        let identity = aws_sdk_sts::Client::new(&settings).get_caller_identity().send().await?;
        Ok::<_, Box<dyn Error>>(identity.arn.unwrap_or_default())
    })?;
    println!("{arn}");
    Ok(())
}
