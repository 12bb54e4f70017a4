//! Apache Kafka: brokers that are controllers too (KRaft), one process each.

use crate::{Process, certificates, free_ports, tools};
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
    /// For clients that show a certificate, and for those that say a password over TLS; of the first broker.
    secured: Option<(u16, u16)>,
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
        Self::start_as(brokers, None)
    }

    /// Starts one that speaks TLS besides, with a certificate for `localhost`: see [`Kafka::tls`] and [`Kafka::sasl`].
    ///
    /// # Panics
    /// As [`Kafka::start`].
    #[must_use]
    pub fn start_secured() -> Self {
        let [tls, sasl] = free_ports(2)[..] else { panic!("two free ports") };
        Self::start_as(1, Some((tls, sasl)))
    }

    fn start_as(brokers: u16, secured: Option<(u16, u16)>) -> Self {
        let count = usize::from(brokers);
        let ports = free_ports(2 * count);
        let dir = tempfile::tempdir().expect("a folder for Kafka");
        // A cluster's id is 16 bytes in base64; this one has a port in it, so that no other cluster answers for it.
        let id = format!("farthing{:0>13}A", ports.first().copied().unwrap_or_default());
        let ports = ports.chunks(2).map(|pair| (pair[0], pair[1])).collect();
        if secured.is_some() {
            certificates::make(dir.path());
        }
        let mut kafka = Self { dir, id, ports, secured, brokers: (0..count).map(|_| None).collect() };
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

    /// The password of the user `farthing` at [`Kafka::sasl`].
    pub const PASSWORD: &str = "correct horse";

    /// `host:port` for clients that show a certificate which the authority of [`Kafka::certificates`] signed.
    ///
    /// # Panics
    /// It was not started secured.
    #[must_use]
    pub fn tls(&self) -> String {
        format!("localhost:{}", self.secured.expect("a secured broker").0)
    }

    /// `host:port` for the user `farthing` with its password, over TLS; mechanisms PLAIN and SCRAM-SHA-512.
    ///
    /// # Panics
    /// It was not started secured.
    #[must_use]
    pub fn sasl(&self) -> String {
        format!("localhost:{}", self.secured.expect("a secured broker").1)
    }

    /// The authority's certificate, the broker's own, and its key, which clients may show, too.
    #[must_use]
    pub fn certificates(&self) -> [PathBuf; 3] {
        ["ca.pem", "server.pem", "server.key"].map(|name| self.dir.path().join(name))
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
        let user = format!("SCRAM-SHA-512=[name=farthing,password={}]", Self::PASSWORD);
        let arguments = ["kafka.tools.StorageTool", "format", "-t", &self.id, "--add-scram", &user, "-c"];
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
        lines.join("\n") + &self.secured.map(|ports| self.secured_properties(ports)).unwrap_or_default()
    }

    fn secured_properties(&self, (tls, sasl): (u16, u16)) -> String {
        let (port, controller) = self.ports[0];
        let [ca, certificate, key] = self.certificates();
        let keys = self.dir.path().join("keys.pem");
        let pem = [key, certificate].map(|path| std::fs::read_to_string(path).expect("a certificate"));
        std::fs::write(&keys, pem.concat()).expect("a file");
        let module = "org.apache.kafka.common.security";
        // A later line takes the place of an earlier one.
        let lines = [
            format!(
                "listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller},\
                 SSL://localhost:{tls},SASL_SSL://localhost:{sasl}"
            ),
            "listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,SSL:SSL,SASL_SSL:SASL_SSL"
                .to_owned(),
            "inter.broker.listener.name=PLAINTEXT".to_owned(),
            "ssl.keystore.type=PEM".to_owned(),
            format!("ssl.keystore.location={}", keys.display()),
            "ssl.truststore.type=PEM".to_owned(),
            format!("ssl.truststore.location={}", ca.display()),
            "listener.name.ssl.ssl.client.auth=required".to_owned(),
            "sasl.enabled.mechanisms=PLAIN,SCRAM-SHA-512".to_owned(),
            format!(
                "listener.name.sasl_ssl.plain.sasl.jaas.config={module}.plain.PlainLoginModule required user_farthing=\"{}\";",
                Self::PASSWORD
            ),
            format!("listener.name.sasl_ssl.scram-sha-512.sasl.jaas.config={module}.scram.ScramLoginModule required;"),
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
