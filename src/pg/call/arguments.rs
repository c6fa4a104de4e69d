//! From a call's arguments to a row of network input.

use std::ffi::CString;

use pgrx::{PgSqlErrorCode as Code, pg_sys};

use super::steps::StepsArgument;
use crate::features::{Arrays, Encoder, Feature, Intake, Kind, Origin};
use crate::pg::cache::DecodedModel;
use crate::pg::error::Report;
use crate::pg::reader::Resolved;
use crate::pg::rows::{ArrayReader, Reader, type_name};
use crate::pg::settings;

const SECONDS_A_DAY: f64 = 86_400.0;

/// Where a call's features come from.
pub enum Arguments {
    /// One argument a feature, in call order.
    Positional(Positional),
    /// One composite value, its columns matched by name; planned by the first that is not NULL.
    Composite(Option<Composite>),
    /// `VARIADIC` with an array: one element a feature.
    Array {
        convert: Vec<Convert>,
        element: pg_sys::Oid,
        length: i16,
        by_value: bool,
        align: i8,
    },
    /// The steps of a sequence in one array.
    Steps(StepsArgument),
}

/// One argument a feature: neighbouring numbers together, the others one by one.
pub struct Positional {
    convert: Vec<Convert>,
    /// First feature and length of each run of plain numbers.
    runs: Vec<(usize, usize)>,
    /// The other features.
    single: Vec<usize>,
    values: Vec<f64>,
}

/// How one feature's value is made from a datum.
pub struct Convert {
    how: How,
    buffer: String,
}

enum How {
    /// As a number, times a factor (between days and seconds; mostly 1).
    Number(Reader, f64),
    /// As a level's name.
    Category(Reader),
    /// As an array, which is taken in ahead of being encoded.
    Array {
        reader: ArrayReader,
        intake: Box<Intake>,
        /// Room for one.
        taken: Arrays,
    },
    /// A literal without a type, parsed as the feature's type; what came out is kept when the
    /// literal is a constant of the query.
    Literal {
        input: pg_sys::Oid,
        parameter: pg_sys::Oid,
        then: Box<Convert>,
        kept: Option<Kept>,
    },
    /// The network does not see it.
    Unused,
}

enum Kept {
    Number(f64),
    Category(String),
    Array(Arrays),
}

/// The plan for a composite argument of one row type.
pub struct Composite {
    row_type: pg_sys::Oid,
    modifier: i32,
    descriptor: OwnedDescriptor,
    /// For each feature its place in the row type and how it is read.
    columns: Vec<(usize, Convert)>,
    values: Vec<pg_sys::Datum>,
    nulls: Vec<bool>,
}

/// A tuple descriptor of our own, outside any memory context of a query.
struct OwnedDescriptor(pg_sys::TupleDesc);

impl Drop for OwnedDescriptor {
    fn drop(&mut self) {
        // SAFETY: made by lookup_rowtype_tupdesc_copy in TopMemoryContext, freed once.
        unsafe { pg_sys::FreeTupleDesc(self.0) };
    }
}

