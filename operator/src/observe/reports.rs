//! What bots and watchers say of themselves, asked about once a second.

use std::{
    collections::{HashMap, HashSet},
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;
use scrapefleet_policy::{Clock, within};
use tokio_util::sync::CancellationToken;

use super::rounds::rounds;
use crate::{Observed, PORT, plan::Report, watches::fleet_of};

/// Pause between two looks at a pod.
const PERIOD: Duration = Duration::from_secs(1);

/// How long a pod may take to answer. It answers from memory; a pod that takes longer is not well.
const ANSWER: Duration = Duration::from_secs(2);

/// The largest answer, in bytes: a bot with 500 holds says about 150 KB.
const LARGEST: usize = 1 << 20;

/// Reports by the uid of the pod. Clones share them.
#[derive(Debug, Clone)]
pub struct Reports {
    known: Arc<Mutex<HashMap<String, Heard>>>,
    clock: Arc<dyn Clock>,
}

/// What was heard of a pod.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Heard {
    /// What it said when it was asked last.
    pub report: Observed<Report>,
    /// When it was first asked in vain since it has answered, if it has not answered since.
    pub silent_since: Option<Timestamp>,
    /// What it said when it last answered, however long ago that was.
    pub last_said: Option<Report>,
}

impl Heard {
    /// Nothing, for this reason.
    #[must_use]
    pub fn nothing(why: &str) -> Self {
        Self { report: Observed::unread(why), silent_since: None, last_said: None }
    }

    /// Asked at `at` with this answer, after what was heard before.
    fn after(before: Option<&Self>, report: Observed<Report>, at: Timestamp) -> Self {
        let silent = report.value().is_none();
        let since = before.and_then(|before| before.silent_since).unwrap_or(at);
        let said = report.value().or_else(|| before.and_then(|before| before.last_said.as_ref()));
        let last_said = said.cloned();
        Self { report, silent_since: silent.then_some(since), last_said }
    }

    /// Whether it says something else of how it is than before: worth a look now. What it has done meanwhile, and that it
    /// does not answer, can wait for the next look.
    fn is_news_after(&self, before: Option<&Self>) -> bool {
        let word = |heard: &Self| heard.report.value().map(|said| (said.state, said.waiting.clone()));
        let now = word(self);
        now.is_some() && now != before.and_then(word)
    }
}

/// A pod that can be asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// Its uid.
    pub uid: String,
    /// Where it is.
    pub address: IpAddr,
    /// Namespace and name of the fleet that it names.
    pub fleet: Option<(String, String)>,
}

impl Target {
    /// The pod, if it has an address and has not ended.
    #[must_use]
    pub fn of(pod: &Pod) -> Option<Self> {
        let status = pod.status.as_ref()?;
        let over = matches!(status.phase.as_deref(), Some("Failed" | "Succeeded" | "Pending"));
        let address = status.pod_ip.as_ref().filter(|_| !over)?.parse().ok()?;
        Some(Self { uid: pod.metadata.uid.clone()?, address, fleet: fleet_of(pod) })
    }

    fn url(&self) -> String {
        match self.address {
            IpAddr::V4(v4) => format!("http://{v4}:{PORT}/status"),
            IpAddr::V6(v6) => format!("http://[{v6}]:{PORT}/status"),
        }
    }
}

