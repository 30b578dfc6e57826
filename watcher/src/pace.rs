//! How soon to look at the list again.

use std::time::Duration;

use scrapefleet_api::watcher::WatcherSpec;

use crate::overlap::Overlap;

/// What a pause grows by with each look while nothing is new: so little that a busy site, where a second without news
/// is chance, is looked at as often as the manifest says, and half a minute of silence makes it twice as long.
const IDLE_GROWTH: f64 = 1.01;

/// What a pause grows by on the way back from haste.
const CALM: f64 = 1.25;

/// What a pause shrinks by when windows barely overlap.
const HASTE: f64 = 0.5;

/// How many looks without a complaint take back half of what complaints added.
const FORGIVEN_AFTER: u32 = 20;

/// What one look at the list showed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Look {
    /// How the window fits the one before.
    pub overlap: Overlap,
    /// Whether anything was new.
    pub news: bool,
    /// Whether the site said that it drops what is asked too fast.
    pub throttled: bool,
}

/// How soon to look again: near `refresh`, slower while nothing changes, faster when windows barely overlap, and
/// never faster than the site bears.
#[derive(Debug, Clone)]
pub struct Pace {
    ordinary: Duration,
    shortest: Duration,
    longest: Duration,
    pause: Duration,
    /// What the site bears; grows with complaints, shrinks when there are none.
    floor: Duration,
    content: u32,
}

impl Pace {
    /// The pace of a manifest.
    #[must_use]
    pub fn new(spec: &WatcherSpec) -> Self {
        let (ordinary, shortest, longest) =
            (spec.refresh.get(), spec.refresh_min.get(), spec.refresh_max.get());
        Self { ordinary, shortest, longest, pause: ordinary, floor: shortest, content: 0 }
    }

    /// The pause now.
    #[must_use]
    pub fn pause(&self) -> Duration {
        self.pause.clamp(self.floor, self.longest.max(self.floor))
    }

    /// Takes note of a look; answers the pause before the next.
    pub fn after(&mut self, look: Look) -> Duration {
        self.mind_the_site(look.throttled);
        self.pause = match look.overlap {
            Overlap::Gap => self.shortest,
            Overlap::Bare => self.pause.min(self.ordinary).mul_f64(HASTE).max(self.shortest),
            _ if look.news || self.pause < self.ordinary => self.towards_ordinary(),
            _ => self.pause.mul_f64(IDLE_GROWTH).min(self.longest),
        };
        self.pause()
    }

    /// Back from slowness at once, from haste by degrees.
    fn towards_ordinary(&self) -> Duration {
        self.pause.mul_f64(CALM).min(self.ordinary)
    }

    /// A complaint doubles the least pause; a while without one halves it again.
    fn mind_the_site(&mut self, throttled: bool) {
        if throttled {
            self.floor = (self.pause().max(self.ordinary) * 2).min(self.longest.max(self.shortest));
            self.content = 0;
            return;
        }
        self.content += 1;
        if self.content >= FORGIVEN_AFTER {
            self.floor = (self.floor / 2).max(self.shortest);
            self.content = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const QUIET: Look = Look { overlap: Overlap::Ample, news: false, throttled: false };
    const NEWS: Look = Look { news: true, ..QUIET };
    const BARE: Look = Look { overlap: Overlap::Bare, ..NEWS };
    const GAP: Look = Look { overlap: Overlap::Gap, ..NEWS };
    const COMPLAINT: Look = Look { throttled: true, ..NEWS };

    const fn ms(n: u64) -> Duration {
        Duration::from_millis(n)
    }

    fn pace() -> Pace {
        let period = scrapefleet_api::Period::millis;
        Pace::new(&WatcherSpec {
            refresh: period(300),
            refresh_min: period(100),
            refresh_max: period(2000),
            ..WatcherSpec::default()
        })
    }

    #[test]
    fn it_starts_at_the_ordinary_pause_and_slows_down_while_nothing_changes() {
        let mut pace = pace();
        assert_eq!(pace.pause(), ms(300));
        let pauses: Vec<_> = (0..200).map(|_| pace.after(QUIET)).collect();
        assert!(pauses.is_sorted());
        assert!(pauses[5] < ms(320), "a second or two without news is chance");
        assert_eq!(pauses.last(), Some(&ms(2000)));
    }

    #[test]
    fn news_bring_it_back_at_once() {
        let mut pace = pace();
        (0..200).for_each(|_| _ = pace.after(QUIET));
        assert_eq!(pace.after(NEWS), ms(300));
    }

    #[test]
    fn bare_overlap_hurries_it_to_its_shortest() {
        let mut pace = pace();
        assert_eq!(pace.after(BARE), ms(150));
        assert_eq!(pace.after(BARE), ms(100));
        assert_eq!(pace.after(BARE), ms(100));
        assert!(pace.after(NEWS) > ms(100));
    }

    #[test]
    fn a_gap_makes_it_look_as_soon_as_it_may() {
        let mut pace = pace();
        (0..200).for_each(|_| _ = pace.after(QUIET));
        assert_eq!(pace.after(GAP), ms(100));
    }

    #[test]
    fn a_complaint_doubles_it_and_is_forgiven_in_time() {
        let mut pace = pace();
        assert_eq!(pace.after(COMPLAINT), ms(600));
        assert_eq!(pace.after(BARE), ms(600), "never faster than the site bears");
        let pauses: Vec<_> = (0..100).map(|_| pace.after(NEWS)).collect();
        assert_eq!(pauses.last(), Some(&ms(300)));
    }

    #[test]
    fn whatever_came_before_it_reacts_within_a_few_looks() {
        for seed in 0..200 {
            let mut rng = fastrand::Rng::with_seed(seed);
            let mut before = pace();
            for _ in 0..rng.usize(..200) {
                before.after(any_look(&mut rng));
            }
            let pauses = |look, count: usize| {
                let mut pace = before.clone();
                (0..count).map(|_| pace.after(look)).last().unwrap()
            };
            assert!(pauses(COMPLAINT, 1) >= before.pause().max(ms(600)), "seed {seed}");
            assert_eq!(pauses(COMPLAINT, 4), ms(2000), "seed {seed}");
            assert_eq!(pauses(QUIET, 210), ms(2000), "seed {seed}");
            // Complaints are forgiven at every twentieth look: from 2 s to 100 ms in five times.
            assert_eq!(pauses(NEWS, 105), ms(300), "seed {seed}");
            assert_eq!(pauses(BARE, 105), ms(100), "seed {seed}");
            before.floor = ms(100);
            let mut undisturbed = before.clone();
            undisturbed.after(BARE);
            assert_eq!(undisturbed.after(BARE), ms(100), "seed {seed}");
        }
    }

    fn any_look(rng: &mut fastrand::Rng) -> Look {
        let overlap = [Overlap::First, Overlap::Ample, Overlap::Bare, Overlap::Gap][rng.usize(..4)];
        Look { overlap, news: rng.bool(), throttled: rng.u8(..8) == 0 }
    }

    #[test]
    fn it_stays_within_its_bounds_whatever_is_seen() {
        for seed in 0..200 {
            let (mut rng, mut pace) = (fastrand::Rng::with_seed(seed), pace());
            for _ in 0..300 {
                let pause = pace.after(any_look(&mut rng));
                assert!((ms(100)..=ms(2000)).contains(&pause), "seed {seed}: {pause:?}");
            }
        }
    }
}
