//! Style, keys and icon: in the program itself, under names that change with their content, so that browsers keep them.

use crate::session::hex;
use axum::extract::Path;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use sha2::{Digest, Sha256};
use std::sync::LazyLock;

struct Asset {
    name: String,
    media_type: &'static str,
    content: &'static str,
}

static STYLE: LazyLock<Asset> =
    LazyLock::new(|| Asset::new("style", "css", "text/css", include_str!("assets/style.css")));
static KEYS: LazyLock<Asset> =
    LazyLock::new(|| Asset::new("keys", "js", "text/javascript", include_str!("assets/keys.js")));
static ICON: LazyLock<Asset> =
    LazyLock::new(|| Asset::new("icon", "svg", "image/svg+xml", include_str!("assets/icon.svg")));

/// Where the style is.
pub(crate) fn style() -> String {
    STYLE.path()
}

/// Where the keys are.
pub(crate) fn keys() -> String {
    KEYS.path()
}

/// Where the icon is.
pub(crate) fn icon() -> String {
    ICON.path()
}

/// One of them.
pub(crate) async fn serve(Path(name): Path<String>) -> Response {
    match [&STYLE, &KEYS, &ICON].into_iter().find(|asset| asset.name == name) {
        Some(asset) => {
            let kept = "public, max-age=31536000, immutable";
            ([(header::CONTENT_TYPE, asset.media_type), (header::CACHE_CONTROL, kept)], asset.content).into_response()
        }
        None => (StatusCode::NOT_FOUND, "there is no such file\n").into_response(),
    }
}

impl Asset {
    fn new(name: &str, ending: &str, media_type: &'static str, content: &'static str) -> Self {
        let hash = hex(&Sha256::digest(content));
        Self { name: format!("{name}-{}.{ending}", hash.get(..12).unwrap_or_default()), media_type, content }
    }

    fn path(&self) -> String {
        format!("/console/assets/{}", self.name)
    }
}
