//! What a connection to a broker is made from, and where the broker is.

use std::{fmt, time::Duration};

use percent_encoding::percent_decode_str;
use scrapefleet_api::LaneName;
use url::Url;

use crate::{Now, QueueError};

/// The longest scope, in bytes: names in AMQP have at most 255, and a lane's name has up to 63 of them.
const MAX_SCOPE: usize = 160;

/// A password. Nothing shows it.
#[derive(Clone, PartialEq, Eq)]
pub struct Password(String);

impl Password {
    /// The password `text`.
    #[must_use]
    pub fn new(text: String) -> Self {
        Self(text)
    }

    pub(super) fn reveal(&self) -> &str {
        &self.0
    }
}

impl From<String> for Password {
    fn from(text: String) -> Self {
        Self::new(text)
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password(..)")
    }
}

/// Which broker, as whom, and which of its queues.
#[derive(Clone)]
pub struct Options {
    /// `amqp://host:port/vhost`, or `amqps` for TLS; no credentials in it. The port is 5672 (5671 with TLS) and the
    /// vhost `/` when left out.
    pub url: String,
    /// Where the management API is. None: the same host, `http` at port 15672 or, with TLS, `https` at port 15671.
    pub management_url: Option<String>,
    /// Who logs in. Needs the rights to configure, write and read what begins with the scope, and the tag
    /// `management`.
    pub username: String,
    /// The password.
    pub password: Password,
    /// Certificates in PEM of the authorities that the broker's certificate may be of, beside the machine's own.
    pub ca: Option<Vec<u8>>,
    /// What every name of this fleet begins with, such as `scrapefleet.<namespace>.<fleet>`: lower-case letters, digits,
    /// dots and dashes. Fleets with different scopes on one broker do not touch each other.
    pub scope: String,
    /// The lanes.
    pub lanes: Vec<LaneName>,
    /// How many nodes of the broker keep each queue. None: the broker decides.
    pub copies: Option<u32>,
    /// The longest a task is held. The broker takes a task away only long after that.
    pub longest_hold: Duration,
    /// Name of the connection, for people who look at the broker.
    pub name: String,
    /// The present time.
    pub now: Now,
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options")
            .field("url", &self.url)
            .field("scope", &self.scope)
            .field("lanes", &self.lanes)
            .field("copies", &self.copies)
            .field("longest_hold", &self.longest_hold)
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

/// Where a broker is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Address {
    pub(super) tls: bool,
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) vhost: String,
    /// The management API, without a slash at its end.
    pub(super) management: String,
}

impl Address {
    /// Reads the addresses; refused when they cannot be used.
    pub(super) fn of(options: &Options) -> Result<Self, QueueError> {
        let given = &options.url;
        let url = parse(given, &["amqp", "amqps"])?;
        let tls = url.scheme() == "amqps";
        let host = url.host_str().filter(|host| !host.is_empty());
        let host = host.ok_or_else(|| refused(given, "it names no host"))?.to_owned();
        let port = url.port().unwrap_or(if tls { 5671 } else { 5672 });
        let path = url.path().strip_prefix('/').unwrap_or_default();
        let vhost = percent_decode_str(path).decode_utf8();
        let vhost = vhost.map_err(|_| refused(given, "its vhost is not UTF-8"))?.into_owned();
        let vhost = if vhost.is_empty() { "/".to_owned() } else { vhost };
        let management = match &options.management_url {
            Some(given) => parse(given, &["http", "https"])?.as_str().trim_end_matches('/').to_owned(),
            None if tls => format!("https://{host}:15671"),
            None => format!("http://{host}:15672"),
        };
        Ok(Self { tls, host, port, vhost, management })
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.host, self.port)
    }
}

