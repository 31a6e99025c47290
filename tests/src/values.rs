//! Values that a careless format loses, and functions that give them back.

use std::net::{IpAddr, SocketAddr, SocketAddrV6};

use flame_aws::{Receiver, remote};
use futures_util::{Stream, stream};
use serde::{Deserialize, Serialize};

/// Has what is written differently for people and for machines.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Reading {
    /// Where.
    pub at: IpAddr,
}

/// Has it where serde keeps a buffer of its own.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// Its number.
    pub id: u8,
    /// If there is one.
    #[serde(flatten)]
    pub reading: Option<Reading>,
    /// Whether it was found, and if so, whether it was read.
    pub found: Option<Option<()>>,
}

/// Has it behind a tag.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind")]
pub enum Event {
    /// Somebody did.
    Connected {
        /// From there.
        from: SocketAddr,
    },
}

/// Nests as deep as it is told.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Tree {
    next: Option<Box<Tree>>,
}

impl Tree {
    /// One of that many levels.
    #[must_use]
    pub fn of(levels: usize) -> Self {
        let deeper = |tree: Self, _| Self { next: Some(Box::new(tree)) };
        (1..levels).fold(Self::default(), deeper)
    }

    fn levels(&self) -> usize {
        std::iter::successors(Some(self), |tree| tree.next.as_deref()).count()
    }
}

/// Level by level: the stack is not as deep.
impl Drop for Tree {
    fn drop(&mut self) {
        let mut next = self.next.take();
        while let Some(mut tree) = next {
            next = tree.next.take();
        }
    }
}

/// The reports as they came.
#[remote]
pub async fn reports(reports: Vec<Report>) -> Vec<Report> {
    reports
}

/// One after another.
#[remote]
pub fn reports_one_by_one(reports: Vec<Report>) -> impl Stream<Item = Report> {
    stream::iter(reports)
}

/// Those that come through a channel, until it ends.
#[remote]
pub async fn reports_sent(mut reports: Receiver<Report>) -> Vec<Report> {
    let mut received = Vec::new();
    while let Ok(Some(report)) = reports.recv().await {
        received.push(report);
    }
    received
}

/// The event as it came, or as an error.
#[remote]
pub async fn event(event: Event, fails: bool) -> Result<Event, Event> {
    if fails { Err(event) } else { Ok(event) }
}

/// The address as it came.
#[remote]
pub async fn address(address: SocketAddrV6) -> SocketAddrV6 {
    address
}

/// Whether there is one.
#[remote]
pub async fn found(there: bool) -> Option<()> {
    there.then_some(())
}

/// How deep the tree is.
#[remote]
pub async fn levels(tree: Tree) -> usize {
    tree.levels()
}

/// A tree of that many levels.
#[remote]
pub async fn tree(levels: usize) -> Tree {
    Tree::of(levels)
}

/// The bytes as they came.
#[remote]
pub async fn bytes(bytes: Box<[u8]>) -> anyhow::Result<Vec<u8>> {
    Ok(bytes.into())
}
