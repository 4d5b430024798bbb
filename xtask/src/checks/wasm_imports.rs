//! What the page's wasm asks the browser for.
//!
//! A crate with C code or a native-only path compiles to wasm and links: the missing functions
//! become imports from a module called `env`, and the page fails when it is opened. So the imports
//! are read from the file that was built.

use anyhow::{Result, bail};

use crate::wasm::{self, Reader};

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
    let mut found = Vec::new();
    for section in wasm::sections(wasm)? {
        if section.id != wasm::IMPORTS {
            continue;
        }
        let mut body = Reader::new(section.body);
        for _ in 0..body.number()? {
            let module = body.name()?;
            let name = body.name()?;
            skip_description(&mut body)?;
            found.push((module, name));
        }
    }
    Ok(found)
}

fn limits(reader: &mut Reader<'_>) -> Result<()> {
    let has_maximum = reader.byte()? & 1 == 1;
    reader.number()?;
    if has_maximum {
        reader.number()?;
    }
    Ok(())
}

fn skip_description(reader: &mut Reader<'_>) -> Result<()> {
    match reader.byte()? {
        // A function, by the index of its type.
        0 => drop(reader.number()?),
        // A table: the type of its elements and its limits.
        1 => {
            reader.byte()?;
            limits(reader)?;
        }
        // A memory.
        2 => limits(reader)?,
        // A global: its type and whether it changes.
        3 => drop(reader.take(2)?),
        // A tag: an attribute and the index of its type.
        4 => {
            reader.byte()?;
            reader.number()?;
        }
        other => bail!("an import of unknown kind {other}"),
    }
    Ok(())
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