impl Arguments {
    /// Looks at the types of a call's arguments.
    ///
    /// # Safety
    /// `fcinfo` is the frame of a call of one of the `predict` functions.
    pub unsafe fn plan(
        fcinfo: pg_sys::FunctionCallInfo,
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
                let (mut length, mut by_value, mut align) = (0, false, 0);
                pg_sys::get_typlenbyvalalign(element, &mut length, &mut by_value, &mut align);
                let convert = features
                    .iter()
                    .map(|feature| Convert::new(feature, element, resolved))
                    .collect::<Result<_, _>>()?;
                return Ok(Arguments::Array {
                    convert,
                    element,
                    length,
                    by_value,
                    align,
                });
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
                    Convert::new(feature, argument_type, resolved)
                })
                .collect::<Result<_, _>>()?;
            Ok(Arguments::Positional(Positional::new(
                convert,
                &model.encoder,
            )))
        }
    }

    /// Writes the network's input for this call.
    ///
    /// # Safety
    /// `fcinfo` is the frame of a call at the site that was planned.
    #[inline]
    pub unsafe fn encode(
        &mut self,
        fcinfo: pg_sys::FunctionCallInfo,
        model: &DecodedModel,
        resolved: &Resolved,
        row: &mut [f32],
    ) -> Result<(), Report> {
        let encoder = &model.encoder;
        // SAFETY: the datums are of the types that were planned for.
        unsafe {
            let arguments = (*fcinfo).args.as_ptr();
            match self {
                Arguments::Positional(positional) => positional.encode(fcinfo, encoder, row)?,
                Arguments::Steps(steps) => {
                    steps.encode(&*arguments.add(1), model, resolved, row)?;
                }
                Arguments::Composite(composite) => {
                    let argument = &*arguments.add(1);
                    if argument.isnull {
                        encode_missing(&model.features.features, encoder, row)?;
                    } else {
                        let header: pg_sys::HeapTupleHeader =
                            pg_sys::pg_detoast_datum(argument.value.cast_mut_ptr()).cast();
                        let (given, modifier) = row_type(header);
                        let planned = match composite.take() {
                            Some(plan) if plan.is_for(given, modifier) => plan,
                            _ => {
                                Composite::new(given, modifier, &model.features.features, resolved)?
                            }
                        };
                        composite.insert(planned).encode(header, encoder, row)?;
                    }
                }
                Arguments::Array {
                    convert,
                    element,
                    length,
                    by_value,
                    align,
                } => {
                    let argument = &*arguments.add(1);
                    if argument.isnull {
                        return Err(Report::new(
                            Code::ERRCODE_NULL_VALUE_NOT_ALLOWED,
                            "the VARIADIC array of features must not be NULL",
                        )
                        .hint("Give an array with one element a feature; elements may be NULL."));
                    }
                    let array = pg_sys::pg_detoast_datum(argument.value.cast_mut_ptr());
                    let (mut values, mut nulls, mut count) =
                        (std::ptr::null_mut(), std::ptr::null_mut(), 0);
                    pg_sys::deconstruct_array(
                        array.cast(),
                        *element,
                        i32::from(*length),
                        *by_value,
                        *align as _,
                        &mut values,
                        &mut nulls,
                        &mut count,
                    );
                    if count as usize != convert.len() {
                        return Err(wrong_count(
                            &model.features.features,
                            count as usize,
                            resolved,
                        ));
                    }
                    for (i, convert) in convert.iter_mut().enumerate() {
                        convert.encode(i, *values.add(i), *nulls.add(i), encoder, row)?;
                    }
                }
            }
        }
        Ok(())
    }
}

impl Positional {
    fn new(convert: Vec<Convert>, encoder: &Encoder) -> Positional {
        let (mut runs, mut single) = (Vec::new(), Vec::new());
        let mut i = 0;
        while i < convert.len() {
            let numbers = convert[i..]
                .iter()
                .take(encoder.run_of_numbers(i))
                .take_while(|convert| matches!(convert.how, How::Number(..)))
                .count();
            if numbers > 1 {
                runs.push((i, numbers));
                i += numbers;
            } else {
                single.push(i);
                i += 1;
            }
        }
        let longest = runs.iter().map(|(_, length)| *length).max().unwrap_or(0);
        Positional {
            convert,
            runs,
            single,
            values: vec![0.0; longest],
        }
    }

    /// # Safety
    /// `fcinfo` is the frame of a call at the site that was planned.
    #[inline]
    unsafe fn encode(
        &mut self,
        fcinfo: pg_sys::FunctionCallInfo,
        encoder: &Encoder,
        row: &mut [f32],
    ) -> Result<(), Report> {
        // SAFETY: the datums are of the types that were planned for.
        unsafe {
            let arguments = (*fcinfo).args.as_ptr();
            for &(first, length) in &self.runs {
                let values = &mut self.values[..length];
                let converts = &self.convert[first..first + length];
                for (i, (value, convert)) in values.iter_mut().zip(converts).enumerate() {
                    let argument = &*arguments.add(first + i + 1);
                    *value = match convert.how {
                        How::Number(reader, factor) if !argument.isnull => {
                            factor * reader.number(argument.value)
                        }
                        _ => f64::NAN,
                    };
                }
                encoder.numbers(first, values, row);
            }
            for &i in &self.single {
                let argument = &*arguments.add(i + 1);
                let convert = &mut self.convert[i];
                if let How::Literal { kept: None, .. } = convert.how
                    && !argument.isnull
                {
                    let constant = pg_sys::get_fn_expr_arg_stable((*fcinfo).flinfo, i as i32 + 1);
                    convert.parse(argument.value, constant)?;
                }
                convert.encode(i, argument.value, argument.isnull, encoder, row)?;
            }
        }
        Ok(())
    }
}

