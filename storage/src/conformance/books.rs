//! The suite for [`Books`].

use crate::books::{
    Archive, Archived, AuditEntry, AuditQuery, Books, Commit, DocumentKey, Error, Expect, ListQuery, Put,
};
use pricing::id::TenantId;
use pricing::time::{Instant, Span};
use std::sync::Arc;

/// Runs all of it: `open` opens empty books the first time, and the same ones again after that.
pub async fn suite(open: impl AsyncFn() -> Arc<dyn Books>) {
    let books = open().await;
    conditions_hold(&*books).await;
    commits_are_all_or_nothing(&*books).await;
    lists_are_ordered_and_paged(&*books).await;
    tags_are_replaced(&*books).await;
    audit_keeps_everything(&*books).await;
    concurrent_changes_conflict(&books).await;
    leases_are_held(&*books).await;
    let (revision, audit) =
        (books.revision().await.unwrap(), books.audit(&AuditQuery::all(None, 0, 1000)).await.unwrap());
    drop(books);
    let books = open().await;
    assert_eq!(books.revision().await.unwrap(), revision);
    assert_eq!(books.audit(&AuditQuery::all(None, 0, 1000)).await.unwrap(), audit);
    assert_eq!(books.get(&key("counter", "c")).await.unwrap().unwrap().revision, 20);
}

fn key(collection: &str, id: &str) -> DocumentKey {
    DocumentKey { tenant: None, collection: collection.into(), id: id.into() }
}

fn put(key: &DocumentKey, expect: Expect, body: Option<&str>) -> Put {
    Put { key: key.clone(), expect, body: body.map(Into::into), tags: Vec::new(), audited: true }
}

fn tagged(id: &str, tags: &[(&str, &str)]) -> Put {
    let tags = tags.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    Put { tags, ..put(&key("tagged", id), Expect::Any, Some("{}")) }
}

fn commit(puts: Vec<Put>) -> Commit {
    Commit { who: "tester".into(), action: "test".into(), log_time: Instant::from_nanos(7), puts }
}

async fn list(books: &dyn Books, query: ListQuery) -> Vec<String> {
    books.list(&query).await.unwrap().into_iter().map(|document| document.key.id).collect()
}

async fn conditions_hold(books: &dyn Books) {
    let name = key("conditions", "a");
    assert_eq!(books.get(&name).await.unwrap(), None);
    let refused = books.commit(commit(vec![put(&name, Expect::Revision(1), Some("{}"))])).await;
    assert!(matches!(refused, Err(Error::Conflict { .. })), "{refused:?}");
    let revision = books.revision().await.unwrap();
    books.commit(commit(vec![put(&name, Expect::Absent, Some("{\"a\": 1}"))])).await.unwrap();
    assert!(books.revision().await.unwrap() > revision);
    let found = books.get(&name).await.unwrap().unwrap();
    assert_eq!((found.revision, found.body.as_str()), (1, "{\"a\": 1}"));
    assert!(books.commit(commit(vec![put(&name, Expect::Absent, Some("{}"))])).await.is_err());
    books.commit(commit(vec![put(&name, Expect::Revision(1), Some("{}"))])).await.unwrap();
    assert!(books.commit(commit(vec![put(&name, Expect::Revision(1), None)])).await.is_err());
    books.commit(commit(vec![put(&name, Expect::Revision(2), None)])).await.unwrap();
    assert_eq!(books.get(&name).await.unwrap(), None);
    // Whoever still holds revision 1 or 2 does not find it back.
    books.commit(commit(vec![put(&name, Expect::Absent, Some("[]"))])).await.unwrap();
    assert_eq!(books.get(&name).await.unwrap().unwrap().revision, 3);
    let own = DocumentKey { tenant: Some(TenantId::new("acme").unwrap()), ..name.clone() };
    assert_eq!(books.get(&own).await.unwrap(), None, "another tenant's document");
}

