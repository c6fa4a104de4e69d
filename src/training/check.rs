//! What is checked before any row is read.

use super::choose_target::same_task;
use super::default_architecture::read_architecture;
use super::defaults::{self, Arguments};
use super::error::Error;
use super::idle;
use super::options::Options;
use crate::artifact::Model;
use crate::features::{Target, Task};

/// Checks what can be judged before any row is read: the arguments, the options, the architecture
/// by itself, and that task and positive class are those of the model's earlier versions.
///
/// # Errors
/// The first thing at fault.
pub fn check(
    arguments: &Arguments,
    options: &Options,
    architecture: Option<&str>,
    task: Option<Task>,
    previous: Option<&Model>,
) -> Result<(), Error> {
    defaults::check(arguments, options)?;
    idle::check(arguments, options)?;
    if let Some(architecture) = architecture {
        read_architecture(architecture)?;
    }
    let Some(previous) = previous else {
        return Ok(());
    };
    if let Some(task) = task {
        same_task(previous, task)?;
    }
    if options.goes_on() {
        same_scale(previous, options)?;
    }
    match (
        previous.target.positive_class(),
        options.positive_class.as_deref(),
    ) {
        (Some(kept), Some(asked))
            if previous.target.class(asked) != previous.target.class(kept) =>
        {
            Err(Error::Signature(format!(
                "the positive class of the model's earlier versions is \"{kept}\", not \"{asked}\""
            )))
        }
        _ => Ok(()),
    }
}

/// A warm start keeps the target's scale.
fn same_scale(previous: &Model, options: &Options) -> Result<(), Error> {
    match (&previous.target, options.target_scale) {
        (Target::Regression { scale, .. }, Some(asked)) if asked != *scale => Err(Error::option(
            "target_scale",
            &format!(
                "must be \"{}\" with warm_start, as in the deployed version",
                scale.name()
            ),
        )),
        _ => Ok(()),
    }
}
