//! A registry for images at a port of this machine: Debian's package `docker-registry`.

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use bollard::query_parameters::{PushImageOptions, RemoveImageOptions, TagImageOptions};
use futures_util::TryStreamExt;

use super::Engine;
use crate::TempDir;

const PROGRAM: &str = "docker-registry";
const IMAGE: &str = "app:1";
/// The user of a registry that asks for a password.
pub const USER: &str = "flame";
/// The user's password. In base64 it has characters that differ between the two alphabets.
pub const PASSWORD: &str = "a?b>c~d??>>~~";
/// Its hash by bcrypt, which is the only one that the registry accepts.
const HASH: &str = "$2b$04$gFOOfF3iBIxvGr3/V5oPC.XDzXrf2WGT5ZgSKGrPKSbbx/DDgXa0O";

/// A running registry.
#[derive(Debug)]
pub struct Registry {
    folder: TempDir,
    /// Where it stores images.
    images: PathBuf,
    process: Child,
    address: String,
}

impl Drop for Registry {
    fn drop(&mut self) {
        self.stop();
    }
}

impl Registry {
    /// Why no registry can be started on this machine, and how to get one.
    #[must_use]
    pub fn missing() -> Option<String> {
        let mut command = Command::new(PROGRAM);
        command.arg("--version").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let is_there = command.status().is_ok_and(|status| status.success());
        (!is_there).then(|| {
            format!("{PROGRAM} can't be started: on Debian and Ubuntu, `apt-get install {PROGRAM}`")
        })
    }

    /// Starts a registry without images, which everybody may use. Blocks.
    #[must_use]
    pub fn start() -> Self {
        let folder = TempDir::new();
        let images = folder.path().join("images");
        Self::with_settings(folder, images, "")
    }

    /// Starts another registry with the images of this one, for [`USER`] alone. Blocks.
    #[must_use]
    pub fn with_password(&self) -> Self {
        let folder = TempDir::new();
        let file = folder.path().join("htpasswd");
        std::fs::write(&file, format!("{USER}:{HASH}\n")).expect("the folder exists");
        let users = format!("auth: {{htpasswd: {{realm: flame, path: {}}}}}\n", file.display());
        Self::with_settings(folder, self.images.clone(), &users)
    }

    fn with_settings(folder: TempDir, images: PathBuf, more: &str) -> Self {
        let at = |file: &str| folder.path().join(file);
        let settings = format!(
            "version: 0.1\nstorage: {{filesystem: {{rootdirectory: {}}}}}\n\
             http: {{addr: \"127.0.0.1:0\"}}\n{more}",
            images.display()
        );
        std::fs::write(at("settings.yml"), settings).expect("the folder exists");
        let log = std::fs::File::create(at("log")).expect("the folder exists");
        let mut command = Command::new(PROGRAM);
        command.arg("serve").arg(at("settings.yml"));
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        let process = command.spawn().expect("the registry can be started");
        let mut registry = Self { folder, images, process, address: String::new() };
        for _ in 0..3000 {
            if let Some(address) = registry.listens_at() {
                registry.address = address;
                return registry;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        panic!("the registry does not listen: {}", registry.log());
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    fn listens_at(&self) -> Option<String> {
        let log = self.log();
        let (_, rest) = log.split_once("listening on ")?;
        let (address, _) = rest.split_once('"')?;
        Some(address.to_owned())
    }

    /// Its host, as an IP address, and its port.
    #[must_use]
    pub fn address(&self) -> &str {
        &self.address
    }

    /// The name of the image in it: see [`Engine::publish`].
    #[must_use]
    pub fn image(&self) -> String {
        format!("{}/{IMAGE}", self.address)
    }

    /// Stops it. Its port stays closed.
    pub fn stop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Engine {
    /// Makes an image with this many random bytes, and pushes it to a registry as the only image
    /// there. The engine keeps no image. Returns the hash of its layer.
    ///
    /// # Panics
    /// Panics if the registry does not take it.
    pub async fn publish(&self, registry: &Registry, bytes: usize) -> String {
        let id = self.import(archive(bytes).into()).await.expect("the image is imported");
        let layer = self.layer(&id).await;
        let client = self.client();
        // An image that the engine has pulled from there has another name.
        let name = registry.image().replace("127.0.0.1", "localhost");
        let (repo, tag) = name.rsplit_once(':').expect("there is a tag");
        let tagged = TagImageOptions { repo: Some(repo.to_owned()), tag: Some(tag.to_owned()) };
        client.tag_image(&id, Some(tagged)).await.expect("the image is there");
        let options = PushImageOptions { tag: Some(tag.to_owned()), ..PushImageOptions::default() };
        let pushed = client.push_image(repo, Some(options), None);
        pushed.try_collect::<Vec<_>>().await.expect("the registry takes the image");
        let options = None::<RemoveImageOptions>;
        client.remove_image(&name, options, None).await.expect("the image is there");
        layer
    }

    /// The hash of an image's only layer.
    ///
    /// # Panics
    /// Panics if the engine has no such image.
    pub async fn layer(&self, image: &str) -> String {
        let image = self.client().inspect_image(image).await.expect("the image is there");
        let layers = image.root_fs.and_then(|files| files.layers).expect("it has layers");
        layers.concat()
    }
}

/// A tar archive of one file with random content.
fn archive(bytes: usize) -> Vec<u8> {
    let mut header = [0; 512];
    let mut put =
        |at: usize, text: &str| header[at..at + text.len()].copy_from_slice(text.as_bytes());
    put(0, "filler");
    put(100, "0000644\0");
    put(108, "0000000\0");
    put(116, "0000000\0");
    put(124, &format!("{bytes:011o}\0"));
    put(136, "00000000000\0");
    put(148, "        ");
    put(156, "0");
    put(257, "ustar\0");
    put(263, "00");
    let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
    header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    let mut archive = header.to_vec();
    archive.extend((0..bytes).map(|_| rand::random::<u8>()));
    archive.resize(archive.len().next_multiple_of(512) + 1024, 0);
    archive
}
