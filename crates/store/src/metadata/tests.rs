use proptest::{collection::btree_map, option, prelude::*};

use super::*;

fn origin() -> Origin {
    Origin {
        fleet: FleetName::new("showdown").unwrap(),
        item: ItemId::new("battle-gen9ou-1%=&").unwrap(),
        discovered_at: "2026-01-02T03:04:05.006Z".parse().unwrap(),
        scraped_at: "2026-01-02T03:14:05Z".parse().unwrap(),
        attempt: 2,
    }
}

fn key() -> Key {
    Key::new("showdown/a").unwrap()
}

#[test]
fn hashes_the_bytes() {
    let metadata = Metadata::of(b"abc", origin(), "text/plain");
    assert_eq!(metadata.sha256, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    assert!(metadata.admit(&key(), b"abc").is_ok());
}

#[test]
fn does_not_admit_bytes_of_another_object() {
    let error = Metadata::of(b"abc", origin(), "text/plain").admit(&key(), b"abd").unwrap_err();
    assert!(matches!(&error, StoreError::Damaged { why, .. } if why.contains("ba7816bf")), "{error}");
}

#[test]
fn does_not_admit_what_no_store_could_carry() {
    let base = Metadata::of(b"", origin(), "text/plain");
    let fact = |name: &str, text: &str| BTreeMap::from([(name.to_owned(), text.to_owned())]);
    let table = [
        (Metadata { content_type: "a\nb".to_owned(), ..base.clone() }, "printable ASCII"),
        (Metadata { content_type: "a".repeat(201), ..base.clone() }, "at most 200"),
        (Metadata { facts: fact("a b", ""), ..base.clone() }, "fact `a b`"),
        (Metadata { facts: fact("a", &"é".repeat(400)), ..base.clone() }, "at most 2000"),
        (Metadata { partial: Some("x".repeat(2_000)), ..base.clone() }, "at most 2000"),
    ];
    for (metadata, why) in table {
        let error = metadata.admit(&key(), b"").unwrap_err().to_string();
        assert!(error.contains(why) && error.contains("showdown/a"), "{error}");
    }
}

#[test]
fn cuts_and_counts_facts_that_do_not_fit() {
    let many = (0..30).map(|n| (format!("fact{n:02}"), "x".repeat(1_000))).collect();
    let metadata = Metadata::of(b"", origin(), "text/plain").with_facts(many);
    assert!(metadata.admit(&key(), b"").is_ok());
    let kept = metadata.facts.len() - 1;
    assert!((5..MAX_FACTS).contains(&kept), "{kept}");
    assert_eq!(metadata.facts["omitted"], (30 - kept).to_string());
    assert_eq!(metadata.facts["fact00"].len(), MAX_TEXT - 9 + "…".len());
    assert!(metadata.facts["fact00"].ends_with('…'));
}

#[test]
fn a_header_that_is_wrong_is_named() {
    let headers = Metadata::of(b"", origin(), "text/plain").headers();
    let table = [
        ("fleet", "No", "lower-case"),
        ("item", "%FF", "utf-8"),
        ("discovered-at", "yesterday", "`discovered-at`"),
        ("attempt", "-1", "`attempt`"),
        ("facts", "a", "has no `=`"),
    ];
    for (name, value, why) in table {
        let mut headers = headers.clone();
        headers.insert(name.to_owned(), value.to_owned());
        let error = Metadata::from_headers(&headers).unwrap_err().to_string();
        assert!(error.contains(why) && error.contains(name), "{error}");
    }
    for name in headers.keys() {
        let mut headers = headers.clone();
        headers.remove(name);
        assert!(Metadata::from_headers(&headers).unwrap_err().to_string().contains("it is missing"));
    }
}

prop_compose! {
    fn any_metadata()(
        partial in option::of("\\PC{0,300}"),
        encoding in option::of(Just("gzip")),
        facts in btree_map("[a-zA-Z_.-]{0,34}", any::<String>(), 0..20),
    ) -> Metadata {
        Metadata::of(b"", origin(), "text/html; charset=utf-8").encoded(encoding).partial(partial.as_deref()).with_facts(facts)
    }
}

proptest! {
    #[test]
    fn whatever_the_site_says_the_metadata_is_admitted(metadata in any_metadata()) {
        prop_assert!(metadata.admit(&key(), b"").is_ok());
    }

    #[test]
    fn headers_are_ascii_and_read_back(metadata in any_metadata()) {
        let headers = metadata.headers();
        for (name, value) in &headers {
            prop_assert!(name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-'));
            prop_assert!(value.bytes().all(|byte| byte.is_ascii_graphic()), "{}", value);
        }
        prop_assert_eq!(Metadata::from_headers(&headers), Ok(metadata));
    }

    #[test]
    fn json_reads_back(metadata in any_metadata()) {
        let json = serde_json::to_string(&metadata).unwrap();
        prop_assert_eq!(serde_json::from_str::<Metadata>(&json).unwrap(), metadata);
    }
}
