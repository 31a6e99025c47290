//! Containers of this machine's Docker engine, without a registry and without a Dockerfile.
//!
//! The image is empty. This program, and the machine's libraries, are mounted into each container.
//! For an app that is deployed, build an image instead, as `cdk/images/app` does: if
//! FLAME_DOCKER_IMAGE is set, the containers are of that image.

use anyhow::Context;
use bollard::query_parameters::CreateImageOptions;
use flame_aws::backend::{Docker, DockerBuilder};
use futures_util::TryStreamExt;

/// An archive without files: two blocks of zeros.
const EMPTY_ARCHIVE: &[u8] = &[0; 1024];

/// A backend whose runners are copies of this program.
pub(crate) async fn backend() -> anyhow::Result<Docker> {
    if std::env::var_os("FLAME_DOCKER_IMAGE").is_some() {
        return Ok(Docker::from_env());
    }
    let program = std::env::current_exe()?;
    let program = program.to_str().context("the path of this program is not text")?;
    let image = import_empty_image().await.context(
        "can't use the Docker engine: start one, or set DOCKER_HOST (podman is one, too: `podman \
         system service --time=0 unix:///tmp/podman.sock`)",
    )?;
    let folders = ["/usr", "/lib", "/lib64"];
    let folders = folders.into_iter().filter(|folder| std::path::Path::new(folder).exists());
    let mounts = folders.chain([program]).map(|path| format!("{path}:{path}:ro"));
    let backend = Docker::builder().image(image).command([program]);
    Ok(mounts.fold(backend, DockerBuilder::bind).build())
}

/// Gives the engine an image without files, and returns its id.
async fn import_empty_image() -> anyhow::Result<String> {
    let engine = match std::env::var("DOCKER_HOST") {
        Ok(host) => bollard::Docker::connect_with_host(&host)?,
        Err(_) => bollard::Docker::connect_with_local_defaults()?,
    };
    let options = CreateImageOptions { from_src: Some("-".to_owned()), ..Default::default() };
    let archive = bollard::body_full(EMPTY_ARCHIVE.into());
    let messages = engine.create_image(Some(options), Some(archive), None);
    let messages: Vec<_> = messages.try_collect().await?;
    let id = messages.into_iter().filter_map(|message| message.status).next_back();
    id.context("the engine did not name the image")
}
