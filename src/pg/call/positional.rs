//! One argument a feature.

use std::iter::once;

use pgrx::pg_sys::{self, Datum, NullableDatum};

use super::convert::Convert;
use super::rows::Rows;
use crate::features::{Encoder, Numbers};
use crate::pg::error::Report;

/// Calls whose numbers are read before they are encoded.
const STRIP: usize = 64;

/// One argument a feature: neighbouring numbers together, the others one by one.
pub(super) struct Positional {
    convert: Vec<Convert>,
    runs: Vec<Run>,
    /// The other features.
    single: Vec<usize>,
    values: Vec<f64>,
}

/// Neighbouring plain numbers.
struct Run {
    first: usize,
    length: usize,
    /// Whether they are float8, as the encoder takes them.
    plain: bool,
}

impl Positional {
    pub(super) fn new(convert: Vec<Convert>, encoder: &Encoder) -> Positional {
        let (mut runs, mut single) = (Vec::new(), Vec::new());
        let mut i = 0;
        while i < convert.len() {
            let numbers = convert[i..]
                .iter()
                .take(encoder.run_of_numbers(i))
                .take_while(|convert| convert.is_number());
            let length = numbers.count();
            if length > 1 {
                runs.push(Run {
                    first: i,
                    length,
                    plain: convert[i..i + length].iter().all(Convert::is_float8),
                });
                i += length;
            } else {
                single.push(i);
                i += 1;
            }
        }
        Positional {
            convert,
            runs,
            single,
            values: Vec::new(),
        }
    }

    /// Whether it holds nothing of a call's but what follows from the types of its arguments.
    pub(super) fn can_be_kept(&self) -> bool {
        self.convert.iter().all(Convert::can_be_kept)
    }

    /// # Safety
    /// `argument` gives a call's arguments, one a feature, at the site that was planned.
    #[inline]
    pub(super) unsafe fn encode(
        &mut self,
        info: *mut pg_sys::FmgrInfo,
        argument: impl Fn(usize) -> NullableDatum,
        encoder: &Encoder,
        row: &mut [f32],
    ) -> Result<(), Report> {
        for run in &self.runs {
            self.values.clear();
            let converts = self.convert[run.first..][..run.length].iter().enumerate();
            // SAFETY: the datums are of the types that were planned for.
            let values =
                converts.map(|(i, convert)| unsafe { convert.number(argument(run.first + i)) });
            self.values.extend(values);
            let given = once(Numbers::from(&self.values[..]));
            encoder.numbers(run.first, run.length, given, row);
        }
        // SAFETY: likewise.
        unsafe { self.encode_single(info, argument, encoder, row) }
    }

    /// [`Positional::encode`] for each call into a row of `out`; `after_each` is called after a
    /// call for which memory may have been taken. The error is with the call that it belongs to.
    ///
    /// # Safety
    /// As for one.
    pub(super) unsafe fn encode_rows(
        &mut self,
        info: *mut pg_sys::FmgrInfo,
        rows: Rows<'_>,
        encoder: &Encoder,
        out: &mut [f32],
        mut after_each: impl FnMut(),
    ) -> Result<(), (usize, Report)> {
        let width = encoder.width();
        for run in &self.runs {
            if run.plain {
                let given = (0..rows.count()).map(|row| {
                    let (values, nulls) = rows.arguments(row, run.first + 1, run.length);
                    Numbers {
                        // SAFETY: the datums of float8 that are passed by value are its bits;
                        // those of NULLs are not looked at, and any bits are a number.
                        values: unsafe { values.align_to::<f64>().1 },
                        nulls,
                    }
                });
                encoder.numbers(run.first, run.length, given, out);
                continue;
            }
            let converts = &self.convert[run.first..][..run.length];
            for begin in (0..rows.count()).step_by(STRIP) {
                let end = rows.count().min(begin + STRIP);
                self.values.clear();
                for row in begin..end {
                    let (values, nulls) = rows.arguments(row, run.first + 1, run.length);
                    let arguments = converts.iter().zip(values).zip(nulls);
                    // SAFETY: the datums are of the types that were planned for.
                    let values = arguments.map(|((convert, &value), &isnull)| unsafe {
                        convert.number(NullableDatum { value, isnull })
                    });
                    self.values.extend(values);
                    after_each();
                }
                let given = self.values.chunks_exact(run.length).map(Numbers::from);
                encoder.numbers(run.first, run.length, given, &mut out[begin * width..]);
            }
        }
        if !self.single.is_empty() {
            for (row, out) in out.chunks_exact_mut(width).take(rows.count()).enumerate() {
                let argument = |i: usize| rows.argument(row, i + 1);
                // SAFETY: as the caller says.
                unsafe { self.encode_single(info, argument, encoder, out) }
                    .map_err(|report| (row, report))?;
                after_each();
            }
        }
        Ok(())
    }

    /// The features that are in no run.
    #[inline]
    unsafe fn encode_single(
        &mut self,
        info: *mut pg_sys::FmgrInfo,
        argument: impl Fn(usize) -> NullableDatum,
        encoder: &Encoder,
        row: &mut [f32],
    ) -> Result<(), Report> {
        for &i in &self.single {
            let argument = argument(i);
            let convert = &mut self.convert[i];
            // SAFETY: the datums are of the types that were planned for.
            unsafe {
                if convert.is_unparsed() && !argument.isnull {
                    let constant = pg_sys::get_fn_expr_arg_stable(info, i as i32 + 1);
                    convert.parse(argument.value, constant)?;
                }
                convert.encode(i, argument.value, argument.isnull, encoder, row)?;
            }
        }
        Ok(())
    }
}

const _: () = assert!(
    size_of::<Datum>() == size_of::<f64>(),
    "float8 is passed by value"
);
