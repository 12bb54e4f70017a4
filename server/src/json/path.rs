//! Paths of calls: `/v1/invoices/{id=**}:issue`.

use percent_encoding::percent_decode_str;

/// What the path of a call has to look like.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Template {
    parts: Vec<Part>,
    /// What stands behind the last colon, where the call is none of read, list, make and remove.
    verb: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    /// Just so.
    Fixed(String),
    /// One segment is the value of a field.
    One(String),
    /// All that follows is the value of a field.
    Rest(String),
}

/// The values of fields that a path holds.
pub(super) type Captures = Vec<(String, String)>;

// === impl Template ===

impl Template {
    /// Reads `/v1/…`; none where it is no template.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let last = text.rfind(['}', '/'])?;
        let (path, verb) = match text[last..].split_once(':') {
            Some((before, verb)) => (&text[..last + before.len()], Some(verb.to_owned())),
            None => (text, None),
        };
        let parts: Vec<Part> = path.strip_prefix('/')?.split('/').map(Part::parse).collect();
        let ends_with_rest = parts.iter().rev().skip(1).all(|part| !matches!(part, Part::Rest(_)));
        ends_with_rest.then_some(Self { parts, verb })
    }

    /// The fields that the path holds, and whether each takes slashes.
    pub(super) fn fields(&self) -> impl Iterator<Item = (&str, bool)> {
        self.parts.iter().filter_map(|part| match part {
            Part::Fixed(_) => None,
            Part::One(field) => Some((field.as_str(), false)),
            Part::Rest(field) => Some((field.as_str(), true)),
        })
    }

    /// Whether it ends in a verb: it then goes before templates without one.
    pub(super) fn has_verb(&self) -> bool {
        self.verb.is_some()
    }

    /// What a path says, if it looks so. Segments are taken apart before `%2F` and its like are decoded.
    pub(super) fn captures(&self, path: &str) -> Option<Captures> {
        let path = match &self.verb {
            Some(verb) => path.strip_suffix(verb.as_str())?.strip_suffix(':')?,
            None => path,
        };
        let mut rest = Some(path.strip_prefix('/')?);
        let mut captures = Captures::new();
        for part in &self.parts {
            let all = rest?;
            let (segment, after) = match (part, all.split_once('/')) {
                (Part::Rest(_), _) | (_, None) => (all, None),
                (_, Some((segment, after))) => (segment, Some(after)),
            };
            rest = after;
            match part {
                Part::Fixed(text) if text == segment => {}
                Part::Fixed(_) => return None,
                Part::One(_) | Part::Rest(_) if segment.is_empty() => return None,
                Part::One(field) | Part::Rest(field) => {
                    captures.push((field.clone(), percent_decode_str(segment).decode_utf8().ok()?.into_owned()));
                }
            }
        }
        rest.is_none().then_some(captures)
    }

    /// The path as OpenAPI writes it.
    pub(super) fn to_openapi(&self) -> String {
        let mut path: String = self
            .parts
            .iter()
            .map(|part| match part {
                Part::Fixed(text) => format!("/{text}"),
                Part::One(field) | Part::Rest(field) => format!("/{{{field}}}"),
            })
            .collect();
        if let Some(verb) = &self.verb {
            path = format!("{path}:{verb}");
        }
        path
    }
}

// === impl Part ===

impl Part {
    fn parse(text: &str) -> Self {
        match text.strip_prefix('{').and_then(|text| text.strip_suffix('}')) {
            None => Self::Fixed(text.to_owned()),
            Some(field) => match field.strip_suffix("=**") {
                Some(field) => Self::Rest(field.to_owned()),
                None => Self::One(field.to_owned()),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

    use super::*;

    fn captures(template: &str, path: &str) -> Option<Vec<String>> {
        let captures = Template::parse(template).unwrap().captures(path)?;
        Some(captures.into_iter().map(|(field, value)| format!("{field}={value}")).collect())
    }

    #[test]
    fn an_id_with_slashes_comes_as_it_is_or_encoded() {
        let (get, issue) = ("/v1/invoices/{id=**}", "/v1/invoices/{id=**}:issue");
        let id = Some(vec!["id=c-1/USD/2024-02-01T00:00:00Z".to_owned()]);
        assert_eq!(captures(get, "/v1/invoices/c-1/USD/2024-02-01T00:00:00Z"), id);
        assert_eq!(captures(get, "/v1/invoices/c-1%2FUSD%2f2024-02-01T00%3A00:00Z"), id);
        assert_eq!(captures(issue, "/v1/invoices/c-1/USD/2024-02-01T00:00:00Z:issue"), id);
        assert_eq!(captures(issue, "/v1/invoices/c-1/USD/2024-02-01T00:00:00Z"), None);
        assert_eq!(captures(get, "/v1/invoices/%ff"), None);
        assert_eq!(captures(get, "/v1/invoices/"), None);
        assert_eq!(captures(get, "/v1/invoices"), None);
    }

    #[test]
    fn segments_and_verbs_have_to_fit() {
        assert_eq!(captures("/v1/invoices:check", "/v1/invoices:check"), Some(vec![]));
        assert_eq!(captures("/v1/keys/{id}", "/v1/keys/a%20b"), Some(vec!["id=a b".to_owned()]));
        assert_eq!(captures("/v1/keys/{id}", "/v1/keys/a/b"), None);
        assert_eq!(captures("/v1/customers/{c}/preview", "/v1/customers/a/preview"), Some(vec!["c=a".to_owned()]));
        assert_eq!(captures("/v1/customers/{c}/preview", "/v1/customers/a"), None);
        assert_eq!(Template::parse("/v1/{a=**}/{b}"), None);
        assert_eq!(Template::parse("/v1/invoices/{id=**}:issue").unwrap().to_openapi(), "/v1/invoices/{id}:issue");
    }
}
