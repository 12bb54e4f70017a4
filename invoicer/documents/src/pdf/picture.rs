//! A logo: PNG, JPEG, or an SVG whose shapes are drawn as such.
//!
//! An SVG is a document of its own, so it is taken only as far as it is a drawing: shapes, plain or with gradients, clipped
//! by shapes. What would bring something else along (text without its font, pictures, links, what is used many times) is
//! refused by name, and nothing that it refers to is ever looked for.

use crate::Error;
use krilla::Data;
use krilla::color::{RegularColor, rgb};
use krilla::geom::{Path, PathBuilder, Size, Transform};
use krilla::image::Image;
use krilla::num::NormalizedF32;
use krilla::paint::{Fill, FillRule, LineCap, LineJoin, LinearGradient, Paint, RadialGradient, SpreadMethod, Stop};
use krilla::paint::{Stroke, StrokeDash};
use krilla::surface::Surface;
use std::sync::Arc;
use usvg::roxmltree::{Document, Node as Element, ParsingOptions};
use usvg::tiny_skia_path::PathSegment;

/// What a logo is.
#[derive(Clone, Debug)]
pub(super) enum Picture {
    Pixels(Image),
    Shapes(Arc<usvg::Tree>),
}

/// Elements that are drawn, or say something of what is.
const DRAWN: [&str; 18] = [
    "svg",
    "g",
    "defs",
    "path",
    "rect",
    "circle",
    "ellipse",
    "line",
    "polyline",
    "polygon",
    "linearGradient",
    "radialGradient",
    "stop",
    "clipPath",
    "style",
    "title",
    "desc",
    "metadata",
];
const NAMESPACE: &str = "http://www.w3.org/2000/svg";
/// What an SVG has at most: elements, attributes and texts; elements inside of each other.
const NODES_MAX: u32 = 20_000;
const DEPTH_MAX: usize = 64;

// === impl Picture ===

impl Picture {
    /// Reads a file by how it begins.
    pub(super) fn read(bytes: Vec<u8>) -> Result<Self, Error> {
        let first = bytes.iter().find(|byte| !byte.is_ascii_whitespace());
        // UTF-8 may say that it is.
        if first == Some(&b'<') || bytes.starts_with("\u{feff}<".as_bytes()) {
            return shapes(&bytes).map(|tree| Self::Shapes(Arc::new(tree))).map_err(Error::Logo);
        }
        let is_jpeg = bytes.starts_with(&[0xff, 0xd8]);
        let data = Data::from(bytes);
        let read = if is_jpeg { Image::from_jpeg(data, false) } else { Image::from_png(data, false) };
        read.map(Self::Pixels).map_err(|error| Error::Logo(format!("it is no PNG, JPEG or SVG: {error}")))
    }

    /// As large as fits into a frame, in its own proportions.
    pub(super) fn size(&self, width_max: f32, height_max: f32) -> (f32, f32) {
        let (width, height) = self.own_size();
        let scale = (width_max / width).min(height_max / height);
        (width * scale, height * scale)
    }

    fn own_size(&self) -> (f32, f32) {
        match self {
            Self::Pixels(image) => {
                let (width, height) = image.size();
                let side = |pixels: u32| f32::from(u16::try_from(pixels).unwrap_or(u16::MAX)).max(1.0);
                (side(width), side(height))
            }
            Self::Shapes(tree) => (tree.size().width(), tree.size().height()),
        }
    }

    /// Draws it from its upper left corner.
    pub(super) fn draw(&self, surface: &mut Surface<'_>, (x, y): (f32, f32), (width, height): (f32, f32)) {
        let Some(size) = Size::from_wh(width, height) else { return };
        surface.push_transform(&Transform::from_translate(x, y));
        match self {
            Self::Pixels(image) => surface.draw_image(image.clone(), size),
            Self::Shapes(tree) => {
                let (own_width, own_height) = self.own_size();
                let frame = usvg::tiny_skia_path::Rect::from_xywh(0.0, 0.0, own_width, own_height);
                surface.push_transform(&Transform::from_scale(width / own_width, height / own_height));
                let frame = frame.map(usvg::tiny_skia_path::PathBuilder::from_rect);
                let clipped = frame.and_then(|frame| path(&frame, usvg::Transform::identity()));
                if let Some(frame) = &clipped {
                    surface.push_clip_path(frame, &FillRule::NonZero);
                }
                group(surface, tree.root());
                if clipped.is_some() {
                    surface.pop();
                }
                surface.pop();
            }
        }
        surface.pop();
    }
}

// === What an SVG may be ===

