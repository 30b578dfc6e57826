//! An observer with a connection of its own, who says when each battle appeared on the server's list.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use anyhow::{Context, Result, bail};
use futures::{SinkExt, StreamExt};
use jiff::Timestamp;
use scrapefleet_policy::{Clock, SystemClock, within};
use serde_json::Value;
use tokio::net::TcpStream;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async, tungstenite::Message};

/// How often the list is asked for. An answer takes 1 to 2 ms.
const ASK_EVERY: Duration = Duration::from_millis(20);

/// How long one answer may take.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);

/// What the client asks for the list with, and what the answer begins with.
const QUESTION: &str = "|/cmd roomlist";
const ANSWER: &str = "|queryresponse|roomlist|";

/// When battles appeared: the last moment at which each was known not to be there yet, so never too late.
#[derive(Debug, Default)]
pub(super) struct Appearances {
    asked: Option<Timestamp>,
    known: BTreeSet<String>,
    /// By battle. Those that were there from the start are left out.
    pub(super) at: BTreeMap<String, Timestamp>,
}

impl Appearances {
    /// Takes note of a list that was asked for at `asked`.
    fn see(&mut self, asked: Timestamp, battles: impl IntoIterator<Item = String>) {
        for battle in battles {
            if self.known.insert(battle.clone())
                && let Some(absent) = self.asked
            {
                self.at.insert(battle, absent);
            }
        }
        self.asked = Some(asked);
    }
}

/// Watches the list of the server at `url` (of its websocket) for `duration`.
pub(super) async fn observe(url: &str, duration: Duration) -> Result<Appearances> {
    let (mut socket, _) =
        within(ANSWER_WITHIN, "connect to the server", connect_async(url)).await?.context("no connection")?;
    let mut seen = Appearances::default();
    let end = tokio::time::Instant::now() + duration;
    while tokio::time::Instant::now() < end {
        let asked = SystemClock.now();
        socket.send(Message::text(QUESTION)).await?;
        let battles = within(ANSWER_WITHIN, "the server's list", answer(&mut socket)).await??;
        seen.see(asked, battles);
        tokio::time::sleep(ASK_EVERY).await;
    }
    Ok(seen)
}

/// Reads what the server says until it is the list.
async fn answer(socket: &mut WebSocketStream<MaybeTlsStream<TcpStream>>) -> Result<Vec<String>> {
    while let Some(message) = socket.next().await {
        if let Message::Text(text) = message?
            && let Some(list) = text.strip_prefix(ANSWER)
        {
            return battles(list);
        }
    }
    bail!("the server closed the connection")
}

/// The battles of a list.
fn battles(list: &str) -> Result<Vec<String>> {
    let list: Value = serde_json::from_str(list).context("the list is no JSON")?;
    let rooms = list["rooms"].as_object().context("the list has no rooms")?;
    Ok(rooms.keys().cloned().collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn ids(battles: &[&str]) -> Vec<String> {
        battles.iter().map(|battle| (*battle).to_owned()).collect()
    }

    #[test]
    fn a_battle_appears_after_the_last_list_without_it() {
        let mut seen = Appearances::default();
        seen.see(at(1), ids(&["old"]));
        seen.see(at(2), ids(&["old"]));
        seen.see(at(3), ids(&["old", "new"]));
        seen.see(at(4), ids(&["old"]));
        seen.see(at(5), ids(&["old", "new"]));
        assert_eq!(seen.at, BTreeMap::from([("new".to_owned(), at(2))]));
    }

    #[test]
    fn the_list_is_read_as_the_server_writes_it() {
        let list = r#"{"rooms":{"battle-gen9randombattle-2":{"p1":"a","p2":"b","minElo":"tour"}}}"#;
        assert_eq!(battles(list).unwrap(), ["battle-gen9randombattle-2"]);
        assert!(battles("{}").is_err() && battles("no").is_err());
    }
}
