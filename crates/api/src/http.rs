//! The routes, and one line of log a request.

use crate::auth::{self, Policy};
use crate::filter::Filter;
use crate::keys::Keys;
use crate::list::Form;
use crate::metrics::Metrics;
use crate::models::Models;
use crate::problem::Problem;
use axum::Router;
use axum::extract::rejection::PathRejection;
use axum::extract::{MatchedPath, Path, Request, State};
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// Longest request id that is taken from a client.
const MAX_REQUEST_ID: usize = 64;

/// What requests are answered with.
pub struct App {
    /// The keys of tokens.
    pub keys: Keys,
    /// What tokens must say.
    pub policy: Policy,
    /// The lists.
    pub models: Arc<Models>,
    /// What is counted.
    pub metrics: Arc<Metrics>,
    /// The random part of the ids of requests.
    pub ids: RequestIds,
}

/// Ids for requests that come without one.
#[derive(Default)]
pub struct RequestIds {
    random: RandomState,
    count: AtomicU64,
}

impl RequestIds {
    fn next(&self) -> String {
        format!("{:016x}", self.random.hash_one(self.count.fetch_add(1, Ordering::Relaxed)))
    }
}

/// The service.
pub fn router(app: Arc<App>) -> Router {
    Router::new()
        .route("/api/models", get(api_models))
        .route("/v1/models", get(v1_models))
        .route("/v1/models/{*id}", get(v1_model))
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(readyz))
        .route("/metrics", get(metrics))
        .fallback(|| async { Problem::not_found("There is nothing at this path.") })
        .method_not_allowed_fallback(|| async { Problem::method_not_allowed() })
        .layer(from_fn_with_state(Arc::clone(&app), observe))
        .with_state(app)
}

type Result<T = Response> = std::result::Result<T, Problem>;

async fn api_models(State(app): State<Arc<App>>, request: Request) -> Result {
    app.list(Form::Plain, request).await
}

async fn v1_models(State(app): State<Arc<App>>, request: Request) -> Result {
    app.list(Form::OpenAi, request).await
}

async fn v1_model(
    State(app): State<Arc<App>>,
    id: std::result::Result<Path<String>, PathRejection>,
    request: Request,
) -> Result {
    let (request, _) = request.into_parts();
    let user = app.user(&request.headers).await?;
    let Path(id) = id.map_err(|_| Problem::bad_request("The id is not UTF-8."))?;
    Ok(app.models.model(&user, &id).await?.respond(&request.method, &request.headers))
}

async fn readyz(State(app): State<Arc<App>>) -> Result<&'static str> {
    if !app.keys.is_ready() {
        return Err(auth::Refusal::NotReady.into());
    }
    app.models.database().ping().await?;
    Ok("ok\n")
}

async fn metrics(State(app): State<Arc<App>>) -> impl IntoResponse {
    let size = app.models.cache().size();
    ([(CONTENT_TYPE, prometheus::TEXT_FORMAT)], app.metrics.text(size))
}

impl App {
    async fn user(&self, headers: &HeaderMap) -> Result<String> {
        let user = auth::user(headers, &self.keys, &self.policy).await;
        user.map_err(|refusal| {
            self.metrics.refused(refusal.reason());
            refusal.into()
        })
    }

    async fn list(&self, form: Form, request: Request) -> Result {
        // a body, if there is one, is nobody's business
        let (request, _) = request.into_parts();
        let user = self.user(&request.headers).await?;
        let filter = Filter::parse(request.uri.query())?;
        let answer = self.models.list(&user).await?.answer(form, &filter)?;
        Ok(answer.respond(&request.method, &request.headers))
    }
}

/// Counts a request, and logs what holds no secret of it: no query, no token, no user.
async fn observe(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    let start = Instant::now();
    let id = request.headers().get(REQUEST_ID).and_then(acceptable).unwrap_or_else(|| app.ids.next());
    let method = known(request.method());
    let route = request.extensions().get::<MatchedPath>().cloned();
    let mut response = next.run(request).await;
    let route = route.as_ref().map_or("none", MatchedPath::as_str);
    let (status, took) = (response.status(), start.elapsed());
    app.metrics.answered(route, status.as_str(), took);
    let status = status.as_u16();
    tracing::info!(
        method,
        route,
        status,
        milliseconds = took.as_secs_f64() * 1000.0,
        request_id = id,
        "request"
    );
    if let Ok(id) = HeaderValue::from_str(&id) {
        response.headers_mut().insert(REQUEST_ID, id);
    }
    response
}

/// A method by its name; whatever else a client writes there may be a token.
fn known(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::PATCH => "PATCH",
        Method::DELETE => "DELETE",
        Method::OPTIONS => "OPTIONS",
        Method::CONNECT => "CONNECT",
        Method::TRACE => "TRACE",
        _ => "other",
    }
}

/// The id that a client or a proxy gave a request, if it is fit for a log.
fn acceptable(id: &HeaderValue) -> Option<String> {
    let id = id.to_str().ok()?;
    let is_fit = (1..=MAX_REQUEST_ID).contains(&id.len())
        && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte));
    is_fit.then(|| id.to_owned())
}
