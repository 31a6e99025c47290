//! The relay's page: what it shows, and its document. Pure; `server/page.rs` serves it.
//!
//! The page is three files and no framework, like the live page of pools in `flame-aws`. It needs no
//! other file and no other host.

use flame_wire::hex::Hex;

mod view;

pub(crate) use view::{Reading, View, WallClock};

const DOCUMENT: &str = include_str!("page/page.html");
const STYLE: &str = include_str!("page/page.css");
const SCRIPT: &str = include_str!("page/page.js");

/// How many rows of each table the page shows.
pub(crate) const MAX_ROWS: usize = 100;

/// The document, and its Content-Security-Policy: a browser executes the page's own script and style
/// only, because only they have the nonce.
pub(crate) fn document(nonce: [u8; 16]) -> (String, String) {
    let nonce = Hex(&nonce).to_string();
    let document = DOCUMENT
        .replace("{{style}}", STYLE)
        .replace("{{script}}", SCRIPT)
        .replace("{{nonce}}", &nonce);
    let policy = format!(
        "default-src 'none'; script-src 'nonce-{nonce}'; style-src 'nonce-{nonce}'; \
         connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; \
         frame-ancestors 'none'"
    );
    (document, policy)
}
