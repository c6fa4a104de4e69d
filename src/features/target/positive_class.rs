//! Which of two classes is the positive one.

use crate::features::number_key::number_key;

/// Names whose opposite says which of the two is meant, the positive one first.
const OPPOSITES: [[&str; 2]; 4] = [["true", "false"], ["t", "f"], ["yes", "no"], ["y", "n"]];

/// The place of the positive one of two classes that are each other's opposites, in any letter case:
/// true and false, t and f, yes and no, y and n, 1 and 0, 1 and -1.
pub fn positive_by_name(classes: &[String]) -> Option<usize> {
    let [first, second] = classes else {
        return None;
    };
    let is_number =
        |class: &str| class.starts_with(|c: char| c.is_ascii_digit() || "+-.".contains(c));
    let key = |class: &str| match is_number(class) {
        true => number_key(class),
        false => Some(class.to_lowercase()),
    };
    let (first, second) = (key(first)?, key(second)?);
    let is = |positive: &str, negative: &str| match () {
        () if positive == "1e0" => negative == "0" || negative == "-1e0",
        () => OPPOSITES.contains(&[positive, negative]),
    };
    match () {
        () if is(&first, &second) => Some(0),
        () if is(&second, &first) => Some(1),
        () => None,
    }
}

/// The rarer one of two classes; of equally many rows the one that sorts last in C collation.
pub(super) fn rarer(classes: &[String], counts: &[u64]) -> usize {
    match (classes, counts) {
        ([first, second], [few, many]) => match few.cmp(many) {
            std::cmp::Ordering::Less => 0,
            std::cmp::Ordering::Greater => 1,
            std::cmp::Ordering::Equal => usize::from(second > first),
        },
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::positive_by_name;

    #[test]
    fn only_opposites_are_told_by_their_names() {
        for (classes, positive) in [
            (["false", "true"], Some(1)),
            (["TRUE", "False"], Some(0)),
            (["F", "T"], Some(1)),
            (["No", "Yes"], Some(1)),
            (["YES", "no"], Some(0)),
            (["Y", "N"], Some(0)),
            (["0", "1"], Some(1)),
            (["-1", "1"], Some(1)),
            (["0.00", "1.00"], Some(1)),
            (["1", "2"], None),
            (["yes", "maybe"], None),
            (["true", "no"], None),
            (["y", "no"], None),
            (["true", "0"], None),
            (["1", "false"], None),
            (["a", "b"], None),
        ] {
            let classes = classes.map(str::to_owned);
            assert_eq!(positive_by_name(&classes), positive, "{classes:?}");
        }
        assert_eq!(
            positive_by_name(&["1".into(), "0".into(), "2".into()]),
            None
        );
    }
}
