//! A relay, through which runners connect to a parent that they can't reach.
//!
//! ```text
//! Relay ── checked when a pool starts ──▶ RelayClient, one per runtime, for the same URLs and key
//!                                           ├ state.rs       decides; pure
//!                                           └ connection.rs  one control connection per URL, and a
//!                                                            socket per runner ──▶ Listener::serve
//! ```

use std::fmt;
use std::sync::Arc;

use zeroize::Zeroizing;

mod client;
mod connection;
mod state;
#[cfg(test)]
mod tests;

pub(crate) use client::{RelayClient, RelayClients};

/// The variable with the URLs of the relays, separated by commas.
const URL_VARIABLE: &str = "FLAME_RELAY_URL";
/// The variable with the key.
const KEY_VARIABLE: &str = "FLAME_RELAY_KEY";

/// The most relays that a pool can have: a runner carries at most as many addresses.
pub(crate) const MAX_RELAYS: usize = 3;

/// A relay through which the runners of a pool connect, and the key that it expects; see
/// [`PoolBuilder::relay`](crate::PoolBuilder::relay).
///
/// ```
/// use flame_aws::Relay;
///
/// # fn key() -> String { "0123456789abcdef0123456789abcdef".to_owned() }
/// let relay = Relay::new("wss://relay-a.example.com").or("wss://relay-b.example.com").key(key());
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Relay {
    urls: Vec<String>,
    key: Option<RelayKey>,
}

/// The key that a parent shows to its relays. It is overwritten in memory when its last clone is
/// dropped.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct RelayKey(Arc<Zeroizing<String>>);

impl Relay {
    /// The relay at this URL: `ws://host:port`, or `wss://host` if it has a certificate that this
    /// system and the runners trust.
    pub fn new(url: impl Into<String>) -> Self {
        Self { urls: vec![url.into()], key: None }
    }

    /// The key that the relay expects from parents. Default: the variable `FLAME_RELAY_KEY`.
    #[must_use]
    pub fn key(self, key: impl Into<String>) -> Self {
        Self { key: Some(RelayKey::new(key.into())), ..self }
    }

    /// Another relay with the same key, for when the first can't be reached. There may be three in
    /// all. The parent keeps a connection to each of them, and each runner can connect through any
    /// of them.
    #[must_use]
    pub fn or(mut self, url: impl Into<String>) -> Self {
        self.urls.push(url.into());
        self
    }

    /// The relays that the environment names, if it names any.
    pub(crate) fn from_environment() -> Option<Self> {
        Self::from_variables(|name| std::env::var(name).ok())
    }

    fn from_variables(variable: impl Fn(&str) -> Option<String>) -> Option<Self> {
        let urls = variable(URL_VARIABLE)?;
        let urls = urls.split(',').map(str::trim).filter(|url| !url.is_empty());
        let urls: Vec<_> = urls.map(str::to_owned).collect();
        let relay = Self { urls, key: None }.with_key_from(variable);
        (!relay.urls.is_empty()).then_some(relay)
    }

    /// Adds the key of the environment, if no other is set.
    pub(crate) fn with_key_from_environment(self) -> Self {
        self.with_key_from(|name| std::env::var(name).ok())
    }

    fn with_key_from(mut self, variable: impl Fn(&str) -> Option<String>) -> Self {
        if self.key.is_none() {
            let key = variable(KEY_VARIABLE).filter(|key| !key.is_empty());
            self.key = key.map(RelayKey::new);
        }
        self
    }

    /// The URLs and the key, or what is wrong.
    pub(crate) fn check(&self) -> Result<(&[String], &RelayKey), String> {
        if self.urls.len() > MAX_RELAYS {
            let given = self.urls.len();
            return Err(format!(
                "has {given} URLs, but a pool can have at most {MAX_RELAYS} relays"
            ));
        }
        for url in &self.urls {
            check_url(url).map_err(|why| {
                format!("has the URL {url:?}, which {why}: write `ws://host:port` or `wss://host`")
            })?;
        }
        let Some(key) = &self.key else {
            return Err(format!("has no key: call `Relay::key`, or set {KEY_VARIABLE}"));
        };
        if key.as_str().is_empty() || !key.as_str().bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(
                "has a key that is empty, or has characters other than visible ASCII".into()
            );
        }
        Ok((&self.urls, key))
    }
}

impl fmt::Debug for Relay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Relay").field("urls", &self.urls).finish_non_exhaustive()
    }
}

impl RelayKey {
    fn new(key: String) -> Self {
        Self(Arc::new(Zeroizing::new(key)))
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for RelayKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RelayKey(secret)")
    }
}

/// Whether runners and parents can be sent to this URL of a relay.
fn check_url(url: &str) -> Result<(), String> {
    flame_wire::parent::check_address(url)?;
    if flame_link::is_relay_address(url) {
        return Ok(());
    }
    let why = if flame_link::is_address(url) {
        "has more than a host and a port"
    } else {
        "is not an address"
    };
    Err(why.to_owned())
}
