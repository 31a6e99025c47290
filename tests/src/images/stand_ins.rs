//! What stands in for the images on which the Dockerfiles build, where they can't be pulled.
//!
//! A stand-in has the name that the image would have, so the Dockerfiles are built unchanged. It has what
//! the builds and the programs need of the image: Debian of the same release with a C compiler and this
//! machine's Rust, or Debian's libc, libgcc and root certificates without a shell.

use std::path::Path;
use std::process::Command;

use super::{USER, output};
use crate::TempDir;
use crate::docker::storage::Storage;

/// The release of Debian in the images.
const DEBIAN: &str = "bookworm";
/// The root certificates that this machine trusts.
const CERTIFICATES: &str = "etc/ssl/certs/ca-certificates.crt";

/// Pulls the two images that the Dockerfile of an app names, or makes stand-ins. Says which. The other
/// Dockerfiles are built on the first of them. Returns the further arguments of a build.
pub(super) fn pull_or_make(storage: &Storage, dockerfile: &Path) -> Result<Vec<String>, String> {
    let file = dockerfile.display();
    let text = std::fs::read_to_string(dockerfile).map_err(|error| format!("{file}: {error}"))?;
    let last = |start: &str| text.lines().rev().find_map(|line| line.strip_prefix(start));
    let of_last = |start| last(start).ok_or_else(|| format!("{file} has no `{start}`"));
    let (version, runtime) = (of_last("ARG RUST_VERSION=")?, of_last("FROM ")?);
    let mut arguments = Vec::new();
    let mut rust = rust_of(version);
    if let Err(why) = pull(storage, &rust) {
        let version = machines_rust()?;
        eprintln!("images: Debian with Rust {version} stands in for {rust}: {why}");
        rust = rust_of(&version);
        if !exists(storage, &rust) {
            make_rust(storage, &rust)?;
        }
        arguments.push(format!("--build-arg=RUST_VERSION={version}"));
    }
    if let Err(why) = pull(storage, runtime) {
        eprintln!("images: libraries of Debian stand in for {runtime}: {why}");
        if !exists(storage, runtime) {
            make_runtime(storage, runtime, &rust)?;
        }
    }
    Ok(arguments)
}

fn pull(storage: &Storage, image: &str) -> Result<(), String> {
    output(storage.command().args(["pull", "--quiet", image]))?;
    eprintln!("images: {image} was pulled");
    Ok(())
}

fn exists(storage: &Storage, image: &str) -> bool {
    output(storage.command().args(["image", "exists", image])).is_ok()
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

/// The parts of Debian that a program in Rust needs, with the settings of the image it stands in for.
fn make_runtime(storage: &Storage, image: &str, rust: &str) -> Result<(), String> {
    let folder = TempDir::new();
    let file = folder.path().join("Dockerfile");
    let dockerfile = format!(
        "FROM {rust} AS debian\n\
         RUN mkdir --parents /image/etc /image/home/nonroot && mkdir --mode=1777 /image/tmp \
          && chown {USER}:{USER} /image/home/nonroot \
          && echo nonroot:x:{USER}:{USER}:nonroot:/home/nonroot:/sbin/nologin > /image/etc/passwd \
          && cp --parents --dereference /{CERTIFICATES} /lib*/ld-linux-*.so.* \
             /lib/*-linux-gnu/libc.so.6 /lib/*-linux-gnu/libm.so.6 /lib/*-linux-gnu/libgcc_s.so.1 \
             /image\n\
         FROM scratch\n\
         COPY --from=debian /image/ /\n\
         ENV SSL_CERT_FILE=/{CERTIFICATES}\n\
         WORKDIR /home/nonroot\n\
         USER {USER}:{USER}\n"
    );
    std::fs::write(&file, dockerfile).map_err(|error| format!("{}: {error}", file.display()))?;
    let mut build = storage.command();
    build.args(["build", "--network=host", "--pull-never", "--tag", image, "--file"]);
    output(build.arg(&file).arg(folder.path())).map(|_| ())
}
