//! The admin's page: a process with a login of its own. Everything that it shows is a view or a function of the extension,
//! and PostgreSQL says who may do what. It decides nothing by itself.
//!
//! [`page`] has what all pages share, and each other page is a module with one function.

pub mod data;
pub mod database;
pub mod fault;
pub mod fields;
mod health;
mod history;
pub mod identity;
mod model;
pub mod page;
mod review;
mod rules;
mod sync;
mod user;

use crate::auth::Policy;
use crate::client::Proxies;
use crate::database::Settings;
use crate::keys::{Keys, Source};
use crate::metrics::Metrics;
use crate::middleware::{Observer, observe, require_host};
use aws_lc_rs::hmac;
use axum::Router;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::http::{HeaderName, StatusCode};
use axum::middleware::{from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use database::{Database, quoted};
use fault::Fault;
use identity::{Identity, Local, People};
use page::{guard, login, logout, page};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

/// What the page needs to start.
pub struct Config {
    /// How to reach the database.
    pub database: Settings,
    /// The tokens of people; without them, the page is for one admin on this machine.
    pub tokens: Option<Tokens>,
}

/// How tokens say who asks.
pub struct Tokens {
    /// The header that contains the token.
    pub header: HeaderName,
    /// The claim that chooses the role.
    pub claim: String,
    /// The claim that names the person.
    pub person: String,
    /// People who decide.
    pub admin: Rights,
    /// People who only look.
    pub viewer: Rights,
    /// What must be in the tokens.
    pub policy: Policy,
    /// The HS256 secrets.
    pub secrets: Vec<Vec<u8>>,
    /// The public keys.
    pub jwks: Option<Source>,
}

/// A value of the claim that chooses the role, and the role of PostgreSQL.
pub struct Rights {
    /// The value.
    pub value: String,
    /// The role.
    pub role: String,
}

/// What the pages need to answer.
pub struct App {
    database: Database,
    identity: Identity,
}

impl App {
    /// The page, once it is sure that nobody gets more rights by it than they should.
    ///
    /// # Errors
    /// Fails if the address can be reached from other machines without a token, if the login or a role has too many rights,
    /// or if the keys cannot be loaded.
    pub async fn new(
        config: Config,
        addresses: &[SocketAddr],
        metrics: &Arc<Metrics>,
    ) -> Result<Arc<Self>, String> {
        let (_, settings) = watch::channel(config.database);
        let database = Database::new(&settings, metrics)?;
        let Some(tokens) = config.tokens else {
            let url = addresses.iter().find(|address| address.ip().is_loopback());
            let Some(url) = url.filter(|_| addresses.iter().all(|address| address.ip().is_loopback())) else {
                return Err(
                    "without --admin-token-header, only an address of this machine can be listened on".into(),
                );
            };
            let local = Local::new(&format!("http://{url}/"), url.port())?;
            return Ok(Arc::new(Self { database, identity: Identity::Local(Box::new(local)) }));
        };
        check_roles(&database, &tokens).await?;
        let keys = Keys::new(&tokens.secrets, tokens.jwks, Duration::from_secs(10), metrics);
        keys.refresh().await.map_err(|error| format!("could not load the JWKS: {error}"))?;
        let role = |rights: Rights| (rights.value, quoted(&rights.role));
        let key: hmac::Key = identity::key()?;
        let Tokens { header, claim, person, policy, .. } = tokens;
        let roles = [role(tokens.admin), role(tokens.viewer)];
        let people = People { policy, keys, header, claim, person, roles, key };
        Ok(Arc::new(Self { database, identity: Identity::Tokens(Box::new(people)) }))
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
async fn check_roles(database: &Database, tokens: &Tokens) -> Result<(), String> {
    let words = |fault: Fault| format!("could not check the roles: {}", fault.message);
    let transaction = database.begin(false, None, None).await.map_err(words)?;
    let problems: Vec<String> = transaction
        .json(
            include_str!("admin/check_roles.sql"),
            &[Some(&tokens.admin.role), Some(&tokens.viewer.role), Some(&database.schema_name)],
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
        .route("/logout", post(logout))
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
