//! Makes browsers for one site.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
};

use async_trait::async_trait;
use scrapefleet_api::{
    address::Addresses,
    politeness::{RobotsTxt, Share},
};
use url::Url;

use super::{
    browser::RecipeBrowser, budget::Budget, list::RecipeList, plan::Plan, robots::Robots, settings::Settings,
};
use crate::{BrowserFactory, Fault, ListPage, SiteBrowser, Step, StepError};

/// A recipe that cannot be used; one line for each thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", .0.join("\n"))]
pub struct InvalidRecipe(pub Vec<String>);

/// Makes browsers that read one site as a recipe says. They share one budget of page loads.
pub struct RecipeFactory {
    shared: Arc<Shared>,
}

/// What all browsers of a factory have in common.
pub(super) struct Shared {
    pub(super) settings: Settings,
    pub(super) addresses: Addresses,
    pub(super) plan: Plan,
    pub(super) budget: Budget,
    robots: Option<Robots>,
    /// Whether a driver that runs elsewhere may have a Chrome of which nobody here knows.
    strays: AtomicBool,
}

impl RecipeFactory {
    /// Checks what can be checked without a browser; scripts and selectors are checked by each browser as it starts.
    pub fn new(settings: Settings) -> Result<Self, InvalidRecipe> {
        let addresses = Addresses::new(&settings.site, &settings.recipe)
            .map_err(|problems| InvalidRecipe(problems.iter().map(ToString::to_string).collect()))?;
        let robots = match settings.politeness.robots_txt {
            RobotsTxt::Respect => Some(Robots::new()),
            RobotsTxt::Ignore => None,
        };
        let (plan, budget) = (Plan::new(&settings.recipe), Budget::new(&settings.politeness));
        Ok(Self {
            shared: Arc::new(Shared {
                settings,
                addresses,
                plan,
                budget,
                robots,
                strays: AtomicBool::new(true),
            }),
        })
    }

    /// Changes what its browsers may ask of the site from now on.
    pub async fn allot(&self, share: &Share) {
        self.shared.budget.allot(share).await;
    }
}

impl fmt::Debug for RecipeFactory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RecipeFactory")
            .field("site", &self.shared.settings.site.as_str())
            .finish_non_exhaustive()
    }
}

impl Shared {
    /// Whether there may be a Chrome of which nobody here knows, at the start of the first browser or after one that could
    /// not be started. Who asks ends it. A browser that was thrown away is ended by itself: a driver that is asked for its
    /// sessions while a Chrome hangs answers only when it has given that one up.
    pub(super) fn take_strays(&self) -> bool {
        self.strays.swap(false, Relaxed)
    }

    /// A Chrome may have been started of which nothing is known.
    pub(super) fn leave_stray(&self) {
        self.strays.store(true, Relaxed);
    }

    /// Fails when `url` must not be opened.
    pub(super) async fn allow(&self, step: Step, url: &Url) -> Result<(), StepError> {
        match &self.robots {
            Some(robots) => robots.allow(step, url).await,
            None => Ok(()),
        }
    }

    /// The URL of an item, when it leads to where the recipe's items are: what a queue hands over is not trusted.
    pub(super) fn item_url(&self, item: &crate::Item) -> Result<Url, StepError> {
        let home = self.addresses.item(&item.id).map(|url| url.origin());
        let given = Url::parse(&item.url).ok();
        given.filter(|url| Some(url.origin()) == home).ok_or_else(|| {
            let why = "its URL does not lead to where this recipe's items are (item.url)";
            StepError::new(Step::Open, Fault::Unusable, why).at(&item.url)
        })
    }
}

#[async_trait]
impl BrowserFactory for RecipeFactory {
    async fn bot_browser(&self, slot: u32) -> Result<Box<dyn SiteBrowser>, StepError> {
        Ok(Box::new(RecipeBrowser::start(Arc::clone(&self.shared), slot).await?))
    }

    async fn list_page(&self) -> Result<Box<dyn ListPage>, StepError> {
        Ok(Box::new(RecipeList::start(Arc::clone(&self.shared)).await?))
    }
}
