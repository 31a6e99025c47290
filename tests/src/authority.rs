//! An authority that signs the certificates of servers and of clients.

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, CertifiedKey, DnType, IsCa, KeyPair,
};
use rustls::pki_types::CertificateDer;

use crate::TempDir;

/// See the [module](self).
pub struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
}

impl Authority {
    /// An authority of this name, with a key of its own.
    #[must_use]
    pub fn new(name: &str) -> Self {
        let mut params = CertificateParams::new(Vec::new()).expect("no names");
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("a key");
        Self { issuer: CertifiedIssuer::self_signed(params, key).expect("a certificate") }
    }

    /// Its own certificate.
    #[must_use]
    pub fn certificate(&self) -> &CertificateDer<'static> {
        self.issuer.der()
    }

    /// A certificate for this machine, by the name `localhost`, and its key.
    #[must_use]
    pub fn issue(&self) -> CertifiedKey<KeyPair> {
        let signing_key = KeyPair::generate().expect("a key");
        let params = CertificateParams::new(["localhost".to_owned()]).expect("a name");
        let cert = params.signed_by(&signing_key, &self.issuer).expect("a certificate");
        CertifiedKey { cert, signing_key }
    }

    /// A folder as Docker's command reads it: `cert.pem` and `key.pem` of a client of this
    /// authority, and in `ca.pem` the authority whose servers the client trusts.
    #[must_use]
    pub fn client_folder(&self, trusted: &Authority) -> TempDir {
        let folder = TempDir::new();
        let CertifiedKey { cert, signing_key } = self.issue();
        for (file, text) in [
            ("ca.pem", trusted.issuer.pem()),
            ("cert.pem", cert.pem()),
            ("key.pem", signing_key.serialize_pem()),
        ] {
            std::fs::write(folder.path().join(file), text).expect("the folder exists");
        }
        folder
    }
}
