//! `WatchUpdates` with the size of each message, which the generated client does not tell.

use console_api::instrument::{InstrumentRequest, Update};
use prost::Message;
use prost::bytes::Buf;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::codegen::http::uri::PathAndQuery;
use tonic::transport::Channel;
use tonic::{GrpcMethod, Request, Status, Streaming};

/// One message of `WatchUpdates`.
pub(super) struct Decoded {
    pub(super) message: Update,
    pub(super) wire_bytes: usize,
}

/// Calls `WatchUpdates`. A message that cannot be decoded ends the stream with [`tonic::Code::DataLoss`], one above the limit with
/// [`tonic::Code::OutOfRange`].
pub(super) async fn watch_updates(channel: Channel, decode_limit: usize) -> Result<Streaming<Decoded>, Status> {
    let mut grpc = tonic::client::Grpc::new(channel).max_decoding_message_size(decode_limit);
    grpc.ready().await.map_err(|error| Status::from_error(error.into()))?;
    let mut request = Request::new(InstrumentRequest {});
    request.extensions_mut().insert(GrpcMethod::new("rs.tokio.console.instrument.Instrument", "WatchUpdates"));
    let path = PathAndQuery::from_static("/rs.tokio.console.instrument.Instrument/WatchUpdates");
    Ok(grpc.server_streaming(request, path, UpdateCodec).await?.into_inner())
}

struct UpdateCodec;

impl Codec for UpdateCodec {
    type Encode = InstrumentRequest;
    type Decode = Decoded;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self
    }

    fn decoder(&mut self) -> Self {
        Self
    }
}

impl Encoder for UpdateCodec {
    type Item = InstrumentRequest;
    type Error = Status;

    fn encode(&mut self, item: Self::Item, buf: &mut EncodeBuf<'_>) -> Result<(), Status> {
        item.encode(buf).map_err(|error| Status::internal(error.to_string()))
    }
}

impl Decoder for UpdateCodec {
    type Item = Decoded;
    type Error = Status;

    fn decode(&mut self, buf: &mut DecodeBuf<'_>) -> Result<Option<Decoded>, Status> {
        let wire_bytes = buf.remaining();
        let message = Update::decode(buf).map_err(|error| Status::data_loss(error.to_string()))?;
        Ok(Some(Decoded { message, wire_bytes }))
    }
}
