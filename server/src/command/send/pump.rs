//! From requests to answers, across connections that come and go.

use super::batch::{Batch, Item};
use super::{Problem, Report};
use crate::client::{Client, Connection, refusal};
use crate::failure::{Failure, Result};
use crate::local::counted;
use indicatif::ProgressBar;
use proto::v1;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};
use tokio::sync::mpsc::{Receiver, Sender};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Status, Streaming};
use tonic_types::StatusExt;

/// How to send.
#[derive(Clone, Debug)]
pub(super) struct Options {
    /// Where to.
    pub(super) connection: Connection,
    /// Requests that may wait for their answers.
    pub(super) window: usize,
    /// How long to try after the last answer.
    pub(super) retry_for: Duration,
    /// How many problems to remember.
    pub(super) problems_max: usize,
}

/// Sends batches and keeps each until its answer.
pub(super) struct Pump {
    options: Options,
    bar: ProgressBar,
    report: Report,
    /// Sent, or to be sent again, by sequence.
    pending: BTreeMap<u64, Batch>,
    next_sequence: u64,
    is_read: bool,
    last_answer: Instant,
    attempts: u32,
}

/// Why a stream ended before its work was done.
enum Ended {
    /// Trying again may help; after this long at least, where the server said so.
    Retry(Failure, Option<Duration>),
    /// It will not.
    Failed(Failure),
}

impl Pump {
    /// Nothing sent yet.
    pub(super) fn new(options: Options, bar: ProgressBar) -> Self {
        Self {
            options,
            bar,
            report: Report::default(),
            pending: BTreeMap::new(),
            next_sequence: 1,
            is_read: false,
            last_answer: Instant::now(),
            attempts: 0,
        }
    }

    /// Sends all that comes out of `source`.
    pub(super) async fn run(mut self, mut source: Receiver<Item>) -> Result<Report> {
        // A server that is not there from the beginning is more likely a wrong address than a passing failure.
        let mut client = Some(Client::connect(&self.options.connection).await?);
        loop {
            let ended = match client.take() {
                Some(client) => self.stream(&client, &mut source).await,
                None => match Client::connect(&self.options.connection).await {
                    Ok(connected) => {
                        client = Some(connected);
                        self.report.reconnects += 1;
                        continue;
                    }
                    Err(failure) => Err(Ended::Retry(failure, None)),
                },
            };
            match ended {
                Ok(()) => return Ok(self.report),
                Err(Ended::Failed(failure)) => return Err(self.where_it_was(failure)),
                Err(Ended::Retry(failure, wait)) => self.back_off(failure, wait).await?,
            }
        }
    }

    /// One connection's work: what waits for an answer is sent again, then what is new.
    async fn stream(&mut self, client: &Client, source: &mut Receiver<Item>) -> std::result::Result<(), Ended> {
        let (requests, outgoing) = tokio::sync::mpsc::channel(self.options.window.max(1));
        for (sequence, batch) in &self.pending {
            // The channel holds the whole window.
            let _ = requests.try_send(request(*sequence, batch));
        }
        let mut ingest = client.ingest();
        let mut answers =
            ingest.ingest_stream(ReceiverStream::new(outgoing)).await.map_err(|status| ended(&status))?.into_inner();
        loop {
            if self.is_read && self.pending.is_empty() {
                return Ok(());
            }
            let may_read = !self.is_read && self.pending.len() < self.options.window;
            tokio::select! {
                item = source.recv(), if may_read => self.take(item, &requests).await,
                answer = next(&mut answers) => self.settle(answer?)?,
            }
        }
    }

    async fn take(&mut self, item: Option<Item>, requests: &Sender<v1::IngestRequest>) {
        match item {
            None => self.is_read = true,
            Some(Item::Broken(broken)) => {
                self.report.broken += 1;
                let problem = Problem {
                    line: broken.line,
                    id: String::new(),
                    code: "BROKEN_LINE".into(),
                    field: String::new(),
                    message: broken.message,
                };
                self.remember(problem);
            }
            Some(Item::Batch(batch)) => {
                let sequence = self.next_sequence;
                self.next_sequence += 1;
                // When the stream is gone its answers say why; the batch waits in `pending`.
                let _ = requests.send(request(sequence, &batch)).await;
                self.pending.insert(sequence, batch);
            }
        }
    }

