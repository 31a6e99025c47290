//! The certificate of the relays, for the seeds with outer TLS.
//!
//! Clients of a relay trust what their system trusts. So the process of a seed is started with
//! variables that name a certificate of its own.

use std::path::PathBuf;
use std::sync::Arc;

use flame_relay::TlsPaths;
use flame_tests::TempDir;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};

use crate::relays;

/// The variable with the folder of the certificate and its key.
const FOLDER: &str = "FLAME_SIMULATION_CERTIFICATE";

/// A certificate for all relays, whose files are removed when the value is dropped.
pub(crate) struct Certificate(TempDir);

impl Certificate {
    pub(crate) fn new() -> Self {
        let names: Vec<_> =
            (0..relays::MAX).map(|relay| relays::address(relay).to_string()).collect();
        let made = rcgen::generate_simple_self_signed(names).expect("the names are valid");
        let folder = TempDir::new();
        let TlsPaths { certificate, key } = paths_in(folder.path().to_owned());
        std::fs::write(certificate, made.cert.pem()).expect("the folder exists");
        std::fs::write(key, made.signing_key.serialize_pem()).expect("the folder exists");
        Self(folder)
    }

    /// The variables of a process whose clients trust this certificate, and whose relays have it.
    pub(crate) fn variables(&self) -> [(&'static str, PathBuf); 2] {
        let folder = self.0.path().to_owned();
        [("SSL_CERT_FILE", paths_in(folder.clone()).certificate), (FOLDER, folder)]
    }
}

fn paths_in(folder: PathBuf) -> TlsPaths {
    TlsPaths { certificate: folder.join("certificate.pem"), key: folder.join("key.pem") }
}

/// The files of this process's certificate. `None` if the process was started without one.
pub(crate) fn paths() -> Option<TlsPaths> {
    std::env::var_os(FOLDER).map(|folder| paths_in(folder.into()))
}

/// The settings of a client that trusts this process's certificate only.
pub(crate) fn client() -> Arc<ClientConfig> {
    let paths = paths().expect("the process was started with a certificate");
    let certificate = CertificateDer::from_pem_file(paths.certificate).expect("it is PEM");
    let mut roots = RootCertStore::empty();
    roots.add(certificate).expect("the certificate is valid");
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("the provider supports the default versions");
    Arc::new(config.with_root_certificates(roots).with_no_client_auth())
}
