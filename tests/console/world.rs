//! Two tenants, a month of use, a draft, a held bill and an invoice of each kind of trouble.

use serde_json::{Value, json};
use std::path::Path;
use tests::{Stage, offline};

/// Everybody's password.
pub(crate) const PASSWORD: &str = "correct horse battery";

/// What nobody may take for anything but text.
pub(crate) const MARKUP: &str = "<script>alert(1)</script>\"><img src=x onerror=alert(2)>";

/// The bills of January.
pub(crate) const DRAFT: &str = "c-1/USD/2026-02-01T00:00:00Z";
pub(crate) const HELD: &str = "c-2/USD/2026-02-01T00:00:00Z";

/// A system with its folder.
pub(crate) struct World {
    pub(crate) server: Stage,
    pub(crate) key: String,
    folder: tempfile::TempDir,
}

impl World {
    /// Everything in one process, January used, its bills drafted.
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let config = config(folder.path(), "");
        let (file, key) = (folder.path().join("migrate.toml"), folder.path().join("admin.key"));
        std::fs::write(&file, config.replace("{port}", "0")).unwrap();
        offline(&["migrate", "--config", &file.to_string_lossy(), "--admin-key", &key.to_string_lossy()]).ok();
        let key = std::fs::read_to_string(key).unwrap().trim().to_owned();
        let server = started(folder.path(), &config);
        let world = Self { server, key, folder };
        for tenant in ["acme", "other"] {
            world.apply(tenant);
            world.people(tenant);
        }
        world.send();
        world.farthing("acme", &["clock", "advance", "--to", "2026-02-01T01:30:00Z"]);
        world
    }

    /// The same system, started again with other settings of the console.
    pub(crate) fn again(self, console: &str) -> Self {
        let Self { server, key, folder } = self;
        assert_eq!(server.stop(), 0);
        let server = started(folder.path(), &config(folder.path(), console));
        Self { server, key, folder }
    }

    /// A command as the installation's administrator.
    #[track_caller]
    pub(crate) fn farthing(&self, tenant: &str, arguments: &[&str]) -> String {
        self.server.farthing(&self.key, &[arguments, &["--tenant", tenant]].concat()).ok()
    }

    fn apply(&self, tenant: &str) {
        let file = self.folder.path().join("catalog.yaml");
        let name = json!(MARKUP).to_string();
        std::fs::write(&file, CATALOG.replace("TENANT", tenant).replace("MARKUP", &name)).unwrap();
        self.farthing(tenant, &["apply", "-f", &file.to_string_lossy()]);
    }

    /// One person for each role, and one who has all of them.
    fn people(&self, tenant: &str) {
        let file = self.folder.path().join("password");
        std::fs::write(&file, PASSWORD).unwrap();
        for (name, roles) in [
            ("finance", &["--role", "finance"][..]),
            ("catalog", &["--role", "catalog"]),
            ("audit", &["--role", "audit"]),
            ("all", &["--role", "finance", "--role", "catalog", "--role", "audit"]),
        ] {
            let name = format!("{name}@{tenant}");
            let arguments = [&["users", "create", &name, "--tenant", tenant, "--password-stdin"][..], roles].concat();
            let mut command = std::process::Command::new(tests::farthing());
            command.args(arguments).stdin(std::fs::File::open(&file).unwrap());
            tests::run(command.env("FARTHING_SERVER", self.server.url()).env("FARTHING_KEY", &self.key)).ok();
        }
    }

    /// Calls of the first customer in tiers and groups; of the second one that nothing explains.
    fn send(&self) {
        let file = self.folder.path().join("events.ndjson");
        let mut events: Vec<Value> =
            (1..=120).map(|number| event(&format!("e-{number}"), "c-1", "call", &number.to_string())).collect();
        events.push(event(MARKUP, "c-2", "call", "7"));
        events.push(event("unknown", "c-2", MARKUP, "1"));
        events.push(event("free", "c-2", "free", "1"));
        let lines: String = events.iter().map(|event| format!("{event}\n")).collect();
        std::fs::write(&file, lines).unwrap();
        self.farthing("acme", &["send", &file.to_string_lossy()]);
    }
}

fn event(id: &str, customer: &str, kind: &str, count: &str) -> Value {
    json!({"specversion": "1.0", "id": id, "source": MARKUP, "type": kind, "subject": customer,
           "time": "2026-01-15T12:00:00Z", "data": {"n": count, "region": MARKUP}})
}

fn config(folder: &Path, console: &str) -> String {
    let dir = folder.display();
    format!(
        "listen = \"127.0.0.1:{{port}}\"\ntest_clock = \"2026-01-31T12:00:00Z\"\n[console]\n{console}\n\
         [log]\nembedded = {{dir = \"{dir}/log\", shards = 2}}\n[charges]\nembedded = {{dir = \"{dir}\"}}\n\
         [books]\nembedded = {{dir = \"{dir}\"}}\n[rater]\ndata = \"{dir}/rater\"\n"
    )
}

fn started(folder: &Path, config: &str) -> Stage {
    let mut server = Stage::start(folder, "all", config, &["all"]);
    server.wait_ready();
    server
}

const CATALOG: &str = "
apiVersion: farthing/v1
tenant: TENANT
meters:
  - {id: calls, event: call, aggregate: sum, value: n, group_by: [region]}
  - {id: free, event: free, aggregate: count}
plans:
  - id: payg
    currency: USD
    every: month
    fees: [{id: base, amount: 20.00, when: arrears}]
    prices: [{id: out, meter: calls, included: 10, graduated: [{up_to: 1000, each: 0.015}, {each: 0.01}]}]
sellers: [{id: main, name: MARKUP, address: {city: MARKUP, country: DE}, prefix: TENANT-, terms_days: 14}]
taxes: [{id: vat19, category: S, rate: 19%}]
customers:
  - {id: c-1, name: Nordwind, address: {city: Berlin, country: DE}, tax: vat19}
  - {id: c-2, name: MARKUP, address: {street: MARKUP, city: MARKUP, country: DE}, tax: vat19}
subscriptions:
  - {id: s-1, customer: c-1, plan: payg, from: 2026-01-01}
  - {id: s-2, customer: c-2, plan: payg, from: 2026-01-01}
";
