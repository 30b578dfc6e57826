//! Where a bucket is, who asks, and how patiently.

use std::{fmt, time::Duration};

use scrapefleet_api::store::{Addressing, Checksums, S3Store as Spec};

use crate::MAX_OBJECT;

/// What [`connect`](super::connect) needs to know.
#[derive(Clone)]
pub struct Options {
    /// The bucket, which must be there.
    pub bucket: String,
    /// Its region; none: that of the environment (`AWS_REGION`, `AWS_DEFAULT_REGION`), else `us-east-1`.
    pub region: Option<String>,
    /// Where the store is, as a URL with `http` or `https`; none: AWS.
    pub endpoint: Option<String>,
    /// How a request names the bucket.
    pub addressing: Addressing,
    /// When requests carry checksums, and answers are checked against them, beside what the protocol demands.
    pub checksums: Checksums,
    /// Who asks.
    pub credentials: Credentials,
    /// The authorities whose certificates the store may show, as PEM, in place of those that the machine trusts. The
    /// platform's own credentials are still asked for with those of the machine.
    pub ca: Option<Vec<u8>>,
    /// What is going to be done.
    pub access: Access,
    /// How long things may take and how large they may be.
    pub limits: Limits,
}

impl Options {
    /// A bucket of AWS with the platform's own credentials.
    pub fn bucket(name: impl Into<String>) -> Self {
        Self {
            bucket: name.into(),
            region: None,
            endpoint: None,
            addressing: Addressing::default(),
            checksums: Checksums::default(),
            credentials: Credentials::Platform,
            ca: None,
            access: Access::default(),
            limits: Limits::default(),
        }
    }
}

/// What the manifest says; credentials and authorities, which are in its Secret, are to be added.
impl From<&Spec> for Options {
    fn from(spec: &Spec) -> Self {
        Self {
            region: spec.region.clone(),
            endpoint: spec.endpoint.clone(),
            addressing: spec.addressing,
            checksums: spec.checksums,
            ..Self::bucket(spec.bucket.clone())
        }
    }
}

/// Says nothing of the credentials, and of the authorities only how long their text is.
impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options")
            .field("bucket", &self.bucket)
            .field("region", &self.region)
            .field("endpoint", &self.endpoint)
            .field("addressing", &self.addressing)
            .field("checksums", &self.checksums)
            .field("credentials", &self.credentials)
            .field("ca_bytes", &self.ca.as_ref().map(Vec::len))
            .field("access", &self.access)
            .field("limits", &self.limits)
            .finish()
    }
}

/// Who asks.
#[derive(Debug, Clone)]
pub enum Credentials {
    /// These keys.
    Keys(Keys),
    /// The platform's own identity: the first of environment, shared files, web identity, container and machine
    /// (IMDS) that has credentials. They are renewed before they end.
    Platform,
}

/// Keys of an account. Debug output shows nothing of them.
#[derive(Clone)]
pub struct Keys {
    pub(super) access_key_id: String,
    pub(super) secret_access_key: String,
    pub(super) session_token: Option<String>,
}

impl Keys {
    /// Keys as they are in a Secret or a file: white space around them, such as the last line's end, is not part of them.
    #[must_use]
    pub fn new(access_key_id: &str, secret_access_key: &str, session_token: Option<&str>) -> Self {
        let owned = |text: &str| text.trim().to_owned();
        Self {
            access_key_id: owned(access_key_id),
            secret_access_key: owned(secret_access_key),
            session_token: session_token.map(owned).filter(|token| !token.is_empty()),
        }
    }

    /// What is wrong with them, if anything can be seen without asking the store.
    pub(super) fn fault(&self) -> Option<String> {
        let named = [
            ("accessKeyId", self.access_key_id.as_str()),
            ("secretAccessKey", self.secret_access_key.as_str()),
            ("sessionToken", self.session_token.as_deref().unwrap_or("none")),
        ];
        named.into_iter().find_map(|(name, text)| {
            let wrong = if text.is_empty() {
                "is empty"
            } else if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
                "holds white space, line ends or characters that are not ASCII"
            } else {
                return None;
            };
            Some(format!("{name} {wrong}: correct it in the Secret, or in the credentials' files"))
        })
    }
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Keys(..)")
    }
}

