//! The start of a pool on Fly: checks all settings, asks the API for the app, and starts the
//! sweeper.

use super::api::Api;
use super::builder::FlyBuilder;
use super::guest;
use super::instances::FlyInstances;
use super::monitor::Monitor;
use super::settings::{self, Settings, check_addresses};
use super::sweeper::{Machines, place_of};
use super::template::{Template, key, problems};
use crate::backend::owner::Owner;
use crate::backend::place::Place;
use crate::backend::sweep::{PARENT_TAG, Sweeping};
use crate::backend::sweeper::Sweeper;
use crate::backend::times::{max_age, request_limit};
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
    let owner = Owner::new(&pool, &me)?;
    let api = Api::new(&settings)?;
    // No machine is of this parent yet: the answer shows that app and token are right.
    let listed = api.list(&key(PARENT_TAG), &owner.parent).await;
    listed.map_err(|error| {
        error.into_backend_error(&format!("listing the machines of the app {}", settings.app))
    })?;
    let Settings { app, image, region, .. } = settings;
    let template = Template::new(builder, image, region, pool.shutdown_timeout);
    let monitor = Monitor::new(api);
    let (boot_limit, max_age) = (request_limit(pool.boot_timeout), max_age(&pool));
    let sweeping = match builder.sweep {
        Sweeping::Every { interval, age } => {
            let machines = Machines { monitor: monitor.clone(), app, pool: pool.name.clone() };
            let sweeper = Sweeper::new(machines, pool, &owner, me, (interval, age));
            Some(tokio::spawn(sweeper.keep_sweeping()))
        }
        Sweeping::Never => None,
    };
    Ok(FlyInstances { template, owner, monitor, boot_limit, max_age, sweeping })
}