pub(super) fn wrong_count(features: &[Feature], given: usize, resolved: &Resolved) -> Report {
    let names: Vec<&str> = features
        .iter()
        .map(|feature| feature.name.as_str())
        .collect();
    Report::new(
        Code::ERRCODE_INVALID_PARAMETER_VALUE,
        format!(
            "model \"{}\" has {} feature{}, but the call gives {given}",
            resolved.label(),
            names.len(),
            if names.len() == 1 { "" } else { "s" },
        ),
    )
    .hint(format!(
        "The features are, in this order: {}.",
        names.join(", ")
    ))
}

/// The row type that a composite datum says it is of.
///
/// # Safety
/// `header` is a detoasted composite datum.
pub(super) unsafe fn row_type(header: pg_sys::HeapTupleHeader) -> (pg_sys::Oid, i32) {
    // SAFETY: a composite datum carries its type in the header.
    unsafe {
        let datum = (*header).t_choice.t_datum;
        (datum.datum_typeid, datum.datum_typmod)
    }
}

impl Convert {
    /// How `feature` is read from a value of the given type.
    ///
    /// # Errors
    /// 42804 for a type that the feature cannot take.
    pub fn new(
        feature: &Feature,
        given: pg_sys::Oid,
        resolved: &Resolved,
    ) -> Result<Convert, Report> {
        let plain = |how| {
            Ok(Convert {
                how,
                buffer: String::new(),
            })
        };
        if !feature.is_used() {
            return plain(How::Unused);
        }
        if given == pg_sys::UNKNOWNOID {
            // SAFETY: looks the feature's type up by name, and its input function by OID.
            unsafe {
                let of_feature = type_by_name(&feature.sql_type);
                let (mut input, mut parameter) = (pg_sys::InvalidOid, pg_sys::InvalidOid);
                pg_sys::getTypeInputInfo(of_feature, &mut input, &mut parameter);
                let then = Box::new(Convert::new(feature, of_feature, resolved)?);
                return plain(How::Literal {
                    input,
                    parameter,
                    then,
                    kept: None,
                });
            }
        }
        if let (Kind::Array, Some(reader)) = (feature.kind(), ArrayReader::for_type(given))
            && (feature.origin == Origin::Bytes) == (reader == ArrayReader::Bytes)
        {
            return plain(How::Array {
                reader,
                intake: Box::new(Intake::fitted(feature, settings::max_memory())),
                taken: Arrays::new(),
            });
        }
        let number = matches!(
            feature.origin,
            Origin::Integer | Origin::Float | Origin::Numeric | Origin::Boolean
        );
        let how = Reader::for_type(given).and_then(|reader| match (feature.kind(), reader) {
            (Kind::Number, Reader::Date) if feature.origin == Origin::Date => {
                Some(How::Number(reader, 1.0))
            }
            (Kind::Number, Reader::Date) if feature.origin == Origin::Timestamp => {
                Some(How::Number(reader, SECONDS_A_DAY))
            }
            (Kind::Number, Reader::Timestamp) if feature.origin == Origin::Timestamp => {
                Some(How::Number(reader, 1.0))
            }
            (Kind::Number, Reader::Timestamp) if feature.origin == Origin::Date => {
                Some(How::Number(reader, 1.0 / SECONDS_A_DAY))
            }
            (Kind::Number, Reader::Date | Reader::Timestamp) => None,
            (Kind::Number, _) if number && reader.is_number() => Some(How::Number(reader, 1.0)),
            (Kind::Number, _) => None,
            (Kind::Category, _) if !reader.is_number() || feature.origin.is_number() => {
                Some(How::Category(reader))
            }
            (Kind::Category | Kind::Array | Kind::Numbers | Kind::Labels, _) => None,
        });
        match how {
            Some(how) => plain(how),
            None => Err(Report::new(
                Code::ERRCODE_DATATYPE_MISMATCH,
                format!(
                    "feature \"{}\" of model \"{}\" is of type {} and cannot take a value of type {}",
                    feature.name,
                    resolved.label(),
                    feature.sql_type,
                    type_name(given),
                ),
            )
            .hint("Give the features in call order, or cast the value.")),
        }
    }

