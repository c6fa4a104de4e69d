//! Several labels as one text.

use super::stored::Target;

impl Target {
    /// The labels whose probability reaches the threshold, written as an array literal of
    /// PostgreSQL's, which `::text[]` reads: `{}`, `{sport}`, `{"à la carte",sport}`.
    pub fn label_set(&self, probabilities: &[f32]) -> String {
        let Target::Labels {
            labels, threshold, ..
        } = self
        else {
            return "{}".to_owned();
        };
        let mut literal = String::from("{");
        for (label, probability) in labels.iter().zip(probabilities) {
            if crate::metrics::is_positive(f64::from(*probability), *threshold) {
                if literal.len() > 1 {
                    literal.push(',');
                }
                push_element(label, &mut literal);
            }
        }
        literal.push('}');
        literal
    }
}

/// Adds an element as PostgreSQL's `array_out` writes it.
fn push_element(text: &str, literal: &mut String) {
    // What array_isspace takes for blank.
    let special = |c: char| matches!(c, '"' | '\\' | '{' | '}' | ',' | ' ' | '\t'..='\r');
    if !text.is_empty() && !text.eq_ignore_ascii_case("null") && !text.contains(special) {
        literal.push_str(text);
        return;
    }
    literal.push('"');
    for c in text.chars() {
        if matches!(c, '"' | '\\') {
            literal.push('\\');
        }
        literal.push(c);
    }
    literal.push('"');
}

#[cfg(test)]
mod tests {
    use super::push_element;

    #[test]
    fn elements_are_quoted_where_an_array_needs_it() {
        for (text, written) in [
            ("plain", "plain"),
            ("größer", "größer"),
            ("", r#""""#),
            ("NULL", r#""NULL""#),
            ("a b", r#""a b""#),
            ("a,b", r#""a,b""#),
            (r#"say "no""#, r#""say \"no\"""#),
            (r"back\slash", r#""back\\slash""#),
            ("{x}", r#""{x}""#),
            ("tab\t", "\"tab\t\""),
        ] {
            let mut literal = String::new();
            push_element(text, &mut literal);
            assert_eq!(literal, written, "{text}");
        }
    }
}
