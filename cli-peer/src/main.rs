//! `moim`: a Moim peer in a terminal.
//!
//! [`args`] says what there is. `join` runs a [`session`] with one of two fronts, [`person`] or
//! [`json`]; everything else is a [`oneshot`]. This program decides how things are shown and typed,
//! and nothing about the network: that is the peer library's.

use std::{
    io::{self, Write as _},
    process::ExitCode,
};

use clap::Parser as _;

use crate::{
    args::{Args, Command, JoinArgs},
    exit::{Exit, Failure},
    identity::{Choice, Identity},
    json::Json,
    logging::Log,
    output::Output,
    session::Session,
    signals::Signals,
};

mod args;
mod exit;
mod identity;
mod ids;
mod json;
mod lines;
mod logging;
mod oneshot;
mod output;
mod person;
mod session;
mod signals;
#[cfg(test)]
mod testing;
mod text;

fn main() -> ExitCode {
    // They are told in the log, not in the middle of what is typed.
    moim_peer::quiet_caught_panics();
    let arguments = Args::parse();
    let json = arguments.command.json();
    match run(arguments) {
        Ok(exit) => exit.into(),
        Err(failure) => {
            if json && !failure.told {
                let _ = io::stdout().lock().write_all(failure.to_line().as_bytes());
            }
            let text = format!("moim: {}\n", failure.message.trim_end());
            // Without standard error the exit code has to do.
            let _ = io::stderr().lock().write_all(text.as_bytes());
            failure.exit.into()
        }
    }
}

fn run(arguments: Args) -> Result<Exit, Failure> {
    let log = Log::start(arguments.log.as_deref())?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| {
            Failure::new(
                Exit::Failed,
                "failed",
                format!("cannot start the runtime: {error}"),
            )
        })?;
    let outcome = runtime.block_on(async {
        match arguments.command {
            Command::Get(arguments) => oneshot::get(arguments).await,
            Command::Join(arguments) => join(arguments, &log).await,
            Command::Peers(arguments) => oneshot::peers(arguments).await,
            Command::Put(arguments) => oneshot::put(arguments).await,
        }
    });
    // Something may still wait for a name server or a slow reader; it must not hold up the end.
    runtime.shutdown_background();
    outcome
}

async fn join(arguments: JoinArgs, log: &Log) -> Result<Exit, Failure> {
    // From here on a signal means to leave, also while the start is under way.
    let signals = Signals::listen().map_err(|error| {
        Failure::new(
            Exit::Failed,
            "failed",
            format!("cannot listen for signals: {error}"),
        )
    })?;
    let choice = match &arguments.data_dir {
        _ if arguments.ephemeral => Choice::Ephemeral,
        Some(directory) => Choice::Directory(directory.clone()),
        None => Choice::Platform,
    };
    let mut identity = Identity::open(choice)
        .await
        .map_err(|error| Failure::new(Exit::Failed, "identity", format!("{error:#}")))?;
    if let Some(notice) = identity.notice.take() {
        // Standard output is for the conversation.
        let _ = io::stderr()
            .lock()
            .write_all(format!("moim: {notice}\n").as_bytes());
    }
    let session = Session::start(&arguments, identity).await?;
    if !arguments.json {
        return person::run(session, signals, log).await;
    }
    let failed = |error| {
        Failure::new(
            Exit::Failed,
            "failed",
            format!("cannot use standard input and output: {error}"),
        )
    };
    let front = Json::new(&session);
    let input = lines::from_stdin().map_err(failed)?;
    let output = Output::to_stdout().map_err(failed)?;
    session.run(front, input, output, signals).await
}
