//! What a run needs of this machine: Chrome and its driver.

use std::sync::Arc;

use scrapefleet_browser::{
    BrowserFactory, Endpoint, LocalChrome, NoProgram, find_chrome, find_driver,
    recipe::{Deadlines, RecipeFactory, Settings},
};

use crate::{CliError, args::RunArgs, fleet::Fleet};

/// Makes browsers for the fleet's site, or says what is missing and how to install it.
pub(super) fn factory(fleet: &Fleet, args: &RunArgs) -> Result<Arc<dyn BrowserFactory>, CliError> {
    let missing = |error: NoProgram| CliError::Machine(error.to_string());
    let local = LocalChrome {
        driver: Some(find_driver(args.chromedriver.as_deref()).map_err(missing)?),
        chrome: Some(find_chrome(args.chrome.as_deref()).map_err(missing)?),
        ..LocalChrome::default()
    };
    let settings = Settings {
        endpoint: Endpoint::Local(local),
        deadlines: Deadlines::from(&fleet.spec.policies),
        politeness: fleet.spec.politeness.clone(),
        ..Settings::new(fleet.recipe.clone(), fleet.site.clone())
    };
    let factory = RecipeFactory::new(settings)
        .map_err(|error| CliError::Manifest { path: args.fleet.file.clone(), problems: error.to_string() })?;
    Ok(Arc::new(factory))
}
