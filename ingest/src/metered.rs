//! A gRPC body that takes room for its bytes before it hands them on, so that what is read is bounded before it is decoded.
//!
//! It hands on one message at a time: a byte that says whether the message is compressed, its length in four bytes,
//! big-endian, and the message. A compressed one takes room for the most that it may become, until its size is known. What
//! holds room has to come to its end in time, and so has the whole body of a call that is one request.

use crate::room::{Call, Room};
use crate::service::Core;
use bytes::{Buf, Bytes};
use http_body::{Body, Frame};
use proto::status::Problem;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::time::{Instant, Sleep, sleep_until};
use tonic::Status;
use tonic::codegen::{BoxFuture, StdError};

/// The body.
pub(crate) struct Metered<B> {
    core: Arc<Core>,
    inner: Pin<Box<B>>,
    /// What came and was not handed on.
    came: Bytes,
    framing: Framing,
    waiting: Option<Waiting>,
    /// When the message has to be whole, or all there is; none while nothing has to come.
    deadline: Option<Pin<Box<Sleep>>>,
    is_stream: bool,
    held: Arc<Held>,
}

/// The room of the message that is being read, and what the whole call may hold.
pub(crate) struct Held {
    call: Call,
    room: Mutex<Option<Room>>,
}

/// A piece that waits for its room.
struct Waiting {
    piece: Bytes,
    since: Instant,
    room: BoxFuture<Room, Problem>,
}

/// Where in its message a body stands.
#[derive(Default)]
struct Framing {
    prefix: [u8; 5],
    /// Bytes of the prefix that came.
    prefix_len: usize,
    /// Bytes of the message that are to come.
    left: usize,
}

// === impl Metered ===

impl<B> Metered<B> {
    /// A body; all of it has to come within `wait`, where that is given.
    pub(crate) fn new(core: Arc<Core>, body: B, held: Arc<Held>, wait: Option<Duration>) -> Self {
        let (came, framing, inner) = (Bytes::new(), Framing::default(), Box::pin(body));
        let deadline = wait.map(|wait| Box::pin(sleep_until(Instant::now() + wait)));
        Self { core, inner, came, framing, waiting: None, deadline, is_stream: wait.is_none(), held }
    }

    /// The piece that waited has its room.
    fn hand_on(&mut self, waited: &Waiting, room: Room) {
        self.held.add(room);
        if self.is_stream && self.framing.is_between() {
            self.deadline = None;
            return;
        }
        // What it waits for us is not its own time.
        let begun = self.deadline.as_ref().map_or(waited.since + self.core.options.body_wait, |at| at.deadline());
        let at = begun + waited.since.elapsed();
        match &mut self.deadline {
            Some(deadline) => deadline.as_mut().reset(at),
            None => self.deadline = Some(Box::pin(sleep_until(at))),
        }
    }
}

impl<B> Body for Metered<B>
where
    B: Body,
    B::Error: Into<StdError>,
{
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let this = self.get_mut();
        loop {
            if let Some(waiting) = &mut this.waiting {
                let room = ready!(waiting.room.as_mut().poll(cx));
                let Some(waited) = this.waiting.take() else { continue };
                let handed = room.map(|room| this.hand_on(&waited, room)).map_err(|problem| problem.to_status());
                return Poll::Ready(Some(handed.map(|()| Frame::data(waited.piece))));
            }
            if !this.came.is_empty() {
                let (length, cost) = this.framing.next(&this.came, this.core.options.limits.request_bytes_max);
                let piece = this.came.split_to(length);
                let Some(cost) = cost else { return Poll::Ready(Some(Ok(Frame::data(piece)))) };
                let (core, held, held_bytes) = (this.core.clone(), this.held.clone(), this.held.bytes());
                let room = Box::pin(async move { core.room(&held.call, held_bytes, cost).await });
                this.waiting = Some(Waiting { piece, since: Instant::now(), room });
                continue;
            }
            let Poll::Ready(frame) = this.inner.as_mut().poll_frame(cx) else {
                if let Some(deadline) = &mut this.deadline {
                    ready!(deadline.as_mut().poll(cx));
                    return Poll::Ready(Some(Err(this.core.too_slow().to_status())));
                }
                return Poll::Pending;
            };
            match frame {
                None => return Poll::Ready(None),
                Some(Err(error)) => return Poll::Ready(Some(Err(Status::from_error(error.into())))),
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(mut data) => this.came = data.copy_to_bytes(data.remaining()),
                    Err(trailers) => return Poll::Ready(Some(Ok(trailers.map_data(|_| Bytes::new())))),
                },
            }
        }
    }
}

