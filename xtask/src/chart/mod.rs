//! The `chart` task: is the Helm chart fit to be installed?
//!
//! What is judged is what Helm makes of the chart, not the templates: every toggle on and off, each rendered object as
//! a value. The judging parts are functions of values; only `helm` and this file touch anything.

mod definition;
mod documented;
mod example;
mod helm;
mod mistake;
mod objects;
mod pods;
mod rights;
mod secrets;
mod value_sets;

use std::{path::PathBuf, process::ExitCode};

use anyhow::{Context, Result};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use serde_json::Value;

use crate::{cluster, phase::Phases, project::Project};
use helm::Helm;
use mistake::Mistake;
use value_sets::{Toggle, ValueSet};

/// How many Helms run at once: each is short and keeps one core busy.
const AT_ONCE: usize = 4;

/// The chart, below the checkout.
const CHART: &str = "charts/scrapefleet";

/// The files of the chart and around it that are looked at as texts.
#[derive(Debug)]
struct Texts {
    values: String,
    schema: Value,
    rules: Vec<(String, String)>,
    page: String,
    definition: Value,
    /// The local manifest, the one for Kubernetes, and its Secrets.
    examples: [Vec<Value>; 3],
}

/// Checks everything, says all that is wrong.
pub(crate) async fn run(project: &Project) -> Result<ExitCode> {
    let mut phases = Phases::start("chart");
    let checkout = project.root.clone();
    let program = tokio::task::spawn_blocking(move || cluster::program(&checkout, "helm"));
    let program = phases.run("helm", program).await.context("the build of helm panicked")??;
    let helm = Helm::new(program, project.root.join(CHART))?;
    let texts = Texts::read(project)?;
    let defaults: Value = serde_yaml_ng::from_str(&texts.values).context("read values.yaml")?;
    let sets = value_sets::read(&project.root.join(CHART).join("ci"))?;

    let mut problems = texts.problems(&defaults);
    problems.extend(stale(project)?);
    problems.extend(phases.run("lint", lint(&helm, &sets)).await?);
    problems.extend(phases.run("render", render(&helm, &sets, &defaults, &texts.definition)).await?);
    problems.extend(phases.run("refuse", refuse(&helm, &mistake::all(&defaults))).await?);
    Ok(conclude(&problems, &phases))
}

fn conclude(problems: &[String], phases: &Phases) -> ExitCode {
    for problem in problems {
        eprintln!("chart: {problem}");
    }
    if problems.is_empty() {
        eprintln!("The chart is well, in {}.", phases.summary());
        return ExitCode::SUCCESS;
    }
    eprintln!("The chart has {} problems, each named above. It took {}.", problems.len(), phases.summary());
    ExitCode::FAILURE
}

impl Texts {
    fn read(project: &Project) -> Result<Self> {
        let text = |path: &str| {
            let path = project.root.join(path);
            std::fs::read_to_string(&path).with_context(|| format!("read {}", path.display()))
        };
        let chart = |path: &str| text(&format!("{CHART}/{path}"));
        let example = |path: &str| {
            helm::documents(&text(&format!("examples/{path}"))?)
                .with_context(|| format!("read examples/{path}"))
        };
        let rules = ["templates/_rules.tpl", "templates/role-lease.yaml", "templates/role-people.yaml"];
        Ok(Self {
            values: chart("values.yaml")?,
            schema: serde_json::from_str(&chart("values.schema.json")?).context("read values.schema.json")?,
            rules: rules
                .into_iter()
                .map(|path| Ok((path.to_owned(), chart(path)?)))
                .collect::<Result<_>>()?,
            page: text("docs/kubernetes.md")?,
            definition: serde_yaml_ng::from_str(&text(definition::ORIGINAL)?)
                .context("read the definition")?,
            examples: [
                example("showdown.yaml")?,
                example("kubernetes/showdown.yaml")?,
                example("kubernetes/secrets.yaml")?,
            ],
        })
    }

    fn problems(&self, defaults: &Value) -> Vec<String> {
        let mut problems = documented::values(&self.values, defaults);
        problems.extend(documented::page(&self.values, defaults, &self.page));
        problems.extend(documented::schema(&self.schema, &self.values, defaults));
        problems.extend(self.rules.iter().flat_map(|(path, text)| documented::rules(path, text)));
        let [local, kubernetes, secrets] = &self.examples;
        match (&local[..], &kubernetes[..]) {
            ([local], [kubernetes]) => problems.extend(example::problems(local, kubernetes, secrets)),
            _ => problems.push("examples: a manifest is one document".to_owned()),
        }
        problems
    }
}

/// The original of the definition and its copy in the chart.
fn definitions(project: &Project) -> (PathBuf, PathBuf) {
    (project.root.join(definition::ORIGINAL), project.root.join(CHART).join(definition::COPY))
}

/// Makes the chart's copy of the definition anew.
pub(crate) fn copy_definition(project: &Project) -> Result<()> {
    let (original, copy) = definitions(project);
    let text = std::fs::read(&original).with_context(|| format!("read {}", original.display()))?;
    std::fs::write(&copy, text).with_context(|| format!("write {}", copy.display()))
}

