//! What can be asked over HTTP, and how each question is answered.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use axum::Router;
use axum::extract::{Query, Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::get;

use super::desk::{Asker, NoAnswer, Question, TargetFindings};
use super::gate::{Gate, TargetVerdict, status};
use super::host;
use super::metrics::{self, Exposition, Selection};
use crate::report::sanitize::plain;

/// What is served, a line each.
const INDEX: &str = "\
/metrics   vital signs and findings, for Prometheus
/healthz   200 while the main loop responds
/readyz    200 if every target is connected and has sent an update
/findings  present findings, as JSON
/verdict   the verdict so far, as JSON: pass, fail or inconclusive
/gate      the same as a status: 200, 412 or 409
?target=NAME selects a target for the last three.
";

const TEXT: &str = "text/plain; charset=utf-8";
const JSON: &str = "application/json";

/// What every handler has.
#[derive(Debug, Clone)]
pub(super) struct App {
    asker: Asker,
    /// Which places have series of their own: the same for whoever scrapes.
    selection: Arc<Mutex<Selection>>,
    listens: SocketAddr,
}

type Parameters = Query<Vec<(String, String)>>;

/// The routes of somebody who listens at an address.
pub(super) fn router(asker: Asker, listens: SocketAddr) -> Router {
    let app = App { asker, selection: Arc::default(), listens };
    Router::new()
        .route("/", get(async || answer(StatusCode::OK, TEXT, INDEX)))
        .route("/metrics", get(scraped))
        .route("/healthz", get(healthy))
        .route("/readyz", get(ready))
        .route("/findings", get(findings))
        .route("/verdict", get(verdict))
        .route("/gate", get(gate).post(gate))
        .fallback(async || answer(StatusCode::NOT_FOUND, TEXT, format!("Not found. Available:\n{INDEX}")))
        .layer(middleware::from_fn_with_state(app.clone(), guard))
        .with_state(app)
}

/// Answers only what was meant for us, and lets no page of a browser make anything of it.
async fn guard(State(app): State<App>, request: Request, next: Next) -> Response {
    let host = request.headers().get(header::HOST).map(|it| it.to_str().unwrap_or_default());
    let mut response = if host::is_meant(host, app.listens) {
        next.run(request).await
    } else {
        let reason = "Host not allowed: on a loopback address, use `localhost` or a loopback address as the host.\n";
        answer(StatusCode::MISDIRECTED_REQUEST, TEXT, reason)
    };
    let headers = response.headers_mut();
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

async fn scraped(State(app): State<App>, headers: HeaderMap) -> Response {
    let scrape = match app.asker.ask(Question::Scrape).await {
        Ok(scrape) => scrape,
        Err(why) => return unavailable(why),
    };
    let exposition = Exposition::accepted(headers.get_all(header::ACCEPT).iter().filter_map(|it| it.to_str().ok()));
    let mut selection = app.selection.lock().unwrap_or_else(PoisonError::into_inner);
    match metrics::text(scrape, &mut selection, exposition) {
        Ok(text) => answer(StatusCode::OK, exposition.content_type(), text),
        Err(_) => answer(StatusCode::INTERNAL_SERVER_ERROR, TEXT, "The metrics could not be written.\n"),
    }
}

async fn healthy(State(app): State<App>) -> Response {
    match app.asker.ask(Question::Turn).await {
        Ok(()) => answer(StatusCode::OK, TEXT, "ok\n"),
        Err(why) => unavailable(why),
    }
}

async fn ready(State(app): State<App>) -> Response {
    let targets = match app.asker.ask(Question::Verdicts).await {
        Ok(targets) => targets,
        Err(why) => return unavailable(why),
    };
    let waiting: Vec<&TargetVerdict> = targets.iter().filter(|it| !it.is_ready).collect();
    if waiting.is_empty() {
        return answer(StatusCode::OK, TEXT, "ready\n");
    }
    let lines = waiting.iter().map(|it| format!("{}: not connected, or no update so far\n", plain(&it.target)));
    answer(StatusCode::SERVICE_UNAVAILABLE, TEXT, lines.collect::<String>())
}

async fn findings(State(app): State<App>, Query(parameters): Parameters) -> Response {
    let mut targets = match app.asker.ask(Question::Findings).await {
        Ok(targets) => targets,
        Err(why) => return unavailable(why),
    };
    let named = named(parameters);
    if let Some(missing) = named.iter().find(|name| !targets.iter().any(|it| it.target == **name)) {
        let known: Vec<&str> = targets.iter().map(|it| it.target.as_str()).collect();
        return answer(
            StatusCode::NOT_FOUND,
            TEXT,
            format!("No target is named {}. Targets: {}.\n", plain(missing), plain(&known.join(", "))),
        );
    }
    targets.retain(|it: &TargetFindings| named.is_empty() || named.contains(&it.target));
    let objects: Vec<String> = targets.into_iter().flat_map(|it| it.objects).collect();
    answer(StatusCode::OK, JSON, format!("{{\"findings\":[{}]}}\n", objects.join(",")))
}

/// Always 200: what reads it takes every other status for an error of the measurement.
async fn verdict(State(app): State<App>, Query(parameters): Parameters) -> Response {
    answer(StatusCode::OK, JSON, judged(&app, parameters).await.json() + "\n")
}

async fn gate(State(app): State<App>, Query(parameters): Parameters) -> Response {
    let gate = judged(&app, parameters).await;
    let code = StatusCode::from_u16(status(gate.verdict)).unwrap_or(StatusCode::CONFLICT);
    answer(code, TEXT, format!("{}: {}\n", gate.verdict.outcome(), plain(&gate.reason)))
}

async fn judged(app: &App, parameters: Vec<(String, String)>) -> Gate {
    match app.asker.ask(Question::Verdicts).await {
        Ok(targets) => Gate::of(targets, &named(parameters)),
        Err(why) => Gate::unknown(why.sentence()),
    }
}

/// The targets that a query names.
fn named(parameters: Vec<(String, String)>) -> Vec<String> {
    parameters.into_iter().filter(|(key, _)| key == "target").map(|(_, value)| value).collect()
}

fn unavailable(why: NoAnswer) -> Response {
    answer(StatusCode::SERVICE_UNAVAILABLE, TEXT, format!("{}\n", why.sentence()))
}

fn answer(status: StatusCode, content_type: &'static str, body: impl Into<String>) -> Response {
    (status, [(header::CONTENT_TYPE, content_type)], body.into()).into_response()
}
