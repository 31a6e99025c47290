//! The TLS of a `wss://` address, which a load balancer in front of the parent terminates.
//!
//! It only authenticates the load balancer. The link is encrypted once more inside, for the parent.

use std::io;
use std::sync::{Arc, OnceLock};

use rustls::crypto::aws_lc_rs as provider;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};
use tokio_rustls::TlsConnector;

use crate::io::Io;

/// Does the TLS handshake, and checks that the system trusts the certificate of `host`.
pub(crate) async fn connect(tcp: Io, host: &str) -> io::Result<Io> {
    let name = ServerName::try_from(host.to_owned()).map_err(io::Error::other)?;
    Ok(Io::new(TlsConnector::from(config()?).connect(name, tcp).await?))
}

/// Made once, since reading the system's certificates takes milliseconds.
fn config() -> io::Result<Arc<ClientConfig>> {
    static CONFIG: OnceLock<Arc<ClientConfig>> = OnceLock::new();
    if let Some(config) = CONFIG.get() {
        return Ok(config.clone());
    }
    let mut roots = RootCertStore::empty();
    let found = rustls_native_certs::load_native_certs();
    // A certificate that can't be read does not make the others less trustworthy.
    roots.add_parsable_certificates(found.certs);
    if roots.is_empty() {
        return Err(io::Error::new(
            io::ErrorKind::NotFound,
            "this system trusts no certificates: install ca-certificates in the image, or set \
             SSL_CERT_FILE to a file with certificates",
        ));
    }
    let config = ClientConfig::builder_with_provider(Arc::new(provider::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(io::Error::other)?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(CONFIG.get_or_init(|| Arc::new(config)).clone())
}
