//! The operators' pages, and the webhooks of every user.
//!
//! Each calls the same functions as the API, and records its actions in the audit log.

mod audit;
mod bulk;
mod conditions;
mod history;
mod hosts;
mod job;
mod jobs;
mod orphans;
mod overview;
mod parts;
mod queues;
mod schedules;
mod settings;
mod timeline;
mod webhook_log;
mod webhooks;
mod workers;

use axum::Router;
use axum::response::Redirect;
use axum::routing::{get, post};

use super::live::for_all_tabs;
use crate::api::state::ApiState;

/// The pages. All but webhooks are for admins.
pub(super) fn routes() -> Router<ApiState> {
    Router::new()
        .route("/ui/admin", get(async || Redirect::to("/ui/admin/overview")))
        .route("/ui/admin/overview", get(overview::show))
        .route("/ui/admin/jobs", get(jobs::list))
        .route("/ui/admin/jobs/bulk", get(bulk::confirm).post(bulk::start))
        .route("/ui/admin/jobs/{id}", get(job::show))
        .route("/ui/admin/jobs/{id}/retry", post(job::retry))
        .route("/ui/admin/jobs/{id}/cancel", post(job::cancel))
        .route("/ui/admin/bulk", get(bulk::list))
        .route("/ui/admin/bulk/{id}", get(bulk::show))
        .route("/ui/admin/bulk/{id}/stop", post(bulk::stop))
        .route("/ui/admin/queues", get(queues::list))
        .route("/ui/admin/queues/pause", post(queues::pause))
        .route("/ui/admin/queues/resume", post(queues::resume))
        .route("/ui/admin/workers", get(workers::list))
        .route("/ui/admin/hosts", get(hosts::list))
        .route("/ui/admin/schedules", get(schedules::list))
        .route("/ui/admin/schedules/run", post(schedules::run))
        .route("/ui/admin/orphans", get(orphans::show).post(orphans::start))
        .route("/ui/admin/orphans/confirm", get(orphans::confirm))
        .route("/ui/admin/audit", get(audit::list))
        .route("/ui/admin/settings", get(settings::show))
        .layer(axum::middleware::from_fn(for_all_tabs))
        .merge(of_webhooks())
}

fn of_webhooks() -> Router<ApiState> {
    Router::new()
        .route("/ui/webhooks", get(webhooks::list).post(webhooks::add))
        .route("/ui/webhooks/callbacks", get(webhook_log::callbacks))
        .route("/ui/webhooks/callbacks/rotate", post(webhook_log::rotate_callbacks))
        .route("/ui/webhooks/callbacks/messages/{id}/redeliver", post(webhook_log::redeliver_callback))
        .route("/ui/webhooks/{id}", get(webhook_log::show))
        .route("/ui/webhooks/{id}/test", post(webhooks::test))
        .route("/ui/webhooks/{id}/switch", post(webhooks::switch))
        .route("/ui/webhooks/{id}/rotate", post(webhooks::rotate))
        .route("/ui/webhooks/{id}/remove", post(webhooks::remove))
        .route("/ui/webhooks/{id}/messages/{message_id}/redeliver", post(webhook_log::redeliver))
}
