//! Traps that the rows of a training hold, by which a model looks better than it will be: a feature that
//! alone tells the target, rows on both sides of the split that are alike, and rows that are alike with
//! those near them, so that random rows held out say little of new ones.
//!
//! All of them are looked for in samples of the rows, by one thread, before the network is trained, so
//! that it costs little and is the same with any memory. What is found is told before the loop begins,
//! and kept in the version. Where it is not certain, nothing is said.

mod alone;
mod chance;
mod line;
mod linear;
mod lined;
mod near;
mod sample;

use serde_json::{Map, Value, json};

use super::error::Error;
use super::fit::FitStage;
use super::job::{Job, Observer};
use super::option_values::ValidationSplit;
use crate::features::{Column, Feature, Kind, Origin, RawRows, Target, features_argument};
use crate::memory;
use alone::{LEAST_ROWS, PERFECT, Wanted};
use line::Difference;
use lined::{Reading, STRETCH};
use sample::{Truth, TruthAt};

/// Rows of a sample, at most, and at least where there are many columns; values of it held at once.
const SAMPLE: usize = 16_384;
const SAMPLE_LEAST: usize = 2048;
const VALUES: usize = 1 << 20;
/// Rows from which on the losses of rows held out are compared.
const COMPARED_ROWS: usize = 500;
/// Share of the rows held out that are trained on as well, from which on it is told; share of all rows
/// that are copies.
const CROSSED: f64 = 0.05;
const COPIED: f64 = 0.01;
/// Columns that a line names.
const NAMED: usize = 5;

/// Something that is told.
enum Told {
    /// What was done about it.
    Notice(String),
    /// What may be wrong, and what can be done.
    Hint(String, String),
    /// What is wrong, and what can be done.
    Warning(String, String),
}

/// What was found.
#[derive(Default)]
struct Found {
    told: Vec<Told>,
    /// As a version keeps it.
    kept: Map<String, Value>,
}

/// Looks for the traps, tells them, and gives what a version keeps of them. A warm start has been told
/// before; of sequences and of targets that are arrays nothing is known.
///
/// # Errors
/// Rows that cannot be read, memory that is refused, an interruption.
pub(super) fn find(
    job: &Job<'_>,
    fit: &mut FitStage<'_>,
    observer: &mut dyn Observer,
) -> Result<Option<Value>, Error> {
    if job.warm_start() || job.sequences.is_some() {
        return Ok(None);
    }
    let mut found = Found::default();
    {
        let mut stop = || observer.interrupted();
        found.copies(job, fit, &mut stop)?;
        if !fit.target.is_array() {
            found.alone(job, fit, &mut stop)?;
            found.rising(job, fit, &mut stop)?;
            found.blocks(job, fit, &mut stop)?;
        }
    }
    for told in &found.told {
        match told {
            Told::Notice(text) => observer.notice(text),
            Told::Hint(text, hint) => observer.notice_with_hint(text, hint),
            Told::Warning(text, hint) => observer.warning_with_hint(text, hint),
        }
    }
    Ok((!found.kept.is_empty()).then_some(Value::Object(found.kept)))
}

/// The used features that hold numbers or texts, by their places.
fn plain<'a>(job: &'a Job<'_>, features: &'a [Feature]) -> Vec<(usize, &'a Column)> {
    let columns = job.plan.features.iter().zip(features).enumerate();
    columns
        .filter(|(_, (column, feature))| {
            feature.is_used() && matches!(column.kind, Kind::Number | Kind::Category)
        })
        .map(|(place, (column, _))| (place, column))
        .collect()
}

fn truth_at(job: &Job<'_>) -> TruthAt {
    TruthAt {
        target: job.plan.at.target,
        exposure: job.plan.at.exposure,
    }
}

/// To four digits, of which the last is not rounded up to a whole.
fn digits(measure: f64) -> f64 {
    (measure * 1e4).floor() / 1e4
}

