use std::sync::atomic::{AtomicBool, Ordering};

use jiff::Timestamp;
use scrapefleet_policy::{Instant, ManualClock};
use tokio::{task::JoinHandle, time::sleep};

use super::{
    fake::{FakeServer, Fault},
    *,
};

/// One process that wants to lead. Its work goes on until it is told to stop, then for as long as `ending`.
struct Process {
    works: Arc<AtomicBool>,
    leading: IntGauge,
    stop: CancellationToken,
    ended: JoinHandle<Ended<&'static str>>,
}

/// Says that work goes on for as long as it is not dropped.
struct Working(Arc<AtomicBool>);

impl Drop for Working {
    fn drop(&mut self) {
        self.0.store(false, Ordering::SeqCst);
    }
}

fn election(name: &str) -> Election {
    let leading = IntGauge::new("leading", "Leading.").unwrap();
    Election {
        identity: name.to_owned(),
        leading: Some(leading),
        clock: Arc::new(ManualClock::at(Timestamp::UNIX_EPOCH)),
        jitter: Jitter::seeded(1),
        ..Election::new("system", "operator", name)
    }
}

fn start(server: &FakeServer, name: &str, ending: Duration) -> Process {
    let election = election(name);
    let (works, stop, client) = (Arc::new(AtomicBool::new(false)), CancellationToken::new(), server.client());
    let (flag, stopped, leading) = (works.clone(), stop.clone(), election.leading.clone().unwrap());
    let work = async move {
        flag.store(true, Ordering::SeqCst);
        let _working = Working(flag);
        stopped.cancelled().await;
        sleep(ending).await;
        "done"
    };
    let token = stop.clone();
    let ended = tokio::spawn(async move { lead(&election, client, token, work).await.unwrap() });
    Process { works, leading, stop, ended }
}

impl Process {
    fn leads(&self) -> bool {
        let works = self.works.load(Ordering::SeqCst);
        assert_eq!(self.leading.get(), i64::from(works), "the gauge says who works");
        works
    }

    /// How long it takes until this process leads.
    async fn led_after(&self) -> Duration {
        let began = Instant::now();
        while !self.leads() {
            assert!(began.elapsed() < Duration::from_mins(2), "it never leads");
            sleep(Duration::from_millis(10)).await;
        }
        began.elapsed()
    }

    async fn ended(self) -> Ended<&'static str> {
        within(Duration::from_mins(2), "the process", self.ended).await.unwrap().unwrap()
    }
}

const SECOND: Duration = Duration::from_secs(1);

#[tokio::test(start_paused = true)]
async fn the_first_leads_and_gives_back_when_it_is_done() {
    let server = FakeServer::default();
    let one = start(&server, "one", SECOND);
    assert!(one.led_after().await < SECOND);
    let other = start(&server, "other", SECOND);
    sleep(30 * SECOND).await;
    assert!(one.leads() && !other.leads());
    one.stop.cancel();
    assert_eq!(one.ended().await, Ended::Finished("done"));
    assert!(other.led_after().await < 3 * SECOND);
    let spec = server.lease().unwrap().spec.unwrap();
    assert_eq!((spec.holder_identity.as_deref(), spec.lease_transitions), (Some("other"), Some(1)));
    assert_eq!(spec.lease_duration_seconds, Some(15));
}

#[tokio::test(start_paused = true)]
async fn when_the_leader_dies_the_standby_leads_after_the_lease_has_run_out() {
    let server = FakeServer::default();
    let one = start(&server, "one", SECOND);
    one.led_after().await;
    let other = start(&server, "other", SECOND);
    sleep(20 * SECOND).await;
    one.ended.abort();
    let gap = other.led_after().await;
    assert!((13 * SECOND..18 * SECOND).contains(&gap), "{gap:?}");
}

#[tokio::test(start_paused = true)]
async fn a_leader_that_is_cut_off_stops_before_another_may_lead() {
    for fault in [Fault::Hang, Fault::HangAfter, Fault::Refuse(503), Fault::Refuse(429), Fault::Refuse(403)] {
        let server = FakeServer::default();
        let one = start(&server, "one", SECOND);
        one.led_after().await;
        server.always(Some(fault));
        let (began, works) = (Instant::now(), one.works.clone());
        let Ended::Lost(Lost::Expired { last, .. }) = one.ended().await else { panic!("not lost") };
        assert!((8 * SECOND..=10 * SECOND).contains(&began.elapsed()), "{fault:?}: {:?}", began.elapsed());
        assert!(!works.load(Ordering::SeqCst), "the work is dropped");
        let last = last.unwrap();
        assert!(last.contains("lease system/operator: "), "{last}");
        assert_eq!(server.holder(), "one", "what is lost is not given back");
    }
}

