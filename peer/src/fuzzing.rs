//! Ways in for the fuzz targets of this repository (`fuzz/`). Only built with `--cfg fuzzing`.

use futures::{AsyncReadExt as _, AsyncWriteExt as _, executor::block_on, io::Cursor};
use moim_protocol::limits::STREAM_HEADER_BYTES_MAX;

use crate::{
    bootstrap::{BootstrapSource, DOCUMENT_ADDRESSES_MAX, Target},
    streams::chunks::Chunks,
};

/// What was fetched as `bootstrap.json`, or typed as a source.
pub fn bootstrap_document(body: &[u8]) {
    if let Ok(target) = Target::from_document(body, "http://localhost:8470/bootstrap.json") {
        assert!(target.peer.is_some());
        assert!((1..=DOCUMENT_ADDRESSES_MAX).contains(&target.addresses.len()));
    }
    if let Ok(text) = std::str::from_utf8(body)
        && let Ok(source) = text.parse::<BootstrapSource>()
    {
        let again = source.to_string().parse().expect("it was written so");
        assert_eq!(source, again);
    }
}

/// What comes on a program's stream: its header, if there is one. What is read of the rest reads the same when it is
/// written again.
pub fn stream(bytes: &[u8]) -> Option<Vec<u8>> {
    let mut chunks = Chunks::new(Cursor::new(bytes));
    let header = block_on(chunks.read_header()).ok()?;
    assert!(header.len() <= STREAM_HEADER_BYTES_MAX + 1);
    let mut rest = Vec::new();
    let is_whole = block_on(chunks.read_to_end(&mut rest)).is_ok();
    assert!(rest.len() <= bytes.len());
    if is_whole {
        let mut written = Chunks::new(Cursor::new(Vec::new()));
        let again = block_on(async {
            written.write_all(&rest).await?;
            written.close().await?;
            let mut reading = Chunks::new(Cursor::new(written.into_inner().into_inner()));
            let mut again = Vec::new();
            reading.read_to_end(&mut again).await.map(|_| again)
        });
        assert_eq!(again.expect("it ends"), rest);
    }
    Some(header)
}