impl Found {
    /// Features that alone tell the target.
    fn alone(
        &mut self,
        job: &Job<'_>,
        fit: &mut FitStage<'_>,
        stop: &mut dyn FnMut() -> bool,
    ) -> Result<(), Error> {
        let columns = plain(job, &fit.features.features);
        let split = &mut fit.split;
        let trained = &split.sides.trained;
        let used = fit
            .features
            .features
            .iter()
            .filter(|feature| feature.is_used());
        // A single feature is what was asked to tell it.
        if trained.count() < LEAST_ROWS || columns.is_empty() || used.count() < 2 {
            return Ok(());
        }
        let most = (VALUES / columns.len()).clamp(SAMPLE_LEAST, SAMPLE);
        let empty = match &fit.target {
            Target::Classes { classes, .. } => Truth::Classes(Vec::new(), classes.len()),
            _ => Truth::Numbers(Vec::new()),
        };
        let rows = &mut *split.read.examples.rows;
        let told_by = (&split.read.labels, truth_at(job));
        let truth = sample::truth(rows, trained, told_by, empty, most, stop)?;
        let Some(wanted) = Wanted::new(&truth) else {
            return Ok(());
        };
        let mut alone: Vec<(&Column, f64)> = Vec::new();
        for columns in columns.chunks(VALUES / most) {
            memory::ask_for_many(8 * most * columns.len())?;
            let places: Vec<usize> = columns.iter().map(|(place, _)| *place).collect();
            let sampled = sample::columns(rows, trained, &places, most, stop)?;
            for (values, (_, column)) in sampled.iter().zip(columns) {
                if stop() {
                    return Err(crate::features::Error::Interrupted.into());
                }
                let measure = wanted.measure(values, column.kind == Kind::Category);
                if measure > PERFECT {
                    alone.push((column, measure));
                }
            }
        }
        self.told_alone(&fit.target, &alone);
        Ok(())
    }

    fn told_alone(&mut self, target: &Target, alone: &[(&Column, f64)]) {
        let [(first, _), ..] = alone else {
            return;
        };
        let is_number = target.classes().is_empty();
        let measure = if is_number { "R²" } else { "AUC" };
        let named = alone.iter().take(NAMED).map(|(column, value)| {
            format!("\"{}\" ({measure} {:.4})", column.name, digits(*value))
        });
        let named = named.collect::<Vec<_>>().join(", ");
        let what = match alone {
            [_] => format!("feature {named} alone tells"),
            _ if alone.len() <= NAMED => format!("features {named} each alone tell"),
            _ => format!(
                "features {named} and {} more each alone tell",
                alone.len() - NAMED
            ),
        };
        let known = match alone.len() {
            1 => "Was it",
            _ => "Were they",
        };
        self.told.push(Told::Hint(
            format!("{what} the target \"{}\" almost perfectly", target.column()),
            format!(
                "{known} known before the target was? What comes with the target or after it is to be \
                 left out: {}",
                features_argument(&first.name, &json!("ignore"))
            ),
        ));
        let kept = alone.iter().map(|(column, value)| {
            json!({"feature": column.name, if is_number { "r2" } else { "auc" }: value})
        });
        self.kept.insert("features_alone".into(), kept.collect());
    }