impl Reports {
    /// Nothing is known yet. The clock dates the reports.
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self { known: Arc::default(), clock }
    }

    /// What was heard of the pod with this uid.
    #[must_use]
    pub fn of(&self, uid: &str) -> Heard {
        self.lock().get(uid).cloned().unwrap_or_else(|| Heard::nothing("it was not asked yet"))
    }

    /// Whether the pod with this uid was asked, whatever it said.
    #[must_use]
    pub fn was_asked(&self, uid: &str) -> bool {
        self.lock().contains_key(uid)
    }

    /// Asks all pods that `list` names, again and again, until `stop`. A fleet of which one says something else of how it
    /// is than before is handed to `news`.
    pub async fn keep(
        &self,
        http: &reqwest::Client,
        list: impl Fn() -> Vec<Target>,
        news: impl Fn(&str, &str),
        stop: &CancellationToken,
    ) {
        let list = || {
            let targets = list();
            let there: HashSet<&str> = targets.iter().map(|target| target.uid.as_str()).collect();
            self.lock().retain(|uid, _| there.contains(uid.as_str()));
            targets.iter().map(|target| (target.uid.clone(), target.clone())).collect()
        };
        let news = &news;
        let ask = |target: Target| async move {
            let fleet = target.fleet.clone();
            if let (true, Some((namespace, fleet))) = (self.ask(http, target).await, fleet) {
                news(&namespace, &fleet);
            }
        };
        rounds(PERIOD, stop, list, ask).await;
    }

    /// The pod with this uid has just said this.
    #[cfg(test)]
    pub(crate) fn put(&self, uid: &str, value: Report) {
        let observed = Observed::Read { value, at: self.clock.now() };
        self.lock().insert(uid.to_owned(), Heard::after(None, observed, self.clock.now()));
    }

    /// Asks a pod; answers whether what it says is news.
    async fn ask(&self, http: &reqwest::Client, target: Target) -> bool {
        let asked_at = self.clock.now();
        let observed = match within(ANSWER, "asking a pod how it is", answer(http, &target.url())).await {
            Ok(Ok(value)) => Observed::Read { value, at: asked_at },
            Ok(Err(why)) => Observed::unread(why),
            Err(expired) => Observed::unread(expired.to_string()),
        };
        let mut known = self.lock();
        let before = known.get(&target.uid);
        let heard = Heard::after(before, observed, asked_at);
        let is_news = heard.is_news_after(before);
        known.insert(target.uid, heard);
        is_news
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Heard>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn answer(http: &reqwest::Client, url: &str) -> Result<Report, String> {
    let mut response = http.get(url).send().await.map_err(|error| error.without_url().to_string())?;
    if !response.status().is_success() {
        return Err(format!("it answered {}", response.status()));
    }
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|error| error.without_url().to_string())? {
        if body.len() + chunk.len() > LARGEST {
            return Err(format!("its answer is larger than {LARGEST} bytes"));
        }
        body.extend_from_slice(&chunk);
    }
    serde_json::from_slice(&body).map_err(|error| format!("its answer is not what a pod says: {error}"))
}

#[cfg(test)]
mod tests {
    use scrapefleet_policy::SystemClock;
    use tokio::{
        io::{AsyncReadExt as _, AsyncWriteExt as _},
        net::TcpListener,
    };

    use super::*;
    use crate::plan::{Awaited, ReportedState};

