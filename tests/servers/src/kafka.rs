//! Apache Kafka: brokers that are controllers too (KRaft), one process each.

use crate::{Process, free_ports, tools};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// A running cluster with brokers 1, 2, …
#[derive(Debug)]
pub struct Kafka {
    dir: tempfile::TempDir,
    id: String,
    /// Of each broker, for clients and for the other controllers.
    ports: Vec<(u16, u16)>,
    brokers: Vec<Option<Process>>,
}

/// As in `tests/servers/kafka/pom.xml`.
const VERSION: &str = "4.4.0";

/// From a cluster's start until its brokers know each other.
const START_MAX: Duration = Duration::from_secs(240);

// === impl Kafka ===

impl Kafka {
    /// Starts so many brokers, in an empty folder, and waits until they know each other.
    ///
    /// # Panics
    /// Java or the jars are missing, or a broker does not start: the message says why.
    #[must_use]
    pub fn start(brokers: u16) -> Self {
        let count = usize::from(brokers);
        let ports = free_ports(2 * count);
        let dir = tempfile::tempdir().expect("a folder for Kafka");
        // A cluster's id is 16 bytes in base64; this one has a port in it, so that no other cluster answers for it.
        let id = format!("farthing{:0>13}A", ports.first().copied().unwrap_or_default());
        let ports = ports.chunks(2).map(|pair| (pair[0], pair[1])).collect();
        let mut kafka = Self { dir, id, ports, brokers: (0..count).map(|_| None).collect() };
        for node in 1..=brokers {
            kafka.format(node);
        }
        for node in 1..=brokers {
            kafka.launch(node);
        }
        kafka.wait();
        kafka
    }

    /// `host:port` of every broker, running or not.
    #[must_use]
    pub fn bootstrap(&self) -> String {
        let addresses: Vec<String> = self.ports.iter().map(|(port, _)| format!("127.0.0.1:{port}")).collect();
        addresses.join(",")
    }

    /// The processes of the brokers that run.
    pub fn pids(&self) -> impl Iterator<Item = u32> {
        self.brokers.iter().flatten().map(Process::pid)
    }

    /// `kill -9`, of broker 1, 2, …
    ///
    /// # Panics
    /// There is no such broker.
    pub fn kill(&mut self, node: u16) {
        let broker = self.brokers.get_mut(usize::from(node) - 1).expect("a broker of this cluster");
        if let Some(mut process) = broker.take() {
            process.kill();
        }
    }

    /// Stops a broker in an orderly way: its log is closed.
    ///
    /// # Panics
    /// It does not stop.
    pub fn stop(&mut self, node: u16) {
        let broker = self.brokers.get_mut(usize::from(node) - 1).expect("a broker of this cluster");
        if let Some(mut process) = broker.take() {
            process.signal("TERM");
            let stopped = until(Duration::from_secs(60), || !process.is_running());
            assert!(stopped, "broker {node} does not stop:\n{}", process.log_tail());
        }
    }

    /// Starts a broker that was killed or stopped, with the same folder and port, and waits until all that run know it.
    ///
    /// # Panics
    /// It does not start.
    pub fn restart(&mut self, node: u16) {
        self.kill(node);
        self.launch(node);
        self.wait();
    }

    /// Where a broker keeps its partitions, each in a folder `TOPIC-PARTITION`.
    #[must_use]
    pub fn data(&self, node: u16) -> PathBuf {
        self.home(node).join("data")
    }

    fn home(&self, node: u16) -> PathBuf {
        self.dir.path().join(format!("broker-{node}"))
    }

    fn format(&self, node: u16) {
        let home = self.home(node);
        std::fs::create_dir(&home).expect("the broker's folder");
        std::fs::write(home.join("server.properties"), self.properties(node)).expect("server.properties");
        let arguments = ["kafka.tools.StorageTool", "format", "-t", &self.id, "-c"];
        let mut process = Process::start(&java(&home, &arguments), &[], &home.join("format.log"));
        let formatted = until(START_MAX, || !process.is_running()) && home.join("data/meta.properties").exists();
        assert!(formatted, "broker {node} could not be formatted:\n{}", process.log_tail());
    }

    fn launch(&mut self, node: u16) {
        let home = self.home(node);
        let process = Process::start(&java(&home, &["kafka.Kafka"]), &[], &home.join("kafka.log"));
        *self.brokers.get_mut(usize::from(node) - 1).expect("a broker of this cluster") = Some(process);
    }

