//! The way to the site's control endpoints: one short HTTP/1.0 exchange on loopback.
//!
//! An HTTP library would bring its TLS set-up, and with it what others in the same test program chose for that.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::Value;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

/// Asks the control endpoint at `port` for something and answers what it says, within a limit.
pub(super) async fn ask(port: u16, method: &str, what: &str, body: &Value, limit: Duration) -> Result<Value> {
    let body = body.to_string();
    let request = format!("{method} /{what} HTTP/1.0\r\ncontent-length: {}\r\n\r\n{body}", body.len());
    let answer = tokio::select! {
        answer = exchange(port, request.as_bytes()) => answer?,
        () = tokio::time::sleep(limit) => bail!("no answer within {limit:?}"),
    };
    let (head, body) = answer.split_once("\r\n\r\n").context("no HTTP")?;
    let body: Value = serde_json::from_str(body).with_context(|| format!("no JSON: {body}"))?;
    match head.split(' ').nth(1) {
        Some("200") => Ok(body),
        _ => bail!("{}", body["error"].as_str().unwrap_or(head)),
    }
}

async fn exchange(port: u16, request: &[u8]) -> Result<String> {
    let mut connection = TcpStream::connect(("127.0.0.1", port)).await.context("the site is gone")?;
    connection.write_all(request).await?;
    let mut answer = String::new();
    connection.read_to_string(&mut answer).await?;
    Ok(answer)
}
