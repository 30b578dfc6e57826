//! What a step waits for, told while it waits.

use std::time::Duration;

use scrapefleet_policy::Instant;

use crate::Step;

/// What a step that has not ended waits for. It is no failure: the step goes on as soon as that is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Waiting {
    /// The step.
    pub step: Step,
    /// The field of the recipe that says what is waited for: `list.item`.
    pub field: &'static str,
    /// What is looked for; bounded, control characters escaped.
    pub selector: String,
    /// The page it is looked for in; bounded, control characters escaped.
    pub url: String,
    /// Since when.
    pub since: Instant,
    /// How long the step may take in all.
    pub limit: Duration,
}

impl Waiting {
    /// Whether both wait for the same thing.
    #[must_use]
    pub fn is_for_the_same_as(&self, other: &Self) -> bool {
        (self.step, self.field, &self.selector) == (other.step, other.field, &other.selector)
    }
}
