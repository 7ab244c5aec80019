//! Who stands between an engine and its server: hands on what is asked and answered, or misbehaves in the server's name.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, Method, Response, Uri};
use futures::StreamExt;

/// What it does instead of handing on.
#[derive(Debug, Clone)]
pub enum Fault {
    /// Nothing: it hands on.
    None,
    /// Answers by itself.
    Answer { status: u16, headers: Vec<(&'static str, &'static str)>, body: &'static str },
    /// Has the request answered, and breaks the connection in the middle of that.
    CutAnswer,
    /// Says nothing.
    Silence,
    /// Sends more than anybody would read: so many bytes.
    Flood(usize),
}

/// A request that came by.
#[derive(Debug, Clone)]
pub struct Seen {
    pub method: Method,
    pub path: String,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Seen {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().expect("text"))
    }
}

struct Kept {
    server: url::Url,
    faults: Mutex<VecDeque<Fault>>,
    seen: Mutex<Vec<Seen>>,
    /// Silent requests whose client has gone.
    given_up: Mutex<usize>,
    client: reqwest::Client,
}

/// It is gone when it is dropped.
pub struct Between {
    pub url: url::Url,
    kept: Arc<Kept>,
    serving: tokio::task::JoinHandle<()>,
}

impl Drop for Between {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Between {
    /// In front of the server at this address.
    pub async fn start(server: &url::Url) -> Self {
        // Whoever comes first wins; the others find it installed.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = reqwest::Client::builder().no_proxy().build().expect("a client");
        let (faults, seen, given_up) = (Mutex::default(), Mutex::default(), Mutex::default());
        let kept = Arc::new(Kept { server: server.clone(), faults, seen, given_up, client });
        let router = Router::new().fallback(hand_on).with_state(Arc::clone(&kept));
        let router = router.layer(axum::extract::DefaultBodyLimit::max(64 << 20));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let serving = tokio::spawn(async move { axum::serve(listener, router).await.expect("it serves") });
        let url = format!("http://{address}{}", server.path()).parse().expect("an address");
        Self { url, kept, serving }
    }

    /// For the next requests, one each.
    pub fn misbehave(&self, faults: impl IntoIterator<Item = Fault>) {
        locked(&self.kept.faults).extend(faults);
    }

    pub fn seen(&self) -> Vec<Seen> {
        locked(&self.kept.seen).clone()
    }

    pub fn given_up(&self) -> usize {
        *locked(&self.kept.given_up)
    }
}

/// Notices that a request's client has gone.
struct GivesUp(Arc<Kept>);

impl Drop for GivesUp {
    fn drop(&mut self) {
        *locked(&self.0.given_up) += 1;
    }
}

async fn hand_on(
    State(kept): State<Arc<Kept>>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response<Body> {
    let path = uri.path().to_owned();
    let seen = Seen { method: method.clone(), path, headers: headers.clone(), body: body.clone() };
    locked(&kept.seen).push(seen);
    let fault = locked(&kept.faults).pop_front();
    match fault {
        Some(Fault::Answer { status, headers, body }) => {
            let mut answer = Response::builder().status(status);
            for (name, value) in headers {
                answer = answer.header(name, value);
            }
            return answer.body(Body::from(body)).expect("an answer");
        }
        Some(Fault::Silence) => {
            let _gives_up = GivesUp(Arc::clone(&kept));
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
    let mut url = kept.server.clone();
    url.set_path(uri.path());
    let mut request = kept.client.request(method, url).body(body);
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
