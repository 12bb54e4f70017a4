//! When catalogs are loaded again.

#![allow(clippy::unwrap_used)] // A test that cannot go on fails.

use super::*;
use std::sync::atomic::{AtomicU64, Ordering};

/// Catalogs that count how often they are loaded.
#[derive(Default)]
struct Counted {
    revision: AtomicU64,
    loads: AtomicU64,
}

#[async_trait]
impl Source for Counted {
    async fn revision(&self) -> Result<u64, String> {
        Ok(self.revision.load(Ordering::SeqCst))
    }

    async fn load(&self) -> Result<BTreeMap<TenantId, Tenant>, String> {
        // As a store does, it lets others in between.
        tokio::task::yield_now().await;
        match self.loads.fetch_add(1, Ordering::SeqCst) {
            0 => Err("away".to_owned()),
            _ => Ok(BTreeMap::from([(TenantId::new("acme").unwrap(), Tenant::default())])),
        }
    }
}

#[tokio::test]
async fn catalogs_are_loaded_once_for_each_change() {
    let (catalogs, source) = (Catalogs::new(), Counted::default());
    assert_eq!(catalogs.refresh(&source).await, Err("away".to_owned()));
    assert_eq!(catalogs.only(), None, "a load that failed is no picture");
    let (one, two) = tokio::join!(catalogs.refresh(&source), catalogs.refresh(&source));
    assert_eq!((one, two), (Ok(()), Ok(())));
    assert_eq!(catalogs.only().map(|id| id.to_string()), Some("acme".to_owned()));
    assert_eq!(source.loads.load(Ordering::SeqCst), 2, "the second of two at once finds it done");
    source.revision.fetch_add(1, Ordering::SeqCst);
    catalogs.refresh(&source).await.unwrap();
    assert_eq!(source.loads.load(Ordering::SeqCst), 3);
}
