//! Customers' credits: how much of each is used, and that nothing takes away what bills have used.

use super::{Services, page, problem, words};
use crate::close::StoredAccount;
use pricing::catalog::entity::{Credit, CreditKind, Entry};
use pricing::catalog::{Change, Entity, Kind};
use pricing::id::TenantId;
use pricing::number::Amount;
use proto::code::Code;
use proto::status::Problem;
use proto::v1;
use storage::books::ListQuery;

// === impl Services ===

impl Services {
    /// A page of credits, by id.
    pub(super) async fn credits(
        &self,
        tenant: &TenantId,
        asked: &v1::ListCreditsRequest,
    ) -> Result<v1::ListCreditsResponse, Problem> {
        let size = page::size(asked.page_size)?;
        let customer = (!asked.customer.is_empty()).then(|| ("customer".to_owned(), asked.customer.clone()));
        let query = ListQuery {
            tenant: Some(tenant.clone()),
            collection: Kind::Credit.word().to_owned(),
            tags: customer.into_iter().collect(),
            after: page::after(&asked.page_token)?,
            count_max: size + 1,
            ..ListQuery::default()
        };
        let listed = self.ledger.books().list(&query).await;
        let mut documents = listed.map_err(|error| problem::ledger(&error.into()))?;
        if documents.is_empty() && !asked.customer.is_empty() {
            self.must_know(tenant, Kind::Customer, &asked.customer).await?;
        }
        let next_page_token = page::cut(&mut documents, size, |document| document.key.id.clone());
        let mut credits = Vec::with_capacity(documents.len());
        for document in documents {
            let damaged = |what: &dyn std::fmt::Display| {
                Problem::internal(Code::BooksDamaged, format!("credit '{}' cannot be read: {what}", document.key.id))
            };
            match Entity::from_json(Kind::Credit, &document.body).map_err(|error| damaged(&error))? {
                Entity::Credit(credit) => credits.push(self.credit_summary(tenant, &credit).await?),
                _ => return Err(damaged(&"it is no credit")),
            }
        }
        Ok(v1::ListCreditsResponse { credits, next_page_token })
    }

    async fn credit_summary(&self, tenant: &TenantId, credit: &Entry<Credit>) -> Result<v1::CreditSummary, Problem> {
        let used = self.used(tenant, credit).await?;
        let left = credit.amount.sub(used).unwrap_or_default().max(Amount::ZERO);
        let over = credit.ended || credit.expires_at.is_some_and(|expires| expires <= self.publisher.log_time());
        Ok(v1::CreditSummary {
            id: credit.id.to_string(),
            customer: credit.customer.to_string(),
            kind: kind(credit.kind).to_owned(),
            currency: credit.currency.to_string(),
            amount: credit.amount.to_string(),
            used: used.to_string(),
            left: left.to_string(),
            expires: credit.expires_at.map(words::timestamp),
            status: if left.is_zero() {
                "used"
            } else if over {
                "expired"
            } else {
                "open"
            }
            .to_owned(),
        })
    }

    /// How much of a credit issued bills have used.
    async fn used(&self, tenant: &TenantId, credit: &Credit) -> Result<Amount, Problem> {
        let account = format!("{}/{}", credit.customer, credit.currency);
        let stored = self.ledger.get::<StoredAccount>(Some(tenant), &account).await;
        let stored = stored.map_err(|error| problem::ledger(&error))?;
        Ok(stored.map(|stored| stored.value.used(&credit.id)).unwrap_or_default())
    }

    /// Refuses a change that leaves a credit with less than what bills have used of it, or makes it another one.
    pub(super) async fn keeps_credits(&self, tenant: &TenantId, change: &Change) -> Result<(), Problem> {
        for entity in &change.entities {
            let (Some(Entity::Credit(before)), Entity::Credit(after)) = (&entity.before, &entity.after) else {
                continue;
            };
            let used = self.used(tenant, before).await?;
            let same =
                (&before.customer, before.currency, before.kind) == (&after.customer, after.currency, after.kind);
            if used.is_zero() || (same && after.amount >= used) {
                continue;
            }
            let (id, currency) = (&before.id, before.currency);
            let message = if same {
                let (used, amount) = (currency.exact_text(used), currency.exact_text(after.amount));
                format!("credit '{id}': bills have used {used} {currency} of it; it cannot be lowered to {amount}")
            } else {
                format!("credit '{id}' is used already: its customer, kind and currency stay; declare another one")
            };
            return Err(Problem::conflict(Code::CreditUsed, message));
        }
        Ok(())
    }
}

/// A kind's word.
fn kind(kind: CreditKind) -> &'static str {
    match kind {
        CreditKind::Promotional => "promotional",
        CreditKind::Prepaid => "prepaid",
    }
}
