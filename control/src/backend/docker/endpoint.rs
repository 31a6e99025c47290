//! Where the engine listens: DOCKER_HOST and its companions, as Docker's own command reads them.

use std::path::PathBuf;

/// Where the engine listens on a machine on which nothing else is set.
#[cfg(unix)]
const DEFAULT: &str = "unix:///var/run/docker.sock";
#[cfg(not(unix))]
const DEFAULT: &str = "npipe:////./pipe/docker_engine";

/// The address of an engine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Endpoint {
    pub(super) url: String,
    pub(super) transport: Transport,
}

/// How the engine is reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Transport {
    /// A Unix socket, or a named pipe on Windows.
    Socket,
    /// TCP without TLS.
    Tcp,
    /// TLS, with `ca.pem`, `cert.pem` and `key.pem` of this folder.
    Tls(PathBuf),
}

impl Endpoint {
    /// The endpoint that was set, or else that of the environment, or else the default one.
    ///
    /// # Errors
    /// What is wrong with the address, and how to fix it.
    pub(super) fn resolve(
        host: Option<&str>,
        certificates: Option<PathBuf>,
        variable: impl Fn(&str) -> Option<String>,
    ) -> Result<Self, String> {
        // An empty variable counts as not set, as for Docker's own command.
        let variable = |name: &str| variable(name).filter(|value| !value.is_empty());
        let url = host.map(str::to_owned).or_else(|| variable("DOCKER_HOST"));
        let url = url.unwrap_or_else(|| DEFAULT.to_owned());
        let (scheme, rest) = url.split_once("://").unwrap_or(("", &url));
        let in_home = || Some(PathBuf::from(variable("HOME")?).join(".docker"));
        let folder = || variable("DOCKER_CERT_PATH").map(PathBuf::from).or_else(in_home);
        let wants_tls = scheme == "https" || variable("DOCKER_TLS_VERIFY").is_some();
        let transport = match scheme {
            "unix" if cfg!(unix) => Transport::Socket,
            "npipe" if cfg!(windows) => Transport::Socket,
            "tcp" | "http" | "https" => match (certificates, wants_tls) {
                (Some(folder), _) => Transport::Tls(folder),
                (None, true) => Transport::Tls(folder().ok_or_else(|| {
                    format!(
                        "the engine at {url} needs TLS, and no folder with certificates is set: \
                         set DOCKER_CERT_PATH, or `.tls(..)`"
                    )
                })?),
                (None, false) => Transport::Tcp,
            },
            "ssh" => {
                return Err(format!(
                    "the engine's address is {url}, and this backend does not speak ssh: forward \
                     the socket, `ssh -L /tmp/docker.sock:/var/run/docker.sock HOST`, and set \
                     `.host(\"unix:///tmp/docker.sock\")` or DOCKER_HOST"
                ));
            }
            _ => {
                return Err(format!(
                    "the engine's address is `{url}`, which does not begin with `unix://`, \
                     `tcp://` or `https://`: correct `.host(..)` or DOCKER_HOST"
                ));
            }
        };
        if rest.is_empty() {
            return Err(format!(
                "the engine's address is `{url}`, which names no socket and no host: correct \
                 `.host(..)` or DOCKER_HOST"
            ));
        }
        Ok(Self { url, transport })
    }

    /// Whether the engine runs on this machine, as far as its address tells.
    pub(super) fn is_local(&self) -> bool {
        self.transport == Transport::Socket || crate::backend::reach::is_loopback(&self.url)
    }
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    fn resolve(host: Option<&str>, variables: &[(&str, &str)]) -> Result<Endpoint, String> {
        Endpoint::resolve(host, None, |name| {
            let found = variables.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| (*value).to_owned())
        })
    }

    fn endpoint(url: &str, transport: Transport) -> Result<Endpoint, String> {
        Ok(Endpoint { url: url.to_owned(), transport })
    }

    #[test]
    fn the_apps_own_address_precedes_the_variable_and_that_the_default() {
        let default = endpoint("unix:///var/run/docker.sock", Transport::Socket);
        assert_eq!(resolve(None, &[]), default);
        assert_eq!(resolve(None, &[("DOCKER_HOST", "")]), default);
        let host = [("DOCKER_HOST", "tcp://10.0.0.7:2375")];
        assert_eq!(resolve(None, &host), endpoint("tcp://10.0.0.7:2375", Transport::Tcp));
        let own = Some("unix:///run/podman.sock");
        assert_eq!(resolve(own, &host), endpoint("unix:///run/podman.sock", Transport::Socket));
    }

    #[test]
    fn tls_is_chosen_as_dockers_own_command_chooses_it() {
        let tcp = "tcp://10.0.0.7:2376";
        let verify = ("DOCKER_TLS_VERIFY", "1");
        let tls = |folder: &str| endpoint(tcp, Transport::Tls(folder.into()));
        let with = |variables: &[(&str, &str)]| resolve(Some(tcp), variables);
        assert_eq!(with(&[verify, ("DOCKER_CERT_PATH", "/certs")]), tls("/certs"));
        assert_eq!(with(&[verify, ("HOME", "/home/me")]), tls("/home/me/.docker"));
        assert_eq!(with(&[("DOCKER_TLS_VERIFY", "")]), endpoint(tcp, Transport::Tcp));
        assert!(with(&[verify]).unwrap_err().contains("DOCKER_CERT_PATH"));
        let set = Endpoint::resolve(Some(tcp), Some("/mine".into()), |_| None);
        assert_eq!(set, tls("/mine"));
        let https = resolve(Some("https://h:2376"), &[("DOCKER_CERT_PATH", "/certs")]);
        assert_eq!(https, endpoint("https://h:2376", Transport::Tls("/certs".into())));
        // A socket needs no TLS, whatever the environment says.
        let socket = resolve(Some("unix:///s"), &[verify]);
        assert_eq!(socket, endpoint("unix:///s", Transport::Socket));
    }

    #[test]
    fn an_address_of_another_kind_is_rejected_with_what_to_do() {
        for (url, advice) in [
            ("ssh://me@host", "forward the socket"),
            ("/var/run/docker.sock", "does not begin with"),
            ("ftp://host", "does not begin with"),
            ("unix://", "names no socket"),
        ] {
            let error = resolve(Some(url), &[]).unwrap_err();
            assert!(error.contains(advice) && error.contains(url), "{error}");
        }
    }

    #[test]
    fn an_engine_is_local_at_a_socket_or_a_loopback_address() {
        let is_local = |url: &str| resolve(Some(url), &[]).unwrap().is_local();
        for local in ["unix:///s", "tcp://127.0.0.1:2375", "tcp://localhost:2375", "http://[::1]:1"]
        {
            assert!(is_local(local), "{local}");
        }
        assert!(!is_local("tcp://10.0.0.7:2375"));
    }
}
