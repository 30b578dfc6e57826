//! Sites to scrape in tests: the real Showdown server with players, and an ordinary multi-page site.
