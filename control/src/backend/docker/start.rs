//! The start of a pool on Docker: finds the engine, checks all settings with it, and starts the
//! monitor and the sweeper.

use std::net::IpAddr;

use super::builder::DockerBuilder;
use super::endpoint::Endpoint;
use super::engine::Engine;
use super::instances::DockerInstances;
use super::monitor::Monitor;
use super::network::{OwnContainer, ParentAddress, RunnerNetwork};
use super::own;
use super::pull::{self, PullPolicy};
use super::sweeper::Containers;
use super::template::{Template, problems};
use crate::backend::owner::Owner;
use crate::backend::place::Place;
use crate::backend::reach::{is_loopback, is_unspecified};
use crate::backend::sweep::{PARENT_TAG, POOL_TAG, Sweeping};
use crate::backend::sweeper::Sweeper;
use crate::backend::times::{max_age, request_limit};
use crate::backend::{BackendError, PoolInfo};

const IMAGE_ENV: &str = "FLAME_DOCKER_IMAGE";
const NETWORK_ENV: &str = "FLAME_DOCKER_NETWORK";

/// The engine, and where this process stands beside it.
struct Surroundings {
    engine: Engine,
    own: Option<OwnContainer>,
    network: RunnerNetwork,
}

impl Surroundings {
    async fn explore(builder: &DockerBuilder) -> Result<Self, BackendError> {
        let (host, certificates) = (builder.host.as_deref(), builder.certificates.clone());
        let endpoint = Endpoint::resolve(host, certificates, |name| std::env::var(name).ok());
        let endpoint = endpoint.map_err(BackendError::new)?;
        let connecting = format!("connecting to the Docker engine at {}", endpoint.url);
        let engine = Engine::connect(&endpoint).await;
        let engine = engine.map_err(|error| error.into_backend_error(&connecting))?;
        let own = match own::container_id() {
            Some(id) => engine.own_container(&id).await.map_err(|error| {
                error.into_backend_error("looking for the container of this process")
            })?,
            None => None,
        };
        let wanted = builder.network.clone().or_else(|| variable(NETWORK_ENV));
        let network = RunnerNetwork::choose(wanted.as_deref(), own.as_ref(), engine.is_local());
        Ok(Self { engine, own, network })
    }
}

/// An environment variable that is set and not empty.
fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// The address at which runners reach this process. `None` if it is unknown, or if the engine does
/// not answer, which the start reports.
pub(super) async fn address(builder: &DockerBuilder) -> Option<IpAddr> {
    let Surroundings { engine, network, .. } = Surroundings::explore(builder).await.ok()?;
    match network.parent {
        ParentAddress::Known(address) => Some(address),
        ParentAddress::Gateway => engine.network(network.name()?).await.ok()??,
        ParentAddress::Unknown => None,
    }
}

pub(super) async fn start(
    builder: &DockerBuilder,
    pool: PoolInfo,
) -> Result<DockerInstances, BackendError> {
    let mut size_problems = Vec::new();
    let builder = &builder.sized(&pool.size, &mut size_problems);
    let mut problems = problems(builder);
    problems.append(&mut size_problems);
    let Surroundings { engine, own, network } = Surroundings::explore(builder).await?;
    let machine = engine.machine().await;
    let machine = machine.map_err(|error| error.into_backend_error("asking for its size"))?;
    if let Some(excess) = pool.size.excess(&machine) {
        problems.push(format!(
            "the pool's `size` is larger than the engine's machine ({excess}): lower it, or use a \
             larger machine"
        ));
    }
    problems.extend(check_addresses(&pool, &network).err());
    if let Some(name) = network.name() {
        let found = engine.network(name).await;
        let found = found.map_err(|error| error.into_backend_error("looking for the network"))?;
        if found.is_none() {
            problems.push(format!(
                "the engine has no network `{name}`: create it with `docker network create \
                 {name}`, or correct `.network(..)` or {NETWORK_ENV}"
            ));
        }
    }
    let image = builder.image.clone().or_else(|| variable(IMAGE_ENV));
    let (image, policy) = match (image, &own) {
        (Some(image), _) => (image, builder.pull),
        // The engine runs a container of it, so it is there.
        (None, Some(own)) => (own.image.clone(), PullPolicy::Never),
        (None, None) => {
            problems.push(format!(
                "`image` is missing, and this process runs in no container of this engine: set \
                 `.image(..)` or {IMAGE_ENV}"
            ));
            (String::new(), PullPolicy::Never)
        }
    };
    if !problems.is_empty() {
        return Err(BackendError::new(problems.join("; ")));
    }
    ensure_image(&engine, builder, &pool, &image, policy).await?;

    let me = Place::of_this_process(own.map(|own| own.id));
    let owner = Owner::new(&pool, &me)?;
    let template = Template::new(builder, image, network.mode, pool.shutdown_timeout);
    let of_parent = format!("{PARENT_TAG}={}", owner.parent);
    let monitor = Monitor::new(engine, pool.clone(), of_parent);
    let mut background = vec![tokio::spawn(monitor.clone().keep_watching())];
    let (boot_limit, max_age) = (request_limit(pool.boot_timeout), max_age(&pool));
    if let Sweeping::Every { interval, age } = builder.sweep {
        let of_pool = format!("{POOL_TAG}={}", owner.pool);
        let containers = Containers { monitor: monitor.clone(), label: of_pool };
        let sweeper = Sweeper::new(containers, pool, &owner, me, (interval, age));
        background.push(tokio::spawn(sweeper.keep_sweeping()));
    }
    Ok(DockerInstances { template, owner, monitor, boot_limit, max_age, background })
}