    /// Answers one request with this.
    async fn served(response: String) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/status", listener.local_addr().unwrap());
        tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let _ = stream.read(&mut [0; 4096]).await.unwrap();
            // The other side may have had enough already.
            let _ = stream.write_all(response.as_bytes()).await;
        });
        url
    }

    fn with_body(body: &str) -> String {
        format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}", body.len())
    }

    #[tokio::test]
    async fn an_answer_is_read() {
        let url = served(with_body(r#"{"state":"working","holds":[{},{}]}"#)).await;
        let report = answer(&crate::http::client().unwrap(), &url).await.unwrap();
        assert_eq!((report.state, report.held), (ReportedState::Working, 2));
    }

    #[tokio::test]
    async fn what_is_no_answer_says_why() {
        let http = crate::http::client().unwrap();
        for (response, said) in [
            // A pod that has nothing to say yet.
            (with_body("null"), "not what a pod says"),
            (with_body(&format!("\"{}\"", "x".repeat(LARGEST))), "larger than"),
            ("HTTP/1.1 503 Busy\r\ncontent-length: 0\r\n\r\n".to_owned(), "503"),
        ] {
            let why = answer(&http, &served(response).await).await.unwrap_err();
            assert!(why.contains(said), "{why}");
        }
    }

    #[tokio::test]
    async fn a_pod_that_is_gone_is_forgotten() {
        let reports = Reports::new(Arc::new(SystemClock));
        reports.lock().insert("gone".into(), Heard::nothing("x"));
        let stop = CancellationToken::new();
        let list = || {
            stop.cancel();
            Vec::new()
        };
        reports.keep(&crate::http::client().unwrap(), list, |_, _| {}, &stop).await;
        assert!(reports.lock().is_empty());
    }

    #[test]
    fn silence_begins_with_the_first_question_in_vain_and_ends_with_an_answer() {
        let at = |second| Timestamp::from_second(second).unwrap();
        let working = Report { state: ReportedState::Working, ..Report::default() };
        let said = Observed::Read { value: working, at: at(0) };
        let mut heard = None;
        for (second, answer, since, has_said) in [
            (0, Observed::unread("not up yet"), Some(0), false),
            (1, said.clone(), None, true),
            (2, Observed::unread("no answer"), Some(2), true),
            (3, Observed::unread("no answer"), Some(2), true),
            (60, Observed::unread("no answer"), Some(2), true),
            (61, said, None, true),
            (62, Observed::unread("no answer"), Some(62), true),
        ] {
            let now = Heard::after(heard.as_ref(), answer, at(second));
            let said = now.last_said.as_ref().map(|said| said.state);
            let expected = has_said.then_some(ReportedState::Working);
            assert_eq!((now.silent_since, said), (since.map(at), expected), "{second}");
            heard = Some(now);
        }
        assert_eq!(Heard::nothing("not asked").silent_since, None);
    }

    #[test]
    fn only_what_a_pod_says_of_how_it_is_is_news() {
        let heard = |report| Heard { report, silent_since: None, last_said: Some(Report::default()) };
        let saying = |value: Report| heard(Observed::Read { value, at: Timestamp::UNIX_EPOCH });
        let working = || Report { state: ReportedState::Working, ..Report::default() };
        let waiting = || Report { waiting: Some(Awaited::default()), ..working() };
        let silent = || heard(Observed::unread("no answer"));
        for (what, before, after, news) in [
            ("its first word", None, saying(working()), true),
            ("the same", Some(saying(working())), saying(working()), false),
            ("what it holds", Some(saying(working())), saying(Report { held: 3, ..working() }), false),
            ("another state", Some(saying(Report::default())), saying(working()), true),
            ("it waits", Some(saying(working())), saying(waiting()), true),
            ("it waits still", Some(saying(waiting())), saying(waiting()), false),
            ("it goes on", Some(saying(waiting())), saying(working()), true),
            ("no word", Some(saying(working())), silent(), false),
            ("no word at first", None, silent(), false),
            ("a word again", Some(silent()), saying(working()), true),
        ] {
            assert_eq!(after.is_news_after(before.as_ref()), news, "{what}");
        }
    }

    #[test]
    fn only_pods_with_an_address_that_run_are_asked() {
        let pod = |status: serde_json::Value| -> Pod {
            serde_json::from_value(serde_json::json!({ "metadata": { "uid": "u" }, "status": status }))
                .unwrap()
        };
        let running = pod(serde_json::json!({ "phase": "Running", "podIP": "10.0.0.7" }));
        assert_eq!(Target::of(&running).unwrap().url(), "http://10.0.0.7:8080/status");
        let v6 = pod(serde_json::json!({ "phase": "Running", "podIP": "fd00::7" }));
        assert_eq!(Target::of(&v6).unwrap().url(), "http://[fd00::7]:8080/status");
        for phase in ["Pending", "Failed", "Succeeded"] {
            assert_eq!(Target::of(&pod(serde_json::json!({ "phase": phase, "podIP": "10.0.0.7" }))), None);
        }
        assert_eq!(Target::of(&pod(serde_json::json!({ "phase": "Running" }))), None);
    }
}
