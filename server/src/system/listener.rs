//! The port: accepts connections, shakes hands, and holds no more of them than allowed.
//!
//! A connection takes a permit before it is accepted, so what is beyond the limit waits in the system's own queue, and the
//! memory of all connections has a bound. Handshakes run beside each other: a slow one holds nobody up.

use super::certificates;
use crate::config::Port;
use crate::failure::{Context, Result};
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{self, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio_rustls::TlsAcceptor;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::server::Connected;

/// A bound port.
pub(super) struct Listener {
    address: SocketAddr,
    listener: TcpListener,
    certificates: Option<certificates::Current>,
    permits: Arc<Semaphore>,
    connections_max: usize,
}

/// An accepted connection. Dropping it makes room for another.
pub(super) struct Connection {
    io: Pin<Box<dyn Stream>>,
    _permit: OwnedSemaphorePermit,
}

/// How many connections there are.
#[derive(Clone, Debug)]
pub(super) struct Count {
    permits: Arc<Semaphore>,
    max: usize,
}

/// Bytes both ways.
trait Stream: AsyncRead + AsyncWrite + Send {}

impl<T: AsyncRead + AsyncWrite + Send> Stream for T {}

/// How long a handshake may take.
const HANDSHAKE_MAX: Duration = Duration::from_secs(10);
/// The pause after the system could not accept a connection, as when there are too many open files.
const PAUSE: Duration = Duration::from_millis(100);

// === impl Listener ===

impl Listener {
    /// Binds the port and reads the certificates.
    ///
    /// # Errors
    /// The port is taken, or a certificate cannot be used.
    pub(super) async fn open(port: &Port) -> Result<Self> {
        let certificates = port.tls.as_ref().map(certificates::Current::read).transpose()?;
        let reason = || format!("cannot listen on {}", port.listen);
        let listener = TcpListener::bind(port.listen).await.context(reason())?;
        let address = listener.local_addr().context(reason())?;
        let permits = Arc::new(Semaphore::new(port.connections_max));
        Ok(Self { address, listener, certificates, permits, connections_max: port.connections_max })
    }

    /// Where it listens.
    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Shows how many connections there are, as long as anyone holds it.
    pub(super) fn count(&self) -> Count {
        Count { permits: self.permits.clone(), max: self.connections_max }
    }

    /// Accepts until the stream is dropped.
    pub(super) fn connections(self) -> ReceiverStream<io::Result<Connection>> {
        let (sender, accepted) = mpsc::channel(16);
        tokio::spawn(async move {
            tokio::select! {
                () = self.accept(&sender) => {}
                () = self.follow_certificates() => {}
                () = sender.closed() => {}
            }
        });
        ReceiverStream::new(accepted)
    }

    async fn accept(&self, accepted: &mpsc::Sender<io::Result<Connection>>) {
        // The semaphore is never closed.
        while let Ok(permit) = self.permits.clone().acquire_owned().await {
            match self.listener.accept().await {
                Ok((stream, _)) => {
                    let (acceptor, accepted) = (self.acceptor(), accepted.clone());
                    tokio::spawn(async move {
                        match greet(stream, acceptor, permit).await {
                            // Nobody accepts any more when this fails.
                            Ok(connection) => drop(accepted.send(Ok(connection)).await),
                            Err(error) => tracing::debug!(%error, "a connection was not accepted"),
                        }
                    });
                }
                Err(error) => {
                    tracing::warn!(%error, "a connection cannot be accepted");
                    tokio::time::sleep(PAUSE).await;
                }
            }
        }
    }

    fn acceptor(&self) -> Option<TlsAcceptor> {
        self.certificates.as_ref().map(certificates::Current::acceptor)
    }

    async fn follow_certificates(&self) {
        match &self.certificates {
            Some(certificates) => certificates.follow().await,
            None => std::future::pending().await,
        }
    }
}

async fn greet(
    stream: TcpStream,
    acceptor: Option<TlsAcceptor>,
    permit: OwnedSemaphorePermit,
) -> io::Result<Connection> {
    stream.set_nodelay(true)?;
    let io: Pin<Box<dyn Stream>> = match acceptor {
        None => Box::pin(stream),
        Some(acceptor) => Box::pin(tokio::time::timeout(HANDSHAKE_MAX, acceptor.accept(stream)).await??),
    };
    Ok(Connection { io, _permit: permit })
}

// === impl Count ===

impl Count {
    /// Connections now.
    pub(super) fn open(&self) -> usize {
        // One permit waits with the listener itself.
        self.max.saturating_sub(self.permits.available_permits()).saturating_sub(1)
    }
}

// === impl Connection ===

impl Connected for Connection {
    type ConnectInfo = ();

    fn connect_info(&self) {}
}

impl AsyncRead for Connection {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut task::Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.io.as_mut().poll_read(cx, buf)
    }
}

impl AsyncWrite for Connection {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut task::Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.io.as_mut().poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut task::Context<'_>) -> Poll<io::Result<()>> {
        self.io.as_mut().poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut task::Context<'_>) -> Poll<io::Result<()>> {
        self.io.as_mut().poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut task::Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.io.as_mut().poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }
}
