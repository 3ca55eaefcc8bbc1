//! The documents of the AWS Query protocol.

use std::fmt::Write as _;

use crate::answer::Failure;

/// `<name>text</name>`, the text escaped.
pub(crate) fn leaf(name: &str, text: &str) -> String {
    element(name, &escape(text))
}

/// `<name>inner</name>`, the inner XML as it is.
pub(crate) fn element(name: &str, inner: &str) -> String {
    format!("<{name}>{inner}</{name}>")
}

/// A successful answer; an action without a result has an empty `result`.
pub(crate) fn response(action: &str, namespace: &str, result: &str, request_id: &str) -> String {
    let result = match result {
        "" => String::new(),
        result => element(&format!("{action}Result"), result),
    };
    let metadata = element("ResponseMetadata", &leaf("RequestId", request_id));
    format!("<{action}Response xmlns=\"{namespace}\">{result}{metadata}</{action}Response>")
}

/// An error answer.
pub(crate) fn error_response(failure: &Failure, namespace: &str, request_id: &str) -> String {
    let fault = if failure.status < 500 { "Sender" } else { "Receiver" };
    let error = leaf("Type", fault) + &leaf("Code", &failure.code) + &leaf("Message", &failure.message);
    let error = element("Error", &error);
    let request_id = leaf("RequestId", request_id);
    format!("<ErrorResponse xmlns=\"{namespace}\">{error}{request_id}</ErrorResponse>")
}

/// The successful answer of S3's only action.
pub(crate) fn buckets(namespace: &str, result: &str) -> String {
    format!("<ListAllMyBucketsResult xmlns=\"{namespace}\">{result}</ListAllMyBucketsResult>")
}

/// An error answer of S3.
pub(crate) fn error(failure: &Failure) -> String {
    element("Error", &(leaf("Code", &failure.code) + &leaf("Message", &failure.message)))
}

/// Control characters become character references: a lenient parser hands them on, and whether
/// they reach a terminal is then the client's doing.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&apos;"),
            control if control.is_control() => {
                let _ = write!(escaped, "&#x{:X};", u32::from(control));
            }
            plain => escaped.push(plain),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn markup_and_control_characters_are_escaped() {
        assert_eq!(leaf("A", "<&>\"'\u{1b}\n/+="), "<A>&lt;&amp;&gt;&quot;&apos;&#x1B;&#xA;/+=</A>");
    }

    #[test]
    fn an_action_without_a_result_has_no_result_element() {
        let text = response("EnableMFADevice", "urn:x", "", "1");
        assert!(!text.contains("Result"), "{text}");
        assert!(
            response("GetUser", "urn:x", "<User/>", "1").contains("<GetUserResult><User/></GetUserResult>")
        );
    }
}
