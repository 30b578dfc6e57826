//! What there is: pods as the plan sees them, what they say of themselves, what the broker and Secrets say.

mod depth;
mod pod;
mod reports;
mod rounds;
mod secrets;

pub use depth::{DepthReader, Outside};
pub(crate) use depth::{credentials, lanes};
pub(crate) use pod::shown;
pub use pod::{ends_by, observe};
pub use reports::{Heard, Reports, Target};
pub use secrets::{Data, Secrets, Supply};
