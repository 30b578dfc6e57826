//! Harm to the broker, and what an administrator of it can do.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;
use reqwest::{Client, Method, RequestBuilder};
use rustix::process::Signal;
use scrapefleet_e2e::{Forward, Space, processes};
use serde_json::{Value, json};

use super::{CALL_WITHIN, Ground, repair::Repair, service::PLATFORM};
use crate::{Scenario, effect::Fault, observer};

/// The label of the broker's pod, and its program.
const APP: &str = "rabbitmq";
const PROGRAM: &str = "beam.smp";
/// User and password of the platform's broker, and the port of its management API.
const USER: (&str, &str) = ("guest", "guest");
const PORT: u16 = 15_672;
/// How long a broker that was ended may take to serve again.
const SERVES_WITHIN: Duration = Duration::from_mins(2);
/// The policy that is made, and how long a consumer may keep a message under it: the broker looks every five seconds.
const POLICY: &str = "chaos-consumer-timeout";
const CONSUMER_TIMEOUT: Duration = Duration::from_mins(1);

impl Ground<'_> {
    pub(super) async fn strike_broker(&mut self, scenario: Scenario) -> Result<Fault> {
        match scenario {
            Scenario::BrokerKilled => self.end_broker(scenario, Signal::KILL).await,
            Scenario::BrokerRestarted => self.end_broker(scenario, Signal::TERM).await,
            Scenario::BrokerPaused => self.pause(scenario, APP, PROGRAM).await,
            Scenario::ConsumerTimeout => self.time_consumers_out(scenario).await,
            _ => self.close_connections(scenario).await,
        }
    }

    async fn end_broker(&self, scenario: Scenario, signal: Signal) -> Result<Fault> {
        let pod = self.service(APP).await?;
        let mut fault = self.fault(scenario, &[]);
        processes::signal(&pod, PROGRAM, signal)?;
        let platform = self.space.elsewhere(PLATFORM);
        // Not by the time of the fault: a start is told in whole seconds, and may be told of the second before.
        let before = started(&pod);
        let restarted = |pod: &Pod| scrapefleet_e2e::is_ready(pod) && started(pod) > before;
        let name = pod.metadata.name.context("a pod without a name")?;
        platform.pod_when(&name, "serves again", SERVES_WITHIN, restarted).await?;
        fault.mended = Some(observer::now());
        Ok(fault)
    }

    /// Closes all connections of the fleet's pods, as an administrator of the broker does.
    async fn close_connections(&self, scenario: Scenario) -> Result<Fault> {
        let management = Management::of(self.space).await?;
        let list: Value = management.ask(Method::GET, "connections").send().await?.json().await?;
        let names =
            list.as_array().into_iter().flatten().filter_map(|connection| connection["name"].as_str());
        let names: Vec<_> = names.collect();
        ensure!(!names.is_empty(), "the broker has no connections");
        let fault = self.fault(scenario, &[]);
        for name in names {
            // One that has closed meanwhile is not found.
            management.ask(Method::DELETE, &format!("connections/{}", encoded(name))).send().await?;
        }
        Ok(fault)
    }

    /// Has the broker take back what a consumer of the fleet keeps for more than a minute: it closes the consumer's channel.
    async fn time_consumers_out(&mut self, scenario: Scenario) -> Result<Fault> {
        let management = Management::of(self.space).await?;
        self.repairs.owe(Repair::ConsumerTimeout);
        let policy = json!({
            "pattern": format!("^scrapefleet[.]{}[.]", self.space.namespace),
            "definition": { "consumer-timeout": CONSUMER_TIMEOUT.as_millis() },
            "apply-to": "queues",
        });
        let fault = self.fault(scenario, &[]);
        management.policy(Method::PUT).json(&policy).send().await?.error_for_status()?;
        self.outlast(fault).await
    }
}

/// Removes the policy by which consumers were timed out.
pub(super) async fn forget_timeout(space: &Space) -> Result<()> {
    Management::of(space).await?.policy(Method::DELETE).send().await?.error_for_status()?;
    Ok(())
}

/// The broker's management API.
struct Management {
    way: Forward,
    client: Client,
}

impl Management {
    async fn of(space: &Space) -> Result<Self> {
        let platform = space.elsewhere(PLATFORM);
        let pod = platform.pod_of_app(APP, CALL_WITHIN).await?;
        let way = Forward::open(platform.api(), &pod, PORT).await?;
        Ok(Self { way, client: Client::builder().timeout(CALL_WITHIN).build()? })
    }

    fn ask(&self, method: Method, path: &str) -> RequestBuilder {
        let url = format!("http://{}/api/{path}", self.way.address());
        self.client.request(method, url).basic_auth(USER.0, Some(USER.1))
    }

    fn policy(&self, method: Method) -> RequestBuilder {
        self.ask(method, &format!("policies/{}/{POLICY}", encoded("/")))
    }
}

/// When the program of a pod was started last.
fn started(pod: &Pod) -> Option<Timestamp> {
    let statuses = pod.status.as_ref()?.container_statuses.as_ref()?;
    let running = statuses.iter().filter_map(|status| status.state.as_ref()?.running.as_ref());
    running.filter_map(|running| running.started_at.as_ref().map(|time| time.0)).max()
}

/// A name of a connection, which has spaces and arrows in it, as a part of a URL.
fn encoded(name: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    let one = |byte: u8| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") };
    name.bytes().map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_of_a_connection_goes_into_a_url() {
        assert_eq!(encoded("10.1.2.3:5 -> é"), "10.1.2.3%3A5%20-%3E%20%C3%A9");
    }
}
