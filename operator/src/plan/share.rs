//! What each pod may ask of the site, so that all together stay within the fleet's budget.

use scrapefleet_api::politeness::PolitenessSpec;
pub use scrapefleet_api::politeness::Share;

/// The share of each of so many bots and watchers. A watcher loads a page as often as a bot may.
pub(super) fn share_of(
    politeness: &PolitenessSpec,
    holds_per_bot: i32,
    bots: usize,
    watchers: usize,
) -> Share {
    let held = u32::try_from(politeness.held).unwrap_or(0) / dealt_for(bots);
    let loading = f64::from(dealt_for(bots.saturating_add(watchers)));
    Share {
        connections_per_minute: f64::from(politeness.connections_per_minute.max(0)) / loading,
        actions_per_second: politeness.actions_per_second,
        held: held.min(u32::try_from(holds_per_bot).unwrap_or(0)),
    }
}

/// How many parts the budget is cut into for so many pods: as many, or a few more when they are many, so that one pod
/// more or less does not change what hundreds of others are dealt.
fn dealt_for(pods: usize) -> u32 {
    let pods = u32::try_from(pods).unwrap_or(u32::MAX / 2).clamp(1, u32::MAX / 2);
    // Eight steps an octave: at most an eighth of the budget is left over.
    let step = 1 << pods.ilog2().saturating_sub(3);
    pods.div_ceil(step) * step
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shares_never_exceed_the_budget() {
        let politeness = PolitenessSpec::default();
        for bots in 1..3000_usize {
            let watchers = bots % 3;
            let share = share_of(&politeness, 20, bots, watchers);
            let all = f64::from(u32::try_from(bots + watchers).unwrap());
            assert!(
                share.connections_per_minute * all <= f64::from(politeness.connections_per_minute) + 1e-6
            );
            assert!(u64::from(share.held) * bots as u64 <= u64::try_from(politeness.held).unwrap());
        }
    }

    #[test]
    fn few_pods_share_the_whole_budget() {
        let politeness =
            PolitenessSpec { connections_per_minute: 30, held: 100, ..PolitenessSpec::default() };
        for (bots, watchers, connections, held) in [
            (0, 0, 30.0, 50),
            (0, 2, 15.0, 50),
            (1, 0, 30.0, 50),
            (1, 1, 15.0, 50),
            (3, 0, 10.0, 33),
            (3, 2, 6.0, 33),
            (13, 2, 2.0, 7),
        ] {
            let share = share_of(&politeness, 50, bots, watchers);
            assert_eq!((share.connections_per_minute, share.held), (connections, held), "{bots} {watchers}");
        }
    }

    #[test]
    fn one_bot_among_many_changes_nothing_for_most() {
        assert_eq!((dealt_for(15), dealt_for(16), dealt_for(17)), (15, 16, 18));
        assert_eq!((dealt_for(130), dealt_for(144), dealt_for(145)), (144, 144, 160));
        assert!((1..5000).all(|n| {
            let parts = dealt_for(n) as usize;
            parts >= n && parts <= n + n / 8
        }));
    }

    #[test]
    fn it_is_written_as_bots_read_it() {
        let share = Share { connections_per_minute: 7.5, actions_per_second: 1.5, held: 20 };
        let text = serde_json::to_string(&share).unwrap();
        assert_eq!(text, r#"{"connectionsPerMinute":7.5,"actionsPerSecond":1.5,"held":20}"#);
        assert_eq!(serde_json::from_str::<Share>(&text).unwrap(), share);
    }
}