fn shapes(bytes: &[u8]) -> Result<usvg::Tree, String> {
    let text = std::str::from_utf8(bytes).map_err(|_| "an SVG has to be UTF-8".to_owned())?;
    let options = ParsingOptions { allow_dtd: false, nodes_limit: NODES_MAX, ..ParsingOptions::default() };
    let unreadable = |error: &dyn std::fmt::Display| format!("the SVG cannot be read: {error}");
    let document = Document::parse_with_options(text, options).map_err(|error| unreadable(&error))?;
    document.descendants().filter(Element::is_element).try_for_each(allowed)?;
    let nothing =
        usvg::ImageHrefResolver { resolve_data: Box::new(|_, _, _| None), resolve_string: Box::new(|_, _| None) };
    let options = usvg::Options { image_href_resolver: nothing, ..usvg::Options::default() };
    let tree = usvg::Tree::from_xmltree(&document, &options).map_err(|error| unreadable(&error))?;
    plain(tree.root())?;
    Ok(tree)
}

fn allowed(element: Element<'_, '_>) -> Result<(), String> {
    let name = element.tag_name();
    if name.namespace() != Some(NAMESPACE) {
        // What drawing programs write for themselves is not drawn.
        return if element.parent_element().is_some() { Ok(()) } else { Err("it is no SVG".to_owned()) };
    }
    let said = |what: &str| Err(format!("an SVG for a logo is made of shapes alone: {what}; save it as paths"));
    if !DRAWN.contains(&name.name()) {
        return said(&format!("it has an element '{}'", name.name()));
    }
    if element.ancestors().nth(DEPTH_MAX).is_some() {
        return said("its elements stand too deep in each other");
    }
    let outside =
        |value: &str| value.split("url(").skip(1).any(|to| !to.trim_start_matches(['"', '\'', ' ']).starts_with('#'));
    let refers = element
        .attributes()
        .find(|one| (one.name() == "href" && !one.value().starts_with('#')) || outside(one.value()));
    if let Some(refers) = refers {
        return said(&format!("it refers to '{}'", refers.value()));
    }
    match element.text().filter(|text| name.name() == "style" && (text.contains("@import") || outside(text))) {
        Some(_) => said("its style refers to what is elsewhere"),
        None => Ok(()),
    }
}

/// Whether all of it can be drawn as it is meant.
fn plain(group: &usvg::Group) -> Result<(), String> {
    if !group.filters().is_empty() || group.mask().is_some() {
        return Err("an SVG for a logo is made of shapes alone: it has a filter; save it without".to_owned());
    }
    group.children().iter().try_for_each(|node| match node {
        usvg::Node::Group(inner) => plain(inner),
        _ => Ok(()),
    })
}

// === How it is drawn ===

fn group(surface: &mut Surface<'_>, group: &usvg::Group) {
    surface.push_transform(&transform(group.transform()));
    let mut pushed = 1;
    let mut next = group.clip_path();
    while let Some(clip) = next {
        let (mut builder, own) = (PathBuilder::new(), clip.transform());
        outline(clip.root(), own, &mut builder);
        // A clip of nothing leaves nothing.
        let Some(clipped) = builder.finish() else { return (0..pushed).for_each(|_| surface.pop()) };
        surface.push_clip_path(&clipped, &FillRule::NonZero);
        pushed += 1;
        next = clip.clip_path();
    }
    if group.opacity().get() < 1.0 {
        surface.push_opacity(share(group.opacity().get()));
        pushed += 1;
    }
    for node in group.children() {
        match node {
            usvg::Node::Group(inner) => self::group(surface, inner),
            usvg::Node::Path(shape) if shape.is_visible() => self::shape(surface, shape),
            _ => {}
        }
    }
    (0..pushed).for_each(|_| surface.pop());
}

/// The shapes of a clip, all in one.
fn outline(group: &usvg::Group, above: usvg::Transform, builder: &mut PathBuilder) {
    let own = above.pre_concat(group.transform());
    for node in group.children() {
        match node {
            usvg::Node::Group(inner) => outline(inner, own, builder),
            usvg::Node::Path(shape) => follow(shape.data(), own, builder),
            _ => {}
        }
    }
}

fn shape(surface: &mut Surface<'_>, shape: &usvg::Path) {
    let Some(path) = path(shape.data(), usvg::Transform::identity()) else { return };
    let fill = shape.fill().and_then(fill);
    let stroke = shape.stroke().and_then(stroke);
    let parts = match shape.paint_order() {
        usvg::PaintOrder::FillAndStroke => [(fill, None), (None, stroke)],
        usvg::PaintOrder::StrokeAndFill => [(None, stroke), (fill, None)],
    };
    for (fill, stroke) in parts {
        if fill.is_some() || stroke.is_some() {
            surface.set_fill(fill);
            surface.set_stroke(stroke);
            surface.draw_path(&path);
        }
    }
    surface.set_stroke(None);
}

