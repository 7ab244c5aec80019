//! A web server with typical faults.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// Pages of a site. Each but the last ones links to two others.
pub const PAGES: u32 = 30;
/// The first request for this part of the file loses its connection.
pub const DROPPED: u32 = 3;
/// The first request for this page gets a 503 with Retry-After.
const BUSY: u32 = 7;

/// One server.
#[derive(Debug, Default)]
pub struct Site {
    seen: Mutex<Seen>,
}

/// What a server saw.
#[derive(Debug, Clone, Default)]
pub struct Seen {
    /// Requests per page.
    pub served: BTreeMap<String, u32>,
    /// Most concurrent visitors.
    pub most_at_once: u32,
    /// Visitors waiting for the endless page.
    pub waiting: u32,
    at_once: u32,
}

impl Site {
    /// Listens on this machine, on its own port, until the program ends.
    pub async fn start() -> Result<(Arc<Self>, String), std::io::Error> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let host = listener.local_addr()?.to_string();
        let site = Arc::new(Self::default());
        let serving = Arc::clone(&site);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let site = Arc::clone(&serving);
                tokio::spawn(async move { site.serve(stream).await });
            }
        });
        Ok((site, host))
    }

    /// What the server saw so far.
    pub fn seen(&self) -> Seen {
        self.change(|seen| seen.clone())
    }

    fn change<T>(&self, change: impl FnOnce(&mut Seen) -> T) -> T {
        change(&mut self.seen.lock().unwrap_or_else(PoisonError::into_inner))
    }

    async fn serve(&self, mut stream: TcpStream) -> Result<(), std::io::Error> {
        let mut request = vec![0; 1024];
        let length = stream.read(&mut request).await?;
        let text = String::from_utf8_lossy(&request[..length]).into_owned();
        let page = text.split(['/', ' ']).nth(2).unwrap_or_default();
        let times = self.change(|seen| {
            seen.at_once += 1;
            seen.most_at_once = seen.most_at_once.max(seen.at_once);
            let times = seen.served.entry(page.to_owned()).or_default();
            *times += 1;
            *times
        });
        if page == "endless" {
            self.change(|seen| seen.waiting += 1);
            // Never answered: waits until the visitor leaves.
            let _ = stream.read(&mut request).await;
            self.change(|seen| seen.waiting -= 1);
        } else {
            tokio::time::sleep(Duration::from_millis(30)).await;
        }
        // Before the answer: the next request may follow it at once.
        self.change(|seen| seen.at_once -= 1);
        stream.write_all(answer(page, times).as_bytes()).await
    }
}

fn answer(page: &str, times: u32) -> String {
    match page.parse::<u32>() {
        Ok(BUSY) if times == 1 => "HTTP/1.0 503 Busy\r\nRetry-After: 1\r\n\r\n".to_owned(),
        Ok(page) => {
            let links: Vec<String> = [page * 2 + 1, page * 2 + 2]
                .into_iter()
                .filter(|page| *page < PAGES)
                .map(|page| page.to_string())
                .collect();
            format!("HTTP/1.0 200 OK\r\n\r\n{}", links.join(" "))
        }
        Err(_) if page == format!("part-{DROPPED}") && times == 1 => String::new(),
        Err(_) => format!("HTTP/1.0 200 OK\r\n\r\n{page}"),
    }
}
