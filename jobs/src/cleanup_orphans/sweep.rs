//! Lists files and rows, plans, then executes the plan.

use bedel_queue::{Attempt, JobError};
use bedel_storage::keys;
use bedel_storage::{StorageError, StoredObject};
use uuid::Uuid;

use super::report::{Refusal, Report};
use super::rows::{self, DocumentFacts, LectureFacts};
use super::rules::{FoundFile, Listing, OrphanRules, too_many};
use crate::environment::Environment;

/// The actions of a sweep.
#[derive(Debug, Default)]
struct Plan {
    /// Lectures to remove, each with all its files.
    abandoned: Vec<(Uuid, Vec<FoundFile>)>,
    /// Failed lectures whose audio expired, with its file.
    expired: Vec<(Uuid, Vec<FoundFile>)>,
    /// Files to delete without a change to a row.
    orphans: Vec<FoundFile>,
    /// Lectures to restart.
    stalled: Vec<Uuid>,
    /// Documents to mark as failed.
    failed: Vec<DocumentFacts>,
    /// Documents seen whose status is `uploaded`.
    uploaded: usize,
}

impl Plan {
    fn files_to_delete(&self) -> impl Iterator<Item = &FoundFile> {
        let with_rows = self.abandoned.iter().chain(&self.expired).flat_map(|(_, files)| files);
        with_rows.chain(&self.orphans)
    }
}

/// Sweeps the whole storage and all rows.
pub(super) async fn sweep_all(
    ctx: &Environment,
    attempt: &Attempt,
    dry_run: bool,
) -> Result<Report, JobError> {
    let now = ctx.storage.clock().await?;
    let mut listing = Listing::default();
    for directory in keys::DIRECTORIES {
        listing.add(ctx.storage.list(directory).await?);
    }
    let mut report =
        Report { dry_run, listed: listing.listed, unknown: listing.unknown, ..Report::default() };
    let rules = OrphanRules { now, running: rows::running_leases(&ctx.pool).await?, targeted: false };
    let mut plan = Plan::default();
    plan_lectures_with_rows(ctx, &rules, &mut listing, &mut plan, &mut report).await?;
    plan_lectures_without_rows(ctx, &rules, &mut listing, &mut plan).await?;
    plan_documents(ctx, &rules, &mut listing, &mut plan, &mut report).await?;

    report.orphans = plan.files_to_delete().count();
    if too_many(report.orphans, report.listed) || too_many(plan.failed.len(), plan.uploaded) {
        report.refused = Some(Refusal::TooMany);
        for found in plan.files_to_delete() {
            report.add_example(&found.stored.key);
        }
        let stalled = std::mem::take(&mut plan.stalled);
        plan = Plan { stalled, ..Plan::default() };
    }
    execute(ctx, attempt, plan, &mut report).await?;
    Ok(report)
}

/// Sweeps the files that are named after one lecture.
pub(super) async fn sweep_lecture(
    ctx: &Environment,
    attempt: &Attempt,
    lecture_id: Uuid,
    dry_run: bool,
) -> Result<Report, JobError> {
    let now = ctx.storage.clock().await?;
    let mut files = ctx.storage.list(&keys::audio_temp_prefix(lecture_id)).await?;
    let finals = [
        keys::audio(lecture_id),
        keys::transcript_json(lecture_id),
        keys::transcript_vtt(lecture_id),
        keys::lecture_chunks(lecture_id),
    ];
    for key in finals {
        files.extend(ctx.storage.stat(&key).await?);
    }
    let mut listing = Listing::default();
    listing.add(files);
    let mut report =
        Report { dry_run, listed: listing.listed, unknown: listing.unknown, ..Report::default() };

    let rules = OrphanRules { now, running: rows::running_leases(&ctx.pool).await?, targeted: true };
    let facts = rows::lectures(&mut *ctx.pool.acquire().await?, &[lecture_id], &ctx.settings).await?;
    let mut plan = Plan::default();
    let found = listing.of_lectures.remove(&lecture_id).unwrap_or_default();
    plan_lecture(&rules, lecture_id, facts.first(), found, &mut plan);
    // Only the full sweep restarts lectures: nobody expects it of the clean-up after a deletion.
    plan.stalled.clear();
    report.orphans = plan.files_to_delete().count();
    execute(ctx, attempt, plan, &mut report).await?;
    Ok(report)
}

async fn plan_lectures_with_rows(
    ctx: &Environment,
    rules: &OrphanRules,
    listing: &mut Listing,
    plan: &mut Plan,
    report: &mut Report,
) -> Result<(), JobError> {
    let mut after = Uuid::nil();
    loop {
        let page = rows::lectures_after(&ctx.pool, after, &ctx.settings).await?;
        let Some(last) = page.last() else { return Ok(()) };
        after = last.id;
        for facts in &page {
            report.lectures_without_course += usize::from(!facts.has_course);
            let absent = facts.keys().filter(|key| !listing.keys.contains(*key));
            for key in absent.map(str::to_owned).collect::<Vec<_>>() {
                if is_missing(ctx, facts, &key).await? {
                    report.missing += 1;
                    report.add_example(&key);
                }
            }
            let found = listing.of_lectures.remove(&facts.id).unwrap_or_default();
            plan_lecture(rules, facts.id, Some(facts), found, plan);
        }
    }
}

/// Asks the storage again: the listing is older than the row, so it does not prove that a file is missing.
async fn is_missing(ctx: &Environment, facts: &LectureFacts, key: &str) -> Result<bool, JobError> {
    if has_object(ctx, key).await? {
        return Ok(false);
    }
    let now = rows::lectures(&mut *ctx.pool.acquire().await?, &[facts.id], &ctx.settings).await?;
    Ok(now.first().is_some_and(|facts| facts.refers_to(key)))
}

