//! What can be seen of a browser that is about to be thrown away, and how long that may take.

use std::time::Duration;

use bytes::Bytes;
use scrapefleet_browser::{Fault, SiteBrowser, StepError, process_tree};
use scrapefleet_policy::within;

use super::report::ProcessLine;

/// How long a browser that still answers is given for a screenshot. Nobody else waits for the next browser meanwhile than in
/// the case of a fault that had nothing to do with hanging.
const SCREENSHOT: Duration = Duration::from_secs(1);

/// How long reading the processes may take. For a Chrome with ten processes it takes some 20 ms.
const PROCESSES: Duration = Duration::from_millis(250);

/// The most processes that are listed.
const MOST_PROCESSES: usize = 64;

/// What was seen. Of each part there is either the part or why it is missing.
#[derive(Debug, Default)]
pub(super) struct Sight {
    pub(super) processes: Option<Vec<ProcessLine>>,
    pub(super) no_processes: Option<String>,
    pub(super) screenshot: Option<Bytes>,
    pub(super) no_screenshot: Option<String>,
}

impl Sight {
    /// Looks at `browser`, which failed with `error`. One that may hang is not asked anything.
    pub(super) async fn of(browser: Option<&mut (dyn SiteBrowser + 'static)>, error: &StepError) -> Self {
        let Some(browser) = browser else {
            let none = || Some("there was no browser".to_owned());
            return Self { no_processes: none(), no_screenshot: none(), ..Self::default() };
        };
        let mut sight = Self::default();
        match processes(browser.process_id()).await {
            Ok(found) => sight.processes = Some(found),
            Err(why) => sight.no_processes = Some(why),
        }
        match screenshot(browser, error).await {
            Ok(picture) => sight.screenshot = Some(picture),
            Err(why) => sight.no_screenshot = Some(why),
        }
        sight
    }
}

async fn processes(root: Option<u32>) -> Result<Vec<ProcessLine>, String> {
    let root = root.and_then(|root| i32::try_from(root).ok());
    let root = root
        .ok_or("the browser's processes are not visible from here: they are in a container of their own")?;
    let look = tokio::task::spawn_blocking(move || process_tree::look(root, MOST_PROCESSES));
    let seen = within(PROCESSES, "read the browser's processes", look).await;
    let seen = seen.map_err(|expired| expired.to_string())?.map_err(|error| error.to_string())?;
    if seen.is_empty() {
        return Err(format!("its first process, {root}, is gone"));
    }
    Ok(seen.into_iter().map(ProcessLine::from).collect())
}

async fn screenshot(browser: &mut dyn SiteBrowser, error: &StepError) -> Result<Bytes, String> {
    if !still_answers(error) {
        return Err(format!("a browser that failed so ({:?}) is not asked", error.fault));
    }
    let evidence = within(SCREENSHOT, "take a screenshot", browser.evidence(None)).await;
    let evidence = evidence.map_err(|expired| expired.to_string())?;
    evidence.screenshot.ok_or_else(|| "the browser gave none".to_owned())
}

/// Whether the page that items share can still be asked: what failed was an answer, or a tab apart from it.
fn still_answers(error: &StepError) -> bool {
    let dead = matches!(error.fault, Fault::BrowserGone | Fault::CannotStart);
    !dead && (error.alone || error.fault.is_an_answer())
}

#[cfg(test)]
mod tests {
    use scrapefleet_browser::Step;

    use super::*;

    #[test]
    fn what_may_hang_or_is_dead_is_not_asked() {
        let error = |fault| StepError::new(Step::Probe, fault, "");
        for fault in
            [Fault::Timeout, Fault::PageCrashed, Fault::TabClosed, Fault::BrowserGone, Fault::CannotStart]
        {
            assert!(!still_answers(&error(fault)), "{fault:?}");
        }
        assert!(still_answers(&error(Fault::NotFound)));
        assert!(still_answers(&error(Fault::Timeout).alone()), "only a tab hangs");
        assert!(!still_answers(&error(Fault::BrowserGone).alone()));
    }

    #[tokio::test]
    async fn processes_are_listed_or_it_is_said_why_not() {
        let own = processes(Some(std::process::id())).await.unwrap();
        assert!(!own.is_empty() && own.len() <= MOST_PROCESSES);
        assert!(processes(None).await.unwrap_err().contains("container"));
        assert!(processes(Some(u32::MAX)).await.is_err());
        // More than the kernel ever gives.
        assert!(processes(Some(5_000_000)).await.unwrap_err().contains("5000000"));
    }
}
