//! A proxy that terminates TLS in front of a parent, as a load balancer does, or in front of another
//! server.

use std::net::SocketAddr;
use std::sync::Arc;

use rcgen::{CertifiedKey, KeyPair, generate_simple_self_signed};
use rustls::crypto::aws_lc_rs as provider;
use rustls::pki_types::PrivatePkcs8KeyDer;
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;

use crate::authority::Authority;

/// A running proxy. It accepts connections until it is dropped.
#[derive(Debug)]
pub struct TlsProxy {
    address: SocketAddr,
    certificate: String,
    task: JoinHandle<()>,
}

impl Drop for TlsProxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl TlsProxy {
    /// Starts a proxy in front of the listener at `to`, with a self-signed certificate for
    /// `localhost`.
    pub async fn start(to: SocketAddr) -> Self {
        let own = generate_simple_self_signed(vec!["localhost".to_owned()]);
        Self::serve(own.expect("a certificate"), WebPkiClientVerifier::no_client_auth(), to).await
    }

    /// Starts a proxy with a certificate of this authority, which admits only clients that have one
    /// as well.
    pub async fn with_authority(authority: &Authority, to: SocketAddr) -> Self {
        let mut roots = rustls::RootCertStore::empty();
        roots.add(authority.certificate().clone()).expect("it is a certificate");
        let provider = Arc::new(provider::default_provider());
        let clients = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
        Self::serve(authority.issue(), clients.build().expect("there is a root"), to).await
    }

    async fn serve(
        own: CertifiedKey<KeyPair>,
        clients: Arc<dyn ClientCertVerifier>,
        to: SocketAddr,
    ) -> Self {
        let CertifiedKey { cert, signing_key } = own;
        let key = PrivatePkcs8KeyDer::from(signing_key.serialize_der());
        let config =
            rustls::ServerConfig::builder_with_provider(Arc::new(provider::default_provider()))
                .with_safe_default_protocol_versions()
                .expect("the provider supports the default versions")
                .with_client_cert_verifier(clients)
                .with_single_cert(vec![cert.der().clone()], key.into())
                .expect("the key is the certificate's");
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port for the proxy");
        let address = listener.local_addr().expect("the listener is bound");
        let task = tokio::spawn(async move {
            while let Ok((runner, _)) = listener.accept().await {
                tokio::spawn(forward(acceptor.clone(), runner, to));
            }
        });
        Self { address, certificate: cert.pem(), task }
    }

    /// The URL at which runners reach the proxy.
    #[must_use]
    pub fn url(&self) -> String {
        format!("wss://localhost:{}", self.address.port())
    }

    /// The proxy's certificate as PEM. Runners have to trust it.
    #[must_use]
    pub fn certificate(&self) -> &str {
        &self.certificate
    }
}

async fn forward(acceptor: TlsAcceptor, runner: TcpStream, to: SocketAddr) {
    // The runner sees every failure, so the proxy need not report it.
    if let Ok(mut runner) = acceptor.accept(runner).await
        && let Ok(mut parent) = TcpStream::connect(to).await
    {
        let _ = tokio::io::copy_bidirectional(&mut runner, &mut parent).await;
    }
}
