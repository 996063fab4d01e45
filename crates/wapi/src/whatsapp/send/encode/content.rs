//! Messages without a file, as protobufs. Pure.

use jiff::Timestamp;
use whatsapp_rust::wacore::poll::compute_option_hash;
use whatsapp_rust::wacore::proto_helpers::build_reaction_message;
use whatsapp_rust::waproto::buffa::MessageField;
use whatsapp_rust::waproto::whatsapp as wa;
use whatsapp_rust::waproto::whatsapp::message as kinds;
use whatsapp_rust::waproto::whatsapp::message::extended_text_message::PreviewType;
use whatsapp_rust::waproto::whatsapp::message::pin_in_chat_message::Type as PinType;
use whatsapp_rust::waproto::whatsapp::message::poll_creation_message::Option as Choice;
use whatsapp_rust::waproto::whatsapp::message::protocol_message::Type as ProtocolType;

use super::SealedPayload;
use crate::media::link_download::LinkPreview;
use crate::model::message::{
    CalendarEvent, ChatTimer, ContactCard, GroupInvite, LiveLocation, Location, MessageContent,
    NewsletterInvite, PinContent, PollContent, ReactionContent, TextContent,
};
use crate::whatsapp::to_hex;

/// Builds the message; `None` for kinds that are only received or need more than their content.
pub(crate) fn build_content(content: &MessageContent) -> Option<wa::Message> {
    Some(match content {
        MessageContent::Text { text } => self::build_text(text),
        MessageContent::Location { location } => wa::Message {
            location_message: MessageField::some(build_location(location)),
            ..Default::default()
        },
        MessageContent::Contacts { contacts } => self::build_contacts(contacts),
        MessageContent::Poll { poll } => self::build_poll(poll),
        MessageContent::Event { event } => wa::Message {
            event_message: MessageField::some(build_calendar_event(event)),
            ..Default::default()
        },
        MessageContent::LiveLocation { live_location } => wa::Message {
            live_location_message: MessageField::some(build_live_location(live_location)),
            ..Default::default()
        },
        MessageContent::NewsletterInvite { newsletter_invite } => wa::Message {
            newsletter_admin_invite_message: MessageField::some(build_newsletter_invite(
                newsletter_invite,
            )),
            ..Default::default()
        },
        MessageContent::GroupInvite { group_invite } => wa::Message {
            group_invite_message: MessageField::some(build_group_invite(group_invite)),
            ..Default::default()
        },
        MessageContent::PhoneNumberRequest { .. } => wa::Message {
            request_phone_number_message: MessageField::some(Default::default()),
            ..Default::default()
        },
        MessageContent::Album { album } => {
            let announced = kinds::AlbumMessage {
                expected_image_count: Some(album.images),
                expected_video_count: Some(album.videos),
                ..Default::default()
            };
            wa::Message {
                album_message: MessageField::some(announced),
                ..Default::default()
            }
        }
        MessageContent::Interactive { interactive } => {
            super::interactive::build_interactive(interactive)?
        }
        MessageContent::Product { product } => super::products::build_product(product, None),
        _ => return None,
    })
}

pub(crate) fn build_text(text: &TextContent) -> wa::Message {
    wa::Message {
        conversation: Some(text.body.clone()),
        ..Default::default()
    }
}

/// Builds a text with a link preview. By the link, phones find the part of the text that the
/// preview belongs to.
pub(crate) fn build_text_with_preview(
    text: &TextContent,
    preview: Option<&LinkPreview>,
) -> wa::Message {
    let Some(preview) = preview else {
        return self::build_text(text);
    };
    let extended = kinds::ExtendedTextMessage {
        text: Some(text.body.clone()),
        matched_text: Some(preview.link.clone()),
        title: Some(preview.title.clone()),
        description: preview.description.clone(),
        jpeg_thumbnail: preview.thumbnail.clone(),
        preview_type: Some(PreviewType::NONE),
        ..Default::default()
    };
    wa::Message {
        extended_text_message: MessageField::some(extended),
        ..Default::default()
    }
}

/// Builds a reaction; one without an emoji removes the previous one.
pub(crate) fn build_reaction(
    reaction: &ReactionContent,
    key: wa::MessageKey,
    now: Timestamp,
) -> wa::Message {
    build_reaction_message(
        key,
        reaction.emoji.clone().unwrap_or_default(),
        now.as_millisecond(),
    )
}

pub(crate) fn build_vote(
    sealed: SealedPayload,
    poll: wa::MessageKey,
    now: Timestamp,
) -> wa::Message {
    let SealedPayload { payload, iv, .. } = sealed;
    let update = kinds::PollUpdateMessage {
        poll_creation_message_key: MessageField::some(poll),
        vote: MessageField::some(kinds::PollEncValue {
            enc_payload: Some(payload),
            enc_iv: Some(iv),
        }),
        sender_timestamp_ms: Some(now.as_millisecond()),
        ..Default::default()
    };
    wa::Message {
        poll_update_message: MessageField::some(update),
        ..Default::default()
    }
}

pub(crate) fn build_response(sealed: SealedPayload, event: wa::MessageKey) -> wa::Message {
    let SealedPayload { payload, iv, .. } = sealed;
    let answer = kinds::EncEventResponseMessage {
        event_creation_message_key: MessageField::some(event),
        enc_payload: Some(payload),
        enc_iv: Some(iv),
    };
    wa::Message {
        enc_event_response_message: MessageField::some(answer),
        ..Default::default()
    }
}

