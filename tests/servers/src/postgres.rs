//! PostgreSQL, of Debian's packages.

use crate::{Process, free_ports};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// A server with an empty database `farthing`, owned by the user `farthing`, who has to say [`Postgres::PASSWORD`].
#[derive(Debug)]
pub struct Postgres {
    // Ends before its folder does.
    process: Process,
    programs: PathBuf,
    port: u16,
    user: Option<(u32, u32)>,
    folder: TempDir,
}

/// How long a server may take until it answers.
const READY_MAX: Duration = Duration::from_secs(60);

// === impl Postgres ===

impl Postgres {
    /// The password of the user `farthing`.
    pub const PASSWORD: &str = "correct horse";

    /// Starts a server. It speaks TLS with a certificate for `localhost` that [`Postgres::ca_file`] vouches for.
    ///
    /// # Panics
    /// Its programs are missing or do not start: the message says which and what to do.
    #[must_use]
    pub fn start() -> Self {
        let programs = programs();
        let folder = tempfile::Builder::new().prefix("farthing-postgres-").tempdir().expect("a temp folder");
        let user = unprivileged();
        if let Some((uid, gid)) = user {
            chown(folder.path(), Some(uid), Some(gid)).expect("the folder's owner changes");
        }
        let [port] = free_ports(1)[..] else { panic!("a free port") };
        certify(folder.path(), user);
        let initdb = [
            &*programs.join("initdb").to_string_lossy(),
            "--username=farthing",
            "--encoding=UTF8",
            "--locale=C.UTF-8",
            "--auth-local=trust",
            "--auth-host=scram-sha-256",
            "--no-sync",
            "--pwfile",
            &folder.path().join("password").to_string_lossy(),
            &folder.path().join("data").to_string_lossy(),
        ]
        .map(str::to_owned);
        run(&as_user(user, &initdb));
        let process = launch(&programs, user, folder.path(), port);
        let mut server = Self { process, programs, port, user, folder };
        server.wait_until_ready();
        server.make_database("farthing");
        server
    }

    /// Its process; connections are children of it.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.process.pid()
    }

    /// The database `farthing`, without the password.
    #[must_use]
    pub fn url(&self) -> String {
        self.url_of("farthing")
    }

    /// A database, without the password.
    #[must_use]
    pub fn url_of(&self, database: &str) -> String {
        format!("postgres://farthing@localhost:{}/{database}", self.port)
    }

    /// Makes another empty database, and returns its URL.
    ///
    /// # Panics
    /// The server refuses.
    pub fn make_database(&self, name: &str) -> String {
        self.sql("postgres", &format!("CREATE DATABASE {name}"));
        self.url_of(name)
    }

    /// Runs SQL as the superuser, and returns what it printed, unadorned.
    ///
    /// # Panics
    /// The server refuses: the message holds what it said.
    pub fn sql(&self, database: &str, sql: &str) -> String {
        let port = self.port.to_string();
        let psql = self.programs.join("psql");
        let folder = self.folder.path().to_string_lossy();
        #[rustfmt::skip]
        let command = [
            &*psql.to_string_lossy(), "-X", "-A", "-t", "-q", "-v", "ON_ERROR_STOP=1", "-h", &folder, "-p", &port, "-U", "farthing",
            "-d", database, "-c", sql,
        ]
        .map(str::to_owned);
        run(&command)
    }

    /// The certificate of the authority that signed the server's own, in PEM.
    #[must_use]
    pub fn ca_file(&self) -> PathBuf {
        self.folder.path().join("ca.pem")
    }

    /// `kill -9` of the server; its backends end as soon as they see it.
    pub fn kill(&mut self) {
        self.process.kill();
    }

    /// Starts it again, after [`Postgres::kill`], in the same folder and on the same port.
    ///
    /// # Panics
    /// It does not come back.
    pub fn restart(&mut self) {
        self.process.kill();
        self.process = launch(&self.programs, self.user, self.folder.path(), self.port);
        self.wait_until_ready();
    }

    fn wait_until_ready(&mut self) {
        let since = Instant::now();
        let socket = self.folder.path().to_string_lossy().into_owned();
        loop {
            let port = self.port.to_string();
            let ready =
                Command::new(self.programs.join("pg_isready")).args(["-q", "-h", &socket, "-p", &port]).status();
            if ready.is_ok_and(|status| status.success()) {
                return;
            }
            assert!(since.elapsed() < READY_MAX, "PostgreSQL does not get ready:\n{}", self.process.log_tail());
            if !self.process.is_running() {
                // After a kill, backends that have not yet seen it keep the old memory for a moment.
                self.process = launch(&self.programs, self.user, self.folder.path(), self.port);
            }
        }
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        // Its backends end with it, and leave nothing behind in the folder or in shared memory.
        self.process.signal("QUIT");
        let since = Instant::now();
        while self.process.is_running() && since.elapsed() < READY_MAX {
            std::thread::yield_now();
        }
    }
}

