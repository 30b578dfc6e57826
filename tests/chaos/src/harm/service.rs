//! Harm to what all bots use, but for the broker and the operator: the object store, the site, the cluster itself.

use anyhow::Result;
use k8s_openapi::api::core::v1::Pod;
use rustix::process::Signal;
use scrapefleet_e2e::processes::{self, Process};
use scrapefleet_policy::within;

use super::{CALL_WITHIN, Ground, browser, repair::Repair};
use crate::{Scenario, effect::Fault};

/// The namespace of broker and store.
pub(super) const PLATFORM: &str = "platform";

impl Ground<'_> {
    pub(super) async fn strike_service(&mut self, scenario: Scenario) -> Result<Fault> {
        match scenario {
            Scenario::StoreDown => self.pause(scenario, "minio", "minio").await,
            Scenario::StoreSlow => self.fault_of_store(scenario, "slow").await,
            Scenario::StoreRefusing => self.fault_of_store(scenario, "refusing").await,
            Scenario::StoreFull => self.fault_of_store(scenario, "full").await,
            Scenario::ApiServerDown => self.stop(scenario, processes::of_cluster("kube-apiserver")?).await,
            Scenario::EtcdKilled => self.kill_etcd(scenario).await,
            Scenario::OperatorKilled => self.kill_operator(scenario).await,
            Scenario::OperatorKilledMidway => self.kill_operator_midway(scenario).await,
            Scenario::LeaderCut => self.cut_leader(scenario).await,
            Scenario::SiteUnavailable => self.fault_of_site(scenario, "unavailable").await,
            Scenario::SiteDead => self.fault_of_site(scenario, "dead").await,
            Scenario::LoginWall => self.fault_of_site(scenario, "wall").await,
            Scenario::SiteBanning => self.ban(scenario).await,
            Scenario::SiteCut => {
                let fault = self.fault_of_all(scenario);
                self.scene.site.cut().await?;
                Ok(fault)
            }
            Scenario::ClockAhead | Scenario::ClockBehind => self.strike_clock(scenario).await,
            _ => self.strike_broker(scenario).await,
        }
    }

    async fn fault_of_site(&mut self, scenario: Scenario, fault: &str) -> Result<Fault> {
        self.repairs.owe(Repair::Site);
        let done = self.fault_of_all(scenario);
        self.scene.site.set_fault(fault).await?;
        // Also those who are in meet it.
        self.scene.site.cut().await?;
        self.outlast(done).await
    }

    /// Nobody gets in any more, and a bot has to: its Chrome is killed.
    async fn ban(&mut self, scenario: Scenario) -> Result<Fault> {
        let (_, name) = self.choose_bot()?;
        let (chrome, kill) = browser::target(Scenario::DeadChrome, &self.pod(&name).await?)?;
        self.repairs.owe(Repair::Site);
        let fault = self.fault(scenario, &[]);
        self.scene.site.set_fault("ban").await?;
        processes::send(&chrome, kill)?;
        self.outlast(fault).await
    }

    async fn fault_of_store(&mut self, scenario: Scenario, fault: &str) -> Result<Fault> {
        self.repairs.owe(Repair::Gate);
        let done = self.fault(scenario, &[]);
        self.gate.set_fault(fault).await?;
        self.outlast(done).await
    }

    /// Stops the processes of a service for as long as the fault lasts.
    pub(super) async fn pause(&mut self, scenario: Scenario, app: &str, program: &str) -> Result<Fault> {
        let pod = self.service(app).await?;
        self.stop(scenario, processes::running(&pod, program)?).await
    }

    async fn stop(&mut self, scenario: Scenario, targets: Vec<Process>) -> Result<Fault> {
        self.repairs.owe(Repair::Continue(targets.clone()));
        let fault = self.fault(scenario, &[]);
        targets.iter().try_for_each(|process| processes::send(process, Signal::STOP))?;
        self.outlast(fault).await
    }

    /// The pod of a service of the platform.
    pub(super) async fn service(&self, app: &str) -> Result<Pod> {
        let platform = self.space.elsewhere(PLATFORM);
        let name = platform.pod_of_app(app, CALL_WITHIN).await?;
        Ok(within(CALL_WITHIN, "read a pod", platform.api::<Pod>().get(&name)).await??)
    }

    async fn kill_etcd(&mut self, scenario: Scenario) -> Result<Fault> {
        let targets = processes::of_cluster("etcd")?;
        self.repairs.owe(Repair::Cluster);
        let fault = self.fault(scenario, &[]);
        targets.iter().try_for_each(|process| processes::send(process, Signal::KILL))?;
        self.outlast(fault).await
    }
}
