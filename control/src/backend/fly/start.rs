//! The start of a pool on Fly: checks all settings, asks the API for the app, and starts the
//! sweeper.

use super::api::Api;
use super::builder::FlyBuilder;
use super::guest;
use super::instances::FlyInstances;
use super::monitor::Monitor;
use super::settings::{self, Settings, check_addresses};
use super::sweeper::{Sweeper, place_of};
use super::template::{Owner, Template, key, problems};
use crate::backend::place::Place;
use crate::backend::sweep::{PARENT_TAG, Sweeping, new_parent_id};
use crate::backend::{BackendError, PoolInfo};

pub(super) async fn start(
    builder: &FlyBuilder,
    pool: PoolInfo,
) -> Result<FlyInstances, BackendError> {
    let mut problems_found = Vec::new();
    let builder = &builder.sized(&pool.size, &mut problems_found);
    problems_found.extend(guest::problems(builder));
    problems_found.extend(problems(builder));
    let settings = match Settings::resolve(builder, settings::variable) {
        Ok(settings) => Some(settings),
        Err(problems) => {
            problems_found.extend(problems);
            None
        }
    };
    if let Some(settings) = &settings {
        problems_found.extend(check_addresses(&pool, &settings.host).err());
    }
    let Some(settings) = settings.filter(|_| problems_found.is_empty()) else {
        return Err(BackendError::new(problems_found.join("; ")));
    };
    let own_machine = settings::own_machine(settings::variable);
    let me = Place::of_this_process(own_machine.map(|(app, id)| place_of(&app, &id)));
    let owner = Owner { pool: pool.name.clone(), parent: new_parent_id()?, place: me.encode() };
    let api = Api::new(&settings)?;
    // No machine is of this parent yet: the answer shows that app and token are right.
    let listed = api.list(&key(PARENT_TAG), &owner.parent).await;
    listed.map_err(|error| {
        error.into_backend_error(&format!("listing the machines of the app {}", settings.app))
    })?;
    let Settings { app, image, region, .. } = settings;
    let template = Template::new(builder, image, region, pool.shutdown_timeout);
    let monitor = Monitor::new(api);
    let boot_timeout = pool.boot_timeout;
    let max_age = pool.max_lifetime.map(|lifetime| boot_timeout + lifetime + pool.shutdown_timeout);
    let sweeping = match builder.sweep {
        Sweeping::Every { interval, age } => {
            let sweeper = Sweeper::new(monitor.clone(), pool, app, &owner, me, (interval, age));
            Some(tokio::spawn(sweeper.keep_sweeping()))
        }
        Sweeping::Never => None,
    };
    Ok(FlyInstances { template, owner, monitor, boot_timeout, max_age, sweeping })
}
