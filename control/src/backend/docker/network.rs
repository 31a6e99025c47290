//! On which network a runner is started, and at which address it finds its parent there.
//!
//! | the parent | `network` | the runner's network | the parent's address |
//! |---|---|---|---|
//! | in a container | not set | the first network of that container | the container's there |
//! | in a container without networks | not set | that container's | loopback |
//! | in a container on the machine's network, or on the machine | `host` | the machine's | loopback |
//! | in a container of the network N | N | N | the container's there |
//! | on the engine's machine | not set, or N | the engine's default, or N | the network's gateway |
//! | elsewhere | not set, or N | the engine's default, or N | unknown |

use std::net::{IpAddr, Ipv4Addr};

/// The network that containers get without an option, with Docker and with podman.
pub(super) const DEFAULT: &str = "bridge";
const HOST: &str = "host";

/// The container that this process runs in, as the engine describes it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct OwnContainer {
    pub(super) id: String,
    /// The id of its image.
    pub(super) image: String,
    /// `bridge`, `host`, `none`, a network's name, or `container:` and an id.
    pub(super) mode: String,
    /// Its networks by name, with its address in each.
    pub(super) networks: Vec<(String, Option<IpAddr>)>,
}

/// The network of the runners.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct RunnerNetwork {
    /// Docker's `NetworkMode`.
    pub(super) mode: String,
    pub(super) parent: ParentAddress,
}

/// Where runners find their parent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ParentAddress {
    Known(IpAddr),
    /// At the gateway of the runners' network.
    Gateway,
    Unknown,
}

impl RunnerNetwork {
    /// `engine_is_local` says whether the engine runs on the machine of this process.
    pub(super) fn choose(
        wanted: Option<&str>,
        own: Option<&OwnContainer>,
        engine_is_local: bool,
    ) -> Self {
        let shared = |mode: String| Self { mode, parent: ParentAddress::Known(LOOPBACK) };
        match (wanted, own) {
            (Some(HOST), own) if own.is_none_or(|own| own.mode == HOST) => {
                let parent = match engine_is_local {
                    true => ParentAddress::Known(LOOPBACK),
                    false => ParentAddress::Unknown,
                };
                Self { mode: HOST.to_owned(), parent }
            }
            (None, Some(own)) if own.mode == HOST => shared(HOST.to_owned()),
            (None, Some(own)) => match own.first_network() {
                Some((name, address)) => Self {
                    mode: name.clone(),
                    parent: address.map_or(ParentAddress::Unknown, ParentAddress::Known),
                },
                None => shared(format!("container:{}", own.id)),
            },
            (Some(name), Some(own)) if own.mode != HOST => Self {
                mode: name.to_owned(),
                parent: own.address_in(name).map_or(ParentAddress::Unknown, ParentAddress::Known),
            },
            (wanted, _) => Self {
                mode: wanted.unwrap_or(DEFAULT).to_owned(),
                parent: match engine_is_local {
                    true => ParentAddress::Gateway,
                    false => ParentAddress::Unknown,
                },
            },
        }
    }

    /// Whether a runner can connect to a loopback address of its parent.
    pub(super) fn is_shared(&self) -> bool {
        self.parent == ParentAddress::Known(LOOPBACK)
    }

    /// The name of the network, if it is one that the engine can be asked about.
    pub(super) fn name(&self) -> Option<&str> {
        let is_mode = self.mode == HOST || self.mode == "none" || self.mode.contains(':');
        (!is_mode).then_some(self.mode.as_str())
    }
}

const LOOPBACK: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

impl OwnContainer {
    /// The network to use if none is set: one that the user has made before the default one, since
    /// it is there that the user connects containers.
    fn first_network(&self) -> Option<&(String, Option<IpAddr>)> {
        let is_default = |name: &str| name == DEFAULT || name == "podman";
        self.networks.iter().min_by_key(|(name, _)| (is_default(name), name))
    }

    fn address_in(&self, network: &str) -> Option<IpAddr> {
        self.networks.iter().find(|(name, _)| name == network)?.1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ADDRESS: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 88, 0, 7));

    fn own(mode: &str, networks: &[&str]) -> OwnContainer {
        OwnContainer {
            id: "abc".to_owned(),
            image: "sha256:1".to_owned(),
            mode: mode.to_owned(),
            networks: networks.iter().map(|&name| (name.to_owned(), Some(ADDRESS))).collect(),
        }
    }

    fn chosen(wanted: Option<&str>, own: Option<&OwnContainer>) -> (String, ParentAddress) {
        let RunnerNetwork { mode, parent } = RunnerNetwork::choose(wanted, own, true);
        (mode, parent)
    }

    #[test]
    fn a_parent_on_the_machine_is_found_at_the_gateway() {
        assert_eq!(chosen(None, None), ("bridge".to_owned(), ParentAddress::Gateway));
        assert_eq!(chosen(Some("apps"), None), ("apps".to_owned(), ParentAddress::Gateway));
    }

    #[test]
    fn on_the_machines_own_network_the_parent_is_at_a_loopback_address() {
        let loopback = ("host".to_owned(), ParentAddress::Known(LOOPBACK));
        assert_eq!(chosen(Some("host"), None), loopback);
        assert_eq!(chosen(None, Some(&own("host", &["host"]))), loopback);
        assert_eq!(chosen(Some("host"), Some(&own("host", &[]))), loopback);
        assert!(RunnerNetwork::choose(Some("host"), None, true).is_shared());
        assert!(!RunnerNetwork::choose(Some("host"), None, false).is_shared());
    }

    #[test]
    fn a_parent_in_a_container_is_found_on_its_own_network() {
        let known = ParentAddress::Known(ADDRESS);
        assert_eq!(chosen(None, Some(&own("bridge", &["bridge"]))), ("bridge".to_owned(), known));
        let two = own("bridge", &["bridge", "apps"]);
        assert_eq!(chosen(None, Some(&two)), ("apps".to_owned(), known));
        assert_eq!(chosen(Some("bridge"), Some(&two)), ("bridge".to_owned(), known));
        // Its address on a network that it is not part of can't be known.
        assert_eq!(chosen(Some("other"), Some(&two)), ("other".to_owned(), ParentAddress::Unknown));
        let alone = chosen(Some("host"), Some(&two));
        assert_eq!(alone, ("host".to_owned(), ParentAddress::Unknown));
    }

    #[test]
    fn a_runner_joins_a_container_that_has_no_network_of_its_own() {
        let joined = ("container:abc".to_owned(), ParentAddress::Known(LOOPBACK));
        assert_eq!(chosen(None, Some(&own("container:def", &[]))), joined);
        assert_eq!(chosen(None, Some(&own("none", &[]))), joined);
    }

    #[test]
    fn nothing_is_known_of_a_parent_whose_engine_is_elsewhere() {
        for wanted in [None, Some("apps"), Some("host")] {
            let chosen = RunnerNetwork::choose(wanted, None, false);
            assert_eq!(chosen.parent, ParentAddress::Unknown, "{wanted:?}");
        }
    }

    #[test]
    fn only_networks_by_name_can_be_looked_up() {
        let name = |mode: &str| {
            let parent = ParentAddress::Unknown;
            RunnerNetwork { mode: mode.to_owned(), parent }.name().map(str::to_owned)
        };
        assert_eq!(name("apps").as_deref(), Some("apps"));
        assert_eq!((name("host"), name("none"), name("container:abc")), (None, None, None));
    }
}
