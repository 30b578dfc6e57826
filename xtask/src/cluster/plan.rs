//! What to do to make a cluster what it should be: a function of what should run and what is known to run.

use super::component::Component;
use super::process::Record;

/// What to do with one component.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    /// It runs as it should.
    Keep,
    /// It does not run.
    Start,
    /// It runs, but not as it should: end it, then start it.
    Replace,
}

/// What to do with a component of which this is recorded.
pub(crate) fn step(component: &Component, record: Option<&Record>, alive: bool) -> Step {
    match record {
        Some(record) if alive && record.fingerprint == component.fingerprint() => Step::Keep,
        Some(_) if alive => Step::Replace,
        _ => Step::Start,
    }
}

#[cfg(test)]
mod tests {
    use super::super::component::Stage;
    use super::*;

    #[test]
    fn only_what_is_missing_or_out_of_date_is_touched() {
        let component = Component::of_control("etcd", Stage::Foundation, "/etcd".into());
        let current = Record { pid: 1, started: 1, fingerprint: component.fingerprint() };
        let outdated = Record { fingerprint: "other".to_owned(), ..current.clone() };
        let table = [
            (Some(&current), true, Step::Keep),
            (Some(&current), false, Step::Start),
            (Some(&outdated), true, Step::Replace),
            (Some(&outdated), false, Step::Start),
            (None, false, Step::Start),
        ];
        for (record, alive, expected) in table {
            assert_eq!(step(&component, record, alive), expected, "{record:?} alive={alive}");
        }
    }
}
