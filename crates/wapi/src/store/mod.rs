//! The only room with SQL.

pub mod session_file;
