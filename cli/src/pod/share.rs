//! A pod's share of what its fleet may ask of the site: a file that is written anew when the fleet has more or fewer pods.

use std::{path::Path, sync::Arc, time::Duration};

use scrapefleet_api::politeness::Share;
use scrapefleet_browser::recipe::RecipeFactory;

/// How often the file is looked at. The node brings a change to it within a minute or so.
const LOOK: Duration = Duration::from_secs(5);

/// Follows the file for the rest of the program's life. What cannot be read leaves the last share in force.
pub(super) async fn follow(file: &Path, factory: Arc<RecipeFactory>) {
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
