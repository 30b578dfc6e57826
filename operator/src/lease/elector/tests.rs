use super::*;

const SECOND: Duration = Duration::from_secs(1);

/// An elector whose clock is moved by hand, from second 0.
struct Scene {
    start: Instant,
    elector: Elector,
}

impl Scene {
    fn new() -> Self {
        let elector = Elector::new("me".to_owned(), Timing::default(), Jitter::seeded(3));
        Self { start: Instant::now(), elector }
    }

    fn at(&self, seconds: f64) -> Instant {
        self.start + Duration::from_secs_f64(seconds)
    }

    fn next(&mut self, seconds: f64) -> Next {
        let now = self.at(seconds);
        self.elector.next(now, Timestamp::UNIX_EPOCH)
    }

    /// What is asked at `seconds`, answered at once.
    fn answer(&mut self, seconds: f64, answer: Answer) -> Request {
        self.answer_late(seconds, seconds, answer)
    }

    fn answer_late(&mut self, began: f64, now: f64, answer: Answer) -> Request {
        let Next::Ask(request) = self.next(began) else { panic!("nothing asked: {:?}", self.next(began)) };
        self.elector.answered(answer, self.at(began), self.at(now));
        request
    }

    /// Makes it the leader at `seconds`.
    fn win(&mut self, seconds: f64) {
        assert_eq!(self.answer(seconds, Answer::Absent), Request::Read);
        let Request::Create(lease) = self.write(seconds, seconds) else { panic!("not created") };
        assert_eq!(lease.spec.unwrap().holder_identity.as_deref(), Some("me"));
        assert!(self.elector.leads(self.at(seconds)));
    }

    /// The write asked for at `began` succeeds at `now`.
    fn write(&mut self, began: f64, now: f64) -> Request {
        let Next::Ask(request) = self.next(began) else { panic!("nothing asked: {:?}", self.next(began)) };
        let (Request::Create(lease) | Request::Replace(lease)) = request.clone() else {
            panic!("{request:?}")
        };
        self.elector.answered(Answer::Is(lease), self.at(began), self.at(now));
        request
    }

    fn waits_until(&mut self, seconds: f64) -> f64 {
        match self.next(seconds) {
            Next::Wait(until) => (until - self.start).as_secs_f64(),
            other => panic!("at {seconds}: {other:?}"),
        }
    }
}

/// The lease in the hands of `holder`, after so many renewals.
fn lease(holder: &str, renewals: i64) -> Lease {
    let wall = Timestamp::from_second(renewals).unwrap();
    record::held_by(holder, Lease::default(), &Timing::default(), wall)
}

fn of(holder: &str, renewals: i64) -> Answer {
    Answer::Is(Box::new(lease(holder, renewals)))
}

fn expired(next: &Next) -> bool {
    matches!(next, Next::Lost(Lost::Expired { .. }))
}

#[test]
fn a_lease_that_is_not_there_is_made() {
    let mut scene = Scene::new();
    scene.win(0.0);
    assert!((scene.waits_until(0.0) - 2.0).abs() < 0.01);
    assert!(matches!(scene.write(2.0, 2.1), Request::Replace(_)));
}

#[test]
fn a_lease_of_another_is_looked_at_until_it_has_not_changed_for_its_whole_length() {
    let mut scene = Scene::new();
    scene.answer(0.0, of("other", 1));
    let look = scene.waits_until(0.0);
    assert!((2.0..=2.4).contains(&look), "{look}");
    scene.answer(3.0, of("other", 2)); // renewed: counted from here
    for at in [6.0, 9.0, 12.0, 15.0] {
        scene.answer(at, of("other", 2));
    }
    let expiry = scene.waits_until(16.9);
    assert!((expiry - 17.2).abs() < 0.3, "the next look");
    scene.answer(17.5, of("other", 2));
    assert!((scene.waits_until(17.5) - 18.0).abs() < 0.01, "exactly when the lease has run out");
    scene.answer(18.0, of("other", 2));
    let Request::Replace(taken) = scene.write(18.0, 18.1) else { panic!("not replaced") };
    assert_eq!(taken.spec.unwrap().lease_transitions, Some(1));
    assert!(scene.elector.leads(scene.at(18.1)));
}

