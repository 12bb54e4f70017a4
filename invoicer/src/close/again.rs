//! Bills that are made again although later ones are issued: after a void, from the basis of the invoice that was voided.
//!
//! What came late since stands on later bills, so such a bill takes its usage from the same manifests, and begins with the
//! same account but for what the chain has rounded and taken of credits by now. Customer, seller and taxes are today's.

use super::chain::Key;
use super::decide::Situation;
use super::desk::{Customer, Desk};
use super::issue::Numbers;
use super::reached::Reached;
use super::walk::Order;
use super::{Account, Closer, Error, State, verify};
use crate::ledger::{Basis, Draft};
use pricing::bill::{self, Usage};
use pricing::id::{SubscriptionId, TenantId};
use pricing::time::Instant;
use std::collections::BTreeMap;
use storage::charges::{self, PeriodKey};

type Usages = BTreeMap<(SubscriptionId, Instant), Usage>;

// === impl Closer ===

impl Closer {
    /// Makes the bills of some customers that are to be made again; returns how many documents were written.
    pub(super) async fn make_again(
        &self,
        state: &mut State,
        desk: &Desk,
        accounts: &[Account],
        reached: &Reached,
        order: Option<&Order>,
    ) -> Result<usize, Error> {
        let mut written = 0;
        for account in accounts {
            let Some(customer) = desk.customers.get(&account.1) else { continue };
            for currency in desk.currencies(customer) {
                let key = Key { tenant: account.0.clone(), customer: account.1.clone(), currency };
                let again = state.chains.get(&key).map(|chain| &chain.again);
                let ends: Vec<Instant> = again.into_iter().flat_map(BTreeMap::keys).copied().collect();
                for end in ends {
                    let asked = order.filter(|order| order.key == key && order.end == end);
                    written += self.one_again(state, desk, customer, &key, end, (reached.of(account), asked)).await?;
                }
            }
        }
        Ok(written)
    }

    async fn one_again(
        &self,
        state: &mut State,
        desk: &Desk,
        customer: &Customer,
        key: &Key,
        end: Instant,
        (now, order): (Instant, Option<&Order>),
    ) -> Result<usize, Error> {
        let chain = state.chains.entry(key.clone()).or_default();
        let Some(number) = chain.again.get(&end).and_then(|(bill, _)| bill.again.clone()) else { return Ok(0) };
        let basis = self.document(&key.tenant, &number).await?.basis;
        let customer = Customer { subscriptions: basis.subscriptions.clone(), ..customer.clone() };
        let before = basis.account.clone().with_sums_of(&chain.stored.account);
        let test = self.publisher.is_test_clock();
        let mut situation = Situation::again(key, end, &before, basis.periods.clone(), test);
        match self.usage_of(&key.tenant, desk, &basis).await {
            Ok(usage) => {
                situation.prepared = Some(bill::prepare(&bill::Request {
                    end,
                    currency: key.currency,
                    party: &customer.party,
                    subscriptions: &customer.subscriptions,
                    plans: &desk.plans,
                    taxes: &desk.taxes,
                    credits: &customer.credits,
                    rounding: desk.terms.rounding,
                    usage: &usage,
                    account: &before,
                }));
            }
            Err(Error::Charges(error @ (charges::Error::Damaged { .. } | charges::Error::Overflow { .. }))) => {
                situation.difference = Some(error.to_string());
            }
            Err(error) => return Err(error),
        }
        let decision = situation.decide(desk, chain, now, true, order);
        if let Some(report) = decision.report(key, &mut state.reported) {
            tracing::error!(bill = key.bill_id(end), "{report}");
        }
        let mut draft = Draft::new(order.map_or("invoicer", |order| &order.who), "close", self.publisher.log_time());
        let mut numbers = Numbers::new(&self.ledger, test);
        let effect = numbers.write(&mut draft, desk, &customer, chain, key, decision, now).await?;
        numbers.finish(&mut draft)?;
        let written = draft.len();
        self.ledger.commit(draft).await?;
        if let Some(effect) = effect {
            state.apply(&effect, desk);
        }
        Ok(written)
    }

    /// What a document was made from, added up again.
    async fn usage_of(&self, tenant: &TenantId, desk: &Desk, basis: &Basis) -> Result<Usages, Error> {
        let mut usage = Usages::new();
        for period in &basis.periods {
            let (subscription, start) = (period.subscription.clone(), period.start);
            let key = PeriodKey { customer: basis.party.id.clone(), subscription, start };
            let plan = desk.plans.get(&period.plan).map(AsRef::as_ref);
            let curves = verify::Curves::of(plan, &basis.subscriptions, &key);
            let sums = verify::recount(self.charges.as_ref(), tenant, &key, curves, period.offset).await?;
            usage.insert((key.subscription, key.start), verify::usage(&sums));
        }
        Ok(usage)
    }
}
