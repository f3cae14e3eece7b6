//! `sortie-server`: reads the configuration, starts the server, stops it on SIGINT or SIGTERM; or runs a command.
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a command line program speaks on its streams"
)]

mod allocator;
mod cli;
mod log;

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use clap::{CommandFactory, FromArgMatches, Parser};
use sortie_server::{Config, Server, Settings, SystemClock, variables_help};

/// Records screens without losing data, and finds the recordings again. Configured by environment variables: --help
/// lists them.
#[derive(Parser)]
#[command(version, about)]
struct Arguments {
    /// A TOML file with variables; environment variables take precedence. Also SORTIE_CONFIG.
    #[arg(long, value_name = "FILE", global = true)]
    config: Option<PathBuf>,
    #[command(subcommand)]
    command: Option<cli::Command>,
}

fn main() -> ExitCode {
    allocator::configure();
    let matches = Arguments::command()
        .after_long_help(variables_help())
        .get_matches();
    let arguments = Arguments::from_arg_matches(&matches).unwrap_or_else(|error| error.exit());
    // Files of `repair` belong to the user who runs it: their umask applies.
    if !matches!(arguments.command, Some(cli::Command::Repair(_))) {
        sortie_server::keep_files_private();
    }
    if let Some(command) = arguments.command {
        return command.run(arguments.config);
    }
    let config = match Settings::from_env(arguments.config).config() {
        Ok(config) => config,
        Err(errors) => return cli::wrong_values("sortie-server cannot start", &errors),
    };
    let runtime = match tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("sortie-server cannot start: {error}");
            return ExitCode::FAILURE;
        }
    };
    let traces = match log::start(&config, runtime.handle()) {
        Ok(traces) => traces,
        Err(error) => {
            eprintln!("sortie-server cannot start: {error:#}");
            return ExitCode::FAILURE;
        }
    };
    let ended = runtime.block_on(run(config));
    traces.shut_down();
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("sortie-server: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run(config: Config) -> anyhow::Result<()> {
    outlive_file_size_limit();
    let enabled = config.recording_enabled;
    let server = Server::open(config, Arc::new(SystemClock)).await?;
    let mut greeting = format!(
        "Sortie Recording {} listens on {}\n",
        env!("CARGO_PKG_VERSION"),
        server.url()
    );
    if !enabled {
        greeting += "Recording is off. SORTIE_VIDEO_RECORDING_ENABLED=true turns it on.\n";
    }
    if let Some(admin) = server.first_admin() {
        greeting += &admin.greeting("SORTIE_ADMIN_PASSWORD");
    }
    // Printed in one piece: a reader that waits for the address also receives the password.
    print!("{greeting}");
    server.serve(stop_signal()).await?;
    Ok(())
}

/// A write beyond a file size limit (`ulimit -f`, systemd's `LimitFSIZE=`) sends SIGXFSZ, which ends a process that
/// does not catch it. If it is caught, the write fails with `EFBIG`, which is answered like a full disk.
fn outlive_file_size_limit() {
    #[cfg(target_os = "linux")]
    {
        use tokio::signal::unix::{SignalKind, signal};
        let kind = SignalKind::from_raw(rustix::process::Signal::XFSZ.as_raw());
        // The stream is not used; it keeps the handler installed.
        if let Err(error) = signal(kind) {
            tracing::warn!("SIGXFSZ cannot be caught: {error}");
        }
    }
}

/// Completes at the first SIGINT or SIGTERM.
async fn stop_signal() {
    let interrupt = tokio::signal::ctrl_c();
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        match signal(SignalKind::terminate()) {
            Ok(mut terminate) => {
                tokio::select! {
                    _ = interrupt => {}
                    _ = terminate.recv() => {}
                }
            }
            Err(error) => {
                tracing::warn!("cannot handle SIGTERM: {error}");
                let _ = interrupt.await;
            }
        }
    }
    #[cfg(not(unix))]
    let _ = interrupt.await;
}