/// What is going to be done with a store.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Access {
    /// Objects are put and read. [`connect`](super::connect) finds out whether puts are conditional.
    #[default]
    ReadAndWrite,
    /// Objects are read. Every put is refused, and nothing is written to find anything out.
    ReadOnly,
}

/// How long things may take and how large they may be.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Limits {
    /// How long the store may take to answer one request, beside the time for the bytes of an object. 8 seconds.
    pub request: Duration,
    /// How long a request may take with all its repetitions, beside the time for the bytes. 25 seconds, so that an
    /// ordinary put ends before a caller that waits for 30 seconds has given it up.
    pub overall: Duration,
    /// Attempts in all, the first one counted. 4.
    pub attempts: u32,
    /// The wait before the second attempt, in place of which each later one is twice as long; a part is random.
    /// 200 ms.
    pub pause: Duration,
    /// How long [`connect`](super::connect) may take to hear from the bucket, so that a wrong endpoint is told soon.
    /// 6 seconds.
    pub connect: Duration,
    /// The fewest bytes per second that a transfer of an object is waited for. 1 MiB.
    pub slowest: usize,
    /// The largest object that is put in one request, in bytes. 16 MiB.
    pub whole: usize,
    /// The size of the parts of a larger one, in bytes; S3 takes none below 5 MiB but the last. 8 MiB.
    pub part: usize,
    /// Parts of one object on their way at once. 4.
    pub parts_at_once: usize,
}

impl Default for Limits {
    fn default() -> Self {
        const MIB: usize = 1024 * 1024;
        Self {
            request: Duration::from_secs(8),
            overall: Duration::from_secs(25),
            attempts: 4,
            pause: Duration::from_millis(200),
            connect: Duration::from_secs(6),
            slowest: MIB,
            whole: 16 * MIB,
            part: 8 * MIB,
            parts_at_once: 4,
        }
    }
}

impl Limits {
    /// How long the transfer of `bytes` may take.
    pub(super) fn transfer(&self, bytes: usize) -> Duration {
        let bytes = u32::try_from(bytes.min(MAX_OBJECT)).unwrap_or(u32::MAX);
        let slowest = u32::try_from(self.slowest.max(1)).unwrap_or(u32::MAX);
        Duration::from_secs_f64(f64::from(bytes) / f64::from(slowest))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_output_shows_no_key() {
        let keys = Keys::new("AKIDEXAMPLE", "wJalrXUtnFEMI", Some("FwoGZXIvYXdzE"));
        let options = Options { credentials: Credentials::Keys(keys), ..Options::bucket("logs") };
        let shown = format!("{options:?}");
        for secret in ["AKIDEXAMPLE", "wJalrXUtnFEMI", "FwoGZXIvYXdzE"] {
            assert!(!shown.contains(secret), "{shown}");
        }
        assert!(shown.contains("Keys(..)") && shown.contains("logs"), "{shown}");
    }

    #[test]
    fn keys_lose_the_line_end_of_their_file_and_faults_name_no_key() {
        let keys = Keys::new("AKID\n", " secret\r\n", Some("\n"));
        assert_eq!((keys.access_key_id.as_str(), keys.secret_access_key.as_str()), ("AKID", "secret"));
        assert_eq!((keys.session_token.as_ref(), keys.fault()), (None, None));
        let table = [
            (Keys::new("", "secret", None), "accessKeyId is empty"),
            (Keys::new("AKID", "sec\nret", None), "secretAccessKey holds"),
            (Keys::new("AKID", "secret", Some("tökén")), "sessionToken holds"),
        ];
        for (keys, expected) in table {
            let fault = keys.fault().unwrap();
            assert!(fault.starts_with(expected) && !fault.contains("sec\nret") && !fault.contains("tökén"));
        }
    }

    #[test]
    fn the_time_for_a_transfer_follows_its_size_and_is_bounded() {
        let limits = Limits { slowest: 1_000, ..Limits::default() };
        assert_eq!(limits.transfer(0), Duration::ZERO);
        assert_eq!(limits.transfer(2_500), Duration::from_millis(2_500));
        assert_eq!(limits.transfer(usize::MAX), limits.transfer(MAX_OBJECT));
        assert!(Limits { slowest: 0, ..limits }.transfer(usize::MAX) < Duration::from_secs(1 << 30));
    }
}
