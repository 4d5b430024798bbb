//! Where settings were given, for what is found wrong once all are merged.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use toml::de::DeTable;

use super::error::ConfigError;

/// The settings of the environment and of the file, and where they stand.
#[derive(Clone, Debug, Default)]
pub(super) struct Places {
    /// Fields that a flag gives: whoever typed it sees it.
    flags: Vec<&'static str>,
    /// Fields that a variable gives, with its name.
    environment: BTreeMap<&'static str, &'static str>,
    file: Option<File>,
}

/// Where a setting stands is no part of what it says: settings that are the same are equal, wherever they stand.
impl PartialEq for Places {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for Places {}

/// The keys of a settings file with their lines, counted from 1.
#[derive(Clone, Debug)]
struct File {
    path: PathBuf,
    lines: BTreeMap<String, usize>,
}

impl Places {
    /// The fields and variables of the settings that flags give, and of those that the environment gives.
    pub(super) fn new(
        flags: impl Iterator<Item = (&'static str, &'static str)>,
        environment: impl Iterator<Item = (&'static str, &'static str)>,
    ) -> Self {
        Self {
            flags: flags.map(|(field, _)| field).collect(),
            environment: environment.collect(),
            file: None,
        }
    }

    /// Notes the lines of the settings file. One that is no TOML is refused before anybody asks.
    pub(super) fn read(&mut self, path: &Path, text: &str) {
        let line = |at: usize| text.get(..at).unwrap_or(text).matches('\n').count() + 1;
        let lines = DeTable::parse(text)
            .map(|table| {
                let keys = table.get_ref().keys();
                keys.map(|key| (key.get_ref().to_string(), line(key.span().start)))
                    .collect()
            })
            .unwrap_or_default();
        self.file = Some(File {
            path: path.to_owned(),
            lines,
        });
    }

    /// The error with the places of the settings that it is about.
    pub(super) fn name(&self, error: ConfigError) -> ConfigError {
        let fields = error.settings();
        let places = match error {
            // Wherever else it is given, it is the file's line that is wrong.
            ConfigError::DataDirInDataDir => {
                joined(fields.iter().filter_map(|field| self.line(field)))
            }
            _ => self.of(fields),
        };
        match places {
            Some(places) => ConfigError::Placed {
                error: Box::new(error),
                places,
            },
            None => error,
        }
    }

    /// Where those of these settings stand that are given otherwise than by flags, if any is.
    pub(super) fn of(&self, fields: &[&str]) -> Option<String> {
        joined(fields.iter().filter_map(|field| self.place(field)))
    }

    /// Where the setting comes from that is in force.
    fn place(&self, field: &str) -> Option<String> {
        if self.flags.contains(&field) {
            return None;
        }
        if let Some(variable) = self.environment.get(field) {
            let key = field.replace('_', "-");
            return Some(format!("`{key}`: environment variable {variable}"));
        }
        self.line(field)
    }

    /// Where it stands in the settings file.
    fn line(&self, field: &str) -> Option<String> {
        let key = field.replace('_', "-");
        let file = self.file.as_ref()?;
        let line = file.lines.get(&key)?;
        Some(format!("`{key}`: {}, line {line}", file.path.display()))
    }
}

fn joined(places: impl Iterator<Item = String>) -> Option<String> {
    let places: Vec<_> = places.collect();
    (!places.is_empty()).then(|| places.join("; "))
}
