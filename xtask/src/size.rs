//! `cargo xtask size`: what the published page takes, in parts, beside what it took when that was last
//! written down ([`FILE`]). `cargo xtask test` compares too.

use std::{fmt::Write as _, fs, path::Path};

use anyhow::{Context, Result, bail, ensure};
use toml::Table;

use crate::{
    build,
    project::Project,
    setup::{self, Needs, wasm::Toolchain},
    ui, wasm,
};

/// Where the size is written down, in the workspace's folder.
const FILE: &str = "page-size.toml";
/// How much larger the page may be than what is written down, in a thousand.
const GROWTH_MAX: usize = 10;
/// As the bootstrap node compresses the page that it carries (`bootstrap/src/site/compress.rs`).
const QUALITY: i32 = 11;
const WINDOW: i32 = 24;

/// The page of [`Toolchain::Linked`] is larger by what link-time optimisation saves.
const UNLIKE: &str =
    "not compared: Debian's compiler builds the page without link-time optimisation";

/// Bytes as they lie on the disk, and as they travel.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
struct Size {
    raw: usize,
    brotli: usize,
}

impl Size {
    fn of(content: &[u8]) -> Result<Self> {
        let mut packed = Vec::new();
        let params = brotli::enc::BrotliEncoderParams {
            quality: QUALITY,
            lgwin: WINDOW,
            size_hint: content.len(),
            ..Default::default()
        };
        brotli::BrotliCompress(&mut &content[..], &mut packed, &params)?;
        Ok(Self {
            raw: content.len(),
            brotli: packed.len(),
        })
    }

    fn and(self, other: Self) -> Self {
        Self {
            raw: self.raw + other.raw,
            brotli: self.brotli + other.brotli,
        }
    }

    /// The measures by which this is too large beside what is written down.
    fn excess(self, recorded: Self) -> Vec<&'static str> {
        let grown = |now: usize, then: usize| now * 1000 > then * (1000 + GROWTH_MAX);
        let mut excess = Vec::new();
        if grown(self.raw, recorded.raw) {
            excess.push("raw");
        }
        if grown(self.brotli, recorded.brotli) {
            excess.push("by brotli");
        }
        excess
    }
}

/// What is downloaded before the page works.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct PageSize {
    wasm: Size,
    /// Of the wasm: its functions, its data, and the rest. Compressed each alone, which is less than all
    /// together.
    sections: Vec<(&'static str, Size)>,
    /// What is not wasm, by the kind of file.
    others: Vec<(String, Size)>,
}

impl PageSize {
    /// Measures a page that was built.
    fn of(folder: &Path) -> Result<Self> {
        let mut page = Self::default();
        let entries =
            fs::read_dir(folder).with_context(|| format!("reading {}", folder.display()))?;
        for entry in entries {
            let path = entry?.path();
            let content = fs::read(&path).with_context(|| format!("reading {}", path.display()))?;
            let kind = path.extension().unwrap_or_default().to_string_lossy();
            let size = Size::of(&content)?;
            if kind == "wasm" {
                ensure!(
                    page.sections.is_empty(),
                    "{} holds several wasm files",
                    folder.display()
                );
                page.wasm = size;
                page.sections = sections(&content)?;
                continue;
            }
            match page.others.iter_mut().find(|(other, _)| *other == kind) {
                Some((_, sum)) => *sum = sum.and(size),
                None => page.others.push((kind.into_owned(), size)),
            }
        }
        ensure!(
            !page.sections.is_empty(),
            "{} holds no wasm file",
            folder.display()
        );
        page.others.sort();
        Ok(page)
    }

    fn all(&self) -> Size {
        let others = self.others.iter().map(|(_, size)| *size);
        others.fold(self.wasm, Size::and)
    }

