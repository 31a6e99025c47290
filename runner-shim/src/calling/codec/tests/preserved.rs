//! Values that a careless format loses, or changes without an error.

use std::{
    collections::BTreeMap,
    fmt,
    marker::PhantomData,
    net::{IpAddr, Ipv6Addr, SocketAddr, SocketAddrV6},
};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::DeserializeOwned};
use serde_json::{json, value::RawValue};

use super::{crosses, decode, encode};
use crate::calling::codec::Wire;

/// `value` alone, and everywhere where serde buffers it before it is decoded.
#[track_caller]
pub(super) fn crosses_behind_everything<T>(value: T)
where
    T: Serialize + DeserializeOwned + Clone + PartialEq + fmt::Debug + Send + 'static,
{
    crosses(value.clone());
    crosses(Field { value: value.clone() });
    crosses(vec![Some(value.clone()), None]);
    crosses(Flattened { id: 1, inner: Field { value: value.clone() } });
    crosses(FlattenedOption { id: 1, inner: Some(Field { value: value.clone() }) });
    crosses(Tagged::Is { value: value.clone() });
    crosses(TaggedNewtype::Is(Field { value: value.clone() }));
    crosses(Adjacent::Is(value.clone()));
    crosses(Untagged::Is { value });
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Field<T> {
    value: T,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Flattened<T> {
    id: u8,
    #[serde(flatten)]
    inner: Field<T>,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(bound(deserialize = "T: Deserialize<'de>"))]
struct FlattenedOption<T> {
    id: u8,
    #[serde(flatten)]
    inner: Option<Field<T>>,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind")]
enum Tagged<T> {
    Is { value: T },
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind")]
enum TaggedNewtype<T> {
    Is(Field<T>),
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", content = "content")]
enum Adjacent<T> {
    Is(T),
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
enum Untagged<T> {
    Is { value: T },
}

#[test]
fn types_that_check_for_a_human_readable_format_cross() {
    crosses_behind_everything(IpAddr::from([10, 0, 0, 7]));
    crosses_behind_everything(Ipv6Addr::LOCALHOST);
    crosses_behind_everything(SocketAddr::from(([10, 0, 0, 7], 80)));
    let scoped: SocketAddrV6 = "[fe80::1%3]:80".parse().unwrap();
    crosses_behind_everything(scoped);
    crosses_behind_everything(BTreeMap::from([(IpAddr::from([1, 2, 3, 4]), scoped)]));
    crosses(FlattenedOption::<IpAddr> { id: 1, inner: None });
}

/// Like `uuid`, `time` and others: one form for people, another for machines.
#[test]
fn a_type_is_read_in_the_form_in_which_it_was_written() {
    #[derive(Debug, Clone, PartialEq)]
    struct TwoForms(u32);
    impl Serialize for TwoForms {
        fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
            if to.is_human_readable() {
                format!("#{}", self.0).serialize(to)
            } else {
                self.0.serialize(to)
            }
        }
    }
    impl<'de> Deserialize<'de> for TwoForms {
        fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
            if !from.is_human_readable() {
                return u32::deserialize(from).map(Self);
            }
            let text = String::deserialize(from)?;
            let number = text.strip_prefix('#').and_then(|text| text.parse().ok());
            number.map(Self).ok_or_else(|| serde::de::Error::custom("no number"))
        }
    }
    crosses_behind_everything(TwoForms(7));
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Unit;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Newtype<T>(T);

#[test]
fn some_of_a_value_that_is_nil_stays_some() {
    crosses_behind_everything(Some(()));
    crosses_behind_everything(None::<()>);
    crosses_behind_everything(Some(Unit));
    crosses_behind_everything(Some(PhantomData::<u8>));
    crosses_behind_everything(Some(None::<u8>));
    crosses_behind_everything(Some(Some(None::<u8>)));
    crosses_behind_everything(Some(Some(Some(5_u8))));
    crosses_behind_everything(Some(Some(())));
    crosses_behind_everything(vec![Some(()), None, Some(())]);
    crosses_behind_everything(vec![Some(None), None, Some(Some(1_u8))]);
    crosses_behind_everything(Some(Box::new(Newtype(Some(Newtype(None::<u8>))))));
    crosses_behind_everything((Some(()), Some(()), 1_u8));
    crosses_behind_everything(BTreeMap::from([("a".to_owned(), Some(())), ("b".to_owned(), None)]));
    crosses(BTreeMap::from([(Some(()), 1_u8), (None, 2)]));
    crosses(Ok::<Option<()>, Option<()>>(Some(())));
    crosses(Err::<Option<()>, Option<()>>(None));
}

#[test]
fn some_of_jsons_null_stays_some() {
    crosses_behind_everything(Some(json!(null)));
    crosses_behind_everything(None::<serde_json::Value>);
    crosses_behind_everything(vec![Some(json!([null, {"a": null}])), Some(json!(null)), None]);
}

#[test]
fn an_ordinary_some_takes_no_extra_bytes() {
    assert_eq!(encode(&Some(5_u8)).unwrap(), encode(&5_u8).unwrap());
    assert_eq!(encode(&Some("text".to_owned())).unwrap(), encode(&"text".to_owned()).unwrap());
    assert_eq!(encode(&None::<u8>).unwrap().len(), 1);
    assert_eq!(encode(&()).unwrap().len(), 1);
}

#[test]
fn units_of_every_kind_cross() {
    crosses_behind_everything(());
    crosses_behind_everything(Unit);
    crosses_behind_everything(PhantomData::<String>);
    crosses_behind_everything([(), (), ()]);
    crosses_behind_everything(Newtype(Unit));
}

/// An untagged type took the empty list, as which a unit struct used to be written, for a list.
#[test]
fn a_unit_struct_is_not_an_empty_list() {
    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    #[serde(untagged)]
    enum Either {
        List(Vec<u8>),
        Unit(Unit),
    }
    crosses(vec![Either::Unit(Unit), Either::List(vec![])]);
}

#[test]
fn a_type_converted_from_the_content_of_its_newtype_crosses() {
    #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
    #[serde(try_from = "String")]
    struct Email(String);
    impl TryFrom<String> for Email {
        type Error = String;
        fn try_from(text: String) -> Result<Self, String> {
            if text.contains('@') { Ok(Self(text)) } else { Err(text) }
        }
    }
    crosses_behind_everything(Email("a@b".into()));
}

/// How apps read a value that JSON may have in several forms.
#[test]
fn a_field_that_accepts_any_form_crosses() {
    #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
    struct Lenient {
        #[serde(deserialize_with = "number_in_any_form")]
        number: Option<u64>,
    }
    fn number_in_any_form<'de, D: Deserializer<'de>>(from: D) -> Result<Option<u64>, D::Error> {
        struct AnyForm;
        impl serde::de::Visitor<'_> for AnyForm {
            type Value = Option<u64>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number, a text or null")
            }
            fn visit_u64<E: serde::de::Error>(self, number: u64) -> Result<Option<u64>, E> {
                Ok(Some(number))
            }
            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Option<u64>, E> {
                text.parse().map(Some).map_err(E::custom)
            }
            fn visit_unit<E: serde::de::Error>(self) -> Result<Option<u64>, E> {
                Ok(None)
            }
        }
        from.deserialize_any(AnyForm)
    }
    crosses_behind_everything(Lenient { number: Some(5) });
    crosses_behind_everything(Lenient { number: None });
}

#[test]
fn wide_integers_cross_or_are_rejected() {
    for value in [0, 5, u128::from(u64::MAX), u128::MAX] {
        crosses(value);
        crosses(Field { value });
        crosses(vec![Some(value), None]);
        crosses(BTreeMap::from([(value, value)]));
        crosses(Adjacent::Is(value));
        crosses(Newtype(Some(value)));
    }
    for value in [0, -5, i128::MIN, i128::MAX] {
        crosses(value);
        crosses(Field { value });
    }
}

/// serde's own buffer can't keep them. Behind an `Option` the error used to be swallowed, and the
/// value with it.
#[test]
fn wide_integers_in_serdes_buffer_are_an_error_and_never_lost() {
    #[track_caller]
    fn rejected<T: Wire + fmt::Debug>(value: &T) {
        let error = match encode(value) {
            Ok(bytes) => decode::<T>(&bytes).unwrap_err(),
            Err(error) => error,
        };
        assert!(error.to_string().contains("128"), "{error}");
        assert!(error.to_string().contains("`flatten`"), "{error}");
    }
    for value in [5, u128::MAX] {
        rejected(&Flattened { id: 1, inner: Field { value } });
        rejected(&FlattenedOption { id: 1, inner: Some(Field { value }) });
        rejected(&Tagged::Is { value });
        rejected(&Untagged::Is { value });
    }
    rejected(&FlattenedOption { id: 1, inner: Some(Field { value: -1_i128 }) });
    // Next to a flattened field, where nothing is buffered, they work as elsewhere.
    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Beside {
        wide: u128,
        #[serde(flatten)]
        inner: Field<u8>,
    }
    crosses(Beside { wide: u128::MAX, inner: Field { value: 1 } });
}

#[test]
fn raw_json_crosses_or_is_rejected() {
    let raw = |text: &str| RawValue::from_string(text.to_owned()).unwrap();
    for text in ["null", "{\"a\": [1, 2.50, \"x\"]}", "1e400", "\"ä\""] {
        let bytes = encode(&Field { value: vec![Some(raw(text)), None] }).unwrap();
        let arrived: Field<Vec<Option<Box<RawValue>>>> = decode(&bytes).unwrap();
        assert_eq!(arrived.value[0].as_ref().unwrap().get(), text);
        assert!(arrived.value[1].is_none());
    }
    let behind = FlattenedOption { id: 1, inner: Some(Field { value: raw("1") }) };
    let bytes = encode(&behind).unwrap();
    let error = decode::<FlattenedOption<Box<RawValue>>>(&bytes).unwrap_err();
    assert!(error.to_string().contains("RawValue"), "{error}");
}

/// The length in `serialize_seq`, `serialize_map` and `serialize_struct` is only a hint to most
/// formats.
#[test]
fn wrongly_announced_lengths_do_no_harm() {
    #[derive(Debug, Clone, PartialEq, Deserialize)]
    #[serde(from = "(Vec<u16>, BTreeMap<u8, u8>, Field<u8>)")]
    struct Wrong(Vec<u16>, usize, usize);
    impl From<(Vec<u16>, BTreeMap<u8, u8>, Field<u8>)> for Wrong {
        fn from((list, map, field): (Vec<u16>, BTreeMap<u8, u8>, Field<u8>)) -> Self {
            Self(list, map.len(), field.value.into())
        }
    }
    impl Serialize for Wrong {
        fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
            struct List<'a>(&'a [u16]);
            impl Serialize for List<'_> {
                fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
                    use serde::ser::SerializeSeq;
                    let mut list = to.serialize_seq(Some(self.0.len() + 40))?;
                    self.0.iter().try_for_each(|number| list.serialize_element(number))?;
                    list.end()
                }
            }
            struct Map(usize);
            impl Serialize for Map {
                fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
                    use serde::ser::SerializeMap;
                    let mut map = to.serialize_map(Some(0))?;
                    (0..self.0).try_for_each(|key| map.serialize_entry(&key, &1))?;
                    map.end()
                }
            }
            struct Struct(usize);
            impl Serialize for Struct {
                fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
                    use serde::ser::SerializeStruct;
                    let mut fields = to.serialize_struct("Struct", 2)?;
                    fields.serialize_field("value", &self.0)?;
                    fields.skip_field("other")?;
                    fields.end()
                }
            }
            (List(&self.0), Map(self.1), Struct(self.2)).serialize(to)
        }
    }
    crosses(Wrong(vec![1, 2, 3], 20, 7));
    crosses(Wrong(vec![], 0, 0));
    crosses(vec![Wrong(vec![1; 70], 200, 7), Wrong(vec![1], 3, 8)]);
}

#[test]
fn an_error_states_its_reason_once() {
    #[derive(Debug, Deserialize)]
    struct NotToday;
    impl Serialize for NotToday {
        fn serialize<S: Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
            Err(serde::ser::Error::custom("not today"))
        }
    }
    let chain = |error: &dyn std::error::Error| {
        let sources = std::iter::successors(error.source(), |error| error.source());
        sources.fold(error.to_string(), |all, source| format!("{all}: {source}"))
    };
    let error = encode(&NotToday).unwrap_err();
    assert_eq!(error.to_string().matches("not today").count(), 1, "{error}");
    assert_eq!(chain(&error).matches("not today").count(), 1, "{error:?}");
    assert_eq!(chain(&error).matches("NotToday").count(), 1, "{error:?}");

    let error = decode::<u8>(&encode(&"text".to_owned()).unwrap()).unwrap_err();
    assert_eq!(error.to_string().matches("expected u8").count(), 1, "{error}");
    assert_eq!(chain(&error).matches("expected u8").count(), 1, "{error:?}");
}