/// Refuses options that could not work or would make names that mean something else to the broker.
pub(super) fn check(options: &Options) -> Result<(), QueueError> {
    let scope = &options.scope;
    let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '.' || c == '-';
    if scope.is_empty() || scope.len() > MAX_SCOPE || !scope.chars().all(allowed) {
        return Err(QueueError::Refused(format!(
            "scope `{}`: 1 to {MAX_SCOPE} lower-case letters, digits, dots and dashes are allowed",
            scope.escape_debug()
        )));
    }
    if options.lanes.is_empty() {
        return Err(QueueError::Refused(format!("scope `{scope}` has no lanes; name at least one")));
    }
    Ok(())
}

fn parse(text: &str, schemes: &[&str]) -> Result<Url, QueueError> {
    let url = Url::parse(text).map_err(|e| refused(text, &e.to_string()))?;
    if !schemes.contains(&url.scheme()) {
        return Err(refused(text, &format!("its scheme is not one of {}", schemes.join(", "))));
    }
    if !url.username().is_empty() || url.password().is_some() {
        let why = "the broker's address has credentials in it; they belong into the Secret (or its files)";
        return Err(QueueError::Refused(why.to_owned()));
    }
    Ok(url)
}

fn refused(url: &str, why: &str) -> QueueError {
    // What cannot be read might be an address with a password in it.
    let shown = if url.contains('@') { "(not shown)" } else { url };
    QueueError::Refused(format!("the broker's address {}: {why}", shown.escape_debug()))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use jiff::Timestamp;

    use super::*;

    fn options(url: &str, management: Option<&str>) -> Options {
        Options {
            url: url.to_owned(),
            management_url: management.map(ToOwned::to_owned),
            username: "guest".to_owned(),
            password: Password::new("hidden".to_owned()),
            ca: None,
            scope: "scrapefleet.a.b".to_owned(),
            lanes: vec![LaneName::default()],
            copies: None,
            longest_hold: Duration::from_hours(1),
            name: "test".to_owned(),
            now: Arc::new(|| Timestamp::UNIX_EPOCH),
        }
    }

    #[test]
    fn what_is_left_out_has_its_default() {
        let cases = [
            ("amqp://mq", None, "mq", 5672, "/", "http://mq:15672"),
            ("amqp://mq/", None, "mq", 5672, "/", "http://mq:15672"),
            ("amqp://mq:1234/scrape", None, "mq", 1234, "scrape", "http://mq:15672"),
            ("amqps://mq.example/%2f", None, "mq.example", 5671, "/", "https://mq.example:15671"),
            ("amqp://[::1]:99/a%20b", Some("http://x:1/"), "[::1]", 99, "a b", "http://x:1"),
        ];
        for (url, management, host, port, vhost, expected) in cases {
            let address = Address::of(&options(url, management)).unwrap();
            assert_eq!((address.host.as_str(), address.port, address.vhost.as_str()), (host, port, vhost));
            assert_eq!(address.management, expected);
        }
    }

    #[test]
    fn what_cannot_be_an_address_is_refused_and_no_password_is_shown() {
        for url in ["", "mq:5672", "http://mq", "amqp://guest:s3cret@mq/", "amqp://s3cret@[mq/", "amqp:///x"]
        {
            let error = Address::of(&options(url, None)).unwrap_err();
            assert!(matches!(error, QueueError::Refused(_)), "{url}: {error}");
            assert!(!error.to_string().contains("s3cret"), "{error}");
        }
        assert!(Address::of(&options("amqp://mq", Some("ftp://x"))).is_err());
    }

    #[test]
    fn a_scope_that_would_reach_into_another_is_refused() {
        for scope in ["", "a b", "a*", "A", "a#", &"x".repeat(MAX_SCOPE + 1)] {
            let options = Options { scope: scope.to_owned(), ..options("amqp://mq", None) };
            assert!(check(&options).is_err(), "{scope}");
        }
        assert!(check(&Options { lanes: Vec::new(), ..options("amqp://mq", None) }).is_err());
        assert!(check(&options("amqp://mq", None)).is_ok());
    }

    #[test]
    fn debug_shows_no_secret() {
        let shown = format!("{:?} {:?}", options("amqp://mq", None), Password::new("hidden".to_owned()));
        assert!(!shown.contains("hidden"), "{shown}");
    }
}
