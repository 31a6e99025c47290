//! The reason in an error response of S3.

use http_body_util::BodyExt;
use hyper::body::Incoming;

use super::STEP_TIMEOUT;

/// The most bytes of an error response that are read.
const MAX_BODY: usize = 4096;
/// The longest error code or message that is shown, in bytes.
const MAX_SHOWN: usize = 100;

/// The error code and the message in the response, as far as they are there.
pub(super) async fn reason(mut body: Incoming) -> Option<String> {
    let mut read = Vec::new();
    let reading = async {
        while let Some(Ok(frame)) = body.frame().await {
            let data = frame.into_data().unwrap_or_default();
            read.extend_from_slice(data.get(..data.len().min(MAX_BODY)).unwrap_or_default());
            if read.len() >= MAX_BODY {
                return;
            }
        }
    };
    let _ = tokio::time::timeout(STEP_TIMEOUT, reading).await;
    of_document(&String::from_utf8_lossy(&read))
}

/// `: code, message`, or nothing.
pub(super) fn suffix(reason: &Option<String>) -> String {
    reason.as_ref().map(|reason| format!(": {reason}")).unwrap_or_default()
}

/// Only these two elements are shown. Others repeat parts of the request, such as its signature.
fn of_document(document: &str) -> Option<String> {
    let code = element(document, "Code")?;
    match element(document, "Message") {
        Some(message) => Some(format!("{code}, {message}")),
        None => Some(code.to_owned()),
    }
}

/// The content of an element, if it is a short and plain text. No URL is: it has a colon.
fn element<'a>(document: &'a str, name: &str) -> Option<&'a str> {
    let (_, rest) = document.split_once(&format!("<{name}>"))?;
    let (text, _) = rest.split_once(&format!("</{name}>"))?;
    let is_plain = |c: char| c.is_ascii_alphanumeric() || " .,'-".contains(c);
    (!text.is_empty() && text.len() <= MAX_SHOWN && text.chars().all(is_plain)).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn document(code: &str, message: &str) -> String {
        format!(
            "<?xml version=\"1.0\"?><Error><Code>{code}</Code><Message>{message}</Message>\
             <SignatureProvided>5ec2e7</SignatureProvided></Error>"
        )
    }

    #[test]
    fn the_code_and_the_message_of_s3_are_shown() {
        let expired = of_document(&document("AccessDenied", "Request has expired"));
        assert_eq!(expired.as_deref(), Some("AccessDenied, Request has expired"));
    }

    #[test]
    fn nothing_that_may_be_part_of_the_url_is_shown() {
        let long = "x".repeat(MAX_SHOWN + 1);
        for message in ["no access to https://a/b?X-Amz-Signature=5ec2e7", "<b>", &long] {
            let shown = of_document(&document("NoSuchKey", message));
            assert_eq!(shown.as_deref(), Some("NoSuchKey"));
        }
        for other in ["", "<html>5ec2e7</html>", "<Code>a=5ec2e7</Code>", "<Code>"] {
            assert_eq!(of_document(other), None, "{other}");
        }
    }
}