    /// Whole numbers that rise from each row to the next, as those of identifiers do.
    fn rising(
        &mut self,
        job: &Job<'_>,
        fit: &mut FitStage<'_>,
        stop: &mut dyn FnMut() -> bool,
    ) -> Result<(), Error> {
        let requests = &job.plan.requests;
        let mut rising: Vec<(usize, &Column, f64)> = plain(job, &fit.features.features)
            .into_iter()
            .filter(|(place, column)| {
                let named = requests.get(*place).is_some_and(|request| request.named);
                column.origin == Origin::Integer && column.kind == Kind::Number && !named
            })
            .map(|(place, column)| (place, column, f64::NEG_INFINITY))
            .collect();
        let rows = &mut *fit.split.read.examples.rows;
        if rows.rows() < LEAST_ROWS || rising.is_empty() {
            return Ok(());
        }
        // The first rows tell most columns off.
        let mut pass = |rows: &mut dyn RawRows, most: usize| {
            let mut block = crate::features::Block::default();
            let (mut start, total) = (0, rows.rows().min(most));
            rising
                .iter_mut()
                .for_each(|(_, _, last)| *last = f64::NEG_INFINITY);
            while start < total && !rising.is_empty() {
                if stop() {
                    return Err(crate::features::Error::Interrupted);
                }
                let count = rows.at_once(SAMPLE_LEAST).min(total - start);
                rows.read(start, count, &mut block)?;
                rising.retain_mut(|(place, _, last)| {
                    (0..count).all(|row| {
                        let value = sample::value(block.columns.get(*place), row);
                        let rises = value > *last;
                        *last = value;
                        rises
                    })
                });
                start += count;
            }
            Ok(())
        };
        pass(rows, LEAST_ROWS)?;
        pass(rows, usize::MAX)?;
        for (_, column, _) in &rising {
            self.told.push(Told::Notice(format!(
                "column \"{}\" rises from each row to the next, as an identifier or a time does, and is \
                 learnt as a number; {} leaves it out",
                column.name,
                features_argument(&column.name, &json!("ignore"))
            )));
        }
        if !rising.is_empty() {
            let names = rising
                .iter()
                .map(|(_, column, _)| Value::from(column.name.as_str()));
            self.kept.insert("rising".into(), names.collect());
        }
        Ok(())
    }

    /// Rows on both sides of the split that are alike.
    fn copies(
        &mut self,
        job: &Job<'_>,
        fit: &mut FitStage<'_>,
        stop: &mut dyn FnMut() -> bool,
    ) -> Result<(), Error> {
        let (twins, crossed) = (fit.twins, fit.crossed.unwrap_or_default());
        let sides = &fit.split.sides;
        let (total, held_out) = (sides.trained.len(), sides.rows_validated());
        let is_crossed = crossed.share > CROSSED;
        let is_copied = twins.moved > 0 && twins.copies as f64 > COPIED * total as f64;
        if twins.met == 0 && !is_crossed && !is_copied {
            return Ok(());
        }
        let copies = match twins.met {
            0 => crossed.copies.max(twins.copies as f64),
            met => met as f64,
        };
        let read = &mut fit.split.read;
        let told_by = (&read.labels, job.plan.at.target);
        let (features, encoder) = (&fit.features.features, &fit.encoder);
        let rows = &mut *read.examples.rows;
        if !chance::are_copies(features, encoder, told_by, rows, stop)? {
            return Ok(());
        }
        if is_copied {
            self.told.push(Told::Notice(format!(
                "{} of {total} rows are alike to another one in all features and the target: such rows \
                 are on the same side of the split; if more rows belong together, such as those of a \
                 customer, name their column in option \"validation_group\"",
                twins.copies
            )));
            self.kept.insert(
                "copies".into(),
                json!({"rows": twins.copies, "held_out": 0}),
            );
            return Ok(());
        }
        let (met, how_many) = match twins.met {
            0 => {
                let met = (crossed.share * held_out as f64).round() as usize;
                (
                    met,
                    format!("about {met} of {held_out} held out are trained on"),
                )
            }
            met => (
                met,
                format!("{met} met one of the other side, {held_out} are held out"),
            ),
        };
        self.told.push(Told::Warning(
            format!(
                "rows of both sides of the split are alike in all features and the target \
                 ({how_many}): the validation figures are too good"
            ),
            "Take each row once in the query, or name a column whose rows belong together in option \
             \"validation_group\"."
                .into(),
        ));
        let copies = copies.round() as u64;
        self.kept
            .insert("copies".into(), json!({"rows": copies, "held_out": met}));
        Ok(())
    }

