//! The web example, as a person sees it: its page in a real browser.

mod site;

use std::collections::BTreeMap;

use flame_tests::browser::{self, Browser};
use flame_tests::{Test, needing, process, tests};
use rustix::process::Signal;
use serde_json::Value;
use site::Site;

fn main() -> std::process::ExitCode {
    flame_tests::suite(needing(tests(), browser::is_missing))
}

fn tests() -> Vec<Test> {
    tests![
        a_picture_is_streamed_to_its_end_and_is_that_of_a_single_call,
        a_click_draws_a_deeper_view_and_back_the_one_before,
        a_reload_in_the_middle_ends_the_drawing_on_its_runner,
        a_server_that_is_killed_in_the_middle_is_told_plainly_and_nothing_starts_over,
        a_server_that_is_asked_to_stop_completes_the_picture_and_is_then_gone,
        a_drawing_that_fails_tells_why,
        the_page_fits_a_desk_and_a_hand,
    ]
}

/// Nothing but black, which takes the longest: half a minute unless it is built for speed.
const SLOW: &str = "#x=-0.1&y=0&zoom=1e13";
/// A few seconds.
const NOT_SO_SLOW: &str = "#x=-0.1&y=0&zoom=16";

/// What the page says, once that is so.
async fn says(page: &Browser, so: impl Fn(&str, &str) -> bool) -> String {
    let waiting = async {
        loop {
            let said = page.run("return [message.dataset.state, message.value]").await;
            let [Value::String(state), Value::String(text)] = &said.as_array().unwrap()[..] else {
                panic!("{said}")
            };
            if so(state, text) {
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

async fn is_complete(page: &Browser) -> String {
    // A failure is no reason to go on waiting.
    let text = says(page, |state, _| state == "complete" || state == "failed").await;
    assert!(text.starts_with("Complete: "), "{text}");
    text
}

async fn has_failed(page: &Browser) -> String {
    says(page, |state, _| state == "failed").await
}

/// Waits until some rows of a picture are there, but not all.
async fn is_in_the_middle(page: &Browser) {
    says(page, |state, text| state == "drawing" && text.starts_with("Row ")).await;
}

/// The picture, and whether each of its pixels is painted.
async fn picture(page: &Browser) -> (String, bool) {
    let painted = page
        .run("return context.getImageData(0, 0, 720, 480).data.every((b, at) => at % 4 < 3 || b === 255)")
        .await;
    let picture = page.run("return canvas.toDataURL()").await;
    (picture.as_str().unwrap().to_owned(), painted.as_bool().unwrap())
}

/// Where the page is, by its address.
async fn view(page: &Browser) -> BTreeMap<String, f64> {
    let hash = page.run("return location.hash").await;
    let pairs = hash.as_str().unwrap().trim_start_matches('#').split('&');
    let pairs = pairs.filter_map(|pair| pair.split_once('='));
    pairs.map(|(key, value)| (key.to_owned(), value.parse().unwrap())).collect()
}

async fn a_picture_is_streamed_to_its_end_and_is_that_of_a_single_call() {
    let (site, page) = tokio::join!(Site::start(0), Browser::start());
    page.open(&site.page("")).await;
    assert!(is_complete(&page).await.contains("480 rows"));
    let (streamed, painted) = picture(&page).await;
    assert!(painted, "all of the picture is there");
    let words = page.run("return document.body.innerText").await.to_string();
    for wrong in ["fail", "broke", "error", "reject", "can't"] {
        assert!(!words.contains(wrong), "{words}");
    }
    page.click("#whole", 0, 0).await;
    let told = says(&page, |state, text| state == "failed" || text.contains("by process")).await;
    assert!(told.starts_with("Complete: "), "{told}");
    assert!(picture(&page).await == (streamed, true), "the same picture");
    assert_eq!(page.errors().await, [""; 0]);
}

async fn a_click_draws_a_deeper_view_and_back_the_one_before() {
    let (site, page) = tokio::join!(Site::start(0), Browser::start());
    // The middle of the canvas is that of what is seen of it.
    page.resize(1280, 1000).await;
    page.open(&site.page("")).await;
    is_complete(&page).await;
    let (first, _) = picture(&page).await;
    // The canvas is as large as its picture: 240 pixels are one unit.
    page.click("#canvas", 60, -120).await;
    is_complete(&page).await;
    let deeper = view(&page).await;
    assert_eq!(deeper["zoom"], 4.0);
    assert!((deeper["x"] - -0.35).abs() < 0.01 && (deeper["y"] - -0.5).abs() < 0.01, "{deeper:?}");
    let place = page.run("return position.textContent").await;
    assert!(place.as_str().unwrap().ends_with("zoom 4"), "{place}");
    let (second, painted) = picture(&page).await;
    assert!(painted && second != first, "another picture");
    page.reload().await;
    is_complete(&page).await;
    assert!(picture(&page).await.0 == second, "a reload keeps the place");
    page.back().await;
    is_complete(&page).await;
    assert!(picture(&page).await.0 == first, "back is back out");
}

async fn a_reload_in_the_middle_ends_the_drawing_on_its_runner() {
    let (site, page) = tokio::join!(Site::start(0), Browser::start());
    page.open(&site.page(SLOW)).await;
    is_in_the_middle(&page).await;
    page.reload().await;
    site.logs("drawing stopped after row", 1).await;
    is_in_the_middle(&page).await;
    site.status("calls running: 1,").await;
    page.open("about:blank").await;
    site.logs("drawing stopped after row", 2).await;
    site.status("calls running: 0,").await;
}

async fn a_server_that_is_killed_in_the_middle_is_told_plainly_and_nothing_starts_over() {
    let (site, page) = tokio::join!(Site::start(0), Browser::start());
    page.open(&site.page("")).await;
    is_complete(&page).await;
    // Every source that the page makes from now on.
    page.run(
        "sources = []; \
         EventSource = class extends EventSource { constructor(at) { super(at); sources.push(this); } }",
    )
    .await;
    page.run(&format!("location.hash = '{SLOW}'")).await;
    is_in_the_middle(&page).await;
    process::kill(site.pid());
    let told = has_failed(&page).await;
    assert!(told.contains("broke off after row ") && told.contains(" of 480"), "{told}");
    // None would ask again by itself.
    let closed = "return sources.length === 1 && sources[0].readyState === EventSource.CLOSED";
    assert_eq!(page.run(closed).await, true);
    let port = site.port();
    drop(site);
    let _again = Site::start(port).await;
    assert_eq!(has_failed(&page).await, told, "it stays with what it said");
    page.click("#reset", 0, 0).await;
    is_complete(&page).await;
}

async fn a_server_that_is_asked_to_stop_completes_the_picture_and_is_then_gone() {
    let (site, page) = tokio::join!(Site::start(0), Browser::start());
    page.open(&site.page(NOT_SO_SLOW)).await;
    is_in_the_middle(&page).await;
    process::signal(site.pid(), Signal::TERM);
    is_complete(&page).await;
    assert!(picture(&page).await.1, "all of the picture is there");
    site.ends_in_order().await;
    for way in ["#streamed", "#whole"] {
        page.click(way, 0, 0).await;
        assert_eq!(has_failed(&page).await, "The server can't be reached.");
    }
}

async fn a_drawing_that_fails_tells_why() {
    let (site, page) = tokio::join!(Site::start(0), Browser::start());
    page.open(&site.page(SLOW)).await;
    is_in_the_middle(&page).await;
    // The runner, not the server.
    for runner in process::children(site.pid()) {
        process::kill(runner);
    }
    let told = has_failed(&page).await;
    assert!(told.starts_with("The drawing failed after row "), "{told}");
    assert!(told.contains("was lost"), "{told}");
    page.click("#reset", 0, 0).await;
    is_complete(&page).await;
}

async fn the_page_fits_a_desk_and_a_hand() {
    let (site, page) = tokio::join!(Site::start(0), Browser::start());
    for (width, height) in [(1280, 800), (390, 844), (320, 568)] {
        page.resize(width, height).await;
        page.open("about:blank").await;
        page.open(&site.page("#x=-0.7436447860001&y=0.1318252536001&zoom=1048576")).await;
        is_complete(&page).await;
        let fits = "const root = document.documentElement; \
                    return [innerWidth, root.clientWidth, root.scrollWidth, canvas.getBoundingClientRect().right]";
        let [outer, wide, all, canvas] = &page.run(fits).await.as_array().unwrap().clone()[..]
        else {
            panic!("four numbers")
        };
        assert_eq!(outer, width, "it is as wide as it should be");
        assert_eq!(all, wide, "nothing stands out at {width} by {height}");
        assert!(canvas.as_f64() <= wide.as_f64(), "{canvas} of {wide}");
    }
}