fn fill(fill: &usvg::Fill) -> Option<Fill> {
    let rule = match fill.rule() {
        usvg::FillRule::NonZero => FillRule::NonZero,
        usvg::FillRule::EvenOdd => FillRule::EvenOdd,
    };
    Some(Fill { paint: paint(fill.paint())?, opacity: share(fill.opacity().get()), rule })
}

fn stroke(stroke: &usvg::Stroke) -> Option<Stroke> {
    let dash = stroke.dasharray().map(|array| StrokeDash { array: array.to_vec(), offset: stroke.dashoffset() });
    Some(Stroke {
        paint: paint(stroke.paint())?,
        width: stroke.width().get(),
        miter_limit: stroke.miterlimit().get(),
        line_cap: match stroke.linecap() {
            usvg::LineCap::Butt => LineCap::Butt,
            usvg::LineCap::Round => LineCap::Round,
            usvg::LineCap::Square => LineCap::Square,
        },
        line_join: match stroke.linejoin() {
            usvg::LineJoin::Miter | usvg::LineJoin::MiterClip => LineJoin::Miter,
            usvg::LineJoin::Round => LineJoin::Round,
            usvg::LineJoin::Bevel => LineJoin::Bevel,
        },
        opacity: share(stroke.opacity().get()),
        dash,
    })
}

fn paint(paint: &usvg::Paint) -> Option<Paint> {
    Some(match paint {
        usvg::Paint::Color(color) => self::color(*color).into(),
        usvg::Paint::LinearGradient(gradient) => LinearGradient {
            x1: gradient.x1(),
            y1: gradient.y1(),
            x2: gradient.x2(),
            y2: gradient.y2(),
            transform: transform(gradient.transform()),
            spread_method: spread(gradient.spread_method()),
            stops: stops(gradient.stops()),
            anti_alias: false,
        }
        .into(),
        usvg::Paint::RadialGradient(gradient) => RadialGradient {
            fx: gradient.fx(),
            fy: gradient.fy(),
            fr: gradient.fr().get(),
            cx: gradient.cx(),
            cy: gradient.cy(),
            cr: gradient.r().get(),
            transform: transform(gradient.transform()),
            spread_method: spread(gradient.spread_method()),
            stops: stops(gradient.stops()),
            anti_alias: false,
        }
        .into(),
        // Its element was refused.
        usvg::Paint::Pattern(_) => return None,
    })
}

fn stops(stops: &[usvg::Stop]) -> Vec<Stop> {
    let stop = |stop: &usvg::Stop| Stop {
        offset: share(stop.offset().get()),
        color: RegularColor::Rgb(color(stop.color())).into(),
        opacity: share(stop.opacity().get()),
    };
    stops.iter().map(stop).collect()
}

fn spread(method: usvg::SpreadMethod) -> SpreadMethod {
    match method {
        usvg::SpreadMethod::Pad => SpreadMethod::Pad,
        usvg::SpreadMethod::Reflect => SpreadMethod::Reflect,
        usvg::SpreadMethod::Repeat => SpreadMethod::Repeat,
    }
}

fn color(color: usvg::Color) -> rgb::Color {
    rgb::Color::new(color.red, color.green, color.blue)
}

fn share(part: f32) -> NormalizedF32 {
    NormalizedF32::new(part).unwrap_or(NormalizedF32::ONE)
}

fn transform(by: usvg::Transform) -> Transform {
    Transform::from_row(by.sx, by.ky, by.kx, by.sy, by.tx, by.ty)
}

fn path(data: &usvg::tiny_skia_path::Path, by: usvg::Transform) -> Option<Path> {
    let mut builder = PathBuilder::new();
    follow(data, by, &mut builder);
    builder.finish()
}

fn follow(data: &usvg::tiny_skia_path::Path, by: usvg::Transform, builder: &mut PathBuilder) {
    let Some(data) = data.clone().transform(by) else { return };
    for segment in data.segments() {
        match segment {
            PathSegment::MoveTo(to) => builder.move_to(to.x, to.y),
            PathSegment::LineTo(to) => builder.line_to(to.x, to.y),
            PathSegment::QuadTo(by, to) => builder.quad_to(by.x, by.y, to.x, to.y),
            PathSegment::CubicTo(one, two, to) => builder.cubic_to(one.x, one.y, two.x, two.y, to.x, to.y),
            PathSegment::Close => builder.close(),
        }
    }
}
