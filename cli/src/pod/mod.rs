//! `scrapefleet bot` and `scrapefleet watcher`: one part of a fleet in a pod of its own, beside its Chrome.

mod bot;
mod ending;
mod port;
mod share;
mod signals;
mod testament;
mod watchdog;
mod watcher;

use std::sync::Arc;

use scrapefleet_browser::{
    Endpoint,
    recipe::{Deadlines, RecipeFactory, Settings},
};

pub use bot::bot;
pub use ending::Ending;
pub use watcher::watcher;

use crate::{CliError, args::PodArgs, fleet::Fleet};

/// The watchdog could not be started.
fn no_thread(error: &std::io::Error) -> CliError {
    CliError::Machine(format!("the watchdog's thread cannot be started: {error}"))
}

/// Makes browsers in the pod's Chrome, at the pace of the pod's share.
fn factory(fleet: &Fleet, args: &PodArgs) -> Result<Arc<RecipeFactory>, CliError> {
    let endpoint = Endpoint::Remote { driver: args.webdriver.clone(), no_sandbox: !args.chrome_sandbox };
    let settings = Settings {
        endpoint,
        deadlines: Deadlines::from(&fleet.spec.policies),
        politeness: fleet.spec.politeness.clone(),
        ..Settings::new(fleet.recipe.clone(), fleet.site.clone())
    };
    RecipeFactory::new(settings)
        .map(Arc::new)
        .map_err(|error| CliError::Manifest { path: args.fleet.file.clone(), problems: error.to_string() })
}