/// Builds a disappearing-messages setting. It carries its own time, so that a device that receives
/// it late can tell which setting is the latest.
pub(crate) fn build_timer(timer: &ChatTimer, now: Timestamp) -> wa::Message {
    let setting = kinds::ProtocolMessage {
        r#type: Some(ProtocolType::EPHEMERAL_SETTING),
        ephemeral_expiration: Some(timer.seconds),
        ephemeral_setting_timestamp: Some(now.as_second()),
        ..Default::default()
    };
    wa::Message {
        protocol_message: MessageField::some(setting),
        ..Default::default()
    }
}

/// Builds a pin. Its duration is in the message context, as for every add-on to a message.
pub(crate) fn build_pin(pin: &PinContent, key: wa::MessageKey, now: Timestamp) -> wa::Message {
    let kind = if pin.duration.is_some() {
        PinType::PIN_FOR_ALL
    } else {
        PinType::UNPIN_FOR_ALL
    };
    let message = kinds::PinInChatMessage {
        key: MessageField::some(key),
        r#type: Some(kind),
        sender_timestamp_ms: Some(now.as_millisecond()),
    };
    let around = wa::MessageContextInfo {
        message_add_on_duration_in_secs: Some(pin.duration.unwrap_or_default()),
        ..Default::default()
    };
    wa::Message {
        pin_in_chat_message: MessageField::some(message),
        message_context_info: MessageField::some(around),
        ..Default::default()
    }
}

fn build_location(location: &Location) -> kinds::LocationMessage {
    kinds::LocationMessage {
        degrees_latitude: Some(location.latitude),
        degrees_longitude: Some(location.longitude),
        name: location.name.clone(),
        address: location.address.clone(),
        ..Default::default()
    }
}

fn build_live_location(place: &LiveLocation) -> kinds::LiveLocationMessage {
    kinds::LiveLocationMessage {
        degrees_latitude: Some(place.latitude),
        degrees_longitude: Some(place.longitude),
        accuracy_in_meters: place.accuracy,
        speed_in_mps: place.speed,
        degrees_clockwise_from_magnetic_north: place.bearing,
        caption: place.caption.clone(),
        sequence_number: place.sequence,
        ..Default::default()
    }
}

fn build_group_invite(invite: &GroupInvite) -> kinds::GroupInviteMessage {
    kinds::GroupInviteMessage {
        group_jid: Some(invite.group.clone()),
        invite_code: Some(invite.code.clone()),
        invite_expiration: invite.expires_at.map(Timestamp::as_second),
        group_name: invite.name.clone(),
        caption: invite.caption.clone(),
        ..Default::default()
    }
}

fn build_newsletter_invite(invite: &NewsletterInvite) -> kinds::NewsletterAdminInviteMessage {
    kinds::NewsletterAdminInviteMessage {
        newsletter_jid: Some(invite.newsletter.clone()),
        newsletter_name: invite.name.clone(),
        caption: invite.caption.clone(),
        invite_expiration: invite.expires_at.map(Timestamp::as_second),
        ..Default::default()
    }
}

/// Builds a message with contacts. A single contact has its own message type.
fn build_contacts(contacts: &[ContactCard]) -> wa::Message {
    let one = |contact: &ContactCard| kinds::ContactMessage {
        display_name: Some(contact.name.clone()),
        vcard: Some(contact.vcard.clone()),
        ..Default::default()
    };
    if let [contact] = contacts {
        return wa::Message {
            contact_message: MessageField::some(one(contact)),
            ..Default::default()
        };
    }
    let several = kinds::ContactsArrayMessage {
        display_name: Some(format!("{} contacts", contacts.len())),
        contacts: contacts.iter().map(one).collect(),
        ..Default::default()
    };
    wa::Message {
        contacts_array_message: MessageField::some(several),
        ..Default::default()
    }
}

/// Builds a poll. Phones write a single-choice poll as version 3; a selectable count of 0 means no
/// limit.
fn build_poll(poll: &PollContent) -> wa::Message {
    let is_all =
        poll.max_selections > 1 && usize::try_from(poll.max_selections) == Ok(poll.options.len());
    let choice = |name: &String| Choice {
        option_name: Some(name.clone()),
        ..Default::default()
    };
    let mut creation = kinds::PollCreationMessage {
        name: Some(poll.question.clone()),
        options: poll.options.iter().map(choice).collect(),
        selectable_options_count: Some(if is_all { 0 } else { poll.max_selections }),
        ..Default::default()
    };
    if let Some(quiz) = &poll.quiz {
        creation.poll_type = Some(kinds::PollType::QUIZ);
        let option_hash = Some(to_hex(&compute_option_hash(&quiz.answer)));
        creation.correct_answer = MessageField::some(Choice {
            option_name: Some(quiz.answer.clone()),
            option_hash,
        });
    }
    let creation = MessageField::some(creation);
    match poll.max_selections {
        1 => wa::Message {
            poll_creation_message_v3: creation,
            ..Default::default()
        },
        _ => wa::Message {
            poll_creation_message: creation,
            ..Default::default()
        },
    }
}

fn build_calendar_event(event: &CalendarEvent) -> kinds::EventMessage {
    let location = event.place.as_ref().map(|place| kinds::LocationMessage {
        degrees_latitude: place.latitude,
        degrees_longitude: place.longitude,
        name: place.name.clone(),
        address: place.address.clone(),
        ..Default::default()
    });
    kinds::EventMessage {
        name: Some(event.name.clone()),
        description: event.description.clone(),
        location: location.map(MessageField::some).unwrap_or_default(),
        join_link: event.join_link.clone(),
        start_time: event.start.map(Timestamp::as_second),
        end_time: event.end.map(Timestamp::as_second),
        is_canceled: event.canceled.then_some(true),
        ..Default::default()
    }
}
