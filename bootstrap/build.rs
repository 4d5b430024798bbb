//! Puts the built page into the program, compressed, when the feature `page` asks for it.
//!
//! What the program gets is a table of files in `OUT_DIR/page.rs`, empty without the feature, so
//! that nothing in `src/` depends on it.

use std::{env, error::Error, fs, path::PathBuf};

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=src/site/compress.rs");
    let out = PathBuf::from(env::var("OUT_DIR")?);
    #[cfg(feature = "page")]
    let table = page::table(&out)?;
    #[cfg(not(feature = "page"))]
    let table = "&[]";
    fs::write(out.join("page.rs"), table)?;
    Ok(())
}

#[cfg(feature = "page")]
#[path = "src/site/compress.rs"]
mod compress;

#[cfg(feature = "page")]
mod page {
    use std::{
        env,
        error::Error,
        fs, io,
        path::{Path, PathBuf},
    };

    use super::compress::{self, Effort};

    /// Names the folder of the built page.
    const VARIABLE: &str = "MOIM_PAGE";
    /// It is done once for every build.
    const EFFORT: Effort = Effort {
        brotli: 11,
        gzip: 9,
    };

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
        let compressed = |ending: &str, copy: &Option<Vec<u8>>| -> io::Result<String> {
            Ok(match copy {
                Some(bytes) => format!("Some({})", include(ending, bytes)?),
                None => "None".to_owned(),
            })
        };
        let [brotli, gzip] = compress::copies(content, EFFORT)?;
        Ok(format!(
            "Embedded {{ path: {name:?}, plain: {}, brotli: {}, gzip: {} }},\n",
            include("plain", content)?,
            compressed("br", &brotli)?,
            compressed("gz", &gzip)?,
        ))
    }
}