    /// A table in Markdown.
    fn table(&self, recorded: &Recorded) -> String {
        let mut table =
            "| the page, kB | raw | by brotli | written down |\n|---|---|---|---|\n".to_owned();
        let mut row = |name: &str, size: Size, then: Option<Size>| {
            let then = then.map_or(String::new(), |then| kilobytes(then.brotli));
            let (raw, brotli) = (kilobytes(size.raw), kilobytes(size.brotli));
            // Writing to a String does not fail.
            let _ = writeln!(table, "| {name} | {raw} | {brotli} | {then} |");
        };
        row("all", self.all(), Some(recorded.all));
        row("wasm", self.wasm, Some(recorded.wasm));
        for (name, size) in &self.sections {
            row(&format!("wasm: {name} alone"), *size, None);
        }
        for (kind, size) in &self.others {
            row(kind, *size, None);
        }
        table
    }
}

fn sections(content: &[u8]) -> Result<Vec<(&'static str, Size)>> {
    let mut parts = [
        ("functions", Vec::new()),
        ("data", Vec::new()),
        ("the rest", Vec::new()),
    ];
    for section in wasm::sections(content)? {
        let part = match section.id {
            wasm::CODE => 0,
            wasm::DATA => 1,
            _ => 2,
        };
        parts[part].1.extend_from_slice(section.body);
    }
    let sized = parts.map(|(name, content)| Size::of(&content).map(|size| (name, size)));
    sized.into_iter().collect()
}

fn kilobytes(bytes: usize) -> String {
    format!("{}.{}", bytes / 1000, bytes / 100 % 10)
}

/// What is written down.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Recorded {
    wasm: Size,
    all: Size,
}

impl Recorded {
    fn read(project: &Project) -> Result<Self> {
        let path = project.root.join(FILE);
        let text =
            fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))?;
        Self::parse(&text).with_context(|| format!("reading {}", path.display()))
    }

    fn parse(text: &str) -> Result<Self> {
        let table: Table = text.parse()?;
        let size = |name: &str| -> Result<Size> {
            let number = |measure: &str| -> Result<usize> {
                let number = table
                    .get(name)
                    .and_then(|part| part.get(measure)?.as_integer());
                let number = number.and_then(|number| usize::try_from(number).ok());
                number.with_context(|| format!("no bytes at {name}.{measure}"))
            };
            Ok(Size {
                raw: number("raw")?,
                brotli: number("brotli")?,
            })
        };
        Ok(Self {
            wasm: size("wasm")?,
            all: size("all")?,
        })
    }

    fn text(self) -> String {
        let part = |name: &str, size: Size| {
            format!("[{name}]\nraw = {}\nbrotli = {}\n", size.raw, size.brotli)
        };
        format!(
            "# What the published page takes, in bytes; `all` has the wasm in it. `cargo xtask size --record` writes it.\n\
             # `cargo xtask test page` fails when the page is more than 1 % larger.\n\n{}\n{}",
            part("wasm", self.wasm),
            part("all", self.all)
        )
    }
}

/// Fails when the page that was built is larger than it may be.
pub(crate) fn check(project: &Project, toolchain: Toolchain) -> Result<()> {
    let recorded = Recorded::read(project)?;
    let page = PageSize::of(&project.page())?;
    println!("{}", page.table(&recorded));
    if toolchain == Toolchain::Linked {
        ui::note(UNLIKE);
        return Ok(());
    }
    let excess = excess(&page, recorded);
    if excess.is_empty() {
        return Ok(());
    }
    bail!(
        "the page has grown by more than {GROWTH_MAX} in a thousand: {}\nMake it smaller, or say that it is worth it: \
         `cargo xtask size --record`, and put {FILE} into the commit",
        excess.join(", ")
    )
}

fn excess(page: &PageSize, recorded: Recorded) -> Vec<String> {
    let parts = [
        ("wasm", page.wasm, recorded.wasm),
        ("all", page.all(), recorded.all),
    ];
    let mut found = Vec::new();
    for (name, now, then) in parts {
        found.extend(now.excess(then).iter().map(|by| format!("{name} {by}")));
    }
    found
}

