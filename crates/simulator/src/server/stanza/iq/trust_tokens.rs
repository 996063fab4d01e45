//! Trust tokens that a device gives to the people its account trusts.

use super::{IqAnswer, IqRequest};
use crate::server::stanza::trust::{self, TOKEN_TYPE};
use crate::wire::{StanzaExt, unix_time};

/// Gives a token to each person named. The answer is empty: the tokens are for those people, not
/// for the device.
pub(crate) fn give_tokens(request: &IqRequest<'_>) -> IqAnswer {
    let Some(ask) = request.operation else {
        return IqAnswer::Error(400, "bad-request");
    };
    let is_whole = ask.children_named("token").all(|token| {
        token.attr_text("type").as_deref() == Some(TOKEN_TYPE) && token.attr_jid("jid").is_some()
    });
    if !is_whole {
        return IqAnswer::Error(400, "bad-request");
    }
    for token in ask.children_named("token") {
        let at = token
            .attr_text("t")
            .and_then(|at| at.parse().ok())
            .unwrap_or_else(unix_time);
        let holder = token.attr_jid("jid").and_then(|jid| {
            let world = request.server.world.lock();
            world.account_of(&jid).map(|account| account.number.clone())
        });
        if let Some(holder) = holder {
            trust::give_token(request.server, request.device, &holder, at);
        }
    }
    IqAnswer::empty()
}
