//! Who may look at the dashboard: whoever has the token and, unless the configuration says
//! otherwise, whoever sits at this machine.

use std::{net::SocketAddr, path::PathBuf};

use axum::http::{HeaderMap, Request, header};
use data_encoding::HEXLOWER;
use subtle::ConstantTimeEq as _;
use thiserror::Error;

use crate::{
    data_dir::{DataDir, DataDirError},
    http::local::is_local,
};

/// The token, for the owner's eyes only.
const TOKEN_FILE: &str = "admin.token";
/// Random bytes of a token that the node makes.
const TOKEN_BYTES: usize = 32;
/// The shortest token that is taken; somebody may have put an own one there.
const TOKEN_CHARS_MIN: usize = 16;
/// The longest, which still fits in a request.
const TOKEN_CHARS_MAX: usize = 1024;

/// Why there is no token.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum TokenError {
    /// The file can't be read or written.
    #[error(transparent)]
    DataDir(#[from] DataDirError),
    /// The file holds no token.
    #[error(
        "{}: this is no token for /admin: {TOKEN_CHARS_MIN} to {TOKEN_CHARS_MAX} visible ASCII characters; remove \
         the file to get a new one, or start with --admin off",
        .0.display()
    )]
    Unusable(PathBuf),
}

/// The rules.
pub(super) struct Access {
    token: String,
    /// Whether this machine needs no token.
    local: bool,
}

impl std::fmt::Debug for Access {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Not the token.
        f.debug_struct("Access")
            .field("local", &self.local)
            .finish_non_exhaustive()
    }
}

impl Access {
    /// Reads the token, which is made at the first start.
    pub(super) fn open(local: bool, data: &DataDir) -> Result<Self, TokenError> {
        let token = match data.read(TOKEN_FILE)? {
            Some(content) => String::from_utf8(content)
                .map(|text| text.trim().to_owned())
                .ok()
                .filter(|token| is_token(token))
                .ok_or_else(|| TokenError::Unusable(data.file(TOKEN_FILE)))?,
            None => {
                let token = HEXLOWER.encode(&rand::random::<[u8; TOKEN_BYTES]>());
                data.write(TOKEN_FILE, format!("{token}\n").as_bytes())?;
                token
            }
        };
        Ok(Self { token, local })
    }

    #[cfg(fuzzing)]
    pub(super) fn with_token(token: String, local: bool) -> Self {
        Self { token, local }
    }

    /// Whether a request is answered.
    pub(super) fn allows<B>(&self, remote: SocketAddr, request: &Request<B>) -> bool {
        self.has_token(request.headers())
            || self.local && is_local(remote.ip(), request) && !is_cross_site(request.headers())
    }

    fn has_token(&self, headers: &HeaderMap) -> bool {
        let given = headers
            .get(header::AUTHORIZATION)
            .and_then(|value| value.to_str().ok())
            .and_then(|value| value.split_once(' '))
            .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))
            .map(|(_, token)| token.trim());
        // How long it takes must not tell how much of it is right.
        given.is_some_and(|given| given.as_bytes().ct_eq(self.token.as_bytes()).into())
    }
}

fn is_token(text: &str) -> bool {
    (TOKEN_CHARS_MIN..=TOKEN_CHARS_MAX).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_graphic())
}

/// Whether a browser says that another site's page asks.
fn is_cross_site(headers: &HeaderMap) -> bool {
    let site = headers.get("sec-fetch-site");
    site.is_some_and(|site| site != "same-origin" && site != "none")
}

#[cfg(test)]
mod tests {
    use axum::http::Version;

    use super::*;
    use crate::http::local::FORWARDED;

    fn access(local: bool) -> (tempfile::TempDir, Access) {
        let dir = tempfile::tempdir().unwrap();
        let data = DataDir::open(dir.path()).unwrap();
        let access = Access::open(local, &data).unwrap();
        (dir, access)
    }