    /// Writes the feature's part of the row.
    ///
    /// # Errors
    /// An array that the feature cannot take.
    ///
    /// # Safety
    /// `datum` is of the type planned for, unless `null`.
    #[inline]
    pub unsafe fn encode(
        &mut self,
        feature: usize,
        datum: pg_sys::Datum,
        null: bool,
        encoder: &Encoder,
        row: &mut [f32],
    ) -> Result<(), Report> {
        match &mut self.how {
            How::Number(reader, factor) => {
                let value = if null {
                    f64::NAN
                } else {
                    // SAFETY: as the caller says.
                    *factor * unsafe { reader.number(datum) }
                };
                encoder.number(feature, value, row);
            }
            How::Category(reader) => {
                let level = if null {
                    None
                } else {
                    // SAFETY: as the caller says.
                    Some(unsafe { reader.level(datum, &mut self.buffer) })
                };
                encoder.category(feature, level, row);
            }
            How::Array {
                reader,
                intake,
                taken,
            } => {
                taken.clear();
                // SAFETY: as the caller says.
                unsafe { reader.read(datum, null, intake, taken)? };
                encoder.array(feature, taken.get(0).unwrap_or_default(), row)?;
            }
            How::Literal {
                kept: Some(Kept::Array(taken)),
                ..
            } => encoder.array(feature, taken.get(0).unwrap_or_default(), row)?,
            How::Literal {
                kept: Some(Kept::Number(value)),
                ..
            } => {
                encoder.number(feature, *value, row);
            }
            How::Literal {
                kept: Some(Kept::Category(level)),
                ..
            } => {
                encoder.category(feature, Some(level), row);
            }
            How::Literal {
                input,
                parameter,
                then,
                ..
            } => {
                // SAFETY: an unknown value is a C string; the input function is its type's.
                unsafe {
                    let value = if null {
                        datum
                    } else {
                        pg_sys::OidInputFunctionCall(*input, datum.cast_mut_ptr(), *parameter, -1)
                    };
                    then.encode(feature, value, null, encoder, row)?;
                }
            }
            How::Unused => {}
        }
        Ok(())
    }

    /// Parses a literal once, when it is a constant of the query.
    ///
    /// # Errors
    /// An array that the feature cannot take.
    ///
    /// # Safety
    /// `datum` is a C string, not NULL.
    unsafe fn parse(&mut self, datum: pg_sys::Datum, constant: bool) -> Result<(), Report> {
        let How::Literal {
            input,
            parameter,
            then,
            kept,
        } = &mut self.how
        else {
            return Ok(());
        };
        if !constant {
            return Ok(());
        }
        // SAFETY: as for `encode`.
        unsafe {
            let value = pg_sys::OidInputFunctionCall(*input, datum.cast_mut_ptr(), *parameter, -1);
            *kept = match &mut then.how {
                How::Array { reader, intake, .. } => {
                    let mut taken = Arrays::new();
                    reader.read(value, false, intake, &mut taken)?;
                    Some(Kept::Array(taken))
                }
                How::Number(reader, factor) => Some(Kept::Number(reader.number(value) * *factor)),
                How::Category(reader) => Some(Kept::Category(
                    reader.level(value, &mut then.buffer).to_string(),
                )),
                How::Literal { .. } | How::Unused => None,
            };
        }
        Ok(())
    }
}

/// The type of that name; text when it is no longer there.
///
/// # Safety
/// Called inside a transaction.
unsafe fn type_by_name(name: &str) -> pg_sys::Oid {
    let Ok(name) = CString::new(name) else {
        return pg_sys::TEXTOID;
    };
    // SAFETY: to_regtype gives NULL rather than an error for a type that is not there.
    unsafe {
        let text = pg_sys::cstring_to_text(name.as_ptr());
        pgrx::direct_function_call_as_datum(pg_sys::to_regtype, &[Some(pg_sys::Datum::from(text))])
            .map_or(pg_sys::TEXTOID, |datum| {
                pg_sys::Oid::from(datum.value() as u32)
            })
    }
}

