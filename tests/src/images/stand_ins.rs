//! What stands in for the image on which the Dockerfiles build, where it can't be pulled.
//!
//! A stand-in has the name that the image would have, so the Dockerfiles are built unchanged. It is what the
//! image would be: Debian of the same release, with a C compiler and this machine's Rust.

use std::path::Path;
use std::process::Command;

use super::output;
use crate::TempDir;
use crate::docker::storage::Storage;

/// The release of Debian in the image.
const DEBIAN: &str = "bookworm";
/// The root certificates that this machine trusts.
const CERTIFICATES: &str = "etc/ssl/certs/ca-certificates.crt";

/// Pulls the image with the version of Rust that a Dockerfile names, or makes a stand-in. Says which.
/// Returns the further arguments of a build.
pub(super) fn pull_or_make(storage: &Storage, dockerfile: &Path) -> Result<Vec<String>, String> {
    let file = dockerfile.display();
    let text = std::fs::read_to_string(dockerfile).map_err(|error| format!("{file}: {error}"))?;
    let version = text.lines().find_map(|line| line.strip_prefix("ARG RUST_VERSION="));
    let image = rust_of(version.ok_or_else(|| format!("{file} has no `ARG RUST_VERSION=`"))?);
    let Err(why) = output(storage.command().args(["pull", "--quiet", &image])) else {
        eprintln!("images: {image} was pulled");
        return Ok(Vec::new());
    };
    let version = machines_rust()?;
    eprintln!("images: Debian with Rust {version} stands in for {image}: {why}");
    let stand_in = rust_of(&version);
    if output(storage.command().args(["image", "exists", &stand_in])).is_err() {
        make_rust(storage, &stand_in)?;
    }
    Ok(vec![format!("--build-arg=RUST_VERSION={version}")])
}

fn rust_of(version: &str) -> String {
    format!("docker.io/library/rust:{version}-slim-{DEBIAN}")
}

/// The version of this machine's Rust, such as `1.95.0`.
fn machines_rust() -> Result<String, String> {
    let printed = output(Command::new("rustc").arg("--version"))?;
    let version = printed.split(' ').nth(1).map(str::to_owned);
    version.ok_or_else(|| format!("`rustc --version` printed {printed}"))
}

/// Debian with a C compiler and this machine's Rust.
fn make_rust(storage: &Storage, image: &str) -> Result<(), String> {
    let folder = TempDir::new();
    let root = folder.path().join("root");
    let mut debootstrap = Command::new("debootstrap");
    debootstrap.args(["--variant=minbase", "--include=ca-certificates,gcc,libc6-dev", DEBIAN]);
    output(debootstrap.arg(&root))
        .map_err(|error| format!("{error}: it needs `apt-get install debootstrap`"))?;
    let toolchain = output(Command::new("rustc").args(["--print", "sysroot"]))?;
    let toolchain = Path::new(toolchain.trim());
    for (part, to) in [("bin/cargo", "bin"), ("bin/rustc", "bin"), ("lib", "")] {
        let mut copy = Command::new("cp");
        copy.arg("--archive").arg(toolchain.join(part)).arg(root.join("usr/local").join(to));
        output(&mut copy)?;
    }
    let mut copy = Command::new("cp");
    output(copy.arg(Path::new("/").join(CERTIFICATES)).arg(root.join(CERTIFICATES)))?;
    let archive = folder.path().join("image.tar");
    let mut tar = Command::new("tar");
    tar.args(["--create", "--one-file-system", "--file"]).arg(&archive);
    output(tar.arg("--directory").arg(&root).arg("."))?;
    let path = "ENV PATH=/usr/local/cargo/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:\
                /sbin:/bin";
    let mut import = storage.command();
    import.args(["import", "--quiet", "--change", "ENV CARGO_HOME=/usr/local/cargo"]);
    output(import.args(["--change", path]).arg(&archive).arg(image)).map(|_| ())
}
