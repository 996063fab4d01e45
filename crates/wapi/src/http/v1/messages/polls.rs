//! Polls, and the account's own votes and event responses.

use std::collections::BTreeSet;

use crate::http::error::{FieldError, Problem};
use crate::http::request::extract::JsonFields;
use crate::model::message::emoji::normalize_text;
use crate::model::message::{
    CalendarEvent, ChatId, EventResponse, MessageContent, PollContent, PollQuiz, PollVote,
};
use crate::store::{self, CANCELLED, Life, Store};

/// WhatsApp's own limits, in characters.
const LONGEST_QUESTION: usize = 255;
const LONGEST_OPTION: usize = 100;
const OPTIONS: std::ops::RangeInclusive<usize> = 2..=12;
/// Maximum number of guests that a person brings to an event.
const MOST_GUESTS: u64 = 99;

pub(crate) fn read_poll(fields: &mut JsonFields) -> Option<PollContent> {
    let question = fields.text_up_to("question", LONGEST_QUESTION);
    let options = fields.required_texts("options").and_then(|options| {
        let checked = check_options(&options);
        fields.ok_or_record("options", checked.map(|()| options))
    });
    let limit = options.as_ref().map_or(*OPTIONS.end(), Vec::len) as u64;
    let max_selections = fields
        .optional_number("max_selections", 1..=limit)
        .unwrap_or(1);
    let quiz = fields.nested_fields("quiz").and_then(|mut inner| {
        let answer = inner.required_text("answer");
        let is_among = |answer| {
            options
                .as_ref()
                .is_none_or(|options| options.contains(answer))
        };
        if !answer.as_ref().is_none_or(is_among) {
            inner.refuse_field("answer", "is not one of the options");
        }
        fields.absorb_errors("quiz", inner);
        answer.map(|answer| PollQuiz { answer })
    });
    if quiz.is_some() && max_selections != 1 {
        fields.refuse_field("max_selections", "must be 1 for a quiz");
    }
    let max_selections = u32::try_from(max_selections).ok()?;
    Some(PollContent {
        question: question?,
        options: options?,
        max_selections,
        quiz,
    })
}

fn check_options(options: &[String]) -> Result<(), String> {
    if !OPTIONS.contains(&options.len()) {
        return Err(format!(
            "must be {} to {}, but are {}",
            OPTIONS.start(),
            OPTIONS.end(),
            options.len()
        ));
    }
    let fits = |option: &String| {
        !normalize_text(option).is_empty() && option.chars().count() <= LONGEST_OPTION
    };
    if !options.iter().all(fits) {
        return Err(format!("must each have 1 to {LONGEST_OPTION} characters"));
    }
    // A vote refers to options by the hash of their text; people tell them apart by sight.
    let looks: Vec<_> = options
        .iter()
        .map(|option| normalize_text(option))
        .collect();
    let twin = looks
        .iter()
        .enumerate()
        .find(|(index, look)| looks[..*index].contains(look));
    match twin {
        Some((index, _)) => Err(format!(
            "have the same text twice, or look alike: `{}`",
            options[index]
        )),
        None => Ok(()),
    }
}

/// Reads `{"message_id", "options"}`; [`check_vote`] compares the options with the poll's.
pub(crate) fn read_vote(fields: &mut JsonFields) -> Option<PollVote> {
    let (message_id, options) = (
        fields.required_text("message_id"),
        fields.required_texts("options"),
    );
    Some(PollVote {
        message_id: message_id?,
        options: options?,
    })
}

/// Reads `{"message_id", "response", "extra_guests"?}`.
pub(crate) fn read_event_response(fields: &mut JsonFields) -> Option<EventResponse> {
    let message_id = fields.required_text("message_id");
    let response = fields.parse_required("response", |text| {
        match CalendarEvent::RESPONSES.contains(&text) {
            true => Ok(text.to_owned()),
            false => Err(format!(
                "must be one of: {}",
                CalendarEvent::RESPONSES.join(", ")
            )),
        }
    });
    let extra_guests = fields
        .optional_number("extra_guests", 0..=MOST_GUESTS)
        .unwrap_or_default();
    let extra_guests = u32::try_from(extra_guests).ok()?;
    Some(EventResponse {
        message_id: message_id?,
        response: response?,
        extra_guests,
    })
}

/// Checks that the poll or event is known and accepts this vote or response. Its encryption secret
/// came with the poll or event.
pub(crate) async fn check_vote(
    content: &MessageContent,
    to: &ChatId,
    store: &Store,
    life: &Life,
) -> Result<(), Problem> {
    let (id, chosen, field) = match content {
        MessageContent::PollVote { poll_vote } => {
            (&poll_vote.message_id, Some(&poll_vote.options), "poll_vote")
        }
        MessageContent::EventResponse { event_response } => {
            (&event_response.message_id, None, "event_response")
        }
        _ => return Ok(()),
    };
    let wrong = |inner: &str, detail: String| {
        Err(Problem::InvalidFields(vec![FieldError {
            field: format!("{field}.{inner}").into(),
            detail,
        }]))
    };
    let known = store
        .inbound()
        .find_poll(life, id)
        .await
        .map_err(super::message_problem)?;
    let sent = store
        .outbox()
        .find_sent_message(life, id)
        .await
        .map_err(super::message_problem)?;
    let is_there = sent.is_none_or(|sent| {
        sent.failure.is_none() && sent.status != CANCELLED && sent.deleted_at.is_none()
    });
    let known = known.filter(|known| is_there && known.is_event() == chosen.is_none());
    match (known, chosen) {
        (None, None) => wrong(
            "message_id",
            "does not name an event that this session received or sent".to_owned(),
        ),
        (None, Some(_)) => wrong(
            "message_id",
            "does not name a poll that this session received or sent".to_owned(),
        ),
        (Some(poll), _) if !is_in_chat(&poll, to, store, life).await? => Err(
            Problem::invalid_field("to", format!("is not the chat of the message in `{field}`")),
        ),
        (Some(_), None) => Ok(()),
        (Some(poll), Some(chosen)) => {
            match find_vote_error(&poll.options, poll.max_selections, chosen) {
                Some(detail) => wrong("options", detail),
                None => Ok(()),
            }
        }
    }
}

/// Whether the poll was sent in this chat: a vote sent elsewhere reaches nobody able to decrypt it.
async fn is_in_chat(
    poll: &store::StoredPoll,
    to: &ChatId,
    store: &Store,
    life: &Life,
) -> Result<bool, Problem> {
    let Some(chat) = &poll.chat else {
        return Ok(true);
    };
    let known = store
        .identities()
        .find_identity(life, &[chat])
        .await
        .map_err(super::message_problem)?;
    Ok(known.as_ref().unwrap_or(chat) == &to.to_string())
}

fn find_vote_error(options: &[String], limit: u32, chosen: &[String]) -> Option<String> {
    if let Some(other) = chosen.iter().find(|option| !options.contains(option)) {
        return Some(format!(
            "`{other}` is not an option of the poll: {}",
            options.join(", ")
        ));
    }
    if BTreeSet::from_iter(chosen).len() < chosen.len() {
        return Some("name the same twice".to_owned());
    }
    (chosen.len() > limit as usize).then(|| {
        format!(
            "are {}, but this poll accepts at most {limit}",
            chosen.len()
        )
    })
}
