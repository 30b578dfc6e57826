//! What `/status` says.

use std::{fmt, pin::Pin, sync::Arc};

use serde_json::Value;
use tokio::sync::watch;

type Ask = dyn Fn() -> Pin<Box<dyn Future<Output = Value> + Send>> + Send + Sync;

/// Where the body of `/status` comes from. Clones ask the same source.
///
/// The program's fields stand at the top beside `health`; what is not an object stands under `status`.
#[derive(Clone)]
pub struct Status {
    ask: Arc<Ask>,
}

impl Status {
    /// Asks `source` each time.
    pub fn of(source: impl Fn() -> Value + Send + Sync + 'static) -> Self {
        Self { ask: Arc::new(move || Box::pin(std::future::ready(source()))) }
    }

    /// Asks `source`, which may have to wait, each time; the request's deadline bounds the wait.
    pub fn of_async<F>(source: impl Fn() -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Value> + Send + 'static,
    {
        Self { ask: Arc::new(move || Box::pin(source())) }
    }

    /// Shows what was last sent.
    #[must_use]
    pub fn watch(receiver: watch::Receiver<Value>) -> Self {
        Self::of(move || receiver.borrow().clone())
    }

    /// Says nothing beside the health.
    #[must_use]
    pub fn none() -> Self {
        Self::of(|| Value::Object(serde_json::Map::new()))
    }

    pub(crate) async fn ask(&self) -> Value {
        (self.ask)().await
    }
}

impl fmt::Debug for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Status").finish_non_exhaustive()
    }
}
