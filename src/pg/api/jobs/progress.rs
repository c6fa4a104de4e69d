//! How far a job is, told in its row and in `pg_stat_activity`.

use std::cell::Cell;
use std::ffi::CString;
use std::time::{Duration, Instant};

use pgrx::{pg_sys, warning};

use crate::nn::EpochReport;
use crate::pg::api::training::finite;
use crate::pg::background::transaction::{hasty, transaction};
use crate::pg::catalog::checkpoint;
use crate::pg::catalog::job::{self, Progress};
use crate::pg::error::Report;
use crate::pg::{interrupt, settings};
use crate::training::{Kept, Observer};

/// Between two changes of the row.
const PAUSE: Duration = Duration::from_secs(1);

thread_local! {
    /// How far the job of this process is.
    static LATEST: Cell<Progress> = const { Cell::new(Progress {
        epoch: None,
        epochs: None,
        rows_done: None,
        rows_total: None,
        train_loss: None,
        validation_loss: None,
        seconds_left: None,
    }) };
}

/// How far the job of this process is, as far as has been told or is to be.
pub(super) fn latest() -> Progress {
    LATEST.get()
}

/// The rows have been read.
pub(super) fn read(rows: usize) {
    let rows = Some(rows as i64);
    LATEST.set(Progress {
        rows_done: rows,
        rows_total: rows,
        ..LATEST.get()
    });
}

/// Shows in `pg_stat_activity` what a job does.
pub(super) fn show(job: i64, what: &str) {
    let Ok(text) = CString::new(format!("neural.train job {job}: {what}")) else {
        return;
    };
    // SAFETY: the text is copied.
    unsafe { pg_sys::pgstat_report_activity(pg_sys::BackendState::STATE_RUNNING, text.as_ptr()) };
}

/// Tells of a job's training.
pub(super) struct Teller {
    job: i64,
    began: Instant,
    told: Instant,
    kept: Option<Instant>,
}

impl Teller {
    /// For a job whose rows have been read.
    pub(super) fn new(job: i64) -> Teller {
        Teller {
            job,
            began: Instant::now(),
            told: Instant::now(),
            kept: None,
        }
    }
}

impl Observer for Teller {
    fn interrupted(&mut self) -> bool {
        interrupt::pending()
    }

    fn notice(&mut self, _: &str) {
        // What came before is preparation: the time left is reckoned from the loop alone.
        self.began = Instant::now();
    }

    fn warning(&mut self, text: &str) {
        warning!("job {}: {text}", self.job);
    }

    fn warning_with_hint(&mut self, text: &str, hint: &str) {
        Report::warning(format!("job {}: {text}", self.job))
            .hint(hint)
            .send();
    }

    /// No other thread computes now.
    fn epoch(&mut self, report: &EpochReport, epochs: usize) {
        let spent = self.began.elapsed().as_secs_f64();
        let left = spent / report.epoch as f64 * (epochs - report.epoch.min(epochs)) as f64;
        let progress = Progress {
            epoch: Some(report.epoch as i32),
            epochs: Some(epochs as i32),
            train_loss: finite(report.train_loss),
            validation_loss: report.validation_loss.and_then(finite),
            seconds_left: Some(left),
            ..LATEST.get()
        };
        LATEST.set(progress);
        if self.told.elapsed() < PAUSE && report.epoch > 1 {
            return;
        }
        show(self.job, &format!("epoch {} of {epochs}", report.epoch));
        transaction(|| {
            hasty();
            job::tell(self.job, &progress)
        });
        self.told = Instant::now();
    }

    fn keeps(&mut self) -> bool {
        let interval = settings::checkpoint_interval();
        self.kept.is_none_or(|kept| kept.elapsed() >= interval)
    }

    fn keep(&mut self, kept: &Kept<'_>) {
        transaction(|| {
            hasty();
            checkpoint::keep(self.job, kept)
        });
        self.kept = Some(Instant::now());
    }
}