async fn commits_are_all_or_nothing(books: &dyn Books) {
    let (first, second) = (key("atomic", "a"), key("atomic", "b"));
    let audited = books.audit(&AuditQuery::all(None, 0, 1000)).await.unwrap().len();
    let revision = books.revision().await.unwrap();
    let puts = vec![put(&first, Expect::Absent, Some("{}")), put(&second, Expect::Revision(4), Some("{}"))];
    match books.commit(commit(puts)).await {
        Err(Error::Conflict { key }) => assert_eq!(*key, second),
        other => panic!("{other:?}"),
    }
    assert_eq!(books.get(&first).await.unwrap(), None);
    assert_eq!(books.audit(&AuditQuery::all(None, 0, 1000)).await.unwrap().len(), audited);
    assert_eq!(books.revision().await.unwrap(), revision);
    // Two puts of one document stand on each other.
    let twice = vec![put(&first, Expect::Absent, Some("1")), put(&first, Expect::Revision(1), Some("2"))];
    books.commit(commit(twice)).await.unwrap();
    assert_eq!(books.get(&first).await.unwrap().unwrap().body, "2");
}

async fn lists_are_ordered_and_paged(books: &dyn Books) {
    let ids = ["a", "a/b", "a/c", "aé", "b", "b\u{10FFFF}", "b\u{10FFFF}x", "c"];
    let puts = ids.iter().rev().map(|id| put(&key("list", id), Expect::Absent, Some("{}"))).collect();
    books.commit(commit(puts)).await.unwrap();
    let all = ListQuery { collection: "list".into(), count_max: 100, ..ListQuery::default() };
    assert_eq!(list(books, all.clone()).await, ids);
    let mut descending: Vec<&str> = ids.to_vec();
    descending.reverse();
    assert_eq!(list(books, ListQuery { descending: true, ..all.clone() }).await, descending);
    for descending in [false, true] {
        let (mut after, mut paged) = (None, Vec::new());
        loop {
            let page = list(books, ListQuery { after, count_max: 3, descending, ..all.clone() }).await;
            let Some(last) = page.last() else { break };
            after = Some(last.clone());
            paged.extend(page);
        }
        assert_eq!(paged, list(books, ListQuery { descending, ..all.clone() }).await);
    }
    let with = |prefix: &str| ListQuery { prefix: Some(prefix.into()), ..all.clone() };
    assert_eq!(list(books, with("a/")).await, ["a/b", "a/c"]);
    assert_eq!(list(books, with("b\u{10FFFF}")).await, ["b\u{10FFFF}", "b\u{10FFFF}x"]);
    assert_eq!(list(books, ListQuery { after: Some("a/b".into()), ..with("a") }).await, ["a/c", "aé"]);
    let before = ListQuery { after: Some("a/c".into()), descending: true, ..with("a/") };
    assert_eq!(list(books, before).await, ["a/b"]);
    books.commit(commit(vec![put(&key("list", "b"), Expect::Any, None)])).await.unwrap();
    assert_eq!(list(books, ListQuery { count_max: 5, ..all }).await[4], "b\u{10FFFF}");
}

async fn tags_are_replaced(books: &dyn Books) {
    let puts = vec![
        tagged("1", &[("status", "draft"), ("customer", "a")]),
        tagged("2", &[("status", "draft"), ("customer", "b"), ("period", "x")]),
        tagged("3", &[("status", "issued"), ("customer", "a")]),
    ];
    books.commit(commit(puts)).await.unwrap();
    let query = |tags: &[(&str, &str)]| ListQuery {
        collection: "tagged".into(),
        tags: tags.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
        count_max: 10,
        ..ListQuery::default()
    };
    assert_eq!(list(books, query(&[("status", "draft")])).await, ["1", "2"]);
    assert_eq!(list(books, ListQuery { descending: true, ..query(&[("status", "draft")]) }).await, ["2", "1"]);
    let both = [("customer", "b"), ("status", "draft"), ("period", "x")];
    assert_eq!(list(books, query(&both)).await, ["2"]);
    assert_eq!(list(books, query(&[("customer", "b"), ("status", "issued")])).await, [""; 0]);
    books.commit(commit(vec![tagged("1", &[("status", "issued")])])).await.unwrap();
    assert_eq!(list(books, query(&[("status", "issued")])).await, ["1", "3"]);
    assert_eq!(list(books, query(&[("customer", "a")])).await, ["3"]);
    let removed = Put { body: None, ..tagged("1", &[("status", "issued")]) };
    books.commit(commit(vec![removed])).await.unwrap();
    assert_eq!(list(books, query(&[("status", "issued")])).await, ["3"]);
}

