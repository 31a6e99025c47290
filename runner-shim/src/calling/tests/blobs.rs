//! Blobs.

use super::*;
use crate::calling::Blob;

remote!(
    fn echo(blobs: Vec<Blob>) -> Vec<Blob> {
        blobs
    }
);

fn blob(len: usize) -> Blob {
    (0..len).map(|at| u8::try_from(at % 251).unwrap()).collect()
}

#[tokio::test]
async fn blobs_of_every_size_come_back_as_they_were() {
    let blobs: Vec<_> = [0, 1, 1023, 1024, 1 << 20].map(blob).into();
    let back = call(&Arc::default(), echo::work(blobs.clone()), &echo::ENTRY).await.unwrap();
    assert_eq!(back, blobs);
}

#[tokio::test]
async fn a_large_blob_is_sent_next_to_the_value_and_not_copied() {
    let sent = blob(1 << 20);
    let (encoded, _) = echo::work(vec![sent.clone()]).encode().unwrap();
    let value = encoded.body.into_value();
    assert!(value.bytes.len() < 64, "{}", value.bytes.len());
    assert_eq!(value.blobs[0].as_ptr(), sent.as_ptr());
}

#[test]
fn more_blobs_than_a_message_can_count_still_cross() {
    let blobs: Vec<_> = (0..65_600).map(|_| blob(1024)).collect();
    let (encoded, _) = echo::work(blobs).encode().unwrap();
    assert_eq!(encoded.body.into_value().blobs.len(), 65_535);
}

/// The index of a blob must not look like a number to an untagged type.
#[tokio::test]
async fn a_blob_inside_untagged_and_flattened_types_crosses() {
    #[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
    #[serde(untagged)]
    pub(super) enum Payload {
        Number(u64),
        Text(String),
        Data(Blob),
    }
    #[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
    pub(super) struct Message {
        #[serde(flatten)]
        inner: Inner,
    }
    #[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
    pub(super) struct Inner {
        payload: Vec<Payload>,
    }
    type Echoed = Message;
    let message = Message {
        inner: Inner {
            payload: vec![
                Payload::Number(0),
                Payload::Data(blob(5000)),
                Payload::Text("t".into()),
                Payload::Data(blob(200)),
            ],
        },
    };
    let entry = echoing::<Echoed>();
    let work = private::work(
        entry,
        (message.clone(),),
        |args: &(Echoed,), to| private::argument::<Echoed>("message").encode(&args.0, to),
        |(message,)| private::boxed_future(async move { message }),
        (&&&ResultProbe::<Echoed>::NEW).__flame_codec(),
    );
    assert_eq!(call(&Arc::default(), work, entry).await.unwrap(), message);
}

/// An entry whose function returns its argument.
fn echoing<T: crate::calling::Wire>() -> &'static FunctionEntry {
    Box::leak(Box::new(FunctionEntry::new(("echoing", "", ""), Kind::Async, HERE, &[], |call| {
        private::invoke(
            call,
            |from| private::argument::<T>("value").decode(from),
            |value, scope| {
                private::future_execution(
                    private::boxed_future(async { value }),
                    (&&&ResultProbe::<T>::NEW).__flame_codec(),
                    scope,
                )
            },
        )
    })))
}

#[test]
fn outside_a_call_a_blob_is_plain_bytes() {
    let bytes = rmp_serde::to_vec(&blob(3)).unwrap();
    assert_eq!(bytes, [0xc4, 3, 0, 1, 2]);
    assert_eq!(rmp_serde::from_slice::<Blob>(&bytes).unwrap(), blob(3));
    let as_array = rmp_serde::to_vec(&[0_u8, 1, 2]).unwrap();
    assert_eq!(rmp_serde::from_slice::<Blob>(&as_array).unwrap(), blob(3));
}

#[test]
fn an_index_without_a_blob_is_an_error() {
    for lie in [&[0xff, 9, 0, 0, 0][..], &[0xff, 0], &[], &[2, 0]] {
        let mut bytes = vec![0x91, 0xc4, u8::try_from(lie.len()).unwrap()];
        bytes.extend_from_slice(lie);
        let value = Value { bytes: bytes.into(), blobs: vec![vec![0; 2000].into()] };
        let error = echo::ENTRY.invoke(Arguments::new(value)).unwrap_err();
        assert!(matches!(error, CodecError::Decode { .. }), "{lie:?}: {error:?}");
    }
}

#[test]
fn a_blob_converts_from_and_into_byte_types() {
    let blob = Blob::from(vec![1, 2, 3]);
    assert_eq!(&blob[..], [1, 2, 3]);
    assert_eq!(blob.iter().sum::<u8>(), 6);
    assert_eq!(Vec::from(blob.clone()), [1, 2, 3]);
    assert_eq!(bytes::Bytes::from(blob.clone()), Blob::from(&[1_u8, 2, 3][..]).into_bytes());
    assert_eq!(format!("{blob:?}"), "Blob(3 bytes)");
}
