//! The machine beneath: clock, tasks, files, descriptors, and shares of all of them.

pub mod clock;
pub mod data_folder;
pub mod descriptors;
pub mod durable_files;
pub mod fair_permits;
pub mod lifecycle;
