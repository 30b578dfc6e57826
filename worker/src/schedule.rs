//! Which step of the browser is next.
//!
//! A browser does one thing at a time. Probing comes first when it is due, since it is what notices ends and
//! deaths; leaving frees places; opening comes last, and with it taking suspects out of the shared page.

use tokio::time::{Duration, Instant};

/// What the schedule depends on.
#[derive(Debug, Clone, Copy)]
pub struct Situation {
    /// When the next probe is due; none while nothing is open.
    pub probe_due: Option<Instant>,
    /// When the browser last proved that it lives.
    pub answered: Instant,
    /// Silence after which it is asked for a proof of life.
    pub quiet: Duration,
    /// Items that wait to be opened.
    pub waiting: usize,
    /// Items whose places wait to be freed.
    pub leaving: usize,
    /// Whether a suspect can be taken out of the shared page.
    pub isolate: bool,
    /// Whether opening is allowed (the breaker is closed, the page connected).
    pub may_open: bool,
    /// Whether a page should be loaded anew now that it is empty.
    pub recycle: bool,
}

/// The next step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NextStep {
    /// Look at all open items.
    Probe,
    /// Free the place of an item that is done.
    Leave,
    /// Load the page anew, or replace the browser, while nothing is open.
    Recycle,
    /// Open an item.
    Open,
    /// Open a suspect that is in the shared page alone.
    Isolate,
    /// Ask for a proof of life.
    RoundTrip,
    /// Nothing before this instant.
    Idle(Instant),
}

/// The next step in `situation`.
#[must_use]
pub fn next_step(situation: &Situation, now: Instant) -> NextStep {
    if situation.probe_due.is_some_and(|due| due <= now) {
        return NextStep::Probe;
    }
    if situation.leaving > 0 {
        return NextStep::Leave;
    }
    if situation.recycle {
        return NextStep::Recycle;
    }
    let proof_due = situation.answered + situation.quiet;
    if proof_due <= now {
        return NextStep::RoundTrip;
    }
    if situation.waiting > 0 && situation.may_open {
        return NextStep::Open;
    }
    if situation.isolate && situation.may_open {
        return NextStep::Isolate;
    }
    NextStep::Idle(situation.probe_due.map_or(proof_due, |due| due.min(proof_due)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn quiet(now: Instant) -> Situation {
        Situation {
            probe_due: None,
            answered: now,
            quiet: Duration::from_secs(1),
            waiting: 0,
            leaving: 0,
            isolate: false,
            may_open: true,
            recycle: false,
        }
    }

    #[tokio::test(start_paused = true)]
    async fn steps_come_in_order_of_urgency() {
        let now = Instant::now();
        let late = now + Duration::from_secs(1);
        let busy = Situation { probe_due: Some(now), waiting: 1, leaving: 1, recycle: true, ..quiet(now) };
        assert_eq!(next_step(&busy, now), NextStep::Probe);
        let probed = Situation { probe_due: Some(late + Duration::from_secs(3)), ..busy };
        assert_eq!(next_step(&probed, now), NextStep::Leave);
        let left = Situation { leaving: 0, ..probed };
        assert_eq!(next_step(&left, now), NextStep::Recycle);
        let recycled = Situation { recycle: false, ..left };
        assert_eq!(next_step(&recycled, late), NextStep::RoundTrip);
        assert_eq!(next_step(&recycled, now), NextStep::Open);
        let opened = Situation { waiting: 0, isolate: true, ..recycled };
        assert_eq!(next_step(&opened, now), NextStep::Isolate);
        let barred = Situation { may_open: false, isolate: true, ..recycled };
        assert_eq!(next_step(&barred, now), NextStep::Idle(late));
    }

    #[tokio::test(start_paused = true)]
    async fn an_idle_browser_is_asked_for_a_proof_of_life_in_time() {
        let now = Instant::now();
        let NextStep::Idle(until) = next_step(&quiet(now), now) else { panic!("not idle") };
        assert_eq!(until, now + Duration::from_secs(1));
        assert_eq!(next_step(&quiet(now), until), NextStep::RoundTrip);
    }

    #[tokio::test(start_paused = true)]
    async fn idling_ends_when_a_probe_is_due() {
        let now = Instant::now();
        let due = now + Duration::from_millis(300);
        let situation = Situation { probe_due: Some(due), ..quiet(now) };
        assert_eq!(next_step(&situation, now), NextStep::Idle(due));
    }
}
