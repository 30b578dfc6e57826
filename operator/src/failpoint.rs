//! Where tests end the operator in the middle of a look, to see another one go on from there.
//!
//! A fleet names who is to die and at which step: `scrapefleet.io/die-at: POD:STEP`. By its pod's name only one operator
//! dies of it, and the one that takes over lives. There is nothing of this in a release: only a debug build, such as the
//! images of the tests have, heeds the annotation.

use scrapefleet_api::ScrapeFleet;

use crate::plan::Action;

/// The annotation of a fleet that says which operator is to die, and where.
const DIE_AT: &str = "scrapefleet.io/die-at";

/// How a process ends that was aborted.
const ABORTED: i32 = 134;

/// A step of a look.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Step<'a> {
    /// It is known what to do with pods, and nothing is done.
    Planned,
    /// Just before something is done.
    Before(&'a Action),
    /// Just after it was done.
    After(&'a Action),
    /// Something was done, and the status is not written.
    BeforeStatus,
    /// The status is written.
    AfterStatus,
}

impl Step<'_> {
    /// Its word in the annotation.
    fn word(self) -> String {
        match self {
            Self::Planned => "planned".to_owned(),
            Self::Before(action) => format!("before-{}", word(action)),
            Self::After(action) => format!("after-{}", word(action)),
            Self::BeforeStatus => "before-status".to_owned(),
            Self::AfterStatus => "after-status".to_owned(),
        }
    }
}

const fn word(action: &Action) -> &'static str {
    match action {
        Action::AddFinalizer => "add-finalizer",
        Action::Deal { .. } => "deal",
        Action::Create { .. } => "create",
        Action::Delete { .. } => "delete",
        Action::RemoveQueues => "remove-queues",
        Action::RemoveFinalizer => "remove-finalizer",
    }
}

/// The step of a look at which this operator is to die; mostly none.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Failpoint<'a>(Option<&'a str>);

impl<'a> Failpoint<'a> {
    /// What `fleet` says to the operator in `pod`; nothing in a release.
    #[must_use]
    pub fn of(fleet: &'a ScrapeFleet, pod: &str) -> Self {
        if cfg!(debug_assertions) { Self(step_for(fleet, pod)) } else { Self(None) }
    }

    /// Ends this process, as if it had been killed, if it is to die here.
    pub fn pass(self, step: Step) {
        // Asked once more, so that a release does not even have the words.
        if cfg!(debug_assertions) && self.is_at(step) {
            tracing::error!(?step, "dying here, as {DIE_AT} says");
            std::process::exit(ABORTED);
        }
    }

    fn is_at(self, step: Step) -> bool {
        self.0.is_some_and(|wanted| wanted == step.word())
    }
}

/// The step that `fleet` names for the operator in `pod`.
fn step_for<'a>(fleet: &'a ScrapeFleet, pod: &str) -> Option<&'a str> {
    let (of, step) = fleet.metadata.annotations.as_ref()?.get(DIE_AT)?.split_once(':')?;
    (of == pod).then_some(step)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::{Role, WhyCreate, WhyDelete, fixture::fleet};

    fn saying(text: Option<&str>) -> ScrapeFleet {
        let mut fleet = fleet(1, 1);
        fleet.metadata.annotations = text.map(|text| [(DIE_AT.to_owned(), text.to_owned())].into());
        fleet
    }

    #[test]
    fn only_the_operator_that_is_named_dies_and_only_at_the_step_that_is_named() {
        let delete =
            Action::Delete { pod: "p".into(), uid: "u".into(), role: Role::Bot, why: WhyDelete::Replaced };
        let create = Action::Create {
            role: Role::Bot,
            slot: 0,
            failures: 0,
            probes_site: false,
            why: WhyCreate::Needed,
        };
        let steps = [
            Step::Planned,
            Step::Before(&create),
            Step::After(&create),
            Step::Before(&delete),
            Step::After(&delete),
            Step::BeforeStatus,
            Step::AfterStatus,
        ];
        let words = steps.map(Step::word);
        assert_eq!(words[..4], ["planned", "before-create", "after-create", "before-delete"]);
        for (place, word) in words.iter().enumerate() {
            let fleet = saying(Some(&format!("operator-1:{word}")));
            let dies = steps.map(|step| Failpoint::of(&fleet, "operator-1").is_at(step));
            assert!(dies.iter().enumerate().all(|(at, dies)| *dies == (at == place)), "{word}: {dies:?}");
            assert_eq!(Failpoint::of(&fleet, "operator-2"), Failpoint::default());
        }
        for text in [None, Some("operator-1"), Some(""), Some(":planned"), Some("operator-1:")] {
            let fleet = saying(text);
            assert!(
                steps.into_iter().all(|step| !Failpoint::of(&fleet, "operator-1").is_at(step)),
                "{text:?}"
            );
        }
    }
}
