//! The program: reads its options, starts the parts of the service, and ends them after a signal.

use api::admin;
use api::cache::Cache;
use api::config::{Admin, Arguments, Command, LogFormat, LogLevel, Options};
use api::database::{Database, Settings};
use api::descriptors::{left, raise_limit};
use api::keys::{Keys, Source};
use api::listener::listen;
use api::lookup::Lookup;
use api::metrics::Metrics;
use api::routes::{App, clients, operators, router};
use api::server::{Counts, Limits, bind, serve};
use clap::CommandFactory;
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio::time::timeout;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::prelude::*;

/// Most connections to the listener for operators.
const ADMIN_CONNECTIONS: usize = 64;
/// With fewer connections of clients, the service does not start.
const FEWEST_CONNECTIONS: usize = 16;

fn main() -> ExitCode {
    let arguments = Arguments::read();
    let ended = match &arguments.command {
        None => {
            let options = &arguments.options;
            serve_until_stopped(options.log_format, options.log_level, run(options))
        }
        Some(Command::Admin(admin)) => {
            serve_until_stopped(admin.log_format, admin.log_level, run_admin(admin))
        }
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

fn serve_until_stopped(
    format: LogFormat,
    level: LogLevel,
    serve: impl Future<Output = Result<bool, String>>,
) -> Result<ExitCode, String> {
    log(format, level).map_err(|error| format!("cannot write a log: {error}"))?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = runtime.map_err(|error| error.to_string())?;
    let ended = runtime.block_on(serve);
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
    let (settings, reads) = watch::channel(options.settings()?);
    let database = Database::new(&reads, &metrics)?;
    let cache = Cache::new(options.cache_users as usize, usize::from(options.cache_megabytes) << 20);
    let ttl = Duration::from_secs(options.cache_ttl.into());
    let lookup = Arc::new(Lookup::new(database, cache, ttl, &metrics));
    if options.cache_ttl > 0 {
        tokio::spawn(listen(reads, Arc::clone(&lookup), Arc::clone(&metrics)));
    }
    let (policy, proxies, origins) = (options.policy(), options.proxies()?, options.origins()?);
    let stopping = AtomicBool::new(false);
    let app = Arc::new(App { keys, policy, proxies, origins, lookup, metrics, stopping });
    let refresh = Duration::from_secs(options.jwks_refresh.into());
    let shared = Arc::clone(&app);
    tokio::spawn(async move { shared.keys.refresh_forever(refresh).await });

    let limits = limits(options)?;
    let (listeners, mut urls) = bind_and_name(&options.listen).await?;
    urls.truncate(1);
    let (admin, admin_urls) = match &options.admin_listen {
        Some(listen) => bind_and_name(listen).await?,
        None => (Vec::new(), Vec::new()),
    };
    urls.extend(admin_urls.into_iter().take(1));
    let catch = |kind| signal(kind).map_err(|error| error.to_string());
    let (mut term, mut int, mut hangup) =
        (catch(SignalKind::terminate())?, catch(SignalKind::interrupt())?, catch(SignalKind::hangup())?);
    if let Some(file) = &options.url_file {
        let text = urls.join("\n");
        std::fs::write(file, text).map_err(|error| format!("{}: {error}", file.display()))?;
    }
    let mut end = async || tokio::select! { _ = term.recv() => {}, _ = int.recv() => {} };
    let stop = async {
        end().await;
        app.stopping.store(true, Ordering::Relaxed);
        if options.drain > 0 {
            tracing::info!(seconds = options.drain, "not ready; stopping after that");
            drop(timeout(Duration::from_secs(options.drain.into()), end()).await);
        }
        tracing::info!("stopping");
    };
    let reload = async {
        while hangup.recv().await.is_some() {
            reload(options, &app, &settings).await;
        }
        std::future::pending().await
    };
    let (ended, ending) = watch::channel(());
    let counts = app.metrics.connections().clone();
    let routes = if admin.is_empty() { clients().merge(operators()) } else { clients() };
    let serve_clients = async {
        let finished = serve(listeners, router(Arc::clone(&app), routes), limits, counts, stop).await;
        drop(ended);
        finished
    };
    let serve_operators = async {
        if !admin.is_empty() {
            let limits = Limits { connections: ADMIN_CONNECTIONS, ..limits };
            let router = router(Arc::clone(&app), operators());
            let mut ending = ending;
            let ended = async { drop(ending.changed().await) };
            serve(admin, router, limits, Counts::new().map_err(|error| error.to_string())?, ended).await;
        }
        Ok::<_, String>(())
    };
    tokio::select! {
        (finished, admin) = async { tokio::join!(serve_clients, serve_operators) } => admin.map(|()| finished),
        never = reload => never,
    }
}

/// Serves the admin's page until a signal. False if some requests did not finish in time.
async fn run_admin(options: &Admin) -> Result<bool, String> {
    let metrics = Arc::new(Metrics::new().map_err(|error| error.to_string())?);
    let (settings, people) = options.config(&metrics)?;
    let (listeners, urls) = bind_and_name(&options.listen).await?;
    let addresses: Vec<_> = listeners.iter().filter_map(|listener| listener.local_addr().ok()).collect();
    let app = admin::App::new(settings, people, &addresses, &metrics).await?;
    let shared = Arc::clone(&app);
    tokio::spawn(async move { shared.refresh_forever().await });
    let catch = |kind| signal(kind).map_err(|error| error.to_string());
    let (mut term, mut int) = (catch(SignalKind::terminate())?, catch(SignalKind::interrupt())?);
    if let (Some(file), Some(url)) = (&options.url_file, urls.first()) {
        std::fs::write(file, url).map_err(|error| format!("{}: {error}", file.display()))?;
    }
    let stop = async {
        tokio::select! { _ = term.recv() => {}, _ = int.recv() => {} }
    };
    let limits = Limits {
        connections: ADMIN_CONNECTIONS,
        client_timeout: Duration::from_secs(30),
        shutdown_timeout: Duration::from_secs(10),
    };
    let counts = metrics.connections().clone();
    Ok(serve(listeners, admin::router(app, &metrics), limits, counts, stop).await)
}

/// Listens, and says where.
async fn bind_and_name(listen: &str) -> Result<(Vec<TcpListener>, Vec<String>), String> {
    let failed = |error: io::Error| format!("{listen}: {error}");
    let listeners = bind(listen).await.map_err(failed)?;
    let addresses: Result<Vec<_>, _> = listeners.iter().map(TcpListener::local_addr).collect();
    let urls: Vec<_> =
        addresses.map_err(failed)?.iter().map(|address| format!("http://{address}/")).collect();
    for url in &urls {
        tracing::info!(url, "serving");
    }
    Ok((listeners, urls))
}

/// The limits on connections of clients, after the limit of open files was raised.
fn limits(options: &Options) -> Result<Limits, String> {
    let mut limits = options.limits();
    let Some(files) = raise_limit() else { return Ok(limits) };
    // and the one that listens
    let database = u64::from(options.database_connections) + 1;
    let admin = if options.admin_listen.is_some() { ADMIN_CONNECTIONS as u64 } else { 0 };
    let left = left(files, database + admin);
    if left < FEWEST_CONNECTIONS {
        return Err(format!(
            "the limit of open files, {files}, is too low; raise it, or lower --database-connections"
        ));
    }
    if left < limits.connections {
        tracing::warn!(
            files,
            connections = left,
            "the limit of open files allows fewer connections than --connections"
        );
        limits.connections = left;
    } else {
        tracing::info!(files, connections = limits.connections, "most connections of clients");
    }
    Ok(limits)
}

/// Reads again what can change while the service runs: the files of the secrets and of the connection to the database,
/// and the JWKS. What cannot be read stays as it is.
async fn reload(options: &Options, app: &App, settings: &watch::Sender<Settings>) {
    let database = options.settings().map(|new| drop(settings.send_replace(new)));
    let keys = match options.secrets() {
        Ok(secrets) => app.keys.reload(&secrets).await,
        Err(error) => Err(error),
    };
    match database.and(keys) {
        Ok(()) => tracing::info!("reloaded"),
        Err(error) => tracing::warn!(error, "not everything could be reloaded"),
    }
}

/// Starts the log. Of the messages of libraries, only warnings and errors are logged.
fn log(format: LogFormat, level: LogLevel) -> io::Result<()> {
    let level = match level {
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
    let layer = match format {
        LogFormat::Json => layer.json().flatten_event(true).boxed(),
        LogFormat::Text => layer.boxed(),
    };
    tracing_subscriber::registry().with(layer.with_filter(targets)).init();
    Ok(())
}
