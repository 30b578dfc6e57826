//! The recipe engine: any [`scrapefleet_api::recipe::Recipe`] as browsers that hold items and a list that is read.

mod answer;
mod artifact;
mod browser;
mod budget;

mod factory;
mod held;
mod list;
mod outage;
mod plan;
mod robots;
mod runner;
mod settings;
mod waits;

pub use factory::{InvalidRecipe, RecipeFactory};
pub(crate) use settings::CLOSING;
pub use settings::{Bounds, Deadlines, Settings};
