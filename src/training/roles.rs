//! Which of a query's columns have a part of their own: the target, what options name, and what
//! makes sequences of the rows.

use super::error::Error;
use super::options::Options;
use crate::features::{FeatureSet, Origin};
use crate::nearest::nearest;

/// A column of the query's result.
#[derive(Debug, Clone, PartialEq)]
pub struct Given {
    /// Its name.
    pub name: String,
    /// Its type's name.
    pub sql_type: String,
    /// Its type's family; `None` for a type that nothing here can read.
    pub origin: Option<Origin>,
    /// The family of an array's elements; `None` for what is no array.
    pub element: Option<Origin>,
}

/// How a query's rows become sequences.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SequencePlan {
    /// The places in the query's result of the columns in which the steps of a sequence agree.
    pub by: Vec<usize>,
    /// The places of the columns that order the steps.
    pub order: Vec<usize>,
    /// Where among what is read the number is by which the newest sequences are told, when they are to
    /// be held out.
    pub newest: Option<usize>,
}

/// The columns that have a part of their own, and so are no features, by their places in the
/// query's result.
pub(super) struct Roles<'a> {
    given: &'a [Given],
    pub(super) target: usize,
    /// What options name: the option and the place.
    pub(super) named: Vec<(&'static str, usize)>,
    pub(super) sequence: Option<SequencePlan>,
}

impl<'a> Roles<'a> {
    /// Finds the columns.
    ///
    /// # Errors
    /// When one is missing, or the target has another part, too.
    pub(super) fn find(
        given: &'a [Given],
        target: &str,
        options: &Options,
    ) -> Result<Roles<'a>, Error> {
        let target = place_of(given, target, "argument target")?;
        let mut named = Vec::new();
        for (option, column) in options.named_columns() {
            named.push((option, named_place(given, target, option, column)?));
        }
        Ok(Roles {
            given,
            target,
            named,
            sequence: sequence_plan(given, target, options)?,
        })
    }

    /// Later versions are of sequences as the first is, or of single rows.
    ///
    /// # Errors
    /// When these are of the other.
    pub(super) fn check_form(&self, signature: Option<&FeatureSet>) -> Result<(), Error> {
        let Some(set) = signature else {
            return Ok(());
        };
        Err(Error::Signature(match (&set.steps, &self.sequence) {
            (Some(steps), None) => format!(
                "the model's earlier versions are of sequences; give option \"sequence_by\", \
                 then \"{}\", and option \"order_by\"",
                steps.by.join("\", \"")
            ),
            (None, Some(_)) => {
                "the model's earlier versions are of single rows, not of sequences".into()
            }
            _ => return Ok(()),
        }))
    }

    /// What names the column at this place for its part.
    pub(super) fn part_of(&self, place: usize) -> Option<&'static str> {
        if place == self.target {
            return Some("the argument target");
        }
        let named = self.named.iter().find(|(_, at)| *at == place);
        match (named, &self.sequence) {
            (Some(("sample_weight", _)), _) => Some("option \"sample_weight\""),
            (Some(("exposure", _)), _) => Some("option \"exposure\""),
            (Some(("validation_split", _)), _) => Some("option \"validation_split\""),
            (Some(_), _) => Some("option \"validation_group\""),
            (None, Some(plan)) if plan.by.contains(&place) => Some("option \"sequence_by\""),
            (None, Some(plan)) if plan.order.contains(&place) => Some("option \"order_by\""),
            _ => None,
        }
    }

    /// That `features` names none of them.
    ///
    /// # Errors
    /// The first one that it names, if `is_named` says so.
    pub(super) fn check_no_features(&self, is_named: impl Fn(&str) -> bool) -> Result<(), Error> {
        for (place, column) in self.given.iter().enumerate() {
            let Some(part) = self.part_of(place).filter(|_| is_named(&column.name)) else {
                continue;
            };
            return Err(Error::Value {
                name: "features".into(),
                problem: match place == self.target {
                    true => format!("names column \"{}\", which is the target", column.name),
                    false => format!("names column \"{}\", as {part} does", column.name),
                },
                hint: Some("It is no feature: leave it out there.".into()),
            });
        }
        Ok(())
    }
}

/// The place of a column that is named by what `asked_by` says.
fn place_of(given: &[Given], name: &str, asked_by: &str) -> Result<usize, Error> {
    let place = given.iter().position(|column| column.name == name);
    place.ok_or_else(|| {
        let names = given.iter().map(|column| column.name.as_str());
        Error::NoColumn {
            column: name.to_string(),
            asked_by: asked_by.to_string(),
            nearest: nearest(name, names).map(str::to_owned),
        }
    })
}

/// The place of a column that an option names, which must not be the target.
fn named_place(given: &[Given], target: usize, option: &str, column: &str) -> Result<usize, Error> {
    match place_of(given, column, &format!("option {option}"))? {
        place if place == target => Err(Error::option(option, "names the target")),
        place => Ok(place),
    }
}

/// The columns that `sequence_by` and `order_by` name.
fn sequence_plan(
    given: &[Given],
    target: usize,
    options: &Options,
) -> Result<Option<SequencePlan>, Error> {
    let (Some(by), Some(order)) = (&options.sequence_by, &options.order_by) else {
        return Ok(None);
    };
    let places = |option: &str, columns: &[String]| {
        let columns = columns.iter();
        let places = columns.map(|column| named_place(given, target, option, column));
        places.collect::<Result<Vec<usize>, Error>>()
    };
    let by = places("sequence_by", by)?;
    let unreadable = |column: &&Given| column.origin.is_none_or(Origin::is_array);
    if let Some(column) = by.iter().map(|&at| &given[at]).find(unreadable) {
        return Err(column.unfit("sequence_by"));
    }
    Ok(Some(SequencePlan {
        by,
        order: places("order_by", order)?,
        newest: None,
    }))
}

impl Given {
    /// The error of an option that names this column, whose type is none that it takes.
    pub(super) fn unfit(&self, option: &str) -> Error {
        Error::option(
            option,
            &format!(
                "names column \"{}\" of type {}, which it cannot take",
                self.name, self.sql_type
            ),
        )
    }
}
