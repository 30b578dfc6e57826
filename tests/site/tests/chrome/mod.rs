//! A Chrome to look at a page with.

use std::time::Duration;

use anyhow::{Result, ensure};
use scrapefleet_test_site::driver;
use thirtyfour::{ChromiumLikeCapabilities, DesiredCapabilities, WebDriver};
use tokio::{process::Child, time::Instant};

/// A session, its driver and its profile. Dropping it kills the driver, and Chrome with it.
pub(crate) struct Chrome {
    session: WebDriver,
    _driver: Child,
    _profile: tempfile::TempDir,
}

impl Chrome {
    pub(crate) async fn start() -> Result<Self> {
        let (driver, port) = driver::start().await?;
        let profile = tempfile::tempdir()?;
        let mut wanted = DesiredCapabilities::chrome();
        wanted.add_arg("--headless=new")?;
        wanted.add_arg("--no-sandbox")?;
        wanted.add_arg("--disable-background-networking")?;
        wanted.add_arg(&format!("--user-data-dir={}", profile.path().display()))?;
        let session = WebDriver::new(format!("http://127.0.0.1:{port}"), wanted).await?;
        Ok(Self { session, _driver: driver, _profile: profile })
    }

    /// Loads a page and waits until its HTML contains `text`.
    pub(crate) async fn shows(&self, url: &str, text: &str) -> Result<()> {
        self.session.goto(url).await?;
        let deadline = Instant::now() + Duration::from_secs(30);
        loop {
            let html = self.session.source().await?;
            if html.contains(text) {
                return Ok(());
            }
            ensure!(Instant::now() < deadline, "{url} does not show `{text}`: {html}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    pub(crate) async fn stop(self) -> Result<()> {
        self.session.quit().await?;
        Ok(())
    }
}
