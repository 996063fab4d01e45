//! Changes of chats and contacts, which all devices of the account share, as events. Pure.

use jiff::{SignedDuration, Timestamp};
use whatsapp_rust::Jid;
use whatsapp_rust::types::events::{ContactUpdate, Event, PictureUpdate, UserAboutUpdate};
use whatsapp_rust::wacore_binary::JidExt;
use whatsapp_rust::waproto::buffa::MessageField;
use whatsapp_rust::waproto::whatsapp::sync_action_value::{MuteAction, SyncActionMessageRange};

use super::observer::{ChatEvent, KnownAddresses};
use crate::model::event::{
    ChatChange, ChatUpdated, ContactUpdated, EventData, FOREVER, Person, PersonNames,
    ProfilePicture,
};

/// Age above which a change in a full sync is no longer news. A collection that was empty before
/// comes as a full sync, too.
const NEWS_MAX_AGE: SignedDuration = SignedDuration::from_hours(1);
/// Stands for an end that never comes, in place of a time in milliseconds.
const NEVER: i64 = -1;

/// Returns whether an event is a change, rather than the state at the time the device was linked.
pub(in crate::whatsapp) fn is_news(event: &Event, now: Timestamp) -> bool {
    let (is_all, at) = match event {
        Event::ArchiveUpdate(it) => (it.from_full_sync, it.timestamp.timestamp_millis()),
        Event::PinUpdate(it) => (it.from_full_sync, it.timestamp.timestamp_millis()),
        Event::MuteUpdate(it) => (it.from_full_sync, it.timestamp.timestamp_millis()),
        Event::MarkChatAsReadUpdate(it) => (it.from_full_sync, it.timestamp.timestamp_millis()),
        Event::DeleteChatUpdate(it) => (it.from_full_sync, it.timestamp.timestamp_millis()),
        Event::ClearChatUpdate(it) => (it.from_full_sync, it.timestamp.timestamp_millis()),
        Event::StarUpdate(it) => (it.from_full_sync, it.timestamp.timestamp_millis()),
        Event::ContactUpdate(it) => (it.from_full_sync, it.timestamp.timestamp_millis()),
        Event::LabelEditUpdate(it) => (it.from_full_sync, it.timestamp.timestamp_millis()),
        Event::LabelAssociationUpdate(it) => (it.from_full_sync, it.timestamp.timestamp_millis()),
        _ => return true,
    };
    !is_all || Timestamp::from_millisecond(at).is_ok_and(|at| now.duration_since(at) < NEWS_MAX_AGE)
}

/// Returns the change of a chat's entry in the list, with the chat; `None` for other events.
pub(in crate::whatsapp) fn convert_chat_change(event: &Event) -> Option<(&Jid, ChatChange)> {
    Some(match event {
        Event::ArchiveUpdate(it) => (&it.jid, archived_change(it.action.archived)),
        Event::PinUpdate(it) => (&it.jid, pinned_change(it.action.pinned)),
        Event::MuteUpdate(it) => (&it.jid, muted_change(&it.action)),
        Event::MarkChatAsReadUpdate(it) => (
            &it.jid,
            unread_change(it.action.read, newest_known(&it.action.message_range)),
        ),
        Event::DeleteChatUpdate(it) => {
            let up_to = newest_known(&it.action.message_range);
            (
                &it.jid,
                ChatChange {
                    deleted: Some(true),
                    up_to,
                    ..ChatChange::default()
                },
            )
        }
        Event::ClearChatUpdate(it) => {
            let up_to = newest_known(&it.action.message_range);
            (
                &it.jid,
                ChatChange {
                    cleared: Some(true),
                    up_to,
                    ..ChatChange::default()
                },
            )
        }
        _ => return None,
    })
}

fn archived_change(archived: Option<bool>) -> ChatChange {
    ChatChange {
        archived: Some(archived.unwrap_or(false)),
        ..ChatChange::default()
    }
}

fn pinned_change(pinned: Option<bool>) -> ChatChange {
    ChatChange {
        pinned: Some(pinned.unwrap_or(false)),
        ..ChatChange::default()
    }
}

fn unread_change(read: Option<bool>, up_to: Option<Timestamp>) -> ChatChange {
    let is_read = read.unwrap_or(false);
    ChatChange {
        unread: Some(!is_read),
        up_to: up_to.filter(|_| is_read),
        ..ChatChange::default()
    }
}

/// Returns the time of the newest message that the device knew of. Later messages may be here
/// already, since messages and the chat list travel on different paths.
fn newest_known(range: &MessageField<SyncActionMessageRange>) -> Option<Timestamp> {
    let newest = range
        .as_option()?
        .last_message_timestamp
        .filter(|seconds| *seconds > 0)?;
    Timestamp::from_second(newest).ok()
}

fn muted_change(action: &MuteAction) -> ChatChange {
    // A mute without an end, or with an invalid one, lasts forever.
    let until = |at: Option<i64>| {
        at.filter(|at| *at != NEVER)
            .and_then(|at| Timestamp::from_millisecond(at).ok())
    };
    let end = || {
        until(action.mute_end_timestamp)
            .unwrap_or(FOREVER)
            .min(FOREVER)
    };
    ChatChange {
        muted_until: Some(action.muted.unwrap_or(false).then(end)),
        ..ChatChange::default()
    }
}

