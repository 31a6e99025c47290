//! The module as its drivers use it, without the macro: functions, works and entries are written
//! out, a "link" is a function call, and parent and runner are this process.

mod blobs;
mod channels;
mod functions;
mod held;
mod states;
mod tables;

use std::sync::Arc;

use flame_wire::body::{Body, Value};
use flame_wire::sync::Mutex;
use futures_util::{StreamExt, stream::BoxStream};

use super::{
    __private::{self as private, Codec, ResultProbe},
    Arguments, CodecError, EncodedReply, EncodedWork, Execution, FunctionEntry, HeldGuard, HeldId,
    HeldSource, HeldStore, HeldValue, Kind, Location, PreparedCall, ReplyDecoder, Work,
    codec::SerdeResult as _,
};

/// The location of the tests' entries; no test depends on it.
const HERE: Location = Location { file: "tests.rs", line: 1, column: 1 };

/// The stream of every call in these tests.
const STREAM: u64 = 7;

/// A body after it was sent.
fn cross(body: Body) -> Value {
    let bytes: Vec<u8> = body.into_parts().flat_map(Vec::from).collect();
    Value::decode(bytes.into()).unwrap()
}

/// One runner, reduced to its held values.
#[derive(Default)]
struct Runner(Mutex<Vec<HeldValue>>);

impl HeldStore for Runner {
    fn find(&self, id: HeldId) -> Option<HeldValue> {
        let held = self.0.lock();
        if id.stream == STREAM { held.get(id.index as usize).cloned() } else { None }
    }
}

impl HeldGuard for Runner {
    fn runner(&self) -> u64 {
        1
    }

    fn as_any(&self) -> &dyn std::any::Any {
        self
    }
}

/// Serves an encoded call on `runner`, up to the point where it would be polled.
fn serve(
    runner: &Arc<Runner>,
    entry: &FunctionEntry,
    encoded: &mut EncodedWork,
) -> Result<PreparedCall, CodecError> {
    let body = std::mem::replace(&mut encoded.body, private_body());
    let mut arguments = Arguments::new(cross(body));
    arguments.channels = encoded.channel_ends.len();
    arguments.held = Some(runner.clone());
    entry.invoke(arguments)
}

fn private_body() -> Body {
    flame_wire::body::BodyWriter::new().finish(Vec::new()).unwrap()
}

async fn future_execution(execution: Execution) -> Result<EncodedReply, CodecError> {
    match execution {
        Execution::Future(future) => future.await,
        Execution::Stream(_) => panic!("a stream"),
    }
}

fn stream_execution(execution: Execution) -> BoxStream<'static, Result<EncodedReply, CodecError>> {
    match execution {
        Execution::Future(_) => panic!("no stream"),
        Execution::Stream(items) => items,
    }
}

fn answer<T>(
    runner: &Arc<Runner>,
    reply: ReplyDecoder<T>,
    encoded: EncodedReply,
) -> Result<T, CodecError> {
    let EncodedReply { body, held } = encoded;
    runner.0.lock().extend(held);
    reply.decode(cross(body), Some(HeldSource { stream: STREAM, guard: runner.clone() }))
}

/// To the runner and back.
async fn call<T>(
    runner: &Arc<Runner>,
    work: Work<'_, T>,
    entry: &FunctionEntry,
) -> Result<T, CodecError> {
    let (mut encoded, reply) = work.encode()?;
    assert_eq!(encoded.function, entry.id);
    let invocation = serve(runner, entry, &mut encoded)?;
    answer(runner, reply, future_execution(invocation.execution).await?)
}

/// The same code as `#[remote]` generates for an async function with one owned argument.
macro_rules! remote {
    (fn $name:ident($argument:ident: $of:ty) -> $result:ty $body:block) => {
        mod $name {
            use super::*;
            async fn body($argument: $of) -> $result $body
            fn codec() -> Codec<$result> {
                (&&&ResultProbe::<$result>::NEW).__flame_codec()
            }
            pub(super) static ENTRY: FunctionEntry = FunctionEntry::new(
                (concat!(module_path!(), "::", stringify!($name)), "1.0.0", stringify!($of)),
                Kind::Async,
                HERE,
                &[],
                |call| private::invoke(
                    call,
                    |from| Ok((private::argument::<$of>("argument").decode(from)?,)),
                    |(argument,), scope| private::future_execution(private::boxed_future(body(argument)), codec(), scope),
                ),
            );
            pub(super) fn work($argument: $of) -> Work<'static, $result> {
                private::work(
                    &ENTRY,
                    ($argument,),
                    |args: &($of,), to| private::argument::<$of>("argument").encode(&args.0, to),
                    |(argument,)| private::boxed_future(body(argument)),
                    codec(),
                )
            }
        }
    };
}
use remote;
