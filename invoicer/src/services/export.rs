//! A document in the form that is asked for, rendered from its canonical JSON alone. What an issued document was first
//! rendered as is kept: it stays as it was sent, whatever later versions would make of it.

use super::{Services, problem};
use crate::ledger::{Draft, Rendering};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use documents::Customization;
use proto::code::Code;
use proto::status::Problem;
use std::path::Path;
use std::sync::Arc;

/// What a bill can be exported as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    Json,
    Csv,
    Pdf,
    Ubl(Customization),
    Cii(Customization),
}

/// Pictures above this size are no logos.
const LOGO_BYTES_MAX: u64 = 1 << 20;
const FORMATS: &str = "pdf, ubl, cii, json or csv";

// === impl Form ===

impl Form {
    pub(super) fn read(format: &str, customization: &str) -> Result<Self, Problem> {
        let refused = |what: &str, allowed: &str, field: &str, found: &str| {
            let message = format!("'{found}' is no {what}; send {allowed}");
            Problem::invalid(Code::FormatUnknown, message).with_violation(field, allowed)
        };
        let rules = match customization {
            "" | "en16931" => Customization::En16931,
            "peppol" => Customization::Peppol,
            "xrechnung" => Customization::Xrechnung,
            other => {
                let allowed = "en16931, peppol or xrechnung";
                return Err(refused("customization of an electronic invoice", allowed, "customization", other));
            }
        };
        match format {
            "json" => Ok(Self::Json),
            "csv" => Ok(Self::Csv),
            "pdf" => Ok(Self::Pdf),
            "ubl" => Ok(Self::Ubl(rules)),
            "cii" if rules == Customization::Peppol => {
                Err(refused("customization of CII", "en16931 or xrechnung", "customization", customization))
            }
            "cii" => Ok(Self::Cii(rules)),
            other => Err(refused("format that can be exported", FORMATS, "format", other)),
        }
    }

    pub(super) fn media_type(self) -> &'static str {
        match self {
            Self::Json => "application/json",
            Self::Csv => "text/csv; charset=utf-8; header=present",
            Self::Pdf => "application/pdf",
            Self::Ubl(_) | Self::Cii(_) => "application/xml",
        }
    }

    /// The name under which it is kept; none where it is not: JSON is the document itself, CSV its lines as they stand there.
    fn kept_as(self) -> Option<String> {
        let rules = |rules: Customization| format!("{rules:?}").to_lowercase();
        match self {
            Self::Json | Self::Csv => None,
            Self::Pdf => Some("pdf".to_owned()),
            Self::Ubl(by) => Some(format!("ubl-{}", rules(by))),
            Self::Cii(by) => Some(format!("cii-{}", rules(by))),
        }
    }

    fn render(self, canonical: String, logo: Option<Vec<u8>>) -> Result<Vec<u8>, documents::Error> {
        match self {
            Self::Json => Ok(canonical.into_bytes()),
            Self::Csv => documents::csv(&canonical).map(String::into_bytes),
            Self::Pdf => documents::pdf(&canonical, logo),
            Self::Ubl(rules) => documents::ubl(&canonical, rules),
            Self::Cii(rules) => documents::cii(&canonical, rules),
        }
    }
}

// === impl Services ===

impl Services {
    /// Renders a document; one that is issued only once.
    pub(super) async fn rendered(
        &self,
        tenant: &pricing::id::TenantId,
        number: Option<&str>,
        canonical: String,
        form: Form,
    ) -> Result<Vec<u8>, Problem> {
        let place = number.and_then(|number| Some(format!("{number}/{}", form.kept_as()?)));
        let Some(place) = place else { return self.render(tenant, canonical, form).await };
        if let Some(kept) = self.kept(tenant, &place).await? {
            return Ok(kept);
        }
        let bytes = self.render(tenant, canonical, form).await?;
        let mut draft = Draft::new("documents", "render", self.publisher.log_time());
        let rendering = Rendering { content: BASE64.encode(&bytes) };
        draft.put(Some(tenant), &place, None, &rendering).map_err(|error| problem::ledger(&error))?;
        match self.ledger.commit(draft).await {
            // Somebody else was quicker: theirs stands.
            Err(error) if error.is_conflict() => Ok(self.kept(tenant, &place).await?.unwrap_or(bytes)),
            Err(error) => Err(problem::ledger(&error)),
            Ok(()) => Ok(bytes),
        }
    }

    async fn kept(&self, tenant: &pricing::id::TenantId, place: &str) -> Result<Option<Vec<u8>>, Problem> {
        let kept = self.ledger.get::<Rendering>(Some(tenant), place).await.map_err(|error| problem::ledger(&error))?;
        let damaged = |error| Problem::internal(Code::BooksDamaged, format!("what is kept of {place}: {error}"));
        kept.map(|kept| BASE64.decode(&kept.value.content).map_err(damaged)).transpose()
    }

    async fn render(&self, tenant: &pricing::id::TenantId, canonical: String, form: Form) -> Result<Vec<u8>, Problem> {
        let logos = self.logos.as_ref().map(|logos| logos.join(tenant.as_str()));
        let render = move || {
            let logo = if form == Form::Pdf { logo(&canonical, logos.as_deref())? } else { None };
            form.render(canonical, logo)
        };
        // A long document takes tens of milliseconds, which other calls do not wait for.
        let rendered = tokio::task::spawn_blocking(render).await;
        let stopped = |error| Problem::internal(Code::BooksDamaged, format!("rendering stopped: {error}"));
        rendered.map_err(stopped)?.map_err(|error| problem::document(&error))
    }

    /// Where logos are looked for.
    #[must_use]
    pub(crate) fn with_logos(mut self, folder: Option<Arc<Path>>) -> Self {
        self.logos = folder;
        self
    }
}

/// The picture that a document's seller wants on its pages, out of the tenant's folder.
fn logo(canonical: &str, folder: Option<&Path>) -> Result<Option<Vec<u8>>, documents::Error> {
    let Some(name) = documents::logo(canonical)? else { return Ok(None) };
    let lost = |why: String| documents::Error::Logo(why);
    let Some(folder) = folder else {
        return Err(lost(format!(
            "this system has no folder of logos, in which '{name}' could be; name it in [invoicer] logos"
        )));
    };
    let path = folder.join(&name);
    let shown = path.display();
    let size = std::fs::metadata(&path).map_err(|error| lost(format!("put it at {shown}: {error}")))?.len();
    if size > LOGO_BYTES_MAX {
        return Err(lost(format!("{shown} has {size} bytes, at most {LOGO_BYTES_MAX} are taken")));
    }
    std::fs::read(&path).map(Some).map_err(|error| lost(format!("{shown} cannot be read: {error}")))
}
