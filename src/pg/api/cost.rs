//! What a call costs, told to the planner: in proportion to the network's arithmetic.
//!
//! Measured in processor time, in batches on a Xeon with AVX-512 where an operator of a plain
//! expression, a sum of twenty float8 columns, takes 4.7 ns. What reading the columns takes is
//! left out; of the 784 pixels of an image, 4 ns each, it is not.
//!
//! | network | multiplications | ns a row | in operators | told |
//! | --- | --- | --- | --- | --- |
//! | 1 column, `linear` | 1 | 40 | 9 | 8 |
//! | 20 columns, `linear` | 20 | 133 | 28 | 27 |
//! | 20-64-64-1 | 5,440 | 221 | 47 | 45 |
//! | 20-256-256-1 | 70,912 | 1,307 | 278 | 263 |
//! | 20-1024-1024-1 | 1,070,080 | 18,180 | 3,870 | 3,594 |
//! | two `conv1d` of 32 filters, 28 steps of 28 | 210,272 | 5,930 | 1,260 | 709 |
//! | `gru_64`, 28 steps of 28 | 505,984 | 12,300 | 2,610 | 1,695 |
//! | `lstm_128`, 28 steps of 28 | 2,266,368 | 33,700 | 7,170 | 7,563 |
//! | `transformer_small`, 28 steps of 28 | 1,070,528 | 25,100 | 5,340 | 3,576 |
//! | `lenet5`, 28 × 28 | 422,824 | 15,700 | 3,340 | 1,417 |
//! | `cnn_32`, 28 × 28 | 270,400 | 21,500 | 4,580 | 909 |
//! | `resnet_small`, 28 × 28 | 9,612,480 | 278,500 | 59,260 | 32,049 |
//!
//! A convolution of a single channel does little arithmetic for each value it writes, and costs up
//! to five times what it is told to; for its sake alone a call is not looked at more closely.

use pgrx::pg_sys;
use pgrx::prelude::*;

use crate::pg::reader;

/// What a call costs beside its arguments and multiplications, in operators.
const CALL: f64 = 7.0;
/// What an argument and its encoding cost.
const ARGUMENT: f64 = 1.0;
/// Multiplications in the time of an operator.
const PRODUCTS: f64 = 300.0;

#[doc(hidden)]
#[unsafe(no_mangle)]
pub extern "C" fn pg_finfo_neural_predict_cost() -> &'static pg_sys::Pg_finfo_record {
    const RECORD: pg_sys::Pg_finfo_record = pg_sys::Pg_finfo_record { api_version: 1 };
    &RECORD
}

/// The planner support function of the `predict` functions.
#[doc(hidden)]
#[pg_guard]
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn neural_predict_cost(
    fcinfo: pg_sys::FunctionCallInfo,
) -> pg_sys::Datum {
    // SAFETY: the planner calls with one argument, a request node, and reads what is written there
    // when the node itself comes back; a null pointer means "nothing to say".
    unsafe {
        let node: *mut pg_sys::Node = (*(*fcinfo).args.as_ptr()).value.cast_mut_ptr();
        if node.is_null() || (*node).type_ != pg_sys::NodeTag::T_SupportRequestCost {
            return pg_sys::Datum::from(0_usize);
        }
        let request = node.cast::<pg_sys::SupportRequestCost>();
        let Some(products) = constant_model((*request).node).and_then(products_of) else {
            return pg_sys::Datum::from(0_usize);
        };
        let arguments = (*(*request).node.cast::<pg_sys::FuncExpr>()).args;
        // The first is the model.
        let operators = operators(products, (*arguments).length as usize - 1);
        (*request).startup = 0.0;
        (*request).per_tuple = operators * pg_sys::cpu_operator_cost;
        pg_sys::Datum::from(node)
    }
}

/// The first argument of a call, where it is a constant: a model's name or a version's hash.
///
/// # Safety
/// `node` is null or an expression of the planner's.
unsafe fn constant_model(node: *mut pg_sys::Node) -> Option<(pg_sys::Oid, Vec<u8>)> {
    // SAFETY: node types are looked at before they are relied on.
    unsafe {
        if node.is_null() || (*node).type_ != pg_sys::NodeTag::T_FuncExpr {
            return None;
        }
        let first = pgrx::PgList::<pg_sys::Node>::from_pg((*node.cast::<pg_sys::FuncExpr>()).args)
            .get_ptr(0)?;
        if (*first).type_ != pg_sys::NodeTag::T_Const {
            return None;
        }
        let constant = &*first.cast::<pg_sys::Const>();
        if constant.constisnull {
            return None;
        }
        let value = pg_sys::pg_detoast_datum_packed(constant.constvalue.cast_mut_ptr());
        let bytes = std::slice::from_raw_parts(
            pgrx::vardata_any(value).cast::<u8>(),
            pgrx::varsize_any_exhdr(value),
        );
        Some((constant.consttype, bytes.to_vec()))
    }
}

/// The multiplications of a model's network; none for a model that is not there or may not be used:
/// execution will say so.
fn products_of((kind, model): (pg_sys::Oid, Vec<u8>)) -> Option<usize> {
    // SAFETY: asks whether a snapshot is set; look-ups need one.
    if !unsafe { pg_sys::ActiveSnapshotSet() } {
        return None;
    }
    let resolved = if kind == pg_sys::BYTEAOID {
        reader::resolve_sha256(&model).ok()?
    } else {
        reader::resolve(std::str::from_utf8(&model).ok()?).ok()?
    };
    Some(resolved.products)
}

/// The cost of a call that takes so many multiplications and arguments, in units of
/// `cpu_operator_cost`.
pub(super) fn operators(products: usize, arguments: usize) -> f64 {
    CALL + ARGUMENT * arguments as f64 + products as f64 / PRODUCTS
}
