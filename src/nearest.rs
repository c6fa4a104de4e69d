//! Names that are not known, and what a hint says of them.

/// Names are alike from this likeness on, where 1 is the same name.
const ALIKE: f64 = 0.7;
/// Characters of a name that are compared: more is no slip of the pen, and takes its time.
const COMPARED: usize = 64;
/// Names that a hint lists.
const LISTED: usize = 16;

/// How much two names are alike, by Jaro and Winkler without regard to case; `None` if they are not.
pub(crate) fn likeness(a: &str, b: &str) -> Option<f64> {
    let plain = |name: &str| -> String {
        let start = name.chars().take(COMPARED);
        start.flat_map(char::to_lowercase).collect()
    };
    let likeness = strsim::jaro_winkler(&plain(a), &plain(b));
    (likeness > ALIKE).then_some(likeness)
}

/// The known name most like `name`, the first of those that are equally so; `None` if none is.
pub(crate) fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let mut nearest: Option<(f64, &str)> = None;
    for known in known {
        if let Some(likeness) = likeness(name, known)
            && nearest.is_none_or(|(best, _)| likeness > best)
        {
            nearest = Some((likeness, known));
        }
    }
    nearest.map(|(_, known)| known)
}

/// The sentence of a hint that names the nearest, if there is one, before what else it says.
pub(crate) fn perhaps(nearest: Option<&str>, rest: &str) -> String {
    match nearest {
        Some(nearest) if rest.is_empty() => format!("Perhaps you mean \"{nearest}\"."),
        Some(nearest) => format!("Perhaps you mean \"{nearest}\". {rest}"),
        None => rest.to_owned(),
    }
}

/// The hint about a name that is none of these: the nearest, and what is known.
pub(crate) fn hint<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    let known: Vec<&str> = known.into_iter().collect();
    let (listed, more) = match known.get(..LISTED) {
        Some(first) if known.len() > LISTED => (first, ", …"),
        _ => (&known[..], ""),
    };
    let rest = format!("Known are {}{more}.", listed.join(", "));
    perhaps(nearest(name, known.iter().copied()), &rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slips_of_the_pen_find_their_names() {
        for (name, known, meant) in [
            ("mlp_64_46", vec!["linear", "mlp_64_64"], Some("mlp_64_64")),
            (
                "Weight_Dekay",
                vec!["l2", "weight_decay"],
                Some("weight_decay"),
            ),
            ("age", vec!["AGE", "agee"], Some("AGE")),
            ("xyz", vec!["age", "income"], None),
            ("", vec!["age"], None),
            ("age", vec![], None),
        ] {
            assert_eq!(nearest(name, known), meant, "{name}");
        }
    }

    #[test]
    fn a_hint_says_the_nearest_and_what_is_known() {
        assert_eq!(
            hint("adm", ["sgd", "adam"]),
            "Perhaps you mean \"adam\". Known are sgd, adam."
        );
        assert_eq!(hint("x", ["sgd", "adam"]), "Known are sgd, adam.");
        assert_eq!(perhaps(Some("risk"), ""), "Perhaps you mean \"risk\".");
        let many: Vec<String> = (0..40).map(|number| format!("c{number}")).collect();
        assert!(hint("x", many.iter().map(String::as_str)).ends_with("c14, c15, …."));
    }
}
