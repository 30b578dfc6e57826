//! What follows from a manifest alone, made once for each generation of it.

use scrapefleet_api::{
    ScrapeFleet,
    manifest::{self, Problem},
};

use crate::{
    build::{MOST_MANIFEST, manifest_json},
    plan::{Images, Revisions},
};

/// Where what a cluster needs is to be seen, for who applies a manifest for one machine.
const EXAMPLE: &str = " (as in examples/kubernetes/showdown.yaml)";

/// What follows from a manifest alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prepared {
    /// The generation it was made of.
    pub generation: Option<i64>,
    /// What is wrong with it beyond what the API server checks.
    pub problems: Vec<Problem>,
    /// The images of its pods.
    pub images: Images,
    /// What its pods are made of.
    pub revisions: Revisions,
}

impl Prepared {
    /// Looks at a manifest; `default` are the images of a fleet that names none.
    #[must_use]
    pub fn of(fleet: &ScrapeFleet, default: &Images) -> Self {
        let images = Images::of(&fleet.spec, default);
        let mut problems = manifest::check(fleet);
        problems.extend(of_place(fleet));
        Self {
            generation: fleet.metadata.generation,
            problems,
            revisions: Revisions::of(&fleet.spec, &images),
            images,
        }
    }
}

/// What is wrong on Kubernetes only.
fn of_place(fleet: &ScrapeFleet) -> Vec<Problem> {
    let spec = &fleet.spec;
    let mut problems = Vec::new();
    match &spec.queue.rabbitmq {
        None => problems.push(Problem::new(
            "spec.queue",
            "`embedded`",
            format!("`rabbitmq` with `url` and `secretName`, since a file serves one machine only{EXAMPLE}"),
        )),
        // Bots and watchers have no other way to a user and a password.
        Some(queue) if queue.secret_name.is_none() => problems.push(Problem::new(
            "spec.queue.rabbitmq.secretName",
            "nothing",
            "the name of a Secret with `username` and `password`",
        )),
        Some(_) => {}
    }
    if spec.store.s3.is_none() {
        let allowed = format!("`s3` with `bucket`, since a folder serves one machine only{EXAMPLE}");
        problems.push(Problem::new("spec.store", "`directory`", allowed));
    }
    let size = manifest_json(fleet).len();
    if size > MOST_MANIFEST {
        let allowed = format!(
            "{MOST_MANIFEST} bytes, so that it fits into an annotation of its pods: shorten the recipe"
        );
        problems.push(Problem::new("spec", format!("{size} bytes"), allowed));
    }
    problems
}

#[cfg(test)]
mod tests {
    use scrapefleet_api::queue::EmbeddedQueue;

    use super::*;
    use crate::plan::fixture::fleet;

    fn images() -> Images {
        Images { program: "p:1".into(), chrome: "c:1".into() }
    }

    #[test]
    fn a_sound_manifest_has_no_problem() {
        assert_eq!(Prepared::of(&fleet(1, 2), &images()).problems, []);
    }

    #[test]
    fn what_cannot_work_here_is_said() {
        let mut fleet = fleet(1, 2);
        fleet.spec.queue.rabbitmq = None;
        fleet.spec.queue.embedded = Some(EmbeddedQueue::default());
        fleet.spec.store.key = "{nothing}/{id}".into();
        let said: Vec<_> = Prepared::of(&fleet, &images()).problems.iter().map(|p| p.path.clone()).collect();
        assert_eq!(said, ["spec.store.key", "spec.queue"]);
        let mut fleet = self::fleet(1, 2);
        fleet.spec.queue.rabbitmq.as_mut().unwrap().secret_name = None;
        assert_eq!(Prepared::of(&fleet, &images()).problems[0].path, "spec.queue.rabbitmq.secretName");
    }

    #[test]
    fn the_example_for_one_machine_is_told_what_a_cluster_needs_instead() {
        let problems = |text: &str| Prepared::of(&manifest::load(text, &[]).unwrap(), &images()).problems;
        let said = problems(include_str!("../../examples/showdown.yaml"));
        let said: Vec<_> = said.iter().map(ToString::to_string).collect();
        assert_eq!(said.len(), 2, "{said:?}");
        for (problem, section) in said.iter().zip(["spec.queue", "spec.store"]) {
            assert!(problem.starts_with(section), "{problem}");
            assert!(problem.ends_with("(as in examples/kubernetes/showdown.yaml)"), "{problem}");
        }
        assert!(said[0].contains("`rabbitmq` with `url` and `secretName`"), "{said:?}");
        assert!(said[1].contains("`s3` with `bucket`"), "{said:?}");
        assert_eq!(problems(include_str!("../../examples/kubernetes/showdown.yaml")), []);
    }

    #[test]
    fn only_what_pods_are_made_of_makes_another_revision() {
        let of = |change: &dyn Fn(&mut ScrapeFleet)| {
            let mut fleet = fleet(1, 2);
            change(&mut fleet);
            Prepared::of(&fleet, &images()).revisions
        };
        let as_it_is = of(&|_| ());
        for change in [
            &(|fleet: &mut ScrapeFleet| fleet.spec.bots.max = 9) as &dyn Fn(&mut ScrapeFleet),
            &|fleet| fleet.spec.bots.replicas = Some(2),
            &|fleet| fleet.spec.suspend = true,
            &|fleet| fleet.spec.politeness.held = 77,
            &|fleet| fleet.spec.watcher.standby = false,
            &|fleet| fleet.spec.rollout.max_surge = 3,
            &|fleet| fleet.spec.queue.rabbitmq.as_mut().unwrap().management_url = Some("http://x".into()),
        ] {
            assert_eq!(of(change), as_it_is);
        }
        let bots = of(&|fleet| fleet.spec.bots.holds_per_bot = 7);
        assert!(bots.bot != as_it_is.bot && bots.watcher == as_it_is.watcher);
        let part = of(&|fleet| fleet.spec.politeness.held = 6);
        assert!(part.bot != as_it_is.bot && part.watcher == as_it_is.watcher, "a bot holds 3 of 6");
        let watchers = of(&|fleet| fleet.spec.watcher.recent = 777);
        assert!(watchers.bot == as_it_is.bot && watchers.watcher != as_it_is.watcher);
        let all = of(&|fleet| fleet.spec.pods.image = Some("other".into()));
        assert!(all.bot != as_it_is.bot && all.watcher != as_it_is.watcher);
        // The watchdog of a pod reckons from it once how long a step may take.
        let slower = of(&|fleet| fleet.spec.politeness.actions_per_second = 0.5);
        assert!(slower.bot != as_it_is.bot && slower.watcher != as_it_is.watcher);
    }
}
