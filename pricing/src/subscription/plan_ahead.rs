//! How a timeline comes to be and how it changes. What lies before log time + future skew may be priced already, so it
//! stays as it is; all that follows is planned anew from what is wanted.

use super::{Error, Subscription, Term, Wanted, When};
use crate::time::{Instant, Span};

pub(super) fn begin(wanted: &Wanted, log_time: Instant, future: Span) -> Result<Subscription, Error> {
    if let Some(until) = wanted.until {
        check_end(wanted.from, until, log_time.plus(future))?;
    }
    let mut terms = Vec::new();
    plan(&mut terms, wanted, wanted.from);
    end(&mut terms, wanted.until);
    let mut made =
        Subscription { id: wanted.id.clone(), customer: wanted.customer.clone(), first_billed: wanted.from, terms };
    if !wanted.backfill
        && let Some((running, _, _)) = made.period_at(log_time)
    {
        made.first_billed = made.first_billed.max(running.start);
    }
    Ok(made)
}

pub(super) fn change(
    current: &Subscription,
    wanted: &Wanted,
    log_time: Instant,
    future: Span,
) -> Result<Subscription, Error> {
    if current.customer != wanted.customer {
        return Err(Error::OtherCustomer { customer: current.customer.clone(), wanted: wanted.customer.clone() });
    }
    let earliest = log_time.plus(future);
    let (Some(from), Some(running)) = (current.from(), current.terms.last()) else {
        return begin(wanted, log_time, future);
    };
    if from >= earliest {
        return begin(wanted, log_time, future);
    }
    if from != wanted.from {
        return Err(Error::Begun { from, wanted: wanted.from });
    }
    let until = running.until;
    if let Some(wanted_until) = wanted.until
        && until != wanted.until
    {
        check_end(from, wanted_until, earliest)?;
    }
    let over = until.is_some_and(|until| until <= log_time);
    let mut terms = current.terms.clone();
    if !over {
        end(&mut terms, None);
        let at = change_at(&terms, wanted, earliest)?;
        terms.retain(|term| term.from < at);
        plan(&mut terms, wanted, at);
        end(&mut terms, wanted.until);
    }
    if over && (until != wanted.until || terms.last().is_none_or(|last| last.plan != wanted.plan)) {
        return Err(Error::Ended { until: until.unwrap_or(log_time) });
    }
    Ok(Subscription { terms, ..current.clone() })
}

/// The moment from which what is wanted acts.
fn change_at(terms: &[Term], wanted: &Wanted, earliest: Instant) -> Result<Instant, Error> {
    let running = terms.iter().rfind(|term| term.from <= earliest);
    let Some(running) = running else { return Ok(wanted.from.max(earliest)) };
    let other_plan = running.plan != wanted.plan;
    if wanted.change == When::Now && other_plan {
        return Ok(earliest);
    }
    let full = running.grid.containing(earliest)?;
    let starts_here = full.start.max(running.from) == earliest;
    let end = running.until.map_or(full.end, |until| full.end.min(until));
    Ok(if starts_here { earliest } else { end })
}

/// Plans from `at` on, joining the last term where nothing differs.
fn plan(terms: &mut Vec<Term>, wanted: &Wanted, at: Instant) {
    let term = |from: Instant, trial: bool| Term {
        from,
        until: None,
        plan: wanted.plan.clone(),
        grid: wanted.grid.clone(),
        trial,
        filter: wanted.filter.clone(),
        overrides: wanted.overrides.clone(),
    };
    let trial_until = wanted.trial_until.filter(|until| *until > at);
    if trial_until.is_some() {
        push(terms, term(at, true));
    }
    push(terms, term(trial_until.unwrap_or(at), false));
}

/// Adds a term that begins where the last ends, joining the two where nothing differs.
fn push(terms: &mut Vec<Term>, next: Term) {
    match terms.last_mut() {
        Some(last) if last.sells_as(&next) => last.until = None,
        Some(last) => {
            last.until = Some(next.from);
            terms.push(next);
        }
        None => terms.push(next),
    }
}

/// Ends the timeline, or opens its end.
pub(super) fn end(terms: &mut Vec<Term>, until: Option<Instant>) {
    if let Some(until) = until {
        terms.retain(|term| term.from < until);
    }
    if let Some(last) = terms.last_mut() {
        last.until = until;
    }
}

fn check_end(from: Instant, until: Instant, earliest: Instant) -> Result<(), Error> {
    if until < from {
        return Err(Error::EndsBeforeItBegins { from, until });
    }
    if until < earliest {
        return Err(Error::EndsTooEarly { until, earliest });
    }
    Ok(())
}
