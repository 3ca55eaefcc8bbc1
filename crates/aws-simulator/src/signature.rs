//! Signature Version 4, written from AWS's description and not from its SDK, so that the product's
//! signatures are judged by something independent.

use std::fmt::Write as _;

use hmac::{Hmac, Mac};
use sha2::{Digest, Sha256};

use crate::answer::Failure;
use crate::clock::{Seconds, compact, parse_compact};
use crate::request::{Request, decode_percent};

const ALGORITHM: &str = "AWS4-HMAC-SHA256";
const LATE_MINUTES: Seconds = 15;
const EARLY_MINUTES: Seconds = 5;

/// What the `Authorization` header says.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Authorization {
    pub(crate) access_key_id: String,
    pub(crate) date: String,
    pub(crate) region: String,
    pub(crate) service: String,
    pub(crate) signed_headers: Vec<String>,
    pub(crate) signature: String,
}

impl Authorization {
    /// Reads the header of a request; without one the request is unsigned.
    pub(crate) fn of(request: &Request) -> Result<Authorization, Failure> {
        let header = request.header("authorization").ok_or_else(|| {
            Failure::new(403, "MissingAuthenticationToken", "Request is missing Authentication Token")
        })?;
        Authorization::parse(header).ok_or_else(|| {
            // AWS quotes the header here; a test server's log is better off without.
            Failure::new(400, "IncompleteSignature", "Authorization header is not well-formed.")
        })
    }

    fn parse(header: &str) -> Option<Authorization> {
        let fields = header.strip_prefix(ALGORITHM)?.split(',').map(|field| field.trim().split_once('='));
        let fields: Vec<(&str, &str)> = fields.collect::<Option<_>>()?;
        let field = |wanted: &str| fields.iter().find(|(name, _)| *name == wanted).map(|(_, value)| *value);
        // The key id may itself hold slashes in a test, so the scope is taken from the right.
        let mut credential = field("Credential")?.rsplitn(5, '/');
        if credential.next() != Some("aws4_request") {
            return None;
        }
        let (service, region, date) = (credential.next()?, credential.next()?, credential.next()?);
        Some(Authorization {
            access_key_id: credential.next()?.to_owned(),
            date: date.to_owned(),
            region: region.to_owned(),
            service: service.to_owned(),
            signed_headers: field("SignedHeaders")?.split(';').map(str::to_owned).collect(),
            signature: field("Signature")?.to_owned(),
        })
    }

    fn scope(&self) -> String {
        format!("{}/{}/{}/aws4_request", self.date, self.region, self.service)
    }
}

/// Is the request signed with this secret, for this service, about now?
pub(crate) fn check(
    request: &Request,
    authorization: &Authorization,
    secret: &str,
    service: &str,
    now: Seconds,
) -> Result<(), Failure> {
    let date = request.header("x-amz-date").unwrap_or_default();
    let signed_at = parse_compact(date).ok_or_else(|| {
        Failure::new(400, "IncompleteSignature", "Date must be in ISO-8601 'basic format'.")
    })?;
    if date[..8] != authorization.date {
        return Err(Failure::signature(format!(
            "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP: \
             '{}' != '{}', from '{date}'.",
            authorization.date,
            &date[..8]
        )));
    }
    if authorization.service != service {
        return Err(Failure::signature(format!(
            "Credential should be scoped to correct service: '{service}'. "
        )));
    }
    check_time(signed_at, now)?;
    let mut needed = vec!["host", "x-amz-date", "x-amz-security-token"];
    if service == "s3" {
        needed.push("x-amz-content-sha256");
        check_payload(request)?;
    }
    for name in needed {
        let signed = authorization.signed_headers.iter().any(|signed| signed == name);
        if request.headers.contains_key(name) && !signed {
            return Err(Failure::signature(format!(
                "'{name}' must be a 'SignedHeader' in the AWS Authorization."
            )));
        }
    }
    if authorization.signature != sign(request, authorization, secret, date) {
        return Err(Failure::signature(
            "The request signature we calculated does not match the signature you provided. Check your AWS \
             Secret Access Key and signing method. Consult the service documentation for details.",
        ));
    }
    Ok(())
}

/// S3 has the body's digest in a header, which must be there.
fn check_payload(request: &Request) -> Result<(), Failure> {
    let header = request.header("x-amz-content-sha256").ok_or_else(|| {
        Failure::new(400, "InvalidRequest", "Missing required header for this request: x-amz-content-sha256")
    })?;
    if header != "UNSIGNED-PAYLOAD" && header != hexadecimal(&Sha256::digest(&request.body)) {
        let message = "The provided 'x-amz-content-sha256' header does not match what was computed.";
        return Err(Failure::new(400, "XAmzContentSHA256Mismatch", message));
    }
    Ok(())
}

