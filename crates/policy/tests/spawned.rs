//! A run of a policy can move between threads, whatever its operation borrows: each case here would not compile
//! if its future were not `Send`.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use scrapefleet_policy::{Backoff, Failed, Policy, Retry, Way};

#[async_trait]
trait Page: Send {
    async fn open(&mut self, id: &str, alone: bool) -> Result<u32, String>;
}

/// Fails until it has been asked `needs` times.
struct Stubborn {
    asked: u32,
    needs: u32,
}

#[async_trait]
impl Page for Stubborn {
    async fn open(&mut self, id: &str, alone: bool) -> Result<u32, String> {
        tokio::task::yield_now().await;
        self.asked += 1;
        if self.asked < self.needs { Err(format!("{id} (alone: {alone})")) } else { Ok(self.asked) }
    }
}

struct Bot {
    page: Box<dyn Page>,
    open: Policy<String>,
    opened: Vec<String>,
}

#[async_trait]
trait Holder {
    async fn hold(&mut self, id: &str) -> Result<u32, Failed<String>>;
}

#[async_trait]
impl Holder for Bot {
    async fn hold(&mut self, id: &str) -> Result<u32, Failed<String>> {
        let page = self.page.as_mut();
        let done = self.open.run_on(&mut (page, id), |(page, id), _| page.open(id, false)).await?;
        self.opened.push(id.to_owned());
        Ok(done)
    }
}

fn open(attempts: u32) -> Policy<String> {
    Policy::named("open")
        .within(Duration::from_secs(1))
        .retry(Retry::times(attempts).backoff(Backoff::constant(Duration::from_millis(10))))
}

#[tokio::test(start_paused = true)]
async fn a_spawned_run_borrows_a_local_mutably() {
    let spawned = tokio::spawn(async move {
        let mut page = Stubborn { asked: 0, needs: 3 };
        let id = String::from("battle-1");
        let opened =
            open(3).run_on(&mut (&mut page, id.as_str()), |(page, id), _| page.open(id, false)).await;
        (opened, page.asked)
    });
    assert_eq!(spawned.await.unwrap(), (Ok(3), 3));
}

#[tokio::test(start_paused = true)]
async fn a_spawned_run_borrows_through_self_and_arguments() {
    let spawned = tokio::spawn(async move {
        let page = Box::new(Stubborn { asked: 0, needs: 2 });
        let mut bot = Bot { page, open: open(2), opened: Vec::new() };
        let held = bot.hold("battle-2").await;
        (held, bot.opened)
    });
    assert_eq!(spawned.await.unwrap(), (Ok(2), vec!["battle-2".to_owned()]));
}

#[tokio::test(start_paused = true)]
async fn a_spawned_run_shares_what_needs_no_mut() {
    let spawned = tokio::spawn(async move {
        let asked = tokio::sync::Mutex::new(Stubborn { asked: 0, needs: 3 });
        let id = String::from("battle-3");
        open(3).run(|_| async { asked.lock().await.open(&id, false).await }).await
    });
    assert_eq!(spawned.await.unwrap(), Ok(3));
}

#[tokio::test(start_paused = true)]
async fn a_spawned_fallback_borrows_a_local_mutably() {
    let spawned = tokio::spawn(async move {
        let mut page: Box<dyn Page> = Box::new(Stubborn { asked: 0, needs: 4 });
        let both = open(2).or_else(open(2));
        both.run_on(&mut (page.as_mut(), "battle-4"), |(page, id), way| {
            page.open(id, matches!(way, Way::Second { .. }))
        })
        .await
    });
    assert_eq!(spawned.await.unwrap(), Ok(4));
}

#[tokio::test(start_paused = true)]
async fn one_policy_serves_many_tasks() {
    let policy = Arc::new(open(1));
    let tasks: Vec<_> = (0..8_u32)
        .map(|number| {
            let policy = Arc::clone(&policy);
            tokio::spawn(async move { policy.run(|_| async move { Ok(number) }).await })
        })
        .collect();
    for (number, task) in (0..).zip(tasks) {
        assert_eq!(task.await.unwrap(), Ok(number));
    }
}
