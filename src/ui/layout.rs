//! The frame of a page.

use axum::response::{Html, IntoResponse, Response};
use maud::{DOCTYPE, Markup, html};

use super::assets::Asset;
use super::icons::{Icon, icon};
use super::session::Session;

/// Our settings of htmx: no inline style, no own history.
const HTMX: &str = r#"{"includeIndicatorCSS":false,"history":false,"extensions":"sse"}"#;

/// The entry of the sidebar that a page belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Section {
    Lectures,
    Search,
    Courses,
    Documents,
    Overview,
    Jobs,
    Queues,
    Workers,
    Hosts,
    Schedules,
    Orphans,
    Webhooks,
    Audit,
    Settings,
}

/// Title, address and icon of an entry.
type Entry = (Section, &'static str, &'static str, Icon);

const STUDENTS: [Entry; 5] = [
    (Section::Lectures, "Lectures", "/ui/lectures", Icon::Lecture),
    (Section::Search, "Search", "/ui/search", Icon::Search),
    (Section::Courses, "Courses", "/ui/courses", Icon::Book),
    (Section::Documents, "Documents", "/ui/documents", Icon::File),
    (Section::Webhooks, "Webhooks", "/ui/webhooks", Icon::Link),
];

const OPERATORS: [Entry; 9] = [
    (Section::Overview, "Overview", "/ui/admin/overview", Icon::Chart),
    (Section::Jobs, "Jobs", "/ui/admin/jobs", Icon::List),
    (Section::Queues, "Queues", "/ui/admin/queues", Icon::Layers),
    (Section::Workers, "Workers", "/ui/admin/workers", Icon::Cpu),
    (Section::Hosts, "Hosts", "/ui/admin/hosts", Icon::Globe),
    (Section::Schedules, "Schedules", "/ui/admin/schedules", Icon::Clock),
    (Section::Orphans, "Orphans", "/ui/admin/orphans", Icon::Trash),
    (Section::Audit, "Audit", "/ui/admin/audit", Icon::Shield),
    (Section::Settings, "Settings", "/ui/admin/settings", Icon::Sliders),
];

/// A page in its frame.
pub(super) struct Page<'a> {
    /// The heading, also in the browser's tab.
    pub(super) title: &'a str,
    /// The current entry of the sidebar.
    pub(super) section: Section,
    /// A link above the heading: address and text.
    pub(super) parent: Option<(&'a str, &'a str)>,
    /// Buttons beside the heading, the primary one first.
    pub(super) actions: Markup,
    /// Topics that the page follows, as [`super::live::topic`] reads them.
    pub(super) topics: Vec<String>,
    /// Scripts besides those of every page.
    pub(super) scripts: &'a [Asset],
    /// What is below the heading.
    pub(super) body: Markup,
}

impl Page<'_> {
    /// The page for a signed-in user.
    pub(super) fn render(self, session: &Session) -> Response {
        let body = html! {
            a.skip href="#main" { "Skip to the content" }
            div.shell {
                (sidebar(self.section, session))
                main #main.main tabindex="-1" {
                    div.head {
                        div {
                            @if let Some((href, text)) = self.parent { p.crumb { a href=(href) { (text) } } }
                            h1 { (self.title) }
                        }
                        div.actions { (self.actions) }
                    }
                    div #outage.banner role="alert" hidden {
                        (icon(Icon::Alert))
                        p { "No connection to the server or its database. This page updates again as soon as there is one." }
                    }
                    div #notice aria-live="polite" {}
                    (self.body)
                }
            }
            div #announce.sr aria-live="polite" {}
            @if !self.topics.is_empty() { (stream(&self.topics, session.version.0)) }
        };
        Html(document(self.title, None, self.scripts, &body).into_string()).into_response()
    }
}

/// The element that follows topics. htmx swaps what arrives, and events refresh parts of the page.
fn stream(topics: &[String], version: u64) -> Markup {
    let query: String = url::form_urlencoded::byte_serialize(topics.join(",").as_bytes()).collect();
    let events: Vec<String> = topics.iter().map(|topic| super::live::topic::event_of(topic)).collect();
    html! {
        div #live hx-sse:connect={ "/ui/live?version=" (version) "&topics=" (query) } hx-trigger="load, connect-again" hx-swap="none"
            data-refresh=(events.join(" ")) hidden {}
    }
}

/// A page without the frame, such as the sign-in page. Reloads itself after `reload` seconds.
pub(super) fn alone(title: &str, reload: Option<u32>, content: Markup) -> Markup {
    let body = html! {
        main #main.alone { div.panel { a.brand href="/ui" { img src=(Asset::Icon.url()) alt=""; span { "Bedel" } } (content) } }
    };
    document(title, reload, &[], &body)
}

fn document(title: &str, reload: Option<u32>, scripts: &[Asset], body: &Markup) -> Markup {
    let is_framed = reload.is_none();
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                meta name="htmx-config" content=(HTMX);
                @if let Some(seconds) = reload { meta http-equiv="refresh" content=(seconds); }
                title { (title) " · Bedel" }
                link rel="icon" href=(Asset::Icon.url());
                link rel="stylesheet" href=(Asset::Style.url());
                script src=(Asset::Theme.url()) {}
                @if is_framed {
                    @for asset in [Asset::Htmx, Asset::HtmxSse, Asset::App].iter().chain(scripts) {
                        script src=(asset.url()) defer {}
                    }
                }
            }
            body { (body) }
        }
    }
}

fn sidebar(current: Section, session: &Session) -> Markup {
    html! {
        nav.side aria-label="Main" {
            a.brand href="/ui" aria-label="Bedel, my lectures" { img src=(Asset::Icon.url()) alt=""; span { "Bedel" } }
            (entries(&STUDENTS, current))
            @if session.caller.admin {
                h2 { "Operation" }
                (entries(&OPERATORS, current))
            }
            div.foot {
                button.button.plain type="button" data-theme-switch aria-pressed="false" aria-label="Dark theme" title="Dark theme" {
                    (icon(Icon::Moon))
                }
                form method="post" action="/ui/sign-out" {
                    button.button.plain aria-label="Sign out" title="Sign out" { (icon(Icon::SignOut)) }
                }
            }
        }
    }
}

fn entries(entries: &[Entry], current: Section) -> Markup {
    html! {
        ul {
            @for (section, title, href, mark) in entries {
                li { a href=(href) aria-current=[(*section == current).then_some("page")] { (icon(*mark)) (title) } }
            }
        }
    }
}

/// What a list shows while it is empty: what is missing, and what to do.
pub(super) fn empty(mark: Icon, title: &str, text: &str, action: Markup) -> Markup {
    html! { div.empty { (icon(mark)) h2 { (title) } p { (text) } div.actions { (action) } } }
}
