//! The ports that a run needs, asked for before minutes are spent on building.

use std::net::{Ipv4Addr, SocketAddr, TcpListener, ToSocketAddrs, UdpSocket};

use anyhow::{Context, Result, bail};

use crate::{args::RunOptions, http};

/// Name of the flag, transport, and where it listens by default.
const DEFAULTS: &[(&str, Transport, &str)] = &[
    ("tcp", Transport::Tcp, "*:8468"),
    ("quic", Transport::Udp, "*:8468"),
    ("ws", Transport::Tcp, "*:8469"),
    ("webrtc-direct", Transport::Udp, "*:8469"),
    ("http", Transport::Tcp, "*:8470"),
];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Transport {
    Tcp,
    Udp,
}

/// Where something will listen.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Listen {
    flag: String,
    transport: Transport,
    at: String,
}

/// Everything that will listen.
#[derive(Clone, Debug)]
pub(crate) struct Ports {
    listen: Vec<Listen>,
    /// Where the bootstrap node answers HTTP.
    pub(crate) http: String,
}

impl Ports {
    /// From the flags, the bootstrap node's variables and its defaults, in this order.
    pub(crate) fn wanted(
        options: &RunOptions,
        variable: impl Fn(&str) -> Option<String>,
    ) -> Result<Self> {
        let mut listen = vec![Listen {
            flag: "page-port".to_owned(),
            transport: Transport::Tcp,
            at: format!("127.0.0.1:{}", options.page_port),
        }];
        for (flag, transport, default) in DEFAULTS {
            let given = options.listen.iter().rev().find(|(name, _)| name == flag);
            let name = format!("MOIM_{}", flag.to_uppercase().replace('-', "_"));
            let at = given
                .map(|(_, value)| value.clone())
                .or_else(|| variable(&name).filter(|value| !value.is_empty()))
                .unwrap_or_else(|| (*default).to_owned());
            listen.push(Listen {
                flag: (*flag).to_owned(),
                transport: *transport,
                at,
            });
        }
        let http = listen
            .last()
            .map(|last| last.at.clone())
            .unwrap_or_default();
        if http == "off" {
            bail!("the page learns the node's addresses over HTTP: MOIM_HTTP cannot be off here");
        }
        Ok(Self { listen, http })
    }

    /// Fails for the first port that somebody else has.
    pub(crate) fn check(&self) -> Result<()> {
        for listen in self.listen.iter().filter(|listen| listen.at != "off") {
            let address = bind_address(&listen.at).with_context(|| format!("--{}", listen.flag))?;
            if address.port() == 0 {
                continue;
            }
            let (kind, result) = match listen.transport {
                Transport::Tcp => ("TCP", TcpListener::bind(address).map(drop)),
                Transport::Udp => ("UDP", UdpSocket::bind(address).map(drop)),
            };
            if let Err(error) = result {
                bail!(
                    "{kind} port {} is not free ({error}).\n{}What to do: stop what uses it, or \
                     choose another with `cargo xtask run --{} {}`.",
                    address.port(),
                    if self.moim_answers() {
                        "A bootstrap node of Moim is running already.\n"
                    } else {
                        ""
                    },
                    listen.flag,
                    if listen.flag == "page-port" {
                        "PORT"
                    } else {
                        "HOST:PORT"
                    },
                );
            }
        }
        Ok(())
    }

    fn moim_answers(&self) -> bool {
        reachable(&self.http)
            .and_then(|address| http::get(address, "/bootstrap.json"))
            .is_ok_and(|(_, body)| body.contains("peer_id"))
    }
}

/// The address to bind for `HOST:PORT`, where `*` is every address.
fn bind_address(at: &str) -> Result<SocketAddr> {
    let text = at
        .strip_prefix('*')
        .map_or_else(|| at.to_owned(), |port| format!("0.0.0.0{port}"));
    text.to_socket_addrs()
        .with_context(|| format!("{at:?} is not HOST:PORT"))?
        .next()
        .with_context(|| format!("{at:?} leads nowhere"))
}

/// The address at which a server on this machine that listens at `HOST:PORT` is asked.
pub(crate) fn reachable(at: &str) -> Result<SocketAddr> {
    let mut address = bind_address(at)?;
    if address.ip().is_unspecified() {
        address.set_ip(Ipv4Addr::LOCALHOST.into());
    }
    Ok(address)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(options: &RunOptions, variables: &[(&str, &str)]) -> Ports {
        let variable = |name: &str| {
            variables
                .iter()
                .find(|(own, _)| *own == name)
                .map(|(_, value)| (*value).to_owned())
        };
        Ports::wanted(options, variable).unwrap()
    }

    #[test]
    fn flags_come_before_variables_before_defaults() {
        let options = RunOptions {
            page_port: 9090,
            listen: vec![("http".into(), "127.0.0.1:9470".into())],
            ..RunOptions::default()
        };
        let ports = wanted(
            &options,
            &[("MOIM_HTTP", "*:1"), ("MOIM_WEBRTC_DIRECT", "off")],
        );
        let at: Vec<&str> = ports
            .listen
            .iter()
            .map(|listen| listen.at.as_str())
            .collect();
        assert_eq!(
            at,
            [
                "127.0.0.1:9090",
                "*:8468",
                "*:8468",
                "*:8469",
                "off",
                "127.0.0.1:9470"
            ]
        );
        assert_eq!(ports.http, "127.0.0.1:9470");
    }

    #[test]
    fn a_server_on_every_address_is_asked_on_this_machine() {
        for at in ["*:8470", "0.0.0.0:8470"] {
            assert_eq!(reachable(at).unwrap().to_string(), "127.0.0.1:8470");
        }
        assert_eq!(reachable("127.0.0.2:1").unwrap().to_string(), "127.0.0.2:1");
        for broken in ["", "8470", "*:x", "127.0.0.1"] {
            assert!(reachable(broken).is_err(), "{broken}");
        }
    }

    #[test]
    fn a_taken_port_is_named_with_the_flag_that_changes_it() {
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        let at = taken.local_addr().unwrap().to_string();
        let off = |name: &str| (name.to_owned(), "off".to_owned());
        let free = "127.0.0.1:0".to_owned();
        let options = RunOptions {
            page_port: TcpListener::bind("127.0.0.1:0")
                .unwrap()
                .local_addr()
                .unwrap()
                .port(),
            listen: vec![
                off("tcp"),
                off("quic"),
                ("ws".to_owned(), at.clone()),
                off("webrtc-direct"),
                ("http".to_owned(), free),
            ],
            ..RunOptions::default()
        };
        let error = wanted(&options, &[]).check().unwrap_err().to_string();
        let port = at.rsplit(':').next().unwrap();
        assert!(
            error.contains(port) && error.contains("--ws HOST:PORT"),
            "{error}"
        );
        drop(taken);
        wanted(&options, &[]).check().unwrap();
    }
}
