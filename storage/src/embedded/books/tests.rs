//! Books in SQLite beyond what the conformance suite asks.

use super::*;
use std::sync::Arc;

#[tokio::test(flavor = "multi_thread")]
async fn passes_the_suite() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("deep").join("books.db");
    let open = async || Arc::new(Books::open(&path).unwrap()) as Arc<dyn crate::books::Books>;
    crate::conformance::books::suite(open).await;
    crate::conformance::books::leases_end_by_the_callers_clock(&Books::open(&path).unwrap()).await;
    let copy = Books::open(&dir.path().join("copy.db")).unwrap();
    crate::conformance::books::copies(&Books::open(&dir.path().join("copied.db")).unwrap(), &copy).await;
    let connection = Connection::open(&path).unwrap();
    assert!(connection.execute("DELETE FROM audit", []).is_err(), "the audit log is append-only");
    assert!(connection.execute("UPDATE audit SET who = 'x'", []).is_err());
    connection.pragma_update(None, "user_version", 99).unwrap();
    drop(connection);
    assert!(Books::open(&path).unwrap_err().to_string().contains("version 99"));
}
