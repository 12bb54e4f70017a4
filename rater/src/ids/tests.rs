//! The index against a map.

use super::*;
use std::collections::BTreeMap;

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

#[test]
fn it_knows_what_a_map_knows() {
    for make in [id as fn(u64) -> Id, crowded] {
        let (mut index, mut map) = (Index::default(), BTreeMap::new());
        for number in 0..60_000u64 {
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
        let mut out = Writer::default();
        for piece in 0..Index::pieces() {
            index.write_piece(piece, &mut out);
        }
        for _ in 0..TABLES {
            index.sweep_some();
        }
        map.retain(|_, (_, day)| *day >= 20_050);
        assert_eq!(index.count(), u64::try_from(map.len()).expect("small"));
        same(&index, &map, (0..300_000).map(make), 20_050);
        let mut swept = Writer::default();
        for piece in 0..Index::pieces() {
            index.write_piece(piece, &mut swept);
        }
        assert_eq!(out.frame(0), swept.frame(0), "sweeping is never seen from outside");
    }
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
