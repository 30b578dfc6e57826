//! Named locks, by which one of several watchers is the active one.

use super::{
    Harness,
    scene::{LANE, Scene, take, task},
};

/// One holder at a time, and the next when it lets go.
pub async fn a_lock_is_exclusive_and_freed_when_dropped<H: Harness>(harness: H) {
    let scene = Scene::of(harness);
    let first = scene.queue.try_lock("watcher").await.unwrap().unwrap();
    assert!(first.held());
    assert!(scene.harness.queue().try_lock("watcher").await.unwrap().is_none());
    let other = scene.queue.try_lock("indexer").await.unwrap();
    assert!(other.is_some(), "another name is another lock");
    drop(first);
    freed(&scene, "watcher").await;
}

/// Who asks in vain, as a standby does again and again, keeps its connection and what it holds over it.
pub async fn asking_for_a_lock_that_another_has_costs_nothing<H: Harness>(harness: H) {
    let scene = Scene::of(harness);
    let held = scene.harness.queue().try_lock("watcher").await.unwrap();
    assert!(held.is_some());
    scene.publish(&[task("a", LANE)]).await;
    let mut consumer = scene.consumer(1).await;
    let mut claim = take(&mut consumer).await;
    for _ in 0..5 {
        assert!(scene.queue.try_lock("watcher").await.unwrap().is_none());
    }
    claim.ack().await.unwrap();
}

/// A death lets go of it too.
pub async fn a_lock_is_freed_by_a_death<H: Harness>(harness: H) {
    let mut scene = Scene::of(harness);
    let before = scene.queue.try_lock("watcher").await.unwrap().unwrap();
    scene.kill().await;
    freed(&scene, "watcher").await;
    drop(before);
}

/// Waits until the lock can be taken: a broker may need a moment to notice.
async fn freed<H: Harness>(scene: &Scene<H>, name: &str) {
    while scene.queue.try_lock(name).await.unwrap().is_none() {
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
}
