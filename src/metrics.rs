//! What this process has done, for Prometheus: collected from the first call of [`collected`] on, told by [`render`].

use std::net::SocketAddr;
use std::sync::OnceLock;
use std::time::Duration;

use axum::Router;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use tokio::net::TcpListener;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

/// The text format of Prometheus, version 0.0.4.
const TEXT: HeaderValue = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");

/// Upper bounds in seconds: from an answer of the API to a lecture's transcription.
const SECONDS: [f64; 16] =
    [0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 60.0, 180.0, 600.0, 1800.0, 3600.0, 10_800.0];

/// Samples are put into their buckets so often, whether or not anybody asks.
const UPKEEP: Duration = Duration::from_secs(5);

/// The collection of this process. Begins with the first call.
pub fn collected() -> &'static PrometheusHandle {
    static HANDLE: OnceLock<PrometheusHandle> = OnceLock::new();
    HANDLE.get_or_init(|| {
        let recorder = PrometheusBuilder::new()
            .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), &SECONDS)
            .expect("there are buckets")
            .build_recorder();
        let handle = recorder.handle();
        if metrics::set_global_recorder(recorder).is_err() {
            tracing::warn!("something else in this process collects metrics: those told here stay empty");
        }
        handle
    })
}

/// Keeps the collection small until `stop` fires.
pub async fn upkeep(stop: CancellationToken) {
    let handle = collected();
    loop {
        tokio::select! {
            () = sleep(UPKEEP) => handle.run_upkeep(),
            () = stop.cancelled() => return,
        }
    }
}

/// The answer to whoever collects: this process's own metrics, and what else is known.
pub fn render(more: &str) -> Response {
    ([(header::CONTENT_TYPE, TEXT)], collected().render() + more).into_response()
}

/// Serves `/metrics` of a process without an API until `stop` fires, and `/readyz`: 200, or 503 with the reason in
/// `readiness`. An address that cannot be had is said, and no reason to leave the work.
pub async fn serve(address: SocketAddr, readiness: Result<(), String>, stop: CancellationToken) {
    let listener = match TcpListener::bind(address).await {
        Ok(listener) => listener,
        Err(error) => {
            tracing::warn!("BEDEL_METRICS_LISTEN, {address}: {error}; metrics are not told");
            return;
        }
    };
    if let Ok(address) = listener.local_addr() {
        tracing::info!("metrics at http://{address}/metrics");
    }
    let readiness = match readiness {
        Ok(()) => (StatusCode::OK, "ready\n".to_owned()),
        Err(reason) => (StatusCode::SERVICE_UNAVAILABLE, reason + "\n"),
    };
    let ready = async move || readiness.clone();
    let router = Router::new().route("/metrics", get(async || render(""))).route("/readyz", get(ready));
    let server = axum::serve(listener, router).with_graceful_shutdown(stop.clone().cancelled_owned());
    tokio::select! {
        served = server.into_future() => {
            if let Err(error) = served {
                tracing::warn!(%error, "metrics are not told any more");
            }
        }
        () = upkeep(stop) => {}
    }
}
