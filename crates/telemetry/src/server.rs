//! The HTTP server of a program.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use axum::Router;
use scrapefleet_policy::within;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::Semaphore,
};
use tokio_util::{
    sync::{CancellationToken, DropGuard},
    task::TaskTracker,
};

use crate::{Endpoints, MetricsError, connection};

/// The most connections at once; others wait in the listener's backlog.
const CONNECTIONS: usize = 64;

/// How long to wait before the next connection is accepted when accepting failed, as it does for lack of file
/// descriptors.
const ACCEPT_AGAIN: Duration = Duration::from_millis(100);

/// How long [`Server::stop`] waits for the requests that run.
const STOP: Duration = Duration::from_secs(12);

/// A running server; see [`Endpoints`] for what it answers. Dropping it stops it without waiting.
#[derive(Debug)]
pub struct Server {
    address: SocketAddr,
    tasks: TaskTracker,
    stop: DropGuard,
}

/// Why the server could not be started.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// Something else listens there.
    #[error(
        "cannot listen on {address}: something else listens there; choose another port with --port, or --port 0 for any that is free"
    )]
    InUse {
        /// Where it was to listen.
        address: SocketAddr,
    },
    /// The system does not let it listen there.
    #[error(
        "cannot listen on {address}: {source}; choose another port with --port, or --port 0 for any that is free"
    )]
    CannotListen {
        /// Where it was to listen.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// The health could not be added to the metrics.
    #[error(transparent)]
    Metrics(#[from] MetricsError),
}

impl Server {
    /// Listens on `address` (port 0 = any that is free) and answers from then on.
    pub async fn start(address: SocketAddr, endpoints: Endpoints) -> Result<Self, ServeError> {
        let listener = TcpListener::bind(address).await.map_err(|source| match source.kind() {
            io::ErrorKind::AddrInUse => ServeError::InUse { address },
            _ => ServeError::CannotListen { address, source },
        })?;
        let address = listener.local_addr().map_err(|source| ServeError::CannotListen { address, source })?;
        let (stop, tasks) = (CancellationToken::new(), TaskTracker::new());
        tasks.spawn(accept_all(listener, endpoints.into_router()?, tasks.clone(), stop.clone()));
        Ok(Self { address, tasks, stop: stop.drop_guard() })
    }

    /// Where it listens, with the real port.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Accepts no more connections and waits, within a bound, until the requests that run are answered.
    pub async fn stop(self) {
        let Self { tasks, stop, .. } = self;
        stop.disarm().cancel();
        tasks.close();
        if let Err(expired) = within(STOP, "stopping the health endpoints", tasks.wait()).await {
            tracing::warn!(%expired, connections = tasks.len(), "connections are left behind");
        }
    }
}

async fn accept_all(listener: TcpListener, router: Router, tasks: TaskTracker, stop: CancellationToken) {
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    let accept_until_closed = async {
        while let Ok(place) = places.clone().acquire_owned().await {
            let stream = accept(&listener).await;
            let connection = connection::serve(stream, router.clone(), stop.clone());
            tasks.spawn(async move {
                connection.await;
                drop(place);
            });
        }
    };
    tokio::select! {
        () = stop.cancelled() => {}
        () = accept_until_closed => {}
    }
}

async fn accept(listener: &TcpListener) -> TcpStream {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => return stream,
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection to the health endpoints");
                tokio::time::sleep(ACCEPT_AGAIN).await;
            }
        }
    }
}