    fn settle(&mut self, answer: v1::IngestResponse) -> std::result::Result<(), Ended> {
        let Some(batch) = self.pending.remove(&answer.sequence) else {
            // An answer to what an earlier answer has settled already.
            return Ok(());
        };
        self.last_answer = Instant::now();
        self.attempts = 0;
        self.report.accepted += u64::from(answer.accepted);
        for rejection in answer.rejected {
            self.report.refused += 1;
            let index = usize::try_from(rejection.index).unwrap_or(usize::MAX);
            let v1::Rejection { code, field, message, .. } = rejection;
            let line = batch.lines.get(index).copied().unwrap_or_default();
            let id = batch.events.get(index).map(|event| event.id.clone()).unwrap_or_default();
            self.remember(Problem { line, id, code, field, message });
        }
        self.bar.set_position(self.bar.position().max(batch.end));
        self.bar.set_message(format!("{} accepted, {} refused", self.report.accepted, self.report.refused));
        Ok(())
    }

    fn remember(&mut self, problem: Problem) {
        // Answers come out of order: keep the first by line.
        self.report.problems.push(problem);
        if self.report.problems.len() > 2 * self.options.problems_max {
            self.report.problems.sort_by_key(|problem| problem.line);
            self.report.problems.truncate(self.options.problems_max);
        }
    }

    /// Waits before the next attempt: doubling from 100 ms to 5 s, a quarter of it by chance, so that many clients do not
    /// come back at the same moment.
    async fn back_off(&mut self, failure: Failure, wait: Option<Duration>) -> Result {
        if self.last_answer.elapsed() >= self.options.retry_for {
            return Err(self.where_it_was(failure));
        }
        let doubled = Duration::from_millis(100).saturating_mul(2u32.saturating_pow(self.attempts.min(6)));
        let doubled = doubled.min(Duration::from_secs(5));
        let chance = by_chance(doubled / 4);
        self.attempts = self.attempts.saturating_add(1);
        self.bar.set_message(format!("{} accepted; trying again", self.report.accepted));
        tokio::time::sleep(doubled.max(wait.unwrap_or_default()) + chance).await;
        Ok(())
    }

    /// Says how far the file got.
    fn where_it_was(&self, failure: Failure) -> Failure {
        let Failure::Refused(message) = failure else { return failure };
        let line = self.pending.values().filter_map(|batch| batch.lines.first()).min();
        let from = line.map(|line| format!(" (unanswered from line {line} on)")).unwrap_or_default();
        let accepted = self.report.accepted;
        Failure::Refused(format!(
            "{message}; {} accepted before{from}; sending the file again is harmless",
            counted(accepted, "event")
        ))
    }
}

/// Some of `most`: the standard library's hasher is seeded by chance, and nothing here needs more than that.
fn by_chance(most: Duration) -> Duration {
    let draw = std::hash::BuildHasher::hash_one(&std::hash::RandomState::new(), most);
    Duration::from_millis(draw % u64::try_from(most.as_millis()).unwrap_or(u64::MAX).saturating_add(1))
}

fn request(sequence: u64, batch: &Batch) -> v1::IngestRequest {
    v1::IngestRequest { events: batch.events.clone(), sequence }
}

async fn next(answers: &mut Streaming<v1::IngestResponse>) -> std::result::Result<v1::IngestResponse, Ended> {
    match answers.message().await {
        Ok(Some(answer)) => Ok(answer),
        Ok(None) => Err(Ended::Retry(Failure::refused("the server closed the stream"), None)),
        Err(status) => Err(ended(&status)),
    }
}

fn has_code(status: &Status, code: proto::code::Code) -> bool {
    status.get_error_details().error_info().is_some_and(|info| info.reason == code.as_str())
}

/// Which failures may pass. A connection that breaks shows as UNKNOWN, CANCELLED or INTERNAL with a transport error
/// behind it.
fn ended(status: &Status) -> Ended {
    let mut failure = refusal(status);
    if let (Failure::Refused(message), true) = (&mut failure, has_code(status, proto::code::Code::TooManyEvents)) {
        message.push_str("; --batch says how many go in one");
    }
    let wait = status.get_details_retry_info().and_then(|info| info.retry_delay);
    let broken = std::error::Error::source(status).is_some();
    match status.code() {
        Code::Unavailable | Code::ResourceExhausted | Code::Cancelled => Ended::Retry(failure, wait),
        Code::Unknown | Code::Internal if broken => Ended::Retry(failure, wait),
        _ => Ended::Failed(failure),
    }
}
