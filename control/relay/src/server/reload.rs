//! Looks every few seconds whether the files with keys and certificates have changed.

use std::sync::Arc;
use std::time::Duration;

use flame_wire::error::Chain;

use super::shared::Shared;

/// How often the files are looked at.
const INTERVAL: Duration = Duration::from_secs(2);

pub(super) async fn run(shared: Arc<Shared>) {
    let mut key_file = shared.config.key_file.clone();
    loop {
        tokio::time::sleep(INTERVAL).await;
        shared.metrics.run_upkeep();
        if let Some(file) = &mut key_file {
            match file.changed() {
                Ok(None) => {}
                Ok(Some(keys)) => {
                    let revoked = shared.keys.write().replace(&keys);
                    tracing::info!(revoked = revoked.len(), "read the file with the keys again");
                    shared.keys_replaced(&revoked);
                }
                Err(error) => {
                    let error = Chain(&error);
                    tracing::error!(%error, "the changed file with the keys is not used");
                }
            }
        }
        if let Some(tls) = &shared.tls {
            match tls.reload() {
                Ok(false) => {}
                Ok(true) => tracing::info!("read the certificate again"),
                Err(error) => {
                    let error = Chain(&error);
                    tracing::error!(%error, "the changed certificate is not used");
                }
            }
        }
    }
}
