//! The names of SQL types as versions keep them.

/// A type's name taken apart: two that are written differently, one with more quotes than it needs,
/// are equal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TypeName {
    /// Its schema; none of PostgreSQL's own.
    pub schema: Option<String>,
    /// Its name, or that of the elements of an array.
    pub name: String,
    /// Whether it is an array of these.
    pub is_array: bool,
}

impl TypeName {
    /// The name as `format_type` writes it.
    pub fn parse(text: &str) -> Option<TypeName> {
        let element = text.strip_suffix("[]");
        let mut parts = Vec::new();
        let mut rest = element.unwrap_or(text);
        loop {
            let (part, after) = identifier(rest)?;
            parts.push(part);
            match after.strip_prefix('.') {
                Some(next) => rest = next,
                None if after.is_empty() => break,
                None => return None,
            }
        }
        let name = parts.pop()?;
        let schema = parts.pop().filter(|schema| schema != "pg_catalog");
        parts.is_empty().then_some(TypeName {
            schema,
            name,
            is_array: element.is_some(),
        })
    }
}

/// The first identifier of a text, unquoted, and what follows it. SQL's own names of types may have
/// blanks.
fn identifier(text: &str) -> Option<(String, &str)> {
    let Some(quoted) = text.strip_prefix('"') else {
        let end = text.find(['.', '"']).unwrap_or(text.len());
        let (name, rest) = text.split_at(end);
        return (!name.is_empty()).then(|| (name.to_owned(), rest));
    };
    let mut name = String::new();
    let mut rest = quoted;
    loop {
        let (part, after) = rest.split_once('"')?;
        name.push_str(part);
        match after.strip_prefix('"') {
            Some(more) => {
                name.push('"');
                rest = more;
            }
            None => return (!name.is_empty()).then_some((name, after)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::TypeName;

    fn parsed(text: &str) -> Option<(Option<String>, String, bool)> {
        TypeName::parse(text).map(|name| (name.schema, name.name, name.is_array))
    }

    #[test]
    fn names_are_taken_apart_whatever_is_quoted() {
        let own = |name: &str, is_array| Some((None, name.to_owned(), is_array));
        assert_eq!(parsed("double precision"), own("double precision", false));
        assert_eq!(parsed("double precision[]"), own("double precision", true));
        assert_eq!(parsed("\"pg_catalog\".\"text\""), own("text", false));
        assert_eq!(parsed("pg_catalog.text"), own("text", false));
        assert_eq!(parsed("\"char\""), own("char", false));
        let kind = Some((Some("public".to_owned()), "kind".to_owned(), false));
        assert_eq!(parsed("public.kind"), kind);
        assert_eq!(parsed("\"public\".\"kind\""), kind);
        assert_eq!(
            parsed("\"a \"\"b\"\".c\".\"Kind\"[]"),
            Some((Some("a \"b\".c".to_owned()), "Kind".to_owned(), true))
        );
    }

    #[test]
    fn what_is_no_name_is_none() {
        for text in [
            "", ".", "a.", ".a", "a.b.c", "\"open", "\"\"", "a\"b\"", "a.\"b\"c", "[]",
        ] {
            assert_eq!(parsed(text), None, "{text}");
        }
    }
}
