//! A chromedriver of a test's own.

use std::process::Stdio;

use anyhow::{Context, Result, bail};
use tokio::{
    io::{AsyncBufReadExt as _, BufReader},
    process::{Child, Command},
};

/// Starts of a driver in all: it looks for a free port and then takes it, and in between another may have done so.
const ATTEMPTS: u32 = 3;

/// Starts chromedriver and answers its port on loopback. Dropping the process kills it, and its Chrome with it.
pub async fn start() -> Result<(Child, u16)> {
    for _ in 0..ATTEMPTS {
        let mut driver = Command::new("chromedriver")
            .arg("--port=0")
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .context("cannot run chromedriver")?;
        let mut lines = BufReader::new(driver.stdout.take().context("no output")?).lines();
        while let Some(line) = lines.next_line().await? {
            if let Some(port) = line.strip_prefix("ChromeDriver was started successfully on port ") {
                return Ok((driver, port.trim_end_matches('.').parse()?));
            }
        }
    }
    bail!("chromedriver ended at once, {ATTEMPTS} times")
}
