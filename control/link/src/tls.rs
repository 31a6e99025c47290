//! TLS 1.3 inside the WebSocket, with the parent's key pinned.
//!
//! The parent generates a key and a certificate when it starts. FLAME_PARENT carries the SHA-256 of
//! the certificate, and a runner accepts no other. So neither a relay nor an attacker on the
//! network can read or forge messages or impersonate the parent, and no one has to manage
//! certificates.

use std::io;
use std::sync::Arc;

use flame_wire::parent::Fingerprint;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs as provider};
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer, ServerName, UnixTime};
use rustls::server::Acceptor;
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, ServerConfig, SignatureScheme, version,
};
use tokio_rustls::{LazyConfigAcceptor, TlsConnector, client, server};

use crate::io::Io;
use crate::network;

mod handshakes;

use handshakes::{HandshakeThread, PATIENCE};

/// The parent's key could not be generated.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TlsError {
    /// The key or its certificate could not be generated.
    #[error("the parent's key and certificate could not be generated")]
    Certificate(#[from] rcgen::Error),
    /// The TLS library rejected the configuration.
    #[error("TLS 1.3 could not be configured")]
    Config(#[from] rustls::Error),
    /// The thread that computes handshakes could not be started.
    #[error("the thread for TLS handshakes could not be started")]
    Thread(#[source] io::Error),
}

/// The parent's key. It is generated when the parent starts, and never leaves its memory.
#[derive(Clone)]
pub struct ServerKey {
    config: Arc<ServerConfig>,
    fingerprint: Fingerprint,
    handshakes: Arc<HandshakeThread>,
}

impl std::fmt::Debug for ServerKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ServerKey").field("fingerprint", &self.fingerprint).finish_non_exhaustive()
    }
}

impl ServerKey {
    /// Generates a key (ECDSA P-256) and a self-signed certificate.
    ///
    /// # Errors
    /// [`TlsError`] if the system provides no randomness.
    pub fn generate() -> Result<Self, TlsError> {
        let made = rcgen::generate_simple_self_signed(vec!["flame.invalid".to_owned()])?;
        let certificate = made.cert.der().clone();
        let fingerprint = Fingerprint::of(&certificate);
        let key = PrivatePkcs8KeyDer::from(made.signing_key.serialize_der());
        let mut config =
            ServerConfig::builder_with_provider(Arc::new(provider::default_provider()))
                .with_protocol_versions(&[&version::TLS13])?
                .with_no_client_auth()
                .with_single_cert(vec![certificate], key.into())?;
        // A runner reconnects only after its socket has broken: tickets would cost more than they
        // save.
        config.send_tls13_tickets = 0;
        let handshakes = HandshakeThread::start(PATIENCE).map_err(TlsError::Thread)?;
        Ok(Self { config: Arc::new(config), fingerprint, handshakes: Arc::new(handshakes) })
    }

    /// The fingerprint that runners must expect.
    #[must_use]
    pub fn fingerprint(&self) -> Fingerprint {
        self.fingerprint
    }

    /// Does the parent's part of the handshake.
    pub(crate) async fn accept(&self, socket: Io) -> io::Result<server::TlsStream<Io>> {
        let hello = LazyConfigAcceptor::new(Acceptor::default(), socket).await?;
        let config = self.config.clone();
        let compute = move || {
            // What has arrived together with the hello is read here, since nothing else would read
            // it before more arrives.
            let mut read = Ok(());
            let answer =
                hello.into_stream_with(config, |tls| read = tls.process_new_packets().map(drop));
            read.map(|()| answer).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
        };
        let answer = if network::is_simulated() {
            // A simulation replays exactly, so it has a single thread.
            compute()
        } else {
            self.handshakes.compute(compute).await?
        };
        answer?.await
    }
}

pub(crate) async fn connect(
    socket: Io,
    expected: Fingerprint,
) -> io::Result<client::TlsStream<Io>> {
    let provider = Arc::new(provider::default_provider());
    let verifier = Arc::new(PinnedCertificate { expected, provider: provider.clone() });
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&version::TLS13])
        .map_err(io::Error::other)?
        .dangerous()
        .with_custom_certificate_verifier(verifier)
        .with_no_client_auth();
    config.enable_sni = false;
    config.resumption = rustls::client::Resumption::disabled();
    let name = ServerName::try_from("flame.invalid").map_err(io::Error::other)?;
    TlsConnector::from(Arc::new(config)).connect(name, socket).await
}

/// Accepts only the certificate that FLAME_PARENT names. The name and the dates in the certificate
/// are ignored; the peer still has to prove that it holds the certificate's key.
#[derive(Debug)]
struct PinnedCertificate {
    expected: Fingerprint,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for PinnedCertificate {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        if Fingerprint::of(end_entity) == self.expected {
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
        Err(rustls::Error::General("links use TLS 1.3 only".to_owned()))
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

#[cfg(test)]
mod tests;
