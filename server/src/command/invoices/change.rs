//! What people decide about bills: each is a call of its own, and one line says what came of it.

use super::list::payment;
use super::print_documents;
use crate::client::{Client, Connection, answer};
use crate::failure::{Failure, Result};
use crate::local::grouped;
use crate::output::{self, Format};
use clap::{Args, Subcommand};
use proto::v1;

#[derive(Debug, Subcommand)]
pub(super) enum Action {
    /// Says that a draft or held bill may be issued as it is now: it is, once the bills before it are.
    Approve {
        /// The draft's id.
        #[arg(value_name = "ID")]
        invoice: String,
        /// The digest of the draft that you saw, as `show` prints it: a draft that says something else by now is refused.
        #[arg(long)]
        digest: Option<String>,
        #[command(flatten)]
        call: Call,
    },
    /// Issues a draft now, without waiting for its review to end.
    Issue {
        /// The draft's id.
        #[arg(value_name = "ID")]
        invoice: String,
        /// The digest of the draft that you saw, as `show` prints it: a draft that says something else by now is refused.
        #[arg(long)]
        digest: Option<String>,
        #[command(flatten)]
        call: Call,
    },
    /// Keeps a draft until somebody approves, issues or releases it.
    Hold {
        /// The draft's id.
        #[arg(value_name = "ID")]
        invoice: String,
        /// Why: lists show it.
        #[arg(long, required_unless_present = "release")]
        reason: Option<String>,
        /// Let it go again.
        #[arg(long, conflicts_with = "reason")]
        release: bool,
        #[command(flatten)]
        call: Call,
    },
    /// Lets a bill go although events of its period are parked; they stay parked.
    Waive {
        /// The draft's id.
        #[arg(value_name = "ID")]
        invoice: String,
        /// Why, for the auditor.
        #[arg(long)]
        reason: String,
        #[command(flatten)]
        call: Call,
    },
    /// Takes an invoice back: a credit note over all that is left of it, and its bill is a draft again, held.
    #[command(after_help = VOID)]
    Void {
        /// The invoice's number.
        number: String,
        /// Why: it stands on the held draft.
        #[arg(long)]
        reason: String,
        #[command(flatten)]
        call: Call,
    },
    /// Gives back a part of an invoice: a credit note over some of its lines, or over an amount.
    #[command(after_help = CREDIT)]
    Credit {
        /// The invoice's number.
        number: String,
        /// Why: it stands on the credit note.
        #[arg(long)]
        reason: String,
        /// A line by its place on the invoice, from 1: all that is left of it, or an amount before tax.
        #[arg(long = "line", value_name = "N[=AMOUNT]", required_unless_present = "amount")]
        lines: Vec<String>,
        /// An amount with tax, spread over the invoice's taxes.
        #[arg(long, conflicts_with = "lines")]
        amount: Option<String>,
        /// Your name for it: of the same name only one is made. Without it the same command makes one once.
        #[arg(long)]
        id: Option<String>,
        #[command(flatten)]
        call: Call,
    },
    /// Writes down a payment, a write-off, or that one of them is taken back.
    #[command(after_help = PAY)]
    Pay {
        /// The number of the invoice, or of the credit note that was paid out.
        number: String,
        /// How much, at most what is left.
        #[arg(long, required_unless_present_any = ["write_off", "reverse"], requires = "date")]
        amount: Option<String>,
        /// The day of the payment, such as 2026-02-16.
        #[arg(long)]
        date: Option<String>,
        /// What the payer or the bank calls it.
        #[arg(long)]
        reference: Option<String>,
        /// Your name for it: of the same name only one counts. Without it the same command counts once.
        #[arg(long)]
        id: Option<String>,
        /// What is left is not expected any more.
        #[arg(long, conflicts_with_all = ["amount", "date", "reference", "id"], requires = "reason")]
        write_off: bool,
        /// Takes back the payment or write-off with this id, as `show` lists it.
        #[arg(long, value_name = "ID", conflicts_with_all = ["amount", "date", "reference", "id", "write_off"], requires = "reason")]
        reverse: Option<String>,
        /// Why it is written off or taken back.
        #[arg(long, conflicts_with = "amount")]
        reason: Option<String>,
        #[command(flatten)]
        call: Call,
    },
}

/// How every one of them is called.
#[derive(Debug, Args)]
pub(super) struct Call {
    #[command(flatten)]
    format: Format,
    #[command(flatten)]
    connection: Connection,
}

const VOID: &str = "\
The draft is made anew: of the newest invoice of its customer with all usage known by now; of an older one with the usage it
had (what came later stands on later bills), for the customer, seller and taxes of today. Prepaid money goes back to its
credits. What was paid already is then owed by the credit note: `pay CREDIT-NOTE` writes down that it was paid out.";

const CREDIT: &str = "\
Examples:
  farthing invoices credit ACME-17 --line 2 --reason outage            all of line 2
  farthing invoices credit ACME-17 --line 2=5.00 --line 3 --reason …   5.00 before tax of line 2, and line 3
  farthing invoices credit ACME-17 --amount 11.90 --reason goodwill    11.90 with tax
