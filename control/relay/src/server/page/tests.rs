use futures_util::StreamExt;

use super::*;
use crate::config::Config;
use crate::keys::{KeyRing, KeyTexts};
use crate::metrics::Metrics;

pub(in crate::server) fn page() -> Arc<Page> {
    let config = Config::new(([127, 0, 0, 1], 0).into(), KeyTexts::none());
    let keys = KeyRing::new(&KeyTexts::none());
    let shared = Shared::new(config, keys, None, Metrics::new().unwrap()).unwrap();
    Arc::new(Page::new(Arc::new(shared)))
}

/// The text of each event.
fn events(page: &Arc<Page>) -> impl Stream<Item = String> {
    let permit = page.listeners.clone().try_acquire_owned().unwrap();
    Box::pin(Listener::new(page.clone(), permit).events().map(|event| {
        let data = event.unwrap().into_data().unwrap();
        String::from_utf8(data.to_vec()).unwrap()
    }))
}

#[tokio::test(start_paused = true)]
async fn a_view_is_sent_at_once_and_again_only_after_a_change() {
    let page = page();
    let mut events = events(&page);
    let start = Instant::now();
    let first = events.next().await.unwrap();
    assert!(first.starts_with("event: view\ndata: {\"now\":"), "{first}");
    assert_eq!(start.elapsed(), Duration::ZERO);
    assert_eq!(events.next().await.unwrap(), SILENCE, "nothing has changed");
    assert_eq!(start.elapsed(), KEEP_ALIVE);
    page.shared.metrics.refused("draining");
    let second = events.next().await.unwrap();
    assert!(second.contains("\"refusals\":[{\"reason\":\"draining\",\"count\":1}]"), "{second}");
    assert_eq!(start.elapsed(), KEEP_ALIVE + REFRESH_EVERY);
}

#[tokio::test(start_paused = true)]
async fn many_changes_are_sent_twice_a_second() {
    let page = page();
    let mut events = events(&page);
    let start = Instant::now();
    for _ in 0..=20 {
        let event = events.next().await.unwrap();
        assert!(event.starts_with("event: view"), "{event}");
        for _ in 0..100 {
            page.shared.metrics.refused("unknown_path");
        }
    }
    assert_eq!(start.elapsed(), 20 * REFRESH_EVERY);
}

#[tokio::test(start_paused = true)]
async fn a_client_has_to_connect_again_after_a_while() {
    let page = page();
    let start = Instant::now();
    let all: Vec<_> = events(&page).collect().await;
    assert_eq!(all.last().unwrap(), AGAIN);
    assert_eq!(start.elapsed(), LISTENING_TIME);
    let once = |event: &str| all.iter().filter(|other| *other == event).count();
    assert_eq!((once(AGAIN), once(SILENCE)), (1, all.len() - 2));
}

#[tokio::test(start_paused = true)]
async fn clients_share_a_view_and_a_client_too_many_gets_none() {
    let page = page();
    assert!(Arc::ptr_eq(&page.shown(), &page.shown()));
    let before = page.shown();
    tokio::time::advance(REFRESH_EVERY).await;
    assert!(!Arc::ptr_eq(&before, &page.shown()), "it is read again after a while");
    assert_eq!(before.version, page.shown().version, "but has not changed");
    let mut open: Vec<_> = (0..MAX_LISTENERS).map(|_| page.events().unwrap()).collect();
    assert!(page.events().is_none());
    open.pop();
    assert!(page.events().is_some());
}
