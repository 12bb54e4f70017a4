//! `farthing openapi`: the OpenAPI file, as a server of this version gives it at `/v1/openapi.json`.

use crate::failure::Result;
use crate::{json, output};

/// Prints it.
pub(crate) fn run() -> Result {
    output::bytes(json::document()?.as_bytes())
}
