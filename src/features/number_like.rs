//! Texts that look like numbers.

use super::quoting::quote_identifier;
use super::rows::dictionary::Dictionary;

/// Share of a column's values that look like numbers, from which on the column does.
const SHARE: f64 = 0.9;
/// Different numbers from which on they are not taken for codes of a few categories.
const DISTINCT: usize = 10;

/// Whether PostgreSQL would take the text for a number with a value, spaces around it apart. One
/// with a leading zero is not meant: it is a code, such as that of a town.
pub(super) fn is_number(text: &str) -> bool {
    let text = text.trim();
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    let mut characters = digits.chars();
    let (first, second) = (characters.next(), characters.next());
    let is_code = first == Some('0') && second.is_some_and(|c| c.is_ascii_digit());
    let starts = first.is_some_and(|c| c.is_ascii_digit() || c == '.');
    starts && !is_code && text.parse::<f64>().is_ok_and(f64::is_finite)
}

/// Whether the text is a number with signs around or in it that PostgreSQL does not take: of a
/// currency, a percentage, thousands, or with a decimal comma.
fn is_dressed(text: &str) -> bool {
    let signs = ['$', '€', '£', '¥', '%', ' ', '\u{a0}', '\''];
    let bare = text.trim_matches(signs).replace(['\u{a0}', ' ', '\''], "");
    let commas = bare.matches(',').count();
    let digits = match commas {
        1 if !bare.contains('.') => bare.replace(',', "."),
        _ => bare.replace(',', ""),
    };
    digits != text && is_number(&digits)
}

/// How the values of a column of texts look like numbers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct NumberLike {
    /// Some have signs that PostgreSQL does not take.
    pub(super) is_dressed: bool,
    /// Texts among them that stand for nothing, such as NA, in the dictionary's order.
    pub(super) blanks: Vec<String>,
}

/// Texts that stand for a value that is not there.
fn is_blank(text: &str) -> bool {
    const BLANKS: [&str; 9] = ["", "na", "n/a", "nan", "null", "none", "-", "?", "."];
    BLANKS.contains(&text.trim().to_ascii_lowercase().as_str())
}

/// How most values of a column of texts look like numbers, if they do; `counts` says how many
/// training rows have each of the dictionary's. Texts beyond a full dictionary are not looked at.
pub(super) fn looks_like_numbers(dictionary: &Dictionary, counts: &[u64]) -> Option<NumberLike> {
    let counted = counts.iter().enumerate().filter(|(_, count)| **count > 0);
    let texts = counted.filter_map(|(code, count)| Some((dictionary.text(code as u32)?, *count)));
    number_like(texts)
}

/// What to do about a target's classes that look like numbers, if they do; `counts` says how many
/// training rows have each.
pub fn numbers_as_classes(column: &str, classes: &[String], counts: &[u64]) -> Option<String> {
    let texts = classes.iter().map(String::as_str);
    let found = number_like(texts.zip(counts.iter().copied()))?;
    Some(found.hint(column))
}

/// The same for texts, each with its number of rows.
fn number_like<'a>(texts: impl Iterator<Item = (&'a str, u64)>) -> Option<NumberLike> {
    let (mut numbers, mut all, mut distinct) = (0, 0, 0);
    let mut found = NumberLike {
        is_dressed: false,
        blanks: Vec::new(),
    };
    for (text, count) in texts {
        if is_blank(text) {
            found.blanks.push(text.to_owned());
            continue;
        }
        all += count;
        let plain = is_number(text);
        if plain || is_dressed(text) {
            found.is_dressed |= !plain;
            numbers += count;
            distinct += 1;
        }
    }
    (distinct > DISTINCT && numbers as f64 >= SHARE * all as f64).then_some(found)
}

impl NumberLike {
    /// What to do about them: an expression of the query that gives the column's numbers.
    pub(super) fn hint(&self, column: &str) -> String {
        let mut value = quote_identifier(column);
        for blank in &self.blanks {
            value = format!("nullif({value}, '{}')", blank.replace('\'', "''"));
        }
        match self.is_dressed {
            false => format!("cast it in the query ({value}::numeric)"),
            true => format!(
                "make numbers of it in the query: of {value}, take the signs off, make a decimal \
                 comma a point, and cast to numeric"
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Dictionary, is_dressed, is_number, looks_like_numbers};

    #[test]
    fn numbers_are_told_from_codes_and_words() {
        for text in ["0", "-1.5", " 12 ", "1e5", ".5", "+3", "0.25"] {
            assert!(is_number(text), "{text}");
        }
        for text in [
            "", "007", "01067", "NaN", "infinity", "1,5", "12 kg", "-", "e5", "1e999",
        ] {
            assert!(!is_number(text), "{text}");
        }
        for text in ["1,5", "45%", "$123", "1,234.00", "1 234,5", "-3,25 €"] {
            assert!(is_dressed(text), "{text}");
        }
        for text in ["12 kg", "a", "1.5", "007", "2024-01-01", "10:30", ""] {
            assert!(!is_dressed(text), "{text}");
        }
    }

    #[test]
    fn what_stands_for_nothing_is_no_stray_and_goes_into_the_hint() {
        let mut dictionary = Dictionary::new();
        for number in 0..20 {
            dictionary.intern(&format!("{number}%"));
        }
        dictionary.intern("NA");
        dictionary.intern("it's");
        let mut counts = vec![5; dictionary.len()];
        counts[20] = 100;
        let found = looks_like_numbers(&dictionary, &counts).expect("numbers");
        assert_eq!(found.blanks, ["NA"]);
        assert!(found.hint("a b").contains("nullif(\"a b\", 'NA')"));
        assert!(found.is_dressed);
    }

    #[test]
    fn a_few_codes_and_strays_do_not_decide() {
        let mut dictionary = Dictionary::new();
        for number in 0..20 {
            dictionary.intern(&number.to_string());
        }
        let unknown = dictionary.intern("unknown") as usize;
        let mut counts = vec![5; dictionary.len()];
        assert!(looks_like_numbers(&dictionary, &counts).is_some());
        counts[unknown] = 100;
        assert!(looks_like_numbers(&dictionary, &counts).is_none());
        assert!(looks_like_numbers(&dictionary, &counts[..8]).is_none());
    }
}
