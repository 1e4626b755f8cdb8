//! The program: reads its options, starts the parts of the service, and ends them after a signal.

use api::cache::Cache;
use api::config::{Arguments, Command, LogFormat, LogLevel, Options};
use api::database::Database;
use api::keys::{Keys, Source};
use api::listener::listen;
use api::lookup::Lookup;
use api::metrics::Metrics;
use api::routes::{App, router};
use api::server::{bind, serve};
use clap::CommandFactory;
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::prelude::*;

fn main() -> ExitCode {
    let arguments = Arguments::read();
    let ended = match &arguments.command {
        None => serve_until_stopped(&arguments.options),
        Some(Command::Token(token)) => token.sign().and_then(|token| print(&token)),
        Some(Command::Man { directory }) => clap_mangen::generate_to(Arguments::command(), directory)
            .map(|()| ExitCode::SUCCESS)
            .map_err(|error| format!("{}: {error}", directory.display())),
    };
    ended.unwrap_or_else(|message| {
        // standard error may be closed
        drop(writeln!(io::stderr(), "model-access-api: {message}"));
        ExitCode::FAILURE
    })
}

fn print(line: &str) -> Result<ExitCode, String> {
    writeln!(io::stdout(), "{line}").map(|()| ExitCode::SUCCESS).map_err(|error| error.to_string())
}

fn serve_until_stopped(options: &Options) -> Result<ExitCode, String> {
    log(options).map_err(|error| format!("cannot write a log: {error}"))?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = runtime.map_err(|error| error.to_string())?;
    let ended = runtime.block_on(run(options));
    runtime.shutdown_background();
    Ok(if ended? {
        ExitCode::SUCCESS
    } else {
        tracing::warn!("some requests did not finish in time");
        ExitCode::FAILURE
    })
}

/// Serves until a signal. False if some requests did not finish in time.
async fn run(options: &Options) -> Result<bool, String> {
    let metrics = Arc::new(Metrics::new().map_err(|error| error.to_string())?);
    let pause = Duration::from_secs(options.jwks_pause.into());
    let keys = Keys::new(&options.secrets()?, options.jwks.clone(), pause, &metrics);
    let loaded = keys.refresh().await;
    if let (Some(Source::File(file)), Err(error)) = (&options.jwks, loaded) {
        return Err(format!("could not load the JWKS from {}: {error}", file.display()));
    }
    let settings = options.settings()?;
    let database = Database::new(&settings, &metrics)?;
    let cache = Cache::new(options.cache_users as usize, usize::from(options.cache_megabytes) << 20);
    let ttl = Duration::from_secs(options.cache_ttl.into());
    let lookup = Arc::new(Lookup::new(database, cache, ttl, &metrics));
    if options.cache_ttl > 0 {
        tokio::spawn(listen(settings, Arc::clone(&lookup), Arc::clone(&metrics)));
    }
    let (policy, proxies, origins) = (options.policy(), options.proxies()?, options.origins()?);
    let app = Arc::new(App { keys, policy, proxies, origins, lookup, metrics });
    let refresh = Duration::from_secs(options.jwks_refresh.into());
    let shared = Arc::clone(&app);
    tokio::spawn(async move { shared.keys.refresh_forever(refresh).await });

    let failed = |error: io::Error| format!("{}: {error}", options.listen);
    let listeners = bind(&options.listen).await.map_err(failed)?;
    let addresses: Result<Vec<_>, _> = listeners.iter().map(TcpListener::local_addr).collect();
    let urls: Vec<_> =
        addresses.map_err(failed)?.iter().map(|address| format!("http://{address}/")).collect();
    let url = urls.first().map_or("", String::as_str);
    let (mut term, mut int) = (
        signal(SignalKind::terminate()).map_err(|error| error.to_string())?,
        signal(SignalKind::interrupt()).map_err(|error| error.to_string())?,
    );
    if let Some(file) = &options.url_file {
        std::fs::write(file, url).map_err(|error| format!("{}: {error}", file.display()))?;
    }
    for url in &urls {
        tracing::info!(url, "serving");
    }
    let stop = async {
        tokio::select! { _ = term.recv() => {}, _ = int.recv() => {} }
        tracing::info!("stopping");
    };
    Ok(serve(listeners, router(app), options.limits(), stop).await)
}

/// Starts the log. Of the messages of libraries, only warnings and errors are logged.
fn log(options: &Options) -> io::Result<()> {
    let level = match options.log_level {
        LogLevel::Off => LevelFilter::OFF,
        LogLevel::Error => LevelFilter::ERROR,
        LogLevel::Warn => LevelFilter::WARN,
        LogLevel::Info => LevelFilter::INFO,
    };
    let targets = Targets::new()
        .with_default(level.min(LevelFilter::WARN))
        .with_target("api", level)
        .with_target("model_access_api", level);
    // each line is one write; the lock of io::stderr() would make threads wait for each other
    let stderr = Arc::new(File::from(io::stderr().as_fd().try_clone_to_owned()?));
    let layer = tracing_subscriber::fmt::layer().with_writer(stderr).with_ansi(false).with_target(false);
    let layer = match options.log_format {
        LogFormat::Json => layer.json().flatten_event(true).boxed(),
        LogFormat::Text => layer.boxed(),
    };
    tracing_subscriber::registry().with(layer.with_filter(targets)).init();
    Ok(())
}
