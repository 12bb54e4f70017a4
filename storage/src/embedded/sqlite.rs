//! SQLite as the books and the charges use it: one thread writes, and puts what waits into one transaction with one fsync;
//! connections of their own read.

use rusqlite::{Connection, ErrorCode, OpenFlags};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};

/// An open database.
#[derive(Debug)]
pub(super) struct Database {
    path: PathBuf,
    readers: Arc<Mutex<Vec<Connection>>>,
    jobs: Option<mpsc::Sender<Job>>,
    writer: Option<JoinHandle<()>>,
}

/// Runs inside the transaction and gives what answers the caller once it is known whether the transaction stands.
type Job = Box<dyn FnOnce(&Connection) -> Answer + Send>;
type Answer = Box<dyn FnOnce(Option<&str>) + Send>;

/// Why a write did not happen, or a read did not answer.
#[derive(Debug)]
pub(super) enum Failure<E> {
    /// The database said no; of a write it is not known whether it stands.
    Database(String),
    /// The work itself refused; nothing was written.
    Refused(E),
}

/// Writes that wait to be taken.
const JOBS_MAX: usize = 256;
/// Writes in one transaction.
const BATCH_MAX: usize = 256;
/// Connections that are kept for the next reader.
const READERS_KEPT: usize = 8;
const STATEMENTS_KEPT: usize = 64;

// === impl Database ===

impl Database {
    /// Opens or makes the database, at the newest schema: `migrations` are run one after the other, once each. One that is
    /// there is refused where fewer than `oldest` of them made it. Blocks.
    pub(super) fn open(path: &Path, migrations: &[&str], oldest: usize) -> Result<Self, String> {
        let said = |error: rusqlite::Error| format!("{}: {}", path.display(), told(&error));
        if let Some(dir) = path.parent() {
            std::fs::create_dir_all(dir).map_err(|error| format!("{}: {error}", dir.display()))?;
        }
        let mut connection = Connection::open(path).map_err(said)?;
        set_up(&connection).map_err(said)?;
        migrate(&mut connection, migrations, oldest).map_err(|error| format!("{}: {error}", path.display()))?;
        let (jobs, queue) = mpsc::channel(JOBS_MAX);
        let name = path.file_stem().and_then(|name| name.to_str()).unwrap_or("database").to_owned();
        let writer = std::thread::Builder::new().name(name).spawn(move || run(&connection, queue));
        let writer = writer.map_err(|error| format!("{}: {error}", path.display()))?;
        Ok(Self { path: path.to_owned(), readers: Arc::default(), jobs: Some(jobs), writer: Some(writer) })
    }

    /// Runs `work` on the writing thread, inside a transaction that others may share. When `work` fails, what it did is
    /// undone. When this resolves with Ok, it is durable.
    pub(super) async fn write<T, E>(
        &self,
        work: impl FnOnce(&Connection) -> Result<T, Failure<E>> + Send + 'static,
    ) -> Result<T, Failure<E>>
    where
        T: Send + 'static,
        E: Send + 'static,
    {
        let (answer, answered) = oneshot::channel();
        let job: Job = Box::new(move |connection| {
            let done = in_savepoint(connection, work);
            Box::new(move |failed| {
                let done = match (done, failed) {
                    (Ok(_), Some(reason)) => Err(Failure::Database(reason.to_owned())),
                    (done, _) => done,
                };
                // Whoever no longer waits is not told.
                let _ = answer.send(done);
            })
        });
        let ended = || Failure::Database("the writing thread has ended".to_owned());
        self.jobs.as_ref().ok_or_else(ended)?.send(job).await.map_err(|_| ended())?;
        answered.await.map_err(|_| ended())?
    }

    /// Runs `work` on a connection that sees one state of the database.
    pub(super) async fn read<T, E>(
        &self,
        work: impl FnOnce(&Connection) -> Result<T, Failure<E>> + Send + 'static,
    ) -> Result<T, Failure<E>>
    where
        T: Send + 'static,
        E: Send + 'static,
    {
        let (path, readers) = (self.path.clone(), Arc::clone(&self.readers));
        let done = tokio::task::spawn_blocking(move || {
            let kept = readers.lock().unwrap_or_else(PoisonError::into_inner).pop();
            let connection = match kept {
                Some(connection) => connection,
                None => open_reader(&path)?,
            };
            connection.execute_batch("BEGIN")?;
            let done = work(&connection);
            connection.execute_batch("ROLLBACK")?;
            let mut readers = readers.lock().unwrap_or_else(PoisonError::into_inner);
            if readers.len() < READERS_KEPT {
                readers.push(connection);
            }
            done
        });
        done.await.map_err(|error| Failure::Database(format!("the reader ended: {error}")))?
    }
}

