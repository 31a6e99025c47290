//! A call that waits for its caller to decide where it runs; what both kinds of work share.

use super::{Encoded, Options, Reply};
use crate::calling::{
    blob::Blobs,
    channel::Ends,
    codec::{Codec, CodecError, encoder::Encoder},
    crossing::Crossing,
    held::Helds,
    table::Entry,
};

/// `R` is what runs here: a boxed future or stream.
pub(super) struct Pending<'a, T, R> {
    entry: &'static Entry,
    codec: Codec<T>,
    pub(super) options: Options,
    stage: Stage<'a, R>,
}

enum Stage<'a, R> {
    Waiting(Box<dyn Start<R> + Send + 'a>),
    Running(R),
    /// Starting it has panicked.
    Panicked,
}

impl<'a, T, R> Pending<'a, T, R> {
    pub(super) fn new<A: Send + 'a>(
        entry: &'static Entry,
        args: A,
        encode: fn(&A, &mut Encoder) -> Result<(), CodecError>,
        start: fn(A) -> R,
        codec: Codec<T>,
    ) -> Self
    where
        R: 'a,
    {
        let stage = Stage::Waiting(Box::new(Call { args, encode, start }));
        Self { entry, codec, options: Options::default(), stage }
    }

    pub(super) fn entry(&self) -> &'static Entry {
        self.entry
    }

    /// What runs here, started if it was not.
    ///
    /// # Panics
    /// When starting it panics, and from then on.
    #[expect(clippy::panic, reason = "as any future that is polled after it has panicked")]
    pub(super) fn run(&mut self) -> &mut R {
        if let Stage::Waiting(_) = self.stage
            && let Stage::Waiting(call) = std::mem::replace(&mut self.stage, Stage::Panicked)
        {
            self.stage = Stage::Running(call.start());
        }
        match &mut self.stage {
            Stage::Running(running) => running,
            _ => panic!("`{}` polled after it has panicked", self.entry.name),
        }
    }

    pub(super) fn encode(self) -> Result<(Encoded, Reply<T>), CodecError> {
        let Stage::Waiting(call) = self.stage else {
            return Err(CodecError::Started { function: self.entry.name });
        };
        let encoded = encode(self.entry, &*call, self.options)?;
        Ok((encoded, Reply::new(self.codec)))
    }
}

/// Not a method: so it is compiled once, and not for each type of result.
fn encode(
    entry: &'static Entry,
    call: &dyn Encode,
    options: Options,
) -> Result<Encoded, CodecError> {
    // No runner is booted for a call that it could not serve.
    entry.check_states()?;
    let mut crossing = Crossing {
        blobs: Blobs::Out(Vec::new()),
        ends: Ends::Out(Vec::new()),
        helds: Helds::ArgumentsOut(Vec::new()),
    };
    let mut encoder = Encoder::default();
    crossing.scope(|| call.encode(&mut encoder))?;
    Ok(Encoded {
        function: entry.id,
        name: entry.name,
        body: encoder.finish(crossing.blobs.into_collected())?,
        ends: crossing.ends.into_collected(),
        helds: crossing.helds.into_guards(),
        options,
    })
}

/// The arguments of a call, type-erased.
trait Encode {
    fn encode(&self, encoder: &mut Encoder) -> Result<(), CodecError>;
}

/// A function and its arguments, type-erased.
trait Start<R>: Encode {
    fn start(self: Box<Self>) -> R;
}

struct Call<A, R> {
    args: A,
    encode: fn(&A, &mut Encoder) -> Result<(), CodecError>,
    start: fn(A) -> R,
}

impl<A, R> Encode for Call<A, R> {
    fn encode(&self, encoder: &mut Encoder) -> Result<(), CodecError> {
        (self.encode)(&self.args, encoder)
    }
}

impl<A, R> Start<R> for Call<A, R> {
    fn start(self: Box<Self>) -> R {
        (self.start)(self.args)
    }
}
