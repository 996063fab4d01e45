//! Trust tokens that a device gives to the people its account trusts.

use super::{Answer, Request};
use crate::stanza::trust::{self, TRUSTED};
use crate::stanza::{Stanza, unix_time};

/// Gives a token to each person named. The answer is empty: the tokens are for those people, not
/// for the device.
pub(super) fn give(request: &Request<'_>) -> Answer {
    let Some(ask) = request.ask else {
        return Answer::Error(400, "bad-request");
    };
    let is_whole = ask
        .all("token")
        .all(|token| token.word("type").as_deref() == Some(TRUSTED) && token.jid("jid").is_some());
    if !is_whole {
        return Answer::Error(400, "bad-request");
    }
    for token in ask.all("token") {
        let at = token
            .word("t")
            .and_then(|at| at.parse().ok())
            .unwrap_or_else(unix_time);
        let holder = token.jid("jid").and_then(|jid| {
            let world = request.server.world.lock();
            world.account_of(&jid).map(|account| account.number.clone())
        });
        if let Some(holder) = holder {
            trust::give(request.server, request.device, &holder, at);
        }
    }
    Answer::empty()
}
