//! The pages, as a browser asks for them.

mod admin;
mod admin_actions;
mod admin_speed;
mod live;
mod live_queue;
mod origins;
mod outage;
mod pages;
mod sign_in;
mod webhooks;

use reqwest::redirect::Policy;
use reqwest::{Client, Method, RequestBuilder};

use super::{Answer, Answering, App, token};

/// A browser: it keeps its cookie, follows no redirect, and says where requests come from.
struct Browser<'a> {
    app: &'a App,
    client: Client,
    cookie: String,
}

impl<'a> Browser<'a> {
    /// Not signed in.
    fn new(app: &'a App) -> Self {
        let client = Client::builder().no_proxy().redirect(Policy::none()).build().expect("a client");
        Self { app, client, cookie: String::new() }
    }

    /// Signed in with a token.
    async fn with_token(app: &'a App, token: &str) -> Self {
        let mut browser = Self::new(app);
        let answer = browser.post("/ui/sign-in", &[("token", token)]).await.expect(303);
        browser.keep_cookie(&answer);
        browser
    }

    /// The user with this number.
    async fn of_user(app: &'a App, user: usize) -> Self {
        Self::with_token(app, &token(user)).await
    }

    /// An admin.
    async fn of_admin(app: &'a App) -> Self {
        Self::with_token(app, "admin-token").await
    }

    fn keep_cookie(&mut self, answer: &Answer) {
        let cookie = answer.header("set-cookie").split(';').next().unwrap_or_default();
        assert!(cookie.starts_with("bedel_session="), "{:?}", answer.headers);
        self.cookie = cookie.to_owned();
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let request = self.client.request(method, format!("{}{path}", self.app.base));
        if self.cookie.is_empty() { request } else { request.header("cookie", &self.cookie) }
    }

    async fn get(&self, path: &str) -> Answer {
        self.request(Method::GET, path).header("sec-fetch-site", "same-origin").answer().await
    }

    async fn post(&self, path: &str, fields: &[(&str, &str)]) -> Answer {
        self.request(Method::POST, path).header("sec-fetch-site", "same-origin").form(fields).answer().await
    }
}

/// Where a form led.
#[track_caller]
fn next(answer: &Answer) -> &str {
    assert_eq!(answer.status.as_u16(), 303, "{}", answer.text);
    answer.header("location")
}
