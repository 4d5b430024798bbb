//! The command line.

use std::path::PathBuf;

use clap::Parser;

use crate::{
    commands::Command,
    config::{Config, ConfigError, Settings},
};

const AFTER_HELP: &str = "\
ADDRESSES
  HOST:PORT  HOST is an IPv4 address, an IPv6 address in brackets, `localhost`, or `*` for every
             address of the machine, IPv4 and IPv6. Port 0 takes any free port; the start-up
             output and /bootstrap.json tell which.
  off        Don't listen on this transport.

HTTP
  /                the page, where the node was built with it (`cargo xtask build`) or --web names it
  /bootstrap.json  the peer id and the addresses to dial, for pages and for `moim --bootstrap URL`
  /health          200 while the node is listening, for supervisors
  /metrics         Prometheus text format
  /admin           a dashboard, for this machine and for who has the token

FILES in the data directory
  identity.key         the key the peer id is made of; keep it secret, keep a copy
  acme-account.json    the account at the CA of --acme; keep it secret
  acme-certificate.json  the certificate that it gave, and its key; keep it secret
  acme-attempts.json   when the CA was asked lately
  admin.token          what /admin asks for from elsewhere
  webrtc.pem           the certificate that the /webrtc-direct addresses name
  store.redb           records and providers of the DHT, and peers to come back by
  blocked.txt          who gets nothing, see `moim-bootstrap block --help`
  moim-bootstrap.toml  settings, if you like: one key per flag, e.g.
                         ws = \"0.0.0.0:8469\"
                         external-address = [\"/dns4/moim.example.org/tcp/8469/ws\"]

A flag wins over the environment, the environment over the file, the file over the default.
At SIGHUP a running node reads its settings again and says what it took up and what needs a restart.
RUST_LOG chooses what is logged (to stderr), e.g. RUST_LOG=moim_bootstrap=debug.

EXIT CODES
  0 stopped by SIGINT or SIGTERM    1 could not start or go on    2 bad flags or settings";

/// The command line of `moim-bootstrap`.
#[derive(Clone, Debug, Default, Parser)]
#[command(
    name = "moim-bootstrap",
    version,
    // The last one wins, so that a script's flags can be changed by adding to them.
    args_override_self = true,
    about = "The bootstrap node of a Moim network: entry point, DHT server and relay",
    after_help = AFTER_HELP
)]
pub struct Args {
    /// What to do instead of running a node.
    #[command(subcommand)]
    pub command: Option<Command>,
    /// Settings file [env: MOIM_CONFIG] [default: moim-bootstrap.toml in the data directory]
    #[arg(long, global = true, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Say whether the settings are right and which are in force, and do nothing else
    #[arg(long)]
    pub check_config: bool,
    /// Everything else.
    #[command(flatten)]
    pub settings: Settings,
}

impl Args {
    /// Merges the flags with environment and settings file; see [`Config::load`].
    ///
    /// # Errors
    ///
    /// Says which source is wrong and how.
    pub fn load(self, env: impl Fn(&str) -> Option<String>) -> Result<Config, ConfigError> {
        Config::load(self.config, self.settings, env)
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_well_formed() {
        Args::command().debug_assert();
    }
}
