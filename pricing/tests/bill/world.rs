//! A tenant with one customer, `c`, whose usage is priced as the rater would and whose bills are checked one by one.

use pricing::bill::{self, Account, Bill, Credit, Due, Error, Kind, Party, Plans, Prepared, Request, Tax};
use pricing::bill::{Sum, Usage};
use pricing::catalog::{Catalog, Errors, File, Options};
use pricing::currency::Currency;
use pricing::group::Group;
use pricing::id::{CustomerId, SubscriptionId, TaxId, TenantId};
use pricing::number::{Amount, Minor, Quantity};
use pricing::price::{State, Terms};
use pricing::subscription::Subscription;
use pricing::time::Instant;
use std::collections::BTreeMap;
use std::sync::Arc;

/// One event: price, group or table properties, value.
type Event = (String, Vec<(String, String)>, Quantity);

pub(crate) struct World {
    pub(crate) catalog: Catalog,
    events: BTreeMap<(SubscriptionId, Instant), Vec<Event>>,
    pub(crate) accounts: BTreeMap<Currency, Account>,
    pub(crate) bills: Vec<Bill>,
}

pub(crate) fn at(text: &str) -> Instant {
    let full = if text.contains('T') { text.to_owned() } else { format!("{text}T00:00:00Z") };
    full.parse().unwrap()
}

pub(crate) fn amount(text: &str) -> Amount {
    text.parse().unwrap()
}

impl World {
    /// A catalog put in force long before anything in it begins.
    pub(crate) fn new(yaml: &str) -> Self {
        let catalog = Catalog::new(TenantId::new("t").unwrap());
        let mut world = Self { catalog, events: BTreeMap::new(), accounts: BTreeMap::new(), bills: Vec::new() };
        world.apply(yaml, "2020-01-01");
        world
    }

    pub(crate) fn apply(&mut self, yaml: &str, log_time: &str) {
        self.try_apply(yaml, at(log_time)).unwrap_or_else(|errors| panic!("{errors}\n{yaml}"));
    }

    pub(crate) fn try_apply(&mut self, yaml: &str, log_time: Instant) -> Result<(), Errors> {
        let file = File::parse(&format!("apiVersion: farthing/v1\n{yaml}"))?;
        self.catalog = self.catalog.apply(&file, &Options::default(), log_time)?.catalog;
        Ok(())
    }

    pub(crate) fn subscriptions(&self) -> Vec<Subscription> {
        self.catalog.timelines(&CustomerId::new("c").unwrap())
    }

    fn plans(&self) -> Plans {
        self.catalog.plan_versions().map(|plan| (plan.plan.clone(), Arc::new(plan.clone()))).collect()
    }

    /// Something used by subscription `s`.
    pub(crate) fn used(&mut self, time: &str, price: &str, quantity: &str) {
        self.used_with("s", time, price, &[], quantity.parse().unwrap());
    }

    pub(crate) fn used_with(&mut self, id: &str, time: &str, price: &str, with: &[(&str, &str)], quantity: Quantity) {
        let id = SubscriptionId::new(id).unwrap();
        let subscriptions = self.subscriptions();
        let subscription = subscriptions.iter().find(|subscription| subscription.id == id).unwrap();
        let (period, _, _) = subscription.period_at(at(time)).expect("a period holds the event");
        let with = with.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        self.events.entry((id, period.start)).or_default().push((price.to_owned(), with, quantity));
    }

