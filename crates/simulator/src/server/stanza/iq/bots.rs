//! The AI assistants that WhatsApp offers: a single one.

use wacore_binary::builder::NodeBuilder;
use wacore_binary::{Jid, Node, Server as JidServer};

use super::{IqAnswer, IqRequest};
use crate::wire::leaf_node;

/// The user part of the bot's address (before `@bot`), and its persona.
const BOT_USER: &str = "867051314767696";
const BOT_PERSONA: &str = "867051314767696$760019659443059";

fn bot_jid() -> Jid {
    Jid::new(BOT_USER, JidServer::Bot)
}

/// Lists the bots.
pub(crate) fn list_bots(_: &IqRequest<'_>) -> IqAnswer {
    let bot = NodeBuilder::new("bot")
        .attr("jid", bot_jid())
        .attr("persona_id", BOT_PERSONA)
        .build();
    let all = NodeBuilder::new("section")
        .attr("type", "all")
        .attr("name", "all")
        .children([bot])
        .build();
    let default = NodeBuilder::new("default")
        .attr("jid", bot_jid())
        .attr("persona_id", BOT_PERSONA)
        .build();
    IqAnswer::with_child(
        NodeBuilder::new("bot")
            .attr("v", "2")
            .children([default, all])
            .build(),
    )
}

/// Returns a bot's profile, for a usync query that names it like a person.
pub(crate) fn bot_profile(whom: &Jid) -> Option<Node> {
    if *whom != bot_jid() {
        return None;
    }
    let text = |tag: &'static str, text: &str| leaf_node(tag, text.as_bytes());
    let command = [
        text("name", "help"),
        text("description", "Says what it can do"),
    ];
    let commands = [
        text("description", "What it understands"),
        NodeBuilder::new("command").children(command).build(),
    ];
    let prompt = NodeBuilder::new("prompt")
        .children([text("emoji", "👋"), text("text", "Say hello")])
        .build();
    let parts = [
        text("name", "Assistant"),
        text("attributes", "Talks about anything"),
        text(
            "description",
            "An assistant of the simulated WhatsApp, which never answers",
        ),
        text("category", "general"),
        NodeBuilder::new("default").build(),
        NodeBuilder::new("commands").children(commands).build(),
        NodeBuilder::new("prompts").children([prompt]).build(),
    ];
    let profile = NodeBuilder::new("profile")
        .attr("persona_id", BOT_PERSONA)
        .children(parts)
        .build();
    let bot = NodeBuilder::new("bot").children([profile]).build();
    Some(
        NodeBuilder::new("user")
            .attr("jid", whom.clone())
            .children([bot])
            .build(),
    )
}
