//! MinIO servers that live as long as this program.

use std::{
    env, fs,
    io::{Read as _, Write as _},
    net::{TcpListener, TcpStream},
    path::PathBuf,
    process::{Child, Command, Stdio},
    sync::{
        OnceLock,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use aws_sdk_s3::{
    Client,
    config::{BehaviorVersion, Credentials, Region},
};
use scrapefleet_store::s3::{self, Keys, Options};
use tempfile::TempDir;

use crate::sample;

/// Names the path of the program.
const PROGRAM: &str = "SCRAPEFLEET_MINIO";

/// How long a server may take until it serves; on a busy machine the start takes seconds.
const SERVES_WITHIN: Duration = Duration::from_mins(1);

/// Runs the server until standard input ends, which it does when this program ends, however that is. Then the server is
/// killed and its folder removed, also when a signal ends all processes of the run at once.
const WATCHER: &str = r#"
trap '' HUP INT TERM
folder=$1; shift
exec 3<&0
"$@" </dev/null 3<&- >"$folder/log" 2>&1 &
server=$!
(cat <&3 >/dev/null; kill -9 "$server") &
wait "$server"
cat <&3 >/dev/null
rm -rf "$folder"
"#;

/// A server.
#[derive(Debug)]
pub(crate) struct Minio {
    pub(crate) endpoint: String,
    pub(crate) user: String,
    pub(crate) password: String,
    region: &'static str,
    /// The certificate of the authority that signed the server's, as PEM.
    pub(crate) authority: Option<String>,
    buckets: AtomicUsize,
    /// Its standard input is what keeps the server alive.
    _watcher: Child,
}

/// The server that speaks plain HTTP.
pub(crate) fn plain() -> &'static Minio {
    static SERVER: OnceLock<Minio> = OnceLock::new();
    SERVER.get_or_init(|| Minio::start("us-east-1", None))
}

/// The server that speaks TLS, with a certificate of an authority of its own, in another region.
pub(crate) fn tls() -> &'static Minio {
    static SERVER: OnceLock<Minio> = OnceLock::new();
    SERVER.get_or_init(|| Minio::start("eu-test-1", Some(&crate::tls::Certificates::new())))
}

impl Minio {
    fn start(region: &'static str, certificates: Option<&crate::tls::Certificates>) -> Self {
        // Another program may take the free port before the server does.
        for _ in 0..5 {
            if let Some(server) = Self::try_start(region, certificates) {
                return server;
            }
        }
        panic!("MinIO ended at once, five times");
    }

    fn try_start(region: &'static str, certificates: Option<&crate::tls::Certificates>) -> Option<Self> {
        let program = program();
        let folder = TempDir::with_prefix("scrapefleet-minio-").unwrap().keep();
        fs::create_dir_all(folder.join("certificates")).unwrap();
        if let Some(certificates) = certificates {
            fs::write(folder.join("certificates/public.crt"), &certificates.server).unwrap();
            fs::write(folder.join("certificates/private.key"), &certificates.key).unwrap();
        }
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let (user, password) = (format!("user{:016x}", random()), format!("password{:016x}", random()));
        let mut watcher = Command::new("sh")
            .args(["-c", WATCHER, "watcher"])
            .arg(&folder)
            .arg(program)
            .args(["server", "--quiet", "--address", &format!("127.0.0.1:{port}"), "--certs-dir"])
            .arg(folder.join("certificates"))
            .arg(folder.join("data"))
            .envs([("MINIO_ROOT_USER", &user), ("MINIO_ROOT_PASSWORD", &password)])
            .envs([("MINIO_BROWSER", "off"), ("MINIO_UPDATE", "off"), ("MINIO_SITE_REGION", region)])
            // Buckets may be named in the path, and in the host before this.
            .env("MINIO_DOMAIN", "localhost")
            .env("HOME", &folder)
            .stdin(Stdio::piped())
            .spawn()
            .unwrap();
        let began = Instant::now();
        while !serves(port) {
            let log = || fs::read_to_string(folder.join("log")).unwrap_or_default();
            if log().contains("address already in use") || watcher.try_wait().unwrap().is_some() {
                return None;
            }
            assert!(began.elapsed() < SERVES_WITHIN, "MinIO does not serve: {}", log());
            // A process gives no other sign of being ready.
            std::thread::sleep(Duration::from_millis(50));
        }
        let scheme = if certificates.is_some() { "https" } else { "http" };
        Some(Self {
            endpoint: format!("{scheme}://127.0.0.1:{port}"),
            user,
            password,
            region,
            authority: certificates.map(|certificates| certificates.authority.clone()),
            buckets: AtomicUsize::new(0),
            _watcher: watcher,
        })
    }

    /// How to open a bucket that nobody else uses, which is there and empty.
    pub(crate) async fn bucket(&self) -> Options {
        let name = format!("bucket-{}", self.buckets.fetch_add(1, Ordering::Relaxed));
        let options = self.options(&name);
        client(&options).create_bucket().bucket(&name).send().await.unwrap();
        options
    }

    /// How to open a bucket of this server.
    pub(crate) fn options(&self, bucket: &str) -> Options {
        Options {
            region: Some(self.region.to_owned()),
            endpoint: Some(self.endpoint.clone()),
            credentials: s3::Credentials::Keys(Keys::new(&self.user, &self.password, None)),
            ca: self.authority.clone().map(String::into_bytes),
            limits: sample::limits(),
            ..Options::bucket(bucket)
        }
    }

    /// A client past the store, for what the store does not do.
    pub(crate) fn client(&self) -> Client {
        raw(&self.endpoint, &self.user, &self.password, self.region, self.authority.as_deref())
    }
}

/// A client past the store, of the server that `options` were made by.
fn client(options: &Options) -> Client {
    let server = if options.ca.is_some() { tls() } else { plain() };
    server.client()
}

fn raw(endpoint: &str, user: &str, password: &str, region: &'static str, authority: Option<&str>) -> Client {
    let transport = aws_smithy_http_client::Builder::new();
    let transport = match authority {
        None => transport.build_http(),
        Some(pem) => crate::tls::transport(transport, pem),
    };
    let config = aws_sdk_s3::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .http_client(transport)
        .endpoint_url(endpoint)
        .region(Region::from_static(region))
        .credentials_provider(Credentials::new(user, password, None, None, "tests"))
        .force_path_style(true)
        .build();
    Client::from_conf(config)
}

fn program() -> PathBuf {
    let path = PathBuf::from(env::var_os(PROGRAM).unwrap_or_default());
    assert!(
        path.is_file(),
        "{PROGRAM} must be the path of the program `minio`; it is `{}`. `cargo xtask test` builds it and sets the variable",
        path.display()
    );
    path
}

/// Whether somebody at `port` says that it is alive. A request in plain text is answered by a server of TLS too.
fn serves(port: u16) -> bool {
    let asked = || {
        let mut stream = TcpStream::connect(("127.0.0.1", port))?;
        stream.set_read_timeout(Some(Duration::from_secs(1)))?;
        stream.write_all(b"GET /minio/health/live HTTP/1.0\r\nHost: localhost\r\n\r\n")?;
        let mut start = [0; 12];
        stream.read_exact(&mut start)?;
        Ok::<_, std::io::Error>(start)
    };
    asked().is_ok_and(|start| start.ends_with(b" 200") || start.ends_with(b" 400"))
}

fn random() -> u64 {
    fastrand::u64(..)
}
