//! One connection that hears every change. While it is there lists may be cached, and only then.

use crate::database::Settings;
use crate::error_chain::error_chain;
use crate::lookup::Lookup;
use crate::metrics::Metrics;
use std::convert::Infallible;
use std::error::Error;
use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::time::{sleep, timeout};
use tokio_postgres::AsyncMessage;

/// How often the connection is asked whether it is still there: the longest that a silent loss goes unnoticed.
const HEARTBEAT: Duration = Duration::from_secs(5);
/// Pause before the first attempt to connect again; doubled up to the last.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LAST_PAUSE: Duration = Duration::from_secs(10);

type Failure = Box<dyn Error + Send + Sync>;

/// Listens for ever, connecting again whenever the connection is lost.
pub async fn listen(settings: Settings, lookup: Arc<Lookup>, metrics: Arc<Metrics>) {
    let mut pause = FIRST_PAUSE;
    loop {
        let begun = Instant::now();
        let Err(error) = session(&settings, &lookup, &metrics).await;
        lookup.cache().switch(false);
        metrics.listening(false);
        tracing::warn!(error = error_chain(&*error), "nobody listens for changes, so nothing is cached");
        // one that held for a while was no failed attempt
        pause = if begun.elapsed() > LAST_PAUSE { FIRST_PAUSE } else { pause };
        sleep(pause).await;
        pause = (pause * 2).min(LAST_PAUSE);
    }
}

/// One connection, from LISTEN to whatever ends it.
async fn session(settings: &Settings, lookup: &Lookup, metrics: &Metrics) -> Result<Infallible, Failure> {
    let (client, mut connection) =
        timeout(settings.timeout, settings.config.connect(settings.tls.clone())).await??;
    // the connection works while it is polled; it ends only with an error or the server's goodbye
    let mut messages = pin!(async {
        while let Some(message) = poll_fn(|context| connection.poll_message(context)).await {
            if let AsyncMessage::Notification(_) = message? {
                lookup.cache().clear();
                metrics.changed();
            }
        }
        Err("the server ended the connection".into())
    });
    tokio::select! {
        ended = &mut messages => return ended,
        answer = timeout(settings.timeout, client.batch_execute("LISTEN model_access")) => answer??,
    }
    lookup.cache().switch(true);
    metrics.listening(true);
    tracing::info!("listening for changes");
    loop {
        tokio::select! {
            ended = &mut messages => return ended,
            () = sleep(HEARTBEAT) => {}
        }
        tokio::select! {
            ended = &mut messages => return ended,
            answer = timeout(settings.timeout, client.batch_execute("")) => answer??,
        }
    }
}
