//! The admin's page: a process with a login of its own. Everything that it shows is a view or a function of the extension,
//! and PostgreSQL says who may do what. It decides nothing by itself.
//!
//! The module `page` has what all pages share, and each other page is a module with one function.

mod data;
mod database;
mod fault;
mod fields;
mod health;
mod history;
mod identity;
mod model;
mod page;
mod review;
mod rules;
mod sync;
mod user;

use crate::client::Proxies;
use crate::database::Settings;
use crate::metrics::Metrics;
use crate::middleware::{Observer, observe, require_host};
use axum::Router;
use axum::http::StatusCode;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::middleware::{from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use database::Database;
use fault::Fault;
pub use identity::{FormKey, People};
use identity::{Identity, Local, Who};
use page::{guard, login, logout, page};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

/// What the pages need to answer.
pub struct App {
    database: Database,
    identity: Identity,
}

impl App {
    /// The page, once it is sure that nobody gets more rights by it than they should. Without `people`, it is for one admin
    /// on this machine.
    ///
    /// # Errors
    /// Fails if the address can be reached from other machines without a token, if the login or a role has too many rights,
    /// or if the keys cannot be loaded.
    pub async fn new(
        settings: Settings,
        people: Option<People>,
        addresses: &[SocketAddr],
        metrics: &Metrics,
    ) -> Result<Arc<Self>, String> {
        let (_, settings) = watch::channel(settings);
        let database = Database::new(&settings, metrics)?;
        let identity = match people {
            Some(people) => {
                check_roles(&database, &people).await?;
                people.keys.refresh().await.map_err(|error| format!("could not load the JWKS: {error}"))?;
                Identity::Tokens(Box::new(people))
            }
            None => {
                if addresses.iter().any(|address| !address.ip().is_loopback()) {
                    return Err(
                        "without --admin-token-header, only an address of this machine can be listened on"
                            .into(),
                    );
                }
                let address = addresses.first().ok_or("no address to listen on")?;
                Identity::Local(Box::new(Local::new(&format!("http://{address}/"), address.port())?))
            }
        };
        Ok(Arc::new(Self { database, identity }))
    }

    /// Loads the keys of tokens again and again; never ends.
    pub async fn refresh_forever(&self) {
        match &self.identity {
            Identity::Tokens(people) => people.keys.refresh_forever(Duration::from_secs(300)).await,
            Identity::Local(_) => std::future::pending().await,
        }
    }
}

/// Refuses a login that may decide by itself, and roles that may do more than they should.
async fn check_roles(database: &Database, people: &People) -> Result<(), String> {
    let words = |fault: Fault| format!("could not check the roles: {}", fault.message);
    let transaction = database.begin(false, &Who::default()).await.map_err(words)?;
    let problems: Vec<String> = transaction
        .json(
            include_str!("admin/check_roles.sql"),
            &[Some(&people.roles[0].1), Some(&people.roles[1].1), Some(&database.schema_name)],
        )
        .await
        .map_err(words)?;
    transaction.rollback().await.map_err(words)?;
    if problems.is_empty() {
        Ok(())
    } else {
        Err(format!("the page would not be safe: {}", problems.join("; ")))
    }
}

/// The pages.
pub fn router(app: Arc<App>, metrics: &Arc<Metrics>) -> Router {
    let observer = Arc::new(Observer::new(metrics, &Proxies::default()));
    Router::new()
        .route("/", page(review::review))
        .route("/model", page(model::model))
        .route("/history", page(history::history))
        .route("/sync", page(sync::sync))
        .route("/user", page(user::user))
        .route("/rules", page(rules::rules))
        .route("/health", page(health::health))
        .route("/login", get(login).post(login))
        .route("/logout", page(logout))
        .route("/style.css", get(|| file("text/css", include_str!("../templates/style.css"))))
        .route("/icon.svg", get(|| file("image/svg+xml", include_str!("../templates/icon.svg"))))
        .route("/healthz", get(|| async { "ok\n" }))
        .fallback(page(async |_| {
            Err(Fault::new(StatusCode::NOT_FOUND, "There is no such page.", "Choose one from the menu."))
        }))
        .layer(from_fn_with_state(Arc::clone(&app), guard))
        .layer(from_fn(require_host))
        .layer(from_fn_with_state(observer, observe))
        .with_state(app)
}

async fn file(kind: &'static str, text: &'static str) -> Response {
    ([(CONTENT_TYPE, kind), (CACHE_CONTROL, "private, max-age=3600")], text).into_response()
}
