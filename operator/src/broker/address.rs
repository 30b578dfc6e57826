//! Which broker, and as whom.

use std::fmt;

use http::Uri;
use scrapefleet_api::queue::RabbitMqQueue;
use scrapefleet_telemetry::escape;
use sha2::{Digest, Sha256};
use url::Url;

/// The ports of the management API, in plain and with TLS.
const PORTS: (u16, u16) = (15672, 15671);

/// What is asked of each queue. `state` tells those whose numbers are worth nothing.
///
/// Not `disable_stats=true&enable_queue_totals=true`: it is no fresher for quorum queues, and for seconds after a restart
/// of the broker it says 0 of a queue that is full. Without it the numbers are left out until they are known.
const QUERY: &str = "columns=name,state,messages_ready,messages_unacknowledged";

/// A password. Nothing shows it.
#[derive(Clone, PartialEq, Eq)]
pub struct Password(String);

impl Password {
    /// The password `text`.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    pub(crate) fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password(..)")
    }
}

/// What the fleet's Secret holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Credentials {
    /// The user; needs the tag `management` and any permission on the vhost.
    pub username: String,
    /// The password.
    pub password: Password,
    /// Certificates in PEM of authorities that the broker's certificate may be of, beside the machine's own.
    pub ca: Option<Vec<u8>>,
}

/// A broker's management API, one vhost of it, and who asks.
#[derive(Clone)]
pub struct Broker {
    pub(crate) at: String,
    pub(crate) uri: Uri,
    pub(crate) vhost: String,
    pub(crate) credentials: Credentials,
    pub(crate) key: Key,
}

/// The same for those who ask the same of the same broker as the same user with the same password.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(crate) struct Key([u8; 32]);

/// What is known of a broker cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{field}` {why}")]
pub struct InvalidBroker {
    /// Where it is written.
    pub field: &'static str,
    /// What is wrong with it, and what is allowed.
    pub why: String,
}

/// Without the digest: a weak password could be found from it.
impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key(..)")
    }
}

impl fmt::Debug for Broker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let user = &self.credentials.username;
        f.debug_struct("Broker")
            .field("at", &self.at)
            .field("vhost", &self.vhost)
            .field("user", user)
            .finish_non_exhaustive()
    }
}

impl Broker {
    /// The broker of a fleet, with what its Secret holds.
    pub fn new(queue: &RabbitMqQueue, credentials: Credentials) -> Result<Self, InvalidBroker> {
        let amqp = parse("queue.rabbitmq.url", &queue.url, &["amqp", "amqps"])?;
        let vhost = vhost(&amqp)?;
        let base = match &queue.management_url {
            Some(url) => parse("queue.rabbitmq.managementUrl", url, &["http", "https"])?,
            None => usual(&amqp)?,
        };
        let host = base.host_str().unwrap_or_default();
        let at = format!("{host}:{}", base.port_or_known_default().unwrap_or_default());
        let uri = address(base.as_str().trim_end_matches('/'), &vhost)?;
        let key = key(&uri, &credentials);
        Ok(Self { at, uri, vhost, credentials, key })
    }

    pub(crate) fn is_tls(&self) -> bool {
        self.uri.scheme_str() == Some("https")
    }
}

/// Where the queues of a vhost are listed.
fn address(base: &str, vhost: &str) -> Result<Uri, InvalidBroker> {
    let vhost: String = url::form_urlencoded::byte_serialize(vhost.as_bytes()).collect();
    // The form's encoding writes a space as `+`, which in a path is a plus.
    let vhost = vhost.replace('+', "%20");
    format!("{base}/api/queues/{vhost}?{QUERY}").parse().map_err(|error: http::uri::InvalidUri| {
        invalid("queue.rabbitmq.managementUrl", format!("makes no address of the management API: {error}"))
    })
}

/// Where the management API is when nothing is said.
fn usual(amqp: &Url) -> Result<Url, InvalidBroker> {
    let tls = amqp.scheme() == "amqps";
    let (scheme, port) = if tls { ("https", PORTS.1) } else { ("http", PORTS.0) };
    let text = format!("{scheme}://{}:{port}", amqp.host_str().unwrap_or_default());
    parse("queue.rabbitmq.url", &text, &[scheme])
}

/// The vhost in a broker's URL: `/` when left out.
fn vhost(amqp: &Url) -> Result<String, InvalidBroker> {
    let path = amqp.path().trim_start_matches('/');
    if path.is_empty() {
        return Ok("/".to_owned());
    }
    let decoded = percent_encoding::percent_decode_str(path).decode_utf8();
    decoded.map(Into::into).map_err(|_| invalid("queue.rabbitmq.url", "has a vhost that is not UTF-8"))
}

fn parse(field: &'static str, text: &str, schemes: &[&str]) -> Result<Url, InvalidBroker> {
    let url = Url::parse(text).map_err(|error| invalid(field, format!("is no URL: {error}")))?;
    let (one, or) = (schemes[0], schemes.last().unwrap_or(&schemes[0]));
    if !url.username().is_empty() || url.password().is_some() {
        Err(invalid(field, "has a user name or password in it: they belong in the Secret"))
    } else if !schemes.contains(&url.scheme()) || url.host_str().is_none_or(str::is_empty) {
        let found: String = escape(text).chars().take(80).collect();
        Err(invalid(field, format!("is {found:?}: allowed is `{one}://host:port` or `{or}://host:port`")))
    } else if url.query().is_some() || url.fragment().is_some() {
        Err(invalid(field, "has a query or fragment: leave it out"))
    } else {
        Ok(url)
    }
}