#[tokio::test(start_paused = true)]
async fn short_trouble_is_lived_through() {
    let server = FakeServer::default();
    let one = start(&server, "one", SECOND);
    one.led_after().await;
    for fault in [Fault::Hang, Fault::HangAfter, Fault::Refuse(500), Fault::Refuse(409)] {
        server.once(fault);
        sleep(10 * SECOND).await;
        assert!(one.leads(), "{fault:?}");
    }
    assert_eq!(server.lease().unwrap().spec.unwrap().lease_transitions, Some(0));
}

#[tokio::test(start_paused = true)]
async fn a_leader_whose_lease_another_took_stops_at_its_next_renewal() {
    let server = FakeServer::default();
    let one = start(&server, "one", SECOND);
    one.led_after().await;
    server.edit(|lease| lease.spec.as_mut().unwrap().holder_identity = Some("thief\n\u{1b}[31m".to_owned()));
    let began = Instant::now();
    let Ended::Lost(lost) = one.ended().await else { panic!("not lost") };
    assert!(began.elapsed() <= 3 * SECOND);
    assert_eq!(lost.to_string(), r#"leadership is lost: the lease is held by "thief\n\u{1b}[31m""#);
}

#[tokio::test(start_paused = true)]
async fn what_others_wrote_into_the_lease_stays_and_costs_nothing() {
    let server = FakeServer::default();
    let one = start(&server, "one", SECOND);
    one.led_after().await;
    server.edit(|lease| lease.metadata.labels = Some([("team".to_owned(), "blue".to_owned())].into()));
    sleep(5 * SECOND).await;
    assert!(one.leads());
    assert_eq!(server.lease().unwrap().metadata.labels.unwrap()["team"], "blue");
}

#[tokio::test(start_paused = true)]
async fn one_who_may_not_have_the_lease_goes_on_asking() {
    let server = FakeServer::default();
    server.always(Some(Fault::Refuse(403)));
    let one = start(&server, "one", SECOND);
    sleep(60 * SECOND).await;
    assert!(!one.leads());
    let asked = server.log().len();
    assert!((25..=31).contains(&asked), "{asked} calls in a minute");
    server.always(None);
    assert!(one.led_after().await < 3 * SECOND);
}

#[tokio::test(start_paused = true)]
async fn who_is_stopped_while_waiting_writes_nothing() {
    let server = FakeServer::default();
    let one = start(&server, "one", SECOND);
    one.led_after().await;
    let other = start(&server, "other", SECOND);
    sleep(5 * SECOND).await;
    other.stop.cancel();
    assert_eq!(other.ended().await, Ended::Stopped);
    assert_eq!(server.log().iter().filter(|line| line.starts_with("POST")).count(), 1);
    assert!(one.leads());
}

#[tokio::test(start_paused = true)]
async fn work_that_is_long_in_ending_keeps_the_lease_until_its_grace_is_over() {
    for (ending, ended, after) in
        [(8 * SECOND, Ended::Finished("done"), 8 * SECOND), (60 * SECOND, Ended::Stopped, 10 * SECOND)]
    {
        let server = FakeServer::default();
        let one = start(&server, "one", ending);
        one.led_after().await;
        let other = start(&server, "other", SECOND);
        sleep(3 * SECOND).await;
        one.stop.cancel();
        let began = Instant::now();
        assert_eq!(one.ended().await, ended);
        let took = began.elapsed();
        assert!((after..after + SECOND).contains(&took), "{took:?}");
        assert!(other.led_after().await < 3 * SECOND);
    }
}

#[tokio::test(start_paused = true)]
async fn a_stop_in_the_middle_of_the_first_write_still_gives_the_lease_back() {
    let server = FakeServer::default();
    server.edit(|lease| lease.spec = None); // a lease of nobody
    let one = start(&server, "one", SECOND);
    server.always(Some(Fault::HangAfter));
    sleep(SECOND).await;
    server.always(None);
    server.once(Fault::HangAfter); // the read hung; this is the write after it
    sleep(5 * SECOND).await;
    one.stop.cancel();
    assert_eq!(one.ended().await, Ended::Stopped);
    assert_eq!(server.holder(), "");
}

#[tokio::test]
async fn careless_times_are_refused() {
    let timing = Timing { lease: SECOND, ..Timing::default() };
    let election = Election { timing, ..election("one") };
    let client = FakeServer::default().client();
    assert!(lead(&election, client, CancellationToken::new(), async {}).await.is_err());
}

#[test]
fn a_process_that_is_started_again_is_another() {
    let mut random = fastrand::Rng::with_seed(1);
    let (one, again) = (identity("pod-1", &mut random), identity("pod-1", &mut random));
    assert!(one.starts_with("pod-1_") && one != again, "{one} {again}");
}