/// Says so when the chart's copy of the definition is not the original.
fn stale(project: &Project) -> Result<Option<String>> {
    let (original, copy) = definitions(project);
    let read = |path: &PathBuf| std::fs::read(path).with_context(|| format!("read {}", path.display()));
    let same = read(&original)? == read(&copy)?;
    Ok((!same).then(|| {
        format!("{CHART}/{} is not {}: run `cargo xtask crds`", definition::COPY, definition::ORIGINAL)
    }))
}

async fn lint(helm: &Helm, sets: &[ValueSet]) -> Result<Vec<String>> {
    let lints = sets.iter().map(|set| async move {
        let refusal = helm.lint(&set.values).await?;
        anyhow::Ok(refusal.map(|said| format!("helm lint with {}: {said}", set.name)))
    });
    let said: Vec<_> = stream::iter(lints).buffered(AT_ONCE).try_collect().await?;
    Ok(said.into_iter().flatten().collect())
}

/// Renders every set of values as it is, and the widest two with every toggle on and off.
async fn render(helm: &Helm, sets: &[ValueSet], defaults: &Value, definition: &Value) -> Result<Vec<String>> {
    let mut problems = Vec::new();
    for set in sets {
        problems.extend(judged(&set.name, helm.render(&set.values).await?, definition).1);
    }
    for toggle in value_sets::toggles(defaults) {
        let cases = sets.iter().filter(|set| set.takes_toggles()).map(|set| both(helm, set, &toggle));
        let cases: Vec<_> = stream::iter(cases).buffered(AT_ONCE).try_collect().await?;
        let mut changes = false;
        for (name, on, off) in cases {
            let (on, wrong_on) = judged(&format!("{name} and {toggle} on"), on, definition);
            let (off, wrong_off) = judged(&format!("{name} and {toggle} off"), off, definition);
            changes |= on != off;
            problems.extend(wrong_on.into_iter().chain(wrong_off));
        }
        if !changes {
            problems.push(format!("{toggle}: on and off render the same; nothing reads it"));
        }
    }
    Ok(problems)
}

/// What Helm made of a chart, or why it made nothing.
type Rendered = Result<Vec<Value>, String>;

async fn both(helm: &Helm, set: &ValueSet, toggle: &Toggle) -> Result<(String, Rendered, Rendered)> {
    let on = helm.render(&toggle.set(&set.values, true)).await?;
    let off = helm.render(&toggle.set(&set.values, false)).await?;
    Ok((set.name.clone(), on, off))
}

/// The objects, and all that is wrong with them; each problem says with which values it appeared.
fn judged(case: &str, rendered: Rendered, definition: &Value) -> (Vec<Value>, Vec<String>) {
    let (objects, problems) = match rendered {
        Ok(objects) => {
            let mut problems = objects::problems(&objects);
            problems.extend(pods::problems(&objects));
            problems.extend(rights::problems(&objects));
            problems.extend(secrets::problems(&objects));
            problems.extend(definition::problems(&objects, definition));
            (objects, problems)
        }
        Err(said) => (Vec::new(), vec![format!("cannot be rendered: {said}")]),
    };
    (objects, problems.into_iter().map(|problem| format!("with {case}: {problem}")).collect())
}

/// Gives Helm every mistake; each must be refused with the place of the mistake.
async fn refuse(helm: &Helm, mistakes: &[Mistake]) -> Result<Vec<String>> {
    let attempts = mistakes.iter().map(|mistake| async move {
        let rendered = helm.render(&mistake.values).await?;
        anyhow::Ok(mistake.complaint(&rendered))
    });
    let said: Vec<_> = stream::iter(attempts).buffered(AT_ONCE).try_collect().await?;
    Ok(said.into_iter().flatten().collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_copy_of_the_definition_in_the_chart_is_fresh() {
        assert_eq!(stale(&Project::find().unwrap()).unwrap(), None);
    }

    #[test]
    fn a_copy_that_differs_is_stale_until_it_is_made_anew() {
        let folder = tempfile::tempdir().unwrap();
        let project =
            Project { root: folder.path().to_owned(), executable: "/x".into(), cargo: "cargo".into() };
        let (original, copy) = definitions(&project);
        for (file, text) in [(&original, "new"), (&copy, "old")] {
            std::fs::create_dir_all(file.parent().unwrap()).unwrap();
            std::fs::write(file, text).unwrap();
        }
        assert!(stale(&project).unwrap().unwrap().contains("cargo xtask crds"));
        copy_definition(&project).unwrap();
        assert_eq!(stale(&project).unwrap(), None);
    }

    #[test]
    fn every_value_and_every_rule_is_documented_and_the_examples_are_alike() {
        let texts = Texts::read(&Project::find().unwrap()).unwrap();
        let defaults = serde_yaml_ng::from_str(&texts.values).unwrap();
        assert_eq!(texts.problems(&defaults), Vec::<String>::new());
    }

    #[test]
    fn what_cannot_be_rendered_is_a_problem_of_its_values() {
        let (objects, problems) = judged("a.yaml", Err("no".into()), &Value::Null);
        assert!(objects.is_empty());
        assert_eq!(problems, ["with a.yaml: cannot be rendered: no"]);
    }
}
