use std::time::Duration;

use flame_wire::sync::Mutex;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

use super::*;
use crate::io::in_memory;

/// Finds no certificate, and keeps the name of the thread that looks for one.
#[derive(Debug, Default)]
struct NamesThread(Mutex<Option<String>>);

impl ResolvesServerCert for NamesThread {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        *self.0.lock() = std::thread::current().name().map(str::to_owned);
        None
    }
}

#[tokio::test]
async fn the_arithmetic_of_a_handshake_has_its_own_thread() {
    let resolver = Arc::new(NamesThread::default());
    let builder = ServerConfig::builder_with_provider(Arc::new(provider::default_provider()))
        .with_protocol_versions(&[&version::TLS13])
        .unwrap();
    let config = builder.with_no_client_auth().with_cert_resolver(resolver.clone());
    let key = ServerKey {
        config: Arc::new(config),
        handshakes: Arc::new(HandshakeThread::start(Duration::from_secs(60)).unwrap()),
        ..ServerKey::generate().unwrap()
    };
    let (parent, runner) = in_memory();
    let connecting = tokio::spawn(connect(runner, key.fingerprint()));
    assert!(key.accept(parent).await.is_err(), "there is no certificate");
    assert!(connecting.await.unwrap().is_err());
    assert_eq!(resolver.0.lock().as_deref(), Some("flame-handshake"));
}
