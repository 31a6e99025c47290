//! Every kind of value in serde's data model, in every place, compared with the value expected.
//!
//! A [`Value`] calls the method of `Serializer` that a type of its kind would call. The expected
//! value selects the method of `Deserializer`, as such a type would. So the value comes back as it
//! was, or there is an error; and no error may be taken for `None`.

use std::{cell::RefCell, rc::Rc};

use proptest::prelude::*;
use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{self, DeserializeSeed},
};

use self::{
    expected::Expected,
    value::{Value, value},
};
use super::encode;
use crate::calling::codec::{CodecError, de::Deserializer as Reader};

mod expected;
mod value;

thread_local! {
    static EXPECTED: RefCell<Rc<Value>> = RefCell::new(Rc::new(Value::Unit));
}

/// A value that is read as the one expected on this thread, so that it can be part of derived
/// types.
#[derive(Debug, Clone, PartialEq)]
struct Typed(Value);

impl Serialize for Typed {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(to)
    }
}

impl<'de> Deserialize<'de> for Typed {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let expected = EXPECTED.with_borrow(Rc::clone);
        Expected(&expected).deserialize(from).map(Self)
    }
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Inner {
    value: Typed,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct FlattenedOption {
    id: u8,
    #[serde(flatten)]
    inner: Option<Inner>,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind")]
enum Tagged {
    Is { value: Typed },
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
enum Untagged {
    Is(Inner),
}

fn through<T: crate::calling::Wire + PartialEq>(value: T) -> Result<T, CodecError> {
    super::decode(&encode(&value)?)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn every_kind_of_value_comes_back_as_it_was(value in value()) {
        let bytes = encode(&Typed(value.clone())).unwrap();
        let mut reader = Reader::new(&bytes);
        prop_assert_eq!(Expected(&value).deserialize(&mut reader).unwrap(), value);
        prop_assert!(reader.is_at_end());
    }

    #[test]
    fn a_value_of_an_unknown_field_is_skipped(value in value()) {
        let bytes = encode(&(Typed(value), 7_u8)).unwrap();
        let (_, seven) = super::decode::<(Ignored, u8)>(&bytes).unwrap();
        prop_assert_eq!(seven, 7);
    }

    #[test]
    fn serdes_own_buffer_changes_and_loses_nothing(value in value()) {
        EXPECTED.set(Rc::new(value.clone()));
        let inner = || Inner { value: Typed(value.clone()) };
        let flattened = through(FlattenedOption { id: 1, inner: Some(inner()) });
        let tagged = through(Tagged::Is { value: Typed(value.clone()) });
        let untagged = through(Untagged::Is(inner()));
        if value.is_wide() {
            prop_assert!(flattened.is_err() && tagged.is_err() && untagged.is_err());
        } else {
            prop_assert_eq!(flattened.unwrap().inner, Some(inner()));
            prop_assert_eq!(tagged.unwrap(), Tagged::Is { value: Typed(value.clone()) });
            prop_assert_eq!(untagged.unwrap(), Untagged::Is(inner()));
        }
    }

    #[test]
    fn damaged_bytes_of_every_kind_never_panic(
        value in value(), at in any::<prop::sample::Index>(), to in any::<u8>()
    ) {
        EXPECTED.set(Rc::new(value.clone()));
        let mut bytes = encode(&Untagged::Is(Inner { value: Typed(value) })).unwrap().to_vec();
        let at = at.index(bytes.len());
        bytes[at] = to;
        let _ = super::decode::<Untagged>(&bytes);
        let _ = super::decode::<FlattenedOption>(&bytes);
        let _ = super::decode::<serde_json::Value>(&bytes);
        let _ = super::decode::<super::Everything>(&bytes);
    }
}

/// A field that the type does not know.
#[derive(Debug)]
struct Ignored;

impl Serialize for Ignored {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_unit()
    }
}

impl<'de> Deserialize<'de> for Ignored {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        de::IgnoredAny::deserialize(from).map(|_| Self)
    }
}