fn check_time(signed_at: Seconds, now: Seconds) -> Result<(), Failure> {
    let (earliest, latest) = (now - LATE_MINUTES * 60, now + EARLY_MINUTES * 60);
    let (signed, server) = (compact(signed_at), compact(now));
    if signed_at < earliest {
        return Err(Failure::signature(format!(
            "Signature expired: {signed} is now earlier than {} ({server} - {LATE_MINUTES} min.)",
            compact(earliest)
        )));
    }
    if signed_at > latest {
        return Err(Failure::signature(format!(
            "Signature not yet current: {signed} is still later than {} ({server} + {EARLY_MINUTES} min.)",
            compact(latest)
        )));
    }
    Ok(())
}

/// The signature the request should carry.
pub(crate) fn sign(request: &Request, authorization: &Authorization, secret: &str, date: &str) -> String {
    let body = match request.header("x-amz-content-sha256") {
        Some(digest) if authorization.service == "s3" => digest.to_owned(),
        _ => hexadecimal(&Sha256::digest(&request.body)),
    };
    let canonical = canonical_request(request, &authorization.signed_headers, &body);
    let scope = authorization.scope();
    let to_sign =
        format!("{ALGORITHM}\n{date}\n{scope}\n{}", hexadecimal(&Sha256::digest(canonical.as_bytes())));
    let key = ["AWS4", secret].concat().into_bytes();
    let key = scope.split('/').fold(key, |key, part| authenticate(&key, part.as_bytes()));
    hexadecimal(&authenticate(&key, to_sign.as_bytes()))
}

fn canonical_request(request: &Request, signed_headers: &[String], body: &str) -> String {
    let mut headers = String::new();
    for name in signed_headers {
        let values = request.headers.get_all(name).iter();
        let values: Vec<String> =
            values.map(|value| single_spaced(&String::from_utf8_lossy(value.as_bytes()))).collect();
        let _ = writeln!(headers, "{name}:{}", values.join(","));
    }
    [
        request.method.as_str(),
        &canonical_path(&request.path),
        &canonical_query(&request.query),
        &headers,
        &signed_headers.join(";"),
        body,
    ]
    .join("\n")
}

/// Every service but S3 encodes what is already encoded on the wire once more. Dots in paths are
/// not resolved: the Query protocol has the path `/` only.
fn canonical_path(path: &str) -> String {
    path.split('/').map(encode_percent).collect::<Vec<_>>().join("/")
}

fn canonical_query(query: &str) -> String {
    let encode = |text| encode_percent(&decode_percent(text, false));
    let pairs = query.split('&').filter(|pair| !pair.is_empty());
    let mut pairs: Vec<(String, String)> = pairs
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
        .map(|(name, value)| (encode(name), encode(value)))
        .collect();
    pairs.sort();
    pairs.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("&")
}

fn encode_percent(text: &str) -> String {
    let mut encoded = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            let _ = write!(encoded, "%{byte:02X}");
        }
    }
    encoded
}

fn single_spaced(value: &str) -> String {
    value.split(' ').filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ")
}

fn authenticate(key: &[u8], message: &[u8]) -> Vec<u8> {
    let mut hmac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes keys of any length");
    hmac.update(message);
    hmac.finalize().into_bytes().to_vec()
}

fn hexadecimal(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(2 * bytes.len());
    for byte in bytes {
        let _ = write!(text, "{byte:02x}");
    }
    text
}

#[cfg(test)]
mod tests {
    use hyper::body::Bytes;

    use super::*;

    const SECRET: &str = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";
    const DATE: &str = "20150830T123600Z";

    fn request(method: &str, uri: &str, headers: &[(&str, &str)], body: &'static str) -> Request {
        let mut builder = hyper::Request::builder().method(method).uri(uri).header("x-amz-date", DATE);
        for (name, value) in headers {
            builder = builder.header(*name, *value);
        }
        let (head, ()) = builder.body(()).unwrap().into_parts();
        Request::new(&head, Bytes::from_static(body.as_bytes()))
    }

    fn authorization(service: &str, signed_headers: &str, signature: &str) -> Authorization {
        let credential = format!("AKIDEXAMPLE/20150830/us-east-1/{service}/aws4_request");
        let header = format!(
            "{ALGORITHM} Credential={credential}, SignedHeaders={signed_headers}, Signature={signature}"
        );
        Authorization::parse(&header).unwrap()
    }

    /// Vectors of the suite AWS publishes with its description of Signature Version 4.
    #[test]
    fn signatures_that_aws_published() {
        let host = ("host", "example.amazonaws.com");
        for (method, uri, signature) in [
            ("GET", "/", "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"),
            ("POST", "/", "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b"),
            (
                "GET",
                "/?Param2=value2&Param1=value1",
                "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500",
            ),
        ] {
            let request = request(method, uri, &[host], "");
            let authorization = authorization("service", "host;x-amz-date", signature);
            assert_eq!(sign(&request, &authorization, SECRET, DATE), signature, "{method} {uri}");
        }
    }

