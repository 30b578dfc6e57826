//! A way to an address that can be cut, as by a node that loses power: connections end without a word.

use std::net::SocketAddr;

use anyhow::{Context, Result};
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};

/// A loopback port that leads to an address. It is cut when this is dropped: all connections end and none is taken.
#[derive(Debug)]
pub struct Cable {
    address: SocketAddr,
    task: JoinHandle<()>,
}

impl Cable {
    /// A way to `target`.
    pub async fn to(target: SocketAddr) -> Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.context("listen on the loopback address")?;
        let address = listener.local_addr()?;
        let task = tokio::spawn(async move {
            // Dropped with this task, and all connections with it.
            let mut connections = JoinSet::new();
            while let Ok((mut client, _)) = listener.accept().await {
                connections.spawn(async move {
                    // When the target is not there the client sees its connection closed.
                    let Ok(mut server) = TcpStream::connect(target).await else { return };
                    let _ = copy_bidirectional(&mut client, &mut server).await;
                });
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

impl Drop for Cable {
    fn drop(&mut self) {
        self.task.abort();
    }
}