/// False for an invalid key, which no object can have.
async fn has_object(ctx: &Environment, key: &str) -> Result<bool, StorageError> {
    match ctx.storage.exists(key).await {
        Err(StorageError::InvalidKey { .. }) => Ok(false),
        answer => answer,
    }
}

/// Plans the remaining files, whose lectures were in no page. It looks their rows up again, since some may
/// have been inserted behind the walk.
async fn plan_lectures_without_rows(
    ctx: &Environment,
    rules: &OrphanRules,
    listing: &mut Listing,
    plan: &mut Plan,
) -> Result<(), JobError> {
    let mut remaining: Vec<_> = std::mem::take(&mut listing.of_lectures).into_iter().collect();
    while !remaining.is_empty() {
        let batch = remaining.split_off(remaining.len().saturating_sub(rows::PAGE));
        let ids: Vec<Uuid> = batch.iter().map(|(id, _)| *id).collect();
        let facts = rows::lectures(&mut *ctx.pool.acquire().await?, &ids, &ctx.settings).await?;
        for (id, found) in batch {
            plan_lecture(rules, id, facts.iter().find(|facts| facts.id == id), found, plan);
        }
    }
    Ok(())
}

/// Adds one lecture to the plan.
fn plan_lecture(
    rules: &OrphanRules,
    id: Uuid,
    facts: Option<&LectureFacts>,
    found: Vec<FoundFile>,
    plan: &mut Plan,
) {
    let Some(facts) = facts else {
        plan.orphans.extend(found.into_iter().filter(|found| rules.is_orphan(found, None)));
        return;
    };
    if facts.abandoned {
        plan.abandoned.push((id, found));
        return;
    }
    if facts.stalled {
        plan.stalled.push(id);
    }
    let (audio, other): (Vec<_>, Vec<_>) = found.into_iter().partition(|found| {
        facts.audio_expired && facts.audio_storage_key.as_deref() == Some(&found.stored.key)
    });
    if facts.audio_expired {
        plan.expired.push((id, audio));
    }
    plan.orphans.extend(other.into_iter().filter(|found| rules.is_orphan(found, Some(facts))));
}

async fn plan_documents(
    ctx: &Environment,
    rules: &OrphanRules,
    listing: &mut Listing,
    plan: &mut Plan,
    report: &mut Report,
) -> Result<(), JobError> {
    let mut after = Uuid::nil();
    loop {
        let page = rows::documents_after(&ctx.pool, after).await?;
        let Some(last) = page.last() else { break };
        after = last.id;
        for document in page {
            report.documents_without_course += usize::from(!document.has_course);
            plan.uploaded += usize::from(document.uploaded);
            if document.uploaded
                && !listing.keys.contains(&document.storage_key)
                && !has_object(ctx, &document.storage_key).await?
            {
                plan.failed.push(document);
            }
        }
    }
    let mut remaining: Vec<_> = std::mem::take(&mut listing.of_documents).into_iter().collect();
    while !remaining.is_empty() {
        let batch = remaining.split_off(remaining.len().saturating_sub(rows::PAGE));
        let ids: Vec<Uuid> = batch.iter().map(|(id, _)| *id).collect();
        let existing = rows::existing_documents(&ctx.pool, &ids).await?;
        for (id, found) in batch {
            let has_row = existing.contains(&id);
            plan.orphans.extend(found.into_iter().filter(|found| rules.is_orphan_document(found, has_row)));
        }
    }
    Ok(())
}

/// Executes the plan; a dry run only counts. The next run can continue after each step: a removed lecture's
/// files are orphans like any other.
async fn execute(
    ctx: &Environment,
    attempt: &Attempt,
    plan: Plan,
    report: &mut Report,
) -> Result<(), JobError> {
    let (pool, settings, dry) = (&ctx.pool, &ctx.settings, report.dry_run);
    for (id, files) in plan.abandoned {
        attempt.check_lease().await?;
        if dry || rows::remove_abandoned(pool, id, settings).await? {
            report.lectures_removed += 1;
            delete(ctx, attempt, &files, report).await?;
        }
    }
    for (id, files) in plan.expired {
        attempt.check_lease().await?;
        if dry || rows::expire_audio(pool, id, settings).await? {
            report.audio_expired += 1;
            delete(ctx, attempt, &files, report).await?;
        }
    }
    delete(ctx, attempt, &plan.orphans, report).await?;
    for id in plan.stalled {
        if dry || rows::restart_stalled(pool, id, settings).await? {
            report.lectures_restarted += 1;
        }
    }
    for document in plan.failed {
        if dry || rows::fail_document(pool, &document).await? {
            report.documents_failed += 1;
        }
    }
    Ok(())
}

async fn delete(
    ctx: &Environment,
    attempt: &Attempt,
    files: &[FoundFile],
    report: &mut Report,
) -> Result<(), JobError> {
    for (number, FoundFile { stored, .. }) in files.iter().enumerate() {
        if number % 100 == 0 {
            attempt.check_lease().await?;
        }
        if report.dry_run || delete_if_unchanged(ctx, stored).await? {
            report.files_deleted += 1;
            report.bytes_deleted += stored.size;
        }
    }
    Ok(())
}

/// False for a final key with a newer file than listed, of a lecture that was restarted meanwhile.
async fn delete_if_unchanged(ctx: &Environment, stored: &StoredObject) -> Result<bool, StorageError> {
    if !stored.is_staged() && ctx.storage.stat(&stored.key).await?.as_ref() != Some(stored) {
        return Ok(false);
    }
    ctx.storage.delete_listed(stored).await?;
    Ok(true)
}