    /// The worked example of AWS's guide.
    #[test]
    fn the_worked_example_is_accepted_and_any_change_of_it_refused() {
        let content_type = ("content-type", "application/x-www-form-urlencoded;   charset=utf-8");
        let host = ("host", "iam.amazonaws.com");
        let uri = "/?Action=ListUsers&Version=2010-05-08";
        let signature = "5d672d79c15b13162d9279b0855cfba6789a8edb4c82c400e06b5924a6f2b5d7";
        let now = parse_compact(DATE).unwrap();
        let signed = authorization("iam", "content-type;host;x-amz-date", signature);
        let verdict = |request: &Request, secret, service| check(request, &signed, secret, service, now);

        let good = request("GET", uri, &[content_type, host], "");
        assert_eq!(verdict(&good, SECRET, "iam"), Ok(()));

        let refused =
            |verdict: Result<(), Failure>| assert_eq!(verdict.unwrap_err().code, "SignatureDoesNotMatch");
        refused(verdict(&good, "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEy", "iam"));
        refused(verdict(&good, SECRET, "sts"));
        refused(verdict(&request("GET", uri, &[content_type, host], "x"), SECRET, "iam"));
        refused(verdict(&request("POST", uri, &[content_type, host], ""), SECRET, "iam"));
        refused(verdict(&request("GET", "/?Action=ListUsers", &[content_type, host], ""), SECRET, "iam"));
        refused(verdict(&request("GET", uri, &[content_type, ("host", "a.test")], ""), SECRET, "iam"));
        let token_not_signed = [content_type, host, ("x-amz-security-token", "t")];
        refused(verdict(&request("GET", uri, &token_not_signed, ""), SECRET, "iam"));
        let other_day =
            Authorization { date: "20150831".to_owned(), ..authorization("iam", "host", signature) };
        refused(check(&good, &other_day, SECRET, "iam", now));
    }

    /// The example of `ListBuckets` is not among those that AWS published; the rule for the body is.
    #[test]
    fn in_s3_the_digest_of_the_body_is_a_header_that_must_be_true_and_signed() {
        let now = parse_compact(DATE).unwrap();
        let host = ("host", "s3.amazonaws.com");
        let verdict = |digest: Option<&str>, signed: &str| {
            let headers: Vec<_> =
                [host].into_iter().chain(digest.map(|digest| ("x-amz-content-sha256", digest))).collect();
            let request = request("GET", "/", &headers, "");
            let unsigned = authorization("s3", signed, "");
            let signature = sign(&request, &unsigned, SECRET, DATE);
            check(&request, &authorization("s3", signed, &signature), SECRET, "s3", now)
                .map_err(|failure| failure.code)
        };
        let all = "host;x-amz-content-sha256;x-amz-date";
        let empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        assert_eq!(verdict(Some(empty), all), Ok(()));
        assert_eq!(verdict(Some("UNSIGNED-PAYLOAD"), all), Ok(()));
        assert_eq!(verdict(Some(&empty.replace('e', "f")), all), Err("XAmzContentSHA256Mismatch".to_owned()));
        assert_eq!(verdict(None, "host;x-amz-date"), Err("InvalidRequest".to_owned()));
        assert_eq!(verdict(Some(empty), "host;x-amz-date"), Err("SignatureDoesNotMatch".to_owned()));
    }

    #[test]
    fn a_signature_is_good_for_15_minutes_back_and_5_ahead() {
        let now = parse_compact("20260610T014508Z").unwrap();
        let at =
            |text: &str| check_time(parse_compact(text).unwrap(), now).map_err(|failure| failure.message);
        assert_eq!(at("20260610T013008Z"), Ok(()));
        assert_eq!(at("20260610T015008Z"), Ok(()));
        assert_eq!(
            at("20260610T013007Z").unwrap_err(),
            "Signature expired: 20260610T013007Z is now earlier than 20260610T013008Z \
             (20260610T014508Z - 15 min.)"
        );
        assert_eq!(
            at("20260610T015009Z").unwrap_err(),
            "Signature not yet current: 20260610T015009Z is still later than 20260610T015008Z \
             (20260610T014508Z + 5 min.)"
        );
    }

    #[test]
    fn headers_that_are_not_an_authorization() {
        for wrong in [
            "",
            "Basic dXNlcg==",
            "AWS4-HMAC-SHA256 Credential=AK/20150830/us-east-1/sts/aws4_request, Signature=00",
            "AWS4-HMAC-SHA256 Credential=AK/us-east-1/sts/aws4_request, SignedHeaders=host, Signature=00",
            "AWS4-HMAC-SHA256 Credential=AK/20150830/us-east-1/sts/aws3, SignedHeaders=host, Signature=00",
        ] {
            assert_eq!(Authorization::parse(wrong), None, "{wrong}");
        }
    }
}
