//! What is a role's own: the queries that it trained with, and the jobs that it asked for.

use postgres::error::SqlState;

use super::Tally;
use super::roles::Kind;
use crate::fixture::{LOANS, count, outcome, text};
use crate::jobs::{end_of, endless, wait};

/// Whether what one kind of role asked for is the other's to see, wait for and cancel.
fn is_own(viewer: &Kind, asker: &str) -> bool {
    // The session of a role that was dropped is that of whoever has its OID now.
    let role = |name| match name {
        "dropped" => "of a reused OID",
        name => name,
    };
    viewer.name == "superuser"
        || role(viewer.name) == role(asker)
        || (viewer.name, asker) == ("member", "owner")
}

/// A version is trained again by a query that runs as who trained it: no right on the model, its
/// owner's either, is one to act as somebody else.
pub(super) fn reproduce_what_others_trained(kind: &mut Kind, tally: &mut Tally) {
    let superuser = kind.name == "superuser";
    tally.check(kind, "SELECT neural.reproduce('risk', 1)", superuser, None);
}

/// Every kind of role asks for a job, and those whose it is see it, and wait for it; others do not.
pub(super) fn ask_for_jobs(kinds: &mut [Kind], tally: &mut Tally) {
    let mut jobs = Vec::new();
    for (number, kind) in kinds.iter_mut().enumerate() {
        let sql = format!(
            "SELECT neural.train_async('of_{number}', '{LOANS}', 'bad', epochs => 1, seed => 1)"
        );
        let job = count(&mut kind.client, &sql);
        tally.tried += 1;
        let state = wait(&mut kind.client, job);
        if state != "succeeded" {
            tally.wrong.push(format!("{}: its job {state}", kind.name));
        }
        jobs.push((kind.name, job));
    }
    let first = jobs[0].1;
    for kind in kinds {
        let own: Vec<_> = jobs
            .iter()
            .filter(|(asker, _)| is_own(kind, asker))
            .collect();
        let listed: Vec<_> = own.iter().map(|(_, job)| job.to_string()).collect();
        let sql = format!(
            "SELECT coalesce(string_agg(job::text, ' ' ORDER BY job), '') FROM neural.jobs WHERE job >= {first}"
        );
        let seen = text(&mut kind.client, &sql);
        if seen != listed.join(" ") {
            tally.wrong.push(format!(
                "{}: sees the jobs {seen}, not {listed:?}",
                kind.name
            ));
        }
        for (asker, job) in &jobs {
            let may = is_own(kind, asker);
            for sql in ["wait_job({}, '0')", "cancel_job({})"] {
                let sql = format!("SELECT neural.{}", sql.replace("{}", &job.to_string()));
                tally.check(kind, &sql, may, None);
            }
            let over = SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE;
            let sql = format!("SELECT neural.resume_job({job})");
            tally.check(kind, &sql, may, Some(&over));
        }
    }
}

/// A job that runs is ended by those whose it is, and by nobody else.
pub(super) fn cancel_what_runs(kinds: &mut [Kind], tally: &mut Tally) {
    let owner = kinds.iter().position(|kind| kind.name == "owner");
    let owner = owner.expect("an owner");
    let mut job = endless(&mut kinds[owner].client, "unending");
    let cancel = |job: i64| format!("SELECT neural.cancel_job({job})::text");
    for kind in kinds.iter_mut().filter(|kind| !is_own(kind, "owner")) {
        tally.check(kind, &cancel(job), false, None);
    }
    assert_eq!(end_of(&mut kinds[owner].client, job), "running");
    for place in 0..kinds.len() {
        if !is_own(&kinds[place], "owner") {
            continue;
        }
        tally.tried += 1;
        let told = text(&mut kinds[place].client, &cancel(job));
        let state = wait(&mut kinds[owner].client, job);
        if (told.as_str(), state.as_str()) != ("true", "cancelled") {
            let name = kinds[place].name;
            tally
                .wrong
                .push(format!("{name}: cancelling gave {told} and {state}"));
        }
        job = endless(&mut kinds[owner].client, "unending");
    }
    assert_eq!(outcome(&mut kinds[owner].client, &cancel(job)), None);
    wait(&mut kinds[owner].client, job);
}
