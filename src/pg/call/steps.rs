//! A sequence as a call gives it: an array of rows, or an array of steps with a number a feature.

use pgrx::{PgSqlErrorCode as Code, pg_sys};

use super::composite::Composite;
use super::convert::Convert;
use super::wrong_count::wrong_count;
use crate::features::{Encoder, Kind};
use crate::pg::cache::DecodedModel;
use crate::pg::element_type::{ElementType, free_elements};
use crate::pg::error::Report;
use crate::pg::reader::Resolved;
use crate::pg::type_name::type_name;

/// How a sequence is read from the only argument of a call.
pub(super) struct StepsArgument {
    element: Element,
    element_type: ElementType,
    /// For a literal without a type, the array type as which it is parsed: its input function and
    /// that function's parameter.
    literal: Option<(pg_sys::Oid, pg_sys::Oid)>,
}

enum Element {
    /// A row, its columns matched by name; planned by the first one.
    Row(Option<Composite>),
    /// One feature of a step.
    Value {
        of: pg_sys::Oid,
        convert: Vec<Convert>,
    },
    /// A literal without a type, which cannot hold both numbers and texts.
    Mixed,
}

impl StepsArgument {
    /// Looks at the type of a call's argument.
    ///
    /// # Safety
    /// `fcinfo` is the frame of a call of one of the `predict` functions.
    pub(super) unsafe fn plan(
        fcinfo: pg_sys::FunctionCallInfo,
        model: &DecodedModel,
        resolved: &Resolved,
    ) -> Result<StepsArgument, Report> {
        let features = &model.features.features;
        // SAFETY: the FmgrInfo of a planned call knows its expression; look-ups by OID.
        unsafe {
            let given = (*fcinfo).nargs as usize - 1;
            let argument = pg_sys::get_fn_expr_argtype((*fcinfo).flinfo, 1);
            let literal = given == 1 && argument == pg_sys::UNKNOWNOID;
            let mut used = features.iter().filter(|feature| feature.is_used());
            let numbers = used.clone().all(|feature| feature.kind() == Kind::Number);
            let mixed = !numbers && used.any(|feature| feature.kind() == Kind::Number);
            let argument = match literal {
                false => pg_sys::getBaseType(argument),
                true if numbers => pg_sys::FLOAT8ARRAYOID,
                true => pg_sys::TEXTARRAYOID,
            };
            let element = pg_sys::get_element_type(argument);
            if given != 1 || element == pg_sys::InvalidOid {
                return Err(not_a_sequence(
                    given,
                    pg_sys::type_is_rowtype(argument),
                    resolved,
                ));
            }
            let element_type = ElementType::of(element);
            let (mut input, mut parameter) = (pg_sys::InvalidOid, pg_sys::InvalidOid);
            if literal {
                pg_sys::getTypeInputInfo(argument, &mut input, &mut parameter);
            }
            Ok(StepsArgument {
                element: if pg_sys::type_is_rowtype(element) {
                    Element::Row(None)
                } else if literal && mixed {
                    Element::Mixed
                } else {
                    Element::Value {
                        of: element,
                        convert: features
                            .iter()
                            .map(|feature| Convert::new(feature, element, resolved))
                            .collect::<Result<_, _>>()?,
                    }
                },
                element_type,
                literal: literal.then_some((input, parameter)),
            })
        }
    }

