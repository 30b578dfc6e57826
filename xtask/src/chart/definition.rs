//! The definition of ScrapeFleet that is rendered must be the one that the types make.

use serde_json::Value;

use super::objects::name;

/// Where the definition is generated to, below the checkout.
pub(super) const ORIGINAL: &str = "crds/scrapefleets.yaml";

/// Its copy, below the chart. Not in a folder `crds`: what is there Helm installs once and never upgrades. Not a link:
/// it would lead out of a packaged chart.
pub(super) const COPY: &str = "files/scrapefleets.yaml";

/// What is wrong with the definitions among the objects.
pub(super) fn problems(objects: &[Value], original: &Value) -> Vec<String> {
    let definitions = objects.iter().filter(|object| object["kind"] == "CustomResourceDefinition");
    definitions.flat_map(|rendered| against(rendered, original)).collect()
}

fn against(rendered: &Value, original: &Value) -> Vec<String> {
    let mut problems = Vec::new();
    let annotations = &rendered["metadata"]["annotations"];
    if annotations["helm.sh/resource-policy"] != "keep" {
        problems.push(format!("{}: an uninstall would delete it, and with it every fleet", name(rendered)));
    }
    if rendered["metadata"]["name"] != original["metadata"]["name"]
        || rendered["apiVersion"] != original["apiVersion"]
        || !same(&rendered["spec"], &original["spec"])
    {
        problems.push(format!("{}: it is not what {ORIGINAL} says", name(rendered)));
    }
    problems
}

/// Equality of values in which `1` and `1.0` are the same number: Helm writes one for the other.
fn same(left: &Value, right: &Value) -> bool {
    match (left, right) {
        (Value::Number(left), Value::Number(right)) => left == right || left.as_f64() == right.as_f64(),
        (Value::Array(left), Value::Array(right)) => {
            left.len() == right.len() && left.iter().zip(right).all(|(left, right)| same(left, right))
        }
        (Value::Object(left), Value::Object(right)) => {
            left.len() == right.len()
                && left.iter().all(|(key, value)| right.get(key).is_some_and(|other| same(value, other)))
        }
        _ => left == right,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn definition(keep: &str, maximum: &Value) -> Value {
        json!({
            "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
            "metadata": {"name": "x", "annotations": {"helm.sh/resource-policy": keep}},
            "spec": {"versions": [{"maximum": maximum, "name": "v1"}]},
        })
    }

    #[test]
    fn the_same_definition_is_fine_however_a_number_is_written() {
        let original = definition("", &json!(1.0));
        assert_eq!(problems(&[definition("keep", &json!(1))], &original), Vec::<String>::new());
    }

    #[test]
    fn another_definition_and_one_that_is_not_kept_are_problems() {
        let original = definition("", &json!(1));
        let found = problems(&[definition("keep", &json!(2)), definition("no", &json!(1))], &original);
        assert_eq!(found.len(), 2, "{found:?}");
        assert!(found[0].contains(ORIGINAL) && found[1].contains("every fleet"), "{found:?}");
    }
}
