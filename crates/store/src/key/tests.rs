use std::collections::{BTreeMap, HashMap};

use proptest::{collection::vec, prelude::*};

use super::*;

fn fleet() -> FleetName {
    FleetName::new("showdown").unwrap()
}

fn id(text: &str) -> ItemId {
    ItemId::new(text).unwrap()
}

fn no_groups() -> BTreeMap<String, String> {
    BTreeMap::new()
}

#[test]
fn takes_ordinary_keys() {
    for text in ["a", "showdown/battle-gen9ou-1", "_gone/x/y", "a%2Fb/=", "a..b", "A/b/C.0_-"] {
        assert_eq!(Key::new(text).unwrap().as_str(), text);
    }
    assert!(Key::new("x".repeat(255)).is_ok());
    assert!(Key::new(vec!["x".repeat(249); 4].join("/")).is_ok());
}

#[test]
fn rejects_hostile_keys_and_says_why() {
    let long = "x".repeat(256);
    let longer = vec!["x".repeat(250); 4].join("/") + "x";
    let table = [
        ("", "must not be empty"),
        ("/", "must not be empty"),
        ("/etc/passwd", "must not be empty"),
        ("a//b", "must not be empty"),
        ("a/", "must not be empty"),
        (".", "starts with a dot"),
        ("..", "starts with a dot"),
        ("a/../b", "starts with a dot"),
        (".metadata/a", "starts with a dot"),
        ("a\\b", "may use only"),
        ("a b", "may use only"),
        ("a\0b", "may use only"),
        ("a\nb", "may use only"),
        ("ä", "may use only"),
        ("a/b?c", "may use only"),
        ("a:b", "may use only"),
        (&long, "256 bytes, at most 255"),
        (&longer, "1004 bytes, at most 1000"),
    ];
    for (text, why) in table {
        let error = Key::new(text).expect_err(text).to_string();
        assert!(error.contains(why), "{text:?}: {error}");
        assert!(error.len() < 600 && !error.contains('\0') && !error.contains('\n'), "{error:?}");
    }
}

#[test]
fn a_key_survives_json_and_a_wrong_one_does_not_pass() {
    let key = Key::new("a/b").unwrap();
    assert_eq!(serde_json::from_str::<Key>(&serde_json::to_string(&key).unwrap()).unwrap(), key);
    assert!(serde_json::from_str::<Key>("\"../a\"").is_err());
}

#[test]
fn the_products_own_records_are_apart_and_are_keys() {
    let at: Timestamp = "2026-11-21T19:59:59.5Z".parse().unwrap();
    let hostile = id(&format!("../{}", "x".repeat(150)));
    let table = [
        (Key::post_mortem(&fleet(), 3, at, 7, "json"), "_post-mortems/showdown/2026-11-21/19h-3-07.json"),
        (Key::purged(&fleet(), &id("_a/b")), "_purged/showdown/%5Fa%2Fb"),
        (
            Key::purged_unreadable(&fleet(), "abc"),
            "_unreadable/showdown/ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
        ),
        (Key::post_mortem(&fleet(), u32::MAX, Timestamp::MIN, u32::MAX, "png"), "_post-mortems/showdown/-"),
        (Key::purged(&fleet(), &hostile), "_purged/showdown/%2E.%2F"),
    ];
    for (key, starts) in table {
        assert!(key.as_str().starts_with(starts), "{key}");
        assert!(key.is_record());
        assert_eq!(Key::new(key.as_str()), Ok(key.clone()), "it is a key");
    }
    assert!(Key::post_mortem(&fleet(), 3, at, 7, "json").as_str().starts_with(&Key::post_mortems(&fleet())));
}

#[test]
fn makes_readable_keys() {
    let groups = BTreeMap::from([("format".to_owned(), "gen9ou".to_owned())]);
    let table = [
        ("{fleet}/{id}", "battle-1", "showdown/battle-1"),
        ("{fleet}/{format}/{id}.log", "battle-1", "showdown/gen9ou/battle-1.log"),
        ("{id}", "a/../b", "a%2F..%2Fb"),
        ("{id}", "...", "%2E.."),
        ("{id}", "_gone", "%5Fgone"),
        ("x-{id}", "_gone", "x-%5Fgone"),
        ("{id}", "a=b%c", "a%3Db%25c"),
    ];
    for (template, item, key) in table {
        let template = KeyTemplate::new(template, &["format"]).unwrap();
        assert_eq!(template.key(&fleet(), &id(item), &groups).as_str(), key);
    }
}