The credit note is set off against what is left of the invoice; the rest is owed to the customer. Usage and later bills stay
as they are.";

const PAY: &str = "\
Examples:
  farthing invoices pay ACME-17 --amount 50.00 --date 2026-02-16 --reference 'bank 4711'
  farthing invoices pay ACME-17 --reverse '2026-02-16 50.00 bank 4711' --reason 'the direct debit came back'
  farthing invoices pay ACME-17 --write-off --reason insolvent
Entries are added, never changed; `farthing invoices show ACME-17` lists them.";

/// Does it.
pub(super) async fn run(action: Action) -> Result {
    match action {
        Action::Approve { invoice: id, digest, call } => {
            let request = v1::ApproveRequest { id, digest: digest.unwrap_or_default() };
            let done = answer(call.client().await?.invoices().approve(request).await)?;
            report("approved", done, call.format)
        }
        Action::Issue { invoice: id, digest, call } => {
            let request = v1::IssueRequest { id, digest: digest.unwrap_or_default() };
            let done = answer(call.client().await?.invoices().issue(request).await)?;
            report("issued", done, call.format)
        }
        Action::Hold { invoice: id, reason, release, call } => {
            let request = v1::HoldRequest { id, reason: reason.unwrap_or_default(), release };
            let done = answer(call.client().await?.invoices().hold(request).await)?;
            report(if release { "released" } else { "held" }, done, call.format)
        }
        Action::Waive { invoice: id, reason, call } => {
            let done = answer(call.client().await?.invoices().waive(v1::WaiveRequest { id, reason }).await)?;
            report("waived", done, call.format)
        }
        Action::Void { number, reason, call } => void(number, reason, &call).await,
        Action::Credit { number: id, reason, lines, amount, id: credit_id, call } => {
            let lines = lines.iter().map(|line| credit_line(line)).collect::<Result<_>>()?;
            let (amount, credit_id) = (amount.unwrap_or_default(), credit_id.unwrap_or_default());
            let request = v1::CreditRequest { id, reason, lines, amount, credit_id };
            let done = answer(call.client().await?.invoices().credit(request).await)?;
            report("made", done, call.format)
        }
        Action::Pay { number: id, amount, date, reference, id: payment_id, write_off, reverse, reason, call } => {
            let client = call.client().await?;
            let reason = reason.unwrap_or_default();
            if write_off {
                let done = answer(client.invoices().write_off(v1::WriteOffRequest { id, reason }).await)?;
                return report("written off", done, call.format);
            }
            if let Some(entry) = reverse {
                let done = answer(client.invoices().reverse(v1::ReverseRequest { id, entry, reason }).await)?;
                return report("taken back", done, call.format);
            }
            let text = Option::unwrap_or_default;
            let (amount, date) = (text(amount), text(date));
            let (reference, payment_id) = (text(reference), text(payment_id));
            let request = v1::PayRequest { id, amount, date, reference, payment_id };
            report("written down", answer(client.invoices().pay(request).await)?, call.format)
        }
    }
}

async fn void(id: String, reason: String, call: &Call) -> Result {
    let request = v1::VoidRequest { id: id.clone(), reason };
    let done = answer(call.client().await?.invoices().void(request).await)?;
    let (note, draft) = (done.credit_note.unwrap_or_default(), done.draft.unwrap_or_default());
    if call.format.json {
        return print_documents(vec![note], call.format);
    }
    let note = note.summary.unwrap_or_default();
    output::line(format_args!(
        "{id}: voided by credit note {}, {} {}; {}.",
        note.number,
        grouped(&note.total),
        note.currency,
        if note.left.starts_with('-') {
            format!("{} to be paid out", grouped(note.left.trim_start_matches('-')))
        } else {
            "nothing to be paid out".to_owned()
        },
    ))?;
    output::line(format_args!("{}: a draft again, {}; approve or issue it when it is right.", draft.id, draft.status))
}

/// `N` or `N=AMOUNT`.
fn credit_line(text: &str) -> Result<v1::CreditLine> {
    let (line, amount) = text.split_once('=').unwrap_or((text, ""));
    match line.trim().parse() {
        Ok(line) => Ok(v1::CreditLine { line, amount: amount.trim().to_owned() }),
        Err(_) => Err(Failure::usage(format_args!("--line '{text}' is no line; write 2, or 2=5.00 for a part of it"))),
    }
}

fn report(done: &str, invoice: v1::GetInvoiceResponse, format: Format) -> Result {
    if format.json {
        return print_documents(vec![invoice], format);
    }
    let summary = invoice.summary.unwrap_or_default();
    let name = if summary.number.is_empty() { &summary.id } else { &summary.number };
    let reason = if summary.reason.is_empty() { String::new() } else { format!(" ({})", summary.reason) };
    let paid = if summary.payment.is_empty() { String::new() } else { format!(", {}", payment(&summary)) };
    output::line(format_args!(
        "{name}: {done}; now {}{reason}, total {} {}{paid}.",
        summary.status,
        grouped(&summary.total),
        summary.currency
    ))
}

// === impl Call ===

impl Call {
    async fn client(&self) -> Result<Client> {
        Client::connect(&self.connection).await
    }
}