impl Composite {
    /// Whether this is the plan for rows of that type.
    pub(super) fn is_for(&self, row_type: pg_sys::Oid, modifier: i32) -> bool {
        (self.row_type, self.modifier) == (row_type, modifier)
    }

    pub(super) unsafe fn new(
        row_type: pg_sys::Oid,
        modifier: i32,
        features: &[Feature],
        resolved: &Resolved,
    ) -> Result<Composite, Report> {
        // SAFETY: the descriptor is copied to where it outlives the query that brought it.
        unsafe {
            let descriptor = {
                let outer = pg_sys::MemoryContextSwitchTo(pg_sys::TopMemoryContext);
                let copy = pg_sys::lookup_rowtype_tupdesc_copy(row_type, modifier);
                pg_sys::MemoryContextSwitchTo(outer);
                OwnedDescriptor(copy)
            };
            let width = (*descriptor.0).natts as usize;
            let attributes: Vec<(String, pg_sys::Oid, bool)> =
                pgrx::PgTupleDesc::from_pg_unchecked(descriptor.0)
                    .iter()
                    .map(|a| (a.name().to_string(), a.atttypid, a.attisdropped))
                    .collect();
            let nameless = row_type == pg_sys::RECORDOID
                && attributes
                    .iter()
                    .enumerate()
                    .all(|(i, (name, _, _))| *name == format!("f{}", i + 1));
            let mut columns = Vec::with_capacity(features.len());
            for feature in features {
                let place = attributes
                    .iter()
                    .position(|(name, _, dropped)| !dropped && *name == feature.name);
                match place {
                    Some(place) => {
                        columns.push((place, Convert::new(feature, attributes[place].1, resolved)?))
                    }
                    None if nameless => {
                        return Err(Report::new(
                            Code::ERRCODE_INVALID_PARAMETER_VALUE,
                            format!(
                                "the ROW given to model \"{}\" has no column names",
                                resolved.label()
                            ),
                        )
                        .hint("Give a row of a table or subquery, or the features one by one."));
                    }
                    None => {
                        return Err(Report::new(
                            Code::ERRCODE_UNDEFINED_COLUMN,
                            format!(
                                "column \"{}\", a feature of model \"{}\", is missing from the row",
                                feature.name,
                                resolved.label()
                            ),
                        )
                        .hint("Give a row that has every feature of the model by name."));
                    }
                }
            }
            Ok(Composite {
                row_type,
                modifier,
                values: vec![pg_sys::Datum::from(0usize); width],
                nulls: vec![true; width],
                descriptor,
                columns,
            })
        }
    }

    /// # Safety
    /// `header` is a composite datum of the row type that was planned for.
    pub(super) unsafe fn encode(
        &mut self,
        header: pg_sys::HeapTupleHeader,
        encoder: &Encoder,
        row: &mut [f32],
    ) -> Result<(), Report> {
        // SAFETY: as the caller says; the tuple borrows the datum.
        unsafe {
            let mut tuple = pg_sys::HeapTupleData {
                t_len: pgrx::varsize_4b(header.cast()) as u32,
                t_data: header,
                ..Default::default()
            };
            pg_sys::heap_deform_tuple(
                &mut tuple,
                self.descriptor.0,
                self.values.as_mut_ptr(),
                self.nulls.as_mut_ptr(),
            );
            for (i, (place, convert)) in self.columns.iter_mut().enumerate() {
                convert.encode(i, self.values[*place], self.nulls[*place], encoder, row)?;
            }
        }
        Ok(())
    }
}

/// The row of a call that gives no feature a value.
fn encode_missing(features: &[Feature], encoder: &Encoder, row: &mut [f32]) -> Result<(), Report> {
    for (i, feature) in features.iter().enumerate() {
        match feature.kind() {
            _ if !feature.is_used() => {}
            Kind::Number => encoder.number(i, f64::NAN, row),
            Kind::Category => encoder.category(i, None, row),
            Kind::Array => {
                Intake::fitted(feature, 0).missing(&mut Arrays::new())?;
                encoder.array(i, &[], row)?;
            }
            // Of targets only.
            Kind::Numbers | Kind::Labels => {}
        }
    }
    Ok(())
}
