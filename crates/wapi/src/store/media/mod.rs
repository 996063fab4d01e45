//! Records of media files.

pub mod records;
pub mod retention;

#[cfg(test)]
mod tests;
