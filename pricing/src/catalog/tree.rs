//! Entities as trees of text: what a file is written from, and what two of are compared.

/// A value as a catalog file would write it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Tree {
    /// Absent.
    Nothing,
    /// A scalar.
    Text(String),
    /// A list.
    List(Vec<Tree>),
    /// Keys and values, in the order of files.
    Map(Vec<Field>),
}

/// A key, its value, and whether it is what the key has by default, so that files leave it out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Field {
    pub(super) key: String,
    pub(super) value: Tree,
    pub(super) default: bool,
}

/// Lines no longer than this hold a whole list or map.
const WIDTH: usize = 110;

impl Tree {
    #[allow(clippy::needless_pass_by_value)] // references and small values alike
    pub(super) fn text(value: impl ToString) -> Self {
        Self::Text(value.to_string())
    }

    pub(super) fn option(value: Option<impl ToString>) -> Self {
        value.map_or(Self::Nothing, Self::text)
    }

    fn is_scalar(&self) -> bool {
        matches!(self, Self::Nothing | Self::Text(_))
    }

    /// The value of `id`, where it is a map that has one.
    fn id(&self) -> Option<&str> {
        let Self::Map(fields) = self else { return None };
        match fields.iter().find(|field| field.key == "id") {
            Some(Field { value: Self::Text(id), .. }) => Some(id),
            _ => None,
        }
    }

    // === As YAML ===

    /// On one line.
    pub(super) fn flow(&self) -> String {
        match self {
            Self::Nothing => "null".to_owned(),
            Self::Text(text) => quoted(text),
            Self::List(items) => format!("[{}]", joined(items.iter().map(Self::flow))),
            Self::Map(fields) => {
                let shown = fields.iter().filter(|field| !field.default);
                format!("{{{}}}", joined(shown.map(|field| format!("{}: {}", quoted(&field.key), field.value.flow()))))
            }
        }
    }

    /// Below a key that is indented by `indent`; begins with what follows the key's colon, ends with a line's end.
    pub(super) fn block(&self, indent: usize, out: &mut String) {
        let flow = self.flow();
        let short = indent + flow.chars().count() <= WIDTH;
        match self {
            Self::List(items) if !short || indent == 0 => {
                for item in items {
                    out.push('\n');
                    out.push_str(&" ".repeat(indent + 2));
                    out.push_str("- ");
                    item.item(indent + 4, out);
                }
            }
            Self::Map(fields) if !short || indent == 0 => {
                for field in fields.iter().filter(|field| !field.default) {
                    out.push('\n');
                    out.push_str(&" ".repeat(indent + 2));
                    field.block(indent + 2, out);
                }
            }
            _ => {
                out.push(' ');
                out.push_str(&flow);
            }
        }
    }

    /// As a list's item, after its dash; further keys are indented by `indent`.
    fn item(&self, indent: usize, out: &mut String) {
        let flow = self.flow();
        let Self::Map(fields) = self else { return out.push_str(&flow) };
        if indent + flow.chars().count() <= WIDTH {
            return out.push_str(&flow);
        }
        for (at, field) in fields.iter().filter(|field| !field.default).enumerate() {
            if at > 0 {
                out.push('\n');
                out.push_str(&" ".repeat(indent));
            }
            field.block(indent, out);
        }
    }
}

impl Field {
    fn block(&self, indent: usize, out: &mut String) {
        out.push_str(&quoted(&self.key));
        out.push(':');
        self.value.block(indent, out);
    }
}

fn joined(parts: impl Iterator<Item = String>) -> String {
    parts.collect::<Vec<_>>().join(", ")
}

/// Text in quotes, unless a file may hold it without.
fn quoted(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_./+-".contains(c) || !c.is_ascii() && c.is_alphanumeric();
    let inner = |c: char| plain(c) || c == ' ' || c == '%' || c == '@';
    let edge = |c: Option<char>| c.is_some_and(plain);
    let dashes = text.starts_with(['-', '.', '+']) || text == "null";
    if !dashes && edge(text.chars().next()) && text.chars().all(inner) && !text.ends_with([' ', '@']) {
        return text.to_owned();
    }
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            c if c.is_control() || c == '\u{feff}' || c == '\u{2028}' || c == '\u{2029}' => {
                out.push_str(&format!("\\U{:08x}", u32::from(c)));
            }
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

/// What differs, one line each: `prices.out.included: 0 → 100000`.
pub(super) fn differences(before: &Tree, after: &Tree) -> Vec<String> {
    let mut lines = Vec::new();
    compare("", before, after, &mut lines);
    lines
}

fn compare(path: &str, before: &Tree, after: &Tree, lines: &mut Vec<String>) {
    if before == after {
        return;
    }
    match (before, after) {
        (Tree::Map(old), Tree::Map(new)) => compare_maps(path, old, new, lines),
        (Tree::List(old), Tree::List(new)) if old.iter().chain(new).all(|item| item.id().is_some()) => {
            compare_entities(path, old, new, lines);
        }
        (Tree::List(old), Tree::List(new)) if old.len() == new.len() && !old.iter().all(Tree::is_scalar) => {
            for (at, (old, new)) in old.iter().zip(new).enumerate() {
                compare(&format!("{path}[{}]", at + 1), old, new, lines);
            }
        }
        _ => lines.push(format!("{path}: {} → {}", shown(before), shown(after))),
    }
}

fn compare_maps(path: &str, old: &[Field], new: &[Field], lines: &mut Vec<String>) {
    let join = |key: &str| if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") };
    let find =
        |fields: &[Field], key: &str| fields.iter().find(|field| field.key == key).map(|field| field.value.clone());
    for field in new {
        let was = find(old, &field.key).unwrap_or(Tree::Nothing);
        compare(&join(&field.key), &was, &field.value, lines);
    }
    for field in old.iter().filter(|field| find(new, &field.key).is_none()) {
        compare(&join(&field.key), &field.value, &Tree::Nothing, lines);
    }
}

/// Lists of things with ids: by id, wherever they stand.
fn compare_entities(path: &str, old: &[Tree], new: &[Tree], lines: &mut Vec<String>) {
    let ids = |items: &[Tree]| items.iter().filter_map(Tree::id).map(str::to_owned).collect::<Vec<_>>();
    let find = |items: &[Tree], id: &str| items.iter().find(|item| item.id() == Some(id)).cloned();
    let (old_ids, new_ids) = (ids(old), ids(new));
    for item in new {
        let Some(id) = item.id() else { continue };
        match find(old, id) {
            Some(was) => compare(&format!("{path}.{id}"), &was, item, lines),
            None => lines.push(format!("{path}.{id}: added {}", item.flow())),
        }
    }
    for id in old_ids.iter().filter(|id| !new_ids.contains(id)) {
        lines.push(format!("{path}.{id}: removed"));
    }
    let kept =
        |ids: &[String], others: &[String]| ids.iter().filter(|id| others.contains(id)).cloned().collect::<Vec<_>>();
    let (was, is) = (kept(&old_ids, &new_ids), kept(&new_ids, &old_ids));
    if was != is {
        lines.push(format!("{path}: order {} → {}", was.join(", "), is.join(", ")));
    }
}

fn shown(tree: &Tree) -> String {
    match tree {
        Tree::Nothing => "none".to_owned(),
        Tree::Text(text) => text.clone(),
        other => other.flow(),
    }
}
