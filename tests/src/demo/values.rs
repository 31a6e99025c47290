//! Values that a careless serialization format loses, and remote functions that return them.

use std::net::{IpAddr, SocketAddr, SocketAddrV6};

use flame_aws::{Receiver, remote};
use futures_util::{Stream, stream};
use serde::{Deserialize, Serialize};

/// Has a field that serde writes differently in human-readable and in binary formats.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SensorReading {
    /// The sensor's address.
    pub at: IpAddr,
}

/// Has a [`SensorReading`] in a flattened field, which serde buffers before it
/// deserializes the value.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SensorReport {
    /// The report's number.
    pub id: u8,
    /// The reading, if there is one.
    #[serde(flatten)]
    pub reading: Option<SensorReading>,
    /// Whether the sensor was found and, if so, whether it was read.
    pub found: Option<Option<()>>,
}

/// Has a socket address in an internally tagged enum, which serde buffers as well.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind")]
pub enum SensorEvent {
    /// A sensor has connected.
    Connected {
        /// The sensor's address.
        from: SocketAddr,
    },
}

/// A value that nests to any depth.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Nested {
    next: Option<Box<Nested>>,
}

impl Nested {
    /// Returns a value of that many levels.
    #[must_use]
    pub fn of(levels: usize) -> Self {
        let deeper = |inner: Self, _| Self { next: Some(Box::new(inner)) };
        (1..levels).fold(Self::default(), deeper)
    }

    fn levels(&self) -> usize {
        std::iter::successors(Some(self), |value| value.next.as_deref()).count()
    }
}

/// Drops one level after another: recursion would overflow the stack.
impl Drop for Nested {
    fn drop(&mut self) {
        let mut next = self.next.take();
        while let Some(mut value) = next {
            next = value.next.take();
        }
    }
}

/// Returns the reports unchanged.
#[remote]
pub async fn reports(reports: Vec<SensorReport>) -> Vec<SensorReport> {
    reports
}

/// Streams the reports.
#[remote]
pub fn reports_one_by_one(reports: Vec<SensorReport>) -> impl Stream<Item = SensorReport> {
    stream::iter(reports)
}

/// Returns the reports that it receives until the channel ends.
#[remote]
pub async fn reports_sent(mut reports: Receiver<SensorReport>) -> Vec<SensorReport> {
    let mut received = Vec::new();
    while let Ok(Some(report)) = reports.recv().await {
        received.push(report);
    }
    received
}

/// Returns the event unchanged, as its result or as its error.
#[remote]
pub async fn event(event: SensorEvent, fails: bool) -> Result<SensorEvent, SensorEvent> {
    if fails { Err(event) } else { Ok(event) }
}

/// Returns the address unchanged.
#[remote]
pub async fn address(address: SocketAddrV6) -> SocketAddrV6 {
    address
}

/// Returns `Some(())` if `found`.
#[remote]
pub async fn found(found: bool) -> Option<()> {
    found.then_some(())
}

/// Returns the depth of the value.
#[remote]
pub async fn levels(value: Nested) -> usize {
    value.levels()
}

/// Returns a value of that many levels.
#[remote]
pub async fn nested(levels: usize) -> Nested {
    Nested::of(levels)
}

/// Returns the bytes unchanged.
#[remote]
pub async fn bytes(bytes: Box<[u8]>) -> anyhow::Result<Vec<u8>> {
    Ok(bytes.into())
}
