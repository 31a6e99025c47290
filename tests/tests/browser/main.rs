//! The web example: its page in a real browser, and its traces. And the live pages of pools and of a
//! relay.

mod live_page;
mod looks;
mod relay_page;
mod site;
mod traces;

use std::collections::BTreeMap;

use flame_tests::browser::{self, Browser};
use flame_tests::{Test, process, requiring, tests};
use rustix::process::Signal;
use serde_json::Value;
use site::Site;

fn main() -> std::process::ExitCode {
    let of_pages = [tests(), live_page::tests(), relay_page::tests()].concat();
    let of_pages = requiring(of_pages, browser::is_missing);
    flame_tests::suite([of_pages, traces::tests()].concat())
}

fn tests() -> Vec<Test> {
    tests![
        a_streamed_picture_equals_that_of_a_single_call,
        a_click_zooms_in_and_back_restores_the_view,
        a_reload_stops_the_drawing_on_its_runner,
        a_killed_server_is_reported_and_nothing_starts_over,
        a_server_told_to_stop_completes_the_picture_and_exits,
        a_failed_drawing_says_why,
        the_page_fits_desktop_and_phone_screens,
    ]
}

/// The view of an all-black picture, which takes the longest to draw: half a minute in a debug
/// build.
const SLOW: &str = "#x=-0.1&y=0&zoom=1e13";
/// The view of a picture that takes a few seconds.
const NOT_SO_SLOW: &str = "#x=-0.1&y=0&zoom=16";

