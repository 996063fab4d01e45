//! Kinds of messages that are neither texts nor files: places, contacts, polls, events,
//! invitations, albums.

use waproto::buffa::MessageField;
use waproto::whatsapp as wa;
use waproto::whatsapp::message as kinds;
use waproto::whatsapp::message::invoice_message::AttachmentType;
use waproto::whatsapp::message_association::AssociationType;

use super::new_secret;
use crate::phone::Phone;

/// Where somebody is at the moment.
#[derive(Clone, Debug)]
pub struct LiveLocation {
    pub latitude: f64,
    pub longitude: f64,
    /// In metres.
    pub accuracy: u32,
    /// In metres a second.
    pub speed: f32,
    /// In degrees, clockwise from magnetic north.
    pub bearing: u32,
    pub caption: String,
    pub sequence: i64,
}

/// An event that guests are invited to.
#[derive(Clone, Debug, Default)]
pub struct PlannedEvent {
    pub name: String,
    /// Seconds since 1970.
    pub start: Option<i64>,
    pub place: Option<String>,
}

/// An invitation to a group, as its admins send it to people.
#[derive(Clone, Debug)]
pub struct GroupInvitation {
    pub group: String,
    pub code: String,
    pub name: String,
    /// Seconds since 1970.
    pub expires_at: i64,
}

impl Phone {
    /// Sends a place with a name; returns the message's id.
    pub fn sends_location(
        &self,
        to: &str,
        latitude: f64,
        longitude: f64,
        name: &str,
    ) -> anyhow::Result<String> {
        let location = kinds::LocationMessage {
            degrees_latitude: Some(latitude),
            degrees_longitude: Some(longitude),
            name: Some(name.to_owned()),
            ..Default::default()
        };
        let message = wa::Message {
            location_message: MessageField::some(location),
            ..Default::default()
        };
        self.sends_message(to, "media", message)
    }

    /// Sends where it is at the moment; returns the message's id.
    pub fn sends_live_location(&self, to: &str, place: LiveLocation) -> anyhow::Result<String> {
        let live = kinds::LiveLocationMessage {
            degrees_latitude: Some(place.latitude),
            degrees_longitude: Some(place.longitude),
            accuracy_in_meters: Some(place.accuracy),
            speed_in_mps: Some(place.speed),
            degrees_clockwise_from_magnetic_north: Some(place.bearing),
            caption: Some(place.caption),
            sequence_number: Some(place.sequence),
            ..Default::default()
        };
        let message = wa::Message {
            live_location_message: MessageField::some(live),
            ..Default::default()
        };
        self.sends_message(to, "media", message)
    }

    /// Sends contacts, each a name and a vCard; returns the message's id.
    pub fn sends_contacts(&self, to: &str, contacts: &[(&str, &str)]) -> anyhow::Result<String> {
        let mut contacts: Vec<_> = contacts
            .iter()
            .map(|(name, vcard)| kinds::ContactMessage {
                display_name: Some((*name).to_owned()),
                vcard: Some((*vcard).to_owned()),
                ..Default::default()
            })
            .collect();
        let mut message = wa::Message::default();
        if contacts.len() == 1 {
            message.contact_message = contacts.pop().into();
        } else {
            message.contacts_array_message = MessageField::some(kinds::ContactsArrayMessage {
                contacts,
                ..Default::default()
            });
        }
        self.sends_message(to, "media", message)
    }

    /// Asks a question with these answers, of which so many may be chosen (0: any number). Returns
    /// the message's id.
    pub fn sends_poll(
        &self,
        to: &str,
        question: &str,
        options: &[&str],
        most: u32,
    ) -> anyhow::Result<String> {
        let option = |name: &&str| kinds::poll_creation_message::Option {
            option_name: Some((*name).to_owned()),
            ..Default::default()
        };
        let poll = MessageField::some(kinds::PollCreationMessage {
            name: Some(question.to_owned()),
            options: options.iter().map(option).collect(),
            selectable_options_count: Some(most),
            ..Default::default()
        });
        let mut message = wa::Message {
            message_context_info: new_secret(),
            ..Default::default()
        };
        // Phones write polls with one choice in a field of their own.
        match most {
            1 => message.poll_creation_message_v3 = poll,
            _ => message.poll_creation_message = poll,
        }
        self.sends_message(to, "poll", message)
    }

