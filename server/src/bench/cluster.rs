//! `cluster`: each stage a process of its own, on a Kafka, a ClickHouse and a PostgreSQL that are there already.

use super::ingest::{Sizes, load, setting};
use super::load;
use super::processes::{CpuMeter, Stage};
use super::{Figures, Latency, Meter};
use crate::client::{Client, Connection, answer};
use crate::failure::{Context, Failure, Result, read_text};
use proto::v1;
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// Where it runs.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    /// A configuration that names log, charges and books; topic and databases have to be empty.
    pub(crate) config: PathBuf,
    /// Raters.
    pub(crate) raters: u16,
    /// Processes whose CPU time is told, too.
    pub(crate) servers: Vec<(String, u32)>,
}

/// How often it is looked whether something has arrived.
const LOOK: Duration = Duration::from_millis(20);
/// The name of a rater, before its number.
const RATER: &str = "rater";
/// Ids of the load begin after that of the first event.
const FIRST_ID: u64 = 1;

/// Until all charges are in ClickHouse.
pub(crate) async fn run(sizes: Sizes, plan: &Plan, folder: &Path) -> Result<Figures> {
    let key = migrate(sizes, plan, folder)?;
    let mut stages = Vec::new();
    for name in ["invoicer".to_owned(), "ingest".to_owned()].into_iter().chain((0..plan.raters).map(rater)) {
        let address = write(sizes, plan, folder, &name)?;
        let pod = format!("{name}/{}", plan.raters);
        let stage: &[&str] = if name.starts_with(RATER) { &["rater", "--pod", &pod] } else { &[&name] };
        stages.push(Stage::start(folder, &name, &address, stage)?);
    }
    for stage in &mut stages {
        stage.ready().await?;
    }
    let [invoicer, ingest, ..] = &stages[..] else { return Err(Failure::refused("no stages")) };
    let connection =
        |stage: &Stage| Connection::here(format!("http://{}", stage.address), Some(key.clone()), Some("bench"));
    let (client, ingest) = (Client::connect(&connection(invoicer)).await?, connection(ingest));
    let request = v1::ApplyRequest { file: load::catalog(sizes.customers), ..Default::default() };
    answer(client.catalog().apply(request).await)?;
    warm(&ingest, sizes).await?;
    charged(&mut stages, 1).await?;

    let own = ("client".to_owned(), std::process::id());
    let of_stages = stages.iter().map(|stage| (stage.name.clone(), stage.pid()));
    let cpu = CpuMeter::start(std::iter::once(own).chain(of_stages).chain(plan.servers.clone()));
    let meter = Meter::start();
    let (count, waits) = load(&ingest, sizes, FIRST_ID).await?;
    charged(&mut stages, count + 1).await?;
    let setting = format!("{}, {} raters", setting(&sizes), plan.raters);
    let figures = meter.stop("cluster", "events", count, setting);
    let (processes, cpu_ns_each) = cpu.stop(count);
    let latency = Latency::of("request → durable acknowledgement", waits);
    Ok(Figures { processes, cpu_ns_each, ..figures.aim(200_000).latency(latency) })
}

fn rater(number: u16) -> String {
    format!("{RATER}-{number}")
}

/// Makes topic, tables and schema, and gives the first admin key.
fn migrate(sizes: Sizes, plan: &Plan, folder: &Path) -> Result<String> {
    write(sizes, plan, folder, "migrate")?;
    let key = folder.join("admin.key");
    let said = Command::new(std::env::current_exe().context("this program")?)
        .arg("migrate")
        .arg("--config")
        .arg(folder.join("migrate.toml"))
        .arg("--admin-key")
        .arg(&key)
        .output()
        .context("farthing migrate")?;
    if !said.status.success() {
        return Err(Failure::refused(String::from_utf8_lossy(&said.stderr).trim()));
    }
    let key = std::fs::read_to_string(&key);
    let key = key.map_err(|_| Failure::refused("the database holds books already: name an empty one"))?;
    Ok(key.trim().to_owned())
}

/// Writes a stage's configuration into `folder`; where it will answer.
fn write(sizes: Sizes, plan: &Plan, folder: &Path, name: &str) -> Result<String> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("a free port")?;
    let address = listener.local_addr().context("a free port")?.to_string();
    let text = read_text(&plan.config)?;
    let mut config: toml::Table =
        toml::from_str(&text).map_err(|error| Failure::refused(error.to_string().trim_end()))?;
    config.insert("listen".to_owned(), address.clone().into());
    // The client is on this machine.
    config.remove("tls");
    config.remove("health");
    config.insert("test_clock".to_owned(), load::NOW.into());
    let kafka = config.get_mut("log").and_then(|log| log.get_mut("kafka")).and_then(toml::Value::as_table_mut);
    if let Some(kafka) = kafka {
        kafka.insert("shards".to_owned(), i64::from(sizes.shards).into());
    }
    let data = folder.join(name).to_string_lossy().into_owned();
    let rater = toml::Table::from_iter([("data".to_owned(), data.into()), ("volume_only".to_owned(), true.into())]);
    config.insert("rater".to_owned(), rater.into());
    std::fs::write(folder.join(format!("{name}.toml")), config.to_string()).context("a configuration")?;
    Ok(address)
}

/// Sends a first event until ingest knows the catalog.
async fn warm(connection: &Connection, sizes: Sizes) -> Result {
    let client = Client::connect(connection).await?;
    loop {
        let request = v1::IngestRequest { events: vec![load::event(0, sizes.customers)], sequence: 0 };
        match client.ingest().ingest(request).await {
            Ok(said) if said.get_ref().accepted == 1 => return Ok(()),
            _ => tokio::time::sleep(LOOK).await,
        }
    }
}

/// Waits until so many events are charged, and their rows stored.
async fn charged(stages: &mut [Stage], count: u64) -> Result {
    loop {
        let (mut charged, mut unsent, mut halted) = (0, 0, 0);
        for rater in stages.iter_mut().filter(|stage| stage.name.starts_with(RATER)) {
            rater.runs()?;
            halted += rater.metric("farthing_shard_halted{", "").await.unwrap_or(0);
            charged += rater.metric("farthing_shard_events_total{", "outcome=\"charged\"").await.unwrap_or(0);
            unsent += rater.metric("farthing_shard_unsent_bytes{", "").await.unwrap_or(1);
        }
        if halted > 0 {
            return Err(Failure::refused(format_args!("{halted} shards have halted")));
        }
        if charged >= count && unsent == 0 {
            return Ok(());
        }
        tokio::time::sleep(LOOK).await;
    }
}