/// Waits until the page's status matches. Returns the status text.
async fn until_status(page: &Browser, matches: impl Fn(&str, &str) -> bool) -> String {
    let waiting = async {
        loop {
            let status = page.run("return [message.dataset.state, message.value]").await;
            let [Value::String(state), Value::String(text)] = &status.as_array().unwrap()[..]
            else {
                panic!("{status}")
            };
            if matches(state, text) {
                return text.clone();
            }
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    };
    let waited = tokio::time::timeout(std::time::Duration::from_secs(60), waiting).await;
    match waited {
        Ok(text) => text,
        Err(_) => panic!("{}", page.run("return document.body.innerText").await),
    }
}

async fn until_complete(page: &Browser) -> String {
    // A failure ends the wait, too.
    let text = until_status(page, |state, _| state == "complete" || state == "failed").await;
    assert!(text.starts_with("Complete: "), "{text}");
    text
}

async fn until_failed(page: &Browser) -> String {
    until_status(page, |state, _| state == "failed").await
}

/// Waits until some rows of the picture are drawn, but not all.
async fn until_half_drawn(page: &Browser) {
    until_status(page, |state, text| state == "drawing" && text.starts_with("Row ")).await;
}

/// Returns the picture, and whether each of its pixels is painted.
async fn picture(page: &Browser) -> (String, bool) {
    let painted = page
        .run("return context.getImageData(0, 0, 720, 480).data.every((b, at) => at % 4 < 3 || b === 255)")
        .await;
    let picture = page.run("return canvas.toDataURL()").await;
    (picture.as_str().unwrap().to_owned(), painted.as_bool().unwrap())
}

/// Returns the view in the page's address.
async fn view(page: &Browser) -> BTreeMap<String, f64> {
    let hash = page.run("return location.hash").await;
    let pairs = hash.as_str().unwrap().trim_start_matches('#').split('&');
    let pairs = pairs.filter_map(|pair| pair.split_once('='));
    pairs.map(|(key, value)| (key.to_owned(), value.parse().unwrap())).collect()
}

async fn a_streamed_picture_equals_that_of_a_single_call() {
    let (site, page) = tokio::join!(Site::start(0), Browser::start());
    page.open(&site.page("")).await;
    let status = until_complete(&page).await;
    let (_, drawer) = status.split_once("480 rows in ").expect("a number of rows");
    let (_, drawer) = drawer.split_once(" ms, by process ").expect("a process");
    let runners = process::children(site.pid());
    assert!(runners.contains(&drawer.parse().unwrap()), "{status}; runners: {runners:?}");
    let (streamed, painted) = picture(&page).await;
    assert!(painted, "some pixels are not painted");
    let text = page.run("return document.body.innerText").await.to_string();
    assert!(text.contains(&format!("process {}, the web server", site.pid())), "{text}");
    for wrong in ["fail", "broke", "error", "reject", "can't"] {
        assert!(!text.contains(wrong), "{text}");
    }
    page.click("#whole", 0, 0).await;
    let status =
        until_status(&page, |state, text| state == "failed" || text.contains("drawing number"));
    let status = status.await;
    assert!(status.starts_with("Complete: "), "{status}");
    assert!(picture(&page).await == (streamed, true), "the pictures differ");
    assert_eq!(page.errors().await, [""; 0]);
}

async fn a_click_zooms_in_and_back_restores_the_view() {
    let (site, page) = tokio::join!(Site::start(0), Browser::start());
    // Clicks are relative to the centre of the visible part. At this size that is the whole canvas.
    page.resize(1280, 1000).await;
    page.open(&site.page("")).await;
    until_complete(&page).await;
    let (first, _) = picture(&page).await;
    // The canvas has the size of its picture, in which 240 pixels are one unit.
    page.click("#canvas", 60, -120).await;
    until_complete(&page).await;
    let deeper = view(&page).await;
    assert_eq!(deeper["zoom"], 4.0);
    assert!((deeper["x"] - -0.35).abs() < 0.01 && (deeper["y"] - -0.5).abs() < 0.01, "{deeper:?}");
    let place = page.run("return position.textContent").await;
    assert!(place.as_str().unwrap().ends_with("zoom 4"), "{place}");
    let (second, painted) = picture(&page).await;
    assert!(painted && second != first, "the second picture equals the first");
    page.reload().await;
    until_complete(&page).await;
    assert!(picture(&page).await.0 == second, "a reload changes the picture");
    page.back().await;
    until_complete(&page).await;
    assert!(picture(&page).await.0 == first, "going back does not restore the first picture");
}

async fn a_reload_stops_the_drawing_on_its_runner() {
    let (site, page) = tokio::join!(Site::start(0), Browser::start());
    page.open(&site.page(SLOW)).await;
    until_half_drawn(&page).await;
    page.reload().await;
    site.logs("drawing stopped after row", 1).await;
    until_half_drawn(&page).await;
    site.status("calls running: 1,").await;
    page.open("about:blank").await;
    site.logs("drawing stopped after row", 2).await;
    site.status("calls running: 0,").await;
}

async fn a_killed_server_is_reported_and_nothing_starts_over() {
    let (site, page) = tokio::join!(Site::start(0), Browser::start());
    page.open(&site.page("")).await;
    until_complete(&page).await;
    // Records every EventSource that the page makes from now on.
    page.run(
        "sources = []; \
         EventSource = class extends EventSource { constructor(at) { super(at); sources.push(this); } }",
    )
    .await;
    page.run(&format!("location.hash = '{SLOW}'")).await;
    until_half_drawn(&page).await;
    process::kill(site.pid());
    let status = until_failed(&page).await;
    assert!(status.contains("broke off after row ") && status.contains(" of 480"), "{status}");
    // The page would not connect again by itself.
    let closed = "return sources.length === 1 && sources[0].readyState === EventSource.CLOSED";
    assert_eq!(page.run(closed).await, true);
    let port = site.port();
    drop(site);
    let _again = Site::start(port).await;
    assert_eq!(until_failed(&page).await, status, "the status has changed by itself");
    page.click("#reset", 0, 0).await;
    until_complete(&page).await;
}

async fn a_server_told_to_stop_completes_the_picture_and_exits() {
    let (site, page) = tokio::join!(Site::start(0), Browser::start());
    page.open(&site.page(NOT_SO_SLOW)).await;
    until_half_drawn(&page).await;
    process::signal(site.pid(), Signal::TERM);
    until_complete(&page).await;
    assert!(picture(&page).await.1, "some pixels are not painted");
    site.exits_cleanly().await;
    for button in ["#streamed", "#whole"] {
        page.click(button, 0, 0).await;
        assert_eq!(until_failed(&page).await, "The server can't be reached.");
    }
}

async fn a_failed_drawing_says_why() {
    let (site, page) = tokio::join!(Site::start(0), Browser::start());
    page.open(&site.page(SLOW)).await;
    until_half_drawn(&page).await;
    // Kills the runner, not the server.
    for runner in process::children(site.pid()) {
        process::kill(runner);
    }
    let status = until_failed(&page).await;
    assert!(status.starts_with("The drawing failed after row "), "{status}");
    assert!(status.contains("was lost"), "{status}");
    page.click("#reset", 0, 0).await;
    until_complete(&page).await;
}

async fn the_page_fits_desktop_and_phone_screens() {
    let (site, page) = tokio::join!(Site::start(0), Browser::start());
    for (width, height) in [(1280, 800), (390, 844), (320, 568)] {
        page.resize(width, height).await;
        page.open("about:blank").await;
        page.open(&site.page("#x=-0.7436447860001&y=0.1318252536001&zoom=1048576")).await;
        until_complete(&page).await;
        let fits = "const root = document.documentElement; \
                    return [innerWidth, root.clientWidth, root.scrollWidth, canvas.getBoundingClientRect().right]";
        let [outer, wide, all, canvas] = &page.run(fits).await.as_array().unwrap().clone()[..]
        else {
            panic!("four numbers")
        };
        assert_eq!(outer, width, "the window has another width");
        assert_eq!(all, wide, "the page overflows at {width} by {height}");
        assert!(canvas.as_f64() <= wide.as_f64(), "{canvas} of {wide}");
    }
}
