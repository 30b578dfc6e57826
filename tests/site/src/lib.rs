//! Sites to scrape in tests: the real Showdown server with players, and an ordinary multi-page site.

pub mod driver;
pub mod packages;
pub mod quotes;
pub mod showdown;

pub use showdown::{Client, Fault, GroundTruth, ShowdownSite, battles_logged_at};
