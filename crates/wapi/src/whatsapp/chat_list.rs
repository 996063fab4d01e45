//! Changes of chats and contacts, which all devices of the account share, as events. Pure.

use jiff::{SignedDuration, Timestamp};
use whatsapp_rust::Jid;
use whatsapp_rust::types::events::{ContactUpdate, Event, PictureUpdate, UserAboutUpdate};
use whatsapp_rust::wacore_binary::JidExt;
use whatsapp_rust::waproto::buffa::MessageField;
use whatsapp_rust::waproto::whatsapp::sync_action_value::{MuteAction, SyncActionMessageRange};

use super::observer::{Happening, Others};
use crate::event::{
    ChatChange, ChatUpdated, ContactUpdated, EventData, FOREVER, Names, Person, ShownPicture,
};

/// Age above which a change in a full sync is no longer news. A collection that was empty before
/// comes as a full sync, too.
const NEWS: SignedDuration = SignedDuration::from_hours(1);
/// Stands for an end that never comes, in place of a time in milliseconds.
const NEVER: i64 = -1;

/// Returns whether an event is a change, rather than the state at the time the device was linked.
pub(super) fn is_news(event: &Event, now: Timestamp) -> bool {
    let (is_all, at) = match event {
        Event::ArchiveUpdate(it) => (it.from_full_sync, it.timestamp.timestamp_millis()),
        Event::PinUpdate(it) => (it.from_full_sync, it.timestamp.timestamp_millis()),
        Event::MuteUpdate(it) => (it.from_full_sync, it.timestamp.timestamp_millis()),
        Event::MarkChatAsReadUpdate(it) => (it.from_full_sync, it.timestamp.timestamp_millis()),
        Event::DeleteChatUpdate(it) => (it.from_full_sync, it.timestamp.timestamp_millis()),
        Event::ClearChatUpdate(it) => (it.from_full_sync, it.timestamp.timestamp_millis()),
        Event::StarUpdate(it) => (it.from_full_sync, it.timestamp.timestamp_millis()),
        Event::ContactUpdate(it) => (it.from_full_sync, it.timestamp.timestamp_millis()),
        _ => return true,
    };
    !is_all || Timestamp::from_millisecond(at).is_ok_and(|at| now.duration_since(at) < NEWS)
}

/// Returns the change of a chat's entry in the list, with the chat; `None` for other events.
pub(super) fn change(event: &Event) -> Option<(&Jid, ChatChange)> {
    Some(match event {
        Event::ArchiveUpdate(it) => (&it.jid, archived(it.action.archived)),
        Event::PinUpdate(it) => (&it.jid, pinned(it.action.pinned)),
        Event::MuteUpdate(it) => (&it.jid, muted(&it.action)),
        Event::MarkChatAsReadUpdate(it) => (
            &it.jid,
            unread(it.action.read, up_to(&it.action.message_range)),
        ),
        Event::DeleteChatUpdate(it) => {
            let up_to = up_to(&it.action.message_range);
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
            let up_to = up_to(&it.action.message_range);
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

fn archived(archived: Option<bool>) -> ChatChange {
    ChatChange {
        archived: Some(archived.unwrap_or(false)),
        ..ChatChange::default()
    }
}

fn pinned(pinned: Option<bool>) -> ChatChange {
    ChatChange {
        pinned: Some(pinned.unwrap_or(false)),
        ..ChatChange::default()
    }
}

fn unread(read: Option<bool>, up_to: Option<Timestamp>) -> ChatChange {
    let is_read = read.unwrap_or(false);
    ChatChange {
        unread: Some(!is_read),
        up_to: up_to.filter(|_| is_read),
        ..ChatChange::default()
    }
}

/// Returns the time of the newest message that the device knew of. Later messages may be here
/// already, since messages and the chat list travel on different paths.
fn up_to(range: &MessageField<SyncActionMessageRange>) -> Option<Timestamp> {
    let newest = range
        .as_option()?
        .last_message_timestamp
        .filter(|seconds| *seconds > 0)?;
    Timestamp::from_second(newest).ok()
}

fn muted(action: &MuteAction) -> ChatChange {
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
pub(super) fn told(session: &str, jid: &Jid, change: ChatChange, others: &Others) -> Happening {
    let with = others.person(jid, None, None);
    // A group is not a person, but its address has the same place.
    let chat = match jid.is_group() {
        true => Person {
            id: jid.to_non_ad_string(),
            ..Person::default()
        },
        false => with,
    };
    let place = chat.id.clone();
    let data = ChatUpdated {
        session: session.to_owned(),
        chat,
        change,
    };
    Happening {
        chat: place,
        id: None,
        data: EventData::ChatUpdated(Box::new(data)),
    }
}

/// Converts a contact's saved name to an event; `None` without a name.
pub(super) fn renamed(session: &str, update: &ContactUpdate, others: &Others) -> Option<Happening> {
    let contact = &update.action;
    let name = contact
        .full_name
        .as_deref()
        .or(contact.first_name.as_deref())
        .filter(|name| !name.is_empty())?;
    let lid = contact
        .lid_jid
        .as_deref()
        .and_then(|lid| lid.parse::<Jid>().ok());
    let names = Names {
        saved: Some(name.to_owned()),
        ..Names::default()
    };
    Some(named(
        session,
        &update.jid,
        lid.as_ref().filter(|_| !update.jid.is_lid()),
        names,
        others,
    ))
}

/// Returns the event of a contact's changed name.
pub(super) fn named(
    session: &str,
    jid: &Jid,
    other: Option<&Jid>,
    names: Names,
    others: &Others,
) -> Happening {
    let contact = others.person(jid, other, None).called(names);
    let name = contact.name.clone();
    contact_updated(ContactUpdated {
        session: session.to_owned(),
        contact,
        name,
        ..ContactUpdated::default()
    })
}

/// Converts a changed or removed profile picture to its event.
pub(super) fn pictured(session: &str, update: &PictureUpdate, others: &Others) -> Happening {
    let contact = others.person(&update.jid, None, None);
    let shown = || ShownPicture::new(session, &contact.id, update.picture_id.clone());
    let picture = Some((!update.removed).then(shown));
    contact_updated(ContactUpdated {
        session: session.to_owned(),
        contact,
        picture,
        ..ContactUpdated::default()
    })
}

/// Converts a changed about text to its event.
pub(super) fn described(session: &str, update: &UserAboutUpdate, others: &Others) -> Happening {
    let (contact, about) = (
        others.person(&update.jid, None, None),
        Some(update.status.clone()),
    );
    contact_updated(ContactUpdated {
        session: session.to_owned(),
        contact,
        about,
        ..ContactUpdated::default()
    })
}

fn contact_updated(data: ContactUpdated) -> Happening {
    Happening {
        chat: data.contact.id.clone(),
        id: None,
        data: EventData::ContactUpdated(Box::new(data)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
        assert_eq!(up_to(&range(Some(1_700_000_000))), Some(newest));
        assert_eq!(
            (
                up_to(&range(None)),
                up_to(&range(Some(0))),
                up_to(&MessageField::none())
            ),
            (None, None, None)
        );
        assert_eq!(
            (
                unread(Some(true), Some(newest)).up_to,
                unread(None, Some(newest)).up_to
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
            super::muted(&action).muted_until.unwrap()
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
