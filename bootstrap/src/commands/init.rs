//! `moim-bootstrap init`: a settings file to start from; and what `--check-config` says.

use std::{
    fs::OpenOptions,
    io::{self, Write},
    path::{Path, PathBuf},
};

use clap::Args as _;
use thiserror::Error;

use crate::{
    config::{CONFIG_FILE, Config, Settings},
    data_dir::create_private_dir,
    site::{Site, WebError},
    tls::{self, AcmeError, CertificateError, Files},
};

/// Lines of comments are no longer than this.
const WIDTH: usize = 100;

const HEAD: &str = "\
# Settings of moim-bootstrap. Lines with a setting right behind the `#` show its default: remove the
# `#` to change it. A flag or an environment variable of the same setting wins over this file.
# `moim-bootstrap --check-config` says whether the file is right, and what is in force.
";

/// Why no settings file was written.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum InitError {
    /// There is one.
    #[error("{} is there already and stays as it is; remove it first, or name another file", .0.display())]
    Exists(PathBuf),
    /// Nobody takes what it says.
    #[error("can't write the output")]
    Output(#[source] io::Error),
    /// The system refuses.
    #[error("can't write {}: {source}", .path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// Writes a settings file with every setting and its default; into the data directory unless another
/// file is named.
pub(super) fn init(
    config: &Config,
    file: Option<&Path>,
    out: &mut dyn Write,
) -> Result<(), InitError> {
    let path = file.map_or_else(|| config.data_dir.join(CONFIG_FILE), Path::to_owned);
    write_new(&path, file.is_none()).map_err(|source| match source.kind() {
        io::ErrorKind::AlreadyExists => InitError::Exists(path.clone()),
        _ => InitError::Write {
            path: path.clone(),
            source,
        },
    })?;
    writeln!(
        out,
        "{} has every setting with its default.",
        path.display()
    )
    .map_err(InitError::Output)
}

fn write_new(path: &Path, in_data_dir: bool) -> io::Result<()> {
    if let Some(folder) = path.parent().filter(|_| in_data_dir) {
        create_private_dir(folder)?;
    }
    let mut file = OpenOptions::new().write(true).create_new(true).open(path)?;
    file.write_all(template().as_bytes())?;
    file.sync_all()
}

/// The text of the file, made of the flags and their help.
fn template() -> String {
    let defaults: Vec<_> = Config::defaults().entries().collect();
    let mut text = HEAD.to_owned();
    for argument in arguments().get_arguments() {
        let name = argument.get_long().unwrap_or_default();
        let Some((_, value)) = defaults.iter().find(|(key, _)| *key == name) else {
            continue;
        };
        text.push('\n');
        let help = argument.get_help().map(ToString::to_string);
        for line in wrapped(&help.unwrap_or_default()) {
            text += &format!("# {line}\n");
        }
        text += &match value {
            Some(value) => format!("#{name} = {value}\n"),
            None => format!("# {name} is not set.\n"),
        };
    }
    text
}

/// The flags of the settings.
fn arguments() -> clap::Command {
    Settings::augment_args(clap::Command::default())
}

/// The words of a text in lines.
fn wrapped(text: &str) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        let is_full = |line: &String| !line.is_empty() && line.len() + word.len() + 3 > WIDTH;
        if lines.last().is_some_and(is_full) {
            lines.push(String::new());
        }
        if let Some(line) = lines.last_mut() {
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(word);
        }
    }
    lines
}

/// Why settings that can be read can't be used.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum CheckError {
    /// What is needed to get a certificate can't be used.
    #[error(transparent)]
    Acme(#[from] AcmeError),
    /// The certificate can't be used.
    #[error(transparent)]
    Certificate(#[from] CertificateError),
    /// Nobody takes what is said.
    #[error("can't write the output")]
    Output(#[from] io::Error),
    /// The page can't be served.
    #[error(transparent)]
    Web(#[from] WebError),
    /// One of the above, about settings that were not all given by flags.
    #[error("{error} ({places})")]
    Placed {
        /// What is wrong.
        error: Box<Self>,
        /// Which setting stands in which line of which file, or in which variable.
        places: String,
    },
}

impl CheckError {
    /// With the places of the settings that it is about.
    fn placed(self, config: &Config) -> Self {
        let settings: &[&str] = match &self {
            Self::Acme(AcmeError::RootRead { .. } | AcmeError::RootPem { .. }) => &["acme_root"],
            Self::Certificate(_) => &["tls_cert", "tls_key"],
            Self::Web(_) => &["web"],
            Self::Acme(_) | Self::Output(_) | Self::Placed { .. } => &[],
        };
        config.placed(self, settings, |error, places| Self::Placed {
            error,
            places,
        })
    }
}

/// Checks what can be checked without starting, and says on `out` what is in force.
///
/// # Errors
///
/// If the page or the certificate that the settings name can't be used. What else a node needs (its
/// data directory, free ports) is seen when it starts.
pub fn check(config: &Config, out: &mut dyn Write) -> Result<(), CheckError> {
    check_files(config).map_err(|error| error.placed(config))?;
    writeln!(
        out,
        "The settings are right. In force, wherever they come from:\n"
    )?;
    writeln!(out, "data-dir = {:?}", config.data_dir)?;
    for (name, value) in config.entries() {
        match value {
            Some(value) => writeln!(out, "{name} = {value}")?,
            None => writeln!(out, "# {name} is not set.")?,
        }
    }
    Ok(out.flush()?)
}

/// Whether what the settings name can be used.
fn check_files(config: &Config) -> Result<(), CheckError> {
    Site::open(&config.web)?;
    if let Some((certificate, key)) = config.tls_files() {
        Files::new(certificate, key).read()?;
    }
    tls::acme::check(config)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(text: &str) -> Config {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("settings.toml");
        std::fs::write(&path, text).unwrap();
        let env = |name: &str| (name == "MOIM_DATA_DIR").then(|| "/data".to_owned());
        Config::load(Some(path), Settings::default(), env).unwrap()
    }

    #[test]
    fn the_file_has_every_setting_and_changes_none() {
        let text = template();
        let mut settings = 0;
        for argument in arguments().get_arguments() {
            let name = argument.get_long().unwrap();
            // Where the file lies.
            if name == "data-dir" {
                continue;
            }
            let line = [format!("\n#{name} = "), format!("\n# {name} is not set.")];
            assert!(
                line.iter().any(|line| text.contains(line)),
                "{name}: {text}"
            );
            settings += 1;
        }
        assert_eq!(settings, Config::defaults().entries().count());
        assert_eq!(load(&text), load(""));
    }

    #[test]
    fn its_lines_say_the_defaults() {
        let text = template();
        let set: String = text
            .lines()
            .filter_map(|line| line.strip_prefix('#').filter(|line| !line.starts_with(' ')))
            .map(|line| format!("{line}\n"))
            .collect();
        assert!(set.contains("tcp = \"*:8468\"\n"), "{set}");
        assert_eq!(load(&set), load(""));
        for line in text.lines() {
            assert!(line.chars().count() <= WIDTH, "{line}");
        }
    }
}
