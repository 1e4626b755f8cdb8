//! The routes: which function answers which path.

use crate::answer::Answer;
use crate::auth::{self, Policy};
use crate::client::Proxies;
use crate::code::Code;
use crate::cors;
use crate::filter::Filter;
use crate::keys::Keys;
use crate::list::Form;
use crate::lookup::Lookup;
use crate::metrics::Metrics;
use crate::middleware::{Observer, observe, require_host};
use crate::problem::Problem;
use axum::Router;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, Request, State};
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, HeaderValue};
use axum::middleware::{from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, LazyLock};

/// What the routes need to answer.
pub struct App {
    /// The keys that verify tokens.
    pub keys: Keys,
    /// What the claims of a token must say.
    pub policy: Policy,
    /// The proxies in front of the service.
    pub proxies: Proxies,
    /// The origins of the pages whose scripts may read answers.
    pub origins: Vec<HeaderValue>,
    /// The lists of users.
    pub lookup: Arc<Lookup>,
    /// The metrics.
    pub metrics: Arc<Metrics>,
    /// Whether the service is about to end.
    pub stopping: AtomicBool,
}

/// The routes for clients.
pub fn clients() -> Router<Arc<App>> {
    Router::new()
        .route("/api/models", get(api_models))
        .route("/v1/models", get(v1_models))
        .route("/v1/models/", get(v1_models))
        .route("/v1/models/{*id}", get(v1_model))
        .route("/openapi.json", get(openapi))
}

/// The routes for whoever operates the service.
pub fn operators() -> Router<Arc<App>> {
    Router::new()
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(readyz))
        .route("/metrics", get(metrics))
}

/// A service with some of the routes.
pub fn router(app: Arc<App>, routes: Router<Arc<App>>) -> Router {
    let observer = Arc::new(Observer::new(&app.metrics, &app.proxies));
    let routes = routes
        .fallback(|| async { Problem::from(Code::PathNotFound) })
        .method_not_allowed_fallback(|| async { Problem::from(Code::MethodNotAllowed) });
    let routes = if app.origins.is_empty() { routes } else { routes.layer(cors::layer(&app.origins)) };
    routes.layer(from_fn(require_host)).layer(from_fn_with_state(observer, observe)).with_state(app)
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
    let Path(id) = id.map_err(|_| Code::ModelIdInvalid)?;
    Ok(app.lookup.model(&user, &id).await?.respond(&request.method, &request.headers))
}

/// The description of the API.
static OPENAPI: LazyLock<Answer> = LazyLock::new(|| Answer::new(include_str!("../openapi.json").into()));

async fn openapi(request: Request) -> Response {
    OPENAPI.respond(request.method(), request.headers())
}

async fn readyz(State(app): State<Arc<App>>) -> Result<&'static str> {
    if app.stopping.load(Ordering::Relaxed) {
        return Err(Code::Stopping.into());
    }
    if !app.keys.is_ready() {
        return Err(Code::KeysNotLoaded.into());
    }
    app.lookup.database().ping().await?;
    Ok("ok\n")
}

async fn metrics(State(app): State<Arc<App>>) -> impl IntoResponse {
    let size = app.lookup.cache().size();
    ([(CONTENT_TYPE, prometheus::TEXT_FORMAT)], app.metrics.text(size))
}

impl App {
    async fn user(&self, headers: &HeaderMap) -> Result<String> {
        let user = auth::user(headers, &self.keys, &self.policy).await;
        user.map_err(|code| {
            self.metrics.refused(code.name());
            code.into()
        })
    }

    async fn list(&self, form: Form, request: Request) -> Result {
        // the body, if there is one, is not read
        let (request, _) = request.into_parts();
        let user = self.user(&request.headers).await?;
        let filter = Filter::parse(form, request.uri.query())?;
        let list = self.lookup.list(form, &user).await?;
        let answer = match form {
            _ if filter.is_empty() => list.answer(),
            Form::Plain => list.filtered(&filter)?,
            Form::OpenAi if filter.matches_all() => list.only(None, filter.page.as_ref())?,
            // a filter needs the columns of the plain list
            Form::OpenAi => {
                let plain = self.lookup.list(Form::Plain, &user).await?;
                list.only(Some(&plain.ids(&filter)?), filter.page.as_ref())?
            }
        };
        Ok(answer.respond(&request.method, &request.headers))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;
    use std::collections::BTreeSet;

    #[test]
    fn the_description_has_every_path_code_and_parameter_and_no_other() {
        let openapi: Value = serde_json::from_str(OPENAPI.text()).unwrap();
        let described: BTreeSet<String> = openapi["paths"].as_object().unwrap().keys().cloned().collect();
        let source = include_str!("routes.rs").split("#[cfg(test)]").next().unwrap();
        let routes = source.split(".route(\"").skip(1).map(|rest| rest.split('"').next().unwrap());
        assert_eq!(described, routes.map(|route| route.replace("{*id}", "{id}")).collect());

        let schemas = &openapi["components"]["schemas"];
        let codes: Vec<&str> = Code::ALL.iter().map(|code| code.name()).collect();
        assert_eq!(schemas["Code"]["enum"], Value::from(codes));
        let names = |path: &str| -> BTreeSet<&str> {
            let parameters = openapi["paths"][path]["get"]["parameters"].as_array().unwrap().iter();
            let names = parameters.map(|parameter| parameter["$ref"].as_str().unwrap());
            let names = names.map(|name| name.rsplit('/').next().unwrap());
            names.filter(|name| *name != "If-None-Match").collect()
        };
        let filters: BTreeSet<&str> = crate::filter::names().collect();
        assert_eq!(names("/api/models"), filters);
        assert_eq!(names("/v1/models"), &filters | &BTreeSet::from(["offset", "limit"]));
    }
}