    /// Writes the number of steps and the newest of them, oldest first, and zeros behind them.
    ///
    /// # Safety
    /// `argument` is that of a call at the site that was planned, not NULL.
    pub(super) unsafe fn encode(
        &mut self,
        argument: pg_sys::Datum,
        model: &DecodedModel,
        resolved: &Resolved,
        row: &mut [f32],
    ) -> Result<(), Report> {
        // SAFETY: the datum is of the type that was planned for; what is made here is freed here.
        unsafe {
            let given = match self.literal {
                Some((input, parameter)) => {
                    let text = argument.cast_mut_ptr();
                    pg_sys::OidInputFunctionCall(input, text, parameter, -1).cast_mut_ptr()
                }
                None => argument.cast_mut_ptr(),
            };
            let array: *mut pg_sys::ArrayType = pg_sys::pg_detoast_datum(given).cast();
            let dimensions = array_dimensions(array);
            let (values, nulls) = self.element_type.elements(array);
            if values.is_empty() {
                return Err(Report::new(
                    Code::ERRCODE_INVALID_PARAMETER_VALUE,
                    format!(
                        "the sequence given to model \"{}\" has no steps",
                        resolved.label()
                    ),
                )
                .hint("Give at least one step, or NULL, for which the answer is NULL."));
            }
            let elements = Elements { values, nulls };
            match &mut self.element {
                Element::Row(composite) => {
                    encode_rows(composite, &elements, dimensions, model, resolved, row)?;
                }
                Element::Value { of, convert } => {
                    let width = step_values(dimensions, *of, convert.len(), model, resolved)?;
                    encode_values(convert, &elements, width, model, row)?;
                }
                Element::Mixed => {
                    return Err(Report::new(
                        Code::ERRCODE_INVALID_PARAMETER_VALUE,
                        format!(
                            "a literal cannot give the numbers and texts of a step of model \"{}\"",
                            resolved.label()
                        ),
                    )
                    .hint(HINT));
                }
            }
            // Many calls may come before the memory context is reset.
            free_elements(values, nulls);
            if array.cast() != given {
                pg_sys::pfree(array.cast());
            }
            if self.literal.is_some() {
                pg_sys::pfree(given.cast());
            }
        }
        Ok(())
    }
}

/// The elements of an array, in its order.
struct Elements<'a> {
    values: &'a [pg_sys::Datum],
    nulls: &'a [bool],
}

/// The extents of an array's dimensions.
///
/// # Safety
/// `array` is a detoasted array, and outlives the answer.
unsafe fn array_dimensions<'a>(array: *const pg_sys::ArrayType) -> &'a [i32] {
    // SAFETY: the extents follow the header.
    unsafe { std::slice::from_raw_parts(array.add(1).cast(), (*array).ndim.max(0) as usize) }
}

/// Where a step's part of the row is, for the newest steps in their order. The number of steps is
/// written, and zeros behind the last.
fn places<'a>(
    steps: usize,
    encoder: &Encoder,
    row: &'a mut [f32],
) -> impl Iterator<Item = (usize, &'a mut [f32])> {
    let width = encoder.width();
    let (count, places) = row.split_at_mut(1);
    let length = places.len() / width.max(1);
    let taken = steps.min(length);
    count[0] = taken as f32;
    places[taken * width..].fill(0.0);
    (steps - taken..steps).zip(places.chunks_exact_mut(width.max(1)))
}

