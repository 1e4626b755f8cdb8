//! What every page shares: who asks for what, the frame around it, and the answer.

use super::App;
use super::database::Transaction;
use super::fault::Fault;
use super::fields::Fields;
use super::identity::{Identity, Refusal, Who, has_token, is_from_elsewhere};
use askama::Template;
use axum::body::to_bytes;
use axum::extract::{Request, State};
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, LOCATION, RETRY_AFTER, SET_COOKIE, WWW_AUTHENTICATE};
use axum::http::{HeaderName, HeaderValue, Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, get};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::timeout;

/// Longest form, in bytes: the decision about ten thousand models.
const MAX_FORM: usize = 2 << 20;
/// Longest wait for a form.
const FORM_TIMEOUT: Duration = Duration::from_secs(30);

/// A request of somebody who may see the page.
pub struct Visit {
    app: Arc<App>,
    who: Who,
    /// The path and the query.
    pub target: String,
    /// The query.
    pub query: Fields,
    /// The form, if one was sent.
    pub form: Option<Fields>,
}

/// What the frame of a page shows.
#[derive(Debug, Clone)]
pub struct Frame {
    /// The name of the page.
    pub title: &'static str,
    /// The person, if a token names one.
    pub person: Option<String>,
    /// The token that every form must contain.
    pub csrf: String,
    /// Whether the page shows what changes decisions.
    pub may_decide: bool,
    /// Whether the database can fetch the catalogue itself.
    pub has_library: bool,
}

/// Declares the template of a page: its name, its file, and what it has besides the frame and the data.
macro_rules! template {
    ($name:ident, $path:literal $(, $field:ident: $type:ty)*) => {
        #[derive(askama::Template)]
        #[template(path = $path)]
        struct $name<'a> {
            frame: super::page::Frame,
            data: super::data::Data<'a>,
            $($field: $type),*
        }
    };
}
pub(super) use template;

/// The answer of a page.
pub type Outcome = Result<Response, Fault>;

/// The answer to a visitor who must log in.
#[derive(Template)]
#[template(path = "login.html")]
struct Login<'a> {
    has_code: bool,
    is_wrong: bool,
    next: &'a str,
}

/// A page without a frame, for somebody who is not let in.
#[derive(Template)]
#[template(path = "refused.html")]
struct Refused<'a> {
    message: &'a str,
    hint: &'a str,
}

/// An answer with this page.
pub fn html(status: StatusCode, page: &impl Template) -> Response {
    let Ok(text) = page.render() else { return StatusCode::INTERNAL_SERVER_ERROR.into_response() };
    let mut response = (status, [(CONTENT_TYPE, "text/html; charset=utf-8")], text).into_response();
    if status == StatusCode::SERVICE_UNAVAILABLE {
        response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("5"));
    }
    response
}

/// An answer with a page that shows what was asked for.
pub fn show(page: &impl Template) -> Outcome {
    Ok(html(StatusCode::OK, page))
}

/// An answer that sends the browser to a page.
pub fn see(path: &str) -> Response {
    (StatusCode::SEE_OTHER, [(LOCATION, path)]).into_response()
}

fn refuse(status: StatusCode, message: &str, hint: &str) -> Response {
    html(status, &Refused { message, hint })
}

/// The route of a page: its function gets every GET and POST of somebody who may see it.
pub fn page<F, Answer>(function: F) -> MethodRouter<Arc<App>>
where
    F: Fn(Arc<Visit>) -> Answer + Clone + Send + Sync + 'static,
    Answer: Future<Output = Outcome> + Send + 'static,
{
    let answer = async move |State(app): State<Arc<App>>, request: Request| {
        let visit = match Visit::new(app, request).await {
            Ok(visit) => Arc::new(visit),
            Err(refused) => return refused,
        };
        let checked = visit.check();
        let answered = match checked {
            Ok(()) => function(Arc::clone(&visit)).await,
            Err(fault) => Err(fault),
        };
        answered.unwrap_or_else(|fault| fault.page(&visit))
    };
    get(answer.clone()).post(answer)
}

impl Visit {
    async fn new(app: Arc<App>, request: Request) -> Result<Self, Response> {
        let (head, body) = request.into_parts();
        let target = head.uri.path_and_query().map_or("/", |target| target.as_str()).to_owned();
        let who = app.identity.who(&head.headers).await.map_err(|refusal| match refusal {
            Refusal::Login => {
                let next = if head.method == Method::POST { "/" } else { &target };
                see(&format!("/login?next={}", utf8_percent_encode(next, NON_ALPHANUMERIC)))
            }
            Refusal::Token(status, why) => {
                let hint = "Sign in again, or ask whoever manages the groups of your sign-in service.";
                let mut response = refuse(status, &why, hint);
                let challenge = HeaderValue::from_static("Bearer realm=\"model_access admin\"");
                response.headers_mut().insert(WWW_AUTHENTICATE, challenge);
                response
            }
        })?;
        let query = Fields::parse(head.uri.query().unwrap_or_default().as_bytes());
        let mut form = None;
        if head.method == Method::POST {
            if is_from_elsewhere(&head.headers) {
                let hint = "Open the page here, and decide there.";
                return Err(refuse(
                    StatusCode::FORBIDDEN,
                    "The form is from a page of another origin.",
                    hint,
                ));
            }
            let read = timeout(FORM_TIMEOUT, to_bytes(body, MAX_FORM)).await.ok().and_then(Result::ok);
            let hint = "Choose fewer models at once.";
            let read =
                read.ok_or_else(|| refuse(StatusCode::PAYLOAD_TOO_LARGE, "The form is too long.", hint))?;
            form = Some(Fields::parse(&read));
        }
        Ok(Self { app, who, target, query, form })
    }

