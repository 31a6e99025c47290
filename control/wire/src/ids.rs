//! Identifiers that a parent and its runners share.

use std::fmt;
use std::str::FromStr;

use aws_lc_rs::digest;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::entropy;
use crate::error::NoEntropy;
use crate::hex::{self, Hex};

/// The longest build id that is kept as it is, in bytes.
const MAX_BUILD: usize = 128;

/// The unique id of a runner. The parent generates it before it asks the backend to boot the
/// runner.
///
/// Its text is `f-` and 32 lower-case hexadecimal digits. These 34 characters are valid as an ECS
/// `clientToken` (33 to 64 characters) and as `startedBy` (letters, digits, `-`, `/`, `_`). A
/// `RunnerRef` is not secret: the [`Token`](crate::token::Token) proves which runner has connected.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RunnerRef([u8; 16]);

impl RunnerRef {
    /// The `RunnerRef` with these bytes.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        RunnerRef(bytes)
    }

    /// The bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }

    /// Generates a `RunnerRef` that no other runner has.
    ///
    /// # Errors
    /// [`NoEntropy`] if the operating system provides no random bytes.
    pub fn generate() -> Result<Self, NoEntropy> {
        entropy::random_bytes().map(RunnerRef)
    }
}

impl fmt::Display for RunnerRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "f-{}", Hex(&self.0))
    }
}

impl fmt::Debug for RunnerRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RunnerRef({self})")
    }
}

/// The text is not a [`RunnerRef`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a runner ref is `f-` and 32 lower-case hexadecimal digits")]
pub struct InvalidRunnerRef;

impl FromStr for RunnerRef {
    type Err = InvalidRunnerRef;

    fn from_str(text: &str) -> Result<Self, InvalidRunnerRef> {
        text.strip_prefix("f-").and_then(hex::decode).map(RunnerRef).ok_or(InvalidRunnerRef)
    }
}

impl Serialize for RunnerRef {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for RunnerRef {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        String::deserialize(from)?.parse().map_err(D::Error::custom)
    }
}

/// A function of the app: a stable hash of its name and signature.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct FunctionId(pub u64);

impl fmt::Display for FunctionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl fmt::Debug for FunctionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FunctionId({self})")
    }
}

/// A call, among all calls that one parent has made.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct CallId(pub u64);

impl fmt::Display for CallId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "c-{}", self.0)
    }
}

impl fmt::Debug for CallId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CallId({self})")
    }
}

/// A build of the app. Parent and runner must be of the same build, because nothing else ensures
/// that their types agree.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize)]
#[serde(transparent)]
pub struct BuildId(String);

impl BuildId {
    /// The build with this id. An id of more than 128 bytes is replaced by its SHA-256. Cutting it
    /// off could make two builds look like one.
    #[must_use]
    pub fn new(id: impl Into<String>) -> Self {
        let id = id.into();
        if id.len() <= MAX_BUILD {
            return BuildId(id);
        }
        let hash = digest::digest(&digest::SHA256, id.as_bytes());
        BuildId(format!("sha256-{}", Hex(hash.as_ref())))
    }

    /// The id, at most 128 bytes.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for BuildId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for BuildId {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        String::deserialize(from).map(BuildId::new)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_runner_ref_is_34_characters_that_ecs_accepts() {
        let runner = RunnerRef::from_bytes(
            *b"\x00\x01\x02\x03\x04\x05\x06\x07\x08\x09\x0a\x0b\x0c\xfd\xfe\xff",
        );
        assert_eq!(runner.to_string(), "f-000102030405060708090a0b0cfdfeff");
        assert_eq!(runner.to_string().len(), 34);
    }

    #[test]
    fn generated_runner_refs_differ() {
        assert_ne!(RunnerRef::generate().unwrap(), RunnerRef::generate().unwrap());
    }

    #[test]
    fn other_text_is_not_a_runner_ref() {
        for text in [
            "",
            "f-",
            "000102030405060708090a0b0c0d0e0f",
            "g-000102030405060708090a0b0c0d0e0f",
            "f-000102030405060708090A0B0C0D0E0F",
            "f-000102030405060708090a0b0c0d0e0",
            "f-000102030405060708090a0b0c0d0e0f0",
            " f-000102030405060708090a0b0c0d0e0f",
        ] {
            assert_eq!(text.parse::<RunnerRef>(), Err(InvalidRunnerRef), "{text:?}");
        }
    }

    #[test]
    fn ids_are_displayed_as_in_the_logs() {
        assert_eq!(CallId(17).to_string(), "c-17");
        assert_eq!(FunctionId(0xbeef).to_string(), "000000000000beef");
        assert_eq!(format!("{:?}", FunctionId(0xbeef)), "FunctionId(000000000000beef)");
    }

    #[test]
    fn a_long_build_id_is_hashed_and_never_cut_off() {
        let (one, two) = ("a".repeat(200) + "1", "a".repeat(200) + "2");
        let (one, two) = (BuildId::new(one), BuildId::new(two));
        assert_ne!(one, two);
        assert!(one.as_str().starts_with("sha256-") && one.as_str().len() <= MAX_BUILD);
        assert_eq!(BuildId::new(one.as_str()), one, "a hash is not hashed again");
        assert_eq!(BuildId::new("a".repeat(128)).as_str(), "a".repeat(128));
    }

    proptest! {
        #[test]
        fn a_runner_ref_survives_a_round_trip(bytes in any::<[u8; 16]>()) {
            let runner = RunnerRef::from_bytes(bytes);
            prop_assert_eq!(runner.to_string().parse(), Ok(runner));
            let packed = rmp_serde::to_vec(&runner).unwrap();
            prop_assert_eq!(rmp_serde::from_slice::<RunnerRef>(&packed).unwrap(), runner);
        }

        #[test]
        fn parsing_any_text_as_a_runner_ref_never_panics(text in "\\PC*") {
            let _ = text.parse::<RunnerRef>();
        }
    }
}
