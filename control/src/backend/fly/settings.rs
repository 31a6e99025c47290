//! The settings of a pool on Fly, from the options and the environment: pure.

use std::net::IpAddr;

use flame_runner_shim::host::fly::MACHINE_ID_ENV;
use flame_wire::token::Zeroizing;
use reqwest::Url;

use super::builder::FlyBuilder;
use crate::backend::PoolInfo;
use crate::backend::reach::{is_loopback, is_unspecified};

const HOST_ENV: &str = "FLY_FLAPS_BASE_URL";
const APP_ENV: &str = "FLY_APP_NAME";
const IMAGE_ENV: &str = "FLY_IMAGE_REF";
const TOKEN_ENV: &str = "FLY_API_TOKEN";
const REGION_ENV: &str = "FLY_REGION";
const PRIVATE_IP_ENV: &str = "FLY_PRIVATE_IP";
const DEFAULT_HOST: &str = "https://api.machines.dev";

/// See the [module](self).
pub(super) struct Settings {
    pub(super) host: Url,
    pub(super) app: String,
    pub(super) image: String,
    pub(super) token: Zeroizing<String>,
    pub(super) region: Option<String>,
}

/// An environment variable that is set and not empty.
pub(super) fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// The address of this machine in its private network.
pub(super) fn private_address(variable: impl Fn(&str) -> Option<String>) -> Option<IpAddr> {
    variable(PRIVATE_IP_ENV)?.parse().ok()
}

/// The machine that this process runs in: its app and its id.
pub(super) fn own_machine(variable: impl Fn(&str) -> Option<String>) -> Option<(String, String)> {
    Some((variable(APP_ENV)?, variable(MACHINE_ID_ENV)?))
}

impl Settings {
    /// The settings, or everything that is wrong with them.
    pub(super) fn resolve(
        options: &FlyBuilder,
        variable: impl Fn(&str) -> Option<String>,
    ) -> Result<Self, Vec<String>> {
        let mut problems = Vec::new();
        let mut required = |set: &Option<String>, option: &str, name: &str| {
            let value = set.clone().or_else(|| variable(name)).filter(|value| !value.is_empty());
            value.unwrap_or_else(|| {
                problems.push(format!(
                    "`{option}` is missing, and this process is no Fly Machine, which has it in \
                     {name}: set `.{option}(..)` or {name}"
                ));
                String::new()
            })
        };
        let app = required(&options.app, "app", APP_ENV);
        let image = required(&options.image, "image", IMAGE_ENV);
        let token = options.token.clone().or_else(|| variable(TOKEN_ENV).map(Zeroizing::new));
        let token = token.filter(|token| !token.is_empty()).unwrap_or_else(|| {
            problems.push(format!(
                "the API token is missing: set `.token(..)` or {TOKEN_ENV}, for example with `fly \
                 secrets set {TOKEN_ENV}=\"$(fly tokens create deploy)\"`"
            ));
            Zeroizing::default()
        });
        if token.chars().any(|c| !(' '..='~').contains(&c)) {
            problems.push("the API token has characters that no token has".to_owned());
        }
        if app.chars().any(|c| !matches!(c, 'a'..='z' | '0'..='9' | '-')) {
            problems.push(format!(
                "`app` is `{app}`: an app's name has lowercase letters, digits and dashes"
            ));
        }
        let host = options.host.clone().or_else(|| variable(HOST_ENV));
        let host = host.unwrap_or_else(|| DEFAULT_HOST.to_owned());
        let url = Url::parse(&host).ok().filter(|url| {
            matches!(url.scheme(), "http" | "https") && url.has_host() && url.username().is_empty()
        });
        let region = options.region.clone().or_else(|| variable(REGION_ENV));
        match url {
            Some(host) if problems.is_empty() => Ok(Self { host, app, image, token, region }),
            Some(_) => Err(problems),
            None => {
                problems.push(format!(
                    "`host` is `{host}`: give a URL such as {DEFAULT_HOST} or \
                     http://_api.internal:4280"
                ));
                Err(problems)
            }
        }
    }
}

