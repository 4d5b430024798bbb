//! Values of settings, as a variable has them and as a settings file does.

use std::{num::NonZeroU32, path::PathBuf};

use clap::ValueEnum as _;
use libp2p::Multiaddr;
use toml::Value;

use super::{
    acme::{AcmeCa, Mail},
    admin::Admin,
    domain::Domain,
    listen::Listen,
    log_format::LogFormat,
    ports::PortRange,
    switch::Switch,
    web::Web,
};

/// A setting as an environment variable has it.
pub(super) trait Variable: Sized {
    /// What is wrong, if something is.
    fn read(text: &str) -> Result<Self, String>;
}

macro_rules! read_as_flag {
    ($($type:ty),*) => {
        $(impl Variable for $type {
            fn read(text: &str) -> Result<Self, String> {
                text.parse::<Self>().map_err(|error| error.to_string())
            }
        })*
    };
}

read_as_flag!(
    AcmeCa, Admin, Domain, Listen, LogFormat, Mail, NonZeroU32, PathBuf, PortRange, Switch, Web,
    bool, u64
);

/// Separated by commas.
impl Variable for Vec<Multiaddr> {
    fn read(text: &str) -> Result<Self, String> {
        text.split(',')
            .map(str::trim)
            .filter(|part| !part.is_empty())
            .map(|part| {
                part.parse()
                    .map_err(|error| format!("`{part}` is not a multiaddr: {error}"))
            })
            .collect()
    }
}

/// A setting as a settings file has it.
pub(super) trait Written {
    /// `None` if it isn't set.
    fn written(&self) -> Option<Value>;
}

impl<T: Written> Written for Option<T> {
    fn written(&self) -> Option<Value> {
        self.as_ref()?.written()
    }
}

macro_rules! written_as_text {
    ($($type:ty),*) => {
        $(impl Written for $type {
            fn written(&self) -> Option<Value> {
                Some(Value::String(self.to_string()))
            }
        })*
    };
}

written_as_text!(AcmeCa, Domain, Listen, Mail, PortRange);

macro_rules! written_as_choice {
    ($($type:ty),*) => {
        $(impl Written for $type {
            fn written(&self) -> Option<Value> {
                let name = self.to_possible_value()?.get_name().to_owned();
                Some(Value::String(name))
            }
        })*
    };
}

written_as_choice!(Admin, LogFormat, Switch);

impl Written for bool {
    fn written(&self) -> Option<Value> {
        Some(Value::Boolean(*self))
    }
}

impl Written for NonZeroU32 {
    fn written(&self) -> Option<Value> {
        Some(Value::Integer(self.get().into()))
    }
}

/// Numbers as large as TOML has them; nobody has as much memory.
impl Written for u64 {
    fn written(&self) -> Option<Value> {
        i64::try_from(*self).ok().map(Value::Integer)
    }
}

impl Written for PathBuf {
    fn written(&self) -> Option<Value> {
        Some(Value::String(self.display().to_string()))
    }
}

impl Written for Web {
    fn written(&self) -> Option<Value> {
        match self {
            Self::Folder(path) => path.written(),
            Self::Off => Some(Value::String("off".to_owned())),
            Self::Own => None,
        }
    }
}

impl Written for Vec<Multiaddr> {
    fn written(&self) -> Option<Value> {
        let values = self
            .iter()
            .map(|address| Value::String(address.to_string()));
        Some(Value::Array(values.collect()))
    }
}
