//! Parents that are reached through something that ends TLS, and parents that are not reached.

use std::time::Duration;

use flame_aws::backend::Process;
use flame_aws::{CallError, Pool};
use flame_tests::front::Front;
use flame_tests::process::{ends_clean, pids};
use flame_tests::proxy::at_free_address;
use flame_tests::{Folder, Test, demo, process_pool, tests};

pub(crate) fn tests() -> Vec<Test> {
    tests![
        runners_dial_through_a_front_that_ends_tls,
        a_front_that_is_not_trusted_is_not_dialled_through,
        a_runner_that_cannot_reach_its_parent_says_why,
    ]
}

/// A pool whose runners dial through a front, and trust the certificate that is given last.
async fn pool_behind(folder: &Folder, trusted: fn(&Front) -> Option<String>) -> (Pool, Front) {
    at_free_address(|address| {
        let file = folder.path().join("trusted.pem");
        let backend = Process::new().env("SSL_CERT_FILE", &file);
        let pool = process_pool("test").max(1).backend(backend).boot_timeout(PATIENCE);
        async move {
            let front = Front::start(address).await;
            if let Some(trusted) = trusted(&front) {
                std::fs::write(&file, trusted).unwrap();
            }
            Ok((pool.listen(address).advertise(front.url()).start().await?, front))
        }
    })
    .await
}

/// More than a runner waits before it complains.
const PATIENCE: Duration = Duration::from_secs(3);

async fn runners_dial_through_a_front_that_ends_tls() {
    let folder = Folder::new();
    let (pool, _front) = pool_behind(&folder, |front| Some(front.certificate().to_owned())).await;
    let blob = demo::bytes(1 << 20);
    assert_eq!(pool.call(demo::echo(blob.clone())).await.unwrap(), blob);
    let pids = pids(&pool);
    ends_clean(&pool, &pids).await;
}

async fn a_front_that_is_not_trusted_is_not_dialled_through() {
    let folder = Folder::new();
    let (other, _) = pool_behind(&folder, |front| Some(front.certificate().to_owned())).await;
    other.drain().await;
    // Runners go on to trust the other.
    let (pool, _front) = pool_behind(&folder, |_| None).await;
    let failed = pool.call(demo::double(1)).await.unwrap_err();
    let CallError::BootFailed(failure) = failed else { panic!("{failed}") };
    let said = failure.log_tail.join("\n");
    assert!(
        said.contains("the TLS handshake with the server at") && said.contains("certificate"),
        "{failure}"
    );
    pool.drain().await;
}

async fn a_runner_that_cannot_reach_its_parent_says_why() {
    let nobody = std::net::TcpListener::bind("127.0.0.3:0").unwrap().local_addr().unwrap();
    let pool = process_pool("test").boot_timeout(PATIENCE).advertise(format!("ws://{nobody}"));
    let pool = pool.start().await.unwrap();
    let failed = pool.call(demo::double(1)).await.unwrap_err();
    let CallError::BootFailed(failure) = failed else { panic!("{failed}") };
    assert!(failure.reason.contains("within the boot timeout of 3s"), "{failure}");
    let said = failure.log_tail.join("\n");
    assert!(said.contains(&nobody.to_string()) && said.contains("refused"), "{failure}");
    ends_clean(&pool, &[]).await;
}
