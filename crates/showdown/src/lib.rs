//! Pokémon Showdown: how its battles are scraped, and what their logs say.
//!
//! [`preset`] is all that a fleet needs: the recipe, the judge of finished logs and the site's address. The module
//! [`log`] reads battle logs; its input comes from strangers, so nothing in it panics and all of it is linear.

pub mod log;
mod preset;

pub use preset::{DEFAULT_URL, preset};