impl Drop for Database {
    /// What was taken is still written; the file can be opened again when this returns.
    fn drop(&mut self) {
        self.jobs = None;
        if let Some(writer) = self.writer.take() {
            let _ = writer.join();
        }
    }
}

/// What the database says, and what to do where that is known.
fn told(error: &rusqlite::Error) -> String {
    match error.sqlite_error_code() {
        Some(ErrorCode::DiskFull | ErrorCode::SystemIoFailure) => {
            format!("{error}: its disk is full or does not work; make room on it or bring it back, then start again")
        }
        _ => error.to_string(),
    }
}

fn open_reader(path: &Path) -> Result<Connection, rusqlite::Error> {
    let connection =
        Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    set_up(&connection)?;
    connection.pragma_update(None, "query_only", true)?;
    Ok(connection)
}

fn set_up(connection: &Connection) -> Result<(), rusqlite::Error> {
    connection.busy_timeout(Duration::from_secs(10))?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS_KEPT);
    connection.execute_batch(include_str!("sqlite/settings.sql"))
}

fn migrate(connection: &mut Connection, migrations: &[&str], oldest: usize) -> Result<(), String> {
    let said = |error: rusqlite::Error| told(&error);
    let transaction = connection.transaction().map_err(said)?;
    let done: i64 = transaction.query_row("PRAGMA user_version", [], |row| row.get(0)).map_err(said)?;
    let done = usize::try_from(done).unwrap_or(usize::MAX);
    if done > migrations.len() {
        let newest = migrations.len();
        return Err(format!("the schema has version {done}; this Farthing knows {newest}: use the newer Farthing"));
    }
    if done > 0 && done < oldest {
        return Err(format!(
            "the schema has version {done}, and what it holds cannot be brought up to {oldest}: move the file away; what is \
             made from the log is made again"
        ));
    }
    if done == migrations.len() {
        // Nothing is written, so that a start gets by on a full disk.
        return Ok(());
    }
    for migration in migrations.iter().skip(done) {
        transaction.execute_batch(migration).map_err(said)?;
    }
    transaction.pragma_update(None, "user_version", i64::try_from(migrations.len()).unwrap_or(0)).map_err(said)?;
    transaction.commit().map_err(said)
}

/// The writing thread.
fn run(connection: &Connection, mut queue: mpsc::Receiver<Job>) {
    while let Some(first) = queue.blocking_recv() {
        let mut jobs = vec![first];
        while jobs.len() < BATCH_MAX
            && let Ok(job) = queue.try_recv()
        {
            jobs.push(job);
        }
        let mut answers = Vec::with_capacity(jobs.len());
        let written = transact(connection, jobs, &mut answers);
        let failed = written.err().map(|error| error.to_string());
        for answer in answers {
            answer(failed.as_deref());
        }
    }
}

fn transact(connection: &Connection, jobs: Vec<Job>, answers: &mut Vec<Answer>) -> Result<(), rusqlite::Error> {
    let begun = connection.execute_batch("BEGIN IMMEDIATE");
    for job in jobs {
        // Without a transaction every job fails at its savepoint and says why.
        answers.push(job(connection));
    }
    begun?;
    if connection.is_autocommit() {
        // SQLite gives the whole transaction up when the disk is full.
        return Err(rusqlite::Error::InvalidParameterName("the transaction was given up".to_owned()));
    }
    connection.execute_batch("COMMIT").inspect_err(|_| {
        let _ = connection.execute_batch("ROLLBACK");
    })
}

fn in_savepoint<T, E>(
    connection: &Connection,
    work: impl FnOnce(&Connection) -> Result<T, Failure<E>>,
) -> Result<T, Failure<E>> {
    if connection.is_autocommit() {
        return Err(Failure::Database("no transaction could be begun".to_owned()));
    }
    connection.execute_batch("SAVEPOINT job")?;
    let done = work(connection);
    if done.is_err() {
        // After a full disk there is nothing left to undo.
        let _ = connection.execute_batch("ROLLBACK TO job");
    }
    if !connection.is_autocommit() {
        connection.execute_batch("RELEASE job")?;
    }
    done
}

// === impl Failure ===

impl<E> From<rusqlite::Error> for Failure<E> {
    fn from(error: rusqlite::Error) -> Self {
        Self::Database(error.to_string())
    }
}
