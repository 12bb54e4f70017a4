//! A document in the form that is asked for, rendered from its canonical JSON each time: the same JSON gives the same bytes.

use super::problem;
use documents::Customization;
use proto::code::Code;
use proto::status::Problem;

/// What a bill can be exported as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    Json,
    Csv,
    Ubl(Customization),
}

// === impl Form ===

impl Form {
    pub(super) fn read(format: &str, customization: &str) -> Result<Self, Problem> {
        let customization = match customization {
            "" | "en16931" => Customization::En16931,
            "peppol" => Customization::Peppol,
            "xrechnung" => Customization::Xrechnung,
            other => {
                let message = format!("'{other}' is no customization of UBL; send en16931, peppol or xrechnung");
                return Err(Problem::invalid(Code::FormatUnknown, message)
                    .with_violation("customization", "en16931, peppol or xrechnung"));
            }
        };
        match format {
            "json" => Ok(Self::Json),
            "csv" => Ok(Self::Csv),
            "ubl" => Ok(Self::Ubl(customization)),
            other => {
                let message = format!("'{other}' is no format that can be exported; send ubl, json or csv");
                Err(Problem::invalid(Code::FormatUnknown, message).with_violation("format", "ubl, json or csv"))
            }
        }
    }

    pub(super) fn media_type(self) -> &'static str {
        match self {
            Self::Json => "application/json",
            Self::Csv => "text/csv; charset=utf-8; header=present",
            Self::Ubl(_) => "application/xml",
        }
    }

    pub(super) async fn render(self, source: String) -> Result<Vec<u8>, Problem> {
        let render = move || match self {
            Self::Json => Ok(source.into_bytes()),
            Self::Csv => documents::csv(&source).map(String::into_bytes),
            Self::Ubl(customization) => documents::ubl(&source, customization),
        };
        // A long document takes tens of milliseconds, which other calls do not wait for.
        let rendered = tokio::task::spawn_blocking(render).await;
        let stopped = |error| Problem::internal(Code::BooksDamaged, format!("rendering stopped: {error}"));
        rendered.map_err(stopped)?.map_err(|error| problem::document(&error))
    }
}