#[test]
fn labels_renew_nothing() {
    let mut scene = Scene::new();
    for at in 0..5 {
        let mut labelled = lease("other", 1);
        labelled.metadata.resource_version = Some(at.to_string());
        scene.answer(3.0 * f64::from(at), Answer::Is(Box::new(labelled)));
    }
    scene.answer(15.0, of("other", 1));
    assert!(matches!(scene.next(15.0), Next::Ask(Request::Replace(_))));
}

#[test]
fn a_lease_that_was_given_back_is_taken_at_once() {
    let mut scene = Scene::new();
    scene.answer(0.0, of("other", 1));
    let released = record::released(lease("other", 2), Timestamp::UNIX_EPOCH);
    scene.answer(3.0, Answer::Is(Box::new(released)));
    scene.write(3.0, 3.0);
    assert!(scene.elector.leads(scene.at(3.0)));
}

#[test]
fn a_deleted_lease_is_waited_for_like_one_that_is_not_renewed() {
    let mut scene = Scene::new();
    scene.answer(0.0, of("other", 1));
    for at in [3.0, 6.0, 9.0, 12.0, 14.9] {
        assert_eq!(scene.answer(at, Answer::Absent), Request::Read);
    }
    assert!((scene.waits_until(14.9) - 15.0).abs() < 0.01);
    scene.answer(15.0, Answer::Absent);
    assert!(matches!(scene.next(15.0), Next::Ask(Request::Create(_))));
}

#[test]
fn leading_ends_at_the_deadline_counted_from_the_beginning_of_the_last_renewal() {
    let mut scene = Scene::new();
    scene.win(0.0);
    scene.write(2.0, 5.0); // took three seconds: leads until 12, not 15
    for at in [5.0, 8.0, 11.0] {
        let why = "cut off".to_owned();
        scene.answer(at, Answer::Failed(why));
    }
    assert!(scene.elector.leads(scene.at(11.99)));
    assert!((scene.waits_until(11.1) - 12.0).abs() < 0.01, "it wakes for the deadline");
    assert!(!scene.elector.leads(scene.at(12.0)));
    let Next::Lost(lost) = scene.next(12.0) else { panic!("still leads") };
    let text = lost.to_string();
    assert!(text.contains("not renewed for 10s") && text.ends_with("cut off"), "{text}");
}

#[test]
fn a_leader_that_stood_still_knows_it() {
    let mut scene = Scene::new();
    scene.win(0.0);
    let next = scene.next(60.0);
    assert!(expired(&next), "{next:?}");
}

#[test]
fn an_answer_that_comes_after_the_deadline_makes_no_leader() {
    let mut scene = Scene::new();
    scene.answer(0.0, Answer::Absent);
    scene.write(0.0, 10.0);
    assert!(!scene.elector.leads(scene.at(10.0)));
    scene.write(10.0, 10.1); // it is its holder, so it needs no patience
    assert!(scene.elector.leads(scene.at(10.1)));
}

#[test]
fn a_renewal_without_answer_may_have_succeeded() {
    let mut scene = Scene::new();
    scene.win(0.0);
    scene.answer(2.0, Answer::Failed("no answer".to_owned()));
    assert_eq!(scene.answer(5.0, of("me", 7)), Request::Read);
    let Request::Replace(renewed) = scene.write(5.0, 5.0) else { panic!("not renewed") };
    assert_eq!(renewed.spec.unwrap().lease_transitions, Some(0));
    assert_eq!(scene.elector.until(), Some(scene.at(15.0)));
}

