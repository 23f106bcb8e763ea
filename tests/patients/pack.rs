//! Makes recordings as small as they get, to be kept beside the sources.

use std::fs::{self, File};
use std::io;
use std::path::Path;

use mcap::records::MessageHeader;
use mcap::{Compression, MessageStream, WriteOptions};
use tokio_canary::feed::recording::{self, Recorder, Speed};

/// Zstd's strongest level that is not called ultra.
const LEVEL: u32 = 19;

/// Writes a recording again, without what the recorder leaves out today, and puts all messages into one chunk.
///
/// # Errors
///
/// When it cannot be read, or cannot be written.
pub(crate) fn pack(path: &Path) -> io::Result<()> {
    let scratch = tempfile::tempdir()?;
    let anew = scratch.path().join("anew.mcap");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(record_anew(path, &anew))?;
    let small = scratch.path().join("small.mcap");
    join_chunks(&fs::read(&anew)?, &small).map_err(io::Error::other)?;
    // The folder for scratch may be on another disk.
    fs::copy(&small, path).map(drop)
}

async fn record_anew(from: &Path, to: &Path) -> io::Result<()> {
    let name = from.file_name().unwrap_or_default().to_string_lossy();
    let recorder = Recorder::create(to, &name).map_err(io::Error::other)?;
    let feed = recording::open(from, Speed::Max).map_err(io::Error::other)?;
    let mut tee = recording::tee(feed, recorder);
    while tee.feed.events.recv().await.is_some() {}
    let written = tee.done.await.map_err(io::Error::other)?;
    written.map(drop).map_err(io::Error::other)
}

/// Writes the messages of a recording as one chunk. A crash loses no part of it any more, which is what smaller chunks are for.
fn join_chunks(recording: &[u8], to: &Path) -> mcap::McapResult<()> {
    let options = WriteOptions::new()
        .profile(recording::PROFILE)
        .compression(Some(Compression::Zstd))
        .compression_level(LEVEL)
        .chunk_size(None)
        .disable_seeking(true)
        .repeat_schemas(false);
    let mut writer = options.create(io::BufWriter::new(File::create(to)?))?;
    for message in MessageStream::new(recording)? {
        let message = message?;
        let channel = &message.channel;
        let schema = match &channel.schema {
            Some(schema) => writer.add_schema(&schema.name, &schema.encoding, &schema.data)?,
            None => 0,
        };
        let channel_id = writer.add_channel(schema, &channel.topic, &channel.message_encoding, &channel.metadata)?;
        let header = MessageHeader {
            channel_id,
            sequence: message.sequence,
            log_time: message.log_time,
            publish_time: message.publish_time,
        };
        writer.write_to_known_channel(&header, &message.data)?;
    }
    writer.finish().map(drop)
}