/// # Safety
/// The elements are rows.
unsafe fn encode_rows(
    composite: &mut Option<Composite>,
    elements: &Elements<'_>,
    dimensions: &[i32],
    model: &DecodedModel,
    resolved: &Resolved,
    row: &mut [f32],
) -> Result<(), Report> {
    if dimensions.len() != 1 {
        return Err(Report::new(
            Code::ERRCODE_INVALID_PARAMETER_VALUE,
            format!(
                "the array of rows given to model \"{}\" has {} dimensions",
                resolved.label(),
                dimensions.len()
            ),
        )
        .hint("Give an array with one row a step."));
    }
    let mut places = places(elements.values.len(), &model.encoder, row).peekable();
    let mut is_first = true;
    let mut freed_later = Vec::new();
    for (step, (&value, &null)) in elements.values.iter().zip(elements.nulls).enumerate() {
        let place = places.next_if(|(next, _)| *next == step);
        // Of steps for which there is no room only the order matters, where they tell it.
        let unordered = composite.as_ref().is_some_and(|plan| !plan.tells_order());
        if place.is_none() && (null || unordered) {
            continue;
        }
        if null {
            return Err(Report::new(
                Code::ERRCODE_INVALID_PARAMETER_VALUE,
                format!(
                    "step {} of the sequence given to model \"{}\" is NULL",
                    step + 1,
                    resolved.label()
                ),
            )
            .hint("Leave such steps out: array_agg(…) FILTER (WHERE … IS NOT NULL)."));
        }
        // SAFETY: as the caller says.
        unsafe {
            let given = value.cast_mut_ptr();
            let header: pg_sys::HeapTupleHeader = pg_sys::pg_detoast_datum(given).cast();
            let plan = Composite::planned(composite, header, &model.features, resolved)?;
            let place = place.map(|(_, place)| place);
            if let Some(column) = plan.encode_step(header, is_first, &model.encoder, place)? {
                let column = column.to_owned();
                return Err(out_of_order(&column, step, &plan.step_order(), resolved));
            }
            is_first = false;
            if header.cast() != given {
                freed_later.push(header);
            }
        }
    }
    for header in freed_later {
        // SAFETY: a copy of our own, which nothing reads any more.
        unsafe { pg_sys::pfree(header.cast()) };
    }
    Ok(())
}

fn out_of_order(column: &str, step: usize, order: &str, resolved: &Resolved) -> Report {
    Report::invalid(format!(
        "the steps given to model \"{}\" are out of order: \"{column}\" of step {} belongs before \
         that of step {step}",
        resolved.label(),
        step + 1,
    ))
    .hint(format!(
        "Order them, oldest first: array_agg(t ORDER BY {order})."
    ))
}

/// Values of a step in an array of these dimensions.
fn step_values(
    dimensions: &[i32],
    element: pg_sys::Oid,
    features: usize,
    model: &DecodedModel,
    resolved: &Resolved,
) -> Result<usize, Report> {
    match *dimensions {
        [_] if features == 1 => Ok(1),
        [_, values] if values as usize == features => Ok(features),
        [_, values] => Err(wrong_count(
            &model.features.features,
            values as usize,
            resolved,
        )),
        _ => Err(Report::new(
            Code::ERRCODE_INVALID_PARAMETER_VALUE,
            format!(
                "the {} array given to model \"{}\" has {} dimension{}, not steps of {features} \
                 feature{}",
                type_name(element),
                resolved.label(),
                dimensions.len(),
                if dimensions.len() == 1 { "" } else { "s" },
                if features == 1 { "" } else { "s" },
            ),
        )
        .hint(HINT)),
    }
}

/// # Safety
/// The elements are of the type that `convert` was made for.
unsafe fn encode_values(
    convert: &mut [Convert],
    elements: &Elements<'_>,
    width: usize,
    model: &DecodedModel,
    row: &mut [f32],
) -> Result<(), Report> {
    let encoder = &model.encoder;
    for (step, place) in places(elements.values.len() / width.max(1), encoder, row) {
        for (feature, convert) in convert.iter_mut().enumerate() {
            let at = step * width + feature;
            // SAFETY: as the caller says.
            unsafe {
                convert.encode(
                    feature,
                    elements.values[at],
                    elements.nulls[at],
                    encoder,
                    place,
                )?;
            }
        }
    }
    Ok(())
}

const HINT: &str = "Give an array of rows, as array_agg(t ORDER BY t.at) makes it, or an array of \
                    steps with one element a feature.";

fn not_a_sequence(given: usize, is_row: bool, resolved: &Resolved) -> Report {
    let what = match given {
        1 if is_row => "the call gives a single row".to_owned(),
        1 => "the call gives a single value".to_owned(),
        _ => format!("the call gives {given} values"),
    };
    Report::new(
        Code::ERRCODE_INVALID_PARAMETER_VALUE,
        format!(
            "model \"{}\" takes a sequence as one array, but {what}",
            resolved.label()
        ),
    )
    .hint(HINT)
}
