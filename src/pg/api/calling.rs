//! `predict`, `predict_class`, `predict_proba` and their pinned twins, and `classes`.
//!
//! Raw fmgr functions rather than `#[pg_extern]`: they take VARIADIC "any" and run once a row.

use pgrx::prelude::*;
use pgrx::{PgSqlErrorCode as Code, pg_sys};

use crate::features::Answer;
use crate::pg::cache;
use crate::pg::call::{Site, answer};
use crate::pg::encoding;
use crate::pg::error::Report;
use crate::pg::interrupt;
use crate::pg::reader;

/// Declares the C entry points of the `predict` functions.
macro_rules! entry_points {
    ($($name:ident, $info:ident, $pinned:literal, $answer:expr, $body:ident;)*) => {$(
        raw_function!($name, $info, |fcinfo| {
            interrupt::go_on();
            let result = Site::get(fcinfo, $pinned, $answer)
                .and_then(|site| $body(site, fcinfo));
            match result {
                Ok(datum) => datum,
                Err(report) => report.raise(),
            }
        });
    )*};
}

entry_points! {
    neural_predict, pg_finfo_neural_predict, false, Answer::Value, value;
    neural_predict_class, pg_finfo_neural_predict_class, false, Answer::Class, class;
    neural_predict_proba, pg_finfo_neural_predict_proba, false, Answer::All, all;
    neural_predict_pinned, pg_finfo_neural_predict_pinned, true, Answer::Value, value;
    neural_predict_class_pinned, pg_finfo_neural_predict_class_pinned, true, Answer::Class, class;
    neural_predict_proba_pinned, pg_finfo_neural_predict_proba_pinned, true, Answer::All, all;
}

/// What the function at an address answers, and whether it takes a hash: none for functions that
/// are not `predict` functions.
pub(crate) fn entry_at(address: usize) -> Option<(Answer, bool)> {
    type Entry = unsafe extern "C-unwind" fn(pg_sys::FunctionCallInfo) -> pg_sys::Datum;
    let entries: [(Entry, Answer, bool); 6] = [
        (neural_predict, Answer::Value, false),
        (neural_predict_class, Answer::Class, false),
        (neural_predict_proba, Answer::All, false),
        (neural_predict_pinned, Answer::Value, true),
        (neural_predict_class_pinned, Answer::Class, true),
        (neural_predict_proba_pinned, Answer::All, true),
    ];
    entries
        .iter()
        .find(|(entry, _, _)| *entry as usize == address)
        .map(|(_, answer, pinned)| (*answer, *pinned))
}

/// What a call returns: NULL where there is no row to compute anything for.
///
/// # Safety
/// `fcinfo` is the frame of the call that gave `site`; so for those below.
#[inline]
unsafe fn answered(
    site: &mut Site,
    fcinfo: pg_sys::FunctionCallInfo,
    answer: impl FnOnce(&Site) -> pg_sys::Datum,
) -> Result<pg_sys::Datum, Report> {
    // SAFETY: as the caller says.
    unsafe {
        if site.outputs(fcinfo)? {
            Ok(answer(site))
        } else {
            (*fcinfo).isnull = true;
            Ok(pg_sys::Datum::from(0_usize))
        }
    }
}

#[inline]
unsafe fn value(
    site: &mut Site,
    fcinfo: pg_sys::FunctionCallInfo,
) -> Result<pg_sys::Datum, Report> {
    // SAFETY: as the caller says.
    unsafe { answered(site, fcinfo, |site| answer::number(site.value())) }
}

unsafe fn class(
    site: &mut Site,
    fcinfo: pg_sys::FunctionCallInfo,
) -> Result<pg_sys::Datum, Report> {
    // SAFETY: as the caller says.
    unsafe { answered(site, fcinfo, |site| answer::text(&site.class())) }
}

unsafe fn all(site: &mut Site, fcinfo: pg_sys::FunctionCallInfo) -> Result<pg_sys::Datum, Report> {
    // SAFETY: as the caller says.
    unsafe { answered(site, fcinfo, |site| answer::numbers(&site.all())) }
}

/// `neural.classes(model)`: the classes in the order of `predict_proba`.
#[pg_extern(sql = false)]
fn classes(model: &[u8]) -> Vec<String> {
    let classes = || -> Result<Vec<String>, Report> {
        let resolved = reader::resolve(encoding::utf8(model, "argument \"model\"")?)?;
        let decoded = cache::model(&resolved)?;
        match decoded.target.classes() {
            [] => Err(Report::new(
                Code::ERRCODE_INVALID_PARAMETER_VALUE,
                format!(
                    "model \"{}\" is a regression and has no classes",
                    resolved.label()
                ),
            )
            .hint(match decoded.outputs() {
                1 => "Use neural.predict for its value.",
                _ => "Use neural.predict_proba for its outputs.",
            })),
            classes => Ok(classes.to_vec()),
        }
    };
    classes().unwrap_or_else(|report| report.raise())
}
