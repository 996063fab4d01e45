//! The machine beneath: clock, tasks, files, descriptors, and shares of all of them.

pub mod clock;
pub mod data_folder;
pub(crate) mod descriptors;
pub(crate) mod durable_files;
pub(crate) mod fair_permits;
pub mod lifecycle;
pub mod master_key;
