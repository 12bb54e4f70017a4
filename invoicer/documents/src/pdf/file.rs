//! Pages become a file. It has no time of its own: the same document gives the same bytes.

use super::sheet::{HEIGHT, MARK, Mark, Sheets, WIDTH};
use super::text::Run;
use super::{title, xmp};
use crate::Error;
use crate::invoice::Invoice;
use krilla::color::rgb;
use krilla::configure::{Archival, ConfigurationBuilder};
use krilla::document::Document;
use krilla::embed::{AssociationKind, EmbeddedFile, MimeType};
use krilla::geom::{PathBuilder, Point, Rect, Transform};
use krilla::metadata::{DateTime, Metadata};
use krilla::page::PageSettings;
use krilla::paint::Fill;
use krilla::surface::Surface;
use krilla::{Data, SerializeSettings};

/// What the invoice inside is called: Factur-X and ZUGFeRD look for this name.
const INSIDE: &str = "factur-x.xml";

pub(super) fn write(invoice: &Invoice, sheets: Sheets, inside: Option<Vec<u8>>) -> Result<Vec<u8>, Error> {
    let configuration = ConfigurationBuilder::new().with_archival_validator(Archival::A3_B).finish();
    let configuration = configuration.map_err(|error| Error::Pdf(format!("{error:?}")))?;
    let settings = SerializeSettings { configuration, enable_tagging: false, ..SerializeSettings::default() };
    let mut document = Document::new_with(settings);
    document.set_metadata(metadata(invoice));
    let carries = inside.is_some();
    if let (Some(data), Some(date)) = (inside, date(invoice)) {
        let file = EmbeddedFile {
            path: INSIDE.to_owned(),
            mime_type: MimeType::new("text/xml"),
            description: Some("EN 16931 invoice (Factur-X)".to_owned()),
            association_kind: AssociationKind::Alternative,
            data: Data::from(data),
            modification_date: Some(date),
            compress: Some(true),
            location: None,
        };
        document.embed_file(file).ok_or_else(|| Error::Pdf("the invoice inside stands there twice".to_owned()))?;
    }
    for marks in sheets.pages {
        let settings =
            PageSettings::from_wh(WIDTH, HEIGHT).ok_or_else(|| Error::Pdf("a page has no size".to_owned()))?;
        let mut page = document.start_page_with(settings);
        let mut surface = page.surface();
        for mark in marks {
            draw(&mut surface, mark);
        }
        surface.finish();
        page.finish();
    }
    let bytes = document.finish().map_err(|error| Error::Pdf(format!("{error:?}")))?;
    if carries { xmp::declare(bytes, INSIDE) } else { Ok(bytes) }
}

fn metadata(invoice: &Invoice) -> Metadata {
    let words = invoice.language.words();
    let seller = invoice.seller.as_ref().and_then(|seller| seller.name.clone());
    let mut metadata = Metadata::new()
        .title(title(invoice))
        .language(words.code.to_owned())
        .creator("Farthing".to_owned())
        .producer("Farthing".to_owned())
        .document_id(format!("{} {}", invoice.id, title(invoice)));
    if let Some(seller) = seller {
        metadata = metadata.authors(vec![seller]);
    }
    if let Some(date) = date(invoice) {
        metadata = metadata.creation_date(date);
    }
    metadata
}

/// The day of issue, of a draft the end of its period: a document is as old as what it says.
fn date(invoice: &Invoice) -> Option<DateTime> {
    let date = invoice.issue_date.unwrap_or(invoice.end);
    let year = u16::try_from(date.year()).ok()?;
    let (month, day) = (u8::try_from(date.month()).ok()?, u8::try_from(date.day()).ok()?);
    Some(DateTime::new(year).month(month).day(day).hour(0).minute(0).second(0).utc_offset_hour(0).utc_offset_minute(0))
}

fn draw(surface: &mut Surface<'_>, mark: Mark) {
    match mark {
        Mark::Text { x, y, run, color } => text(surface, x, y, &run, color),
        Mark::Rule { x, y, width, thickness, color } => {
            let mut path = PathBuilder::new();
            if let Some(rect) = Rect::from_xywh(x, y - thickness / 2.0, width, thickness) {
                path.push_rect(rect);
            }
            fill(surface, path, color);
        }
        Mark::Area { x, y, width, height, color } => fill(surface, round(x, y, width, height, 3.0), color),
        Mark::Picture { x, y, width, height, picture } => picture.draw(surface, (x, y), (width, height)),
        Mark::Watermark { run } => {
            surface.push_transform(&Transform::from_rotate_at(-52.0, WIDTH / 2.0, HEIGHT / 2.0));
            text(surface, (WIDTH - run.width) / 2.0, HEIGHT / 2.0 + run.size / 3.0, &run, MARK);
            surface.pop();
        }
    }
}

fn text(surface: &mut Surface<'_>, x: f32, y: f32, run: &Run, color: super::sheet::Color) {
    let Some(font) = run.weight.font() else { return };
    surface.set_fill(Some(paint(color)));
    surface.draw_glyphs(Point::from_xy(x, y), &run.glyphs, font, &run.text, run.size, false);
}

fn paint((red, green, blue): super::sheet::Color) -> Fill {
    Fill { paint: rgb::Color::new(red, green, blue).into(), ..Fill::default() }
}

fn fill(surface: &mut Surface<'_>, path: PathBuilder, color: super::sheet::Color) {
    surface.set_fill(Some(paint(color)));
    if let Some(path) = path.finish() {
        surface.draw_path(&path);
    }
}

/// A rectangle with round corners.
fn round(x: f32, y: f32, width: f32, height: f32, radius: f32) -> PathBuilder {
    let (right, bottom) = (x + width, y + height);
    let mut path = PathBuilder::new();
    path.move_to(x + radius, y);
    path.line_to(right - radius, y);
    path.quad_to(right, y, right, y + radius);
    path.line_to(right, bottom - radius);
    path.quad_to(right, bottom, right - radius, bottom);
    path.line_to(x + radius, bottom);
    path.quad_to(x, bottom, x, bottom - radius);
    path.line_to(x, y + radius);
    path.quad_to(x, y, x + radius, y);
    path.close();
    path
}
