//! Decides which requests may end runners. Pure.
//!
//! A browser sends requests that another site's page has caused, with the cookies of the page's
//! visitor. Three checks keep such requests out, and each suffices: the token, which only the page
//! knows and another site can't read; the token's header, which another site can't set without a
//! preflight that this server does not answer; and the headers in which the browser names the site
//! of the request ([`Sec-Fetch-Site`](https://www.w3.org/TR/fetch-metadata/), or else `Origin`).

use axum::http::header::{HOST, ORIGIN};
use axum::http::{HeaderMap, HeaderName};
use flame_wire::hex::{self, Hex};
use flame_wire::token::{Token, TokenHash};

/// The header with the page's token.
const TOKEN_HEADER: HeaderName = HeaderName::from_static("x-flame-token");
const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// The secret of one router. Everyone who can read the page has it.
pub(super) struct PageToken {
    text: String,
    hash: TokenHash,
}

/// Why a request may not end a runner.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum Refused {
    #[error("the request comes from another site: use the buttons of the live page")]
    OtherSite,
    #[error(
        "the request has no valid token in its header x-flame-token: the server may have restarted \
         since the page was loaded, so reload the page"
    )]
    NoToken,
}

impl PageToken {
    pub(super) fn generate() -> Self {
        let bytes: [u8; 32] = rand::random();
        Self { text: Hex(&bytes).to_string(), hash: Token::from_bytes(bytes).hash() }
    }

    /// The token as the page sends it.
    pub(super) fn text(&self) -> &str {
        &self.text
    }

    /// Checks a request that would end a runner.
    pub(super) fn check(&self, headers: &HeaderMap) -> Result<(), Refused> {
        if !is_same_origin(headers) {
            return Err(Refused::OtherSite);
        }
        let sent = headers.get(TOKEN_HEADER).and_then(|token| token.to_str().ok());
        let sent = sent.and_then(hex::decode).map(Token::from_bytes);
        // In constant time.
        if sent.is_some_and(|sent| self.hash.matches(&sent)) {
            Ok(())
        } else {
            Err(Refused::NoToken)
        }
    }
}

/// Whether the request comes from this site's own page, or from a client that is no browser.
///
/// A browser sends `Sec-Fetch-Site` only to hosts that it trusts: over HTTPS, or on this machine. It
/// sends `Origin` with every POST.
fn is_same_origin(headers: &HeaderMap) -> bool {
    if let Some(site) = headers.get(SEC_FETCH_SITE) {
        return site == "same-origin";
    }
    let Some(origin) = headers.get(ORIGIN) else { return true };
    // An origin is a scheme, a host and maybe a port, or the word `null`.
    let origin = origin.to_str().ok().and_then(|origin| origin.split_once("://"));
    let host = headers.get(HOST).and_then(|host| host.to_str().ok());
    origin.is_some_and(|(_, origin)| host == Some(origin))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(token: &PageToken, headers: &[(&'static str, &str)]) -> Result<(), Refused> {
        let header = |(name, value): &(&'static str, &str)| {
            (HeaderName::from_static(name), value.parse().unwrap())
        };
        token.check(&headers.iter().map(header).collect())
    }

    #[test]
    fn the_page_itself_is_allowed() {
        let token = PageToken::generate();
        let text = ("x-flame-token", token.text());
        for from in [
            &[("sec-fetch-site", "same-origin")][..],
            &[("origin", "http://10.0.0.7:3000"), ("host", "10.0.0.7:3000")],
            // Not a browser.
            &[],
        ] {
            assert_eq!(check(&token, &[&[text][..], from].concat()), Ok(()), "{from:?}");
        }
    }

    #[test]
    fn another_site_is_refused_even_with_the_token() {
        let token = PageToken::generate();
        let text = ("x-flame-token", token.text());
        for from in [
            &[("sec-fetch-site", "cross-site")][..],
            &[("sec-fetch-site", "same-site")],
            &[("sec-fetch-site", "none")],
            &[("sec-fetch-site", "cross-site"), ("origin", "http://a"), ("host", "a")],
            &[("origin", "http://10.0.0.8:3000"), ("host", "10.0.0.7:3000")],
            &[("origin", "http://10.0.0.7:3001"), ("host", "10.0.0.7:3000")],
            &[("origin", "null"), ("host", "10.0.0.7:3000")],
            &[("origin", "null"), ("host", "null")],
            &[("origin", "http://10.0.0.7:3000")],
        ] {
            let refused = check(&token, &[&[text][..], from].concat());
            assert_eq!(refused, Err(Refused::OtherSite), "{from:?}");
        }
    }

    #[test]
    fn a_wrong_token_is_refused() {
        let (token, other) = (PageToken::generate(), PageToken::generate());
        let truncated = &token.text()[..62];
        for wrong in [other.text(), truncated, "", "x"] {
            assert_eq!(check(&token, &[("x-flame-token", wrong)]), Err(Refused::NoToken));
        }
        assert_eq!(check(&token, &[]), Err(Refused::NoToken));
    }
}
