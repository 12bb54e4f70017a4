//! A running process: one stage or all of them, on the storage that the configuration names, behind one port.
//!
//! It starts from the storage outwards, so that nothing is taken before it can be kept, and stops the other way round:
//! it says that it is not ready, ingest answers what it took, the invoicer stops ticking, the rater writes its snapshots.

// The storage, what the stages need of each other, then the port.
pub(crate) mod backends;
mod catalogs;
mod certificates;
pub(crate) mod keys;
pub(crate) mod leader;
mod listener;
mod metrics;
mod post;
mod shards;
mod stages;
mod state;
mod traced;
mod web;

pub(crate) use keys::random;

use crate::config::{self, Config};
use crate::failure::{Failure, Result};
use backends::Backends;
use listener::Listener;
use stages::Stages;
use state::State;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use storage::charges::Charges;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tonic_health::server::HealthReporter;
use traced::Traced;

/// A running process.
pub(crate) struct System {
    /// Where it listens.
    pub(crate) address: SocketAddr,
    /// Where its first admin key stands.
    pub(crate) key_file: Option<PathBuf>,
    /// What the rater put out, where this process reads it.
    pub(crate) charges: Option<Arc<dyn Charges>>,
    state: Arc<State>,
    rater: Option<rater::driver::Driver>,
    health: HealthReporter,
    working: JoinHandle<Failure>,
    following: JoinHandle<()>,
    serving: JoinHandle<std::result::Result<(), tonic::transport::Error>>,
    /// The port for probes.
    probing: Option<JoinHandle<std::result::Result<(), tonic::transport::Error>>>,
    stopping: watch::Sender<bool>,
    // Last, so that folders are given up when all else is gone.
    backends: Backends,
}

/// How long connections may take to end by themselves at a stop.
const GRACE: Duration = Duration::from_secs(10);

/// How long giving up the lease may take.
const RESIGN: Duration = Duration::from_secs(2);

/// How often it is looked whether a start is complete.
const START_LOOK: Duration = Duration::from_millis(5);

impl System {
    /// Starts all of it; answers when all of it is there.
    ///
    /// # Errors
    /// One line that says what is in the way.
    pub(crate) async fn start(config: Config) -> Result<Self> {
        let mut system = Self::begin(config).await?;
        match system.started().await {
            Ok(()) => Ok(system),
            Err(failure) => {
                system.stop().await;
                Err(failure)
            }
        }
    }

