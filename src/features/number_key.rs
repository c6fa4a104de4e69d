//! What makes equal numbers one, however they are written.

/// A text that all spellings of one number have in common, and those of no other: of `1.0`, `1.00`,
/// `1` and `1e+00`, of `0` and `-0`, of `1000000000000000` and `1e+15`. Exact however many digits
/// there are; `true` and `false` are 1 and 0. `None` for what is no number.
pub(super) fn number_key(text: &str) -> Option<String> {
    let (negative, plain) = match text.strip_prefix('-') {
        Some(plain) => (true, plain),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let sign = if negative { "-" } else { "" };
    if !plain.starts_with(|c: char| c.is_ascii_digit() || c == '.') {
        return match plain.to_ascii_lowercase().as_str() {
            "nan" => Some("NaN".into()),
            "infinity" | "inf" => Some(format!("{sign}Infinity")),
            "true" if text == plain => Some("1e0".into()),
            "false" if text == plain => Some("0".into()),
            _ => None,
        };
    }
    let (mantissa, exponent) = match plain.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, exponent.parse::<i64>().ok()?),
        None => (plain, 0),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = [whole, fraction].concat();
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let significant = digits.trim_end_matches('0');
    let zeros = digits.len() - significant.len();
    let exponent = exponent
        .checked_sub(fraction.len() as i64)?
        .checked_add(zeros as i64)?;
    match significant.trim_start_matches('0') {
        "" => Some("0".into()),
        significant => Some(format!("{sign}{significant}e{exponent}")),
    }
}

/// The whole number that a text is, if it is one that 64 bits hold.
pub(super) fn integer(text: &str) -> Option<i64> {
    if let Ok(integer) = text.parse() {
        return Some(integer);
    }
    let key = number_key(text)?;
    let (significant, exponent) = key.split_once('e').unwrap_or((&key, "0"));
    let power = 10_i64.checked_pow(exponent.parse().ok()?)?;
    significant.parse::<i64>().ok()?.checked_mul(power)
}

/// Whether a text is a whole number, in any spelling such as `1.00`, that 64 bits hold.
pub fn is_whole_number(text: &str) -> bool {
    whole_number(text).is_some()
}

/// The whole number that a text is, in any spelling such as `1.00`, if 64 bits hold it.
pub fn whole_number(text: &str) -> Option<i64> {
    integer(text).filter(|_| !matches!(text, "true" | "false"))
}

/// The value of a text, as near as a float comes to it; NaN for what is no number.
pub(super) fn number(text: &str) -> f64 {
    match text {
        "true" => 1.0,
        "false" => 0.0,
        _ => text.parse().unwrap_or(f64::NAN),
    }
}

#[cfg(test)]
mod tests {
    use super::{integer, number_key};

    #[test]
    fn equal_numbers_have_one_key() {
        for spellings in [
            ["1", "1.0", "1.00", "1e+00", "10e-1", "+1", "true"].as_slice(),
            &["0", "-0", "0.00", "0e5", "false"],
            &["1000000000000000", "1e+15", "1.0E15"],
            &["-2.5", "-2.50", "-25e-1"],
            &["0.0001", "1e-04", ".0001"],
            &["Infinity", "inf"],
            &["NaN", "nan"],
        ] {
            let keys: Vec<Option<String>> = spellings.iter().map(|s| number_key(s)).collect();
            assert!(keys[0].is_some(), "{spellings:?}");
            assert!(keys.iter().all(|key| *key == keys[0]), "{keys:?}");
        }
    }

    #[test]
    fn other_numbers_have_others() {
        let all = [
            "9007199254740992",
            "9007199254740993",
            "0.1",
            "0.10000000000000000001",
            "1",
            "10",
            "-1",
            "Infinity",
            "-Infinity",
            "NaN",
            "0",
        ];
        for (i, one) in all.iter().enumerate() {
            for other in &all[i + 1..] {
                assert_ne!(number_key(one), number_key(other), "{one} {other}");
            }
        }
        for none in [
            "",
            "-",
            "a",
            "1a",
            "1e",
            "1.2.3",
            "0x1",
            "1e99999999999999999999",
            "e5",
            "-true",
        ] {
            assert_eq!(number_key(none), None, "{none}");
        }
    }

    #[test]
    fn whole_numbers_of_any_spelling() {
        assert_eq!(integer("9223372036854775807"), Some(i64::MAX));
        assert_eq!(integer("-9223372036854775808"), Some(i64::MIN));
        assert_eq!(integer("1e+15"), Some(1_000_000_000_000_000));
        assert_eq!(integer("2.00"), Some(2));
        for none in ["1.5", "1e19", "9223372036854775808", "x", "NaN"] {
            assert_eq!(integer(none), None, "{none}");
        }
    }
}
