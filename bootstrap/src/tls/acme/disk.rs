//! What of ACME is kept in the data directory.

use std::{
    path::PathBuf,
    time::{Duration, SystemTime},
};

use instant_acme::{AccountCredentials, Key};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use tokio::task;

use super::{
    error::{AcmeError, BoxError},
    pair::Pair,
};
use crate::{
    data_dir::{self, DataDir, DataDirError},
    tls::counters::seconds,
};

/// The account at the CA, with its key.
const ACCOUNT_FILE: &str = "acme-account.json";
/// The certificate and its key, in one file, so that they always belong together.
const CERTIFICATE_FILE: &str = "acme-certificate.json";
/// When the CA was asked, so that starting the node again and again doesn't annoy it.
const ATTEMPTS_FILE: &str = "acme-attempts.json";

/// The files.
#[derive(Clone, Debug)]
pub(super) struct Disk {
    dir: PathBuf,
}

/// An account, and whose it is.
#[derive(Deserialize, Serialize)]
pub(super) struct StoredAccount {
    /// URL of the CA's directory.
    pub(super) directory: String,
    pub(super) contact: Option<String>,
    /// Those of `instant_acme`.
    pub(super) credentials: serde_json::Value,
}

/// A certificate, and what it is for.
#[derive(Deserialize, Serialize)]
pub(super) struct StoredCertificate {
    /// URL of the directory of the CA that gave it.
    pub(super) directory: String,
    pub(super) domain: String,
    #[serde(flatten)]
    pub(super) pair: Pair,
}

/// Attempts, in seconds since 1970.
#[derive(Debug, Deserialize, Serialize)]
struct StoredAttempts {
    attempts: Vec<u64>,
}

impl StoredAccount {
    /// The credentials, as often as wanted.
    pub(super) fn credentials(&self) -> Result<AccountCredentials, serde_json::Error> {
        AccountCredentials::deserialize(&self.credentials)
    }
}

impl Disk {
    /// In the data directory that `data` has locked.
    pub(super) fn new(data: &DataDir) -> Self {
        Self {
            dir: data.path().into(),
        }
    }

    /// The account of an earlier run.
    ///
    /// # Errors
    ///
    /// If the file can't be read or holds none.
    pub(super) fn account(data: &DataDir) -> Result<Option<StoredAccount>, AcmeError> {
        let broken = |source| AcmeError::BrokenAccount {
            path: data.file(ACCOUNT_FILE),
            source,
        };
        let account: Option<StoredAccount> = read(data, ACCOUNT_FILE, broken)?;
        if let Some(account) = &account {
            let credentials = account.credentials().map_err(|e| broken(e.into()))?;
            Key::from_pkcs8_der(credentials.private_key().clone_key())
                .map_err(|e| broken(e.into()))?;
        }
        Ok(account)
    }

    /// The certificate of an earlier run.
    ///
    /// # Errors
    ///
    /// If the file can't be read or holds none.
    pub(super) fn certificate(data: &DataDir) -> Result<Option<StoredCertificate>, AcmeError> {
        let broken = |source| AcmeError::BrokenCertificate {
            path: data.file(CERTIFICATE_FILE),
            source,
        };
        let stored: Option<StoredCertificate> = read(data, CERTIFICATE_FILE, broken)?;
        if let Some(stored) = &stored {
            stored.pair.check().map_err(|e| broken(e.into()))?;
        }
        Ok(stored)
    }

    /// The attempts of earlier runs; none if nobody can tell.
    pub(super) fn attempts(data: &DataDir) -> Vec<SystemTime> {
        let text = data.read(ATTEMPTS_FILE).ok().flatten().unwrap_or_default();
        let stored = serde_json::from_slice::<StoredAttempts>(&text);
        let attempts = stored.map(|stored| stored.attempts).unwrap_or_default();
        let time = |seconds| SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(seconds));
        attempts.into_iter().filter_map(time).collect()
    }

    pub(super) async fn save_account(&self, account: &StoredAccount) -> Result<(), DataDirError> {
        self.write(ACCOUNT_FILE, account).await
    }

    pub(super) async fn save_certificate(
        &self,
        certificate: &StoredCertificate,
    ) -> Result<(), DataDirError> {
        self.write(CERTIFICATE_FILE, certificate).await
    }

    pub(super) async fn save_attempts(
        &self,
        attempts: impl Iterator<Item = SystemTime>,
    ) -> Result<(), DataDirError> {
        let attempts = attempts.map(seconds).collect();
        self.write(ATTEMPTS_FILE, &StoredAttempts { attempts })
            .await
    }

    async fn write(&self, name: &'static str, value: &impl Serialize) -> Result<(), DataDirError> {
        let failed = |source| DataDirError::Write {
            path: self.dir.join(name),
            source,
        };
        let text = serde_json::to_vec_pretty(value).map_err(|error| failed(error.into()))?;
        let dir = self.dir.clone();
        // It waits for the disk.
        task::spawn_blocking(move || data_dir::write(&dir, name, &text))
            .await
            .map_err(|error| failed(error.into()))?
    }
}

fn read<T: DeserializeOwned>(
    data: &DataDir,
    name: &str,
    broken: impl Fn(BoxError) -> AcmeError,
) -> Result<Option<T>, AcmeError> {
    let Some(text) = data.read(name)? else {
        return Ok(None);
    };
    serde_json::from_slice(&text)
        .map(Some)
        .map_err(|error| broken(error.into()))
}
