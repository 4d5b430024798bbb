//! Which page is served.

use std::{convert::Infallible, path::PathBuf, str::FromStr};

use serde::{Deserialize, Deserializer};

/// Which page is served.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Web {
    /// That of this folder.
    Folder(PathBuf),
    /// None.
    Off,
    /// The one in the program, where it was built with one.
    #[default]
    Own,
}

impl FromStr for Web {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(match text {
            "off" => Self::Off,
            folder => Self::Folder(folder.into()),
        })
    }
}

impl<'de> Deserialize<'de> for Web {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        match text.parse() {
            Ok(web) => Ok(web),
            Err(never) => match never {},
        }
    }
}
