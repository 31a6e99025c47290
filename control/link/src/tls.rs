//! TLS 1.3 inside the WebSocket, with the parent's key pinned.
//!
//! The parent makes a key and a certificate at start; FLAME_PARENT carries the SHA-256 of the
//! certificate, and a runner takes no other. So neither a relay nor a stranger on the network can
//! read, forge or impersonate, and nobody manages certificates.

use std::sync::Arc;

use aws_lc_rs::digest;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs as provider};
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer, ServerName, UnixTime};
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, ServerConfig, SignatureScheme, version,
};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::{TlsAcceptor, TlsConnector, client, server};

use flame_wire::parent::Fingerprint;

/// The parent's key could not be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TlsError {
    /// The certificate could not be made.
    #[error("the parent's key and certificate could not be made")]
    Certificate(#[from] rcgen::Error),
    /// The TLS library refuses the configuration.
    #[error("TLS 1.3 could not be set up")]
    Config(#[from] rustls::Error),
}

/// The parent's key, made at start and kept in memory alone.
#[derive(Clone)]
pub struct ServerKey {
    config: Arc<ServerConfig>,
    fingerprint: Fingerprint,
}

impl std::fmt::Debug for ServerKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ServerKey").field("fingerprint", &self.fingerprint).finish_non_exhaustive()
    }
}

impl ServerKey {
    /// A new key (ECDSA P-256) with a self-signed certificate.
    ///
    /// # Errors
    /// [`TlsError`]: only where the system gives no randomness.
    pub fn generate() -> Result<Self, TlsError> {
        let made = rcgen::generate_simple_self_signed(vec!["flame.invalid".to_owned()])?;
        let certificate = made.cert.der().clone();
        let fingerprint = fingerprint(&certificate);
        let key = PrivatePkcs8KeyDer::from(made.signing_key.serialize_der());
        let mut config =
            ServerConfig::builder_with_provider(Arc::new(provider::default_provider()))
                .with_protocol_versions(&[&version::TLS13])?
                .with_no_client_auth()
                .with_single_cert(vec![certificate], key.into())?;
        // A runner dials once, and again only after a cut: tickets would cost more than they save.
        config.send_tls13_tickets = 0;
        Ok(Self { config: Arc::new(config), fingerprint })
    }

    /// What runners are told to expect.
    #[must_use]
    pub fn fingerprint(&self) -> Fingerprint {
        self.fingerprint
    }

    pub(crate) async fn accept<S: AsyncRead + AsyncWrite + Unpin>(
        &self,
        socket: S,
    ) -> std::io::Result<server::TlsStream<S>> {
        TlsAcceptor::from(self.config.clone()).accept(socket).await
    }
}

pub(crate) async fn connect<S: AsyncRead + AsyncWrite + Unpin>(
    socket: S,
    expected: Fingerprint,
) -> std::io::Result<client::TlsStream<S>> {
    let provider = Arc::new(provider::default_provider());
    let verifier = Arc::new(Pinned { expected, provider: provider.clone() });
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&version::TLS13])
        .map_err(std::io::Error::other)?
        .dangerous()
        .with_custom_certificate_verifier(verifier)
        .with_no_client_auth();
    config.enable_sni = false;
    config.resumption = rustls::client::Resumption::disabled();
    let name = ServerName::try_from("flame.invalid").map_err(std::io::Error::other)?;
    TlsConnector::from(Arc::new(config)).connect(name, socket).await
}

fn fingerprint(certificate: &CertificateDer<'_>) -> Fingerprint {
    let mut bytes = [0; 32];
    bytes.copy_from_slice(digest::digest(&digest::SHA256, certificate).as_ref());
    Fingerprint(bytes)
}

/// Takes the one certificate that FLAME_PARENT names. Its name and its dates say nothing; that
/// the peer holds its key is checked as ever.
#[derive(Debug)]
struct Pinned {
    expected: Fingerprint,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Pinned {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        if fingerprint(end_entity) == self.expected {
            Ok(ServerCertVerified::assertion())
        } else {
            Err(CertificateError::ApplicationVerificationFailure.into())
        }
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Err(rustls::Error::General("only TLS 1.3 is spoken on a link".to_owned()))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, certificate, signed, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