/// The newest server's folder of programs.
fn programs() -> PathBuf {
    let mut found: Vec<(u32, PathBuf)> = Vec::new();
    for entry in std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten() {
        let version = entry.file_name().to_string_lossy().parse();
        let programs = entry.path().join("bin");
        if programs.join("postgres").exists() {
            found.extend(version.ok().map(|version| (version, programs)));
        }
    }
    let newest = found.into_iter().max();
    let (_, programs) = newest.expect("PostgreSQL is not installed; on Debian: apt-get install postgresql openssl");
    programs
}

/// Whom the server runs as: PostgreSQL refuses root.
fn unprivileged() -> Option<(u32, u32)> {
    let own = std::fs::metadata("/proc/self").expect("/proc").uid();
    let id = |flag: &str, user: &str| {
        let output = Command::new("id").args([flag, user]).output().ok().filter(|output| output.status.success())?;
        String::from_utf8(output.stdout).ok()?.trim().parse::<u32>().ok()
    };
    let user = if id("-u", "postgres").is_some() { "postgres" } else { "nobody" };
    (own == 0).then(|| (id("-u", user).expect("a user's id"), id("-g", user).expect("a user's group")))
}

fn as_user(user: Option<(u32, u32)>, command: &[String]) -> Vec<String> {
    let mut whole = Vec::new();
    if let Some((uid, gid)) = user {
        whole.extend([
            "setpriv".to_owned(),
            format!("--reuid={uid}"),
            format!("--regid={gid}"),
            "--clear-groups".to_owned(),
        ]);
        // A change of user clears what the guard has asked the kernel for.
        whole.extend(["--pdeathsig".to_owned(), "KILL".to_owned()]);
    }
    whole.extend(command.iter().cloned());
    whole
}

fn launch(programs: &Path, user: Option<(u32, u32)>, folder: &Path, port: u16) -> Process {
    let socket = format!("unix_socket_directories={}", folder.display());
    let file = |name: &str, key: &str| format!("{key}={}", folder.join(name).display());
    let command = [
        programs.join("postgres").to_string_lossy().into_owned(),
        "-D".to_owned(),
        folder.join("data").to_string_lossy().into_owned(),
        "-p".to_owned(),
        port.to_string(),
    ];
    let (certificate, key) = (file("server.pem", "ssl_cert_file"), file("server.key", "ssl_key_file"));
    let settings = ["listen_addresses=localhost", &socket, "fsync=on", "ssl=on", &certificate, &key];
    let settings = settings.iter().flat_map(|setting| ["-c".to_owned(), (*setting).to_owned()]);
    let command: Vec<String> = command.into_iter().chain(settings).collect();
    Process::start(&as_user(user, &command), &[], &folder.join("server.log"))
}

/// An authority, a certificate for `localhost` that it signed, and the password's file.
fn certify(folder: &Path, user: Option<(u32, u32)>) {
    let path = |name: &str| folder.join(name).to_string_lossy().into_owned();
    let openssl = |arguments: &[&str]| {
        let command: Vec<String> = ["openssl"].iter().chain(arguments).map(|&part| part.to_owned()).collect();
        run(&command)
    };
    let ec = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"];
    let ca = [&["req", "-x509", "-days", "2", "-subj", "/CN=farthing test authority"], &ec[..]].concat();
    openssl(&[&ca[..], &["-keyout", &path("ca.key"), "-out", &path("ca.pem")]].concat());
    let request = [&["req", "-subj", "/CN=localhost"], &ec[..]].concat();
    openssl(&[&request[..], &["-keyout", &path("server.key"), "-out", &path("server.csr")]].concat());
    std::fs::write(path("names"), "subjectAltName=DNS:localhost\n").expect("a file");
    let sign = ["x509", "-req", "-days", "2", "-CAcreateserial", "-extfile", &path("names")].map(str::to_owned);
    let sign: Vec<&str> = sign.iter().map(String::as_str).collect();
    let files = [path("server.csr"), path("ca.pem"), path("ca.key"), path("server.pem")];
    openssl(&[&sign[..], &["-in", &files[0], "-CA", &files[1], "-CAkey", &files[2], "-out", &files[3]]].concat());
    std::fs::write(path("password"), Postgres::PASSWORD).expect("a file");
    for name in ["server.pem", "server.key", "password"] {
        std::fs::set_permissions(path(name), std::fs::Permissions::from_mode(0o600)).expect("permissions");
        if let Some((uid, gid)) = user {
            chown(path(name), Some(uid), Some(gid)).expect("an owner");
        }
    }
}

/// Runs a command to its end.
fn run(command: &[String]) -> String {
    let output = Command::new(&command[0]).args(&command[1..]).current_dir("/").output();
    let output =
        output.unwrap_or_else(|error| panic!("{}: {error}; on Debian: apt-get install postgresql openssl", command[0]));
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {error}");
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}
