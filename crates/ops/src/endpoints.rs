//! What each path of the ops listener answers.

use bytes::Bytes;
use halley_log::{NodeStatus, NodeView};
use http_body_util::Full;
use hyper::{
    Method, Request, Response, StatusCode,
    header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, HeaderValue},
};
use serde::Serialize;

use crate::{MetricsHandle, node, process};

/// An answer of this room.
pub(crate) type Answer = Response<Full<Bytes>>;

const TEXT: &str = "text/plain; charset=utf-8";
/// The text format of Prometheus.
const METRICS: &str = "text/plain; version=0.0.4; charset=utf-8";
const JSON: &str = "application/json";

#[derive(Serialize)]
struct Readiness<'a> {
    ready: bool,
    node: &'a str,
    role: &'static str,
    draining: bool,
    checks: Vec<CheckLine<'a>>,
}

#[derive(Serialize)]
struct CheckLine<'a> {
    name: &'static str,
    ok: bool,
    detail: &'a str,
}

/// Answers a request; `uptime` is the server's.
pub(crate) fn answer<B>(
    request: &Request<B>,
    view: &dyn NodeView,
    metrics: &MetricsHandle,
    uptime: std::time::Duration,
) -> Answer {
    if ![Method::GET, Method::HEAD].contains(request.method()) {
        let mut answer = text(StatusCode::METHOD_NOT_ALLOWED, TEXT, "only GET\n");
        answer
            .headers_mut()
            .insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
        return answer;
    }
    let verbose = request.uri().query().is_some_and(|query| {
        query
            .split('&')
            .any(|pair| pair == "verbose" || pair.starts_with("verbose="))
    });
    match request.uri().path() {
        // Whoever gets this has an event loop that turns; more would restart nodes that only wait for others.
        "/livez" | "/healthz" => text(StatusCode::OK, TEXT, "ok\n"),
        "/readyz" => readyz(&view.status(), verbose),
        "/metrics" => {
            node::set(&view.status(), uptime);
            process::set();
            text(StatusCode::OK, METRICS, metrics.render())
        }
        _ => text(
            StatusCode::NOT_FOUND,
            TEXT,
            "here are /livez, /readyz and /metrics\n",
        ),
    }
}

fn readyz(status: &NodeStatus, verbose: bool) -> Answer {
    let ready = status.ready();
    let code = if ready {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    if !verbose {
        return text(code, TEXT, reason(status));
    }
    let line = |check: &'_ halley_log::Check| (check.name, check.ok, check.detail.clone());
    let checks: Vec<_> = status.checks.iter().map(line).collect();
    let checks = checks.iter().map(|(name, ok, detail)| CheckLine {
        name,
        ok: *ok,
        detail,
    });
    let readiness = Readiness {
        ready,
        node: &status.node,
        role: node::role(status.role),
        draining: status.draining,
        checks: checks.collect(),
    };
    let body = serde_json::to_vec(&readiness).expect("strings and booleans are JSON");
    text(code, JSON, body)
}

/// `ok`, or what is missing, for people who read probes' logs.
fn reason(status: &NodeStatus) -> String {
    let mut missing: Vec<String> = Vec::new();
    if status.draining {
        missing.push("draining".to_owned());
    }
    let failed = status.checks.iter().filter(|check| !check.ok);
    missing.extend(failed.map(|check| format!("{}: {}", check.name, check.detail)));
    if missing.is_empty() {
        "ok\n".to_owned()
    } else {
        missing.join("\n") + "\n"
    }
}

fn text(status: StatusCode, content_type: &'static str, body: impl Into<Bytes>) -> Answer {
    let mut answer = Response::new(Full::new(body.into()));
    *answer.status_mut() = status;
    let headers = answer.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    answer
}
