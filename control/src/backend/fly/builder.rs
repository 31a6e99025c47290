//! The options of the Fly backend.

use std::fmt;
use std::time::Duration;

use flame_wire::token::Zeroizing;

use super::Fly;
use super::guest::CpuKind;
use crate::backend::sweep::Sweeping;

/// The options of a [`Fly`] backend.
///
/// A setting that is not set here comes from the environment, if a variable is named below. Fly sets
/// these variables in each machine, except the token. All settings are checked when the pool starts.
#[derive(Clone, Default)]
#[must_use = "call `build` to get the backend"]
pub struct FlyBuilder {
    pub(super) host: Option<String>,
    pub(super) app: Option<String>,
    pub(super) image: Option<String>,
    pub(super) token: Option<Zeroizing<String>>,
    pub(super) region: Option<String>,
    pub(super) cpu_kind: Option<CpuKind>,
    pub(super) cpus: Option<u32>,
    pub(super) memory: Option<u32>,
    pub(super) gpu_kind: Option<String>,
    pub(super) gpus: Option<u32>,
    pub(super) command: Option<Vec<String>>,
    pub(super) env: Vec<(String, String)>,
    pub(super) metadata: Vec<(String, String)>,
    pub(super) sweep: Sweeping,
}

impl fmt::Debug for FlyBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Without `token` and `env`: they are secret, or have secrets.
        f.debug_struct("FlyBuilder")
            .field("host", &self.host)
            .field("app", &self.app)
            .field("image", &self.image)
            .field("region", &self.region)
            .finish_non_exhaustive()
    }
}

impl FlyBuilder {
    /// The backend. It makes no request to Fly before its pool starts.
    #[must_use]
    pub fn build(self) -> Fly {
        Fly::new(self)
    }

    /// The address of the Machines API. `FLY_FLAPS_BASE_URL`, which Fly's own command line reads;
    /// default: `https://api.machines.dev`. Within a private network of Fly it is also at
    /// `http://_api.internal:4280`. An address with `http` is connected to directly, and one with
    /// `https` through the proxy of the environment, if there is one.
    pub fn host(mut self, url: impl Into<String>) -> Self {
        self.host = Some(url.into());
        self
    }

    /// The app that the machines are created in. `FLY_APP_NAME`; default: none.
    pub fn app(mut self, name: impl Into<String>) -> Self {
        self.app = Some(name.into());
        self
    }

    /// The image of the runners. `FLY_IMAGE_REF`, which is the image of this machine; default: none.
    pub fn image(mut self, image: impl Into<String>) -> Self {
        self.image = Some(image.into());
        self
    }

    /// The API token, which must be allowed to create and destroy machines in the app, as that of
    /// `fly tokens create deploy` is. `FLY_API_TOKEN`; default: none. It is sent to
    /// [`host`](Self::host) only.
    pub fn token(mut self, token: impl Into<String>) -> Self {
        self.token = Some(Zeroizing::new(token.into()));
        self
    }

    /// The region of the machines, such as `ams`. `FLY_REGION`, which is that of this machine;
    /// default: Fly chooses one near to the caller.
    pub fn region(mut self, region: impl Into<String>) -> Self {
        self.region = Some(region.into());
        self
    }

    /// The kind of the CPUs. Default: [`Shared`](CpuKind::Shared), or, with GPUs,
    /// [`Performance`](CpuKind::Performance).
    pub fn cpu_kind(mut self, kind: CpuKind) -> Self {
        self.cpu_kind = Some(kind);
        self
    }

    /// The number of CPUs. Default: 1. The pool's [`size`](crate::PoolBuilder::size) sets this,
    /// `memory` and `gpus` in the words of all backends.
    pub fn cpus(mut self, count: u32) -> Self {
        self.cpus = Some(count);
        self
    }

    /// The memory, in MiB: a multiple of 256. Default: the least that Fly offers for these CPUs,
    /// which is 256 MiB for a shared CPU, and 2,048 MiB for one of the kind `performance`.
    pub fn memory(mut self, mib: u32) -> Self {
        self.memory = Some(mib);
        self
    }

    /// The kind of the GPUs, such as `l40s` or `a100-pcie-40gb`. Default: no GPUs.
    pub fn gpu_kind(mut self, kind: impl Into<String>) -> Self {
        self.gpu_kind = Some(kind.into());
        self
    }

    /// The number of GPUs. Default: 1 if [`gpu_kind`](Self::gpu_kind) is set, otherwise none.
    pub fn gpus(mut self, count: u32) -> Self {
        self.gpus = Some(count);
        self
    }

    /// The command, which replaces that of the image. Default: the image's command.
    pub fn command(mut self, words: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.command = Some(words.into_iter().map(Into::into).collect());
        self
    }

    /// Sets an environment variable of the runners, in addition to the image's and to the secrets of
    /// the app. Anyone with a token for the app can read it.
    pub fn env(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.env.push((name.into(), value.into()));
        self
    }

    /// Adds a metadata value to each machine, in addition to those for pool, runner and parent. A
    /// key is set once, is not empty, and begins with neither `flame_` nor `fly_`.
    pub fn metadata(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.metadata.push((key.into(), value.into()));
        self
    }

    /// How often the pool looks for machines that were left behind, and how old a machine must be to
    /// count as one. Default: every 5 min, and 10 min. See [`Fly`] for which machines these are.
    pub fn sweep(mut self, interval: Duration, age: Duration) -> Self {
        let interval = interval.max(Duration::from_millis(100));
        self.sweep = Sweeping::Every { interval, age };
        self
    }

    /// Switches the search for machines that were left behind off.
    pub fn no_sweep(mut self) -> Self {
        self.sweep = Sweeping::Never;
        self
    }
}
