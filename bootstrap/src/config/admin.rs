//! `local`, `token` or `off`: who sees the dashboard.

use std::str::FromStr;

use clap::ValueEnum;
use serde::Deserialize;

/// Who sees the dashboard at `/admin`.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Admin {
    /// Whoever is at this machine, and whoever has the token.
    #[default]
    Local,
    /// There is none.
    Off,
    /// Only who has the token.
    Token,
}

impl FromStr for Admin {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        <Self as ValueEnum>::from_str(text, true)
            .map_err(|_| "expected `local`, `token` or `off`".into())
    }
}
