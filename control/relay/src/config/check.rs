//! Checks settings, and collects everything that is wrong with them.

use std::fmt::Display;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::str::FromStr;

use flame_wire::error::Chain;
use zeroize::Zeroizing;

use super::args::KEYS_ENV;
use crate::file::KeyFile;
use crate::keys::KeyTexts;
use crate::tls::TlsPaths;

/// All settings that can't be used.
#[derive(Debug, PartialEq, Eq)]
pub struct BadSettings(Vec<String>);

impl std::error::Error for BadSettings {}

impl Display for BadSettings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "flame-relay can't start with these settings:")?;
        self.0.iter().try_for_each(|bad| write!(f, "\n  {bad}"))
    }
}

/// Collects the bad settings.
#[derive(Default)]
pub(super) struct Check {
    bad: Vec<String>,
}

impl Check {
    /// Fails if anything was wrong.
    pub(super) fn finish(self) -> Result<(), BadSettings> {
        if self.bad.is_empty() { Ok(()) } else { Err(BadSettings(self.bad)) }
    }

    pub(super) fn bad(&mut self, setting: &str, why: impl Display) {
        self.bad.push(format!("{setting}: {why}"));
    }

    /// The value that the text stands for. If it stands for none, remembers why, and returns
    /// `instead`.
    pub(super) fn value<T>(
        &mut self,
        flag: &str,
        text: &str,
        instead: T,
        parse: impl FnOnce(&str) -> Result<T, String>,
    ) -> T {
        parse(text).unwrap_or_else(|why| {
            let variable = variable_of(flag);
            self.bad(&format!("{flag} or {variable}"), format!("{text:?} can't be used: {why}"));
            instead
        })
    }

    pub(super) fn keys(
        &mut self,
        variable: Option<Zeroizing<String>>,
        file: Option<PathBuf>,
    ) -> (KeyTexts, Option<KeyFile>) {
        match (variable, file) {
            (Some(_), Some(_)) => {
                self.bad("--key-file", format!("{KEYS_ENV} is set as well; use one of them"));
            }
            (None, None) => self.bad(KEYS_ENV, "there is no key; set it, or use --key-file"),
            (Some(text), None) => match KeyTexts::parse(&text) {
                Ok(keys) => return (keys, None),
                Err(error) => self.bad(KEYS_ENV, error),
            },
            (None, Some(path)) => match KeyFile::open(path) {
                Ok((file, keys)) => return (keys, Some(file)),
                Err(error) => self.bad("--key-file", Chain(&error)),
            },
        }
        (KeyTexts::none(), None)
    }

    pub(super) fn tls(
        &mut self,
        certificate: Option<PathBuf>,
        key: Option<PathBuf>,
    ) -> Option<TlsPaths> {
        match (certificate, key) {
            (Some(certificate), Some(key)) => {
                let paths = TlsPaths { certificate, key };
                if let Err(error) = paths.check() {
                    self.bad("--tls-cert, --tls-key", Chain(&error));
                }
                Some(paths)
            }
            (None, None) => None,
            (Some(_), None) => {
                self.bad("--tls-key", "--tls-cert needs it");
                None
            }
            (None, Some(_)) => {
                self.bad("--tls-cert", "--tls-key needs it");
                None
            }
        }
    }
}

/// The variable with which a flag can be set as well.
fn variable_of(flag: &str) -> String {
    let name = flag.trim_start_matches('-').replace('-', "_").to_ascii_uppercase();
    format!("FLAME_RELAY_{name}")
}

pub(super) fn parse<T: FromStr<Err: Display>>(text: &str) -> Result<T, String> {
    text.parse().map_err(|error: T::Err| error.to_string())
}

pub(super) fn at_least<T: FromStr<Err: Display> + PartialOrd + Display + Copy>(
    min: T,
) -> impl Fn(&str) -> Result<T, String> {
    move |text| {
        let number = parse(text)?;
        if number >= min { Ok(number) } else { Err(format!("write a number of at least {min}")) }
    }
}

pub(super) fn byte_count(text: &str) -> Result<usize, String> {
    at_least(1024)(text)
}

/// An IP address and a port.
pub(super) fn listen_address(text: &str) -> Result<SocketAddr, String> {
    text.parse().map_err(|_| "write an IP address and a port, for example 0.0.0.0:8443".to_owned())
}

/// Checks an address for runners: a scheme, a host, perhaps a port, and nothing else.
pub(super) fn own_address(text: &str) -> Result<String, String> {
    let expected = || "write ws://host:port or wss://host:port, without a path".to_owned();
    let uri: hyper::Uri = text.parse().map_err(|_| expected())?;
    let parts = uri.clone().into_parts();
    let is_websocket = matches!(uri.scheme_str(), Some("ws" | "wss"));
    let path = parts.path_and_query.map(|path| path.to_string()).unwrap_or_default();
    let authority = parts.authority.ok_or_else(expected)?;
    if !is_websocket || !matches!(path.as_str(), "" | "/") || authority.as_str().contains('@') {
        return Err(expected());
    }
    let host = uri.host().unwrap_or_default().trim_matches(['[', ']']);
    if host.parse::<IpAddr>().is_ok_and(|ip| ip.is_unspecified()) {
        return Err("no runner can connect to it; write the address of this node".to_owned());
    }
    Ok(text.trim_end_matches('/').to_owned())
}
