//! Pages in the making: what stands where. Nothing is written before all pages are known, since each says how many there are.

use super::picture::Picture;
use super::text::{Run, Weight};

/// A4, in points.
pub(super) const WIDTH: f32 = 595.28;
pub(super) const HEIGHT: f32 = 841.89;
/// 20 mm on either side.
pub(super) const LEFT: f32 = 56.7;
pub(super) const RIGHT: f32 = WIDTH - 56.7;
/// Where content of later pages begins, and where it ends on each.
pub(super) const TOP: f32 = 84.0;
pub(super) const BOTTOM: f32 = HEIGHT - 84.0;

/// Red, green, blue.
pub(super) type Color = (u8, u8, u8);
pub(super) const INK: Color = (0x1c, 0x22, 0x2b);
pub(super) const WHITE: Color = (0xff, 0xff, 0xff);
pub(super) const MUTED: Color = (0x6b, 0x74, 0x80);
pub(super) const RULE: Color = (0xdf, 0xe3, 0xe8);
pub(super) const TINT: Color = (0xf4, 0xf6, 0xf9);
pub(super) const ACCENT: Color = (0x1f, 0x4b, 0x7a);
pub(super) const ALERT: Color = (0xb4, 0x23, 0x18);
pub(super) const MARK: Color = (0xf0, 0xf1, 0xf4);

/// One thing on a page.
#[derive(Clone, Debug)]
pub(super) enum Mark {
    /// From its left end, on its baseline.
    Text { x: f32, y: f32, run: Run, color: Color },
    /// Across.
    Rule { x: f32, y: f32, width: f32, thickness: f32, color: Color },
    /// Filled, with round corners.
    Area { x: f32, y: f32, width: f32, height: f32, color: Color },
    /// A picture.
    Picture { x: f32, y: f32, width: f32, height: f32, picture: Picture },
    /// Across the whole page.
    Watermark { run: Run },
}

/// All pages, of which the last is written on.
#[derive(Debug)]
pub(super) struct Sheets {
    pub(super) pages: Vec<Vec<Mark>>,
    /// What each page says across all of it.
    mark: Option<String>,
    /// Where the next thing goes on the last page.
    pub(super) y: f32,
}

// === impl Sheets ===

impl Sheets {
    pub(super) fn new(mark: Option<String>) -> Self {
        let mut sheets = Self { pages: Vec::new(), mark, y: 0.0 };
        sheets.turn();
        sheets
    }

    /// Begins a page.
    pub(super) fn turn(&mut self) {
        let run = |mark: &String| Run::fitted(mark, Weight::SemiBold, 120.0, 560.0);
        let mark = self.mark.as_ref().map(|mark| Mark::Watermark { run: run(mark) });
        self.pages.push(mark.into_iter().collect());
        self.y = TOP;
    }

    /// Whether so much still fits on the page.
    pub(super) fn has_room(&self, height: f32) -> bool {
        self.y + height <= BOTTOM
    }

    pub(super) fn put(&mut self, mark: Mark) {
        if let Some(page) = self.pages.last_mut() {
            page.push(mark);
        }
    }

    pub(super) fn run(&mut self, x: f32, y: f32, run: Run, color: Color) {
        self.put(Mark::Text { x, y, run, color });
    }

    /// Text that begins at `x`; returns where it ends.
    pub(super) fn text(&mut self, x: f32, y: f32, text: &str, (weight, size, color): Style) -> f32 {
        let run = Run::new(text, weight, size);
        let end = x + run.width;
        self.run(x, y, run, color);
        end
    }

    /// Text that ends at `x`.
    pub(super) fn text_to(&mut self, x: f32, y: f32, text: &str, (weight, size, color): Style) {
        let run = Run::new(text, weight, size);
        self.run(x - run.width, y, run, color);
    }

    pub(super) fn rule(&mut self, x: f32, y: f32, width: f32, (thickness, color): (f32, Color)) {
        self.put(Mark::Rule { x, y, width, thickness, color });
    }
}

/// Weight, size, colour.
pub(super) type Style = (Weight, f32, Color);

pub(super) const BODY: Style = (Weight::Regular, 9.0, INK);
pub(super) const BODY_BOLD: Style = (Weight::SemiBold, 9.0, INK);
pub(super) const LABEL: Style = (Weight::Regular, 8.0, MUTED);
pub(super) const SMALL: Style = (Weight::Regular, 7.5, MUTED);
