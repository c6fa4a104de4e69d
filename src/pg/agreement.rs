//! Whether JSON from a jsonb column is what it was made from.

use serde_json::Value;

/// Whether all that a column says is so. It may say less, as a row does that an older release wrote;
/// and PostgreSQL writes a number in its own way, 1e16 as an integer.
pub(crate) fn agrees(column: &Value, source: &Value) -> bool {
    match (column, source) {
        (Value::Number(a), Value::Number(b)) => a == b || a.as_f64() == b.as_f64(),
        (Value::Array(a), Value::Array(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| agrees(a, b))
        }
        (Value::Object(a), Value::Object(b)) => a
            .iter()
            .all(|(key, a)| b.get(key).is_some_and(|b| agrees(a, b))),
        (a, b) => a == b,
    }
}