pub(crate) fn invalid(field: &'static str, why: impl Into<String>) -> InvalidBroker {
    InvalidBroker { field, why: why.into() }
}

/// A digest, so that no cache has to keep passwords to tell them apart. Each part has its length before it.
fn key(uri: &Uri, credentials: &Credentials) -> Key {
    let Credentials { username, password, ca } = credentials;
    let uri = uri.to_string();
    let mut digest = Sha256::new();
    for part in
        [uri.as_bytes(), username.as_bytes(), password.reveal().as_bytes(), ca.as_deref().unwrap_or_default()]
    {
        digest.update((part.len() as u64).to_be_bytes());
        digest.update(part);
    }
    digest.update([u8::from(ca.is_some())]);
    Key(digest.finalize().into())
}

#[cfg(test)]
mod tests {
    use scrapefleet_api::queue::OnDelete;

    use super::*;

    fn queue(url: &str, management_url: Option<&str>) -> RabbitMqQueue {
        RabbitMqQueue {
            url: url.to_owned(),
            management_url: management_url.map(str::to_owned),
            secret_name: None,
            copies: None,
            on_delete: OnDelete::Keep,
        }
    }

    fn credentials(username: &str, password: &str) -> Credentials {
        Credentials { username: username.to_owned(), password: Password::new(password), ca: None }
    }

    fn broker(url: &str, management: Option<&str>) -> Result<Broker, InvalidBroker> {
        Broker::new(&queue(url, management), credentials("u", "hidden"))
    }

    #[test]
    fn the_management_api_is_where_it_usually_is_or_where_it_is_said_to_be() {
        for (url, management, list, at) in [
            ("amqp://mq", None, "http://mq:15672/api/queues/%2F", "mq:15672"),
            ("amqp://mq:7777/", None, "http://mq:15672/api/queues/%2F", "mq:15672"),
            ("amqp://mq/%2f", None, "http://mq:15672/api/queues/%2F", "mq:15672"),
            ("amqps://mq/scrape", None, "https://mq:15671/api/queues/scrape", "mq:15671"),
            (
                "amqp://mq/a%20b%2F..%3f%c3%a4",
                None,
                "http://mq:15672/api/queues/a%20b%2F..%3F%C3%A4",
                "mq:15672",
            ),
            ("amqp://[::1]", None, "http://[::1]:15672/api/queues/%2F", "[::1]:15672"),
            ("amqp://mq", Some("https://front/mq/"), "https://front/mq/api/queues/%2F", "front:443"),
            ("amqp://mq", Some("http://front:80"), "http://front/api/queues/%2F", "front:80"),
        ] {
            let broker = broker(url, management).unwrap();
            let found = broker.uri.to_string();
            assert_eq!(found.split_once('?').unwrap(), (list, QUERY), "{url}");
            assert_eq!(broker.at, at);
            assert_eq!(broker.is_tls(), list.starts_with("https"));
        }
    }

    #[test]
    fn what_cannot_be_an_address_is_refused_with_its_field() {
        for (url, management, field) in [
            ("mq", None, "queue.rabbitmq.url"),
            ("http://mq", None, "queue.rabbitmq.url"),
            ("amqp:///x", None, "queue.rabbitmq.url"),
            ("amqp://guest:hidden@mq", None, "queue.rabbitmq.url"),
            ("amqp://mq/%ff", None, "queue.rabbitmq.url"),
            ("amqp://mq?x=hidden", None, "queue.rabbitmq.url"),
            ("amqp://mq", Some("ftp://x"), "queue.rabbitmq.managementUrl"),
            ("amqp://mq", Some("http://hidden@x"), "queue.rabbitmq.managementUrl"),
            ("amqp://mq", Some("http://x/?columns=hidden"), "queue.rabbitmq.managementUrl"),
        ] {
            let error = broker(url, management).unwrap_err();
            assert_eq!(error.field, field, "{url} {management:?}: {error}");
            assert!(!error.to_string().contains("hidden"), "{error}");
        }
    }

    #[test]
    fn only_the_same_user_with_the_same_password_shares() {
        let of = |username, password, ca: Option<&[u8]>| {
            let credentials = Credentials { ca: ca.map(<[u8]>::to_vec), ..credentials(username, password) };
            Broker::new(&queue("amqp://mq", None), credentials).unwrap().key
        };
        let one = of("user", "pass", None);
        assert!(one == of("user", "pass", None));
        for (username, password, ca) in [
            ("user", "word", None),
            ("userp", "ass", None),
            ("user", "pass", Some(&b"ca"[..])),
            ("user", "pass", Some(b"")),
        ] {
            assert!(one != of(username, password, ca), "{username} {password} {ca:?}");
        }
        assert!(one != Broker::new(&queue("amqp://mq/v", None), credentials("user", "pass")).unwrap().key);
    }

    #[test]
    fn nothing_shows_the_password() {
        let shown = format!("{:?} {:?}", broker("amqp://mq", None).unwrap(), credentials("u", "hidden"));
        assert!(!shown.contains("hidden"), "{shown}");
    }
}
