//! Options that would do nothing, or that contradict one another: refused rather than passed over.

use super::defaults::Arguments;
use super::error::Error;
use super::option_values::ValidationSplit;
use super::options::Options;
use crate::nn::{Architecture, Network, ScheduleSpec};

/// Checks what can be told from the arguments and options alone.
///
/// # Errors
/// An option that nothing would read, or two of which one would be passed over.
pub(super) fn check(arguments: &Arguments, options: &Options) -> Result<(), Error> {
    schedule(options)?;
    split(arguments, options)?;
    if options.warm_start == Some(true)
        && options.add_features.is_none()
        && options.initializer.is_some()
    {
        return Err(Error::idle(
            "initializer",
            "does nothing with warm_start, which goes on with the deployed version's weights",
            "Leave one of the two out.",
        ));
    }
    Ok(())
}

/// The settings of schedules that have them.
fn schedule(options: &Options) -> Result<(), Error> {
    let mut schedule = options.schedule.unwrap_or(ScheduleSpec::Cosine);
    for (option, given) in [
        ("gamma", options.gamma.is_some()),
        ("step_size", options.step_size.is_some()),
    ] {
        if given && !reads(&mut schedule, option) {
            let mut all = ScheduleSpec::ALL;
            let readers = all.iter_mut().filter_map(|one| {
                let name = one.name();
                reads(one, option).then_some(name)
            });
            let readers: Vec<&str> = readers.collect();
            return Err(Error::idle(
                option,
                &format!("does nothing with the schedule {}", schedule.name()),
                &format!(
                    "It goes with the schedules {}: set schedule, or leave it out.",
                    readers.join(", ")
                ),
            ));
        }
    }
    Ok(())
}

fn reads(schedule: &mut ScheduleSpec, option: &str) -> bool {
    let (gamma, epochs) = schedule.settings();
    match option {
        "gamma" => gamma.is_some(),
        _ => epochs.is_some(),
    }
}

/// The ways to choose the rows that are held out: one is taken.
fn split(arguments: &Arguments, options: &Options) -> Result<(), Error> {
    let Some(split) = &options.validation_split else {
        return Ok(());
    };
    let way = match split {
        ValidationSplit::Column(_) => "a column",
        ValidationSplit::Stratified => "\"stratified\"",
        ValidationSplit::Random => "\"random\"",
        ValidationSplit::Last => "\"last\"",
    };
    // Groups are drawn at random.
    if options.validation_group.is_some() && *split != ValidationSplit::Random {
        return Err(Error::idle(
            "validation_split",
            &format!("cannot be {way} together with validation_group, which draws whole groups"),
            "Leave one of the two out.",
        ));
    }
    if arguments.validation == Some(0.0) && !matches!(split, ValidationSplit::Column(_)) {
        return Err(Error::idle(
            "validation_split",
            "does nothing where validation is 0, which holds no row out",
            "Leave it out, or give validation a share above 0.",
        ));
    }
    Ok(())
}

/// Checks that the dropout asked for is somewhere in the network.
///
/// # Errors
/// It is not.
pub(super) fn check_dropout(architecture: &Architecture, rate: f64) -> Result<(), Error> {
    if rate == 0.0 || architecture.has_dropout() {
        return Ok(());
    }
    Err(Error::idle(
        "dropout",
        "does nothing in this architecture, which has no hidden dense layer and no layer of type \
         dropout",
        "Leave it out, write a layer of type dropout, or set \"dropout\" in the layers that have it.",
    ))
}

/// Checks that the initializer asked for starts some weights.
///
/// # Errors
/// It does not.
pub(super) fn check_initializer(options: &Options, network: &Network) -> Result<(), Error> {
    match options.initializer {
        Some(initializer) if !network.is_started_by(initializer) => Err(Error::idle(
            "initializer",
            "does nothing in this architecture, whose layers all say how their weights start",
            "Leave it out, or name an architecture whose layers have no \"kernel_initializer\", such \
             as mlp_64_64.",
        )),
        _ => Ok(()),
    }
}
