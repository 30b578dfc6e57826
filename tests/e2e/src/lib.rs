//! The harness of the tests that run on a real Kubernetes: a namespace per test, conditions awaited under deadlines
//! whose errors show what explains them, and a folder of evidence for every test that fails.
//!
//! The cluster is the one of `SCRAPEFLEET_E2E_KUBECONFIG`, or else of `KUBECONFIG`. `cargo xtask cluster up` starts
//! one; kind or a cloud will do as well, where the images of `images/` are known to its nodes. Everything is reached
//! through the API server, so the tests need no way into the cluster's network.

mod attached;
mod await_condition;
mod backing;
mod cable;
mod evidence;
mod fleet;
mod forward;
mod gate;
mod node_program;
mod nodes;
pub mod operator;
mod pod;
pub mod processes;
mod scene;
mod site;
mod space;
mod xtask;

pub use attached::Attached;
pub use backing::Backing;
pub use cable::Cable;
pub use fleet::{Fleet, HOLDS_WITHIN};
pub use forward::Forward;
pub use gate::Gate;
pub use nodes::Nodes;
pub use pod::{container, image, is_ready, pod_of, terminated};
pub use scene::{Players, Scene};
pub use site::Site;
pub use space::{Space, client, in_namespace};
pub use xtask::{cluster, xtask};
