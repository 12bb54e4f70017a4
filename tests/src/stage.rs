//! One process of a cluster, started by a configuration file.

use super::{Said, farthing, free_port, run, wait_until};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// A running `farthing serve STAGE --config`. Dropping it kills the process.
pub struct Stage {
    child: Child,
    arguments: Vec<String>,
    environment: Vec<(String, PathBuf)>,
    log: PathBuf,
    scheme: &'static str,
    port: u16,
}

/// What curl says: the body, then the HTTP status on a line of its own.
pub fn curl(arguments: &[&str]) -> (u16, String) {
    let said = run(Command::new("curl").args(["-s", "-w", "\n%{http_code}"]).args(arguments));
    let (body, status) = said.out.rsplit_once('\n').unwrap_or(("", "0"));
    (status.parse().unwrap_or(0), body.to_owned())
}

// === impl Stage ===

impl Stage {
    /// Starts one with a configuration that `{port}` stands in for its port in; further arguments follow. Does not wait.
    pub fn start(folder: &Path, name: &str, config: &str, arguments: &[&str]) -> Self {
        Self::start_with(folder, name, config, arguments, &[])
    }

    /// The same with an environment of its own.
    pub fn start_with(
        folder: &Path,
        name: &str,
        config: &str,
        arguments: &[&str],
        environment: &[(&str, PathBuf)],
    ) -> Self {
        let port = free_port();
        let file = folder.join(format!("{name}.toml"));
        std::fs::write(&file, config.replace("{port}", &port.to_string())).unwrap_or_else(|error| panic!("{error}"));
        let log = folder.join(format!("{name}.log"));
        let arguments: Vec<String> =
            arguments.iter().chain(&["--config", &file.to_string_lossy()]).map(ToString::to_string).collect();
        let environment = owned(environment);
        let child = spawn(&arguments, &environment, &log);
        let scheme = if config.contains("[tls]") { "https" } else { "http" };
        Self { child, arguments, environment, log, scheme, port }
    }

    /// Its address as a client takes it.
    pub fn url(&self) -> String {
        format!("{}://localhost:{}", self.scheme, self.port)
    }

    /// The answer to a GET, and its status.
    pub fn get(&self, path: &str) -> (u16, String) {
        curl(&[&format!("{}{path}", self.url())])
    }

    /// Waits until `/readyz` says so.
    #[track_caller]
    pub fn wait_ready(&mut self) {
        wait_until(&format!("{} to be ready", self.log.display()), || {
            assert!(self.is_running(), "it stopped:\n{}", self.said());
            self.get("/readyz").0 == 200
        });
    }

    /// A `farthing` command against this process.
    pub fn farthing(&self, key: &str, arguments: &[&str]) -> Said {
        run(Command::new(farthing()).args(arguments).env("FARTHING_SERVER", self.url()).env("FARTHING_KEY", key))
    }

    /// The file that it writes on standard error to.
    pub fn log(&self) -> &Path {
        &self.log
    }

    /// What it wrote on standard error.
    pub fn said(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Its process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Whether it still runs.
    pub fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// `kill -9`.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Starts it again, after [`Stage::kill`], with the same configuration and on the same port. Does not wait.
    pub fn restart(&mut self) {
        self.kill();
        self.child = spawn(&self.arguments, &self.environment, &self.log);
    }

    /// Stops it in order, and starts it again in another environment. Does not wait.
    #[track_caller]
    pub fn restart_in(&mut self, environment: &[(&str, PathBuf)]) {
        assert_eq!(super::terminate(&mut self.child), 0, "{}", self.said());
        self.environment = owned(environment);
        self.child = spawn(&self.arguments, &self.environment, &self.log);
    }

    /// The sum of a metric over the samples that hold `label`; none while the process does not answer, or has none.
    pub fn metric(&self, name: &str, label: &str) -> Option<u64> {
        let (_, page) = self.get("/metrics");
        let samples = page.lines().filter(|line| line.starts_with(name) && line.contains(label));
        samples.map(|line| line.rsplit(' ').next()?.parse().ok()).reduce(|sum: Option<u64>, one| Some(sum? + one?))?
    }

    /// SIGTERM, and its exit status.
    pub fn stop(mut self) -> i32 {
        super::terminate(&mut self.child)
    }
}

fn owned(environment: &[(&str, PathBuf)]) -> Vec<(String, PathBuf)> {
    environment.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect()
}

fn spawn(arguments: &[String], environment: &[(String, PathBuf)], log: &Path) -> Child {
    let output = File::options().create(true).append(true).open(log);
    let output = output.unwrap_or_else(|error| panic!("{}: {error}", log.display()));
    Command::new(farthing())
        .arg("serve")
        .args(arguments)
        .envs(environment.iter().map(|(name, value)| (name, value)))
        .stdout(Stdio::null())
        .stderr(output)
        .spawn()
        .unwrap_or_else(|error| panic!("farthing serve: {error}"))
}

impl Drop for Stage {
    fn drop(&mut self) {
        self.kill();
    }
}
