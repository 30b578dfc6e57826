use super::*;
use crate::{ConsumerOptions, Lane};

fn lane(name: &str) -> LaneName {
    LaneName::new(name).unwrap()
}

fn row(key: u64, due: i64) -> Row {
    Row { key, lane: lane("l"), due }
}

fn inventory(rows: &[Row]) -> Inventory {
    Inventory { tasks: rows.to_vec(), ..Inventory::default() }
}

/// A shelf with these tasks and one consumer of all of them.
fn shelf(rows: &[Row]) -> (Shelf, u64) {
    let mut shelf = Shelf::stocked(&inventory(rows));
    let lanes = vec![Lane { name: lane("l"), weight: 1 }];
    let picker = Picker::new(&ConsumerOptions { name: "c".to_owned(), holds: 10, lanes }).unwrap();
    let consumer = shelf.connect(picker);
    (shelf, consumer)
}

fn depth(shelf: &Shelf) -> [u64; 4] {
    let sum = shelf.depths().into_values().fold(Depth::default(), |sum, lane| sum + lane);
    [sum.ready, sum.held, sum.delayed, sum.dead]
}

#[test]
fn delays_end_in_their_order_and_not_before() {
    let (mut shelf, consumer) = shelf(&[row(1, 200), row(2, 100), row(3, AT_ONCE)]);
    assert_eq!((depth(&shelf), shelf.next_due()), ([1, 0, 2, 0], Some(100)));
    assert!(!shelf.promote(99));
    assert!(shelf.promote(100));
    assert_eq!((depth(&shelf), shelf.next_due()), ([2, 0, 1, 0], Some(200)));
    shelf.promote(i64::MAX);
    let keys: Vec<_> = std::iter::from_fn(|| shelf.take(consumer).unwrap()).map(|taken| taken.key).collect();
    assert_eq!(keys, [1, 2, 3]);
}

#[test]
fn an_end_that_cannot_be_written_leaves_the_task_held() {
    let (mut shelf, consumer) = shelf(&[row(1, AT_ONCE)]);
    let Taken { key, ticket, .. } = shelf.take(consumer).unwrap().unwrap();
    assert_eq!(shelf.begin_finish(key, ticket), Ok(Begin::Write));
    shelf.not_finished(key, ticket);
    assert_eq!(depth(&shelf), [0, 1, 0, 0]);
    assert_eq!(shelf.begin_finish(key, ticket), Ok(Begin::Write));
    shelf.apply(Move::Gone { key });
    assert_eq!(depth(&shelf), [0; 4]);
}

#[test]
fn a_holder_who_leaves_while_its_end_is_written_gives_back_only_if_that_fails() {
    for fails in [true, false] {
        let (mut shelf, consumer) = shelf(&[row(1, AT_ONCE)]);
        let Taken { key, ticket, .. } = shelf.take(consumer).unwrap().unwrap();
        shelf.begin_finish(key, ticket).unwrap();
        shelf.leave(key, ticket);
        shelf.disconnect(consumer);
        assert_eq!(depth(&shelf), [0, 1, 0, 0], "until it is known");
        if fails {
            shelf.not_finished(key, ticket);
            assert_eq!(depth(&shelf), [1, 0, 0, 0]);
        } else {
            shelf.apply(Move::Gone { key });
            assert_eq!(depth(&shelf), [0; 4]);
        }
    }
}

#[test]
fn an_old_ticket_has_no_say() {
    let (mut shelf, consumer) = shelf(&[row(1, AT_ONCE)]);
    let old = shelf.take(consumer).unwrap().unwrap();
    shelf.leave(old.key, old.ticket);
    let new = shelf.take(consumer).unwrap().unwrap();
    assert_eq!(shelf.begin_finish(old.key, old.ticket), Err(QueueError::Closed));
    shelf.leave(old.key, old.ticket);
    shelf.not_finished(old.key, old.ticket);
    assert_eq!(depth(&shelf), [0, 1, 0, 0]);
    assert_eq!(shelf.begin_finish(new.key, new.ticket), Ok(Begin::Write));
}

#[test]
fn a_failed_write_that_is_in_the_file_nevertheless_stands() {
    let (mut shelf, consumer) = shelf(&[row(1, AT_ONCE), row(2, AT_ONCE), row(3, AT_ONCE), row(4, 50)]);
    shelf.promote(50);
    let taken: Vec<_> = (0..4).map(|_| shelf.take(consumer).unwrap().unwrap()).collect();
    // All at once: 1 is acked, 2 is acked by a holder who has left, 3 is only held, 4 was delayed once and is held.
    shelf.begin_finish(1, taken[0].ticket).unwrap();
    shelf.begin_finish(2, taken[1].ticket).unwrap();
    shelf.leave(2, taken[1].ticket);
    shelf.restock(&inventory(&[row(3, AT_ONCE), row(4, 50), row(9, AT_ONCE)]));
    assert_eq!(depth(&shelf), [1, 2, 0, 0], "9 was published, 3 and 4 are held");
    shelf.not_finished(1, taken[0].ticket);
    shelf.not_finished(2, taken[1].ticket);
    assert_eq!(shelf.begin_finish(1, taken[0].ticket), Ok(Begin::Ended), "asked again, it is done");
    assert_eq!(shelf.begin_finish(1, taken[0].ticket), Err(QueueError::Closed));
    assert_eq!(shelf.begin_finish(4, taken[3].ticket), Ok(Begin::Write));
    shelf.leave(3, taken[2].ticket);
    assert_eq!(depth(&shelf), [2, 1, 0, 0]);
}

#[test]
fn a_failed_write_that_is_not_in_the_file_is_undone() {
    let (mut shelf, consumer) = shelf(&[row(1, AT_ONCE)]);
    let taken = shelf.take(consumer).unwrap().unwrap();
    shelf.begin_finish(1, taken.ticket).unwrap();
    shelf.leave(1, taken.ticket);
    shelf.restock(&inventory(&[row(1, AT_ONCE)]));
    shelf.not_finished(1, taken.ticket);
    assert_eq!(depth(&shelf), [1, 0, 0, 0]);
    assert_eq!(shelf.take(consumer).unwrap().map(|taken| taken.key), Some(1));
}

#[test]
fn deliveries_are_counted_until_a_finish_and_recorded_once() {
    let (mut shelf, consumer) = shelf(&[row(1, AT_ONCE)]);
    for count in 0..3 {
        let taken = shelf.take(consumer).unwrap().unwrap();
        assert_eq!(taken.deliveries, count);
        shelf.delivered(1);
        shelf.leave(1, taken.ticket);
    }
    assert_eq!(shelf.take_marks(), [(1, 3)]);
    assert_eq!(shelf.take_marks(), []);
    shelf.not_marked(&[(1, 3)]);
    let taken = shelf.take(consumer).unwrap().unwrap();
    shelf.begin_finish(1, taken.ticket).unwrap();
    shelf.apply(Move::Returned { key: 1 });
    assert_eq!(shelf.take_marks(), [], "what is finished needs no record");
    assert_eq!(shelf.take(consumer).unwrap().unwrap().deliveries, 0);
}
