//! The index against a map.

use super::*;
use std::collections::BTreeMap;
use tempfile::TempDir;

fn id(number: u64) -> Id {
    Key([7; 16]).prefix("t", "c", "s").id(&number.to_string())
}

/// Ids whose hashes crowd in one table.
fn crowded(number: u64) -> Id {
    Id { high: number << 50, low: number }
}

fn same(index: &Index, map: &BTreeMap<(u64, u64), (u64, i64)>, ids: impl Iterator<Item = Id>, from: i64) {
    for id in ids {
        let expected = map.get(&(id.high, id.low)).filter(|(_, day)| *day >= from).map(|(payload, _)| *payload);
        assert_eq!(index.get(id, Day(from)), expected);
    }
}

/// Room for so many bytes, and disk for the rest.
fn room(folder: &TempDir, bytes_max: usize) -> Room {
    Room { bytes_max, file: Some(folder.path().join("ids/shard-0")) }
}

/// What a snapshot holds of it.
fn pieces(index: &Index) -> Vec<u8> {
    let mut out = Writer::default();
    for piece in 0..Index::pieces() {
        index.write_piece(piece, &mut out);
    }
    out.frame(0).to_vec()
}

#[test]
fn it_knows_what_a_map_knows() {
    let folder = tempfile::tempdir().expect("a folder");
    for (make, spill_every) in
        [(id as fn(u64) -> Id, u64::MAX), (crowded, u64::MAX), (id, 7_000), (crowded, 11_000), (id, 50_001)]
    {
        let (mut index, mut map) = (Index::default(), BTreeMap::new());
        index.set_room(room(&folder, usize::MAX));
        for number in 0..60_000u64 {
            if number % spill_every == spill_every - 1 {
                index.spill(&folder.path().join("file")).expect("a disk");
            }
            let day = 20_000 + i64::try_from(number / 1_000).expect("small");
            let id = make(number % 40_000 * 7);
            index.insert(id, number, Day(day));
            map.insert((id.high, id.low), (number, day));
            if number % 9_000 == 0 {
                index.forget_before(Day(day - 40));
            }
            index.sweep_some();
        }
        index.read_ahead(&(0..100).map(make).collect::<Vec<_>>());
        same(&index, &map, (0..300_000).map(make), 20_020);
        index.forget_before(Day(20_050));
        let written = pieces(&index);
        for _ in 0..TABLES {
            index.sweep_some();
        }
        map.retain(|_, (_, day)| *day >= 20_050);
        same(&index, &map, (0..300_000).map(make), 20_050);
        assert_eq!(written, pieces(&index), "sweeping is never seen from outside");
        // And what was written is the map, whatever lay on disk.
        let mut again = Index::default();
        let mut from = Reader::new(written.get(9..).expect("a frame's bytes"));
        for piece in 0..Index::pieces() {
            again.read_piece(piece, &mut from).expect("what was written");
        }
        assert_eq!((again.count(), index.lost()), (u64::try_from(map.len()).expect("small"), None));
    }
}

#[test]
fn what_exceeds_the_room_goes_to_disk_until_there_is_none() {
    let folder = tempfile::tempdir().expect("a folder");
    let (mut index, mut plain) = (Index::default(), Index::default());
    index.set_room(room(&folder, 3 << 20));
    let mut number = 0;
    let full = loop {
        let day = Day(i64::try_from(number / 100_000).expect("small"));
        index.insert(id(number), number, day);
        plain.insert(id(number), number, day);
        number += 1;
        if number % 100 == 0
            && let Err(full) = index.make_room()
        {
            break full;
        }
    };
    assert!(matches!(full, Error::Full { bytes_max: 3_145_728, .. }), "{full}");
    assert!(number > 400_000 && index.disk_bytes() > 9 << 20, "{number} ids, {} bytes", index.disk_bytes());
    assert!((0..number).all(|number| index.get(id(number), Day(0)) == Some(number)));
    let seeming = (number..2 * number).filter(|number| index.runs.iter().any(|run| run.filter().may_hold(id(*number))));
    assert!(seeming.count() * 10 < usize::try_from(number).expect("small"), "few others are looked for on disk");
    assert_eq!(pieces(&index), pieces(&plain));
    assert_eq!(std::fs::read_dir(folder.path().join("ids")).expect("a folder").count(), 0, "files have no names");
    // Files go when all their ids are forgotten.
    index.forget_before(Day(i64::MAX));
    assert_eq!((index.disk_bytes(), index.runs.len()), (0, 0));
}

#[test]
fn damage_on_disk_is_never_an_unknown_id() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut index = Index::default();
    (0..10_000).for_each(|number| index.insert(id(number), number, Day(1)));
    index.spill(&folder.path().join("file")).expect("a disk");
    (10_000..20_000).for_each(|number| index.insert(id(number), number, Day(1)));
    assert_eq!((index.get(id(5), Day(1)), index.lost()), (Some(5), None));
    index.runs[0].damage(24 * 5_000);
    let known = (0..20_000).filter(|number| index.get(id(*number), Day(1)).is_some()).count();
    assert!(known < 20_000 && matches!(index.lost(), Some(Error::Damaged { .. })), "{:?}", index.lost());
}

#[test]
fn an_id_takes_at_most_32_bytes() {
    let mut index = Index::default();
    for number in 0..4_000_000u64 {
        index.insert(id(number), 0, Day(1));
        if number > 3_000_000 && number % 100_000 == 0 {
            let each = index.bytes() / usize::try_from(index.count()).expect("fits");
            assert!(each <= 32, "{each} bytes each at {number}");
        }
    }
}

#[test]
fn a_leap_of_years_forgets_everything_at_once() {
    let mut index = Index::default();
    index.insert(id(1), 5, Day(-106_752));
    index.forget_before(Day(20_000));
    index.insert(id(2), 6, Day(20_040));
    assert_eq!((index.get(id(1), Day(20_000)), index.get(id(2), Day(20_000))), (None, Some(6)));
    index.forget_before(Day(20_000 + DAYS));
    assert_eq!(index.get(id(2), Day(20_000 + DAYS)), None);
    assert_eq!(index.count(), 0);
}
