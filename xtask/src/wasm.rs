//! The outer form of a wasm module. WebAssembly core specification 2.0, section 5.5.

use anyhow::{Context, Result, bail, ensure};

/// The sections that are asked for by their number.
pub(crate) const IMPORTS: u8 = 2;
pub(crate) const CODE: u8 = 10;
pub(crate) const DATA: u8 = 11;

/// A section: what kind it is of, and what is in it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Section<'a> {
    pub(crate) id: u8,
    pub(crate) body: &'a [u8],
}

/// All sections in their order.
pub(crate) fn sections(wasm: &[u8]) -> Result<Vec<Section<'_>>> {
    let mut reader = Reader::new(wasm);
    ensure!(
        reader.take(8)? == b"\0asm\x01\0\0\0",
        "this is not a wasm module of version 1"
    );
    let mut found = Vec::new();
    while !reader.rest.is_empty() {
        let id = reader.byte()?;
        let length = reader.number()?;
        found.push(Section {
            id,
            body: reader.take(length)?,
        });
    }
    Ok(found)
}

/// Reads values one after the other. Core specification, section 5.2.
#[derive(Debug)]
pub(crate) struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    pub(crate) fn take(&mut self, length: usize) -> Result<&'a [u8]> {
        let (taken, rest) = self
            .rest
            .split_at_checked(length)
            .context("the wasm file is cut")?;
        self.rest = rest;
        Ok(taken)
    }

    pub(crate) fn byte(&mut self) -> Result<u8> {
        Ok(self.take(1)?[0])
    }

    /// An unsigned LEB128 number; the format allows at most 64 bits.
    pub(crate) fn number(&mut self) -> Result<usize> {
        let mut value = 0_u64;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return usize::try_from(value).context("a number in the wasm file is too big");
            }
        }
        bail!("a number in the wasm file is too long")
    }

    pub(crate) fn name(&mut self) -> Result<String> {
        let length = self.number()?;
        Ok(String::from_utf8_lossy(self.take(length)?).into_owned())
    }
}
