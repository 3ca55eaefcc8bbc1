//! A request as it was received, and the parameters in it.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use hyper::HeaderMap;
use hyper::body::Bytes;

/// The parts of an HTTP request that a signature covers, and its parameters.
pub(crate) struct Request {
    pub(crate) method: String,
    /// As on the wire, still percent-encoded.
    pub(crate) path: String,
    /// As on the wire, without the question mark.
    pub(crate) query: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    pub(crate) parameters: Parameters,
}

impl Request {
    pub(crate) fn new(head: &hyper::http::request::Parts, body: Bytes) -> Request {
        let query = head.uri.query().unwrap_or_default().to_owned();
        let mut parameters = Parameters::decode(&query);
        parameters.0.extend(Parameters::decode(&String::from_utf8_lossy(&body)).0);
        Request {
            method: head.method.as_str().to_owned(),
            path: head.uri.path().to_owned(),
            query,
            headers: head.headers.clone(),
            body,
            parameters,
        }
    }

    /// The action: a parameter of the Query protocol. In S3 it is method and path, and here there is one.
    pub(crate) fn action(&self) -> &str {
        let s3 = self.header("authorization").is_some_and(|header| header.contains("/s3/aws4_request"));
        match self.parameters.get("Action") {
            Some(action) => action,
            None if s3 && self.method == "GET" && self.path == "/" => "ListBuckets",
            None => "",
        }
    }

    /// A header's value, if it is there and text.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }
}

/// The parameters of an action, by name.
#[derive(Clone, Debug, Default)]
pub(crate) struct Parameters(pub(crate) BTreeMap<String, String>);

impl Parameters {
    /// Reads `a=1&b=2`, percent-encoded, `+` for a space.
    pub(crate) fn decode(form: &str) -> Parameters {
        let pairs = form.split('&').filter(|pair| !pair.is_empty());
        let named = pairs.map(|pair| pair.split_once('=').unwrap_or((pair, "")));
        Parameters(
            named.map(|(name, value)| (decode_percent(name, true), decode_percent(value, true))).collect(),
        )
    }

    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }
}

/// Undoes percent-encoding; a stray `%` stays as it is.
pub(crate) fn decode_percent(text: &str, plus_is_space: bool) -> String {
    let mut decoded = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        let escaped = match (byte, after) {
            (b'%', [high, low, ..]) => hexadecimal(*high).zip(hexadecimal(*low)),
            _ => None,
        };
        if let Some((high, low)) = escaped {
            decoded.push(high * 16 + low);
            rest = &after[2..];
        } else {
            decoded.push(if byte == b'+' && plus_is_space { b' ' } else { byte });
            rest = after;
        }
    }
    String::from_utf8_lossy(&decoded).into_owned()
}

/// Percent-encodes all but the unreserved characters of RFC 3986, as IAM does with policies.
pub(crate) fn encode_percent(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len() * 3);
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            let _ = write!(encoded, "%{byte:02X}");
        }
    }
    encoded
}

fn hexadecimal(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_is_decoded() {
        let form = Parameters::decode("Action=GetUser&a=x%2By+z&empty=&bare&bad=%zz%4");
        assert_eq!(form.get("Action"), Some("GetUser"));
        assert_eq!(form.get("a"), Some("x+y z"));
        assert_eq!(form.get("empty"), Some(""));
        assert_eq!(form.get("bare"), Some(""));
        assert_eq!(form.get("bad"), Some("%zz%4"));
        assert_eq!(form.get("none"), None);
    }
}
