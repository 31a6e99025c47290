//! A call whose caller has not decided yet where it runs: the common part of both kinds of work.

use super::{CallOptions, EncodedWork, ReplyDecoder};
use crate::calling::{
    blob::BlobTable,
    channel::ChannelTable,
    codec::{Codec, CodecError, encoder::Encoder},
    held::HeldTable,
    side_tables::SideTables,
    table::FunctionEntry,
};

/// `R` is the boxed future or stream that runs here.
pub(super) struct PendingWork<'a, T, R> {
    entry: &'static FunctionEntry,
    codec: Codec<T>,
    pub(super) options: CallOptions,
    state: WorkState<'a, R>,
}

enum WorkState<'a, R> {
    Pending(Box<dyn StartCall<R> + Send + 'a>),
    Running(R),
    /// Starting it panicked.
    Panicked,
}

impl<'a, T, R> PendingWork<'a, T, R> {
    pub(super) fn new<A: Send + 'a>(
        entry: &'static FunctionEntry,
        args: A,
        encode: fn(&A, &mut Encoder) -> Result<(), CodecError>,
        start: fn(A) -> R,
        codec: Codec<T>,
    ) -> Self
    where
        R: 'a,
    {
        let state = WorkState::Pending(Box::new(BoundCall { args, encode, start }));
        Self { entry, codec, options: CallOptions::default(), state }
    }

    pub(super) fn entry(&self) -> &'static FunctionEntry {
        self.entry
    }

    /// The future or stream that runs here. The first call starts it.
    ///
    /// # Panics
    /// If starting it panics, and at every later call.
    #[expect(clippy::panic, reason = "like any future that is polled after it has panicked")]
    pub(super) fn run(&mut self) -> &mut R {
        if let WorkState::Pending(_) = self.state
            && let WorkState::Pending(call) =
                std::mem::replace(&mut self.state, WorkState::Panicked)
        {
            self.state = WorkState::Running(call.start());
        }
        match &mut self.state {
            WorkState::Running(running) => running,
            _ => panic!("`{}` was polled after it panicked", self.entry.name),
        }
    }

    pub(super) fn encode(self) -> Result<(EncodedWork, ReplyDecoder<T>), CodecError> {
        let WorkState::Pending(call) = self.state else {
            return Err(CodecError::Started { function: self.entry.name });
        };
        let encoded = encode(self.entry, &*call, self.options)?;
        Ok((encoded, ReplyDecoder::new(self.codec)))
    }
}

/// Not a method, so that it is compiled once, and not for each type of result.
fn encode(
    entry: &'static FunctionEntry,
    call: &dyn EncodeArguments,
    options: CallOptions,
) -> Result<EncodedWork, CodecError> {
    // No runner is booted for a call that no runner could serve.
    entry.check_states()?;
    let mut tables = SideTables {
        blobs: BlobTable::Out(Vec::new()),
        channel_ends: ChannelTable::Out(Vec::new()),
        held: HeldTable::ArgumentsOut(Vec::new()),
    };
    let mut encoder = Encoder::default();
    tables.scope(|| call.encode(&mut encoder))?;
    Ok(EncodedWork {
        function: entry.id,
        name: entry.name,
        body: encoder.finish(tables.blobs.into_collected())?,
        channel_ends: tables.channel_ends.into_collected(),
        held_guards: tables.held.into_guards(),
        options,
    })
}

/// The arguments of a call, type-erased.
trait EncodeArguments {
    fn encode(&self, encoder: &mut Encoder) -> Result<(), CodecError>;
}

/// A function and its arguments, type-erased.
trait StartCall<R>: EncodeArguments {
    fn start(self: Box<Self>) -> R;
}

struct BoundCall<A, R> {
    args: A,
    encode: fn(&A, &mut Encoder) -> Result<(), CodecError>,
    start: fn(A) -> R,
}

impl<A, R> EncodeArguments for BoundCall<A, R> {
    fn encode(&self, encoder: &mut Encoder) -> Result<(), CodecError> {
        (self.encode)(&self.args, encoder)
    }
}

impl<A, R> StartCall<R> for BoundCall<A, R> {
    fn start(self: Box<Self>) -> R {
        (self.start)(self.args)
    }
}
