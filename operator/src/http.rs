//! Who asks programs over HTTP: a client that uses no proxy and follows no redirect, because both lead away from the
//! program that is meant.

/// A new client.
pub(crate) fn client() -> reqwest::Result<reqwest::Client> {
    name_provider();
    reqwest::Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none()).build()
}

/// Names who encrypts. Clients leave that open, and panic where the libraries of a build bring nobody who could, or two.
pub(crate) fn name_provider() {
    // An error says that this was settled before.
    let _ = rustls::crypto::ring::default_provider().install_default();
}