#[test]
fn a_group_without_text_keeps_its_place() {
    let template = KeyTemplate::new("{format}_x/{id}", &["format"]).unwrap();
    assert_eq!(template.key(&fleet(), &id("a"), &no_groups()).as_str(), "=_x/a");
}

#[test]
fn rejects_templates_that_could_collide_or_escape() {
    let long = format!("{}{{id}}", "x".repeat(191));
    let longer = "{format}/".repeat(16) + "{id}";
    let table = [
        ("", "must not be empty"),
        ("a", "must have `{id}`"),
        ("{fleet}", "must have `{id}`"),
        ("/{id}", "must not be empty"),
        ("_a/{id}", "product's own records"),
        (".a/{id}", "start with a dot"),
        ("a b/{id}", "only A-Z"),
        ("{id", "`{` without `}`"),
        ("id}", "only A-Z"),
        ("{what}/{id}", "`{what}` is not known, there are `{fleet}`, `{id}`, `{shard}`, `{format}`"),
        ("{format}-{id}", "must not share"),
        ("{fleet}-{format}/{id}", "must not share"),
        ("{fleet}{id}", "must not share"),
        (&long, "could have 256 bytes"),
        (&longer, "could have 1121 bytes"),
    ];
    for (template, why) in table {
        let error = KeyTemplate::new(template, &["format"]).expect_err(template).to_string();
        assert!(error.contains(why), "{template:?}: {error}");
    }
}

fn any_id() -> impl Strategy<Value = ItemId> {
    // Few different characters, so that ids that nearly collide are common; the escapes' own characters among them.
    let small = "[a%=._/A2F-]{1,8}";
    let long = "[!#-&(-;=?-\\[\\]-_a-~]{150,200}";
    prop_oneof![small, long].prop_filter_map("not an item id", |text| ItemId::new(text).ok())
}

fn any_template() -> impl Strategy<Value = KeyTemplate> {
    let template = prop_oneof![
        Just("{id}"),
        Just("{fleet}/{id}"),
        Just("{fleet}/{shard}/{id}.gz"),
        Just("{a}{b}/{shard}-{id}"),
        Just("{a}={b}/{id}/x"),
        Just("{a}/{b}/{a}/{b}/{a}/{b}/{id}"),
    ];
    template.prop_map(|text| KeyTemplate::new(text, &["a", "b"]).unwrap())
}

fn any_groups() -> impl Strategy<Value = BTreeMap<String, String>> {
    ("\\PC{0,300}", "[._%=]{0,3}")
        .prop_map(|(a, b)| BTreeMap::from([("a".to_owned(), a), ("b".to_owned(), b)]))
}

proptest! {
    #[test]
    fn every_key_of_a_template_is_a_key_of_an_artifact(item in any_id(), template in any_template(), groups in any_groups()) {
        let key = template.key(&fleet(), &item, &groups);
        prop_assert_eq!(Key::new(key.as_str()), Ok(key.clone()));
        prop_assert!(!key.is_record());
    }

    #[test]
    fn the_same_item_has_the_same_key(item in any_id(), template in any_template(), groups in any_groups()) {
        prop_assert_eq!(template.key(&fleet(), &item, &groups), template.key(&fleet(), &item, &groups));
    }

    #[test]
    fn two_items_never_share_a_key(items in vec((any_id(), any_groups()), 1..25), template in any_template()) {
        let mut seen = HashMap::new();
        for (item, groups) in items {
            let key = template.key(&fleet(), &item, &groups);
            if let Some(other) = seen.insert(key.clone(), item.clone()) {
                prop_assert_eq!(other, item, "share {}", key);
            }
        }
    }

    #[test]
    fn records_of_every_item_have_keys_of_their_own(one in any_id(), other in any_id(), attempt: u32) {
        for key in [Key::gone(&fleet(), &one), Key::evidence(&fleet(), &one, attempt, "page.html")] {
            prop_assert_eq!(Key::new(key.as_str()), Ok(key.clone()));
            prop_assert!(key.is_record());
        }
        prop_assert_eq!(Key::gone(&fleet(), &one) == Key::gone(&fleet(), &other), one == other);
    }

    #[test]
    fn no_text_makes_key_panic(text in "\\PC{0,40}|[a/._-]{0,12}") {
        if let Ok(key) = Key::new(text.as_str()) {
            prop_assert!(key.parts().all(|part| !part.is_empty() && !part.starts_with('.')));
        }
        let _ = KeyTemplate::new(&text, &["a"]);
    }
}
