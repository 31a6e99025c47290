//! What ends TLS in front of a parent, as a load balancer does.

use std::net::SocketAddr;
use std::sync::Arc;

use rcgen::{CertifiedKey, generate_simple_self_signed};
use rustls::crypto::aws_lc_rs as provider;
use rustls::pki_types::PrivatePkcs8KeyDer;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;

/// A running front; dropped, it takes no more connections.
#[derive(Debug)]
pub struct Front {
    address: SocketAddr,
    certificate: String,
    task: JoinHandle<()>,
}

impl Drop for Front {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Front {
    /// A front of a listener, as `localhost`, with a certificate of its own.
    pub async fn start(to: SocketAddr) -> Self {
        let CertifiedKey { cert, signing_key } =
            generate_simple_self_signed(vec!["localhost".to_owned()]).expect("a certificate");
        let key = PrivatePkcs8KeyDer::from(signing_key.serialize_der());
        let config =
            rustls::ServerConfig::builder_with_provider(Arc::new(provider::default_provider()))
                .with_safe_default_protocol_versions()
                .expect("versions")
                .with_no_client_auth()
                .with_single_cert(vec![cert.der().clone()], key.into())
                .expect("the key is the certificate's");
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port for the front");
        let address = listener.local_addr().expect("it is bound");
        let task = tokio::spawn(async move {
            while let Ok((near, _)) = listener.accept().await {
                tokio::spawn(carry(acceptor.clone(), near, to));
            }
        });
        Self { address, certificate: cert.pem(), task }
    }

    /// What runners dial.
    #[must_use]
    pub fn url(&self) -> String {
        format!("wss://localhost:{}", self.address.port())
    }

    /// The certificate that they have to trust, as PEM.
    #[must_use]
    pub fn certificate(&self) -> &str {
        &self.certificate
    }
}

async fn carry(acceptor: TlsAcceptor, near: TcpStream, to: SocketAddr) {
    // Whoever does not trust it, or goes, is seen by the runner.
    if let Ok(mut near) = acceptor.accept(near).await
        && let Ok(mut far) = TcpStream::connect(to).await
    {
        let _ = tokio::io::copy_bidirectional(&mut near, &mut far).await;
    }
}
