//! The images of `images/`: built by buildah when what they are made of has changed, and carried to the nodes layer by
//! layer, so that a new build of one program moves that program alone.

mod build;
mod catalog;
mod load;
mod store;

pub(crate) use build::Builder;
pub(crate) use catalog::{IMAGES, find};
pub(crate) use load::{load_archive, load_everywhere};
