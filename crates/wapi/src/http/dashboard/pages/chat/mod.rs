//! Chats: their list, one chat, one message, and the composer.

mod composer;
mod files;
mod list;
mod media_list;
mod message;
mod one_message;
mod texts;
mod thread;

use crate::http::access::table::RouteTable;
use crate::model::access::Scope::{Read, Send};

pub use list::chat_address;

pub fn add_routes(table: RouteTable) -> RouteTable {
    table
        .get(
            "/dashboard/sessions/{session}/chats",
            Read,
            list::show_chats,
        )
        .get(
            "/dashboard/live/sessions/{session}/chats",
            Read,
            list::stream_chats,
        )
        .get(
            "/dashboard/sessions/{session}/chats/{chat}",
            Read,
            thread::show_chat,
        )
        .get(
            "/dashboard/live/sessions/{session}/chats/{chat}",
            Read,
            thread::stream_chat,
        )
        .post(
            "/dashboard/sessions/{session}/chats/{chat}/send",
            Send,
            composer::send_text,
        )
        .post(
            "/dashboard/sessions/{session}/chats/{chat}/file",
            Send,
            files::send_file,
        )
        .post(
            "/dashboard/sessions/{session}/chats/{chat}/poll",
            Send,
            composer::send_poll,
        )
        .post(
            "/dashboard/sessions/{session}/chats/{chat}/react",
            Send,
            composer::react,
        )
        .post(
            "/dashboard/sessions/{session}/chats/{chat}/vote",
            Send,
            composer::vote,
        )
        .post(
            "/dashboard/sessions/{session}/chats/{chat}/respond",
            Send,
            composer::respond,
        )
        .post(
            "/dashboard/sessions/{session}/chats/{chat}/read",
            Send,
            composer::mark_read,
        )
        .get(
            "/dashboard/sessions/{session}/chats/{chat}/messages/{id}",
            Read,
            one_message::show_message,
        )
        .post(
            "/dashboard/sessions/{session}/chats/{chat}/messages/{id}/edit",
            Send,
            one_message::edit_message,
        )
        .post(
            "/dashboard/sessions/{session}/chats/{chat}/messages/{id}/delete",
            Send,
            one_message::delete_message,
        )
        .post(
            "/dashboard/sessions/{session}/chats/{chat}/messages/{id}/forward",
            Send,
            one_message::forward_message,
        )
        .get(
            "/dashboard/sessions/{session}/media",
            Read,
            media_list::show_media,
        )
        .get(
            "/dashboard/media/{id}",
            Read.narrowed(),
            media_list::show_file,
        )
        .post(
            "/dashboard/media/{id}/remove",
            Send.narrowed(),
            media_list::remove_file,
        )
}
