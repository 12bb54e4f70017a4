//! Text as glyphs: how wide it is, and where it breaks.

use krilla::text::{Font, GlyphId, KrillaGlyph};
use rustybuzz::{Face, UnicodeBuffer};
use std::sync::LazyLock;

/// IBM Plex Sans, under the SIL Open Font License (see `fonts/`): Latin, Greek and Cyrillic; all digits are of one width.
static REGULAR: &[u8] = include_bytes!("../../fonts/IBMPlexSans-Regular.ttf");
static SEMIBOLD: &[u8] = include_bytes!("../../fonts/IBMPlexSans-SemiBold.ttf");

static FACES: LazyLock<[Option<Cut>; 2]> = LazyLock::new(|| [Cut::new(REGULAR), Cut::new(SEMIBOLD)]);

/// How heavy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Weight {
    Regular,
    SemiBold,
}

struct Cut {
    font: Font,
    face: Face<'static>,
}

/// A run of text, ready to be drawn.
#[derive(Clone, Debug)]
pub(super) struct Run {
    pub(super) text: String,
    pub(super) weight: Weight,
    pub(super) size: f32,
    pub(super) glyphs: Vec<KrillaGlyph>,
    pub(super) width: f32,
}

impl Cut {
    fn new(bytes: &'static [u8]) -> Option<Self> {
        let font = Font::new(bytes.to_vec().into(), 0)?;
        Some(Self { font, face: Face::from_slice(bytes, 0)? })
    }

    fn of(weight: Weight) -> Option<&'static Self> {
        let [regular, semibold] = &*FACES;
        match weight {
            Weight::Regular => regular.as_ref(),
            Weight::SemiBold => semibold.as_ref(),
        }
    }
}

impl Weight {
    /// The font; always there, since it is part of the binary.
    pub(super) fn font(self) -> Option<Font> {
        Cut::of(self).map(|cut| cut.font.clone())
    }
}

impl Run {
    pub(super) fn new(text: &str, weight: Weight, size: f32) -> Self {
        let empty = Self { text: String::new(), weight, size, glyphs: Vec::new(), width: 0.0 };
        let Some(cut) = Cut::of(weight) else { return empty };
        let text = printable(text, &cut.face);
        let mut buffer = UnicodeBuffer::new();
        buffer.push_str(&text);
        buffer.guess_segment_properties();
        let shaped = rustybuzz::shape(&cut.face, &[], buffer);
        let (infos, places) = (shaped.glyph_infos(), shaped.glyph_positions());
        let em = cut.font.units_per_em();
        let mut width = 0.0;
        let mut glyphs = Vec::with_capacity(infos.len());
        for (at, (info, place)) in infos.iter().zip(places).enumerate() {
            let start = usize::try_from(info.cluster).unwrap_or_default();
            let later = infos.iter().skip(at + 1).map(|info| usize::try_from(info.cluster).unwrap_or_default());
            let end = later.into_iter().find(|cluster| *cluster > start).unwrap_or(text.len());
            let advance = units(place.x_advance) / em;
            width += advance * size;
            glyphs.push(KrillaGlyph::new(
                GlyphId::new(info.glyph_id),
                advance,
                units(place.x_offset) / em,
                units(place.y_offset) / em,
                0.0,
                start..end,
                None,
            ));
        }
        Self { text, weight, size, glyphs, width }
    }

    /// The same at the size that fits into a width, if it is too wide.
    pub(super) fn fitted(text: &str, weight: Weight, size: f32, width: f32) -> Self {
        let run = Self::new(text, weight, size);
        if run.width <= width { run } else { Self::new(text, weight, size * width / run.width) }
    }
}

/// Font units stay far below 2²⁴.
#[allow(clippy::cast_precision_loss, reason = "font units are small")]
fn units(value: i32) -> f32 {
    value as f32
}

/// Text of which every character has a glyph: PDF/A wants no other.
fn printable(text: &str, face: &Face<'_>) -> String {
    let known = |c: char| match c {
        c if c.is_whitespace() && face.glyph_index(c).is_none() => ' ',
        c if c.is_control() => ' ',
        c if face.glyph_index(c).is_some() => c,
        _ => '?',
    };
    text.chars().map(known).collect()
}

/// Breaks text into lines that fit into a width: between words, and inside one that is too long by itself.
pub(super) fn wrap(text: &str, weight: Weight, size: f32, width: f32) -> Vec<Run> {
    let mut lines = Vec::new();
    let mut line = String::new();
    let fits = |text: &str| Run::new(text, weight, size).width <= width;
    // Blanks inside numbers hold them together.
    for word in text.split([' ', '\t', '\r', '\n']).filter(|word| !word.is_empty()) {
        let longer = if line.is_empty() { word.to_owned() } else { format!("{line} {word}") };
        if fits(&longer) {
            line = longer;
            continue;
        }
        if !line.is_empty() {
            lines.push(std::mem::take(&mut line));
        }
        for c in word.chars() {
            line.push(c);
            if !fits(&line) && line.chars().count() > 1 {
                line.pop();
                lines.push(std::mem::replace(&mut line, c.to_string()));
            }
        }
    }
    lines.push(line);
    lines.iter().map(|line| Run::new(line, weight, size)).collect()
}
