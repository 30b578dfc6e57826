//! Whatever is in a file, loading it answers: with a fleet that loads again, or with lines that a person can read.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail the test")]

use fastrand::Rng;
use scrapefleet_api::manifest;
use serde_yaml_ng::Value;

const EXAMPLE: &str = include_str!("../../../examples/showdown.yaml");

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
fn scrambled(random: &mut Rng) -> String {
    let mut text = EXAMPLE.to_owned();
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
fn rearranged(random: &mut Rng) -> String {
    let mut value: Value = serde_yaml_ng::from_str(EXAMPLE).unwrap();
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
fn scrambled_text_is_answered() {
    let mut random = Rng::with_seed(2026);
    for _ in 0..200 {
        judge(&scrambled(&mut random));
    }
}

#[test]
fn rearranged_values_are_answered() {
    let mut random = Rng::with_seed(2027);
    for _ in 0..200 {
        judge(&rearranged(&mut random));
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
