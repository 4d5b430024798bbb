//! `on` or `off`.

use std::str::FromStr;

use clap::ValueEnum;
use serde::Deserialize;

/// `on` or `off`.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Switch {
    /// It is not there.
    #[default]
    Off,
    /// It is there.
    On,
}

impl Switch {
    /// Whether it is there.
    pub(crate) fn is_on(self) -> bool {
        self == Self::On
    }
}

impl FromStr for Switch {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        <Self as ValueEnum>::from_str(text, true).map_err(|_| "expected `on` or `off`".into())
    }
}
