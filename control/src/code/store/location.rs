//! The place in S3 at which the executable is stored: `s3://bucket/prefix`.

use std::fmt;

use flame_wire::code::CodeHash;

/// The longest prefix, in bytes. A key has at most 1,024 (Amazon S3 documentation, "Naming Amazon
/// S3 objects"), and a hash takes 64 of them.
const MAX_PREFIX: usize = 900;

/// A bucket and a prefix.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct StoreLocation {
    bucket: String,
    /// Without a slash at either end.
    prefix: String,
}

impl StoreLocation {
    /// The location that a URL names, or what is wrong with the URL.
    pub(super) fn parse(url: &str) -> Result<Self, String> {
        let wrong = |why: &str| format!("is {url:?}, {why}: write `s3://bucket/prefix`");
        let rest = url.strip_prefix("s3://").ok_or_else(|| wrong("which is not an S3 URL"))?;
        let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
        check_bucket(bucket).map_err(|why| wrong(&format!("whose bucket name {why}")))?;
        let prefix = prefix.strip_suffix('/').unwrap_or(prefix);
        check_prefix(prefix).map_err(|why| wrong(&format!("whose prefix {why}")))?;
        Ok(Self { bucket: bucket.to_owned(), prefix: prefix.to_owned() })
    }

    pub(super) fn bucket(&self) -> &str {
        &self.bucket
    }

    /// The key of the executable with this hash.
    pub(super) fn key(&self, hash: &CodeHash) -> String {
        if self.prefix.is_empty() { hash.to_string() } else { format!("{}/{hash}", self.prefix) }
    }
}

impl fmt::Display for StoreLocation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "s3://{}/{}", self.bucket, self.prefix)
    }
}

/// The rules for names of general purpose buckets (Amazon S3 documentation), as far as they
/// concern a misspelt name.
fn check_bucket(name: &str) -> Result<(), &'static str> {
    let is_alphanumeric = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    if !(3..=63).contains(&name.len()) {
        return Err("has fewer than 3 or more than 63 characters");
    }
    if !name.chars().all(|c| is_alphanumeric(c) || ".-".contains(c)) {
        return Err("has characters other than lower-case letters, digits, dots and hyphens");
    }
    if !name.starts_with(is_alphanumeric) || !name.ends_with(is_alphanumeric) {
        return Err("does not begin and end with a letter or a digit");
    }
    Ok(())
}

/// Only characters that need no encoding, so that the key is the same in a policy, in a log and in a
/// URL.
fn check_prefix(prefix: &str) -> Result<(), &'static str> {
    if prefix.len() > MAX_PREFIX {
        return Err("has more than 900 characters");
    }
    if !prefix.chars().all(|c| c.is_ascii_alphanumeric() || "/-_.=".contains(c)) {
        return Err("has characters other than letters, digits and / - _ . =");
    }
    let is_odd = |segment: &str| segment.is_empty() || segment == "." || segment == "..";
    if !prefix.is_empty() && prefix.split('/').any(is_odd) {
        return Err("has a part that is empty, `.` or `..`");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_is_the_prefix_and_the_hash() {
        let hash = CodeHash([0xab; 32]);
        for (url, bucket, key) in [
            ("s3://my-bucket/flame/code", "my-bucket", format!("flame/code/{hash}")),
            ("s3://my-bucket/flame/", "my-bucket", format!("flame/{hash}")),
            ("s3://my.bucket.1", "my.bucket.1", hash.to_string()),
            ("s3://my-bucket/", "my-bucket", hash.to_string()),
        ] {
            let location = StoreLocation::parse(url).unwrap();
            assert_eq!((location.bucket(), location.key(&hash)), (bucket, key));
            assert!(location.to_string().starts_with(url.trim_end_matches('/')), "{location}");
        }
    }

    #[test]
    fn an_error_says_what_is_wrong_and_what_to_write() {
        let long = format!("s3://my-bucket/{}", "x".repeat(MAX_PREFIX + 1));
        for (url, part) in [
            ("my-bucket/flame", "not an S3 URL"),
            ("https://my-bucket.s3.amazonaws.com/flame", "not an S3 URL"),
            ("", "not an S3 URL"),
            ("s3://", "fewer than 3"),
            ("s3:///flame", "fewer than 3"),
            ("s3://My-Bucket/flame", "lower-case"),
            ("s3://my_bucket/flame", "lower-case"),
            ("s3://-my-bucket/flame", "begin and end"),
            ("s3://my-bucket//flame", "is empty"),
            ("s3://my-bucket/flame//", "is empty"),
            ("s3://my-bucket/a/../b", "`..`"),
            ("s3://my-bucket/flame?x", "characters"),
            ("s3://my-bucket/fl ame", "characters"),
            (&*long, "900"),
        ] {
            let error = StoreLocation::parse(url).unwrap_err();
            assert!(error.contains(part) && error.contains("s3://bucket/prefix"), "{url}: {error}");
        }
    }
}
