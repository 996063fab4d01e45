//! Events around messages: groups, presence, chat list, calls.

pub mod calls;
pub mod chat_list;
pub mod groups;
pub mod labels;
pub mod newsletters;
pub mod observer;
pub mod presence;
