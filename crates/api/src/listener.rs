//! The connection that listens for changes. Lists are cached only while it receives what other
//! connections send.

use crate::cache::Change;
use crate::database::Settings;
use crate::error_chain::error_chain;
use crate::lookup::Lookup;
use crate::metrics::Metrics;
use std::convert::Infallible;
use std::error::Error;
use std::future::poll_fn;
use std::hash::{BuildHasher, Hasher, RandomState};
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
    let mut logged = None;
    loop {
        let begun = Instant::now();
        let present = settings.borrow().clone();
        let Err(failure) = session(&present, &lookup, &metrics).await;
        let was_listening = lookup.cache().switch(false);
        metrics.listening(false);
        let error = error_chain(&*failure);
        if was_listening || logged.as_ref() != Some(&error) {
            tracing::warn!(error, "not listening for changes; nothing is cached");
            logged = Some(error);
        }
        // no long pause after a connection that worked for a while, or if the pool can give up one of its connections
        let has_worked = was_listening && begun.elapsed() > LAST_PAUSE;
        let has_place = has_worked || lookup.database().make_room(&*failure);
        pause = if has_place { FIRST_PAUSE } else { pause };
        sleep(pause).await;
        pause = (pause * 2).min(LAST_PAUSE);
    }
}

/// One connection, from LISTEN to its end.
async fn session(settings: &Settings, lookup: &Lookup, metrics: &Metrics) -> Result<Infallible, Failure> {
    let (client, mut connection) =
        timeout(settings.timeout, settings.config.connect(settings.tls.clone())).await??;
    // a channel that no other program listens on
    let channel = format!("model_access_api_{:016x}", random());
    let (sender, mut nonces) = watch::channel(String::new());
    // the connection works only while it is polled
    let mut messages = pin!(async {
        while let Some(message) = poll_fn(|context| connection.poll_message(context)).await {
            if let AsyncMessage::Notification(notification) = message? {
                if notification.channel() == channel {
                    sender.send_replace(notification.payload().to_owned());
                } else {
                    lookup.cache().change(Change::read(notification.payload()));
                    metrics.changed();
                }
            }
        }
        Err("the server ended the connection".into())
    });
    let both = format!("LISTEN model_access; LISTEN {channel}");
    tokio::select! {
        ended = &mut messages => return ended,
        answer = timeout(settings.timeout, client.batch_execute(&both)) => answer??,
    }
    let mut is_listening = false;
    loop {
        tokio::select! {
            ended = &mut messages => return ended,
            heard = hears(settings, lookup, &channel, &mut nonces) => {
                if heard.is_err() && !is_listening {
                    // a pooler may give the session that listens to others
                    let end = format!("UNLISTEN model_access; UNLISTEN {channel}");
                    let ended = timeout(settings.timeout, client.batch_execute(&end));
                    tokio::select! { _ = &mut messages => {}, _ = ended => {} }
                }
                heard?;
            }
        }
        if !is_listening {
            is_listening = true;
            lookup.cache().switch(true);
            metrics.listening(true);
            tracing::info!("listening for changes");
        }
        tokio::select! {
            ended = &mut messages => return ended,
            () = sleep(HEARTBEAT) => {}
        }
    }
}

/// Checks that this connection receives what others send. Behind a pooler in transaction mode, LISTEN succeeds and no
/// notification ever arrives. Notifications arrive in order, so those before this one have arrived too.
async fn hears(
    settings: &Settings,
    lookup: &Lookup,
    channel: &str,
    nonces: &mut watch::Receiver<String>,
) -> Result<(), Failure> {
    let nonce = format!("{:016x}", random());
    lookup.database().notify(channel, &nonce).await?;
    match timeout(settings.timeout, nonces.wait_for(|heard| *heard == nonce)).await {
        Ok(heard) => Ok(heard.map(drop)?),
        Err(_) => Err("no notification arrives; a pooler in transaction mode delivers none".into()),
    }
}

/// A number that others cannot guess; the keys of the hash are random.
fn random() -> u64 {
    RandomState::new().build_hasher().finish()
}
