//! What the tests of the live pages share: waiting, and how a page looks.

use flame_tests::browser::Browser;
use serde_json::{Value, json};

/// A folder into which pictures of the pages are written, for people to look at.
const PICTURES: &str = "FLAME_TEST_PICTURES";

/// Waits until an expression is true in the page.
pub(crate) async fn until(page: &Browser, expression: &str) {
    let waiting = async {
        while page.run(&format!("return Boolean({expression})")).await != true {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    };
    if tokio::time::timeout(std::time::Duration::from_secs(30), waiting).await.is_err() {
        let text = page.run("return document.body.innerText").await;
        panic!("waited for 30 s until {expression}:\n{}", text.as_str().unwrap_or_default());
    }
}

/// An expression: whether an element that matches the selector has the text.
pub(crate) fn shows(selector: &str, text: &str) -> String {
    let (selector, text) = (Value::from(selector), Value::from(text));
    format!(
        "[...document.querySelectorAll({selector})].some((it) => \
         it.checkVisibility() && it.textContent.includes({text}))"
    )
}

/// Checks a page in both colour schemes, on wide and narrow screens. The pictures get this name.
pub(crate) async fn fits_every_width_and_is_legible(page: &Browser, name: &str) {
    for scheme in ["light", "dark"] {
        page.prefer_scheme(scheme).await;
        for width in [1280, 768, 360] {
            page.resize(width, 800).await;
            let widths = "const root = document.documentElement; \
                          return [innerWidth, root.clientWidth, root.scrollWidth]";
            let found = page.run(widths).await;
            assert_eq!(found[0], width, "the window has another width");
            assert_eq!(found[1], found[2], "the page overflows at {width} pixels");
            let faults = page.run(include_str!("looks/audit.js")).await;
            assert_eq!(faults, json!([]), "{scheme}, {width} pixels wide");
            picture(page, &format!("{name}-{scheme}-{width}")).await;
        }
    }
    let dark = "return getComputedStyle(document.body).backgroundColor";
    assert_eq!(page.run(dark).await, "rgb(13, 17, 23)", "the page is dark for those who want that");
}

/// Writes a picture of the page, if somebody wants to see it.
pub(crate) async fn picture(page: &Browser, name: &str) {
    if let Some(folder) = std::env::var_os(PICTURES) {
        // As tall as the page, so that no scroll bar covers a part of it.
        let size = "return [innerWidth, document.documentElement.scrollHeight]";
        let size = page.run(size).await;
        let [width, height] = [0, 1].map(|at| size[at].as_u64().unwrap() as u32);
        page.resize(width, height).await;
        let picture = page.screenshot().await;
        let file = std::path::Path::new(&folder).join(format!("{name}.png.base64"));
        std::fs::write(file, picture).unwrap();
    }
}
