//! Metrics of this process for Prometheus: [`collected`] starts collecting, [`render`] prints.

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

/// The Prometheus text format, version 0.0.4.
const TEXT: HeaderValue = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");

/// Upper bounds of the buckets in seconds, from API responses to transcriptions.
const SECONDS: [f64; 16] =
    [0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 60.0, 180.0, 600.0, 1800.0, 3600.0, 10_800.0];

/// How often samples move into their buckets.
const UPKEEP_INTERVAL: Duration = Duration::from_secs(5);

/// The recorder of this process. The first call installs it.
pub fn collected() -> &'static PrometheusHandle {
    static HANDLE: OnceLock<PrometheusHandle> = OnceLock::new();
    HANDLE.get_or_init(|| {
        let recorder = PrometheusBuilder::new()
            .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), &SECONDS)
            .expect("there are buckets")
            .build_recorder();
        let handle = recorder.handle();
        if metrics::set_global_recorder(recorder).is_err() {
            tracing::warn!("another metrics recorder is installed: these metrics stay empty");
        }
        handle
    })
}

/// Moves samples into their buckets until `stop` fires, which bounds memory.
pub async fn upkeep(stop: CancellationToken) {
    let handle = collected();
    loop {
        tokio::select! {
            () = sleep(UPKEEP_INTERVAL) => handle.run_upkeep(),
            () = stop.cancelled() => return,
        }
    }
}

/// The response to a scrape: this process's metrics, then `more`.
pub fn render(more: &str) -> Response {
    ([(header::CONTENT_TYPE, TEXT)], collected().render() + more).into_response()
}

/// Serves `/metrics` and `/readyz` for a process without an API, until `stop` fires. `/readyz` answers 200,
/// or 503 with the reason in `readiness`. If the address cannot be bound, it logs a warning and the process
/// works on.
pub async fn serve(address: SocketAddr, readiness: Result<(), String>, stop: CancellationToken) {
    let listener = match TcpListener::bind(address).await {
        Ok(listener) => listener,
        Err(error) => {
            tracing::warn!("BEDEL_METRICS_LISTEN, {address}: {error}; metrics are not served");
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
                tracing::warn!(%error, "the metrics server stopped");
            }
        }
        () = upkeep(stop) => {}
    }
}
