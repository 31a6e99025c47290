//! TLS with a certificate from files, which are read again when they have changed.

use std::path::PathBuf;
use std::sync::Arc;

use flame_wire::sync::{Mutex, RwLock};
use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs as provider;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::TlsAcceptor;

use crate::file::FileStamp;

/// The files with a certificate chain and its key, in PEM.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TlsPaths {
    /// The certificate chain, the server's own first.
    pub certificate: PathBuf,
    /// The private key.
    pub key: PathBuf,
}

/// Why files can't be used for TLS. Never shows a key.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TlsFilesError {
    /// A file can't be read, or contains no valid PEM.
    #[error("cannot read {what} from {}", path.display())]
    Unreadable {
        /// A certificate chain or a key.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// Why.
        source: pem::Error,
    },
    /// The file has no certificate.
    #[error("{} contains no certificate", path.display())]
    NoCertificate {
        /// The file.
        path: PathBuf,
    },
    /// The certificate and the key can't be used, or don't belong together.
    #[error("the certificate in {} can't be used with the key", path.display())]
    Unusable {
        /// The file with the certificate.
        path: PathBuf,
        /// Why.
        source: rustls::Error,
    },
}

/// The current certificate.
pub(crate) struct TlsFiles {
    paths: TlsPaths,
    config: RwLock<Arc<ServerConfig>>,
    stamps: Mutex<[FileStamp; 2]>,
}

impl TlsFiles {
    pub(crate) fn load(paths: TlsPaths) -> Result<Self, TlsFilesError> {
        let stamps = paths.stamps();
        let config = RwLock::new(Arc::new(paths.read()?));
        Ok(Self { paths, config, stamps: Mutex::new(stamps) })
    }

    pub(crate) fn acceptor(&self) -> TlsAcceptor {
        self.config.read().clone().into()
    }

    /// Reads the files again if they have changed. Returns whether the new certificate is used. If
    /// it can't be used, the old one stays, and the files are not read until they change once more.
    pub(crate) fn reload(&self) -> Result<bool, TlsFilesError> {
        let stamps = self.paths.stamps();
        if std::mem::replace(&mut *self.stamps.lock(), stamps) == stamps {
            return Ok(false);
        }
        *self.config.write() = Arc::new(self.paths.read()?);
        Ok(true)
    }
}

impl TlsPaths {
    /// Whether the files can be used.
    pub(crate) fn check(&self) -> Result<(), TlsFilesError> {
        self.read().map(|_| ())
    }

    fn stamps(&self) -> [FileStamp; 2] {
        [FileStamp::of(&self.certificate), FileStamp::of(&self.key)]
    }

    fn read(&self) -> Result<ServerConfig, TlsFilesError> {
        let Self { certificate, key } = self;
        let unreadable = |what, path: &PathBuf, source| TlsFilesError::Unreadable {
            what,
            path: path.clone(),
            source,
        };
        let chain = CertificateDer::pem_file_iter(certificate)
            .and_then(Iterator::collect::<Result<Vec<_>, _>>)
            .map_err(|source| unreadable("a certificate chain", certificate, source))?;
        if chain.is_empty() {
            return Err(TlsFilesError::NoCertificate { path: certificate.clone() });
        }
        let key = PrivateKeyDer::from_pem_file(key)
            .map_err(|source| unreadable("a private key", key, source))?;
        let unusable = |source| TlsFilesError::Unusable { path: certificate.clone(), source };
        let mut config =
            ServerConfig::builder_with_provider(Arc::new(provider::default_provider()))
                .with_safe_default_protocol_versions()
                .map_err(unusable)?
                .with_no_client_auth()
                .with_single_cert(chain, key)
                .map_err(unusable)?;
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        // Clients reconnect rarely: session tickets would cost more memory than they save time.
        config.send_tls13_tickets = 0;
        Ok(config)
    }
}
