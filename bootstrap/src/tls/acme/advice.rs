//! When the CA advises to renew (ARI, RFC 9773): it knows of certificates that it has to take back
//! early.

use std::time::{Duration, SystemTime};

use futures_rustls::rustls::pki_types::CertificateDer;
use instant_acme::{Account, AccountCredentials, CertificateIdentifier, Error};

use super::http::Http;

/// A time within the window that the CA suggests, by `chance`, a number from 0 to 1, so that not all
/// come at once; `None` if the CA gives no advice.
///
/// # Errors
///
/// If the CA can't be asked.
pub(super) async fn ask(
    http: Http,
    credentials: AccountCredentials,
    certificate: &CertificateDer<'_>,
    chance: f64,
) -> Result<Option<SystemTime>, Error> {
    let identifier =
        CertificateIdentifier::try_from(certificate).map_err(|text| Error::Other(text.into()))?;
    let account = Account::builder_with_http(Box::new(http))
        .from_credentials(credentials)
        .await?;
    match account.renewal_info(&identifier).await {
        Ok((info, _)) => {
            let window = info.suggested_window;
            let (start, end) = (window.start.unix_timestamp(), window.end.unix_timestamp());
            Ok(pick(start, end, chance))
        }
        Err(Error::Unsupported(_)) => Ok(None),
        Err(error) => Err(error),
    }
}

/// A time between two others, in seconds since 1970; `None` where there is nothing between them.
fn pick(start: i64, end: i64, chance: f64) -> Option<SystemTime> {
    let (start, end) = (u64::try_from(start).ok()?, u64::try_from(end).ok()?);
    let length = Duration::from_secs(end.checked_sub(start)?);
    let time = Duration::from_secs(start).checked_add(length.mul_f64(chance.clamp(0.0, 1.0)))?;
    SystemTime::UNIX_EPOCH.checked_add(time)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_within_the_window_is_picked() {
        let at = |seconds| SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
        assert_eq!(pick(100, 200, 0.0), Some(at(100)));
        assert_eq!(pick(100, 200, 0.5), Some(at(150)));
        assert_eq!(pick(100, 200, 1.0), Some(at(200)));
        assert_eq!(pick(100, 100, 0.3), Some(at(100)));
        for (start, end) in [(200, 100), (-1, 100), (i64::MIN, i64::MAX), (-5, -3)] {
            assert_eq!(pick(start, end, 0.5), None);
        }
        // A time that no clock has is no panic.
        let _ = pick(0, i64::MAX, 1.0);
    }
}
