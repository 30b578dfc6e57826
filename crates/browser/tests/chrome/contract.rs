//! A real Chrome keeps to the contract.

use async_trait::async_trait;
use scrapefleet_browser::{
    BrowserFactory, Item,
    contract::{self, Subject},
    recipe::RecipeFactory,
};

use crate::{
    site::App,
    support::{app_recipe, descendants, factory_in, item, newest_renderer, signal, turn},
};

struct Chrome {
    app: App,
    folder: tempfile::TempDir,
    factory: RecipeFactory,
}

impl Chrome {
    fn decide(&self, item: &Item, fate: &'static str, artifact: &str) {
        self.app.state.fates.lock().unwrap().insert(item.id.to_string(), (fate, artifact.to_owned()));
    }
}

#[async_trait]
impl Subject for Chrome {
    fn factory(&self) -> &dyn BrowserFactory {
        &self.factory
    }

    async fn make(&self, name: &str) -> Item {
        let id = format!("served-{name}");
        self.app.state.rooms.lock().unwrap().insert(0, id.clone());
        item(&self.app.url, &id)
    }

    async fn end(&self, item: &Item, artifact: &str) {
        self.decide(item, "ended", artifact);
    }

    async fn vanish(&self, item: &Item) {
        self.decide(item, "vanished", "");
    }

    async fn spoil(&self, item: &Item) {
        self.decide(item, "spoilt", "");
    }

    async fn crash(&self, browser: Option<u32>, _: &Item) {
        signal(newest_renderer(browser.unwrap()), rustix::process::Signal::KILL);
    }

    async fn running(&self) -> usize {
        let folder = self.folder.path().to_string_lossy().into_owned();
        let guards = descendants(std::process::id());
        guards
            .iter()
            .filter(|(_, line)| line.contains("browser-guard --folder") && line.contains(&folder))
            .count()
    }
}

#[tokio::test]
async fn chrome_keeps_to_the_contract() {
    let _turn = turn().await;
    let (app, folder) = (App::start().await, tempfile::tempdir().unwrap());
    let mut recipe = app_recipe();
    recipe["item"]["take"] = serde_json::json!([{ "download": "a.save" }]);
    let factory = factory_in(folder.path(), recipe, &app.url);
    let chrome = Chrome { app, folder, factory };
    contract::run(&chrome).await;
    assert_eq!(chrome.folder.path().read_dir().unwrap().count(), 0, "folders are left");
}