    /// Opens storage and port; what has to wait for other processes, such as the lease, goes on behind it.
    ///
    /// # Errors
    /// One line that says what is in the way.
    pub(crate) async fn begin(config: Config) -> Result<Self> {
        // Where the port cannot be had, no new folder is left behind. Over an old one the process before may still hold the
        // port: the folder's lock waits for it first.
        let is_new = matches!(&config.log, Some(config::Log::Embedded { dir, .. }) if !dir.exists());
        let early = if is_new { Some(Listener::open(&config.port).await?) } else { None };
        let mut backends = Backends::new(&config);
        let stage = config.stage;
        let mut books = if stage.ingests() || stage.invoices() { Some(backends.books().await?) } else { None };
        if let Some(books) = &books {
            backends.keep(catalogs::kept(books.clone()).await.map_err(Failure::refused)?);
        }
        let mut log = backends.log().await?;
        let mut charges = if stage.rates() || stage.invoices() { Some(backends.charges().await?) } else { None };
        if config.is_traced {
            log = Arc::new(Traced(log));
            books = books.map(|books| Arc::new(Traced(books)) as _);
            charges = charges.map(|charges| Arc::new(Traced(charges)) as _);
        }
        let snapshots = if stage.rates() { Some(backends.snapshots().await?) } else { None };
        let listener = match early {
            Some(listener) => listener,
            None => Listener::open(&config.port).await?,
        };
        let address = listener.address();
        let rater = charges.clone().zip(snapshots).map(|(charges, snapshots)| {
            let shards = config.rater.pod.shards(log.shards());
            let mut options = config.rater.options.clone();
            options.ids_folder = config.rater.data.as_ref().map(|data| data.join("ids"));
            rater::driver::Driver::start(log.clone(), snapshots, charges, shards, options)
        });
        let state = Arc::new(State::new(&config, rater.as_ref().map(rater::driver::Driver::status)));
        let (routes, health) = web::front(state.clone(), listener.count()).await?;
        let (stopping, stop) = watch::channel(false);
        let probing = match &config.health {
            None => None,
            Some(port) => {
                let (routes, stop) = (web::probes(state.clone(), listener.count()), stop.clone());
                Some(tokio::spawn(web::serve(port.clone(), Listener::open(port).await?.connections(), routes, stop)))
            }
        };
        let serving = tokio::spawn(web::serve(config.port.clone(), listener.connections(), routes, stop));
        let following = tokio::spawn(web::follow_health(health.clone(), state.clone()));
        let (key_file, holder) = (config.key_file.clone(), stages::holder(&config, address.port())?);
        let is_shared = stage.invoices() && matches!(config.books, Some(config::Books::Postgres(_)));
        let address_of_leader = is_shared.then(|| leader::address(&config.invoicer, &config.port, address.port()));
        let stages = Stages {
            config,
            state: state.clone(),
            log,
            charges: charges.clone(),
            books,
            holder,
            address: address_of_leader,
        };
        let working = tokio::spawn(stages.run());
        Ok(Self {
            address,
            key_file,
            charges,
            state,
            rater,
            health,
            working,
            following,
            serving,
            probing,
            stopping,
            backends,
        })
    }

    /// Waits until all of it is there.
    ///
    /// # Errors
    /// What ended before.
    pub(crate) async fn started(&mut self) -> Result {
        let state = self.state.clone();
        let started = async {
            while state.services.get().is_none() {
                tokio::time::sleep(START_LOOK).await;
            }
        };
        tokio::select! {
            () = started => {
                web::show_health(&self.health, &self.state).await;
                Ok(())
            }
            failure = self.failed() => Err(failure),
        }
    }

    /// Waits until something ends that should not: the clock lost its lease, the port closed.
    pub(crate) async fn failed(&mut self) -> Failure {
        tokio::select! {
            ended = &mut self.working => match ended {
                Ok(failure) => failure,
                Err(error) => Failure::refused(format_args!("a stage broke: {error}")),
            },
            ended = &mut self.serving => match ended {
                Ok(Ok(())) => Failure::refused("the port was closed"),
                Ok(Err(error)) => Failure::refused(error),
                Err(error) => Failure::refused(format_args!("the port broke: {error}")),
            },
        }
    }

    /// Ends in order: answers what was taken, stops the clock, writes snapshots.
    pub(crate) async fn stop(mut self) {
        self.state.stop();
        self.following.abort();
        web::show_health(&self.health, &self.state).await;
        let drained = async {
            if let Some(ingest) = self.state.ingest.get() {
                ingest.close();
                self.stopping.send_replace(true);
                ingest.shutdown().await;
            }
            self.stopping.send_replace(true);
            if !self.serving.is_finished() {
                // How it ended does not matter any more.
                let _ = (&mut self.serving).await;
            }
        };
        if tokio::time::timeout(GRACE, drained).await.is_err() {
            tracing::warn!("some callers did not end in time; what was acknowledged is safe");
        }
        self.serving.abort();
        if let Some(probing) = &self.probing {
            probing.abort();
        }
        self.working.abort();
        if !self.working.is_finished() {
            let _ = (&mut self.working).await;
        }
        if let Some(invoicer) = self.state.invoicer.get()
            && tokio::time::timeout(RESIGN, invoicer.resign()).await.is_err()
        {
            tracing::warn!("the lease was not given up in time; it ends by itself");
        }
        if let Some(rater) = self.rater {
            rater.stop().await;
        }
        drop(self.backends);
    }
}
