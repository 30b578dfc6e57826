//! The way into a cluster's network from this machine: connections to a loopback port outside are carried to one
//! address inside. The process runs inside, and was given the listening socket from outside; no link joins the two.

use std::net::{SocketAddr, TcpListener};
use std::os::fd::AsFd as _;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use tokio::io::copy_bidirectional;
use tokio::net::TcpStream;
use tokio::sync::Semaphore;

/// How many connections are carried at a time; more wait in the kernel's queue.
const CONNECTIONS: usize = 1024;
/// How long to wait after a connection could not be accepted.
const PAUSE: Duration = Duration::from_millis(100);

/// Carries connections from the socket that is this process's standard input to `target`, until it is killed.
pub(crate) async fn run(target: SocketAddr) -> Result<()> {
    let inherited = std::io::stdin().as_fd().try_clone_to_owned().context("take the inherited socket")?;
    let listener = TcpListener::from(inherited);
    listener
        .set_nonblocking(true)
        .context("standard input is not a listening socket; `cluster up` starts this command")?;
    carry_all(listener, target).await
}

async fn carry_all(listener: TcpListener, target: SocketAddr) -> Result<()> {
    let listener = tokio::net::TcpListener::from_std(listener).context("listen")?;
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    loop {
        let place = Arc::clone(&places).acquire_owned().await.context("wait for a place")?;
        let client = match listener.accept().await {
            Ok((client, _)) => client,
            Err(error) => {
                // A client that left before it was accepted, or too many open files: neither is a reason to end.
                eprintln!("cannot accept a connection: {error}");
                tokio::time::sleep(PAUSE).await;
                continue;
            }
        };
        tokio::spawn(async move {
            if let Err(error) = carry(client, target).await {
                eprintln!("a connection to {target} ended: {error}");
            }
            drop(place);
        });
    }
}

async fn carry(mut client: TcpStream, target: SocketAddr) -> std::io::Result<()> {
    let mut server = TcpStream::connect(target).await?;
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    copy_bidirectional(&mut client, &mut server).await.map(drop)
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    #[tokio::test]
    async fn both_directions_and_the_end_of_a_connection_are_carried() {
        let server = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let target = server.local_addr().unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        listener.set_nonblocking(true).unwrap();
        let relay = tokio::spawn(carry_all(listener, target));

        let mut client = TcpStream::connect(address).await.unwrap();
        let (mut peer, _) = server.accept().await.unwrap();
        client.write_all(b"ask").await.unwrap();
        client.shutdown().await.unwrap();
        let mut asked = String::new();
        peer.read_to_string(&mut asked).await.unwrap();
        peer.write_all(b"answer").await.unwrap();
        drop(peer);
        let mut answered = String::new();
        client.read_to_string(&mut answered).await.unwrap();
        assert_eq!((asked.as_str(), answered.as_str()), ("ask", "answer"));
        relay.abort();
    }
}
