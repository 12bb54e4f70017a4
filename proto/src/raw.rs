//! gRPC with messages left as bytes on one side or both: for a server that reads requests borrowed, for a client whose requests
//! are encoded already, and for what passes calls on.

use bytes::{Buf, BufMut, Bytes};
use std::marker::PhantomData;
use tonic::Status;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic_prost::{ProstDecoder, ProstEncoder};

/// A server's: it reads requests itself, and answers with messages.
pub type Reading<Answer> = Sides<ProstEncoder<Answer>, Raw>;

/// A client's: its requests are encoded, its answers messages.
pub type Encoded<Answer> = Sides<Raw, ProstDecoder<Answer>>;

/// Bytes both ways.
pub type Passing = Sides<Raw, Raw>;

/// What goes out by `Out` and comes in by `In`.
#[derive(Clone, Copy, Debug, Default)]
pub struct Sides<Out, In>(PhantomData<(Out, In)>);

/// A message as its bytes.
#[derive(Clone, Copy, Debug, Default)]
pub struct Raw;

impl<Out, In> Codec for Sides<Out, In>
where
    Out: Encoder<Error = Status> + Default + Send + 'static,
    In: Decoder<Error = Status> + Default + Send + 'static,
    Out::Item: Send + 'static,
    In::Item: Send + 'static,
{
    type Encode = Out::Item;
    type Decode = In::Item;
    type Encoder = Out;
    type Decoder = In;

    fn encoder(&mut self) -> Out {
        Out::default()
    }

    fn decoder(&mut self) -> In {
        In::default()
    }
}

impl Encoder for Raw {
    type Item = Bytes;
    type Error = Status;

    fn encode(&mut self, item: Bytes, out: &mut EncodeBuf<'_>) -> Result<(), Status> {
        out.put(item);
        Ok(())
    }
}

impl Decoder for Raw {
    type Item = Bytes;
    type Error = Status;

    fn decode(&mut self, from: &mut DecodeBuf<'_>) -> Result<Option<Bytes>, Status> {
        Ok(Some(from.copy_to_bytes(from.remaining())))
    }
}
