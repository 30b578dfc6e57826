//! Whatever is in a file, loading it answers: with a fleet that loads again, or with lines that a person can read.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail the test")]

use fastrand::Rng;
use scrapefleet_api::manifest;
use serde_yaml_ng::Value;

const EXAMPLE: &str = include_str!("../../../examples/showdown.yaml");

/// A fleet with a recipe of its own, which uses every kind of field.
const OWN_RECIPE: &str = r"
apiVersion: scrapefleet.io/v1alpha1
kind: ScrapeFleet
metadata: { name: own, labels: { team: a } }
spec:
  site:
    url: https://site.example/base/
    recipe:
      mode: inPage
      initScript: return
      list:
        url: list
        item: a.entry
        idPattern: '^/(x)?(?<id>item-(?<type>[a-z]+)-[0-9]+)$'
        window: 50
        refresh: { click: button, answered: return 1 }
        brokenWhen: [{ selector: .modal, text: offline }]
      page: { url: /, readyWhen: { selector: body }, reconnectsWithin: 7s }
      item:
        url: /{type}/{id}
        enter: open(arguments[0])
        leave: close(arguments[0])
        root: '#room-{id}'
        doneWhen: { script: return true }
        goneWhen: [{ selector: .gone }]
        take: [{ attribute: { selector: a, name: href } }, { download: a.get }]
        completeWhen: ['(?m)^end$']
      throttledWhen: { script: return false }
  bots: { resources: { chrome: { requests: { memory: 1Gi }, limits: { memory: 2Gi } } } }
  lanes: [{ name: a, match: ^item-b }, { name: b }]
  queue: { embedded: {} }
  store: { directory: {}, key: '{type}/{shard}/{id}' }
";

/// What files and pages have held that broke programs.
const NASTY: &[&str] = &[
    "",
    "null",
    "~",
    "-1",
    "0",
    "99999999999999999999999999",
    "1e999",
    ".nan",
    "true",
    "'",
    "\"",
    "{",
    "}",
    "[",
    "]",
    "*a",
    "&a",
    "!x",
    "|",
    ">",
    "%",
    "@",
    "`",
    "\u{0}",
    "\u{1b}[2J",
    "\u{202e}",
    "\u{feff}",
    "é",
    "𝒳",
    "\t",
    "\n",
    "---",
    "...",
    "<<: {}",
    "a: b",
    "- ",
    "(",
    "(?<id>",
    "{id}",
    "../..",
    "99999h99999h",
    "9999999999999999999h",
    "0x10",
    "0o7",
    "1_000",
    "2026-01-01",
    "http://[",
    "http://u:p@h/",
    "javascript:1",
];

fn judge(text: &str) {
    match manifest::load_bytes(text.as_bytes(), &[]) {
        Ok(fleet) => {
            let written = serde_yaml_ng::to_string(&fleet).unwrap();
            let again = manifest::load(&written, &[]);
            assert_eq!(again.as_ref().ok(), Some(&fleet), "{again:?}\n{written}");
        }
        Err(problems) => {
            assert!(!problems.0.is_empty() && problems.0.len() <= 51, "{} problems", problems.0.len());
            for line in problems.to_string().lines() {
                assert!(line.contains(": found ") && line.contains(", allowed: "), "{line:?}");
                assert!(line.len() < 2000 && !line.contains(char::is_control), "{line:?}");
            }
        }
    }
}

/// Text with a few places overwritten, cut, doubled or filled with something nasty.
fn scrambled(base: &str, random: &mut Rng) -> String {
    let mut text = base.to_owned();
    for _ in 0..random.usize(1..4) {
        let mut place = || {
            let at = random.usize(..=text.len());
            (0..=at).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0)
        };
        let (a, b) = (place(), place());
        let (from, to) = (a.min(b), a.max(b).min(a.min(b) + 40));
        let to = (to..=text.len()).find(|at| text.is_char_boundary(*at)).unwrap_or(text.len());
        let nasty = *random.choice(NASTY).unwrap();
        let with = if random.bool() { nasty.to_owned() } else { text[from..to].repeat(random.usize(0..3)) };
        text.replace_range(from..to, &with);
    }
    text
}

/// The values of the example, with some of them replaced, removed or moved.
fn rearranged(base: &str, random: &mut Rng) -> String {
    let mut value: Value = serde_yaml_ng::from_str(base).unwrap();
    for _ in 0..random.usize(1..4) {
        let donor = pick(&mut value.clone(), random).clone();
        let place = pick(&mut value, random);
        *place = match random.usize(..4) {
            0 => donor,
            1 => Value::Null,
            2 => Value::Sequence(vec![place.clone(), donor]),
            _ => serde_yaml_ng::from_str(random.choice(NASTY).unwrap())
                .unwrap_or(Value::String("x".repeat(3000))),
        };
    }
    serde_yaml_ng::to_string(&value).unwrap()
}

/// A value somewhere inside.
fn pick<'v>(value: &'v mut Value, random: &mut Rng) -> &'v mut Value {
    let inside = match value {
        Value::Mapping(fields) => fields.len(),
        Value::Sequence(items) => items.len(),
        _ => 0,
    };
    if inside == 0 || random.u8(..4) == 0 {
        return value;
    }
    let at = random.usize(..inside);
    match value {
        Value::Mapping(fields) => pick(fields.iter_mut().nth(at).unwrap().1, random),
        Value::Sequence(items) => pick(&mut items[at], random),
        _ => unreachable!("scalars hold nothing"),
    }
}

#[test]
fn what_is_mutated_is_right_before() {
    for base in [EXAMPLE, OWN_RECIPE] {
        manifest::load(base, &[]).unwrap_or_else(|problems| panic!("{problems}"));
    }
}

#[test]
fn scrambled_text_is_answered() {
    let mut random = Rng::with_seed(2026);
    for _ in 0..200 {
        judge(&scrambled(EXAMPLE, &mut random));
        judge(&scrambled(OWN_RECIPE, &mut random));
    }
}

#[test]
fn rearranged_values_are_answered() {
    let mut random = Rng::with_seed(2027);
    for _ in 0..200 {
        judge(&rearranged(EXAMPLE, &mut random));
        judge(&rearranged(OWN_RECIPE, &mut random));
    }
}

#[test]
fn nasty_overrides_are_answered() {
    let mut random = Rng::with_seed(2028);
    let paths = [
        "spec.bots.max",
        "spec.site.url",
        "spec.lanes[0].match",
        "spec.store",
        "metadata.name",
        "spec",
        "x",
        "a..b[9",
    ];
    for _ in 0..100 {
        let text = format!("{}={}", random.choice(paths).unwrap(), random.choice(NASTY).unwrap());
        if let Err(problems) = manifest::load(EXAMPLE, std::slice::from_ref(&text)) {
            assert!(!problems.0.is_empty(), "{text}");
            assert!(!problems.to_string().contains(|c: char| c.is_control() && c != '\n'), "{text}");
        }
    }
}
