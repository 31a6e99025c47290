//! Engines that are reached by TCP and by TLS.

use std::path::Path;

use flame_tests::authority::Authority;
use flame_tests::docker::Recorder;
use flame_tests::program::Program;
use flame_tests::tls_proxy::TlsProxy;
use flame_tests::{TempDir, Test, Watcher, demo, docker, tests};

use crate::common::{pool_on, start_error};

pub(crate) fn tests() -> Vec<Test> {
    tests![
        runners_boot_and_die_on_an_engine_at_a_tcp_port,
        runners_boot_and_die_on_an_engine_behind_tls,
        the_variables_of_dockers_own_command_choose_tls,
        an_engine_of_another_authority_is_not_trusted,
        an_engine_that_rejects_the_certificate_is_told_from_one_that_is_not_trusted,
        certificates_that_can_not_be_used_are_named,
        tls_on_one_side_alone_is_explained,
    ]
}

/// An engine behind a proxy that speaks TLS, and admits clients of its authority.
struct TlsEngine {
    engine: docker::Engine,
    authority: Authority,
    recorder: Recorder,
    proxy: TlsProxy,
}

impl TlsEngine {
    async fn start() -> Self {
        let (engine, authority) = (docker::shared(), Authority::new("engines"));
        let recorder = Recorder::start(&engine).await;
        let proxy = TlsProxy::with_authority(&authority, recorder.address()).await;
        Self { engine, authority, recorder, proxy }
    }

    fn host(&self) -> String {
        self.proxy.url().replace("wss://", "tcp://")
    }

    /// Returns why no pool starts with the certificates of this folder.
    async fn start_error(&self, folder: &Path) -> String {
        let backend = self.engine.backend().host(self.host()).tls(folder);
        let error = start_error(pool_on("test", backend)).await;
        let connecting = format!("connecting to the Docker engine at {} failed", self.host());
        assert!(error.starts_with(&connecting), "{error}");
        error
    }
}

/// A runner serves a call, its death is noticed, and nothing is left.
async fn boots_and_dies(name: &str, backend: flame_aws::backend::DockerBuilder) {
    let pool = pool_on(name, backend).start().await.unwrap();
    assert_eq!(pool.call(demo::double(2)).await.unwrap(), 4);
    let container = pool.snapshot().runners[0].instance.clone().unwrap();
    let engine = docker::shared();
    let mut watcher = Watcher::new(&pool);
    engine.client().kill_container(&container, None).await.unwrap();
    watcher.lost().await;
    assert_eq!(pool.call(demo::double(3)).await.unwrap(), 6);
    pool.drain().await;
    assert_eq!(engine.with_label(&format!("flame:pool={name}")).await, [""; 0]);
}

async fn runners_boot_and_die_on_an_engine_at_a_tcp_port() {
    let engine = docker::shared();
    let recorder = Recorder::start(&engine).await;
    boots_and_dies("by-tcp", engine.backend().host(recorder.host())).await;
    assert_eq!(recorder.bodies("/containers/create").len(), 2);
}

async fn runners_boot_and_die_on_an_engine_behind_tls() {
    let remote = TlsEngine::start().await;
    let folder = remote.authority.client_folder(&remote.authority);
    let backend = remote.engine.backend().host(remote.host()).tls(folder.path());
    boots_and_dies("by-tls", backend).await;
    assert_eq!(remote.recorder.bodies("/containers/create").len(), 2);
}

async fn the_variables_of_dockers_own_command_choose_tls() {
    let remote = TlsEngine::start().await;
    let folder = remote.authority.client_folder(&remote.authority);
    for host in [remote.host(), remote.host().replace("tcp://", "https://")] {
        let variables = [
            ("DOCKER_HOST", host.as_str()),
            ("DOCKER_TLS_VERIFY", "1"),
            ("DOCKER_CERT_PATH", folder.path().to_str().unwrap()),
            ("FLAME_DOCKER_IMAGE", remote.engine.image()),
            ("DEMO_DOCKER_POOL", "by-variables"),
        ];
        let (printed, _) = Program::start("docker_app", &variables).finish().await;
        assert_eq!(printed.trim(), "42");
    }
    assert_eq!(remote.recorder.bodies("/containers/create").len(), 2);
}

async fn an_engine_of_another_authority_is_not_trusted() {
    let remote = TlsEngine::start().await;
    let folder = remote.authority.client_folder(&Authority::new("another"));
    let error = remote.start_error(folder.path()).await;
    assert!(error.contains("does not accept the engine's certificate"), "{error}");
    assert!(error.contains("UnknownIssuer") && error.contains("`ca.pem`"), "{error}");
}

async fn an_engine_that_rejects_the_certificate_is_told_from_one_that_is_not_trusted() {
    let remote = TlsEngine::start().await;
    let folder = Authority::new("another").client_folder(&remote.authority);
    let error = remote.start_error(folder.path()).await;
    // The reason may be lost with the connection.
    let is_told = error.contains("the engine does not accept `cert.pem`");
    assert!(is_told || error.contains("its log says why it has ended"), "{error}");
    assert!(!error.contains("the engine's certificate"), "{error}");
    assert_eq!(remote.recorder.connections(), 0, "the engine was not asked");
}

async fn certificates_that_can_not_be_used_are_named() {
    let remote = TlsEngine::start().await;
    let complete = || remote.authority.client_folder(&remote.authority);
    for file in ["ca.pem", "cert.pem", "key.pem"] {
        for (text, problem) in [(None, "can't be read: No such file"), (Some("x"), "has no ")] {
            let folder = complete();
            let path = folder.path().join(file);
            match text {
                None => std::fs::remove_file(&path).unwrap(),
                Some(text) => std::fs::write(&path, text).unwrap(),
            }
            let error = remote.start_error(folder.path()).await;
            assert!(error.contains(&format!("the file {} {problem}", path.display())), "{error}");
            assert!(error.contains("must have `ca.pem`, `cert.pem` and `key.pem`"), "{error}");
        }
    }
    let (folder, other) = (complete(), complete());
    let key = |folder: &TempDir| folder.path().join("key.pem");
    std::fs::copy(key(&other), key(&folder)).unwrap();
    let error = remote.start_error(folder.path()).await;
    assert!(error.contains("key.pem can't be used with ") && error.contains("cert.pem"), "{error}");
}

async fn tls_on_one_side_alone_is_explained() {
    let remote = TlsEngine::start().await;
    let folder = remote.authority.client_folder(&remote.authority);
    let engine = &remote.engine;
    let plain_engine = engine.backend().host(remote.recorder.host()).tls(folder.path());
    let error = start_error(pool_on("test", plain_engine)).await;
    assert!(error.contains("check that the engine speaks TLS at this address"), "{error}");
    let plain_client = engine.backend().host(remote.host());
    let error = start_error(pool_on("test", plain_client)).await;
    assert!(error.contains("the connection to the Docker engine broke"), "{error}");
    assert!(error.contains(".tls("), "{error}");
}
