//! `WatchUpdates` with the bytes of each message, which the generated client does not give.

use console_api::instrument::InstrumentRequest;
use prost::Message;
use prost::bytes::{Buf, Bytes};
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::codegen::http;
use tonic::codegen::http::uri::PathAndQuery;
use tonic::metadata::MetadataValue;
use tonic::{GrpcMethod, Request, Status, Streaming};
use tower::ServiceExt;

use crate::feed::Update;

use super::connect::Channel;

/// Calls `WatchUpdates`. A message that cannot be decoded ends the stream with [`tonic::Code::DataLoss`], one above the limit with
/// [`tonic::Code::OutOfRange`].
pub(super) async fn watch_updates(channel: Channel, decode_limit: usize) -> Result<Answer, Status> {
    // The status of HTTP is not part of an answer in gRPC: it is taken along.
    let channel = channel.map_response(|mut response: http::Response<_>| {
        let status = response.status();
        response.extensions_mut().insert(status);
        response
    });
    let mut grpc = tonic::client::Grpc::new(channel).max_decoding_message_size(decode_limit);
    grpc.ready().await.map_err(|error| Status::from_error(error.into()))?;
    let mut request = Request::new(InstrumentRequest {});
    request.extensions_mut().insert(GrpcMethod::new("rs.tokio.console.instrument.Instrument", "WatchUpdates"));
    let path = PathAndQuery::from_static("/rs.tokio.console.instrument.Instrument/WatchUpdates");
    let response = grpc.server_streaming(request, path, UpdateCodec).await?;
    let is_grpc = |value: &MetadataValue<_>| value.as_bytes().starts_with(b"application/grpc");
    if !response.metadata().get("content-type").is_some_and(is_grpc) {
        return Ok(Answer::NoGrpc(response.extensions().get().copied().unwrap_or_default()));
    }
    // A status before the first message is the last that comes.
    let has_ended = response.metadata().contains_key("grpc-status");
    Ok(if has_ended { Answer::NoUpdates } else { Answer::Updates(response.into_inner()) })
}

/// How a call of `WatchUpdates` was answered.
#[expect(clippy::large_enum_variant, reason = "there is one a connection, and it is taken apart at once")]
pub(super) enum Answer {
    Updates(Streaming<Update>),
    /// In gRPC, by the end of the stream.
    NoUpdates,
    /// Not in gRPC, but with this status of HTTP.
    NoGrpc(http::StatusCode),
}

struct UpdateCodec;

impl Codec for UpdateCodec {
    type Encode = InstrumentRequest;
    type Decode = Update;
    type Encoder = Self;
    type Decoder = UpdateDecoder;

    fn encoder(&mut self) -> Self {
        Self
    }

    fn decoder(&mut self) -> UpdateDecoder {
        UpdateDecoder::default()
    }
}

impl Encoder for UpdateCodec {
    type Item = InstrumentRequest;
    type Error = Status;

    fn encode(&mut self, item: Self::Item, buf: &mut EncodeBuf<'_>) -> Result<(), Status> {
        item.encode(buf).map_err(|error| Status::internal(error.to_string()))
    }
}

/// Reads messages as pieces of the receive buffer, without copying them.
#[derive(Debug, Default)]
struct UpdateDecoder {
    /// The message before. While it is kept, tonic cannot receive the next one into its memory. Otherwise it would keep the memory of the first
    /// message, which has the whole state of the target, for as long as the connection lasts.
    before: Bytes,
}

impl Decoder for UpdateDecoder {
    type Item = Update;
    type Error = Status;

    fn decode(&mut self, buf: &mut DecodeBuf<'_>) -> Result<Option<Update>, Status> {
        self.before = buf.copy_to_bytes(buf.remaining());
        Update::decode(self.before.clone()).map(Some).map_err(|error| Status::data_loss(error.to_string()))
    }
}