/// Rejects a pool of which one address can't be reached from a machine: a runner that connects to
/// `[::1]` connects to itself. A loopback address is accepted if the API is on this machine, since
/// then the runners are on this machine, too.
pub(super) fn check_addresses(pool: &PoolInfo, host: &Url) -> Result<(), String> {
    let is_out_of_reach = |address: &&String| {
        is_unspecified(address) || (is_loopback(address) && !is_loopback(host.as_str()))
    };
    let Some(address) = pool.addresses.iter().find(is_out_of_reach) else { return Ok(()) };
    if pool.has_relay {
        return Err(format!(
            "the pool's relay is at {address}, which no Fly Machine can reach: give `.relay(..)`, \
             or FLAME_RELAY_URL, an address that this process and the machines can both reach"
        ));
    }
    Err(format!(
        "the pool's address is {address}, which no Fly Machine can reach: on Fly, let the pool \
         `.listen(..)` on `[::]`, and the address of this machine is found in {PRIVATE_IP_ENV}; \
         0.0.0.0 does not do, because the private network is IPv6. Elsewhere, set \
         `.advertise(\"ws://[<address in the private network>]:<port>\")` if this machine is in \
         the private network, or let both sides connect to a relay: `.relay(..)`"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::tests::pool_info;

    fn on_fly(name: &str) -> Option<String> {
        let value = match name {
            APP_ENV => "app",
            IMAGE_ENV => "registry.fly.io/app:deployment-1",
            TOKEN_ENV => "FlyV1 fm2_x",
            REGION_ENV => "ams",
            MACHINE_ID_ENV => "148ed1",
            PRIVATE_IP_ENV => "fdaa:0:3ec2:a7b:5bd4:9fa:e7b7:2",
            _ => return None,
        };
        Some(value.to_owned())
    }

    #[test]
    fn a_machine_has_everything_in_its_environment() {
        let found = Settings::resolve(&FlyBuilder::default(), on_fly).ok().unwrap();
        assert_eq!(found.host.as_str(), "https://api.machines.dev/");
        assert_eq!((found.app.as_str(), found.region.as_deref()), ("app", Some("ams")));
        assert_eq!(found.image, "registry.fly.io/app:deployment-1");
        assert!(private_address(on_fly).unwrap().is_ipv6());
        assert_eq!(own_machine(on_fly), Some(("app".to_owned(), "148ed1".to_owned())));
    }

    #[test]
    fn options_precede_the_environment() {
        let options = FlyBuilder::default().app("other").image("i").region("syd");
        let found = Settings::resolve(&options.host("http://_api.internal:4280"), on_fly);
        let found = found.ok().unwrap();
        assert_eq!((found.app.as_str(), found.image.as_str()), ("other", "i"));
        assert_eq!(found.host.as_str(), "http://_api.internal:4280/");
        assert_eq!(found.region.as_deref(), Some("syd"));
    }

    #[test]
    fn everything_that_is_wrong_is_named_at_once_and_no_token_is_shown() {
        let problems = Settings::resolve(&FlyBuilder::default(), |_| None).err().unwrap();
        let problems = problems.join("; ");
        for name in [APP_ENV, IMAGE_ENV, TOKEN_ENV, ".app(", ".image(", ".token("] {
            assert!(problems.contains(name), "{problems}");
        }
        let wrong = FlyBuilder::default().app("My App").image("i").token("hunter\n2").host("x");
        let problems = Settings::resolve(&wrong, |_| None).err().unwrap().join("; ");
        for text in ["lowercase", "no token has", "_api.internal"] {
            assert!(problems.contains(text), "{problems}");
        }
        assert!(!problems.contains("hunter"), "{problems}");
    }

    #[test]
    fn an_address_that_no_machine_can_reach_is_rejected_with_advice() {
        let check = |address: &str, has_relay, host: &str| {
            let addresses = vec![address.to_owned()];
            let pool = PoolInfo { addresses, has_relay, ..pool_info() };
            check_addresses(&pool, &Url::parse(host).unwrap())
        };
        assert_eq!(check("ws://[fdaa:0:3ec2::2]:4100", false, DEFAULT_HOST), Ok(()));
        assert_eq!(check("ws://[::1]:4100", false, "http://127.0.0.1:4280"), Ok(()));
        for address in ["ws://0.0.0.0:4100", "ws://[::]:4100", "ws://127.0.0.1:4100"] {
            let error = check(address, false, DEFAULT_HOST).unwrap_err();
            assert!(error.contains("on `[::]`") && error.contains(".relay("), "{error}");
        }
        let relay = check("ws://[::1]:4100", true, DEFAULT_HOST).unwrap_err();
        assert!(relay.contains("the pool's relay") && !relay.contains(".listen("), "{relay}");
    }
}