    /// Rows that are alike with those near them, in a date or in the query's order.
    fn blocks(
        &mut self,
        job: &Job<'_>,
        fit: &mut FitStage<'_>,
        stop: &mut dyn FnMut() -> bool,
    ) -> Result<(), Error> {
        let sides = &fit.split.sides;
        let by_random_rows = job.plan.at.group.is_none()
            && job.plan.at.flag.is_none()
            && job.options.validation_split != Some(ValidationSplit::Last)
            && sides.rows_validated() > 0;
        let features = job.plan.features.iter().zip(&fit.features.features);
        let no_arrays = features.clone().all(|(column, feature)| {
            !feature.is_used() || matches!(column.kind, Kind::Number | Kind::Category)
        });
        let dates = features.enumerate().filter(|(_, (column, feature))| {
            feature.is_used() && column.origin.is_time() && column.kind == Kind::Number
        });
        let dates: Vec<(usize, &Column)> =
            dates.map(|(place, (column, _))| (place, column)).collect();
        let places: Vec<usize> = dates.iter().map(|(place, _)| *place).collect();
        let counts = match &fit.target {
            Target::Classes { counts, .. } => counts.as_slice(),
            _ => &[],
        };
        let reading = Reading {
            encoder: &fit.encoder,
            labels: &fit.split.read.labels,
            at: truth_at(job),
            counts,
            keys: &places,
        };
        let rows = &mut *fit.split.read.examples.rows;
        let most = reading.most().min(rows.rows());
        if !by_random_rows || !no_arrays || most < COMPARED_ROWS {
            return Ok(());
        }
        reading.ask_for(most)?;
        if !dates.is_empty() {
            let lined = reading.drawn(rows, stop)?;
            let left = lined.residuals(stop)?;
            for (keys, (_, column)) in lined.keys.iter().zip(&dates) {
                let day = match column.origin {
                    Origin::Timestamp => 86_400.0,
                    _ => 1.0,
                };
                let days: Vec<f64> = keys.iter().map(|key| (key / day).floor()).collect();
                if let Some(difference) = line::by_days(&left, lined.variance, &days) {
                    self.compared(Some(&column.name), &difference);
                }
            }
        }
        let stretch = match most < rows.rows() {
            true => STRETCH,
            false => most,
        };
        let lined = reading.in_stretches(rows, most, stretch, stop)?;
        let left = lined.residuals(stop)?;
        let is_alike = !lined.is_sorted()
            && line::by_order(&left, lined.variance, stretch).is_some_and(|found| found.is_told());
        drop((lined, left));
        let near = near::rows(reading.encoder.width()).min(most);
        if !is_alike || near < COMPARED_ROWS {
            return Ok(());
        }
        let lined = reading.in_stretches(rows, near, near::BLOCK, stop)?;
        let (x, targets) = (&lined.x, &lined.targets);
        let found = near::by_features(x, lined.width, targets, lined.variance, stop)?;
        if let Some(difference) = found.filter(Difference::is_told) {
            self.compared(None, &difference);
        }
        Ok(())
    }

    /// Takes in how the losses differ, by the days of a date or by the query's order.
    fn compared(&mut self, date: Option<&str>, difference: &Difference) {
        let &Difference {
            random,
            blocks,
            error,
        } = difference;
        let kept = self
            .kept
            .entry("held_out_by_blocks")
            .or_insert_with(|| json!([]));
        if let Value::Array(kept) = kept {
            kept.push(json!({
                "of": date.map_or(Value::Null, Value::from),
                "loss_by_random_rows": random,
                "loss_by_blocks": blocks,
                "standard_error": error,
                "differs": difference.is_told(),
            }));
        }
        if !difference.is_told() {
            return;
        }
        let (of, new) = match date {
            Some(date) => (format!("days of \"{date}\""), "rows of other days"),
            None => (
                "the query's order".to_owned(),
                "rows that are not beside them",
            ),
        };
        self.told.push(Told::Hint(
            format!(
                "rows near each other are alike: in a short trial the held-out loss is {random:.3} by random \
                 rows and {blocks:.3} by blocks of {of} (1 is that of no model, the standard error of the \
                 difference {error:.3}); held out at random, a model may look better than it is on {new}"
            ),
            "Name a column whose rows belong together, such as the day or the customer, in option \
             \"validation_group\", or hold out the query's last rows by {\"validation_split\": \"last\"}."
                .into(),
        ));
    }
}
