//! The durable log of events: appending, reading, and the feed.

pub mod facts;
pub mod feed;
pub mod log;
pub mod reader;
pub mod recent;
pub mod reported;
pub mod retention;
