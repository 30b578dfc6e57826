use super::*;

/// What RabbitMQ 4.0.5 answered, seconds after the queues were filled and right after they were made.
const QUIET: &str = include_str!("../samples/rabbitmq-4.0.5.json");
const JUST_DECLARED: &str = include_str!("../samples/rabbitmq-4.0.5-just-declared.json");

fn fleet(name: &str, lanes: &[&str]) -> Fleet {
    Fleet {
        namespace: "ns".to_owned(),
        name: name.parse().unwrap(),
        lanes: lanes.iter().map(|lane| LaneName::new(*lane).unwrap()).collect(),
    }
}

fn depth(body: &str, fleet: &Fleet) -> Result<FleetDepth, Unread> {
    Listing::read(body.as_bytes()).unwrap().depth(fleet)
}

/// The depth of the one lane of fleet `a`, whose queue is said to be this.
fn of_row(rest: &str) -> Result<FleetDepth, String> {
    let body = format!(r#"[{{"name":"scrapefleet.ns.a:lane.fast"{rest}}}]"#);
    depth(&body, &fleet("a", &["fast"])).map_err(|why| why.to_string())
}

#[test]
fn the_brokers_own_answer_is_read() {
    let a = depth(QUIET, &fleet("a", &["fast", "slow"])).unwrap();
    let lane = |name: &str| a.lanes[&LaneName::new(name).unwrap()].clone();
    assert_eq!(lane("fast"), Depth { ready: 7, held: 0, delayed: 0, dead: 1 });
    assert_eq!(lane("slow"), Depth { ready: 9, held: 0, delayed: 0, dead: 0 });
    assert_eq!(a.delayed, 6);
    assert_eq!(a.total(), Depth { ready: 16, held: 0, delayed: 6, dead: 1 });
    let b = depth(QUIET, &fleet("b", &["default"])).unwrap();
    assert_eq!(b.total(), Depth::default(), "a depth of 0 is one when the broker says so");
}

#[test]
fn numbers_that_are_not_there_yet_are_not_0() {
    let why = depth(JUST_DECLARED, &fleet("a", &["fast", "slow"])).unwrap_err().to_string();
    assert!(why.contains(r#""scrapefleet.ns.a:"#) && why.contains("gives no `messages_ready`"), "{why}");
}

#[test]
fn a_lane_without_a_queue_is_not_0() {
    for (body, name, lanes) in
        [(QUIET, "c", &["default"][..]), (QUIET, "a", &["fast", "new"]), ("[]", "a", &["fast"])]
    {
        let why = depth(body, &fleet(name, lanes)).unwrap_err();
        assert!(matches!(why, Unread::NotDeclared { .. }), "{why}");
    }
}

#[test]
fn what_is_in_a_row_is_taken_at_its_word_only() {
    let counts = r#","messages_ready":7,"messages_unacknowledged":5"#;
    for (rest, expected) in [
        (counts, None),
        (r#","messages_ready":7,"messages_unacknowledged":5,"state":"running","more":{"x":[1]}"#, None),
        (r#","messages_ready":7,"messages_unacknowledged":5,"state":"idle""#, None),
        (r#","messages_ready":7,"messages_unacknowledged":5,"state":null"#, None),
        (r#","messages_ready":7,"messages_unacknowledged":5,"state":"down""#, Some(r#"it is "down""#)),
        (
            r#","messages_ready":7,"messages_unacknowledged":5,"state":"minority""#,
            Some(r#"it is "minority""#),
        ),
        (r#","messages_ready":7"#, Some("no `messages_unacknowledged`")),
        (r#","messages_unacknowledged":5"#, Some("no `messages_ready`")),
        (r#","messages_ready":null,"messages_unacknowledged":5"#, Some("no `messages_ready`")),
        (r#","messages_ready":-7,"messages_unacknowledged":5"#, Some("`messages_ready` is no whole number")),
        (r#","messages_ready":7.5,"messages_unacknowledged":5"#, Some("`messages_ready` is no whole number")),
        (r#","messages_ready":"7","messages_unacknowledged":5"#, Some("`messages_ready` is no whole number")),
        (r#","messages_ready":{},"messages_unacknowledged":5"#, Some("`messages_ready` is no whole number")),
    ] {
        match (of_row(rest), expected) {
            (Ok(depth), None) => assert_eq!(depth.total(), Depth { ready: 7, held: 5, delayed: 0, dead: 0 }),
            (Err(why), Some(part)) => assert!(why.contains(part), "{rest}: {why}"),
            (found, _) => panic!("{rest}: {found:?}"),
        }
    }
}

#[test]
fn an_odd_queue_harms_its_own_fleet_only() {
    let odd = r#"[{"name":"scrapefleet.ns.b:lane.fast","messages_ready":"x"},"#;
    let body = QUIET.replacen('[', odd, 1);
    assert!(depth(&body, &fleet("b", &["fast"])).is_err());
    assert_eq!(depth(&body, &fleet("a", &["fast"])).unwrap().total().ready, 16);
}

#[test]
fn numbers_without_end_overflow_nothing() {
    let row = |name: &str| {
        let most = u64::MAX;
        format!(
            r#"{{"name":"scrapefleet.ns.a:{name}","messages_ready":{most},"messages_unacknowledged":{most}}}"#
        )
    };
    let rows = ["lane.x", "lane.y", "dead.x", "dead.y", "delay.0", "delay.1"].map(row).join(",");
    let total = depth(&format!("[{rows}]"), &fleet("a", &["x", "y"])).unwrap().total();
    let most = u64::MAX;
    assert_eq!(total, Depth { ready: most, held: most, delayed: most, dead: most });
}

#[test]
fn what_is_no_list_of_queues_is_said_to_be_none() {
    let deep = "[".repeat(100_000);
    for body in
        ["", "{}", "null", "[1]", r#"[{"nome":"x"}]"#, r#"[{"name":1}]"#, "<html>", &deep, &QUIET[..200]]
    {
        let why = Listing::read(body.as_bytes()).unwrap_err();
        assert!(!why.is_empty() && why.chars().count() <= LONGEST_SHOWN, "{why}");
    }
    let why = Listing::read(b"[{\"name\":\"a\", \"state\": \"\x1b[31m").unwrap_err();
    assert!(!why.contains('\u{1b}'), "{why:?}");
}

#[test]
fn states_are_shown_harmless_and_short() {
    let state = format!(r#","state":"\u001b[31m\n{}""#, "x".repeat(10_000));
    let why = of_row(&state).unwrap_err();
    assert!(why.len() < 300 && !why.contains(['\u{1b}', '\n']), "{why}");
}

#[test]
fn the_queues_of_others_are_not_kept() {
    let rows: Vec<String> = (0..10_000).map(|i| format!(r#"{{"name":"order-{i}"}}"#)).collect();
    let listing = Listing::read(format!("[{}]", rows.join(",")).as_bytes()).unwrap();
    assert_eq!(listing, Listing::default());
}