async fn audit_keeps_everything(books: &dyn Books) {
    let tenant = TenantId::new("audited").unwrap();
    let name = DocumentKey { tenant: Some(tenant.clone()), ..key("audit", "a") };
    let silent = Put { audited: false, ..put(&key("audit", "cursor"), Expect::Any, Some("1")) };
    books.commit(commit(vec![silent, put(&name, Expect::Any, Some("1"))])).await.unwrap();
    books.commit(commit(vec![put(&name, Expect::Any, Some("2"))])).await.unwrap();
    books.commit(commit(vec![put(&name, Expect::Any, None)])).await.unwrap();
    let entries = books.audit(&AuditQuery::all(Some(&tenant), 0, 10)).await.unwrap();
    let bodies: Vec<_> = entries.iter().map(|entry| (entry.before.as_deref(), entry.after.as_deref())).collect();
    assert_eq!(bodies, [(None, Some("1")), (Some("1"), Some("2")), (Some("2"), None)]);
    let AuditEntry { who, action, log_time, .. } = &entries[0];
    assert_eq!((who.as_str(), action.as_str(), *log_time), ("tester", "test", Instant::from_nanos(7)));
    assert_eq!(books.audit(&AuditQuery::all(Some(&tenant), entries[0].number, 1)).await.unwrap(), entries[1..2]);
    let query = AuditQuery { tenant: Some(tenant), count_max: 2, ..AuditQuery::default() };
    let newest = AuditQuery { descending: true, ..query.clone() };
    assert_eq!(books.audit(&newest).await.unwrap(), [entries[2].clone(), entries[1].clone()]);
    let older = AuditQuery { after: Some(entries[1].number), ..newest };
    assert_eq!(books.audit(&older).await.unwrap(), entries[..1]);
    let one = |collection: &str, id: &str| AuditQuery {
        collection: Some(collection.into()),
        id: Some(id.into()),
        ..query.clone()
    };
    assert_eq!(books.audit(&one("audit", "a")).await.unwrap(), entries[..2]);
    assert_eq!(books.audit(&one("audit", "b")).await.unwrap(), []);
    assert_eq!(books.audit(&one("other", "a")).await.unwrap(), []);
    let at = |from: i64, until: i64| AuditQuery {
        from: Some(Instant::from_nanos(from)),
        until: Some(Instant::from_nanos(until)),
        ..query.clone()
    };
    assert_eq!(books.audit(&at(7, 8)).await.unwrap(), entries[..2]);
    assert_eq!(books.audit(&at(6, 7)).await.unwrap(), []);
    assert_eq!(books.audit(&at(8, 9)).await.unwrap(), []);
    let numbers: Vec<u64> =
        books.audit(&AuditQuery::all(None, 0, 1000)).await.unwrap().iter().map(|entry| entry.number).collect();
    assert!(numbers.is_sorted() && numbers.iter().all(|number| *number >= 1 && *number != entries[0].number));
}

async fn concurrent_changes_conflict(books: &Arc<dyn Books>) {
    let count = |books: Arc<dyn Books>| async move {
        let name = key("counter", "c");
        loop {
            let now = books.get(&name).await.unwrap();
            let expect = now.as_ref().map_or(Expect::Absent, |document| Expect::Revision(document.revision));
            let next = now.map_or(1, |document| document.body.parse::<u32>().unwrap() + 1).to_string();
            match books.commit(commit(vec![put(&name, expect, Some(&next))])).await {
                Ok(()) => return,
                Err(Error::Conflict { .. }) => tokio::task::yield_now().await,
                Err(error) => panic!("{error}"),
            }
        }
    };
    let tasks: Vec<_> = (0..20).map(|_| tokio::spawn(count(Arc::clone(books)))).collect();
    for task in tasks {
        task.await.unwrap();
    }
    assert_eq!(books.get(&key("counter", "c")).await.unwrap().unwrap().body, "20");
}

