//! Passwords and the like: read from a file or the environment, never shown.

use crate::failure::{Context, Failure, Result};
use std::path::Path;

/// A secret's text, or an address that may hold one. Debug output does not show it.
#[derive(Clone, PartialEq, Eq, serde::Deserialize)]
#[serde(transparent)]
pub(crate) struct Secret(String);

impl Secret {
    /// The text itself, for whoever has to show it to a server.
    pub(crate) fn reveal(&self) -> &str {
        &self.0
    }

    /// Reads `key_file` or `key_env`, whichever is set.
    ///
    /// # Errors
    /// Both are set, or what is set is not there or is empty.
    pub(super) fn read(key: &str, file: Option<&Path>, variable: Option<&str>) -> Result<Option<Self>> {
        let text = match (file, variable) {
            (None, None) => return Ok(None),
            (Some(_), Some(_)) => {
                return Err(Failure::refused(format_args!("{key}_file and {key}_env are both set; keep one of them")));
            }
            (Some(path), None) => {
                std::fs::read_to_string(path).context(format_args!("{key}_file: cannot read {}", path.display()))?
            }
            (None, Some(variable)) => std::env::var(variable)
                .context(format_args!("{key}_env: the environment variable {variable} cannot be read"))?,
        };
        // Files end with a line break more often than secrets do.
        let text = text.trim_end_matches(['\r', '\n']);
        if text.is_empty() {
            return Err(Failure::refused(format_args!("{key}_file or {key}_env: the secret is empty")));
        }
        Ok(Some(Self(text.to_owned())))
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str("Secret(…)")
    }
}
