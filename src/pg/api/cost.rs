//! What a call costs, told to the planner: in proportion to the network's arithmetic.

use pgrx::pg_sys;
use pgrx::prelude::*;

use crate::pg::reader;

/// What a call costs beside its multiplications: its arguments, their encoding, the result.
const CALL: f64 = 10.0;
/// Multiplications in the time of an operator.
const PRODUCTS: f64 = 400.0;

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
        let Some(operators) = constant_model((*request).node).and_then(operators_of) else {
            return pg_sys::Datum::from(0_usize);
        };
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

/// The cost of a call in units of `cpu_operator_cost`; none for a model that is not there or may
/// not be used: execution will say so.
fn operators_of((kind, model): (pg_sys::Oid, Vec<u8>)) -> Option<f64> {
    // SAFETY: asks whether a snapshot is set; look-ups need one.
    if !unsafe { pg_sys::ActiveSnapshotSet() } {
        return None;
    }
    let resolved = if kind == pg_sys::BYTEAOID {
        reader::resolve_sha256(&model).ok()?
    } else {
        reader::resolve(std::str::from_utf8(&model).ok()?).ok()?
    };
    Some(operators(resolved.products))
}

/// The cost of a call that takes so many multiplications, in units of `cpu_operator_cost`.
pub(super) fn operators(products: usize) -> f64 {
    CALL + products as f64 / PRODUCTS
}
