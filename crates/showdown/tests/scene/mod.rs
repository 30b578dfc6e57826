//! The real server, the recipe engine with this crate's recipe, and Chrome.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use scrapefleet_api::{ItemId, politeness::PolitenessSpec};
use scrapefleet_browser::{
    BrowserFactory, Endpoint, Item, ListPage, Observation, Placement, Probe, SiteBrowser,
    recipe::{RecipeFactory, Settings},
};
use scrapefleet_policy::{Timeout, within};
use scrapefleet_showdown::{log::compare, preset};
use scrapefleet_test_site::{ShowdownSite, driver, showdown::Builder};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::TcpStream,
    process::Child,
    time::Instant,
};

/// How long anything may take that takes a few seconds on an idle machine.
pub(crate) const PATIENCE: Duration = Duration::from_mins(2);

pub(crate) struct Scene {
    pub(crate) site: ShowdownSite,
    politeness: PolitenessSpec,
    drivers: Vec<(Child, String)>,
}

impl Scene {
    pub(crate) async fn start(site: Builder) -> Result<Self> {
        // The tests' own server may be asked as fast as it answers.
        let politeness =
            PolitenessSpec { connections_per_minute: 6000, actions_per_second: 100.0, ..Default::default() };
        Ok(Self { site: site.start().await?, politeness, drivers: Vec::new() })
    }

    pub(crate) async fn list(&mut self) -> Result<Box<dyn ListPage>> {
        Ok(self.factory().await?.list_page().await?)
    }

    pub(crate) async fn bot(&mut self) -> Result<Box<dyn SiteBrowser>> {
        Ok(self.factory().await?.bot_browser(0).await?)
    }

    /// Each browser has a driver of its own, which ends with the scene.
    async fn factory(&mut self) -> Result<RecipeFactory> {
        let (child, port) = driver::start().await?;
        let driver = format!("127.0.0.1:{port}");
        self.drivers.push((child, driver.clone()));
        let (recipe, _, _) = preset();
        let mut settings = Settings::new(recipe, self.site.url().parse()?);
        settings.endpoint =
            Endpoint::Remote { driver: format!("http://{driver}").parse()?, no_sandbox: true };
        settings.deadlines.step = Timeout::hard(Duration::from_secs(45));
        settings.politeness = self.politeness.clone();
        Ok(RecipeFactory::new(settings)?)
    }

    /// Runs a script in the page of the browser that was started last, behind the engine's back.
    pub(crate) async fn run_in_page(&self, script: &str) -> Result<()> {
        let (_, driver) = self.drivers.last().context("no browser")?;
        let sessions = ask(driver, "GET", "/sessions", &Value::Null).await?;
        let id = sessions["value"][0]["id"].as_str().context("no session")?;
        let body = json!({ "script": script, "args": [] });
        ask(driver, "POST", &format!("/session/{id}/execute/sync"), &body).await.map(drop)
    }

    pub(crate) fn item(&self, id: &str) -> Result<Item> {
        Ok(Item { id: ItemId::new(id)?, url: format!("{}/{id}", self.site.url()) })
    }

    /// The log that was taken equals what the server shows to everybody.
    pub(crate) async fn check(&self, id: &ItemId, log: &str) -> Result<()> {
        let logged = self.site.battles_logged().await?;
        let truth = logged
            .iter()
            .find(|battle| battle.id == id.as_str())
            .with_context(|| format!("{id} was not logged"))?;
        compare(log, &truth.text()).with_context(|| format!("{id}, as taken and as logged"))
    }

    pub(crate) async fn stop(self) -> Result<()> {
        let uploads = self.site.uploads().await?;
        ensure!(uploads == 0, "{uploads} replays were published");
        drop(self.drivers);
        self.site.stop().await
    }
}

/// One exchange with a driver.
async fn ask(driver: &str, method: &str, path: &str, body: &Value) -> Result<Value> {
    let body = if body.is_null() { String::new() } else { body.to_string() };
    let request =
        format!("{method} {path} HTTP/1.1\r\nhost: {driver}\r\ncontent-length: {}\r\n\r\n{body}", body.len());
    let mut connection = TcpStream::connect(driver).await?;
    connection.write_all(request.as_bytes()).await?;
    // The driver keeps the connection open whatever it is asked.
    let mut answer = BufReader::new(connection);
    let exchange = async {
        let (mut line, mut length) = (String::new(), 0);
        while answer.read_line(&mut line).await? > 2 {
            if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                length = value.trim().parse()?;
            }
            line.clear();
        }
        let mut body = vec![0; length];
        answer.read_exact(&mut body).await?;
        anyhow::Ok(serde_json::from_slice(&body)?)
    };
    within(PATIENCE, "an answer of the driver", exchange).await?
}

/// Probes until `found` finds something in what is seen.
pub(crate) async fn seen<T>(
    bot: &mut dyn SiteBrowser,
    what: &str,
    mut found: impl FnMut(&Probe) -> Option<T>,
) -> Result<T> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let probe = bot.probe().await?;
        if let Some(found) = found(&probe) {
            return Ok(found);
        }
        ensure!(Instant::now() < deadline, "not within {PATIENCE:?}: {what}; last seen: {probe:?}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// Opens an item and answers what the first probe sees of it.
pub(crate) async fn open(bot: &mut dyn SiteBrowser, item: &Item) -> Result<Observation> {
    bot.open(item, Placement::Ordinary).await?;
    bot.probe().await?.items.remove(&item.id).context("the item that was opened is not there")
}
