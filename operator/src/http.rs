//! Who asks programs over HTTP: a client that uses no proxy and follows no redirect, because both lead away from the
//! program that is meant.

/// A new client.
pub(crate) fn client() -> reqwest::Result<reqwest::Client> {
    reqwest::Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none()).build()
}
