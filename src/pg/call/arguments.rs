//! From a call's arguments to a row of network input.

use pgrx::pg_sys::{self, NullableDatum};

use super::composite::Composite;
use super::convert::Convert;
use super::positional::Positional;
use super::rows::Rows;
use super::steps::StepsArgument;
use super::wrong_count::wrong_count;
use crate::pg::cache::DecodedModel;
use crate::pg::element_type::ElementType;
use crate::pg::error::Report;
use crate::pg::reader::Resolved;

/// Where a call's features come from.
pub enum Arguments {
    /// One argument a feature, in call order.
    Positional(Positional),
    /// One composite value, its columns matched by name; planned by the first that is not NULL.
    Composite(Option<Composite>),
    /// `VARIADIC` with an array: one element a feature.
    Array {
        /// Or why an array of this type cannot be taken, where it cannot: only NULL is.
        convert: Result<Vec<Convert>, Box<Report>>,
        element: ElementType,
    },
    /// The steps of a sequence in one array.
    Steps(StepsArgument),
}

impl Arguments {
    /// Looks at the types of a call's arguments.
    ///
    /// # Safety
    /// `fcinfo` is the frame of a call of one of the `predict` functions.
    pub unsafe fn plan(
        fcinfo: pg_sys::FunctionCallInfo,
        pinned: bool,
        model: &DecodedModel,
        resolved: &Resolved,
    ) -> Result<Arguments, Report> {
        let features = &model.features.features;
        // SAFETY: the FmgrInfo of a planned call knows its expression.
        unsafe {
            if model.features.steps.is_some() {
                let steps = StepsArgument::plan(fcinfo, model, resolved)?;
                return Ok(Arguments::Steps(steps));
            }
            let flinfo = (*fcinfo).flinfo;
            let given = (*fcinfo).nargs as usize - 1;
            let first_type = pg_sys::get_fn_expr_argtype(flinfo, 1);
            if pg_sys::get_fn_expr_variadic(flinfo) {
                let element = pg_sys::get_base_element_type(first_type);
                let convert = features
                    .iter()
                    .map(|feature| Convert::new(feature, element, resolved))
                    .collect::<Result<_, _>>()
                    .map_err(Box::new);
                let element = ElementType::of(element);
                return Ok(Arguments::Array { convert, element });
            }
            if given == 1 && pg_sys::type_is_rowtype(first_type) {
                return Ok(Arguments::Composite(None));
            }
            if given != features.len() {
                return Err(wrong_count(features, given, resolved));
            }
            let convert = features
                .iter()
                .enumerate()
                .map(|(i, feature)| {
                    let argument_type = pg_sys::get_fn_expr_argtype(flinfo, i as i32 + 1);
                    Convert::of_argument(feature, argument_type, pinned, resolved)
                })
                .collect::<Result<_, _>>()?;
            Ok(Arguments::Positional(Positional::new(
                convert,
                &model.encoder,
            )))
        }
    }

    /// Whether all features come in one value, a NULL of which is no row at all: there is nothing
    /// to be computed for it. (A row whose columns are all NULL is there, and none of its features
    /// is known.)
    #[inline]
    pub fn are_one_value(&self) -> bool {
        !matches!(self, Arguments::Positional(_))
    }

    /// Whether they do for another call with arguments of the same types, none of them a literal
    /// without one.
    pub(super) fn can_be_kept(&self) -> bool {
        matches!(self, Arguments::Positional(positional) if positional.can_be_kept())
    }

    /// Writes the network's input for each of these calls, none of which is without a row, into a
    /// row of `out`; `after_each` is called after a call for which memory may have been taken. The
    /// error is with the call that it belongs to.
    ///
    /// # Safety
    /// As for one.
    pub unsafe fn encode_rows(
        &mut self,
        info: *mut pg_sys::FmgrInfo,
        rows: Rows<'_>,
        (model, resolved): (&DecodedModel, &Resolved),
        out: &mut [f32],
        mut after_each: impl FnMut(),
    ) -> Result<(), (usize, Report)> {
        let encoder = &model.encoder;
        // SAFETY: as the caller says.
        unsafe {
            if let Arguments::Positional(positional) = self {
                return positional.encode_rows(info, rows, encoder, out, after_each);
            }
            let width = model.predictor.input_width();
            for (row, out) in out.chunks_exact_mut(width).take(rows.count()).enumerate() {
                let argument = |i: usize| rows.argument(row, i + 1);
                self.encode(info, argument, (model, resolved), out)
                    .map_err(|report| (row, report))?;
                after_each();
            }
        }
        Ok(())
    }

    /// Writes the network's input for the call that has these arguments behind the model.
    ///
    /// # Safety
    /// They are of a call at the site that was planned, and not NULL where they
    /// [are one value](Arguments::are_one_value).
    #[inline]
    pub unsafe fn encode(
        &mut self,
        info: *mut pg_sys::FmgrInfo,
        argument: impl Fn(usize) -> NullableDatum,
        (model, resolved): (&DecodedModel, &Resolved),
        row: &mut [f32],
    ) -> Result<(), Report> {
        let encoder = &model.encoder;
        // SAFETY: the datums are of the types that were planned for.
        unsafe {
            match self {
                Arguments::Positional(positional) => {
                    positional.encode(info, argument, encoder, row)?
                }
                Arguments::Steps(steps) => {
                    steps.encode(argument(0).value, model, resolved, row)?;
                }
                Arguments::Composite(composite) => {
                    let header: pg_sys::HeapTupleHeader =
                        pg_sys::pg_detoast_datum(argument(0).value.cast_mut_ptr()).cast();
                    Composite::planned(composite, header, &model.features, resolved)?
                        .encode(header, encoder, row)?;
                }
                Arguments::Array { convert, element } => {
                    let array = pg_sys::pg_detoast_datum(argument(0).value.cast_mut_ptr());
                    let (values, nulls) = element.elements(array.cast());
                    let convert = match convert {
                        Ok(convert) => convert,
                        Err(refused) => return Err((**refused).clone()),
                    };
                    if values.len() != convert.len() {
                        return Err(wrong_count(
                            &model.features.features,
                            values.len(),
                            resolved,
                        ));
                    }
                    for (i, convert) in convert.iter_mut().enumerate() {
                        convert.encode(i, values[i], nulls[i], encoder, row)?;
                    }
                }
            }
        }
        Ok(())
    }
}
