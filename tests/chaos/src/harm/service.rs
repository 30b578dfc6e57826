//! Harm to what all bots use: the broker, the object store, the operator, the site.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;
use rustix::process::Signal;
use scrapefleet_e2e::{
    Forward, Space, operator,
    processes::{self, Process},
};
use scrapefleet_policy::within;
use serde_json::Value;

use super::{CALL_WITHIN, Ground, cut::Cut, repair::Repair};
use crate::{Scenario, effect::Fault, observer};

/// The program of an operator.
const OPERATOR: &str = "scrapefleet-operator";
/// The namespace of broker and store.
const PLATFORM: &str = "platform";
/// User and password of the platform's broker, and the port of its management API.
const BROKER: (&str, &str, u16) = ("guest", "guest", 15_672);
/// How long a killed broker may take to serve again.
const SERVES_WITHIN: Duration = Duration::from_mins(2);
/// How long another operator may take to lead.
const LED_WITHIN: Duration = Duration::from_secs(90);

impl Ground<'_> {
    pub(super) async fn strike_service(&mut self, scenario: Scenario) -> Result<Fault> {
        match scenario {
            Scenario::BrokerKilled => self.kill_broker(scenario).await,
            Scenario::BrokerPaused => self.pause(scenario, "rabbitmq", "beam.smp").await,
            Scenario::StoreDown => self.pause(scenario, "minio", "minio").await,
            Scenario::ConnectionsClosed => self.close_connections(scenario).await,
            Scenario::ApiServerDown => self.stop(scenario, processes::of_cluster("kube-apiserver")?).await,
            Scenario::EtcdKilled => self.kill_etcd(scenario).await,
            Scenario::OperatorKilled => self.kill_operator(scenario).await,
            Scenario::LeaderCut => self.cut_leader(scenario).await,
            Scenario::SiteCut => {
                let fault = self.fault(scenario, &[]);
                self.scene.site.cut().await?;
                Ok(fault)
            }
            Scenario::SiteDead => self.fault_of_site(scenario, "dead").await,
            Scenario::LoginWall => self.fault_of_site(scenario, "wall").await,
            _ => self.fault_of_site(scenario, "unavailable").await,
        }
    }

    async fn fault_of_site(&mut self, scenario: Scenario, fault: &str) -> Result<Fault> {
        self.repairs.owe(Repair::Site);
        let done = self.fault(scenario, &[]);
        self.scene.site.set_fault(fault).await?;
        // Also those who are in meet it.
        self.scene.site.cut().await?;
        self.outlast(done).await
    }

    /// Stops the processes of a service for as long as the fault lasts.
    async fn pause(&mut self, scenario: Scenario, app: &str, program: &str) -> Result<Fault> {
        let pod = self.service(app).await?;
        self.stop(scenario, processes::running(&pod, program)?).await
    }

    async fn stop(&mut self, scenario: Scenario, targets: Vec<Process>) -> Result<Fault> {
        self.repairs.owe(Repair::Continue(targets.clone()));
        let fault = self.fault(scenario, &[]);
        targets.iter().try_for_each(|process| processes::send(process, Signal::STOP))?;
        self.outlast(fault).await
    }

    async fn service(&self, app: &str) -> Result<Pod> {
        let platform = self.space.elsewhere(PLATFORM);
        let name = platform.pod_of_app(app, CALL_WITHIN).await?;
        Ok(within(CALL_WITHIN, "read a pod", platform.api::<Pod>().get(&name)).await??)
    }

    async fn kill_broker(&self, scenario: Scenario) -> Result<Fault> {
        let pod = self.service("rabbitmq").await?;
        let mut fault = self.fault(scenario, &[]);
        processes::signal(&pod, "beam.smp", Signal::KILL)?;
        let platform = self.space.elsewhere(PLATFORM);
        let killed = fault.at;
        let restarted = |pod: &Pod| scrapefleet_e2e::is_ready(pod) && started(pod) >= Some(killed);
        let name = pod.metadata.name.context("a pod without a name")?;
        platform.pod_when(&name, "serves again", SERVES_WITHIN, restarted).await?;
        fault.mended = Some(observer::now());
        Ok(fault)
    }

    /// Closes all connections of the fleet's pods, as an administrator of the broker does.
    async fn close_connections(&self, scenario: Scenario) -> Result<Fault> {
        let (user, password, port) = BROKER;
        let platform = self.space.elsewhere(PLATFORM);
        let pod = platform.pod_of_app("rabbitmq", CALL_WITHIN).await?;
        let way = Forward::open(platform.api(), &pod, port).await?;
        let client = reqwest::Client::builder().timeout(CALL_WITHIN).build()?;
        let url = format!("http://{}/api/connections", way.address());
        let list: Value = client.get(&url).basic_auth(user, Some(password)).send().await?.json().await?;
        let names =
            list.as_array().into_iter().flatten().filter_map(|connection| connection["name"].as_str());
        let names: Vec<_> = names.collect();
        ensure!(!names.is_empty(), "the broker has no connections");
        let fault = self.fault(scenario, &[]);
        for name in names {
            let one = format!("{url}/{}", encoded(name));
            // One that has closed meanwhile is not found.
            client.delete(one).basic_auth(user, Some(password)).send().await?;
        }
        Ok(fault)
    }

    async fn kill_operator(&self, scenario: Scenario) -> Result<Fault> {
        let system = operator::space_of(self.space);
        let (leader, pod) = operator::leading_pod(&system).await?;
        let mut fault = self.fault(scenario, &[]);
        processes::signal(&pod, OPERATOR, Signal::KILL)?;
        fault.noticed = Some(another_leads(&system, &leader).await?);
        Ok(fault)
    }

    async fn cut_leader(&mut self, scenario: Scenario) -> Result<Fault> {
        let system = operator::space_of(self.space);
        let (leader, pod) = operator::leading_pod(&system).await?;
        let process = processes::running(&pod, OPERATOR)?.into_iter().next().context("no operator")?;
        let cut = Cut::of(&process)?;
        self.repairs.owe(Repair::Reconnect(cut.clone()));
        let fault = self.fault(scenario, &[]);
        cut.make().await?;
        let noticed = Some(another_leads(&system, &leader).await?);
        self.outlast(Fault { noticed, ..fault }).await
    }

    async fn kill_etcd(&mut self, scenario: Scenario) -> Result<Fault> {
        let targets = processes::of_cluster("etcd")?;
        self.repairs.owe(Repair::Cluster);
        let fault = self.fault(scenario, &[]);
        targets.iter().try_for_each(|process| processes::send(process, Signal::KILL))?;
        self.outlast(fault).await
    }
}

/// Waits until another than `leader` leads, and says when.
async fn another_leads(system: &Space, leader: &str) -> Result<Timestamp> {
    let other = async || Ok((operator::leader(system).await? != leader).then_some(()));
    system.until("another operator leads", LED_WITHIN, other).await?;
    Ok(observer::now())
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