    /// What the rater's manifests say.
    pub(crate) fn usage(&self) -> BTreeMap<(SubscriptionId, Instant), Usage> {
        let subscriptions = self.subscriptions();
        let plans = self.plans();
        let mut usage = BTreeMap::new();
        for ((id, start), events) in &self.events {
            let subscription = subscriptions.iter().find(|subscription| subscription.id == *id).unwrap();
            let (_, term, share) = subscription.period_starting(*start).unwrap();
            let plan = &plans[&term.plan];
            let mut states = BTreeMap::<(String, Group), (State, Quantity)>::new();
            let mut sums = BTreeMap::<(String, Group, u32), Sum>::new();
            for (name, with, quantity) in events {
                let price = plan.prices.iter().find(|price| price.id.as_str() == name).expect("the plan has the price");
                let terms = Terms::new(price, term.overrides.get(&price.id), share).unwrap();
                let find = |name: &str| with.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str());
                let group = Group::of(&plan.meters[&price.meter].group_by, find);
                let scope = if price.per_group { group.clone() } else { Group::default() };
                let (state, before) = states.entry((name.clone(), scope)).or_default();
                let after = before.add(*quantity).unwrap();
                let charge = terms.charge(state, *before, after, find).unwrap();
                state.apply(&charge);
                *before = after;
                let row = if price.curve.kind() == "dimensional" { charge.tier } else { 0 };
                let sum = sums.entry((name.clone(), group.clone(), row)).or_insert_with(|| Sum {
                    price: price.id.clone(),
                    group,
                    row,
                    count: 0,
                    quantity: Quantity::ZERO,
                    amount: Amount::ZERO,
                });
                sum.count += 1;
                sum.quantity = sum.quantity.add(charge.quantity).unwrap();
                sum.amount = sum.amount.add(charge.amount).unwrap();
            }
            usage.insert((id.clone(), *start), Usage(sums.into_values().collect()));
        }
        usage
    }

    /// The bills due up to `until`, one after the other; the last of them.
    pub(crate) fn bill(&mut self, until: &str) -> &Bill {
        self.bill_up_to(at(until));
        self.bills.last().expect("a bill")
    }

    pub(crate) fn bill_up_to(&mut self, until: Instant) {
        let mut dues = Vec::new();
        let (subscriptions, plans) = (self.subscriptions(), self.plans());
        for due in bill::schedule(&subscriptions, &plans, None, until).unwrap() {
            if self.accounts.get(&due.currency).and_then(|account| account.end).is_none_or(|end| end < due.end) {
                dues.push(due);
            }
        }
        for due in dues {
            self.bill_at(due);
        }
    }

    pub(crate) fn bill_at(&mut self, due: Due) -> &Bill {
        let prepared = self.prepare(due, self.usage()).unwrap();
        check(&prepared.bill);
        let account = self.accounts.entry(due.currency).or_default();
        let residue = account.residue.add(prepared.bill.rounding_residue).unwrap();
        assert_eq!(residue, prepared.account.residue, "the residue goes to the account");
        let unit = due.currency.exact(Minor(1)).unwrap();
        assert!(residue.raw().abs() < unit.raw(), "the account stays below one minor unit: {residue}");
        let text = serde_json::to_string(&prepared.account).unwrap();
        *account = serde_json::from_str(&text).unwrap();
        assert_eq!(*account, prepared.account, "an account survives JSON");
        let text = serde_json::to_string(&prepared.bill).unwrap();
        assert_eq!(serde_json::from_str::<Bill>(&text).unwrap(), prepared.bill, "a bill survives JSON");
        self.bills.push(prepared.bill);
        self.bills.last().unwrap()
    }

    /// Prepares without issuing: periods without usage have an empty manifest.
    pub(crate) fn prepare(
        &self,
        due: Due,
        mut usage: BTreeMap<(SubscriptionId, Instant), Usage>,
    ) -> Result<Prepared, Error> {
        let (subscriptions, plans) = (self.subscriptions(), self.plans());
        let default = Account::default();
        let account = self.accounts.get(&due.currency).unwrap_or(&default);
        for part in bill::parts(&subscriptions, &plans, due, account)? {
            usage.entry((part.subscription, part.period.start)).or_default();
        }
        let taxes: BTreeMap<TaxId, Tax> =
            self.catalog.taxes().iter().map(|(id, tax)| (id.clone(), Tax::from(&tax.is))).collect();
        let credits: Vec<Credit> = self.catalog.credits().values().map(|credit| Credit::from(&credit.is)).collect();
        let party = Party::from(&self.catalog.customers().values().next().unwrap().is);
        bill::prepare(&Request {
            end: due.end,
            currency: due.currency,
            party: &party,
            subscriptions: &subscriptions,
            plans: &plans,
            taxes: &taxes,
            credits: &credits,
            rounding: self.catalog.settings().billing.rounding,
            usage: &usage,
            account,
        })
    }

    /// The tenant's first seller.
    pub(crate) fn seller(&self) -> Option<pricing::catalog::entity::Seller> {
        self.catalog.sellers().values().next().map(|seller| seller.is.clone())
    }

    /// The lines of the last bill, in short: kind, description, exact amount, printed amount.
    pub(crate) fn lines(&self) -> Vec<String> {
        let bill = self.bills.last().unwrap();
        let short = |line: &bill::Line| {
            let printed = bill.currency.text(line.amount);
            format!("{} | {} | {} | {printed}", line.kind.word(), line.description, line.amount_exact)
        };
        bill.lines.iter().map(short).collect()
    }
}

/// What is true of every bill (DESIGN §10, MON-3).
pub(crate) fn check(bill: &Bill) {
    let unit = bill.currency.exact(Minor(1)).unwrap();
    let printed: i64 = bill.lines.iter().map(|line| line.amount.0).sum();
    let exact = Amount::sum(bill.lines.iter().map(|line| line.amount_exact)).unwrap();
    assert_eq!(printed, bill.net.0, "printed lines sum to the printed net");
    assert_eq!(exact, bill.net_exact, "exact lines sum to the exact net");
    assert_eq!(bill.net_exact.sub(bill.currency.exact(bill.net).unwrap()).unwrap(), bill.rounding_residue);
    for line in &bill.lines {
        let off = bill.currency.exact(line.amount).unwrap().sub(line.amount_exact).unwrap();
        let one = line.kind == Kind::Rounding && off.raw().abs() == unit.raw();
        assert!(one || off.raw().abs() < unit.raw(), "each line is within one minor unit of exact: {line:?}");
        if let (Some(quantity), Some(each)) = (line.quantity, line.each) {
            let (per, one) = (line.per.unwrap_or(Quantity::ONE), Quantity::ONE.raw());
            let product = each.scale_by(quantity.raw(), one).unwrap();
            assert_eq!(
                product.scale_by(one, per.raw()).unwrap(),
                line.amount_exact,
                "the arithmetic is shown: {line:?}"
            );
        }
    }
    let taxed: i64 = bill.taxes.iter().map(|tax| tax.amount.0).sum();
    assert_eq!(bill.total.0, bill.net.0 + taxed);
    assert_eq!(bill.due.0, bill.total.0 - bill.prepaid.0);
    for tax in &bill.taxes {
        let under = |line: &&bill::Line| {
            line.tax.as_ref().is_some_and(|own| (&own.category, own.rate) == (&tax.tax.category, tax.tax.rate))
        };
        let net: i64 = bill.lines.iter().filter(under).map(|line| line.amount.0).sum();
        assert_eq!(net, tax.net.0, "a tax's net is that of its lines");
    }
}
