//! Why a depth could not be read.

use std::time::Duration;

use super::address::InvalidBroker;

/// Why a depth could not be read, for people: what, where, and what to do. Nothing in it is secret, and what the broker
/// said is escaped and bounded. It never means that the queue is empty.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unread {
    /// What is known of the broker cannot be used.
    #[error(transparent)]
    Invalid(#[from] InvalidBroker),
    /// No connection, or no answer in time.
    #[error("the broker's management API at {at} cannot be reached: {why}")]
    Unreachable {
        /// Host and port.
        at: String,
        /// What happened.
        why: String,
    },
    /// The user may not.
    #[error("the broker at {at} refuses user {user:?} ({said}): {remedy}")]
    Denied {
        /// Host and port.
        at: String,
        /// Who asked.
        user: String,
        /// What the broker said.
        said: String,
        /// What to do.
        remedy: &'static str,
    },
    /// There is no such vhost.
    #[error("the broker at {at} has no vhost {vhost:?}: create it, or correct `queue.rabbitmq.url`")]
    NoVhost {
        /// Host and port.
        at: String,
        /// The vhost.
        vhost: String,
    },
    /// Another answer than a list of queues.
    #[error("the management API at {at} answered {status}: {said}")]
    Refused {
        /// Host and port.
        at: String,
        /// The HTTP status.
        status: u16,
        /// What it said.
        said: String,
    },
    /// The answer is no list of queues: too large, or not what RabbitMQ says.
    #[error("the answer of the management API at {at} cannot be read: {why}")]
    Malformed {
        /// Host and port.
        at: String,
        /// What is wrong with it.
        why: String,
    },
    /// The broker does not have a queue of the fleet, as before the fleet's watcher or a bot has made it.
    #[error("the broker has no queue {queue:?} yet: the fleet's watcher and bots make it when they start")]
    NotDeclared {
        /// The queue.
        queue: String,
    },
    /// The broker does not know what is in a queue of the fleet.
    #[error("the depth of queue {queue:?} is not known: {why}")]
    Unknown {
        /// The queue.
        queue: String,
        /// What the broker says of it.
        why: String,
    },
}

impl Unread {
    /// Whether the next call may well succeed by itself, so that the last reading may serve a little longer.
    pub(crate) fn passes(&self) -> bool {
        match self {
            Self::Unreachable { .. } => true,
            Self::Refused { status, .. } => *status >= 500,
            _ => false,
        }
    }

    pub(crate) fn too_slow(at: &str, limit: Duration) -> Self {
        Self::Unreachable { at: at.to_owned(), why: format!("no answer within {limit:?}") }
    }
}
