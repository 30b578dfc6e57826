//! A pod's share of what its fleet may ask of the site: a file that is written anew when the fleet has more or fewer pods.

use std::{path::Path, sync::Arc, time::Duration};

use scrapefleet_api::politeness::Share;
use scrapefleet_browser::recipe::RecipeFactory;
use tokio::sync::watch;

/// How often the file is looked at. The node brings a change to it within a minute or so.
const LOOK: Duration = Duration::from_secs(5);

/// Follows the file for the rest of the program's life, telling `held` how many items a bot may hold. What cannot be read
/// leaves the last share in force.
pub(super) async fn follow(file: &Path, factory: Arc<RecipeFactory>, held: Option<watch::Sender<usize>>) {
    let mut last = None;
    let mut looks = tokio::time::interval(LOOK);
    loop {
        looks.tick().await;
        let share = read(file).await;
        if last.as_ref() == Some(&share) {
            continue;
        }
        match &share {
            Ok(share) => {
                // First, because a page load that waits for its turn makes the other wait.
                if let Some(held) = &held {
                    held.send_replace(usize::try_from(share.held).unwrap_or(usize::MAX));
                }
                factory.allot(share).await;
                tracing::info!(?share, "the pod's share of the fleet's politeness");
            }
            Err(why) => {
                tracing::warn!(file = %file.display(), why, "the pod's share cannot be read: the last one stays");
            }
        }
        last = Some(share);
    }
}

async fn read(file: &Path) -> Result<Share, String> {
    let text = tokio::fs::read(file).await.map_err(|error| error.to_string())?;
    serde_json::from_slice(&text).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use scrapefleet_browser::{Endpoint, recipe::Settings};
    use scrapefleet_policy::within;

    use super::*;

    fn factory() -> Arc<RecipeFactory> {
        let (recipe, _, home) = scrapefleet_showdown::preset();
        let endpoint = Endpoint::Remote { driver: "http://127.0.0.1:1".parse().unwrap(), no_sandbox: false };
        let settings = Settings { endpoint, ..Settings::new(recipe, home.parse().unwrap()) };
        Arc::new(RecipeFactory::new(settings).unwrap())
    }

    #[tokio::test(start_paused = true)]
    async fn a_bot_is_told_how_much_it_may_hold_whenever_that_changes() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("share");
        let share =
            |held: u32| format!(r#"{{"connectionsPerMinute":7.5,"actionsPerSecond":1.5,"held":{held}}}"#);
        let (sender, mut held) = watch::channel(1);
        let following = {
            let file = file.clone();
            tokio::spawn(async move { follow(&file, factory(), Some(sender)).await })
        };
        for (text, expected) in [(share(20), Some(20)), ("?".to_owned(), None), (share(5), Some(5))] {
            std::fs::write(&file, text).unwrap();
            let told = within(LOOK * 3, "a change", held.changed()).await;
            assert_eq!(told.is_ok().then(|| *held.borrow_and_update()), expected);
        }
        following.abort();
    }
}
