//! The custom resource's schema and rules on a real API server: what `scrapefleet` refuses as a file is refused there as well,
//! for the same fields.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, Result, bail, ensure};
use kube::Error;
use scrapefleet_e2e::{Fleet, Space, in_namespace, operator};
use scrapefleet_policy::within;
use serde_json::Value;

/// How long the API server may take for an answer.
const CALL_WITHIN: Duration = Duration::from_secs(30);

/// How soon the operator says what is wrong.
const TOLD_WITHIN: Duration = Duration::from_secs(10);

/// What only the operator can tell, which reads regular expressions, URLs and key templates as the programs do: it says so in
/// the fleet's conditions.
const LEFT_TO_THE_OPERATOR: [&str; 6] = [
    "key-dots",
    "key-empty-part",
    "key-not-closed",
    "key-unknown-group",
    "lane-match-not-a-regex",
    "url-bad-port",
];

/// What is two fleets to kubectl, each created by itself, and to the API server the first of them.
const OF_SEVERAL_DOCUMENTS: &str = "two-documents";

/// What the API server names in other words than the path: for a rule on a name it has no path, and what the command line shows
/// of a key is cut and escaped.
const NAMED_OTHERWISE: [(&str, &str); 2] =
    [("long-name", "a name of 1 to 63 lower-case letters"), ("hostile-key", "[2Jyyyyyyyy")];

/// What the API server says of a manifest that nobody is to keep; none: nothing against it.
async fn answer(space: &Space, manifest: &[u8]) -> Result<Option<String>> {
    // As `kubectl create` does; by server-side apply an unknown field is an error of the server itself.
    let uri = format!(
        "/apis/scrapefleet.io/v1alpha1/namespaces/{}/scrapefleets?fieldManager=e2e&dryRun=All&fieldValidation=Strict",
        space.namespace
    );
    let request = http::Request::post(uri).header("content-type", "application/yaml");
    let request = request.body(manifest.to_vec())?;
    match within(CALL_WITHIN, "create a fleet", space.client.request::<Value>(request)).await? {
        Ok(_) => Ok(None),
        Err(Error::Api(status)) if (400..500).contains(&status.code) => {
            let causes = status.details.iter().flat_map(|details| &details.causes);
            let fields: Vec<_> = causes.map(|cause| cause.field.clone()).collect();
            Ok(Some(format!("{} {}", status.message, fields.join(" "))))
        }
        Err(error) => Err(error.into()),
    }
}

/// The folder of wrong manifests, each with what the command line says of it.
fn manifests() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../crates/api/tests/manifests")
}

/// The manifests in a folder, sorted.
fn files(folder: &Path) -> Result<Vec<PathBuf>> {
    let entries = std::fs::read_dir(folder).with_context(|| format!("list {}", folder.display()))?;
    let mut files = entries.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>>>()?;
    files.retain(|file| file.extension().is_some_and(|extension| extension == "yaml"));
    files.sort();
    Ok(files)
}

/// The fields that the command line names: each line is `FIELD: found …`. None where the document as a whole cannot be read.
fn named_by_us(manifest: &Path) -> Result<BTreeSet<String>> {
    let said = std::fs::read_to_string(manifest.with_extension("txt"))?;
    let field = |line: &str| line.split_once(": found ").map(|(field, _)| field.to_owned());
    let is_path = |field: &String| matches!(field.split('.').next(), Some("spec" | "metadata"));
    Ok(said.lines().filter_map(field).filter(is_path).collect())
}

/// Whether an answer to a manifest names what is wrong with it.
fn names_what_is_wrong(answer: &str, name: &str, fields: &BTreeSet<String>) -> bool {
    let otherwise = NAMED_OTHERWISE.into_iter().find(|(known, _)| *known == name);
    otherwise
        .map_or_else(|| fields.is_empty() || names_one(answer, fields), |(_, words)| answer.contains(words))
}

/// Whether a text names one of these fields, by its whole path.
fn names_one(text: &str, fields: &BTreeSet<String>) -> bool {
    let goes_on = |next: char| next.is_alphanumeric() || matches!(next, '.' | '[' | '_' | '-');
    let began = |last: char| last.is_alphanumeric() || matches!(last, '.' | ']' | '_' | '-');
    fields.iter().any(|field| {
        let mut found = text.match_indices(field.as_str());
        found.any(|(at, _)| !text[..at].ends_with(began) && !text[at + field.len()..].starts_with(goes_on))
    })
}

#[test]
fn only_its_whole_path_names_a_field() {
    let fields = BTreeSet::from(["spec.bots.max".to_owned(), "spec.lanes[0]".to_owned()]);
    for (text, named) in [
        (r#""demo" is invalid: [spec.bots.max: Invalid value: 3: too few"#, true),
        (r#"unknown field "spec.lanes[0]""#, true),
        ("the largest number, max, is wrong", false),
        ("spec.bots.maximum: Invalid value", false),
        ("old.spec.bots.max: Invalid value", false),
        ("spec.lanes[0].name: Required value", false),
        ("spec.bots: Invalid value", false),
    ] {
        assert_eq!(names_one(text, &fields), named, "{text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_as_a_file_is_wrong_on_the_api_server() -> Result<()> {
    in_namespace("definition", async |space| {
        operator::install().await?;
        let (mut accepted, mut unnamed, mut refused) = (BTreeSet::new(), Vec::new(), 0);
        for file in files(&manifests())? {
            let name = file.file_stem().and_then(|name| name.to_str()).context("a file without a name")?;
            let manifest = std::fs::read(&file)?;
            // Recipes and overrides are of the command line only.
            let of_the_command_line = name.starts_with("recipe-") || name == OF_SEVERAL_DOCUMENTS;
            if of_the_command_line || String::from_utf8_lossy(&manifest).contains("# set: ") {
                continue;
            }
            match answer(&space, &manifest).await.with_context(|| name.to_owned())? {
                None => _ = accepted.insert(name.to_owned()),
                Some(said) if names_what_is_wrong(&said, name, &named_by_us(&file)?) => refused += 1,
                Some(said) => unnamed.push(format!("{name}: {said}")),
            }
        }
        println!("refused: {refused}; left to the operator: {accepted:?}");
        ensure!(unnamed.is_empty(), "other fields are named:\n{}", unnamed.join("\n"));
        let known = LEFT_TO_THE_OPERATOR.map(str::to_owned).into_iter().collect::<BTreeSet<_>>();
        ensure!(accepted == known, "accepted: {accepted:?}; known to be: {known:?}");
        ensure!(refused >= 30, "only {refused} wrong manifests");
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_schema_cannot_tell_the_operator_does() -> Result<()> {
    in_namespace("left", async |space| {
        operator::install().await?;
        for name in LEFT_TO_THE_OPERATOR {
            let file = manifests().join(name).with_extension("yaml");
            let manifest: Value = serde_yaml_ng::from_slice(&std::fs::read(&file)?)?;
            let fleet = Fleet::apply(&space, name, &manifest["spec"]).await?;
            let message = fleet.condition("Ready", "InvalidSpec", TOLD_WITHIN).await?;
            ensure!(names_one(&message, &named_by_us(&file)?), "{name}: another field is named: {message}");
        }
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_examples_are_accepted() -> Result<()> {
    in_namespace("examples", async |space| {
        operator::install().await?;
        let examples = files(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples"))?;
        ensure!(!examples.is_empty(), "there are no examples");
        for file in examples {
            if let Some(said) = answer(&space, &std::fs::read(&file)?).await? {
                bail!("{}: {said}", file.display());
            }
        }
        Ok(())
    })
    .await
}
