//! A Showdown site of a test's own: the real server with players, and what it logged.

use std::time::Duration;

use anyhow::Result;
use scrapefleet_test_site::GroundTruth;
use serde_json::json;

use crate::{
    node_program::{Description, NodeProgram},
    space::Space,
};

/// The name of the pod and of its service.
const NAME: &str = "site";
/// The port of its pages.
const PAGES: u16 = 8000;
/// The port of its control endpoints, inside the pod only.
const CONTROL: u16 = 8001;
/// How long the server may take to start.
const STARTS_WITHIN: Duration = Duration::from_mins(2);

/// A Showdown site in a test's namespace.
#[derive(Debug)]
pub struct Site(NodeProgram);

impl Site {
    /// Starts a site where so many pairs of players battle, each thinking so long before a choice.
    pub async fn start(space: &Space, pairs: u32, choice: Duration) -> Result<Self> {
        let variables = [
            ("SITE_PAIRS", pairs.to_string()),
            ("SITE_CHOICE_MS", choice.as_millis().to_string()),
            ("SITE_CONTROL_PORT", CONTROL.to_string()),
        ];
        let site = Description {
            name: NAME,
            command: None,
            variables: &variables,
            port: PAGES,
            control: CONTROL,
            ready: json!({ "httpGet": { "path": "/", "port": PAGES } }),
            starts_within: STARTS_WITHIN,
        };
        Ok(Self(NodeProgram::start(space, site).await?))
    }

    /// Where it is, from inside the cluster.
    #[must_use]
    pub fn url(&self) -> &str {
        self.0.url()
    }

    /// Lets the battles that go on end soon, and begins no more.
    pub async fn stop_players(&self) -> Result<()> {
        self.0.call("players/stop", Some(json!({ "hurry": true }))).await.map(drop)
    }

    /// Lets players begin battles again.
    pub async fn resume_players(&self) -> Result<()> {
        self.0.call("players/resume", Some(json!({}))).await.map(drop)
    }

    /// Has the pages answer wrongly, as `unavailable`, or as they should with `none`.
    pub async fn set_fault(&self, fault: &str) -> Result<()> {
        self.0.call("fault", Some(json!({ "fault": fault }))).await.map(drop)
    }

    /// Closes every connection to the server once.
    pub async fn cut(&self) -> Result<()> {
        self.0.call("cut", Some(json!({}))).await.map(drop)
    }

    /// Has a player of a battle say what ends every page that shows it, now and whenever it is opened again.
    pub async fn poison(&self, battle: &str) -> Result<()> {
        self.0.call("players/poison", Some(json!({ "id": battle }))).await.map(drop)
    }

    /// Every battle that the server logged as ended.
    pub async fn battles(&self) -> Result<Vec<GroundTruth>> {
        Ok(serde_json::from_value(self.0.call("battles", None).await?)?)
    }
}
