//! What the loss says of the target beyond its task: that a mean is learnt through a link, or that
//! classes have an order.

use super::error::Error;
use super::job::Job;
use super::options::Options;
use crate::artifact::Model;
use crate::features::{Family, Target, is_plain_number};
use crate::nn::LossSpec;

/// Classes that a message names.
const SHOWN: usize = 5;

/// Shapes a target that was found as the loss asks for.
///
/// # Errors
/// A target that the loss does not go with, and options that go with another loss.
pub(super) fn shape(job: &Job<'_>, target: &mut Target) -> Result<(), Error> {
    let family = match target {
        Target::Regression { .. } => family_of(job.options),
        Target::Classes { .. } | Target::Labels { .. } => None,
    };
    if let Some(family) = family {
        target.set_family(family)?;
    }
    if job.options.loss == Some(LossSpec::Ordinal) {
        order_classes(job, target)?;
    }
    check_options(job.options, target)
}

/// The family of numbers that the options ask for.
fn family_of(options: &Options) -> Option<Family> {
    let loss = options.loss.as_ref()?;
    if *loss == LossSpec::BinaryCrossentropy {
        return Some(Family::Share { mean: 0.5 });
    }
    Some(Family::Tweedie {
        power: power_of(loss, options)?,
        exposure: options.exposure.clone(),
    })
}

/// The power by which the variance grows with the mean, as it is asked for.
fn power_of(loss: &LossSpec, options: &Options) -> Option<f64> {
    let power = f64::from(loss.power()?);
    Some(match loss {
        LossSpec::Tweedie { .. } => options.tweedie_variance_power.unwrap_or(power),
        _ => power,
    })
}

/// Brings what the deployed version's target has beyond its task to what is asked for now.
///
/// # Errors
/// Another link, classes in order or not where the version has them the other way, another order, or
/// no exposure where it has one.
pub(super) fn keep(job: &Job<'_>, previous: &Model, target: &mut Target) -> Result<(), Error> {
    let options = job.options;
    let other = |what: &str| Error::Value {
        name: "option \"loss\"".into(),
        problem: format!("cannot be another with warm_start: the deployed version {what}"),
        hint: Some("Leave \"loss\" out, or train without warm_start.".into()),
    };
    let loss = options.loss.as_ref();
    match target {
        Target::Regression {
            family: Some(family),
            ..
        } => {
            let learnt = family.loss();
            match (&mut *family, loss) {
                // Its power may be another, as where the loss is named.
                (Family::Tweedie { power, .. }, None) if learnt == "tweedie" => {
                    *power = options.tweedie_variance_power.unwrap_or(*power);
                }
                (_, None) | (Family::Share { .. }, Some(LossSpec::BinaryCrossentropy)) => {}
                (Family::Tweedie { power, .. }, Some(loss)) if loss.power().is_some() => {
                    *power = power_of(loss, options).unwrap_or(*power);
                }
                _ => return Err(other(&format!("was trained with {learnt}"))),
            }
            if let Family::Tweedie { exposure, .. } = family {
                if exposure.is_some() != options.exposure.is_some() {
                    let has = match exposure {
                        Some(column) => format!("has the exposure \"{column}\""),
                        None => "has none".to_owned(),
                    };
                    return Err(Error::option(
                        "exposure",
                        &format!(
                            "must be as in the version that warm_start goes on from, which {has}"
                        ),
                    ));
                }
                exposure.clone_from(&options.exposure);
            }
        }
        Target::Regression { .. } => {
            if family_of(options).is_some() {
                return Err(other("learns its numbers as they are"));
            }
        }
        Target::Classes {
            ordered, classes, ..
        } => {
            let asked = loss == Some(&LossSpec::Ordinal);
            if loss.is_some() && asked != *ordered {
                let has = if *ordered { "an order" } else { "no order" };
                return Err(other(&format!("has classes of {has}")));
            }
            if let (true, Some(levels)) = (*ordered, &options.levels)
                && listed(levels, &previous.target)? != *classes
            {
                return Err(Error::option(
                    "levels",
                    &format!(
                        "must be as in the version that warm_start goes on from: {}",
                        classes.join(", ")
                    ),
                ));
            }
        }
        Target::Labels { .. } => {}
    }
    check_options(options, target)
}

