//! What makes a command fail, in words for the person at the terminal.

use std::path::PathBuf;

use scrapefleet_queue::QueueError;
use scrapefleet_store::StoreError;
use scrapefleet_telemetry::ServeError;

use crate::credentials::Whose;

/// What makes a command fail.
#[derive(Debug, thiserror::Error)]
pub enum CliError {
    /// The manifest cannot be read.
    #[error("cannot read the manifest {}: {why}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        why: std::io::Error,
    },
    /// The manifest is wrong; one problem a line.
    #[error("the manifest {} is wrong:\n{problems}", path.display())]
    Manifest {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problems: String,
    },
    /// A flag asks for what is not there.
    #[error("{0}")]
    Usage(String),
    /// Credentials are missing or cannot be read, until whoever keeps them puts that right.
    #[error("{why}")]
    Credentials {
        /// Who is asked with them.
        whose: Whose,
        /// What is wrong with them.
        why: String,
    },
    /// The queue cannot be used.
    #[error("{0}")]
    Queue(#[from] QueueError),
    /// The store cannot be used.
    #[error("{0}")]
    Store(#[from] StoreError),
    /// No Chrome or no driver: something on this machine is missing.
    #[error("{0}")]
    Machine(String),
    /// The port is taken, or not to be had.
    #[error("{0}")]
    Port(#[from] ServeError),
    /// A file cannot be written.
    #[error("cannot write {}: {why}", path.display())]
    Unwritable {
        /// The file.
        path: PathBuf,
        /// Why.
        why: std::io::Error,
    },
    /// The ledger does not balance; it has been printed.
    #[error("the ledger does not balance")]
    Unbalanced,
    /// A bot, or the watcher, ended and could not be replaced.
    #[error("{0}")]
    Ended(String),
}

impl CliError {
    /// The exit code: those of a bot (design: exit-code contract) where they apply, 1 otherwise.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Unreadable { .. } | Self::Manifest { .. } | Self::Usage(_) | Self::Port(_) => 15,
            Self::Queue(_) | Self::Credentials { whose: Whose::Queue, .. } => 13,
            Self::Store(_) | Self::Credentials { whose: Whose::Store, .. } => 14,
            Self::Machine(_) => 10,
            Self::Unwritable { .. } | Self::Unbalanced | Self::Ended(_) => 1,
        }
    }
}
