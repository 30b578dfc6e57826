use std::time::Duration;

use super::*;
use crate::{Backoff, Cause, Retry};

fn open_then_alone() -> Fallback<String> {
    let wait = Backoff::constant(Duration::from_secs(1));
    let open = Policy::named("open").within(Duration::from_secs(3)).retry(Retry::times(2).backoff(wait));
    let alone =
        Policy::named("open alone").within(Duration::from_secs(3)).retry(Retry::times(3).backoff(wait));
    open.or_else(alone)
}

fn describe(way: &Way<String>) -> String {
    match way {
        Way::First { attempt } => format!("first {attempt}"),
        Way::Second { attempt, first } => format!("second {attempt} after {first}"),
    }
}

const FIRST_FAILED: &str = "open failed after 2 attempts in 1.0s: no room";

#[tokio::test(start_paused = true)]
async fn the_second_way_is_not_tried_when_the_first_works() {
    let mut tried = Vec::new();
    let done = open_then_alone()
        .run(|way| {
            tried.push(describe(&way));
            async { Ok(()) }
        })
        .await;
    assert_eq!((done, tried), (Ok(()), vec!["first 1".to_owned()]));
}

#[tokio::test(start_paused = true)]
async fn the_second_way_is_told_how_the_first_failed() {
    let mut tried = Vec::new();
    let done = open_then_alone()
        .run(|way| {
            tried.push(describe(&way));
            async move {
                match way {
                    Way::First { .. } => Err("no room".to_owned()),
                    Way::Second { attempt, .. } => Ok(attempt),
                }
            }
        })
        .await;
    assert_eq!(done, Ok(1));
    assert_eq!(tried, ["first 1", "first 2", &format!("second 1 after {FIRST_FAILED}")]);
}

#[tokio::test(start_paused = true)]
async fn when_both_fail_both_are_said() {
    let mut calls = 0;
    let failed = open_then_alone()
        .run_on(&mut calls, |calls, way| {
            Box::pin(async move {
                *calls += 1;
                Err::<(), _>(match way {
                    Way::First { .. } => "no room".to_owned(),
                    Way::Second { .. } => "no tab".to_owned(),
                })
            })
        })
        .await
        .unwrap_err();
    assert_eq!(calls, 5);
    let expected = format!("open alone failed after 3 attempts in 2.0s: no tab; before that, {FIRST_FAILED}");
    assert_eq!(failed.to_string(), expected);
}

#[tokio::test(start_paused = true)]
async fn some_failures_have_no_second_way() {
    let only_if_no_room =
        open_then_alone().only_if(|failed| failed.error().is_some_and(|error| error == "no room"));
    let fails_with = async |error: &'static str| {
        let operation = async |way: Way<String>| match way {
            Way::First { .. } => Err(error.to_owned()),
            Way::Second { .. } => Ok(()),
        };
        only_if_no_room.run(operation).await
    };
    assert_eq!(fails_with("no room").await, Ok(()));
    let failed = fails_with("no browser").await.unwrap_err();
    assert_eq!((failed.name, failed.cause), ("open", Cause::Error("no browser".to_owned())));
    assert!(failed.before.is_none());
}
