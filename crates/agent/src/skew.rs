//! How far AWS's clock is from this machine's, measured from the `Date` of every reply.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_runtime_api::client::interceptors::Intercept;
use aws_smithy_runtime_api::client::interceptors::context::BeforeDeserializationInterceptorContextRef;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::config_bag::ConfigBag;
use aws_smithy_types::date_time::{DateTime, Format};

/// AWS's clock minus this machine's, by the latest reply.
#[derive(Debug, Clone, Default)]
pub struct Skew(Arc<Mutex<Option<i64>>>);

impl Skew {
    /// In seconds. A second or two is the header's resolution and the network, no skew.
    pub fn get(&self) -> Option<i64> {
        let skew = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        skew.map(|seconds| if seconds.abs() <= 2 { 0 } else { seconds })
    }
}

/// Reads the `Date` of every reply of a client.
#[derive(Debug)]
pub struct SkewMeter(pub Skew);

impl Intercept for SkewMeter {
    fn name(&self) -> &'static str {
        "SkewMeter"
    }

    fn read_before_deserialization(
        &self,
        context: &BeforeDeserializationInterceptorContextRef<'_>,
        _components: &RuntimeComponents,
        _settings: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let date = context.response().headers().get("date");
        let date = date.and_then(|date| DateTime::from_str(date, Format::HttpDate).ok());
        let now = SystemTime::now().duration_since(UNIX_EPOCH).ok();
        if let (Some(date), Some(now)) = (date, now) {
            let now = i64::try_from(now.as_secs()).unwrap_or(i64::MAX);
            *self.0.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(date.secs().saturating_sub(now));
        }
        Ok(())
    }
}
