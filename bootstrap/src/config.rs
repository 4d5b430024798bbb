//! What the node is told to do: settings from flags, environment and file, merged into a
//! [`Config`].
//!
//! Precedence is flag, then environment, then file, then default, setting by setting. This module
//! reads a file and is handed the environment; it opens nothing else and starts nothing. It knows no other
//! part of the node: what a setting means is said where it is used. Each setting is declared once, in
//! [`settings`].

use std::{
    io,
    path::{Path, PathBuf},
};

use libp2p::{Multiaddr, multiaddr::Protocol};
use moim_dht::StoreLimits;

use self::places::Places;
pub use self::{
    acme::{AcmeCa, AcmeCaParseError, Mail, MailParseError},
    admin::Admin,
    domain::{Domain, DomainParseError},
    error::ConfigError,
    listen::{Host, Listen, ListenParseError},
    log_format::LogFormat,
    ports::{PortRange, PortRangeParseError},
    settings::{Config, Settings},
    switch::Switch,
    web::Web,
};

mod acme;
mod admin;
mod domain;
mod error;
mod listen;
mod log_format;
mod places;
mod ports;
mod settings;
mod switch;
#[cfg(test)]
mod tests;
mod value;
mod web;

/// Name of the configuration file looked for in the data directory when none is named.
pub(crate) const CONFIG_FILE: &str = "moim-bootstrap.toml";

impl Config {
    /// Merges flags, environment and settings file, which is `file` or is looked for in the data directory.
    ///
    /// `env` looks an environment variable up; an empty value counts as unset.
    ///
    /// # Errors
    ///
    /// Says which source is wrong and how.
    pub fn load(
        file: Option<PathBuf>,
        flags: Settings,
        env: impl Fn(&str) -> Option<String>,
    ) -> Result<Self, ConfigError> {
        let env = |name: &str| env(name).filter(|value| !value.is_empty());
        let named_file = file.or_else(|| env("MOIM_CONFIG").map(PathBuf::from));
        let environment = Settings::from_env(env)?;
        let mut places = Places::new(flags.given(), environment.given());
        let mut data_dir = flags
            .data_dir
            .clone()
            .or_else(|| environment.data_dir.clone());

        let file = if let Some(path) = named_file {
            let file =
                Settings::from_file(&path, &mut places)?.ok_or_else(|| ConfigError::FileRead {
                    path,
                    source: io::ErrorKind::NotFound.into(),
                })?;
            data_dir = data_dir.or_else(|| file.data_dir.clone());
            file
        } else {
            let dir = data_dir
                .clone()
                .or_else(default_data_dir)
                .ok_or(ConfigError::NoDataDir)?;
            let path = dir.join(CONFIG_FILE);
            let file = Settings::from_file(&path, &mut places)?.unwrap_or_default();
            if file.data_dir.is_some() {
                return Err(places.name(ConfigError::DataDirInDataDir));
            }
            file
        };

        let data_dir = data_dir
            .or_else(default_data_dir)
            .ok_or(ConfigError::NoDataDir)?;
        let settings = Settings {
            data_dir: Some(data_dir),
            ..flags.or(environment).or(file)
        };
        let config = Self::new(settings, places);
        config.check().map_err(|error| config.places.name(error))?;
        Ok(config)
    }

    /// An error about these settings, named as fields of [`Settings`], with where those of them stand that are given
    /// otherwise than by flags, if any is.
    pub(crate) fn placed<E>(
        &self,
        error: E,
        settings: &[&str],
        place: impl FnOnce(Box<E>, String) -> E,
    ) -> E {
        match self.places.of(settings) {
            Some(places) => place(Box::new(error), places),
            None => error,
        }
    }
}

impl Config {
    /// Whether the settings fit together.
    fn check(&self) -> Result<(), ConfigError> {
        let nameless = |a: &&Multiaddr| !matches!(a.iter().last(), Some(Protocol::P2p(_)));
        if let Some(address) = self.bootstrap.iter().find(nameless) {
            return Err(ConfigError::BootstrapWithoutPeer(address.clone()));
        }
        if self.turn.is_on() && self.stun == Listen::Off {
            return Err(ConfigError::TurnWithoutStun);
        }
        self.check_tls()?;
        let transports = [self.tcp, self.quic, self.ws, self.webrtc_direct, self.tls];
        if transports.iter().all(|listen| *listen == Listen::Off) {
            return Err(ConfigError::NothingToDo);
        }
        Ok(())
    }

    /// Whether everything is there that TLS needs.
    fn check_tls(&self) -> Result<(), ConfigError> {
        if self.acme != AcmeCa::Off {
            return self.check_acme();
        }
        let needed = [("--tls-cert", &self.tls_cert), ("--tls-key", &self.tls_key)];
        match needed.into_iter().find(|(_, file)| file.is_none()) {
            Some((flag, _)) if self.tls != Listen::Off => Err(ConfigError::TlsIncomplete(flag)),
            _ => Ok(()),
        }
    }

    /// Whether everything is there that ACME needs, and nothing beside it.
    fn check_acme(&self) -> Result<(), ConfigError> {
        if self.tls_cert.is_some() || self.tls_key.is_some() {
            return Err(ConfigError::AcmeAndFiles);
        }
        let needed = [
            (self.tls != Listen::Off, "--tls HOST:PORT"),
            (self.domain.is_some(), "--domain NAME"),
            (self.acme_accept_terms, "--acme-accept-terms"),
        ];
        match needed.into_iter().find(|(is_there, _)| !is_there) {
            Some((_, flag)) => Err(ConfigError::AcmeIncomplete(flag)),
            None => Ok(()),
        }
    }

    /// The files of certificate and key, if TLS is on and its certificate is in files.
    pub(crate) fn tls_files(&self) -> Option<(&Path, &Path)> {
        if self.tls == Listen::Off {
            return None;
        }
        Some((self.tls_cert.as_deref()?, self.tls_key.as_deref()?))
    }

    /// The bounds of the DHT's store.
    pub(crate) fn store_limits(&self) -> StoreLimits {
        StoreLimits {
            bytes_max: usize::try_from(self.store_memory.get())
                .unwrap_or(usize::MAX)
                .saturating_mul(1024 * 1024),
        }
    }
}

/// The platform's place for data that stays, e.g. `~/.local/share/moim/bootstrap`. A folder of its
/// own, so that a terminal peer of the same user keeps an identity of its own.
fn default_data_dir() -> Option<PathBuf> {
    directories::ProjectDirs::from("", "", "moim").map(|dirs| dirs.data_dir().join("bootstrap"))
}
