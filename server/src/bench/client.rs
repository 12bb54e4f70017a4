//! The client of the benchmarks: streams of encoded requests, and how long each waited for its answer.

use super::load::Requests;
use crate::client::Service;
use crate::failure::{Failure, Result};
use bytes::Bytes;
use proto::raw::Encoded;
use proto::v1;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};
use tokio_stream::wrappers::ReceiverStream;

/// How a stream is driven.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Drive {
    /// Requests.
    pub(crate) requests: u64,
    /// Of them waiting for an answer at once.
    pub(crate) window: usize,
    /// From the start of one request to that of the next at least; zero: as fast as answers come.
    pub(crate) every: Duration,
}

/// Sends over one stream; the time from sending to the answer of each request.
pub(crate) async fn drive(service: Service, mut requests: Requests, drive: Drive) -> Result<Vec<Duration>> {
    let (sender, outgoing) = tokio::sync::mpsc::channel::<Bytes>(drive.window.max(1));
    let mut grpc = tonic::client::Grpc::new(service);
    grpc.ready().await.map_err(|error| Failure::refused(format_args!("{error:?}")))?;
    let path = http::uri::PathAndQuery::from_static("/farthing.v1.IngestService/IngestStream");
    let stream = tonic::Request::new(ReceiverStream::new(outgoing));
    let mut answers = grpc
        .streaming(stream, path, Encoded::<v1::IngestResponse>::default())
        .await
        .map_err(Failure::refused)?
        .into_inner();
    let mut waiting: BTreeMap<u64, Instant> = BTreeMap::new();
    let mut waits = Vec::new();
    let mut sequence = 0;
    let began = Instant::now();
    while sequence < drive.requests || !waiting.is_empty() {
        let may_send = sequence < drive.requests && waiting.len() < drive.window;
        let due = began + drive.every * u32::try_from(sequence).unwrap_or(u32::MAX);
        tokio::select! {
            biased;
            answer = answers.message() => {
                let answer: v1::IngestResponse = answer.map_err(Failure::refused)?.ok_or_else(|| Failure::refused("the stream ended"))?;
                if let Some(rejection) = answer.rejected.first() {
                    return Err(Failure::refused(format_args!("an event was refused: {}", rejection.message)));
                }
                waits.extend(waiting.remove(&answer.sequence).map(|sent| sent.elapsed()));
            }
            () = wait_until(due), if may_send => {
                sequence += 1;
                waiting.insert(sequence, Instant::now());
                let request = requests.next(sequence);
                sender.send(request).await.map_err(|_| Failure::refused("the stream ended"))?;
            }
        }
    }
    Ok(waits)
}

async fn wait_until(due: Instant) {
    if due > Instant::now() {
        tokio::time::sleep_until(due.into()).await;
    }
}
