//! The fake keeps to the contract.

use async_trait::async_trait;

use super::{FakeSite, Life, Mishap};
use crate::{
    BrowserFactory, Fault, Item, Step,
    contract::{self, Subject},
};

struct Fake(FakeSite);

#[async_trait]
impl Subject for Fake {
    fn factory(&self) -> &dyn BrowserFactory {
        &self.0
    }

    async fn make(&self, name: &str) -> Item {
        self.0.add(name, Life::endless())
    }

    async fn end(&self, item: &Item, artifact: &str) {
        let life = Life::lasting(std::time::Duration::ZERO).leaving(artifact.to_owned());
        self.0.add(item.id.as_str(), life);
    }

    async fn vanish(&self, item: &Item) {
        self.0.add(item.id.as_str(), Life::endless().gone_after(std::time::Duration::ZERO));
    }

    async fn spoil(&self, item: &Item) {
        self.0.mishap(Step::Open, &item.id, Mishap::Fails(Fault::NotFound), 1);
    }

    async fn crash(&self, _: Option<u32>, item: &Item) {
        self.0.mishap(Step::Probe, &item.id, Mishap::CrashesPage, 1);
    }

    async fn running(&self) -> usize {
        self.0.live()
    }
}

#[tokio::test(start_paused = true)]
async fn the_fake_keeps_to_the_contract() {
    contract::run(&Fake(FakeSite::new())).await;
}
