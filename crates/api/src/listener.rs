//! The connection that listens for changes. Lists are cached only while it works.

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
use tokio::sync::watch;
use tokio::time::{sleep, timeout};
use tokio_postgres::AsyncMessage;

/// Time between two checks of the connection: a silent loss is noticed after this time at the latest.
const HEARTBEAT: Duration = Duration::from_secs(5);
/// Pause before the first attempt to connect again. It doubles until it is `LAST_PAUSE`.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LAST_PAUSE: Duration = Duration::from_secs(10);

type Failure = Box<dyn Error + Send + Sync>;

/// Listens forever. Connects again when the connection is lost.
pub async fn listen(settings: watch::Receiver<Settings>, lookup: Arc<Lookup>, metrics: Arc<Metrics>) {
    let mut pause = FIRST_PAUSE;
    loop {
        let begun = Instant::now();
        let present = settings.borrow().clone();
        let Err(error) = session(&present, &lookup, &metrics).await;
        lookup.cache().switch(false);
        metrics.listening(false);
        tracing::warn!(error = error_chain(&*error), "not listening for changes; nothing is cached");
        // a connection that worked for a while was not a failed attempt; and the pool may give its place
        let has_place = begun.elapsed() > LAST_PAUSE || lookup.database().make_room(&*error);
        pause = if has_place { FIRST_PAUSE } else { pause };
        sleep(pause).await;
        pause = (pause * 2).min(LAST_PAUSE);
    }
}

/// One connection, from LISTEN to its end.
async fn session(settings: &Settings, lookup: &Lookup, metrics: &Metrics) -> Result<Infallible, Failure> {
    let (client, mut connection) =
        timeout(settings.timeout, settings.config.connect(settings.tls.clone())).await??;
    // the connection works only while it is polled
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
