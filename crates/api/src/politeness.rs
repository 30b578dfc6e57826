//! What the whole fleet may ask of the site.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What the whole fleet may ask of the site, however many bots it has.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct PolitenessSpec {
    /// New connections (page loads) a minute.
    #[schemars(range(min = 1, max = 6000))]
    pub connections_per_minute: i32,
    /// Actions inside pages (enter, leave) a second, for each page.
    #[schemars(range(min = 0.01, max = 1000.0))]
    pub actions_per_second: f64,
    /// Items held at once.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub held: i32,
    /// Whether robots.txt decides what may be opened.
    pub robots_txt: RobotsTxt,
}

/// One pod's share of what its fleet may ask of the site: what the operator gives a pod, which may change while it runs.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Share {
    /// New connections (page loads) a minute. A fleet with many pods gives each less than one.
    pub connections_per_minute: f64,
    /// Actions a second inside one page: the manifest bounds it for each page, so it is not divided.
    pub actions_per_second: f64,
    /// Items held at once. A watcher holds none.
    pub held: u32,
}

/// Whether robots.txt decides what may be opened.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum RobotsTxt {
    /// What it forbids is not opened.
    #[default]
    Respect,
    /// It is not read.
    Ignore,
}

impl Default for PolitenessSpec {
    fn default() -> Self {
        Self {
            connections_per_minute: 15,
            actions_per_second: 1.5,
            held: 1000,
            robots_txt: RobotsTxt::default(),
        }
    }
}