/// On any clock: nothing here waits for a lease to end by itself.
#[allow(clippy::disallowed_types)] // leases go by wall clocks
async fn leases_are_held(books: &dyn Books) {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    let now = Instant::from_nanos(i64::try_from(since.as_nanos()).unwrap());
    let later = now.plus(Span::from_hours(1));
    assert!(books.lease("l", "one", now, later).await.unwrap());
    assert!(!books.lease("l", "two", now, later).await.unwrap());
    assert!(books.lease("other", "two", now, later).await.unwrap());
    assert!(books.lease("l", "one", now, later).await.unwrap());
    // Given back.
    assert!(books.lease("l", "one", now, now).await.unwrap());
    assert!(books.lease("l", "two", now, later).await.unwrap());
    assert!(!books.lease("l", "one", now, later).await.unwrap());
}

/// Where a lease ends by the clock of whoever asks for it: it ends at `until`, not before.
pub async fn leases_end_by_the_callers_clock(books: &dyn Books) {
    let at = Instant::from_nanos;
    assert!(books.lease("timed", "one", at(0), at(10)).await.unwrap());
    assert!(!books.lease("timed", "two", at(5), at(15)).await.unwrap());
    assert!(books.lease("timed", "one", at(5), at(20)).await.unwrap());
    assert!(!books.lease("timed", "two", at(19), at(30)).await.unwrap());
    assert!(books.lease("timed", "two", at(20), at(30)).await.unwrap());
    assert!(!books.lease("timed", "one", at(21), at(30)).await.unwrap());
}

/// Copies books as a whole into empty ones, and once more after they changed: the copy has what they have, finds it by the
/// same tags, and goes on from there as they do.
pub async fn copies(from: &dyn Archive, to: &dyn Archive) {
    let of = |tenant: &str, id: &str| DocumentKey { tenant: TenantId::new(tenant).ok(), ..key("tagged", id) };
    let first = [
        tagged("a", &[("status", "draft"), ("customer", "c-1")]),
        tagged("b", &[("status", "draft")]),
        put(&key("copied", "gone"), Expect::Any, Some("1")),
        put(&of("acme", "a"), Expect::Any, Some("{\"text\": \"ä\\u0000\"}")),
        Put { audited: false, ..put(&of("zoo", "a"), Expect::Any, Some("2")) },
    ];
    from.commit(commit(first.into())).await.unwrap();
    from.commit(commit(vec![put(&key("copied", "gone"), Expect::Any, None)])).await.unwrap();
    copy(from, to).await;
    let drafts = ListQuery {
        collection: "tagged".into(),
        tags: vec![("status".into(), "draft".into())],
        count_max: 10,
        ..ListQuery::default()
    };
    assert_eq!(list(to, drafts.clone()).await, ["a", "b"]);
    // An earlier try left what has changed since.
    let second = [tagged("a", &[("status", "issued"), ("customer", "c-1")]), put(&of("acme", "a"), Expect::Any, None)];
    from.commit(commit(second.into())).await.unwrap();
    copy(from, to).await;
    assert_eq!(list(to, drafts).await, ["b"]);
    assert_eq!(to.get(&of("acme", "a")).await.unwrap(), None);
    for books in [from, to] {
        let again = [tagged("a", &[]), put(&key("copied", "gone"), Expect::Absent, Some("3"))];
        books.commit(commit(again.into())).await.unwrap();
    }
    assert_eq!(content(to).await, content(from).await);
}

async fn copy(from: &dyn Archive, to: &dyn Archive) {
    let (documents, entries) = content(from).await;
    for page in documents.chunks(3) {
        to.restore(page.to_vec(), Vec::new()).await.unwrap();
    }
    for page in entries.chunks(3) {
        to.restore(Vec::new(), page.to_vec()).await.unwrap();
    }
    assert_eq!(content(to).await, (documents, entries));
}

/// All of it, read in small pages.
async fn content(books: &dyn Archive) -> (Vec<Archived>, Vec<AuditEntry>) {
    let (mut documents, mut entries): (Vec<Archived>, Vec<AuditEntry>) = (Vec::new(), Vec::new());
    loop {
        let page = books.documents(documents.last().map(|last| &last.key), 2).await.unwrap();
        assert!(page.iter().all(|document| documents.iter().all(|known| known.key < document.key)), "in their order");
        match page.is_empty() {
            true => break,
            false => documents.extend(page),
        }
    }
    loop {
        let page = books.entries(entries.last().map_or(0, |last| last.number), 2).await.unwrap();
        match page.is_empty() {
            true => return (documents, entries),
            false => entries.extend(page),
        }
    }
}
