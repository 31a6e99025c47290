//! The live page on small screens, in the dark, with a keyboard, and with a screen reader.

use flame_tests::demo::{double, exits, panics};
use flame_tests::{Test, tests};
use serde_json::json;

use super::Watched;
use crate::looks::{fits_every_width_and_is_legible, shows, until};

const TAB: char = '\u{e004}';
const ENTER: char = '\u{e007}';

pub(super) fn tests() -> Vec<Test> {
    tests![
        the_page_fits_every_width_and_is_legible_in_both_schemes,
        every_button_can_be_reached_and_pressed_with_the_keyboard,
        updates_move_neither_the_focus_nor_the_page,
        only_news_is_read_out,
    ]
}

/// A page with something in each of its parts.
async fn full_page(name: &str) -> Watched {
    let watched = Watched::start(name, true).await;
    for n in 0..5 {
        watched.pool.call(double(n)).await.unwrap();
    }
    watched.pool.call(panics(&"a_long_word_without_any_spaces".repeat(9))).await.unwrap_err();
    watched.pool.call(exits(3)).await.unwrap_err();
    watched.pool.call(double(9)).await.unwrap();
    until(&watched.page, &shows(".totals tr", "runner exits: lost1")).await;
    until(&watched.page, "document.querySelectorAll('.calls tbody tr').length === 8").await;
    watched
}

async fn the_page_fits_every_width_and_is_legible_in_both_schemes() {
    let watched = full_page("a pool with quite a long name, as people give them").await;
    fits_every_width_and_is_legible(&watched.page, "pools").await;
}

async fn every_button_can_be_reached_and_pressed_with_the_keyboard() {
    let watched = full_page("keyboard").await;
    let page = &watched.page;
    page.press(TAB).await;
    let focused = "return document.activeElement.ariaLabel ?? document.activeElement.textContent";
    assert_eq!(page.run(focused).await, "Skip to the pools");
    let left = "return document.activeElement.getBoundingClientRect().left";
    assert!(page.run(left).await.as_f64() >= Some(0.0), "it is visible when it has the focus");
    let mut names = Vec::new();
    while !names.iter().any(|name: &String| name.starts_with("Drain runner ")) {
        assert!(names.len() < 10, "{names:?}");
        page.press(TAB).await;
        names.push(page.run(focused).await.as_str().unwrap().to_owned());
    }
    let outline = "return getComputedStyle(document.activeElement).outlineWidth";
    assert_eq!(page.run(outline).await, "3px", "the focus is visible");
    page.press(ENTER).await;
    until(page, &shows(".events li", "its end was requested")).await;
    // The button is gone, and the focus is not lost: it is at the table of runners, or near it.
    until(page, &shows(".empty", "No runner.")).await;
}

async fn updates_move_neither_the_focus_nor_the_page() {
    let watched = full_page("still").await;
    let page = &watched.page;
    page.resize(360, 500).await;
    let runner = "const button = document.querySelector('.runners button'); \
                  button.focus(); \
                  window.kept = button; \
                  scrollTo(0, 300); \
                  return scrollY";
    let before = page.run(runner).await;
    for n in 0..30 {
        watched.pool.call(double(n)).await.unwrap();
    }
    until(page, &shows(".totals tr", "calls: ok36")).await;
    assert_eq!(page.run("return document.activeElement === kept").await, true);
    assert_eq!(page.run("return kept.isConnected").await, true);
    assert_eq!(page.run("return scrollY").await, before);
}

/// A screen reader reads what is written into these two elements.
async fn only_news_is_read_out() {
    let watched = full_page("news").await;
    let page = &watched.page;
    page.run(
        "window.heard = []; \
         lastSaid = 0; \
         const hear = (changes) => changes.forEach((it) => heard.push(it.target.textContent)); \
         for (const it of [connection, news]) \
           new MutationObserver(hear).observe(it, { childList: true, characterData: true, subtree: true })",
    )
    .await;
    for n in 0..20 {
        watched.pool.call(double(n)).await.unwrap();
    }
    until(page, &shows(".totals tr", "calls: ok26")).await;
    assert_eq!(page.run("return heard").await, json!([]), "calls are no news");
    for n in 0..3 {
        watched.pool.call(panics(&n.to_string())).await.unwrap_err();
        // Each error is shown before the next one happens.
        until(page, &shows(".totals tr", &format!("calls: panicked{}", n + 2))).await;
    }
    let heard = page.run("return heard.length").await;
    assert_eq!(heard, 1, "many errors are one piece of news");
}
