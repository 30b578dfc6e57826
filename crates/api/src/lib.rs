//! The ScrapeFleet resource: types, defaults, rules.