    /// Refuses a form without its token, and texts that PostgreSQL cannot hold.
    fn check(&self) -> Result<(), Fault> {
        let mut fields = self.query.0.iter().chain(self.form.iter().flat_map(|form| &form.0));
        if fields.any(|(_, value)| value.contains('\0')) {
            return Err(Fault::new(
                StatusCode::BAD_REQUEST,
                "A field contains a character with the code 0.",
                "Remove it.",
            ));
        }
        match &self.form {
            Some(form) if !has_token(&self.who, form) => Err(Fault {
                may_retry: true,
                ..Fault::new(
                    StatusCode::FORBIDDEN,
                    "The form is from a page that is out of date.",
                    "Read it once more, and send it again.",
                )
            }),
            _ => Ok(()),
        }
    }

    /// Begins a transaction that reads.
    pub async fn read(&self) -> Result<Transaction, Fault> {
        self.app.database.begin(false, &self.who).await
    }

    /// Begins a transaction that may write.
    pub async fn write(&self) -> Result<Transaction, Fault> {
        self.app.database.begin(true, &self.who).await
    }

    /// The frame of a page.
    pub fn frame(&self, title: &'static str, transaction: &Transaction) -> Frame {
        let Transaction { may_decide, has_library, .. } = *transaction;
        Frame { may_decide, has_library, ..self.bare_frame(title) }
    }

    /// The frame of a page when the database did not answer.
    pub fn bare_frame(&self, title: &'static str) -> Frame {
        let Who { person, csrf, .. } = self.who.clone();
        Frame { title, person, csrf, may_decide: false, has_library: true }
    }
}

/// The page on which the code is typed.
pub async fn login(State(app): State<Arc<App>>, request: Request) -> Response {
    let Identity::Local(local) = &app.identity else { return see("/") };
    let (head, body) = request.into_parts();
    let mut fields = Fields::parse(head.uri.query().unwrap_or_default().as_bytes());
    let mut is_wrong = false;
    if head.method == Method::POST {
        if is_from_elsewhere(&head.headers) {
            return refuse(
                StatusCode::FORBIDDEN,
                "The form is from a page of another origin.",
                "Open the page here.",
            );
        }
        let read = timeout(FORM_TIMEOUT, to_bytes(body, 4096)).await.ok().and_then(Result::ok);
        fields = Fields::parse(&read.unwrap_or_default());
        if fields.has("do", "print") {
            drop(local.print_code());
        } else if let Some(cookie) = local.login(fields.text("code")) {
            // only a path of this page; browsers leave out tabs, so that one could stand between two slashes
            let is_path = |next: &&str| {
                next.starts_with('/')
                    && !next.starts_with("//")
                    && next.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\')
            };
            let mut response = see(fields.get("next").filter(is_path).unwrap_or("/"));
            response.headers_mut().extend(HeaderValue::from_str(&cookie).map(|cookie| (SET_COOKIE, cookie)));
            return response;
        } else {
            is_wrong = true;
        }
    }
    let status = if is_wrong { StatusCode::UNAUTHORIZED } else { StatusCode::OK };
    html(status, &Login { has_code: local.has_code(), is_wrong, next: fields.text("next") })
}

/// Ends the session.
pub async fn logout(visit: Arc<Visit>) -> Outcome {
    if let (Identity::Local(local), Some(_)) = (&visit.app.identity, &visit.form) {
        local.logout();
    }
    Ok(see("/login"))
}

/// Refuses a host that is not this machine, where only this machine is served, and sets what browsers must respect.
pub async fn guard(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    let mut response = if app.identity.is_host(request.headers()) {
        next.run(request).await
    } else {
        let hint = "Open the page by the URL that the program printed.";
        refuse(StatusCode::MISDIRECTED_REQUEST, "The page is not for this host.", hint)
    };
    let headers = response.headers_mut();
    for (name, value) in [
        (
            "content-security-policy",
            "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'",
        ),
        ("x-content-type-options", "nosniff"),
        ("referrer-policy", "same-origin"),
        ("cross-origin-opener-policy", "same-origin"),
        ("cross-origin-resource-policy", "same-origin"),
    ] {
        headers.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
    }
    headers.entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    response
}