#[test]
fn a_leader_looks_at_once_who_was_in_between() {
    for (found, lost) in [(of("me", 7), false), (of("other", 7), true), (Answer::Absent, false)] {
        let mut scene = Scene::new();
        scene.win(0.0);
        scene.answer(2.0, Answer::Conflict);
        assert_eq!(scene.answer(2.0, found.clone()), Request::Read);
        let next = scene.next(2.0);
        assert_eq!(next == Next::Lost(Lost::Taken { by: "other".to_owned() }), lost, "{found:?}: {next:?}");
        assert_eq!(scene.elector.leads(scene.at(2.0)), !lost);
    }
}

#[test]
fn conflicts_without_end_are_met_one_a_turn() {
    let mut scene = Scene::new();
    scene.win(0.0);
    scene.answer(2.0, Answer::Conflict);
    scene.answer(2.0, of("me", 7));
    scene.answer(2.0, Answer::Conflict);
    assert!(scene.waits_until(2.0) >= 4.0);
}

#[test]
fn who_was_slower_waits() {
    let mut scene = Scene::new();
    scene.answer(0.0, Answer::Absent);
    scene.answer(0.0, Answer::Conflict);
    assert!(scene.waits_until(0.0) >= 2.0);
    assert_eq!(scene.answer(3.0, of("other", 1)), Request::Read);
    assert!(!scene.elector.leads(scene.at(3.0)));
}

#[test]
fn failures_are_repeated_in_turn_and_forgotten_when_over() {
    let mut scene = Scene::new();
    scene.answer(0.0, Answer::Failed("forbidden".to_owned()));
    assert_eq!(scene.elector.failure(), Some("forbidden"));
    assert!(scene.waits_until(0.0) >= 2.0);
    scene.answer(3.0, of("other", 1));
    assert_eq!(scene.elector.failure(), None);
    assert_eq!(scene.elector.holder(), Some("other"));
}

#[test]
fn a_leader_that_leaves_gives_back() {
    let mut scene = Scene::new();
    scene.win(0.0);
    scene.elector.leave();
    assert!(!scene.elector.leads(scene.at(0.0)));
    let Request::Replace(released) = scene.write(1.0, 1.0) else { panic!("not released") };
    assert_eq!(record::holder(&released.spec.unwrap()), None);
    assert_eq!(scene.next(1.0), Next::Left);
}

#[test]
fn who_leaves_while_a_write_is_under_way_looks_first() {
    let mut scene = Scene::new();
    scene.answer(0.0, Answer::Absent);
    assert!(matches!(scene.next(0.0), Next::Ask(Request::Create(_))));
    scene.elector.leave();
    assert_eq!(scene.answer(0.5, of("me", 1)), Request::Read);
    scene.write(0.5, 0.5);
    assert_eq!(scene.next(0.5), Next::Left);
}

#[test]
fn who_holds_nothing_leaves_nothing() {
    let mut waiting = Scene::new();
    waiting.answer(0.0, of("other", 1));
    waiting.elector.leave();
    assert_eq!(waiting.next(0.0), Next::Left);

    let mut overtaken = Scene::new();
    overtaken.win(0.0);
    overtaken.elector.leave();
    overtaken.answer(1.0, Answer::Conflict);
    overtaken.answer(1.0, of("other", 1));
    assert_eq!(overtaken.next(1.0), Next::Left);

    let mut cut_off = Scene::new();
    cut_off.win(0.0);
    cut_off.elector.leave();
    cut_off.answer(1.0, Answer::Failed("cut off".to_owned()));
    assert_eq!(cut_off.next(1.0), Next::Left);
}

#[test]
fn a_call_never_outlasts_leading() {
    let start = Instant::now();
    for (until, left) in [(None, 5), (Some(9), 5), (Some(3), 3), (Some(0), 0)] {
        let until = until.map(|seconds| start + SECOND * seconds);
        assert_eq!(limit(SECOND * 5, until, start), SECOND * left);
    }
}
