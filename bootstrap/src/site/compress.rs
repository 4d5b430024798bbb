//! Compressed copies of a file. The build script makes those of the node's own page with it.

use std::io::{self, Write as _};

/// A compressed copy is worth its place in memory when it saves one byte of this many.
const WORTH: usize = 20;
/// The largest window that every browser takes (RFC 7932, section 9.1), in powers of two.
const BROTLI_WINDOW: i32 = 24;

/// How much time it may take.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Effort {
    /// Of brotli, up to 11.
    pub(crate) brotli: i32,
    /// Of gzip, up to 9.
    pub(crate) gzip: u32,
}

/// The copies by brotli (RFC 7932) and by gzip (RFC 1952), of those that save enough.
///
/// # Errors
///
/// None but for want of memory.
pub(crate) fn copies(content: &[u8], effort: Effort) -> io::Result<[Option<Vec<u8>>; 2]> {
    let is_worth = |packed: &Vec<u8>| packed.len() + content.len() / WORTH <= content.len();
    let copies = [brotli(content, effort.brotli)?, gzip(content, effort.gzip)?];
    Ok(copies.map(|packed| Some(packed).filter(|packed| !content.is_empty() && is_worth(packed))))
}

fn brotli(content: &[u8], quality: i32) -> io::Result<Vec<u8>> {
    let mut packed = Vec::new();
    let params = brotli::enc::BrotliEncoderParams {
        quality,
        lgwin: BROTLI_WINDOW,
        size_hint: content.len(),
        ..Default::default()
    };
    brotli::BrotliCompress(&mut &content[..], &mut packed, &params)?;
    Ok(packed)
}

fn gzip(content: &[u8], level: u32) -> io::Result<Vec<u8>> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::new(level));
    encoder.write_all(content)?;
    encoder.finish()
}
