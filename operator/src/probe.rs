//! Asking a program whether it is well, for images that have no other program to ask with.

use std::time::Duration;

use scrapefleet_policy::within;
use scrapefleet_telemetry::escape;
use url::Url;

/// How long the answer may take.
const ANSWER: Duration = Duration::from_secs(5);

/// As much of an answer is shown, in characters.
const LONGEST: usize = 300;

/// Why a program is not well, or is not known to be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotWell {
    /// It cannot be reached, or does not answer in time.
    #[error("{url} does not answer: {why}")]
    Silent {
        /// What was asked.
        url: Url,
        /// What happened.
        why: String,
    },
    /// It answers that it is not well.
    #[error("{url} answered {status}: {said}")]
    Complains {
        /// What was asked.
        url: Url,
        /// The HTTP status.
        status: u16,
        /// The beginning of what it said.
        said: String,
    },
}

/// Gets `url` within five seconds; well is who answers with a status of 200 to 299. No redirect is followed, and no
/// proxy asked.
pub async fn probe(url: &Url) -> Result<(), NotWell> {
    let silent = |why: String| NotWell::Silent { url: url.clone(), why };
    let answered = within(ANSWER, "an answer", get(url)).await;
    let (status, said) =
        answered.map_err(|expired| silent(expired.to_string()))?.map_err(|error| silent(causes(&error)))?;
    if (200..300).contains(&status) {
        Ok(())
    } else {
        Err(NotWell::Complains { url: url.clone(), status, said })
    }
}

async fn get(url: &Url) -> reqwest::Result<(u16, String)> {
    let mut response = crate::http::client()?.get(url.clone()).send().await?;
    let status = response.status().as_u16();
    // The first piece is enough for a person, and however much follows is not read.
    let said = response.chunk().await?.unwrap_or_default();
    let said: String = String::from_utf8_lossy(&said).trim().chars().take(LONGEST).collect();
    Ok((status, escape(&said).into_owned()))
}

/// The innermost says what happened, such as that the connection was refused.
fn causes(error: &reqwest::Error) -> String {
    let mut source: &dyn std::error::Error = error;
    while let Some(inner) = source.source() {
        source = inner;
    }
    source.to_string()
}

#[cfg(test)]
mod tests {
    use axum::{Router, http::StatusCode, response::Redirect, routing::get};
    use tokio::net::TcpListener;

    use super::*;

    async fn served() -> Url {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}/", listener.local_addr().unwrap());
        let router = Router::new()
            .route("/ready", get(async || "ok"))
            .route("/not", get(async || (StatusCode::SERVICE_UNAVAILABLE, "caches:\n not read yet")))
            .route("/away", get(async || Redirect::to("/ready")));
        tokio::spawn(async move { axum::serve(listener, router).await });
        base.parse().unwrap()
    }

    #[tokio::test]
    async fn only_who_says_so_is_well() {
        let base = served().await;
        let ask = async |path: &str| probe(&base.join(path).unwrap()).await;
        assert_eq!(ask("ready").await, Ok(()));
        let complaint = ask("not").await.unwrap_err().to_string();
        assert!(complaint.contains("/not answered 503: caches:") && !complaint.contains('\n'), "{complaint}");
        assert!(matches!(ask("away").await, Err(NotWell::Complains { status: 303, .. })));
    }

    #[tokio::test]
    async fn who_is_not_there_or_says_nothing_is_named() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url: Url = format!("http://{}/", listener.local_addr().unwrap()).parse().unwrap();
        drop(listener);
        let why = probe(&url).await.unwrap_err().to_string();
        assert!(why.contains(url.as_str()) && why.contains("refused"), "{why}");
    }

    #[tokio::test]
    async fn an_answer_is_not_waited_for_for_ever() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url: Url = format!("http://{}/", listener.local_addr().unwrap()).parse().unwrap();
        // The connection is taken by the system, and nobody answers on it.
        let why = probe(&url).await.unwrap_err().to_string();
        assert!(why.contains("5s"), "{why}");
    }
}