    /// Plans an event; returns the message's id.
    pub fn sends_event(&self, to: &str, event: PlannedEvent) -> anyhow::Result<String> {
        let place = event.place.map(|name| kinds::LocationMessage {
            name: Some(name),
            ..Default::default()
        });
        let event = kinds::EventMessage {
            name: Some(event.name),
            start_time: event.start,
            location: place.into(),
            ..Default::default()
        };
        let message = wa::Message {
            event_message: MessageField::some(event),
            message_context_info: new_secret(),
            ..Default::default()
        };
        self.sends_message(to, "event", message)
    }

    /// Invites somebody to a group; returns the message's id.
    pub fn sends_group_invitation(
        &self,
        to: &str,
        invitation: GroupInvitation,
    ) -> anyhow::Result<String> {
        let invite = kinds::GroupInviteMessage {
            group_jid: Some(invitation.group),
            invite_code: Some(invitation.code),
            group_name: Some(invitation.name),
            invite_expiration: Some(invitation.expires_at),
            ..Default::default()
        };
        let message = wa::Message {
            group_invite_message: MessageField::some(invite),
            ..Default::default()
        };
        self.sends_message(to, "text", message)
    }

    /// Asks somebody for the phone number; returns the message's id.
    pub fn asks_for_phone_number(&self, to: &str) -> anyhow::Result<String> {
        let message = wa::Message {
            request_phone_number_message: MessageField::some(
                kinds::RequestPhoneNumberMessage::default(),
            ),
            ..Default::default()
        };
        self.sends_message(to, "text", message)
    }

    /// Sends an invoice with a note and a small picture, a kind that few clients know; returns the
    /// message's id.
    pub fn sends_invoice(
        &self,
        to: &str,
        note: &str,
        thumbnail: Vec<u8>,
    ) -> anyhow::Result<String> {
        let invoice = kinds::InvoiceMessage {
            note: Some(note.to_owned()),
            attachment_jpeg_thumbnail: Some(thumbnail),
            attachment_type: Some(AttachmentType::PDF),
            ..Default::default()
        };
        let message = wa::Message {
            invoice_message: MessageField::some(invoice),
            ..Default::default()
        };
        self.sends_message(to, "text", message)
    }

    /// Sends a picture to be seen once whose file nobody finds; returns the message's id.
    pub fn sends_lost_picture(&self, to: &str) -> anyhow::Result<String> {
        let mut picture = lost_picture();
        if let Some(picture) = picture.image_message.as_option_mut() {
            picture.view_once = Some(true);
        }
        let message = wa::Message {
            view_once_message: wrapped(picture),
            ..Default::default()
        };
        self.sends_message(to, "media", message)
    }

    /// Announces an album of so many pictures; returns the message's id, which is the album's.
    pub fn sends_album(&self, to: &str, pictures: u32) -> anyhow::Result<String> {
        let album = kinds::AlbumMessage {
            expected_image_count: Some(pictures),
            ..Default::default()
        };
        let message = wa::Message {
            album_message: MessageField::some(album),
            ..Default::default()
        };
        self.sends_message(to, "text", message)
    }

    /// Sends a picture of an album, whose file nobody finds, bare or in a wrapper as some phones
    /// do; returns the message's id.
    pub fn sends_album_picture(
        &self,
        to: &str,
        album: &str,
        is_wrapped: bool,
    ) -> anyhow::Result<String> {
        let part = wa::MessageAssociation {
            association_type: Some(AssociationType::MEDIA_ALBUM),
            parent_message_key: MessageField::some(wa::MessageKey {
                id: Some(album.to_owned()),
                ..Default::default()
            }),
            ..Default::default()
        };
        let mut message = match is_wrapped {
            true => wa::Message {
                associated_child_message: wrapped(lost_picture()),
                ..Default::default()
            },
            false => lost_picture(),
        };
        message.message_context_info = MessageField::some(wa::MessageContextInfo {
            message_association: MessageField::some(part),
            ..Default::default()
        });
        self.sends_message(to, "media", message)
    }
}

fn lost_picture() -> wa::Message {
    wa::Message {
        image_message: MessageField::some(kinds::ImageMessage {
            mimetype: Some("image/png".to_owned()),
            ..Default::default()
        }),
        ..Default::default()
    }
}

fn wrapped(message: wa::Message) -> MessageField<kinds::FutureProofMessage> {
    MessageField::some(kinds::FutureProofMessage {
        message: MessageField::some(message),
    })
}
