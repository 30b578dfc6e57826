use super::*;
use Ruling::{Clear, IsolateFirst, IsolateLater};
use Standing::{Cleared, Isolated, Suspected, Trusted};

/// Witnesses by standing and by how many seconds they have survived, called `0`, `1`, and so on.
fn witnesses(list: &[(Standing, u64)]) -> Vec<Witness> {
    let witness = |(n, (standing, age)): (usize, &(Standing, u64))| Witness {
        id: ItemId::new(n.to_string()).unwrap(),
        standing: *standing,
        survived: Duration::from_secs(*age),
    };
    list.iter().enumerate().map(witness).collect()
}

fn ruled(list: &[(Standing, u64)], alone: usize) -> Vec<(usize, Ruling)> {
    let rulings = rule(&witnesses(list), alone);
    rulings.into_iter().map(|(id, ruling)| (id.as_str().parse().unwrap(), ruling)).collect()
}

#[test]
fn each_death_has_its_rulings() {
    for (what, list, alone, expected) in [
        ("an empty browser accuses nobody", vec![], 0, vec![]),
        (
            "those that survived least are suspected",
            vec![(Trusted, 60), (Trusted, 30), (Trusted, 20), (Trusted, 10)],
            0,
            vec![(3, IsolateLater), (2, IsolateLater), (1, IsolateLater)],
        ),
        (
            "a quick one is alone from the start",
            vec![(Trusted, 5), (Trusted, 6), (Trusted, 0)],
            0,
            vec![(2, IsolateFirst), (0, IsolateFirst), (1, IsolateLater)],
        ),
        ("what was long harmless is not suspected", vec![(Trusted, 121)], 0, vec![]),
        (
            "a suspect that was there again is alone from the start, and no other is suspected",
            vec![(Suspected, 60), (Trusted, 1)],
            0,
            vec![(0, IsolateFirst)],
        ),
        (
            "the page died without them, and twice as many others are suspected",
            vec![
                (Isolated, 9),
                (Isolated, 9),
                (Cleared, 9),
                (Trusted, 10),
                (Trusted, 11),
                (Trusted, 12),
                (Trusted, 13),
            ],
            0,
            vec![
                (0, Clear),
                (1, Clear),
                (3, IsolateLater),
                (4, IsolateLater),
                (5, IsolateLater),
                (6, IsolateLater),
            ],
        ),
        (
            "not more are alone than there is room for, and one may always be",
            vec![(Trusted, 10), (Trusted, 11), (Trusted, 12)],
            ALONE - 2,
            vec![(0, IsolateLater), (1, IsolateLater)],
        ),
        ("one may always be", vec![(Trusted, 10), (Trusted, 11)], ALONE + 3, vec![(0, IsolateLater)]),
        (
            "where all are cleared it begins anew",
            vec![(Cleared, 20), (Trusted, 300)],
            0,
            vec![(0, IsolateLater)],
        ),
    ] {
        assert_eq!(ruled(&list, alone), expected, "{what}");
    }
}

/// Plays deaths of a page with `items` in it, of which `poison` brings it down each time, until that is found. Between two deaths
/// chance decides which suspects were isolated in time. Answers the number of deaths.
fn deaths_until_found(rng: &mut fastrand::Rng, items: usize, poison: usize) -> usize {
    let ages: Vec<_> = (0..items).map(|_| (Trusted, rng.u64(0..=120))).collect();
    let mut all = witnesses(&ages);
    for deaths in 1.. {
        let rulings = rule(&all, 0);
        for (id, ruling) in &rulings {
            let of = all.iter_mut().find(|witness| witness.id == *id).unwrap();
            of.standing = match ruling {
                Clear => Cleared,
                IsolateFirst => Isolated,
                IsolateLater if rng.bool() => Isolated,
                IsolateLater => Suspected,
            };
        }
        let alone = all.iter().filter(|witness| matches!(witness.standing, Isolated | Suspected)).count();
        assert!((1..=ALONE).contains(&alone), "{alone} of {items} are suspected");
        if all[poison].standing == Isolated {
            return deaths;
        }
    }
    unreachable!()
}

/// Two deaths for each group at the most: three, then six at a time.
fn bound(items: usize) -> usize {
    2 * (1 + items.saturating_sub(SUSPECTS).div_ceil(ALONE))
}

#[test]
fn every_poison_is_found_after_a_bounded_number_of_deaths() {
    for seed in 0..5_000 {
        let mut rng = fastrand::Rng::with_seed(seed);
        let items = rng.usize(1..=30);
        let poison = rng.usize(..items);
        let deaths = deaths_until_found(&mut rng, items, poison);
        assert!(deaths <= bound(items), "seed {seed}: {deaths} deaths with {items} items");
    }
}
