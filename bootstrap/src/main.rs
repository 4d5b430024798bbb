//! `moim-bootstrap`: arguments, log, signals, exit code. Everything else is in the library.

use std::{env, process::ExitCode, time::Duration};

use clap::Parser as _;
use moim_bootstrap::{Args, Config, init_log};
use tokio::signal::unix::{SignalKind, signal};

/// Exit code for wrong flags and settings, as clap has it.
const EXIT_USAGE: u8 = 2;
/// Exit code when a second signal cuts the stop short: 128 + SIGINT, as shells have it.
const EXIT_INTERRUPTED: i32 = 130;
/// Time for background tasks to end after everything is closed.
const RUNTIME_SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(1);

fn main() -> ExitCode {
    let args = Args::parse();
    let config = match Config::load(args, |name| env::var(name).ok()) {
        Ok(config) => config,
        Err(error) => {
            report(&error.into());
            return ExitCode::from(EXIT_USAGE);
        }
    };
    init_log(config.log_format);
    match start(&config) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            report(&error);
            ExitCode::FAILURE
        }
    }
}

fn start(config: &Config) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    let result = runtime.block_on(async {
        let stop = stop_signal()?;
        moim_bootstrap::run(config, stop)
            .await
            .map_err(anyhow::Error::from)
    });
    runtime.shutdown_timeout(RUNTIME_SHUTDOWN_TIMEOUT);
    result
}

/// Ready at the first SIGINT or SIGTERM. The second ends the process at once.
fn stop_signal() -> std::io::Result<impl Future<Output = ()>> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let (tx, rx) = tokio::sync::oneshot::channel();
    tokio::spawn(async move {
        let mut next = async || {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
        };
        next().await;
        // The receiver is gone if the node is.
        let _ = tx.send(());
        next().await;
        std::process::exit(EXIT_INTERRUPTED);
    });
    Ok(async {
        let _ = rx.await;
    })
}

/// Says what went wrong, with every cause, on stderr.
fn report(error: &anyhow::Error) {
    use std::io::Write as _;
    let mut text = String::from("moim-bootstrap");
    for cause in error.chain() {
        let cause = cause.to_string();
        // Messages that end with their source's would say it twice.
        if !text.ends_with(&cause) {
            text += ": ";
            text += &cause;
        }
    }
    // There is nobody left to tell if this fails.
    let _ = writeln!(std::io::stderr(), "{text}");
}
