//! Methods and associated functions.

use flame_aws::remote;
use futures_util::{Stream, StreamExt, stream};
use serde::{Deserialize, Serialize};

use super::{Video, pool, video};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Scaler {
    pub(super) by: u32,
}

#[remote]
impl Scaler {
    const WIDTH: usize = 2;

    /// Methods by reference and by value follow, and functions without `self`.
    #[remote]
    async fn scale(&self, number: u32) -> u32 {
        self.twice_here(number) / 2
    }

    #[remote]
    pub(crate) fn plain_scale(&self, number: u32) -> u32 {
        self.by * number
    }

    #[remote]
    async fn into_pair(mut self, pair: [u32; Self::WIDTH]) -> ([u32; Self::WIDTH], Option<Self>) {
        self.by += 1;
        (pair.map(|number| number * self.by), Some(self))
    }

    #[remote]
    fn new(by: u32) -> Self {
        Self { by }
    }

    #[remote]
    fn steps(self) -> impl Stream<Item = Self> {
        stream::iter(1..=self.by).map(|by| Self { by })
    }

    fn twice_here(&self, number: u32) -> u32 {
        2 * self.by * number
    }
}

#[remote]
impl Video {
    #[remote]
    fn new() -> Self {
        video()
    }
}

#[tokio::test]
async fn methods_and_associated_functions_are_remote() {
    let scaler = Scaler { by: 3 };
    same_here_and_there!(
        scaler.scale(5),
        scaler.plain_scale(5),
        scaler.clone().into_pair([1, 2]),
        Scaler::new(7),
        Video::new(),
    );
    let pool = pool().await;
    let there: Vec<_> = pool.stream(scaler.clone().steps()).map(Result::unwrap).collect().await;
    assert_eq!(there, scaler.steps().collect::<Vec<_>>().await);
    assert_eq!(there.len(), 3);
    assert!(Video::new().name().ends_with("::Video::new"), "{:?}", Video::new());
}
