//! Numbers of JSON, in which `2` and `2.0` are one number.

use serde_json::Value;

/// The largest whole number up to which each is a double.
const EXACT: f64 = 9_007_199_254_740_992.0;

/// A whole number of at least 0, however it is written.
pub(crate) fn whole(value: &Value) -> Option<u64> {
    value.as_u64().or_else(|| {
        let number = value.as_f64()?;
        let is_whole = number.fract() == 0.0 && (0.0..=EXACT).contains(&number);
        is_whole.then_some(number as u64)
    })
}

#[cfg(test)]
mod tests {
    use super::whole;
    use serde_json::json;

    #[test]
    fn a_number_without_a_fraction_is_whole() {
        assert_eq!(whole(&json!(2)), Some(2));
        assert_eq!(whole(&json!(2.0)), Some(2));
        assert_eq!(whole(&json!(1e3)), Some(1000));
        assert_eq!(whole(&json!(-0.0)), Some(0));
        for other in [
            json!(2.5),
            json!(-1),
            json!(-1.0),
            json!(1e300),
            json!("2"),
            json!(null),
        ] {
            assert_eq!(whole(&other), None, "{other}");
        }
    }
}
