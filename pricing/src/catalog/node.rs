//! YAML text as a tree whose scalars stay text as written and know where they stand. JSON is YAML, too.
//!
//! Refused, since prices should be read where they stand: anchors, aliases, merge keys, tags, several documents, a key
//! twice. Bounded: bytes, nesting, nodes.

use super::error::Errors;
use saphyr_parser::{Event, Marker, Parser, ScalarStyle, ScanError, Span, StrInput};

/// The largest file.
pub(super) const BYTES_MAX: usize = 16 * 1024 * 1024;
/// The deepest nesting.
const DEPTH_MAX: usize = 32;
/// The most values and keys.
const NODES_MAX: usize = 2_000_000;

/// A value and where it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Node {
    pub(super) line: usize,
    pub(super) column: usize,
    pub(super) is: Is,
}

/// What a value is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Is {
    /// Nothing: left empty, `~` or `null`.
    Null,
    /// Text as written, without its quotes.
    Text(String),
    /// A list.
    List(Vec<Node>),
    /// Keys and values, in the order as written.
    Map(Vec<(Key, Node)>),
}

/// A key and where it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Key {
    pub(super) line: usize,
    pub(super) column: usize,
    pub(super) text: String,
}

impl Is {
    /// What it is, in words.
    pub(super) fn words(&self) -> &'static str {
        match self {
            Self::Null => "nothing",
            Self::Text(_) => "text",
            Self::List(_) => "a list",
            Self::Map(_) => "keys and values",
        }
    }
}

/// Reads one document.
pub(super) fn parse(text: &str) -> Result<Node, Errors> {
    if text.len() > BYTES_MAX {
        let (found, allowed) = (text.len(), BYTES_MAX);
        return Err(Errors::one(0, 0, format!("the file has {found} bytes; at most {allowed} are read: split it")));
    }
    // Some editors begin a file with a byte order mark.
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut reader = Reader { parser: Parser::new_from_str(text), nodes: 0 };
    reader.document()
}

struct Reader<'t> {
    parser: Parser<'t, StrInput<'t>>,
    nodes: usize,
}

type Next<'t> = (Event<'t>, Span);

impl<'t> Reader<'t> {
    fn document(&mut self) -> Result<Node, Errors> {
        loop {
            let (event, span) = self.next()?;
            match event {
                Event::StreamStart | Event::DocumentStart(_) | Event::Nothing => {}
                Event::StreamEnd => return Err(Errors::one(1, 1, "the file is empty")),
                _ => {
                    let root = self.value((event, span), 0)?;
                    return self.end().map(|()| root);
                }
            }
        }
    }

    fn end(&mut self) -> Result<(), Errors> {
        loop {
            let (event, span) = self.next()?;
            match event {
                Event::StreamEnd => return Ok(()),
                Event::DocumentStart(_) => {
                    return Err(refuse(span.start, "a second document begins here; write one document to a file"));
                }
                _ => {}
            }
        }
    }

    fn next(&mut self) -> Result<Next<'t>, Errors> {
        match self.parser.next_event() {
            Some(Ok(next)) => Ok(next),
            Some(Err(error)) => Err(not_yaml(&error)),
            None => Ok((Event::StreamEnd, Span::default())),
        }
    }

    fn value(&mut self, (event, span): Next<'t>, depth: usize) -> Result<Node, Errors> {
        let at = span.start;
        self.nodes += 1;
        if depth > DEPTH_MAX || self.nodes > NODES_MAX {
            return Err(refuse(at, "the file is nested too deeply, or has too many values, to be a catalog"));
        }
        let is = match event {
            Event::Alias(_) => return Err(no_anchors(at)),
            Event::Scalar(text, style, anchor, tag) => {
                check_plain(at, anchor, tag.is_some())?;
                scalar(&text, style)
            }
            Event::SequenceStart(anchor, tag) => {
                check_plain(at, anchor, tag.is_some())?;
                self.list(depth)?
            }
            Event::MappingStart(anchor, tag) => {
                check_plain(at, anchor, tag.is_some())?;
                self.map(depth)?
            }
            _ => return Err(refuse(at, "a value is missing here")),
        };
        Ok(Node { line: at.line(), column: at.col() + 1, is })
    }

    fn list(&mut self, depth: usize) -> Result<Is, Errors> {
        let mut items = Vec::new();
        loop {
            match self.next()? {
                (Event::SequenceEnd, _) => return Ok(Is::List(items)),
                next => items.push(self.value(next, depth + 1)?),
            }
        }
    }

    fn map(&mut self, depth: usize) -> Result<Is, Errors> {
        let mut entries: Vec<(Key, Node)> = Vec::new();
        let mut known = std::collections::BTreeMap::new();
        loop {
            let next = self.next()?;
            if let (Event::MappingEnd, _) = next {
                return Ok(Is::Map(entries));
            }
            let key = self.value(next, depth + 1)?;
            let text = match key.is {
                Is::Text(text) if text == "<<" => {
                    return Err(Errors::one(key.line, key.column, "merge keys (<<) are not read; write the keys out"));
                }
                Is::Text(text) => text,
                Is::Null => "null".to_owned(),
                other => {
                    let found = other.words();
                    return Err(Errors::one(key.line, key.column, format!("a key is {found}; write text")));
                }
            };
            if let Some(first) = known.insert(text.clone(), key.line) {
                let message = format!("key '{text}' stands here twice, first on line {first}; keep one of them");
                return Err(Errors::one(key.line, key.column, message));
            }
            let next = self.next()?;
            let value = self.value(next, depth + 1)?;
            entries.push((Key { line: key.line, column: key.column, text }, value));
        }
    }
}

fn scalar(text: &str, style: ScalarStyle) -> Is {
    let plain = style == ScalarStyle::Plain;
    if plain && matches!(text, "" | "~" | "null") { Is::Null } else { Is::Text(text.to_owned()) }
}

fn check_plain(at: Marker, anchor: usize, tagged: bool) -> Result<(), Errors> {
    if anchor != 0 {
        return Err(no_anchors(at));
    }
    if tagged {
        return Err(refuse(at, "tags (!) are not read; leave it out: every value is read as what its key takes"));
    }
    Ok(())
}

fn no_anchors(at: Marker) -> Errors {
    refuse(at, "anchors (&) and aliases (*) are not read; write the value out (in quotes, where it begins with & or *)")
}

fn refuse(at: Marker, message: &str) -> Errors {
    Errors::one(at.line(), at.col() + 1, message)
}

fn not_yaml(error: &ScanError) -> Errors {
    let at = error.marker();
    Errors::one(at.line(), at.col() + 1, format!("this is not YAML: {}", error.info()))
}
