//! Puts the built page into the program, compressed, when the feature `page` asks for it.
//!
//! What the program gets is a table of files in `OUT_DIR/page.rs`, empty without the feature, so
//! that nothing in `src/` depends on it.

use std::{env, error::Error, fs, path::PathBuf};

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=build.rs");
    let out = PathBuf::from(env::var("OUT_DIR")?);
    #[cfg(feature = "page")]
    let table = page::table(&out)?;
    #[cfg(not(feature = "page"))]
    let table = "&[]";
    fs::write(out.join("page.rs"), table)?;
    Ok(())
}

#[cfg(feature = "page")]
mod page {
    use std::{
        env,
        error::Error,
        fs,
        io::{self, Write as _},
        path::{Path, PathBuf},
    };

    /// Names the folder of the built page.
    const VARIABLE: &str = "MOIM_PAGE";
    /// A compressed copy is worth its place in the program when it saves one byte of this many.
    const WORTH: usize = 20;
    const BROTLI_QUALITY: i32 = 11;
    /// The largest window that every browser takes (RFC 7932), in powers of two.
    const BROTLI_WINDOW: i32 = 24;

    /// The table of files as a Rust expression.
    pub(super) fn table(out: &Path) -> Result<String, Box<dyn Error>> {
        println!("cargo::rerun-if-env-changed={VARIABLE}");
        let folder = match env::var_os(VARIABLE).filter(|value| !value.is_empty()) {
            Some(folder) => PathBuf::from(folder),
            None => Path::new(&env::var("CARGO_MANIFEST_DIR")?).join("../dist"),
        };
        let folder = folder.canonicalize().unwrap_or(folder);
        println!("cargo::rerun-if-changed={}", folder.display());
        if !folder.join("index.html").is_file() {
            return Err(format!(
                "there is no page to put into the program: {} has no index.html; `cargo xtask build` builds \
                 both, or build the page with `trunk build --release`, or name its folder in {VARIABLE}",
                folder.display()
            )
            .into());
        }
        let mut files = Vec::new();
        collect(&folder, &mut files)?;
        files.sort();
        let mut rows = String::from("&[\n");
        for (number, file) in files.iter().enumerate() {
            let name = file.strip_prefix(&folder)?;
            let name: Vec<_> = name.iter().map(|part| part.to_string_lossy()).collect();
            let content = fs::read(file)?;
            rows += &row(out, number, &name.join("/"), &content)?;
        }
        Ok(rows + "]\n")
    }

    fn collect(folder: &Path, files: &mut Vec<PathBuf>) -> io::Result<()> {
        for entry in fs::read_dir(folder)? {
            let path = entry?.path();
            if path.is_dir() {
                collect(&path, files)?;
            } else {
                files.push(path);
            }
        }
        Ok(())
    }

    /// One file, with copies in `out`, so that the program does not change when the folder does.
    fn row(out: &Path, number: usize, name: &str, content: &[u8]) -> io::Result<String> {
        let include = |ending: &str, bytes: &[u8]| -> io::Result<String> {
            let path = out.join(format!("page-{number}.{ending}"));
            fs::write(&path, bytes)?;
            Ok(format!("include_bytes!({:?})", path.display().to_string()))
        };
        let compressed = |ending: &str, bytes: &[u8]| -> io::Result<String> {
            if bytes.len() + content.len() / WORTH > content.len() {
                return Ok("None".to_owned());
            }
            Ok(format!("Some({})", include(ending, bytes)?))
        };
        Ok(format!(
            "Embedded {{ path: {name:?}, plain: {}, brotli: {}, gzip: {} }},\n",
            include("plain", content)?,
            compressed("br", &brotli(content)?)?,
            compressed("gz", &gzip(content)?)?,
        ))
    }

    fn brotli(content: &[u8]) -> io::Result<Vec<u8>> {
        let mut packed = Vec::new();
        let params = brotli::enc::BrotliEncoderParams {
            quality: BROTLI_QUALITY,
            lgwin: BROTLI_WINDOW,
            size_hint: content.len(),
            ..Default::default()
        };
        brotli::BrotliCompress(&mut &content[..], &mut packed, &params)?;
        Ok(packed)
    }

    fn gzip(content: &[u8]) -> io::Result<Vec<u8>> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
        encoder.write_all(content)?;
        encoder.finish()
    }
}
