//! The certificates for an engine that is reached by TLS.
//!
//! bollard reads the files of the client each time it connects. If it can't use one of them, it
//! connects without a certificate, and the engine's answer does not say why. So they are checked
//! first.

use std::path::{Path, PathBuf};

use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;

use super::failure::{EngineError, ErrorKind};

/// The files in a folder of certificates, by the names that Docker gives them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct CertificateFiles {
    /// The certificates of the authorities that sign engines' certificates.
    pub(super) authority: PathBuf,
    /// The certificate of this process.
    pub(super) certificate: PathBuf,
    /// The private key of that certificate.
    pub(super) key: PathBuf,
}

impl CertificateFiles {
    pub(super) fn of(folder: &Path) -> Self {
        let [authority, certificate, key] =
            ["ca.pem", "cert.pem", "key.pem"].map(|file| folder.join(file));
        Self { authority, certificate, key }
    }

    /// Checks that each file can be read and contains what it should, and that the key belongs to
    /// the certificate.
    pub(super) fn check(&self, provider: &CryptoProvider) -> Result<(), EngineError> {
        certificates(&self.authority)?;
        let chain = certificates(&self.certificate)?;
        let key = PrivateKeyDer::from_pem_slice(&read(&self.key)?)
            .map_err(|error| problem(&self.key, format!("has no private key: {error}")))?;
        let checked = CertifiedKey::from_der(chain, key, provider);
        checked.map(drop).map_err(|error| {
            let certificate = self.certificate.display();
            problem(&self.key, format!("can't be used with {certificate}: {error}"))
        })
    }
}

fn certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>, EngineError> {
    let text = read(file)?;
    let read: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&text).collect();
    let read = read.map_err(|error| problem(file, format!("has no certificate: {error}")))?;
    match read.is_empty() {
        true => Err(problem(file, "has no certificate in PEM")),
        false => Ok(read),
    }
}

fn read(file: &Path) -> Result<Vec<u8>, EngineError> {
    std::fs::read(file).map_err(|error| problem(file, format!("can't be read: {error}")))
}

fn problem(file: &Path, what: impl std::fmt::Display) -> EngineError {
    let message = format!("the file {} {what}", file.display());
    EngineError { kind: ErrorKind::Certificates, message }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CERTIFICATE: &str = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    const KEY: &str = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n";

    /// A folder that is removed when it is dropped.
    struct Folder(PathBuf);

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }

    impl Folder {
        /// A folder in which only the key is no key.
        fn new() -> Self {
            let name = format!("flame-certificates-{:032x}", rand::random::<u128>());
            let folder = Self(std::env::temp_dir().join(name));
            std::fs::create_dir(&folder.0).unwrap();
            for (file, text) in
                [("ca.pem", CERTIFICATE), ("cert.pem", CERTIFICATE), ("key.pem", KEY)]
            {
                folder.write(file, text);
            }
            folder
        }

        fn write(&self, file: &str, text: &str) {
            std::fs::write(self.0.join(file), text).unwrap();
        }

        fn problem(&self) -> String {
            let provider = rustls::crypto::aws_lc_rs::default_provider();
            let error = CertificateFiles::of(&self.0).check(&provider).unwrap_err();
            assert_eq!(error.kind, ErrorKind::Certificates);
            error.message
        }
    }

    #[test]
    fn a_file_that_can_not_be_used_is_named_and_its_text_is_not_shown() {
        for file in ["ca.pem", "cert.pem", "key.pem"] {
            let folder = Folder::new();
            for text in ["", "hunter2", "-----BEGIN CERTIFICATE-----\nhunter2!\n"] {
                folder.write(file, text);
                let problem = folder.problem();
                assert!(problem.contains(&format!("{file} has no ")), "{problem}");
                assert!(!problem.contains("hunter2"), "{problem}");
            }
            std::fs::remove_file(folder.0.join(file)).unwrap();
            let problem = folder.problem();
            assert!(problem.contains(&format!("{file} can't be read: ")), "{problem}");
        }
    }

    #[test]
    fn a_key_that_is_no_key_is_named_with_its_certificate() {
        let problem = Folder::new().problem();
        assert!(problem.contains("key.pem can't be used with "), "{problem}");
        assert!(problem.contains("cert.pem"), "{problem}");
    }
}
