//! What a Lease object says, and what is written into it.

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::{
    api::coordination::v1::{Lease, LeaseSpec},
    apimachinery::pkg::apis::meta::v1::MicroTime,
};

use super::Timing;

/// The longest lease of another's that is believed, so that a number nobody meant does not keep everybody waiting
/// for years. Far above any lease in use.
const LONGEST: Duration = Duration::from_mins(10);

/// Who holds the lease; none after it was released.
pub(crate) fn holder(spec: &LeaseSpec) -> Option<&str> {
    spec.holder_identity.as_deref().filter(|holder| !holder.is_empty())
}

/// How long to wait, after this was seen, for the holder to renew: as long as it was told, and never less than is
/// usual here.
pub(crate) fn patience(spec: &LeaseSpec, timing: &Timing) -> Duration {
    let told = u64::try_from(spec.lease_duration_seconds.unwrap_or(0)).unwrap_or(0);
    Duration::from_secs(told).clamp(timing.lease, LONGEST.max(timing.lease))
}

/// The lease with `identity` as its holder, renewed now. What else the object has is left alone.
pub(crate) fn held_by(identity: &str, mut lease: Lease, timing: &Timing, wall: Timestamp) -> Lease {
    let was = lease.spec.take().unwrap_or_default();
    let renewed = later(wall, was.renew_time.as_ref());
    let stays = holder(&was) == Some(identity);
    // The first holder of a new lease is no transition.
    let transitions = match was.lease_transitions {
        Some(count) if stays => Some(count),
        Some(count) => Some(count.saturating_add(1)),
        None => Some(0),
    };
    lease.spec = Some(LeaseSpec {
        acquire_time: was.acquire_time.filter(|_| stays).or_else(|| Some(renewed.clone())),
        holder_identity: Some(identity.to_owned()),
        lease_duration_seconds: Some(timing.seconds()),
        lease_transitions: transitions,
        renew_time: Some(renewed),
        preferred_holder: was.preferred_holder,
        strategy: was.strategy,
    });
    lease
}

/// The lease without a holder, so that whoever waits takes it at once.
pub(crate) fn released(mut lease: Lease, wall: Timestamp) -> Lease {
    let was = lease.spec.take().unwrap_or_default();
    let now = later(wall, was.renew_time.as_ref());
    lease.spec = Some(LeaseSpec {
        holder_identity: Some(String::new()),
        lease_duration_seconds: Some(1),
        acquire_time: Some(now.clone()),
        renew_time: Some(now),
        ..was
    });
    lease
}

/// A time to write down: now, but never what was written down before. Others know a renewal by its being different,
/// so it must be even where the clock stands still or was set back.
fn later(wall: Timestamp, before: Option<&MicroTime>) -> MicroTime {
    let micros = |time: Timestamp| Timestamp::from_microsecond(time.as_microsecond()).unwrap_or(time);
    let now = micros(wall);
    let Some(before) = before.map(|time| micros(time.0)).filter(|before| *before >= now) else {
        return MicroTime(now);
    };
    MicroTime(before.checked_add(Duration::from_micros(1)).unwrap_or(now))
}

#[cfg(test)]
mod tests {
    use super::*;

    const WALL: Timestamp = Timestamp::UNIX_EPOCH;

    fn lease(spec: LeaseSpec) -> Lease {
        Lease { spec: Some(spec), ..Lease::default() }
    }

    fn spec(lease: Lease) -> LeaseSpec {
        lease.spec.unwrap()
    }

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(seconds).unwrap()
    }

    #[test]
    fn transitions_count_changes_of_holder() {
        let timing = Timing::default();
        let first = held_by("a", Lease::default(), &timing, at(1));
        let again = held_by("a", first.clone(), &timing, at(3));
        let freed = released(again.clone(), at(4));
        let other = held_by("b", freed.clone(), &timing, at(5));
        let seen: Vec<_> = [first, again, freed, other]
            .map(spec)
            .iter()
            .map(|s| {
                (
                    holder(s).map(str::to_owned),
                    s.lease_transitions.unwrap(),
                    s.acquire_time.clone().unwrap().0,
                )
            })
            .collect();
        let (a, b) = (Some("a".to_owned()), Some("b".to_owned()));
        assert_eq!(seen, [(a.clone(), 0, at(1)), (a, 0, at(1)), (None, 0, at(4)), (b, 1, at(5))]);
        let most = lease(LeaseSpec { lease_transitions: Some(i32::MAX), ..LeaseSpec::default() });
        assert_eq!(spec(held_by("a", most, &timing, WALL)).lease_transitions, Some(i32::MAX));
    }

    #[test]
    fn every_renewal_is_different_whatever_the_clock_says() {
        let timing = Timing::default();
        for wall in [at(100), at(50), WALL] {
            let mut held = held_by("a", Lease::default(), &timing, at(100));
            for _ in 0..3 {
                let next = held_by("a", held.clone(), &timing, wall);
                assert_ne!(next.spec, held.spec, "{wall}");
                held = next;
            }
        }
        let hostile =
            lease(LeaseSpec { renew_time: Some(MicroTime(Timestamp::MAX)), ..LeaseSpec::default() });
        assert_ne!(spec(held_by("a", hostile.clone(), &timing, WALL)).renew_time, spec(hostile).renew_time);
    }

    #[test]
    fn renewals_that_differ_still_do_as_they_are_written() {
        let timing = Timing::default();
        let one = held_by("a", Lease::default(), &timing, at(1) + Duration::from_nanos(300));
        let other = held_by("a", one.clone(), &timing, at(1) + Duration::from_nanos(600));
        let text = |lease: &Lease| serde_json::to_string(lease).unwrap();
        assert_ne!(text(&one), text(&other));
    }

    #[test]
    fn patience_is_never_short_and_never_endless() {
        let timing = Timing::default();
        for (told, waits) in [
            (None, 15),
            (Some(-1), 15),
            (Some(0), 15),
            (Some(5), 15),
            (Some(60), 60),
            (Some(i32::MAX), 600),
            (Some(i32::MIN), 15),
        ] {
            let spec = LeaseSpec { lease_duration_seconds: told, ..LeaseSpec::default() };
            assert_eq!(patience(&spec, &timing), Duration::from_secs(waits), "{told:?}");
        }
    }

    #[test]
    fn an_empty_holder_is_none() {
        for (identity, found) in [(None, None), (Some(""), None), (Some("a"), Some("a"))] {
            let spec = LeaseSpec { holder_identity: identity.map(str::to_owned), ..LeaseSpec::default() };
            assert_eq!(holder(&spec), found);
        }
    }
}
