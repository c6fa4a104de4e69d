//! What whoever waits for a training is told.

use std::time::Instant;

use pgrx::prelude::*;

use crate::nn::EpochReport;
use crate::pg::duration::duration;
use crate::pg::error::Report;
use crate::pg::interrupt;
use crate::pg::rows::Table;
use crate::training::{Observer, Options, Plan};

/// Columns as messages name them.
fn named(columns: Option<&[String]>) -> String {
    format!("\"{}\"", columns.unwrap_or_default().join("\" or \""))
}

/// Reports a training to the user who waits for it.
pub(super) struct Console {
    verbose: bool,
    /// How many rows were left out because one of these columns is NULL, or where it is an array
    /// has a NULL in it.
    left_out: Vec<(u64, String, bool)>,
    started: Instant,
}

impl Console {
    /// For a training on these rows.
    pub(super) fn new(options: &Options, plan: &Plan, table: &Table) -> Console {
        let (by, target) = (options.sequence_by.as_deref(), plan.target.name.clone());
        Console {
            verbose: options.verbose.unwrap_or(true),
            left_out: vec![
                (table.without_sequence, named(by), false),
                (
                    table.without_target,
                    named(Some(&[target])),
                    plan.target.kind.is_array(),
                ),
            ],
            started: Instant::now(),
        }
    }
}

impl Observer for Console {
    fn interrupted(&mut self) -> bool {
        interrupt::pending()
    }

    fn notice(&mut self, text: &str) {
        if self.verbose {
            notice!("{text}");
        }
        // Rows that do not count are told of even where the course of the training is not.
        for (rows, columns, is_array) in std::mem::take(&mut self.left_out) {
            if rows > 0 {
                let s = if rows == 1 { "" } else { "s" };
                let within = if is_array { " or has a NULL in it" } else { "" };
                notice!("{rows} row{s} left out because {columns} is NULL{within}");
            }
        }
        // What came before is preparation: the time left is reckoned from the loop alone.
        self.started = Instant::now();
    }

    fn warning(&mut self, text: &str) {
        warning!("{text}");
    }

    fn notice_with_hint(&mut self, text: &str, hint: &str) {
        if self.verbose {
            Report::notice(text).hint(hint).send();
        }
        self.started = Instant::now();
    }

    fn warning_with_hint(&mut self, text: &str, hint: &str) {
        Report::warning(text).hint(hint).send();
    }

    fn epoch(&mut self, report: &EpochReport, epochs: usize) {
        if !self.verbose {
            return;
        }
        let spent = self.started.elapsed().as_secs_f64();
        let left = spent / report.epoch as f64 * (epochs - report.epoch.min(epochs)) as f64;
        let validation = report
            .validation_loss
            .map(|loss| format!(", validation loss {loss:.6}"))
            .unwrap_or_default();
        notice!(
            "epoch {} of {epochs}: loss {:.6}{validation}, {} left",
            report.epoch,
            report.train_loss,
            duration(left)
        );
    }
}
