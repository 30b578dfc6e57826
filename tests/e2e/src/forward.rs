//! A loopback port of this machine that leads to a port of a pod, through the API server.

use std::net::SocketAddr;

use anyhow::{Context, Result};
use k8s_openapi::api::core::v1::Pod;
use kube::api::Api;
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};

/// The way to a port of a pod; it is closed when this is dropped.
#[derive(Debug)]
pub struct Forward {
    address: SocketAddr,
    task: JoinHandle<()>,
}

impl Forward {
    /// Opens a way to a port of a pod.
    pub async fn open(pods: Api<Pod>, pod: &str, port: u16) -> Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.context("listen on the loopback address")?;
        let address = listener.local_addr()?;
        let pod = pod.to_owned();
        let task = tokio::spawn(async move {
            // Dropped with this task, and all connections with it.
            let mut connections = JoinSet::new();
            while let Ok((client, _)) = listener.accept().await {
                connections.spawn(carry(client, pods.clone(), pod.clone(), port));
                while connections.try_join_next().is_some() {}
            }
        });
        Ok(Self { address, task })
    }

    /// The address to connect to.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Forward {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Carries one connection. When the pod cannot be reached the client sees its connection closed, as it would without
/// anything in between, and a person who reads the test's output sees why.
async fn carry(mut client: TcpStream, pods: Api<Pod>, pod: String, port: u16) {
    match pods.portforward(&pod, &[port]).await {
        Ok(mut forwarder) => {
            if let Some(mut stream) = forwarder.take_stream(port) {
                // However it ends, it ends for both sides.
                let _ = copy_bidirectional(&mut client, &mut stream).await;
            }
        }
        Err(error) => eprintln!("no way to port {port} of pod {pod}: {error}"),
    }
}
