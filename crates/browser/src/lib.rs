//! Browser sessions, pages and the recipe engine.
//!
//! A [`SiteBrowser`] is one Chrome set up for one site: it opens items, probes all of them in one call, takes
//! artifacts and leaves. It is never repaired: when it misbehaves it is dropped whole and a [`BrowserFactory`]
//! makes another. A [`ListPage`] is a Chrome that keeps a site's list open. Both are driven by a recipe.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use async_trait::async_trait;
use bytes::Bytes;
use scrapefleet_api::ItemId;
use tokio::sync::{Notify, watch};

mod chrome;
mod classify;
#[cfg(any(test, feature = "contract"))]
pub mod contract;
mod driver;
mod driver_client;
mod endpoint;
#[cfg(any(test, feature = "fake"))]
pub mod fake;
pub mod fault;
pub mod guard;
pub mod process_tree;
pub mod recipe;
mod session;
mod slow;
mod waiting;

pub use chrome::{NoProgram, find_chrome, find_driver};
pub use endpoint::{Endpoint, GuardProgram, LocalChrome};
pub use fault::{Fault, Layer, Step, StepError};
pub use slow::OnSlow;
pub use waiting::Waiting;

/// An item to open.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item {
    /// Its id.
    pub id: ItemId,
    /// Where it is: what opening it in a tab loads.
    pub url: String,
}

/// How an item is opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Placement {
    /// As the recipe's mode says.
    Ordinary,
    /// In a tab of its own whatever the mode, so that a crash there is this item's alone.
    Alone,
}

/// What a probe saw of one item.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Observation {
    /// Entered, not yet open.
    Opening,
    /// Open and going on; the token changes whenever the item moves.
    Live {
        /// Changes whenever the item moves.
        progress: String,
    },
    /// Ended; its artifact can be taken.
    Ended,
    /// The site no longer has it; the text is what the site said.
    Gone {
        /// What the site said.
        proof: String,
    },
    /// Not in the page any more: it must be opened again.
    Lost {
        /// What was seen instead.
        why: String,
    },
}

/// What a probe saw of the page that items share. In `tab` mode always `Connected`: what an item's own tab shows is told of
/// that item.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PageState {
    /// It works.
    Connected,
    /// It lost its connection to the site; `for_` says since when. Items in it do not move.
    Disconnected {
        /// What was seen.
        why: String,
        /// Whether it is still expected to reconnect by itself.
        waiting: bool,
    },
    /// The site as a whole cannot be used now (login wall, ban, overload).
    Unavailable {
        /// What was seen.
        why: String,
    },
}

/// What one probe saw.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Probe {
    /// The shared page.
    pub page: PageState,
    /// Every item that is open, each once. An item alone in a tab that does not answer is in `failed` instead.
    pub items: BTreeMap<ItemId, Observation>,
    /// Items whose own tab failed.
    pub failed: BTreeMap<ItemId, StepError>,
    /// Whether the site said that it drops what is asked too fast.
    pub throttled: bool,
}

/// What was seen at a failure; each part is there when the browser still gave it. Bounded in size.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Evidence {
    /// A PNG of the page.
    pub screenshot: Option<Bytes>,
    /// The page's HTML.
    pub html: Option<Bytes>,
}

/// Makes browsers for one site.
#[async_trait]
pub trait BrowserFactory: Send + Sync + std::fmt::Debug {
    /// Starts a Chrome ready to open items. `slot` is the number of the bot, for folders and logs.
    async fn bot_browser(&self, slot: u32) -> Result<Box<dyn SiteBrowser>, StepError>;

    /// Starts a Chrome that keeps the site's list open.
    async fn list_page(&self) -> Result<Box<dyn ListPage>, StepError>;
}

/// One Chrome set up to hold items of one site. No call is under a deadline of the caller's only: each ends by
/// itself within its step's deadline, whatever the browser does. Dropping it kills Chrome and its driver.
#[async_trait]
pub trait SiteBrowser: Send {
    /// Opens an item; returns when it is open, ended or gone (the next probe says which).
    async fn open(&mut self, item: &Item, placement: Placement) -> Result<(), StepError>;

    /// About how long politeness lets the next [`SiteBrowser::open`] wait before it begins. Who has other things to
    /// do meanwhile opens later.
    fn wait_before_open(&self, placement: Placement) -> Duration {
        let _ = placement;
        Duration::ZERO
    }

    /// Looks at all open items in one script call (one more for each tab).
    async fn probe(&mut self) -> Result<Probe, StepError>;

    /// Takes the artifact of an ended item: the recipe's ways in order, until one gives something.
    async fn take(&mut self, item: &ItemId) -> Result<Bytes, StepError>;

    /// Leaves an item, open or not; its place is free afterwards.
    async fn leave(&mut self, item: &ItemId) -> Result<(), StepError>;

    /// Loads the shared page anew; every item that was in it is `Lost` until it is opened again. Does nothing in `tab` mode.
    async fn reload(&mut self) -> Result<(), StepError>;

    /// Has the browser evaluate a script; the only proof that it lives. Answers how long it took.
    async fn round_trip(&mut self) -> Result<Duration, StepError>;

    /// Notified while a call has been without an answer for longer than those of a browser in health are, long before it is
    /// given up: time to have another browser ready. None: this browser never tells.
    fn doubt(&self) -> Option<Arc<Notify>> {
        None
    }

    /// Tells `observer` of each step from now on that is slow, and of those before. Some browsers never tell.
    fn on_slow(&mut self, observer: OnSlow) {
        drop(observer);
    }

    /// Screenshot and HTML of where `item` is, or was when it could not be opened lately; without an item, of the shared page.
    /// Never fails: what cannot be had is left out.
    async fn evidence(&mut self, item: Option<&ItemId>) -> Evidence;

    /// PSS of the whole process tree in bytes, when the browser's processes can be seen from here and tell it soon.
    async fn memory(&mut self) -> Option<u64>;

    /// Process id of the browser's root process (its driver), when it was started from here.
    fn process_id(&self) -> Option<u32>;

    /// Kills Chrome and its driver and waits, within a bound, until they are gone. Dropping does the same without waiting.
    async fn close(self: Box<Self>);
}

/// What the list showed at one refresh.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Window {
    /// Items in the order shown, each once.
    pub items: Vec<Item>,
    /// The most items the list ever shows, when the recipe says.
    pub limit: Option<usize>,
    /// Entries that the recipe's id pattern did not fit; bounded to a few.
    pub unreadable: Vec<String>,
    /// Whether the site said that it drops what is asked too fast.
    pub throttled: bool,
}

/// A Chrome that keeps a site's list open.
#[async_trait]
pub trait ListPage: Send {
    /// Asks the list for its newest state and waits for the answer, within the step's deadline.
    async fn refresh(&mut self) -> Result<Window, StepError>;

    /// Loads the list anew.
    async fn reload(&mut self) -> Result<(), StepError>;

    /// What a [`ListPage::refresh`] that has not ended waits for, from now on; nothing while it does not wait. None: this
    /// list never tells.
    fn waits(&self) -> Option<watch::Receiver<Option<Waiting>>> {
        None
    }

    /// Tells `observer` of each step from now on that is slow, and of those before. Some lists never tell.
    fn on_slow(&mut self, observer: OnSlow) {
        drop(observer);
    }

    /// Screenshot and HTML of the list.
    async fn evidence(&mut self) -> Evidence;

    /// Process id of the browser's root process, when it was started from here.
    fn process_id(&self) -> Option<u32>;

    /// Kills Chrome and its driver and waits, within a bound, until they are gone.
    async fn close(self: Box<Self>);
}