// === impl Held ===

impl Held {
    /// Nothing yet, of what a call may hold.
    pub(crate) fn new(call: Call) -> Self {
        Self { call, room: Mutex::default() }
    }

    /// Whose room it is.
    pub(crate) fn call(&self) -> &Call {
        &self.call
    }

    fn lock(&self) -> MutexGuard<'_, Option<Room>> {
        self.room.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn bytes(&self) -> usize {
        self.lock().as_ref().map_or(0, Room::bytes)
    }

    fn add(&self, more: Room) {
        let mut held = self.lock();
        match &mut *held {
            Some(room) => room.add(more),
            None => *held = Some(more),
        }
    }

    /// The room of the message that was just read and has `bytes`.
    pub(crate) fn take(&self, bytes: usize) -> Option<Room> {
        self.lock().take().map(|room| room.cut_to(bytes))
    }
}

// === impl Framing ===

impl Framing {
    /// Whether no message has begun that is not whole.
    fn is_between(&self) -> bool {
        self.prefix_len == 0 && self.left == 0
    }

    /// How many of these bytes go as far as the message's end at most, and for how many room is needed; none while the
    /// prefix is not whole.
    fn next(&mut self, bytes: &[u8], bytes_max: usize) -> (usize, Option<usize>) {
        let mut taken = 0;
        while let Some(place) = self.prefix.get_mut(self.prefix_len) {
            let Some(byte) = bytes.get(taken) else { return (taken, None) };
            *place = *byte;
            self.prefix_len += 1;
            taken += 1;
            if self.prefix_len == 5 {
                let [_, a, b, c, d] = self.prefix;
                self.left = usize::try_from(u32::from_be_bytes([a, b, c, d])).unwrap_or(usize::MAX);
            }
        }
        let now = self.left.min(bytes.len() - taken);
        self.left -= now;
        let mut cost = now;
        if self.left == 0 {
            let is_compressed = self.prefix[0] != 0;
            cost += if is_compressed { bytes_max } else { 0 };
            self.prefix_len = 0;
        }
        (taken + now, Some(cost))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_end_where_messages_do_however_they_come() {
        let messages: [(u8, usize); 4] = [(0, 7), (0, 0), (1, 3), (0, 300)];
        let mut stream = Vec::new();
        for (compressed, length) in messages {
            stream.push(compressed);
            stream.extend_from_slice(&u32::try_from(length).unwrap().to_be_bytes());
            stream.extend(std::iter::repeat_n(9, length));
        }
        for step in [1, 2, 4, 5, 6, 13, 1_000] {
            let (mut framing, mut costs, mut cost_now) = (Framing::default(), Vec::new(), 0);
            for mut frame in stream.chunks(step) {
                while !frame.is_empty() {
                    let (length, cost) = framing.next(frame, 1_000);
                    assert!(length > 0);
                    frame = &frame[length..];
                    cost_now += cost.unwrap_or(0);
                    if cost.is_some() && framing.prefix_len == 0 {
                        costs.push(std::mem::take(&mut cost_now));
                    }
                }
            }
            assert_eq!(costs, [7, 0, 1_003, 300], "in steps of {step}");
        }
    }
}