/// Options that go with one of these losses only.
fn check_options(options: &Options, target: &Target) -> Result<(), Error> {
    let family = target.family();
    let is_log = matches!(family, Some(Family::Tweedie { .. }));
    let is_ordered = matches!(target, Target::Classes { ordered: true, .. });
    if options.exposure.is_some() && !is_log {
        return Err(Error::idle(
            "exposure",
            "goes with a loss that learns the mean's logarithm",
            "Set \"loss\" to \"poisson\", \"gamma\" or \"tweedie\", or leave it out.",
        ));
    }
    if options.levels.is_some() && !is_ordered {
        return Err(Error::idle(
            "levels",
            "says the order of classes, which goes with the loss ordinal",
            "Set \"loss\" to \"ordinal\", or leave it out.",
        ));
    }
    if let (Some(family), Some(_)) = (family, options.target_scale) {
        return Err(Error::idle(
            "target_scale",
            &format!(
                "does nothing with the loss {}, which finds the scale by itself",
                family.loss()
            ),
            "Leave it out.",
        ));
    }
    Ok(())
}

/// Puts the classes in the order that is asked for, or that they have.
fn order_classes(job: &Job<'_>, target: &mut Target) -> Result<(), Error> {
    let in_order = match &*target {
        Target::Classes {
            column,
            classes,
            origin,
            ..
        } => {
            if classes.len() < 3 {
                return Err(Error::Value {
                    name: "option \"loss\"".into(),
                    problem: format!(
                        "cannot be \"ordinal\": the target \"{column}\" has the classes {} only",
                        classes.join(" and ")
                    ),
                    hint: Some("Two classes have no order: leave \"loss\" out.".into()),
                });
            }
            match (&job.options.levels, &job.plan.enum_labels) {
                (Some(levels), _) => listed(levels, target)?,
                (None, Some(labels)) => {
                    let occurs = |label: &&String| classes.contains(label);
                    labels.iter().filter(occurs).cloned().collect()
                }
                (None, None) if is_plain_number(*origin) => classes.clone(),
                (None, None) => return Err(no_order(column, classes)),
            }
        }
        Target::Regression { .. } | Target::Labels { .. } => return Ok(()),
    };
    if let Target::Classes {
        classes,
        ordered,
        counts,
        ..
    } = target
    {
        *counts = vec![0; in_order.len()];
        *classes = in_order;
        *ordered = true;
    }
    Ok(())
}

/// The classes in the order of a list, which names every one of them and may name more.
fn listed(levels: &[String], target: &Target) -> Result<Vec<String>, Error> {
    let classes = target.classes();
    let mut named = vec![false; classes.len()];
    let mut in_order = Vec::with_capacity(levels.len());
    for level in levels {
        let place = target.class(level);
        if let Some(named) = place.and_then(|place| named.get_mut(place))
            && std::mem::replace(named, true)
        {
            return Err(Error::option(
                "levels",
                &format!("names the class \"{level}\" twice"),
            ));
        }
        let known = place.and_then(|place| classes.get(place));
        in_order.push(known.unwrap_or(level).clone());
    }
    let missing = classes.iter().zip(&named).find(|(_, named)| !**named);
    match missing {
        None => Ok(in_order),
        Some((class, _)) => Err(Error::Value {
            name: "option \"levels\"".into(),
            problem: format!("does not name the class \"{class}\", which rows have"),
            hint: Some(
                "Name every class, the least first, or leave such rows out with a WHERE clause in \
                 the query."
                    .into(),
            ),
        }),
    }
}

/// The error of classes that are texts.
fn no_order(column: &str, classes: &[String]) -> Error {
    let shown: Vec<&str> = classes.iter().take(SHOWN).map(String::as_str).collect();
    let more = if classes.len() > shown.len() {
        ", …"
    } else {
        ""
    };
    Error::Value {
        name: "option \"loss\"".into(),
        problem: format!(
            "is \"ordinal\", but the classes of \"{column}\" are texts, which say no order"
        ),
        hint: Some(format!(
            "List all of them, the least first, in option \"levels\": [\"{}\"{more}]; or cast the \
             target to an enum.",
            shown.join("\", \"")
        )),
    }
}
