//! Messages without a file: locations, contacts, polls, events, albums, invitations. Pure.

use jiff::Timestamp;
use whatsapp_rust::waproto::whatsapp as wa;
use whatsapp_rust::waproto::whatsapp::message as kinds;

use crate::model::message::{
    AlbumContent, CalendarEvent, ContactCard, EventVenue, GroupInvite, LiveLocation, Location,
    MessageContent, NewsletterInvite, PhoneNumberRequest, PollContent, PollQuiz,
};

/// Converts a message of one of these kinds; `None` for others.
pub(crate) fn decode_fileless(body: &wa::Message) -> Option<MessageContent> {
    if let Some(location) = body.location_message.as_option().and_then(decode_location) {
        return Some(MessageContent::Location { location });
    }
    if let Some(live_location) = body
        .live_location_message
        .as_option()
        .and_then(decode_live_location)
    {
        return Some(MessageContent::LiveLocation { live_location });
    }
    if let Some(contacts) = decode_contacts(body) {
        return Some(MessageContent::Contacts { contacts });
    }
    if let Some(poll) = poll_creation(body) {
        return Some(MessageContent::Poll {
            poll: self::decode_poll(poll),
        });
    }
    if let Some(event) = body.event_message.as_option() {
        return Some(MessageContent::Event {
            event: decode_calendar_event(event),
        });
    }
    if let Some(album) = body.album_message.as_option() {
        let images = album.expected_image_count.unwrap_or_default();
        let videos = album.expected_video_count.unwrap_or_default();
        return Some(MessageContent::Album {
            album: AlbumContent { images, videos },
        });
    }
    if body.request_phone_number_message.is_set() {
        return Some(MessageContent::PhoneNumberRequest {
            phone_number_request: PhoneNumberRequest {},
        });
    }
    if let Some(invite) = body.newsletter_admin_invite_message.as_option() {
        return Some(MessageContent::NewsletterInvite {
            newsletter_invite: decode_newsletter_invite(invite),
        });
    }
    let invite = body.group_invite_message.as_option()?;
    Some(MessageContent::GroupInvite {
        group_invite: decode_group_invite(invite),
    })
}

/// Returns a poll from any of the versions it may be written in, which say the same.
pub(in crate::whatsapp) fn poll_creation(
    body: &wa::Message,
) -> Option<&kinds::PollCreationMessage> {
    let versions = [
        &body.poll_creation_message,
        &body.poll_creation_message_v2,
        &body.poll_creation_message_v3,
        &body.poll_creation_message_v5,
        &body.poll_creation_message_v6,
    ];
    versions.into_iter().find_map(|version| version.as_option())
}

/// Converts a location; `None` if a coordinate is not a finite number.
fn decode_location(place: &kinds::LocationMessage) -> Option<Location> {
    Some(Location {
        latitude: finite_degrees(place.degrees_latitude)?,
        longitude: finite_degrees(place.degrees_longitude)?,
        name: place.name.clone(),
        address: place.address.clone(),
    })
}

fn decode_live_location(place: &kinds::LiveLocationMessage) -> Option<LiveLocation> {
    Some(LiveLocation {
        latitude: finite_degrees(place.degrees_latitude)?,
        longitude: finite_degrees(place.degrees_longitude)?,
        accuracy: place.accuracy_in_meters,
        speed: place.speed_in_mps.filter(|speed| speed.is_finite()),
        bearing: place.degrees_clockwise_from_magnetic_north,
        caption: place.caption.clone(),
        sequence: place.sequence_number,
    })
}

/// Returns finite degrees, 0 if unset: the wire can carry NaN and infinities, and JSON cannot.
fn finite_degrees(degrees: Option<f64>) -> Option<f64> {
    Some(degrees.unwrap_or_default()).filter(|degrees| degrees.is_finite())
}

fn decode_contacts(body: &wa::Message) -> Option<Vec<ContactCard>> {
    let one = |contact: &kinds::ContactMessage| {
        let vcard = contact.vcard.clone().unwrap_or_default();
        let name = contact
            .display_name
            .clone()
            .or_else(|| ContactCard::display_name(&vcard));
        ContactCard::from_vcard(name.unwrap_or_default(), vcard)
    };
    if let Some(contact) = body.contact_message.as_option() {
        return Some(vec![one(contact)]);
    }
    body.contacts_array_message
        .as_option()
        .map(|several| several.contacts.iter().map(one).collect())
}

pub(in crate::whatsapp) fn decode_poll(creation: &kinds::PollCreationMessage) -> PollContent {
    let options: Vec<_> = creation
        .options
        .iter()
        .filter_map(|option| option.option_name.clone())
        .collect();
    let all = u32::try_from(options.len()).unwrap_or(u32::MAX);
    let limit = creation
        .selectable_options_count
        .filter(|count| (1..=all).contains(count));
    let answer = creation
        .correct_answer
        .as_option()
        .and_then(|answer| answer.option_name.clone());
    PollContent {
        question: creation.name.clone().unwrap_or_default(),
        max_selections: limit.unwrap_or(all),
        options,
        quiz: answer.map(|answer| PollQuiz { answer }),
    }
}

fn decode_calendar_event(event: &kinds::EventMessage) -> CalendarEvent {
    let place = event.location.as_option().map(|place| EventVenue {
        name: place.name.clone(),
        address: place.address.clone(),
        latitude: place.degrees_latitude.filter(|degrees| degrees.is_finite()),
        longitude: place
            .degrees_longitude
            .filter(|degrees| degrees.is_finite()),
    });
    CalendarEvent {
        name: event.name.clone().unwrap_or_default(),
        description: event.description.clone(),
        start: event.start_time.and_then(unix_timestamp),
        end: event.end_time.and_then(unix_timestamp),
        place,
        join_link: event.join_link.clone(),
        canceled: event.is_canceled.unwrap_or(false),
    }
}

fn decode_group_invite(invite: &kinds::GroupInviteMessage) -> GroupInvite {
    GroupInvite {
        group: invite.group_jid.clone().unwrap_or_default(),
        code: invite.invite_code.clone().unwrap_or_default(),
        name: invite.group_name.clone(),
        caption: invite.caption.clone(),
        expires_at: invite.invite_expiration.and_then(unix_timestamp),
    }
}

fn decode_newsletter_invite(invite: &kinds::NewsletterAdminInviteMessage) -> NewsletterInvite {
    NewsletterInvite {
        newsletter: invite.newsletter_jid.clone().unwrap_or_default(),
        name: invite.newsletter_name.clone(),
        caption: invite.caption.clone(),
        expires_at: invite.invite_expiration.and_then(unix_timestamp),
    }
}

/// Converts seconds since 1970.
fn unix_timestamp(seconds: i64) -> Option<Timestamp> {
    Timestamp::from_second(seconds).ok()
}
