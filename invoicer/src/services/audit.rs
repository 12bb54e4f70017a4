//! `AuditService`: what was changed in the books.

use super::access::Granted;
use super::{Services, page, problem, words};
use proto::v1;
use proto::v1::audit_service_server::AuditService;
use storage::books::{AuditEntry, AuditQuery};
use storage::keyring::Scope;
use tonic::{Request, Response, Status, async_trait};

/// How much of documents one page holds, but for a first one that is longer.
const PAGE_BYTES_MAX: usize = 8 << 20;

#[async_trait]
impl AuditService for Services {
    async fn list(&self, request: Request<v1::ListAuditRequest>) -> Result<Response<v1::ListAuditResponse>, Status> {
        let tenant = if request.get_ref().installation {
            self.installation(request.metadata(), Scope::Finance, "these documents").await?;
            None
        } else {
            let Granted { tenant, .. } = self.access.granted(request.metadata(), Scope::Finance).await?;
            Some(tenant)
        };
        let asked = request.into_inner();
        let size = page::size(asked.page_size)?;
        let query = AuditQuery {
            tenant,
            collection: some(asked.collection),
            id: some(asked.document),
            from: words::instant("from", asked.from.as_ref())?,
            until: words::instant("until", asked.until.as_ref())?,
            after: page::after(&asked.page_token)?,
            descending: true,
            count_max: size + 1,
        };
        let found = self.ledger.books().audit(&query).await;
        let mut found = found.map_err(|error| problem::ledger(&error.into()))?;
        let size = size.min(fitting(&found));
        let next_page_token = page::cut(&mut found, size, |entry| entry.number);
        Ok(Response::new(v1::ListAuditResponse { entries: found.into_iter().map(one).collect(), next_page_token }))
    }
}

/// How many entries a page holds by their length: at least one.
fn fitting(entries: &[AuditEntry]) -> usize {
    let mut bytes = 0;
    let mut fits = |entry: &AuditEntry| {
        bytes += [&entry.before, &entry.after].into_iter().flatten().map(String::len).sum::<usize>();
        bytes <= PAGE_BYTES_MAX
    };
    entries.iter().position(|entry| !fits(entry)).unwrap_or(entries.len()).max(1)
}

fn some(text: String) -> Option<String> {
    Some(text).filter(|text| !text.is_empty())
}

fn one(entry: AuditEntry) -> v1::AuditEntry {
    v1::AuditEntry {
        number: entry.number,
        who: entry.who,
        action: entry.action,
        time: Some(words::timestamp(entry.log_time)),
        collection: entry.key.collection,
        document: entry.key.id,
        before: entry.before.unwrap_or_default(),
        after: entry.after.unwrap_or_default(),
    }
}
