//! Harm that is in an item: a battle in which a player says what ends every page that shows it.

use std::time::Duration;

use anyhow::{Context, Result};

use super::Ground;
use crate::{Scenario, effect::Fault, observer};

/// How long the item's attempts may take, all of them.
const BURIED_WITHIN: Duration = Duration::from_mins(4);

impl Ground<'_> {
    pub(super) async fn strike_item(&mut self, scenario: Scenario) -> Result<Fault> {
        let uid = self.fullest_bot()?;
        let mut fault = self.fault(scenario, &[uid]);
        // The youngest, which lasts the longest from now: what has ended poisons nobody.
        let number = |item: &String| item.rsplit('-').next().and_then(|number| number.parse::<u64>().ok());
        let youngest = fault.items.iter().max_by_key(|item| number(item)).cloned();
        let poison = youngest.context("the bot holds nothing")?;
        fault.items.remove(&poison);
        self.scene.site.poison(&poison).await?;
        let fleet = self.scene.fleet.get().await?;
        let buried = async || {
            let letters = self.scene.fleet.dead_letters(&fleet, &self.scene.backing).await?;
            let mut dead = letters.iter().filter_map(|letter| letter.item.as_ref());
            Ok(dead.any(|item| item.as_str() == poison).then_some(()))
        };
        self.space.until(&format!("{poison} is a dead letter"), BURIED_WITHIN, buried).await?;
        fault.buried = Some(observer::now());
        Ok(fault)
    }

    /// The bot that holds the most: others are to be held again.
    fn fullest_bot(&self) -> Result<String> {
        let seen = self.observer.seen();
        let holding = seen.live("bot").filter_map(|(uid, pod)| Some((pod.last()?.open().count(), uid)));
        let (_, uid) = holding.max().context("no bot answers")?;
        Ok(uid.clone())
    }
}
