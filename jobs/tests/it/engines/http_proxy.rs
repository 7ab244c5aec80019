//! An HTTP proxy between an engine and its server: it forwards, or answers with a fault instead.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, Method, Response, Uri};
use futures::StreamExt;

/// The answer to one request.
#[derive(Debug, Clone)]
pub enum Fault {
    /// The server's own.
    None,
    /// This one.
    Answer { status: u16, headers: Vec<(&'static str, &'static str)>, body: &'static str },
    /// Half of the server's; then the connection breaks.
    CutAnswer,
    /// None.
    Silence,
    /// This many bytes of blanks.
    Flood(usize),
}

/// A request that passed.
#[derive(Debug, Clone)]
pub struct PassedRequest {
    pub method: Method,
    pub path: String,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl PassedRequest {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().expect("text"))
    }
}

struct Shared {
    server: url::Url,
    faults: Mutex<VecDeque<Fault>>,
    seen: Mutex<Vec<PassedRequest>>,
    /// Unanswered requests whose client hung up.
    abandoned: Mutex<usize>,
    client: reqwest::Client,
}

/// Dropping it closes the port.
pub struct HttpProxy {
    pub url: url::Url,
    shared: Arc<Shared>,
    serving: tokio::task::JoinHandle<()>,
}

impl Drop for HttpProxy {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl HttpProxy {
    /// In front of the server at this address.
    pub async fn start(server: &url::Url) -> Self {
        // Another test may have installed it already.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = reqwest::Client::builder().no_proxy().build().expect("a client");
        let (faults, seen, abandoned) = (Mutex::default(), Mutex::default(), Mutex::default());
        let shared = Arc::new(Shared { server: server.clone(), faults, seen, abandoned, client });
        let router = Router::new().fallback(forward).with_state(Arc::clone(&shared));
        let router = router.layer(axum::extract::DefaultBodyLimit::max(64 << 20));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let serving = tokio::spawn(async move { axum::serve(listener, router).await.expect("it serves") });
        let url = format!("http://{address}{}", server.path()).parse().expect("an address");
        Self { url, shared, serving }
    }

    /// The answers to the next requests, one each.
    pub fn answer_with(&self, faults: impl IntoIterator<Item = Fault>) {
        locked(&self.shared.faults).extend(faults);
    }

    pub fn requests(&self) -> Vec<PassedRequest> {
        locked(&self.shared.seen).clone()
    }

    pub fn abandoned(&self) -> usize {
        *locked(&self.shared.abandoned)
    }
}

/// Counts a request whose client hung up.
struct AbandonGuard(Arc<Shared>);

impl Drop for AbandonGuard {
    fn drop(&mut self) {
        *locked(&self.0.abandoned) += 1;
    }
}

async fn forward(
    State(shared): State<Arc<Shared>>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response<Body> {
    let path = uri.path().to_owned();
    let seen = PassedRequest { method: method.clone(), path, headers: headers.clone(), body: body.clone() };
    locked(&shared.seen).push(seen);
    let fault = locked(&shared.faults).pop_front();
    match fault {
        Some(Fault::Answer { status, headers, body }) => {
            let mut answer = Response::builder().status(status);
            for (name, value) in headers {
                answer = answer.header(name, value);
            }
            return answer.body(Body::from(body)).expect("an answer");
        }
        Some(Fault::Silence) => {
            let _guard = AbandonGuard(Arc::clone(&shared));
            tokio::time::sleep(Duration::from_secs(600)).await;
        }
        Some(Fault::Flood(bytes)) => {
            let chunk = Bytes::from(vec![b' '; 1 << 20]);
            let chunks =
                futures::stream::iter(0..bytes >> 20).map(move |_| Ok::<_, std::io::Error>(chunk.clone()));
            return Response::new(Body::from_stream(chunks));
        }
        Some(Fault::None | Fault::CutAnswer) | None => {}
    }
    let mut url = shared.server.clone();
    url.set_path(uri.path());
    let mut request = shared.client.request(method, url).body(body);
    for name in ["content-type", "idempotency-key", "authorization"] {
        if let Some(value) = headers.get(name) {
            request = request.header(name, value);
        }
    }
    let answer = request.send().await.expect("the server answers");
    let (status, kind) = (answer.status(), answer.headers().get("content-type").cloned());
    let body = answer.bytes().await.expect("its answer");
    let mut response = Response::builder().status(status);
    if let Some(kind) = kind {
        response = response.header("content-type", kind);
    }
    let body = if matches!(fault, Some(Fault::CutAnswer)) {
        let half = [Ok(body.slice(..body.len() / 2)), Err(std::io::Error::other("cut"))];
        Body::from_stream(futures::stream::iter(half))
    } else {
        Body::from(body)
    };
    response.body(body).expect("an answer")
}