/// Builds the page, says what it takes and, where that is wanted, writes it down.
pub(crate) fn size(project: &Project, record: bool) -> Result<()> {
    let needs = Needs {
        page: true,
        ..Needs::default()
    };
    let tooling = setup::setup(project, needs)?;
    ui::headline("Build");
    build::build_page(project, tooling.wasm)?;
    ui::headline("Size");
    let page = PageSize::of(&project.page())?;
    if record {
        ensure!(tooling.wasm == Toolchain::Default, UNLIKE);
        let recorded = Recorded {
            wasm: page.wasm,
            all: page.all(),
        };
        fs::write(project.root.join(FILE), recorded.text())
            .with_context(|| format!("writing {FILE}"))?;
    }
    println!("{}", page.table(&Recorded::read(project)?));
    Ok(())
}

/// The size of a page that was built, as a table in Markdown.
pub(crate) fn table(project: &Project) -> Result<String> {
    Ok(PageSize::of(&project.page())?.table(&Recorded::read(project)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn size(raw: usize, brotli: usize) -> Size {
        Size { raw, brotli }
    }

    #[test]
    fn what_is_written_down_is_read_again() {
        let recorded = Recorded {
            wasm: size(2_000_000, 600_000),
            all: size(2_100_000, 630_000),
        };
        assert_eq!(Recorded::parse(&recorded.text()).unwrap(), recorded);
        let error = Recorded::parse("[wasm]\nraw = 1\n")
            .unwrap_err()
            .to_string();
        assert!(error.contains("wasm.brotli"), "{error}");
        assert!(Recorded::parse("[wasm]\nraw = -1\nbrotli = 1\n").is_err());
    }

    #[test]
    fn the_recorded_size_of_this_page_can_be_read() {
        Recorded::parse(include_str!("../../page-size.toml")).unwrap();
    }

    #[test]
    fn a_page_may_grow_by_one_in_a_hundred_and_no_more() {
        let recorded = Recorded {
            wasm: size(1000, 500),
            all: size(2000, 1000),
        };
        let page = |raw, brotli, other| PageSize {
            wasm: size(raw, brotli),
            others: vec![("js".to_owned(), size(1000, other))],
            ..PageSize::default()
        };
        assert!(excess(&page(1010, 505, 500), recorded).is_empty());
        assert!(excess(&page(10, 5, 5), recorded).is_empty(), "it shrank");
        assert_eq!(excess(&page(1011, 500, 500), recorded), ["wasm raw"]);
        assert_eq!(excess(&page(1000, 506, 500), recorded), ["wasm by brotli"]);
        assert_eq!(excess(&page(1000, 500, 511), recorded), ["all by brotli"]);
    }

    #[test]
    fn a_built_page_is_measured_in_parts() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        assert!(PageSize::of(folder).is_err(), "no wasm");
        let mut module = b"\0asm\x01\0\0\0".to_vec();
        module.extend([wasm::CODE, 3, 1, 2, 3, wasm::DATA, 2, 4, 5, 0, 1, 6]);
        fs::write(folder.join("a.wasm"), &module).unwrap();
        for name in ["a.js", "b.js"] {
            fs::write(folder.join(name), "0123456789").unwrap();
        }
        let page = PageSize::of(folder).unwrap();
        let raw = |sizes: &[(&'static str, Size)]| -> Vec<usize> {
            sizes.iter().map(|(_, size)| size.raw).collect()
        };
        assert_eq!(page.wasm.raw, module.len());
        assert_eq!(raw(&page.sections), [3, 2, 1]);
        assert_eq!(page.others[0].1.raw, 20);
        assert_eq!(page.all().raw, module.len() + 20);
        assert!(page.table(&Recorded::default()).contains("| js | 0.0 |"));
        fs::write(folder.join("b.wasm"), &module).unwrap();
        assert!(PageSize::of(folder).is_err(), "two wasm files");
    }
}