    /// Until every running broker sends clients to every running broker.
    fn wait(&mut self) {
        let deadline = Instant::now() + START_MAX;
        let running = self.brokers.iter().filter(|broker| broker.is_some()).count();
        for (process, (port, _)) in self.brokers.iter_mut().zip(&self.ports) {
            let Some(process) = process else { continue };
            let ready = until(deadline.saturating_duration_since(Instant::now()), || {
                !process.is_running() || brokers_known(*port, &self.id).is_some_and(|known| known >= running)
            });
            assert!(ready && process.is_running(), "a broker does not start:\n{}", process.log_tail());
        }
    }

    fn properties(&self, node: u16) -> String {
        let (port, controller) = self.ports[usize::from(node) - 1];
        let voters: Vec<String> =
            (1..).zip(&self.ports).map(|(id, (_, controller))| format!("{id}@127.0.0.1:{controller}")).collect();
        let data = self.data(node);
        let lines = [
            "process.roles=broker,controller".to_owned(),
            format!("node.id={node}"),
            format!("log.dirs={}", data.display()),
            "controller.listener.names=CONTROLLER".to_owned(),
            format!("controller.quorum.voters={}", voters.join(",")),
            format!("listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}"),
            "auto.create.topics.enable=false".to_owned(),
            "offsets.topic.replication.factor=1".to_owned(),
            "offsets.topic.num.partitions=1".to_owned(),
            // A dead broker is noticed after 3 s, not 9.
            "broker.heartbeat.interval.ms=500".to_owned(),
            "broker.session.timeout.ms=3000".to_owned(),
            // Takes 128 MiB of the heap otherwise.
            "log.cleaner.dedupe.buffer.size=4194304".to_owned(),
            String::new(),
        ];
        lines.join("\n")
    }
}

fn java(home: &Path, arguments: &[&str]) -> Vec<String> {
    let jars = tools().join(format!("kafka-{VERSION}"));
    assert!(
        jars.join(format!("kafka_2.13-{VERSION}.jar")).exists(),
        "Kafka {VERSION} is missing in {}: `tests/run kafka` fetches it with Maven (Debian: apt-get install maven \
         default-jre-headless)",
        jars.display()
    );
    let properties = home.join("server.properties");
    let options = ["java", "-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Dlog4j2.statusLoggerLevel=OFF"];
    let mut command: Vec<String> = options.map(str::to_owned).to_vec();
    command.push("-Dorg.slf4j.simpleLogger.showDateTime=true".to_owned());
    command.extend(["-cp".to_owned(), format!("{}/*", jars.display())]);
    command.extend(arguments.iter().map(|argument| (*argument).to_owned()));
    command.push(properties.display().to_string());
    command
}

/// How many brokers the one on `port` would send a client to; none when it does not answer, or is of another cluster.
fn brokers_known(port: u16, cluster: &str) -> Option<usize> {
    // Metadata (3), version 2, correlation 1, no client id, about no topic; after its length.
    const REQUEST: [u8; 18] = [0, 0, 0, 14, 0, 3, 0, 2, 0, 0, 0, 1, 0xff, 0xff, 0, 0, 0, 0];
    let mut stream = TcpStream::connect(("127.0.0.1", port)).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(5))).ok()?;
    stream.write_all(&REQUEST).ok()?;
    let (mut length, mut answer) = ([0; 4], Vec::new());
    stream.read_exact(&mut length).ok()?;
    answer.resize(usize::try_from(u32::from_be_bytes(length)).ok()?.min(1 << 20), 0);
    stream.read_exact(&mut answer).ok()?;
    let count = answer.get(4..8)?.try_into().map(u32::from_be_bytes).ok()?;
    let is_ours = answer.windows(cluster.len()).any(|bytes| bytes == cluster.as_bytes());
    usize::try_from(count).ok().filter(|_| is_ours)
}

/// Asks again and again, for so long; whether it became true.
fn until(limit: Duration, mut is_so: impl FnMut() -> bool) -> bool {
    let deadline = Instant::now() + limit;
    while !is_so() {
        if Instant::now() > deadline {
            return false;
        }
        std::thread::park_timeout(Duration::from_millis(50));
    }
    true
}