/// Makes sure that the engine has the image.
async fn ensure_image(
    engine: &Engine,
    builder: &DockerBuilder,
    pool: &PoolInfo,
    image: &str,
    policy: PullPolicy,
) -> Result<(), BackendError> {
    let failed = |step: &str| format!("{step} the image {image}");
    // No registry knows an image by its id.
    let policy = if image.starts_with("sha256:") { PullPolicy::Never } else { policy };
    if policy != PullPolicy::Always {
        let found = engine.has_image(image).await;
        if found.map_err(|error| error.into_backend_error(&failed("looking for")))? {
            return Ok(());
        }
        if policy == PullPolicy::Never {
            return Err(BackendError::new(format!(
                "the engine has no image {image}, and is told never to pull it: build or pull it \
                 there, or set `.pull(..)`"
            )));
        }
    }
    let pulled = pull::pull(engine, &pool.name, image, builder.credentials.clone()).await;
    pulled.map_err(|error| error.into_backend_error(&failed("pulling")))
}

/// Rejects a pool of which one address can't be reached from a container: a runner that connects to
/// 127.0.0.1 connects to itself, unless it shares its parent's network.
fn check_addresses(pool: &PoolInfo, network: &RunnerNetwork) -> Result<(), String> {
    let is_out_of_reach = |address: &&String| {
        is_unspecified(address) || (is_loopback(address) && !network.is_shared())
    };
    let Some(address) = pool.addresses.iter().find(is_out_of_reach) else { return Ok(()) };
    if pool.has_relay {
        return Err(format!(
            "the pool's relay is at {address}, which no container can reach: give `.relay(..)`, or \
             FLAME_RELAY_URL, an address that this process and the containers can both reach"
        ));
    }
    Err(format!(
        "the pool's address is {address}, which no container can reach: let the pool \
         `.listen(..)` on 0.0.0.0, which finds the address if the engine is on this machine; for \
         another engine, also set `.advertise(\"ws://<address of this machine>:<port>\")`, or let \
         both sides connect to a relay: `.relay(..)`"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::tests::pool_info;

    fn pool(address: &str, has_relay: bool) -> PoolInfo {
        PoolInfo { addresses: vec![address.to_owned()], has_relay, ..pool_info() }
    }

    #[test]
    fn an_address_that_no_container_can_reach_is_rejected_with_advice() {
        let bridge = RunnerNetwork::choose(None, None, true);
        let host = RunnerNetwork::choose(Some("host"), None, true);
        let check = |address, network| check_addresses(&pool(address, false), network);
        assert_eq!(check("ws://172.17.0.1:4100", &bridge), Ok(()));
        assert_eq!(check("ws://127.0.0.1:4100", &host), Ok(()));
        assert!(check("ws://127.0.0.1:4100", &bridge).unwrap_err().contains(".listen("));
        let nowhere = check("ws://0.0.0.0:4100", &host).unwrap_err();
        assert!(nowhere.contains(".advertise("), "{nowhere}");
        let relay = check_addresses(&pool("ws://127.0.0.1:4100", true), &bridge).unwrap_err();
        assert!(relay.contains("the pool's relay") && !relay.contains(".listen("), "{relay}");
    }
}