/// Returns the event of a changed entry in the chat list.
pub(in crate::whatsapp) fn build_chat_updated(
    session: &str,
    jid: &Jid,
    change: ChatChange,
    others: &KnownAddresses,
) -> ChatEvent {
    let with = others.build_person(jid, None, None);
    // A group is not a person, but its address has the same place.
    let chat = match jid.is_group() {
        true => Person {
            id: jid.to_non_ad_string(),
            ..Person::default()
        },
        false => with,
    };
    let chat_id = chat.id.clone();
    let data = ChatUpdated {
        session: session.to_owned(),
        chat,
        change,
    };
    ChatEvent {
        chat: chat_id,
        id: None,
        data: EventData::ChatUpdated(Box::new(data)),
    }
}

/// Converts a contact's saved name and username to an event; `None` without either.
pub(in crate::whatsapp) fn convert_saved_name(
    session: &str,
    update: &ContactUpdate,
    others: &KnownAddresses,
) -> Option<ChatEvent> {
    let contact = &update.action;
    let name = contact
        .full_name
        .as_deref()
        .or(contact.first_name.as_deref())
        .filter(|name| !name.is_empty());
    let username = contact
        .username
        .as_deref()
        .filter(|username| !username.is_empty());
    name.or(username)?;
    let lid = contact
        .lid_jid
        .as_deref()
        .and_then(|lid| lid.parse::<Jid>().ok());
    let names = PersonNames {
        saved: name.map(str::to_owned),
        username: username.map(str::to_owned),
        ..PersonNames::default()
    };
    Some(build_contact_renamed(
        session,
        &update.jid,
        lid.as_ref().filter(|_| !update.jid.is_lid()),
        names,
        others,
    ))
}

/// Returns the event of a contact's changed name.
pub(in crate::whatsapp) fn build_contact_renamed(
    session: &str,
    jid: &Jid,
    other: Option<&Jid>,
    names: PersonNames,
    others: &KnownAddresses,
) -> ChatEvent {
    let contact = others.build_person(jid, other, None).with_names(names);
    let name = contact.name.clone();
    build_contact_updated(ContactUpdated {
        session: session.to_owned(),
        contact,
        name,
        ..ContactUpdated::default()
    })
}

/// Converts a changed or removed profile picture to its event.
pub(in crate::whatsapp) fn convert_picture(
    session: &str,
    update: &PictureUpdate,
    others: &KnownAddresses,
) -> ChatEvent {
    let contact = others.build_person(&update.jid, None, None);
    let shown = || ProfilePicture::new(session, &contact.id, update.picture_id.clone());
    let picture = Some((!update.removed).then(shown));
    build_contact_updated(ContactUpdated {
        session: session.to_owned(),
        contact,
        picture,
        ..ContactUpdated::default()
    })
}

/// Converts a changed about text to its event.
pub(in crate::whatsapp) fn convert_about(
    session: &str,
    update: &UserAboutUpdate,
    others: &KnownAddresses,
) -> ChatEvent {
    let (contact, about) = (
        others.build_person(&update.jid, None, None),
        Some(update.status.clone()),
    );
    build_contact_updated(ContactUpdated {
        session: session.to_owned(),
        contact,
        about,
        ..ContactUpdated::default()
    })
}

fn build_contact_updated(data: ContactUpdated) -> ChatEvent {
    ChatEvent {
        chat: data.contact.id.clone(),
        id: None,
        data: EventData::ContactUpdated(Box::new(data)),
    }
}

#[cfg(test)]
mod tests {
    use crate::whatsapp::notifications::chat_list::*;

    #[test]
    fn what_is_read_cleared_or_deleted_ends_at_a_message() {
        let range = |newest| {
            let range = SyncActionMessageRange {
                last_message_timestamp: newest,
                ..Default::default()
            };
            MessageField::some(range)
        };
        let newest = Timestamp::from_second(1_700_000_000).unwrap();
        assert_eq!(newest_known(&range(Some(1_700_000_000))), Some(newest));
        assert_eq!(
            (
                newest_known(&range(None)),
                newest_known(&range(Some(0))),
                newest_known(&MessageField::none())
            ),
            (None, None, None)
        );
        assert_eq!(
            (
                unread_change(Some(true), Some(newest)).up_to,
                unread_change(None, Some(newest)).up_to
            ),
            (Some(newest), None)
        );
    }

    #[test]
    fn a_mute_ends_at_a_time_or_never_or_is_none() {
        let muted = |muted, end| {
            let action = MuteAction {
                muted: Some(muted),
                mute_end_timestamp: end,
                ..MuteAction::default()
            };
            super::muted_change(&action).muted_until.unwrap()
        };
        let end = Timestamp::from_second(1_900_000_000).unwrap();
        assert_eq!(muted(true, Some(1_900_000_000_000)), Some(end));
        assert_eq!(
            (muted(true, Some(-1)), muted(true, None)),
            (Some(FOREVER), Some(FOREVER))
        );
        assert_eq!(muted(false, Some(0)), None);
    }
}
