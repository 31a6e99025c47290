//! The public types can be shared between threads, and calls can be spawned. This file checks that
//! by compiling: it has no test to run.

use flame_aws::backend::{BackendError, Local, Process};
use flame_aws::{
    App, AppError, BadOption, Blob, BootFailure, CallError, CallStream, ChannelError, Child,
    CodeSyncError, CodecError, Events, Explanation, Held, HeldRunner, Lagged, LimitsChange,
    NotHere, Pool, PoolBuilder, PoolError, PoolEvent, Receiver, RemoteError, Sender, Snapshot,
    StreamWork, Work,
};

const fn is_shareable<T: Send + Sync + 'static>() {}
const fn is_sendable<T: Send + 'static>() {}
const fn is_error<T: std::error::Error + Send + Sync + 'static>() {}

const _: () = {
    is_shareable::<Pool>();
    is_shareable::<PoolBuilder>();
    is_shareable::<HeldRunner>();
    is_shareable::<Child<u32>>();
    is_shareable::<Sender<u32>>();
    is_shareable::<Receiver<u32>>();
    is_shareable::<Held<u32>>();
    is_shareable::<Blob>();
    is_shareable::<Events>();
    is_shareable::<PoolEvent>();
    is_shareable::<Snapshot>();
    is_shareable::<Explanation>();
    is_shareable::<LimitsChange>();
    is_shareable::<Local>();
    is_shareable::<Process>();
    is_shareable::<BadOption>();

    is_sendable::<App>();
    is_sendable::<Work<'static, u32>>();
    is_sendable::<StreamWork<'static, u32>>();
    is_sendable::<CallStream<u32>>();

    is_error::<AppError>();
    is_error::<BackendError>();
    is_error::<BootFailure>();
    is_error::<CallError>();
    is_error::<ChannelError>();
    is_error::<CodeSyncError>();
    is_error::<CodecError>();
    is_error::<Lagged>();
    is_error::<NotHere>();
    is_error::<PoolError>();
    is_error::<RemoteError>();
};

fn sendable<F: Future + Send>(_: F) {}

/// The futures of every operation that an app awaits. Never called.
#[expect(dead_code, reason = "compiling it is the check")]
fn futures_are_sendable(
    pool: &Pool,
    runner: &HeldRunner,
    child: Child<u32>,
    sender: &Sender<u32>,
    mut receiver: Receiver<u32>,
    mut events: Events,
) {
    sendable(super::plain(1));
    sendable(pool.call(super::plain(1)));
    sendable(pool.try_call(super::results::fails()));
    sendable(pool.cast(super::plain(1)));
    sendable(pool.place_child(super::plain(1)));
    sendable(runner.call(super::plain(1)));
    sendable(pool.ready());
    sendable(pool.drain());
    sendable(child.join());
    sendable(sender.send(1));
    sendable(receiver.recv());
    sendable(events.next());
    sendable(Pool::builder("sendable").start());
}