    fn allows(access: &Access, remote: &str, headers: &[(&str, &str)]) -> bool {
        let mut request = Request::get("/admin/status.json");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        access.allows(remote.parse().unwrap(), &request.body(()).unwrap())
    }

    const HERE: &str = "127.0.0.1:5000";
    const ELSEWHERE: &str = "192.0.2.1:5000";
    const HOST: (&str, &str) = ("host", "localhost:8470");

    #[test]
    fn somebody_at_this_machine_needs_no_token() {
        let (_dir, access) = access(true);
        for host in [
            "localhost",
            "LOCALHOST:1",
            "127.0.0.1:8470",
            "127.9.9.9",
            "[::1]:8470",
            "[::1]",
        ] {
            assert!(allows(&access, HERE, &[("host", host)]), "{host}");
        }
        for remote in ["[::1]:5000", "[::ffff:127.0.0.1]:5000"] {
            assert!(allows(&access, remote, &[HOST]), "{remote}");
        }
        assert!(allows(
            &access,
            HERE,
            &[HOST, ("sec-fetch-site", "same-origin")]
        ));
    }

    #[test]
    fn a_loopback_address_alone_is_no_proof() {
        let (_dir, access) = access(true);
        for host in [
            "moim.example.org",
            "localhost.example.org",
            "127.0.0.1.example.org",
            "192.168.1.5:8470",
            "0.0.0.0:8470",
            "[::1].example.org",
            "localhost:8470.example.org",
            "",
        ] {
            assert!(!allows(&access, HERE, &[("host", host)]), "{host}");
        }
        assert!(!allows(&access, HERE, &[]), "no host");
        assert!(!allows(&access, HERE, &[HOST, HOST]), "two hosts");
        for name in FORWARDED {
            let forwarded = (name.as_str(), "192.0.2.1");
            assert!(!allows(&access, HERE, &[HOST, forwarded]), "{name}");
        }
        for site in ["cross-site", "same-site"] {
            assert!(!allows(&access, HERE, &[HOST, ("sec-fetch-site", site)]));
        }
        let old = Request::get("/")
            .version(Version::HTTP_10)
            .header("host", "localhost");
        assert!(!access.allows(HERE.parse().unwrap(), &old.body(()).unwrap()));
        assert!(!allows(&access, ELSEWHERE, &[HOST]), "from elsewhere");
    }

    #[test]
    fn from_elsewhere_it_takes_the_token_and_nothing_less() {
        let (dir, access) = access(false);
        let token = std::fs::read_to_string(dir.path().join(TOKEN_FILE)).unwrap();
        let token = token.trim();
        assert_eq!(token.len(), 2 * TOKEN_BYTES);
        let given = |value: &str| allows(&access, ELSEWHERE, &[("authorization", value)]);
        assert!(given(&format!("Bearer {token}")));
        assert!(given(&format!("bearer {token} ")));
        for wrong in [
            String::new(),
            token.to_owned(),
            "Bearer".to_owned(),
            "Bearer ".to_owned(),
            format!("Basic {token}"),
            format!("Bearer {}", &token[1..]),
            format!("Bearer {token}0"),
            format!("Bearer {}", token.to_uppercase()),
        ] {
            assert!(!given(&wrong), "{wrong}");
        }
        assert!(!allows(&access, HERE, &[HOST]), "not even here");
    }

    #[test]
    fn a_token_stays_and_an_unusable_one_is_refused() {
        let (dir, access) = access(true);
        let data = DataDir::open(&dir.path().join("other")).unwrap();
        data.write(TOKEN_FILE, access.token.as_bytes()).unwrap();
        assert_eq!(Access::open(true, &data).unwrap().token, access.token);
        for content in [
            &b""[..],
            b"short",
            b"with a space in the middle",
            &[0xff; 40],
            &[b'a'; 2000],
        ] {
            data.write(TOKEN_FILE, content).unwrap();
            let error = Access::open(true, &data).unwrap_err();
            assert!(error.to_string().contains("admin.token"), "{error}");
        }
        // It is in no log.
        assert!(!format!("{access:?}").contains(&access.token));
    }
}
