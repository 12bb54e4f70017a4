//! From a declared subscription to its timeline.

use super::Catalog;
use super::blame::Blame;
use super::entity::{Customer, Entry, Plan, Subscribe, Subscription};
use super::error::near;
use super::reader::Notes;
use crate::plan::{PlanRef, PlanVersion};
use crate::subscription::{self, Wanted};
use crate::time::{Instant, Span};
use std::sync::Arc;

/// What a subscription is planned against.
pub(super) struct Planner<'a> {
    pub(super) catalog: &'a Catalog,
    pub(super) notes: &'a Notes,
    pub(super) log_time: Instant,
    pub(super) future: Span,
    pub(super) migrate: &'a [crate::id::PlanId],
}

impl Planner<'_> {
    /// The subscription after its declaration: new, changed or the same. None where a mistake was noted.
    pub(super) fn plan(
        &self,
        declared: &Subscribe,
        current: Option<&Entry<Subscription>>,
        blame: &Blame<'_>,
    ) -> Option<Subscription> {
        let wanted = self.wanted(declared, current, blame)?;
        let planned = match current {
            None => subscription::Subscription::begin(&wanted, self.log_time, self.future),
            Some(current) => current.timeline.change(&wanted, self.log_time, self.future),
        };
        let timeline = planned.map_err(|error| blame.note(self.notes, key_of(&error), error.to_string())).ok()?;
        let began = |current: &Entry<Subscription>| current.timeline.from().is_some_and(|from| from < self.earliest());
        if declared.backfill && current.is_some_and(|current| began(current) && !current.backfill) {
            let message = "a subscription that runs cannot bill what was over when it came; leave it out";
            blame.note(self.notes, "backfill", message);
        }
        Some(Subscription { declared: declared.clone(), timeline })
    }

    fn earliest(&self) -> Instant {
        self.log_time.plus(self.future)
    }

    fn wanted(&self, declared: &Subscribe, current: Option<&Entry<Subscription>>, blame: &Blame<'_>) -> Option<Wanted> {
        let customer = self.customer(declared, blame);
        let version = self.version(declared, current, blame);
        let (customer, version) = (customer?, version?);
        check_overrides(self.notes, declared, version, blame);
        let grid = crate::period::Grid {
            every: version.every,
            anchor: match declared.anchor.map(|anchor| (anchor, anchor.resolve(version.every))) {
                None => crate::period::Anchor::Calendar,
                Some((_, Ok(anchor))) => anchor,
                Some((anchor, Err(allowed))) => {
                    let (id, every) = (&version.plan.id, version.every);
                    let message = format!("found {anchor}; plan '{id}' is billed every {every}, allowed is {allowed}");
                    blame.note(self.notes, "anchor", message);
                    return None;
                }
            },
            zone: customer.time_zone.clone(),
        };
        let moment = |key: &str, moment: super::date::Moment| {
            moment.at(&grid.zone).map_err(|error| blame.note(self.notes, key, error.to_string())).ok()
        };
        let same_from = current.filter(|current| current.from == declared.from);
        let from = match same_from.and_then(|current| current.timeline.from()) {
            Some(from) => from,
            None => moment("from", declared.from)?,
        };
        let until = match declared.until {
            Some(until) => Some(self.until(current, until).or_else(|| moment("until", until))?),
            None => None,
        };
        let trial_until = match declared.trial_until {
            Some(until) => Some(moment("trial_until", until)?),
            None => None,
        };
        let new_trial = current.is_none_or(|current| current.trial_until != declared.trial_until);
        if let Some(until) = trial_until.filter(|until| new_trial && *until <= from) {
            let message = format!("{until} is not after `from`, {from}, so that there would be no trial; leave it out");
            blame.note(self.notes, "trial_until", message);
        }
        Some(Wanted {
            id: declared.id.clone(),
            customer: declared.customer.clone(),
            plan: version.plan.clone(),
            grid,
            from,
            until,
            trial_until,
            change: declared.change,
            backfill: declared.backfill,
            filter: declared.filter.clone(),
            overrides: declared.overrides.clone(),
        })
    }

    /// The end that a subscription has, where the same was declared and another zone may not move it any more.
    fn until(&self, current: Option<&Entry<Subscription>>, until: super::date::Moment) -> Option<Instant> {
        let current = current.filter(|current| current.until == Some(until))?;
        current.timeline.until().filter(|end| *end <= self.earliest())
    }

    fn customer(&self, declared: &Subscribe, blame: &Blame<'_>) -> Option<&Arc<Entry<Customer>>> {
        let customers = &self.catalog.customers;
        let found = customers.get(&declared.customer).filter(|customer| !customer.ended);
        if found.is_none() {
            let ids = customers.iter().filter(|(_, customer)| !customer.ended).map(|(id, _)| id.as_str());
            let id = &declared.customer;
            blame.note(self.notes, "customer", format!("there is no customer '{id}'{}", near(id.as_str(), ids)));
        }
        found
    }

    /// The version of its plan: the one that it has (or will have), unless its plan changes or all move to the newest.
    fn version(
        &self,
        declared: &Subscribe,
        current: Option<&Entry<Subscription>>,
        blame: &Blame<'_>,
    ) -> Option<&PlanVersion> {
        let plans = &self.catalog.plans;
        let Some(plan) = plans.get(&declared.plan) else {
            let ids = plans.iter().filter(|(_, plan)| !plan.ended).map(|(id, _)| id.as_str());
            let id = &declared.plan;
            blame.note(self.notes, "plan", format!("there is no plan '{id}'{}", near(id.as_str(), ids)));
            return None;
        };
        let over = current.is_some_and(|current| current.timeline.until().is_some_and(|until| until <= self.log_time));
        if (over || !self.migrate.contains(&declared.plan))
            && let Some(kept) = current.and_then(|current| self.kept(current, plan))
        {
            return plan.version(kept.version);
        }
        if plan.ended {
            blame.note(self.notes, "plan", format!("plan '{}' has ended; name another", declared.plan));
            return None;
        }
        plan.newest()
    }

    fn kept<'c>(&self, current: &'c Entry<Subscription>, plan: &Plan) -> Option<&'c PlanRef> {
        let last = current.timeline.terms.last();
        let running = current.timeline.term_at(self.earliest());
        let begun = current.timeline.from().is_some_and(|from| from < self.earliest());
        let of_plan = |term: &&subscription::Term| term.plan.id == plan.id;
        last.filter(of_plan)
            .or(running.filter(of_plan))
            .filter(|_| begun || current.plan == plan.id)
            .map(|term| &term.plan)
    }
}

fn key_of(error: &subscription::Error) -> &'static str {
    match error {
        subscription::Error::EndsBeforeItBegins { .. } | subscription::Error::EndsTooEarly { .. } => "until",
        subscription::Error::Begun { .. } | subscription::Error::Time(_) => "from",
        subscription::Error::OtherCustomer { .. } => "customer",
        subscription::Error::Ended { .. } => "",
    }
}

/// Curves must replace prices of the plan, and fit their meters.
fn check_overrides(notes: &Notes, declared: &Subscribe, version: &PlanVersion, blame: &Blame<'_>) {
    for (id, curve) in &declared.overrides {
        let key = format!("overrides.{id}");
        let Some(price) = version.prices.iter().find(|price| price.id == *id) else {
            let known = near(id.as_str(), version.prices.iter().map(|price| price.id.as_str()));
            blame.note(notes, &key, format!("plan '{}' has no price '{id}'{known}", version.plan.id));
            continue;
        };
        if let Some(meter) = version.meters.get(&price.meter)
            && let Err(error) = crate::price::check_curve(curve, price, meter)
        {
            blame.note(notes, &key, error.to_string());
        }
    }
}
