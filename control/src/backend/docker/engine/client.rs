//! bollard's client for an engine.

use std::sync::Arc;

use bollard::{API_DEFAULT_VERSION, BollardRequest, Docker};
use rustls::crypto::CryptoProvider;

use super::CLIENT_LIMIT;
use super::convert::error;
use crate::backend::docker::certificates::CertificateFiles;
use crate::backend::docker::endpoint::{Endpoint, Transport};
use crate::backend::docker::failure::EngineError;

/// A client that has not made any request yet.
pub(super) fn client(endpoint: &Endpoint) -> Result<Docker, EngineError> {
    let url = &endpoint.url;
    let connected = match &endpoint.transport {
        #[cfg(unix)]
        Transport::Socket => Docker::connect_with_unix(url, CLIENT_LIMIT, API_DEFAULT_VERSION),
        #[cfg(windows)]
        Transport::Socket => {
            Docker::connect_with_named_pipe(url, CLIENT_LIMIT, API_DEFAULT_VERSION)
        }
        Transport::Tcp => Docker::connect_with_http(url, CLIENT_LIMIT, API_DEFAULT_VERSION),
        Transport::Tls(folder) => {
            let files = CertificateFiles::of(folder);
            files.check(&crypto())?;
            let CertificateFiles { authority, certificate, key } = files;
            // bollard would keep the scheme `http`.
            let address = url.split_once("://").map_or(url.as_str(), |(_, address)| address);
            let version = API_DEFAULT_VERSION;
            Docker::connect_with_ssl(address, &key, &certificate, &authority, CLIENT_LIMIT, version)
        }
    };
    connected.map_err(error)
}

/// The cryptography of this process. bollard panics if none is chosen. An app that has chosen one
/// keeps it.
fn crypto() -> Arc<CryptoProvider> {
    let chosen = || CryptoProvider::get_default().cloned();
    chosen().unwrap_or_else(|| {
        let provider = rustls::crypto::aws_lc_rs::default_provider();
        // Fails if somebody else has just chosen one.
        let _ = provider.clone().install_default();
        chosen().unwrap_or_else(|| Arc::new(provider))
    })
}

/// Writes the credentials of a request in the alphabet of base64url, which engines expect. bollard
/// uses the other alphabet, so an engine would reject some passwords.
/// Source: <https://docs.docker.com/reference/api/engine/version/v1.41/#section/Authentication>.
pub(super) fn with_readable_credentials(mut request: BollardRequest) -> BollardRequest {
    if let Some(credentials) = request.headers_mut().get_mut("X-Registry-Auth") {
        let readable = credentials.as_bytes().iter().map(|byte| match byte {
            b'+' => b'-',
            b'/' => b'_',
            byte => *byte,
        });
        if let Ok(readable) = readable.collect::<Vec<_>>().try_into() {
            *credentials = readable;
        }
    }
    request
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_are_written_in_the_alphabet_of_base64url() {
        let mut request = BollardRequest::new(bollard::body_full("".into()));
        request.headers_mut().insert("X-Registry-Auth", "ab+/9==".parse().unwrap());
        let request = with_readable_credentials(request);
        assert_eq!(request.headers()["X-Registry-Auth"], "ab-_9==");
    }
}
