//! Keys: made, recognised, revoked.

use super::*;
use crate::books::AuditQuery;
use crate::shard::ShardCount;
use crate::sim::World;

fn books() -> Arc<dyn Books> {
    World::new(ShardCount::new(1).unwrap()).books
}

fn tenant() -> Option<TenantId> {
    Some(TenantId::new("acme").unwrap())
}

#[tokio::test]
async fn a_key_opens_what_its_scope_covers_and_nothing_else_passes_for_it() {
    let books = books();
    let ring = Keyring::open(Arc::clone(&books)).await.unwrap();
    let first = ring.create(tenant(), Scope::Finance, "tester").await.unwrap();
    let second = ring.create(tenant(), Scope::Finance, "tester").await.unwrap();
    for created in [&first, &second] {
        let caller = ring.authenticate(&created.key).unwrap();
        assert_eq!(caller, Caller { key: created.id.clone(), tenant: tenant(), scope: Scope::Finance });
        assert!(caller.may(Scope::Read) && caller.may(Scope::Finance));
        assert!(!caller.may(Scope::Ingest) && !caller.may(Scope::Admin));
    }
    let mut other = first.key.clone();
    other.replace_range(other.len() - 1.., if other.ends_with('0') { "1" } else { "0" });
    let mixed = first.key.replace(&first.id, &second.id);
    for wrong in [other.as_str(), &mixed, &first.id, "", "fk_", "fk__", "fk_x_y", &first.key[..first.key.len() - 1]] {
        assert_eq!(ring.authenticate(wrong), None, "{wrong}");
    }
    let secret = first.key.rsplit('_').next().unwrap();
    let written = format!(
        "{:?} {:?} {first:?} {ring:?}",
        books.audit(&AuditQuery::all(tenant().as_ref(), 0, 100)).await,
        books.list(&all_keys()).await
    );
    assert!(!written.contains(secret), "the secret is kept nowhere");
    assert!(written.contains(&first.id));
}

fn all_keys() -> ListQuery {
    ListQuery { collection: COLLECTION.to_owned(), count_max: 10, ..ListQuery::default() }
}

#[tokio::test]
async fn there_is_one_first_key() {
    let books = books();
    let ring = Keyring::open(Arc::clone(&books)).await.unwrap();
    let first = ring.create_first("serve").await.unwrap().unwrap();
    let caller = ring.authenticate(&first.key).unwrap();
    assert!(caller.tenant.is_none() && caller.may(Scope::Ingest));
    assert_eq!(ring.create_first("serve").await.unwrap(), None);
    let again = Keyring::open(books).await.unwrap();
    assert_eq!(again.create_first("serve").await.unwrap(), None);
    assert_eq!(again.authenticate(&first.key), Some(caller));
}

#[tokio::test(start_paused = true)]
async fn a_key_that_was_revoked_elsewhere_is_refused_within_ten_seconds() {
    let books = books();
    let (here, there) = (Keyring::open(Arc::clone(&books)).await.unwrap(), Keyring::open(books).await.unwrap());
    let created = here.create(tenant(), Scope::Ingest, "tester").await.unwrap();
    tokio::time::sleep(Duration::from_secs(9)).await;
    assert!(there.authenticate(&created.key).is_some());
    here.revoke(&created.id, "tester").await.unwrap();
    assert!(here.authenticate(&created.key).is_none() && here.list().is_empty());
    tokio::time::sleep(Duration::from_secs(9)).await;
    assert!(there.authenticate(&created.key).is_none());
    assert!(matches!(there.revoke(&created.id, "tester").await, Err(Error::NotFound { .. })));
}

#[tokio::test]
async fn the_audit_log_of_a_tenant_tells_when_its_keys_were_made_and_revoked() {
    let books = books();
    let ring = Keyring::open(Arc::clone(&books)).await.unwrap();
    let (made, over) = (Instant::from_nanos(7_000_000_000), Instant::from_nanos(9_000_000_000));
    ring.set_log_time(move || made);
    let key = ring.create(tenant(), Scope::Ingest, "founder").await.unwrap();
    let first = ring.create_first("serve").await.unwrap().unwrap();
    ring.set_log_time(move || over);
    ring.revoke(&key.id, "keeper").await.unwrap();
    let told = async |tenant: Option<TenantId>| {
        let entries = books.audit(&AuditQuery::all(tenant.as_ref(), 0, 100)).await.unwrap();
        let told = entries.into_iter().map(|entry| (entry.who, entry.action, entry.key.id, entry.log_time));
        told.collect::<Vec<_>>()
    };
    let one = |who: &str, action: &str, id: &str, at| (who.to_owned(), action.to_owned(), id.to_owned(), at);
    let (created, revoked) = (one("founder", "create key", &key.id, made), one("keeper", "revoke key", &key.id, over));
    assert_eq!(told(tenant()).await, [created, revoked]);
    assert_eq!(told(None).await, [one("serve", "create first key", &first.id, made)]);
}
