//! Names and JSON as a user can paste them into SQL.

use serde_json::json;

/// A column's name as SQL takes it: quoted unless it is a plain word.
pub fn quote_identifier(name: &str) -> String {
    let mut characters = name.chars();
    let plain = characters
        .next()
        .is_some_and(|first| first.is_ascii_lowercase() || first == '_')
        && characters.all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
    match plain {
        true => name.to_owned(),
        false => format!("\"{}\"", name.replace('"', "\"\"")),
    }
}

/// The argument that asks for this treatment of a column: `features => '{"column": …}'`.
pub fn features_argument(column: &str, treatment: &serde_json::Value) -> String {
    let json = json!({ column: treatment }).to_string();
    format!("features => '{}'", json.replace('\'', "''"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{features_argument, quote_identifier};

    #[test]
    fn names_and_arguments_can_be_pasted() {
        assert_eq!(quote_identifier("balance_2"), "balance_2");
        assert_eq!(quote_identifier("Sex"), "\"Sex\"");
        assert_eq!(quote_identifier("2nd"), "\"2nd\"");
        assert_eq!(quote_identifier("a\"b"), "\"a\"\"b\"");
        assert_eq!(
            features_argument("O'Hara \"x\"", &json!("ignore")),
            r#"features => '{"O''Hara \"x\"":"ignore"}'"#
        );
    }
}
