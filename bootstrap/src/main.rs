//! `moim-bootstrap`: arguments, log, signals, exit code. Everything else is in the library.

use std::{env, io, process::ExitCode, time::Duration};

use clap::Parser as _;
use moim_bootstrap::{Args, Config, ConfigError, init_log};
use tokio::sync::watch;

mod system;

/// Exit code for wrong flags and settings, as clap has it.
const EXIT_USAGE: u8 = 2;
/// Time for background tasks to end after everything is closed.
const RUNTIME_SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(1);

fn main() -> ExitCode {
    let mut args = Args::parse();
    let (command, check) = (args.command.take(), args.check_config);
    let config = match load(args.clone()) {
        Ok(config) => config,
        Err(error) => {
            report(&error.into());
            return ExitCode::from(EXIT_USAGE);
        }
    };
    if check {
        return match moim_bootstrap::check(&config, &mut io::stdout().lock()) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                report(&error.into());
                ExitCode::from(EXIT_USAGE)
            }
        };
    }
    init_log(config.log_format, env::var("RUST_LOG").ok().as_deref());
    moim_connection_guard::quiet_caught_panics();
    let result = match command {
        Some(command) => command
            .run(&config, &mut io::stdout().lock())
            .map_err(anyhow::Error::from),
        None => start(&config, args),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            report(&error);
            ExitCode::FAILURE
        }
    }
}

fn load(args: Args) -> Result<Config, ConfigError> {
    args.load(|name| env::var(name).ok())
}

fn start(config: &Config, args: Args) -> anyhow::Result<()> {
    system::raise_open_file_limit(config.max_connections.get());
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    let result = runtime.block_on(async {
        let (configs, receiver) = watch::channel(config.clone());
        let stop = system::stop_signal(move || match load(args.clone()) {
            Ok(config) => _ = configs.send_replace(config),
            Err(error) => {
                tracing::error!(%error, "the settings can't be used; those in force stay");
            }
        })?;
        moim_bootstrap::run(receiver, stop)
            .await
            .map_err(anyhow::Error::from)
    });
    runtime.shutdown_timeout(RUNTIME_SHUTDOWN_TIMEOUT);
    result
}

/// Says what went wrong, with every cause, on stderr.
fn report(error: &anyhow::Error) {
    use std::io::Write as _;
    let mut text = String::from("moim-bootstrap");
    for cause in error.chain() {
        let cause = cause.to_string();
        // Many messages have their source's in them already.
        if !text.contains(&cause) {
            text += ": ";
            text += &cause;
        }
    }
    // There is nobody left to tell if this fails.
    let _ = writeln!(io::stderr(), "{text}");
}
