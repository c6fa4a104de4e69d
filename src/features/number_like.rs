//! Texts that look like numbers.

use super::Dictionary;

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

/// Whether most values of a column of texts look like numbers, of which `counts` says how many
/// training rows have each of the dictionary's. Texts beyond a full dictionary are not looked at.
pub(super) fn looks_like_numbers(dictionary: &Dictionary, counts: &[u64]) -> bool {
    let (mut numbers, mut all, mut distinct) = (0, 0, 0);
    for (code, &count) in counts.iter().enumerate().filter(|(_, count)| **count > 0) {
        let Some(text) = dictionary.text(code as u32) else {
            continue;
        };
        all += count;
        if is_number(text) {
            numbers += count;
            distinct += 1;
        }
    }
    distinct > DISTINCT && numbers as f64 >= SHARE * all as f64
}

#[cfg(test)]
mod tests {
    use super::{Dictionary, is_number, looks_like_numbers};

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
    }

    #[test]
    fn a_few_codes_and_strays_do_not_decide() {
        let mut dictionary = Dictionary::new();
        for number in 0..20 {
            dictionary.intern(&number.to_string());
        }
        let unknown = dictionary.intern("unknown") as usize;
        let mut counts = vec![5; dictionary.len()];
        assert!(looks_like_numbers(&dictionary, &counts));
        counts[unknown] = 100;
        assert!(!looks_like_numbers(&dictionary, &counts));
        assert!(!looks_like_numbers(&dictionary, &counts[..8]));
    }
}
