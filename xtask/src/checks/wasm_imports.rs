//! What the page's wasm asks the browser for.
//!
//! A crate with C code or a native-only path compiles to wasm and links: the missing functions
//! become imports from a module called `env`, and the page fails when it is opened. So the imports
//! are read from the file that was built.

use anyhow::{Context, Result, bail, ensure};

/// Modules that no browser has.
const FORBIDDEN: &[&str] = &["env", "wasi_snapshot_preview1", "wasi_unstable"];

/// Every import of `wasm` that no browser can satisfy.
pub(crate) fn violations(wasm: &[u8]) -> Result<Vec<String>> {
    Ok(imports(wasm)?
        .into_iter()
        .filter(|(module, _)| FORBIDDEN.contains(&module.as_str()))
        .map(|(module, name)| format!("the page's wasm imports `{name}` from `{module}`"))
        .collect())
}

/// The imports of a wasm module as (module, name). WebAssembly core specification 2.0, section
/// 5.5.5.
fn imports(wasm: &[u8]) -> Result<Vec<(String, String)>> {
    let mut reader = Reader { rest: wasm };
    ensure!(
        reader.take(8)? == b"\0asm\x01\0\0\0",
        "this is not a wasm module of version 1"
    );
    let mut found = Vec::new();
    while !reader.rest.is_empty() {
        let section = reader.byte()?;
        let length = reader.number()?;
        let mut body = Reader {
            rest: reader.take(length)?,
        };
        if section != 2 {
            continue;
        }
        for _ in 0..body.number()? {
            let module = body.name()?;
            let name = body.name()?;
            body.skip_description()?;
            found.push((module, name));
        }
    }
    Ok(found)
}

struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    fn take(&mut self, length: usize) -> Result<&'a [u8]> {
        let (taken, rest) = self
            .rest
            .split_at_checked(length)
            .context("the wasm file is cut")?;
        self.rest = rest;
        Ok(taken)
    }

    fn byte(&mut self) -> Result<u8> {
        Ok(self.take(1)?[0])
    }

    /// An unsigned LEB128 number; the format allows at most 64 bits.
    fn number(&mut self) -> Result<usize> {
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

    fn name(&mut self) -> Result<String> {
        let length = self.number()?;
        Ok(String::from_utf8_lossy(self.take(length)?).into_owned())
    }

    fn limits(&mut self) -> Result<()> {
        let has_maximum = self.byte()? & 1 == 1;
        self.number()?;
        if has_maximum {
            self.number()?;
        }
        Ok(())
    }

    fn skip_description(&mut self) -> Result<()> {
        match self.byte()? {
            // A function, by the index of its type.
            0 => drop(self.number()?),
            // A table: the type of its elements and its limits.
            1 => {
                self.byte()?;
                self.limits()?;
            }
            // A memory.
            2 => self.limits()?,
            // A global: its type and whether it changes.
            3 => drop(self.take(2)?),
            // A tag: an attribute and the index of its type.
            4 => {
                self.byte()?;
                self.number()?;
            }
            other => bail!("an import of unknown kind {other}"),
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn module(imports: &[(&str, &str, &[u8])]) -> Vec<u8> {
        let byte = |length: usize| u8::try_from(length).unwrap();
        let mut section = vec![byte(imports.len())];
        for (module, name, description) in imports {
            for text in [module, name] {
                section.push(byte(text.len()));
                section.extend(text.as_bytes());
            }
            section.extend(*description);
        }
        let mut wasm = b"\0asm\x01\0\0\0".to_vec();
        // A custom section first: sections that are not wanted are skipped.
        wasm.extend([0, 2, 1, b'x']);
        wasm.extend([2, byte(section.len())]);
        wasm.extend(section);
        wasm
    }

    #[test]
    fn imports_of_every_kind_are_read() {
        let wasm = module(&[
            ("./page_bg.js", "f", &[0, 0x85, 0x01]),
            ("./page_bg.js", "table", &[1, 0x6f, 1, 0, 9]),
            ("./page_bg.js", "memory", &[2, 0, 1]),
            ("./page_bg.js", "global", &[3, 0x7f, 0]),
            ("./page_bg.js", "tag", &[4, 0, 1]),
        ]);
        assert_eq!(imports(&wasm).unwrap().len(), 5);
        assert!(violations(&wasm).unwrap().is_empty());
    }

    #[test]
    fn an_import_from_env_is_a_violation() {
        let wasm = module(&[("wbg", "f", &[0, 0]), ("env", "now", &[0, 1])]);
        assert_eq!(
            violations(&wasm).unwrap(),
            ["the page's wasm imports `now` from `env`"]
        );
    }

    #[test]
    fn a_broken_file_is_an_error_and_no_panic() {
        let whole = module(&[("env", "now", &[0, 1])]);
        // Cut after the header and between two sections, what is left is a whole module.
        for length in (0..whole.len()).filter(|length| ![8, 12].contains(length)) {
            assert!(imports(&whole[..length]).is_err(), "{length}");
        }
        assert!(
            imports(b"\0asm\x01\0\0\0\x02\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01").is_err()
        );
    }
}
