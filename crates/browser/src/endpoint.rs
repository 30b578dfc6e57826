//! Where browsers run: started from here, or beside this program.

use std::{ffi::OsString, path::PathBuf};

use url::Url;

use crate::guard;

/// Where browsers run.
#[derive(Debug, Clone)]
pub enum Endpoint {
    /// Each browser has a driver and a Chrome of its own, started from here and gone with it.
    Local(LocalChrome),
    /// A driver that is already running, as in a pod's sidecar. It is taken to serve nobody else: a session that is
    /// found there is left over, and ended.
    Remote {
        /// Where the driver answers.
        driver: Url,
        /// Whether Chrome's own sandbox is off, because its container does not allow it.
        no_sandbox: bool,
    },
}

/// How browsers are started here.
#[derive(Debug, Clone)]
pub struct LocalChrome {
    /// Chrome's driver; none: it is looked for.
    pub driver: Option<PathBuf>,
    /// Chrome; none: it is looked for.
    pub chrome: Option<PathBuf>,
    /// Switches Chrome's own sandbox off. As root it is off anyway: Chrome does not start otherwise.
    pub no_sandbox: bool,
    /// Where folders for profiles are made; none: the system's folder for temporary files.
    pub folder: Option<PathBuf>,
    /// The guard that takes the browser with it when this program dies.
    pub guard: GuardProgram,
}

/// The program that runs [`guard::main`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GuardProgram {
    /// The program.
    pub path: PathBuf,
    /// What comes before the guard's own arguments.
    pub args: Vec<OsString>,
}

impl GuardProgram {
    /// This program itself, which must call [`guard::main`] when its first argument is [`guard::SUBCOMMAND`].
    ///
    /// The program is named by /proc, so that it is found even when its file was replaced meanwhile.
    #[must_use]
    pub fn this_program() -> Self {
        Self { path: "/proc/self/exe".into(), args: vec![guard::SUBCOMMAND.into()] }
    }
}

impl Default for LocalChrome {
    fn default() -> Self {
        Self {
            driver: None,
            chrome: None,
            no_sandbox: false,
            folder: None,
            guard: GuardProgram::this_program(),
        }
    }
}

impl Default for Endpoint {
    fn default() -> Self {
        Self::Local(LocalChrome::default())
    }
}
