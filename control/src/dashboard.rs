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
//! The page shows the runners, the queue, the calls under way and the last calls with their phases,
//! events, errors with the last lines that a runner printed, metrics, and the sentence of
//! [`Pool::explain`](crate::Pool::explain). It needs no other file and no other host.
//!
//! | path | answer |
//! |---|---|
//! | `/` | the page |
//! | `/view.json` | everything that the page shows, once |
//! | `/events` | the same as server-sent events: one `view`, then a `patch` at most four times a second and only after a change, and `end` when all pools have ended |
//! | `/runners/REF/drain`, `/runners/REF/stop` | POST; only with [`control`](Dashboard::control) |
//!
//! The JSON is for the page and for `flame-top` of the same version, and may change with any
//! version.
//!
//! # Access
//!
//! **The page has no login.** Everyone who can open it sees names of functions, texts of errors and
//! panics, and lines that runners printed. Mount it behind the app's own authentication, or on an
//! address that only you can reach. A page of another site can't read the live page, unless the
//! name of that site resolves to your address. An address that only this machine can reach is no
//! protection from such a name. A check of the `Host` header in the app is one.
//!
//! # Shutdown
//!
//! An open page keeps its connection. So axum's graceful shutdown waits for the page until all
//! pools have ended. Drain the pools before you wait for the server, or give up the server.
//!
//! [axum]: https://docs.rs/axum/0.8

use std::fmt;
use std::sync::{Arc, Weak};

use crate::pool::{Events, Pool, PoolInner};
use page_state::PageState;

mod control;
mod page_state;
mod recorder;
mod server;
mod view;
mod wording;

/// A live page of one or more pools. The page records the events of the pools from its creation on,
/// and does not keep the pools alive: a pool that has ended is shown as drained.
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
    /// A request that ends a runner must come from the page itself: it must have a token that only
    /// the page knows, and the browser must not mark it as a request of another site. So another
    /// site can't use the browser of a person who has opened the page. The token does not replace a
    /// login.
    pub fn control(mut self, enabled: bool) -> Self {
        self.control = enabled;
        self
    }

    /// The router. It can be [nested](axum::Router::nest) at any path, because the page finds its
    /// other paths by its own address.
    ///
    /// At most 32 open pages get events at a time. A further page gets the status 503.
    pub fn into_router(self) -> axum::Router {
        server::router(PageState::start(self.pools, self.control))
    }
}
