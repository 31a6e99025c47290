//! A live page of pools, as an [axum] router that an app mounts where it likes.
//!
//! ```no_run
//! use axum::Router;
//! use flame_aws::Pool;
//!
//! # async fn example(pool: Pool) -> std::io::Result<()> {
//! let app = Router::new().nest("/pools", pool.dashboard().into_router());
//! let listener = tokio::net::TcpListener::bind("127.0.0.1:3000").await?;
//! axum::serve(listener, app).await
//! # }
//! ```
//!
//! The page shows the runners, the queue, the calls under way and the last ones with their phases,
//! events, errors with the last lines that a runner printed, metrics, and what
//! [`Pool::explain`](crate::Pool::explain) says. It needs no other file and no other host.
//!
//! | path | answer |
//! |---|---|
//! | `/` | the page |
//! | `/view.json` | everything that the page shows, once |
//! | `/events` | the same as server-sent events: one `view`, then a `patch` at most four times a second and only after a change, and `end` when all pools have ended |
//! | `/runners/REF/drain`, `/runners/REF/stop` | POST; only with [`control`](Dashboard::control) |
//!
//! The JSON is for the page and for `flame-top` of the same version, and may change with any version.
//!
//! # Who can see it
//!
//! **The page has no login.** Everyone who can open it sees names of functions, texts of errors and
//! panics, and lines that runners printed. Mount it behind the app's own authentication, or on an
//! address that only you can reach. A page of another site can't read it, unless that site's name
//! resolves to your address: an address of this machine alone is no protection from that, and the
//! app's own check of the `Host` header is.
//!
//! # Shutdown
//!
//! An open page keeps its connection. So axum's graceful shutdown waits for the page until all pools
//! have ended. Drain the pools before you wait for the server, or give up the server.
//!
//! [axum]: https://docs.rs/axum/0.8

use std::fmt;
use std::sync::{Arc, Weak};

use crate::pool::{Events, Pool, PoolInner};
use shared::Shared;

mod control;
mod recorder;
mod server;
mod shared;
mod view;
mod wording;

/// A live page of one or more pools. It records what the pools do from its creation on, and does not
/// keep them alive: a pool that has ended is shown as drained.
#[must_use = "the page is served by the router of `into_router`"]
pub struct Dashboard {
    pools: Vec<WatchedPool>,
    control: bool,
}

/// A pool that a page shows.
struct WatchedPool {
    name: String,
    pool: Weak<PoolInner>,
    events: Events,
    runtime: tokio::runtime::Handle,
}

impl fmt::Debug for Dashboard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let pools: Vec<_> = self.pools.iter().map(|pool| &pool.name).collect();
        let Self { control, .. } = self;
        f.debug_struct("Dashboard").field("pools", &pools).field("control", control).finish()
    }
}

impl Dashboard {
    /// A page of these pools, in this order.
    ///
    /// ```no_run
    /// # use flame_aws::{Pool, dashboard::Dashboard};
    /// # fn example(fast: &Pool, slow: &Pool) -> axum::Router {
    /// Dashboard::of([fast, slow]).into_router()
    /// # }
    /// ```
    pub fn of<'a>(pools: impl IntoIterator<Item = &'a Pool>) -> Self {
        let watched = |pool: &Pool| WatchedPool {
            name: pool.name().to_owned(),
            pool: Arc::downgrade(pool.inner()),
            events: pool.events(),
            runtime: pool.inner().runtime().clone(),
        };
        Self { pools: pools.into_iter().map(watched).collect(), control: false }
    }

    /// Whether the page can stop and drain runners. Default: `false`, and then these paths do not
    /// exist.
    ///
    /// A request for this must come from the page itself: it has a token that only the page knows,
    /// and a browser must not say that it comes from another site. This protects people who have
    /// opened the page from other sites. It does not replace a login.
    pub fn control(mut self, enabled: bool) -> Self {
        self.control = enabled;
        self
    }

    /// The router. It can be [nested](axum::Router::nest) at any path, because the page finds its
    /// other paths by its own address.
    ///
    /// At most 32 pages are served with events at a time. One more gets a 503.
    pub fn into_router(self) -> axum::Router {
        server::router(Shared::start(self.pools, self.control))
    }
}
