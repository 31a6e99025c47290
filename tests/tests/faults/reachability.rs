//! Parents behind a proxy that terminates TLS, and parents that runners can't reach.

use std::time::Duration;

use flame_aws::backend::Process;
use flame_aws::{CallError, Pool};
use flame_tests::process::{drains_cleanly, pids};
use flame_tests::proxy::at_free_address;
use flame_tests::tls_proxy::TlsProxy;
use flame_tests::{TempDir, Test, demo, process_pool, tests};

pub(crate) fn tests() -> Vec<Test> {
    tests![
        runners_connect_through_a_tls_proxy,
        runners_reject_an_untrusted_tls_proxy,
        a_runner_that_cannot_reach_its_parent_says_why,
    ]
}

/// Starts a pool whose runners connect through a TLS proxy. `trusted` returns the certificate that
/// the runners trust from now on.
async fn pool_behind_tls_proxy(
    folder: &TempDir,
    trusted: fn(&TlsProxy) -> Option<String>,
) -> (Pool, TlsProxy) {
    at_free_address(|address| {
        let file = folder.path().join("trusted.pem");
        let backend = Process::new().env("SSL_CERT_FILE", &file);
        let pool = process_pool("test").max(1).backend(backend).boot_timeout(BOOT_TIMEOUT);
        async move {
            let proxy = TlsProxy::start(address).await;
            if let Some(trusted) = trusted(&proxy) {
                std::fs::write(&file, trusted).unwrap();
            }
            Ok((pool.listen(address).advertise(proxy.url()).start().await?, proxy))
        }
    })
    .await
}

/// Longer than a runner waits before it logs why it can't connect.
const BOOT_TIMEOUT: Duration = Duration::from_secs(3);

async fn runners_connect_through_a_tls_proxy() {
    let folder = TempDir::new();
    let (pool, _proxy) =
        pool_behind_tls_proxy(&folder, |proxy| Some(proxy.certificate().to_owned())).await;
    let blob = demo::bytes(1 << 20);
    assert_eq!(pool.call(demo::echo(blob.clone())).await.unwrap(), blob);
    let pids = pids(&pool);
    drains_cleanly(&pool, &pids).await;
}

async fn runners_reject_an_untrusted_tls_proxy() {
    let folder = TempDir::new();
    let (other, _) =
        pool_behind_tls_proxy(&folder, |proxy| Some(proxy.certificate().to_owned())).await;
    other.drain().await;
    // Runners still trust only the first proxy's certificate.
    let (pool, _proxy) = pool_behind_tls_proxy(&folder, |_| None).await;
    let failed = pool.call(demo::double(1)).await.unwrap_err();
    let CallError::BootFailed(failure) = failed else { panic!("{failed}") };
    let log = failure.log_tail.join("\n");
    assert!(
        log.contains("the TLS handshake with the server at") && log.contains("certificate"),
        "{failure}"
    );
    pool.drain().await;
}

async fn a_runner_that_cannot_reach_its_parent_says_why() {
    let closed = std::net::TcpListener::bind("127.0.0.3:0").unwrap().local_addr().unwrap();
    let pool = process_pool("test").boot_timeout(BOOT_TIMEOUT).advertise(format!("ws://{closed}"));
    let pool = pool.start().await.unwrap();
    let failed = pool.call(demo::double(1)).await.unwrap_err();
    let CallError::BootFailed(failure) = failed else { panic!("{failed}") };
    assert!(failure.reason.contains("within the boot timeout of 3s"), "{failure}");
    let log = failure.log_tail.join("\n");
    assert!(log.contains(&closed.to_string()) && log.contains("refused"), "{failure}");
    drains_cleanly(&pool, &[]).await;
}
