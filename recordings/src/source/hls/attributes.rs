//! Attribute lists: `NAME=value,NAME="quoted, value"` (RFC 8216, 4.2).

/// The attributes of one tag.
#[derive(Debug)]
pub(super) struct Attributes<'a>(Vec<(&'a str, &'a str)>);

impl<'a> Attributes<'a> {
    /// Reads a list. Blanks around names and values do not count. A quoted value without its closing quote ends the list: where
    /// it would end is unknown.
    pub(super) fn parse(text: &'a str) -> Self {
        let mut attributes = Vec::new();
        let mut rest = text;
        while let Some((names, after)) = rest.split_once('=') {
            // A word without a value comes before the name.
            let name = names.rsplit(',').next().unwrap_or_default().trim();
            let after = after.trim_start();
            let (value, next) = match after.strip_prefix('"') {
                None => after.split_once(',').unwrap_or((after, "")),
                Some(quoted) => {
                    let Some((value, next)) = quoted.split_once('"') else { break };
                    (value, next.split_once(',').map_or("", |(_, next)| next))
                }
            };
            attributes.push((name, value.trim()));
            rest = next;
        }
        Self(attributes)
    }

    /// The value of a name in any case, without its quotes. The first one counts.
    pub(super) fn get(&self, name: &str) -> Option<&'a str> {
        self.0.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| *value)
    }

    /// A value that is not empty.
    pub(super) fn text(&self, name: &str) -> Option<String> {
        self.get(name).filter(|value| !value.is_empty()).map(str::to_owned)
    }

    /// True for `YES`.
    pub(super) fn is_yes(&self, name: &str) -> bool {
        self.get(name).is_some_and(|value| value.eq_ignore_ascii_case("yes"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_have_quotes_commas_blanks_and_any_case() {
        let table = [
            ("A=1,B=2", vec![("A", "1"), ("B", "2")]),
            (" A = 1 , B = \"2, 3\" , C=x", vec![("A", "1"), ("B", "2, 3"), ("C", "x")]),
            ("A=\"=,\",B=\"\"", vec![("A", "=,"), ("B", "")]),
            ("A=\"1\"junk,B=2", vec![("A", "1"), ("B", "2")]),
            ("word,A=1", vec![("A", "1")]),
            ("A=1,B=\"2", vec![("A", "1")]),
            ("A=b=c", vec![("A", "b=c")]),
            ("A", vec![]),
            ("", vec![]),
        ];
        for (text, expected) in table {
            assert_eq!(Attributes::parse(text).0, expected, "{text}");
        }
        let attributes = Attributes::parse("uri=k,Default=yes,Uri=other,EMPTY=\"\"");
        assert_eq!((attributes.get("URI"), attributes.is_yes("DEFAULT")), (Some("k"), true));
        assert_eq!((attributes.text("EMPTY"), attributes.text("NONE")), (None, None));
    }
}
