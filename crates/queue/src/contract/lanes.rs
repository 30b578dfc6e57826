//! Lanes: what waits in one does not keep another waiting.

use super::{
    Harness,
    scene::{Scene, depth, nothing, take, take_many, tasks},
};

/// A consumer full of a slow lane still has a hold for the fast one, at once and again.
pub async fn a_backlog_in_a_slow_lane_does_not_delay_a_fast_one<H: Harness>(harness: H) {
    let scene = Scene::of(harness);
    scene.publish(&tasks("slow", 60)).await;
    let mut consumer = scene.consumer_of(5, &[("slow", 9), ("fast", 1)]).await;
    let slow = take_many(&mut consumer, 4).await;
    nothing(&mut consumer).await;
    scene.publish(&tasks("fast", 3)).await;
    for _ in 0..3 {
        let mut claim = take(&mut consumer).await;
        assert_eq!(claim.task().lane.as_str(), "fast");
        claim.ack().await.unwrap();
    }
    nothing(&mut consumer).await;
    scene.settles_at(depth(56, 4, 0, 0)).await;
    drop(slow);
}

/// The holds that are not kept for a lane go to the lanes in proportion to their weights.
pub async fn holds_follow_the_weights<H: Harness>(harness: H) {
    let scene = Scene::of(harness);
    scene.publish(&tasks("heavy", 40)).await;
    scene.publish(&tasks("light", 40)).await;
    scene.settles_at(depth(80, 0, 0, 0)).await;
    let mut consumer = scene.consumer_of(34, &[("light", 1), ("heavy", 3)]).await;
    let claims = take_many(&mut consumer, 34).await;
    let heavy = claims.iter().filter(|claim| claim.task().lane.as_str() == "heavy").count();
    assert!((22..=28).contains(&heavy), "{heavy} of 34 are of the lane with three quarters of the weight");
}

/// What is in other lanes is not for this consumer, and stays for who wants it.
pub async fn a_consumer_takes_only_from_its_lanes<H: Harness>(harness: H) {
    let scene = Scene::of(harness);
    scene.publish(&tasks("mine", 1)).await;
    scene.publish(&tasks("other", 1)).await;
    let mut consumer = scene.consumer_of(5, &[("mine", 1), ("empty", 1)]).await;
    let claim = take(&mut consumer).await;
    assert_eq!(claim.task().lane.as_str(), "mine");
    nothing(&mut consumer).await;
    let mut other = scene.consumer_of(1, &[("other", 1)]).await;
    assert_eq!(take(&mut other).await.task().lane.as_str(), "other");
}
