//! The content of a message, every kind in its own shape.

use jiff::Timestamp;
use maud::{Markup, html};
use serde_json::Value;

use super::ThreadView;
use super::interactive::draw_interactive;
use crate::http::dashboard::context::PageContext;
use crate::http::dashboard::documents::text_at;
use crate::http::dashboard::layout::render_time;
use crate::http::dashboard::pages::chat::list::chat_address;
use crate::http::dashboard::pages::chat::texts;
use crate::http::dashboard::texts::PageText;
use crate::model::message::{
    CalendarEvent, ContactCard, EditContent, EventVenue, InvitationReply, LiveLocation, Location,
    MediaContent, MediaKind, MessageContent, Order, PollContent, Price, Product,
};

/// Draws a content. `tally` are the votes so far, as the document has them.
pub fn draw_content(view: &ThreadView<'_>, content: &MessageContent, tally: &[Value]) -> Markup {
    let context = view.context;
    let about = |text: PageText, id: &str, detail: &str| {
        html! { p { em { a href=(view.place_of(id)) { (context.text(text)) } } " " bdi { (detail) } } }
    };
    match content {
        MessageContent::Text { text } => html! { (text.body) },
        MessageContent::Image { .. }
        | MessageContent::Video { .. }
        | MessageContent::Audio { .. }
        | MessageContent::Document { .. }
        | MessageContent::Sticker { .. } => match content.media_file() {
            Some((kind, file)) => draw_file(context, kind, file),
            None => html! {},
        },
        MessageContent::Location { location } => draw_location(context, location),
        MessageContent::LiveLocation { live_location } => {
            draw_live_location(context, live_location)
        }
        MessageContent::Contacts { contacts } => draw_contacts(view, contacts),
        MessageContent::Poll { poll } => draw_poll(context, poll, tally),
        MessageContent::Event { event } => draw_event(context, event, tally),
        MessageContent::GroupInvite {
            group_invite: invite,
        } => {
            let name = invite.name.as_deref().unwrap_or(&invite.group);
            let label = context.text(texts::GROUP_INVITE);
            draw_invite(
                context,
                label,
                name,
                invite.caption.as_ref(),
                invite.expires_at,
            )
        }
        MessageContent::NewsletterInvite {
            newsletter_invite: invite,
        } => {
            let name = invite.name.as_deref().unwrap_or(&invite.newsletter);
            let label = context.text(texts::NEWSLETTER_INVITE);
            draw_invite(
                context,
                label,
                name,
                invite.caption.as_ref(),
                invite.expires_at,
            )
        }
        MessageContent::PhoneNumberRequest { .. } => {
            html! { em { (context.text(texts::PHONE_NUMBER_ASKED)) } }
        }
        MessageContent::Album { album } => html! {
            p { (context.text(texts::ALBUM)) ": " (album.images) " + " (album.videos) }
        },
        MessageContent::Interactive { interactive } => draw_interactive(context, interactive),
        MessageContent::Product { product } => draw_product(context, product),
        MessageContent::Order { order } => draw_order(context, order),
        MessageContent::PollVote { poll_vote } => about(
            texts::VOTED,
            &poll_vote.message_id,
            &poll_vote.options.join(", "),
        ),
        MessageContent::EventResponse { event_response } => about(
            texts::RESPONDED,
            &event_response.message_id,
            name_of_response(context, &event_response.response),
        ),
        MessageContent::Reaction { reaction } => about(
            texts::REACTED,
            &reaction.message_id,
            reaction.emoji.as_deref().unwrap_or_default(),
        ),
        MessageContent::Edit { edit } => about(texts::NEW_TEXT, &edit.message_id, text_of(edit)),
        MessageContent::Deletion { deletion } => about(texts::DELETED, &deletion.message_id, ""),
        MessageContent::Pin { pin } => {
            let text = if pin.duration.is_some() {
                texts::PINNED_MESSAGE
            } else {
                texts::UNPINNED_MESSAGE
            };
            about(text, &pin.message_id, "")
        }
        MessageContent::Keep { keep } => {
            let text = if keep.kept {
                texts::KEPT_MESSAGE
            } else {
                texts::UNKEPT_MESSAGE
            };
            about(text, &keep.message_id, "")
        }
        MessageContent::Timer { timer } => html! {
            em {
                @if timer.seconds == 0 { (context.text(texts::TIMER_OFF)) }
                @else { (context.text(texts::TIMER_SET)) ": " (timer.seconds) }
            }
        },
        MessageContent::Unsupported { raw } => html! {
            em { (context.text(texts::UNSUPPORTED)) }
            @if let Some(name) = raw.as_object().and_then(|raw| raw.keys().next()) { " " code { (name) } }
        },
    }
}

fn text_of(edit: &EditContent) -> &str {
    let text = edit.text.as_ref().map(|text| text.body.as_str());
    text.or(edit.caption.as_deref()).unwrap_or_default()
}

/// Draws a file: pictures are shown, sound and films are played on demand, everything else is a
/// download.
fn draw_file(context: &PageContext, kind: MediaKind, file: &MediaContent) -> Markup {
    let mime_type = file.mime_type.as_deref().unwrap_or_default();
    let essence = mime_type.split(';').next().unwrap_or_default().trim();
    let label = match kind {
        MediaKind::Image => texts::PICTURE,
        MediaKind::Sticker => texts::STICKER,
        MediaKind::Video if file.gif => texts::ANIMATION,
        MediaKind::Video if file.round => texts::VIDEO_NOTE,
        MediaKind::Video => texts::VIDEO,
        MediaKind::Audio => texts::AUDIO,
        MediaKind::Voice => texts::VOICE_NOTE,
        MediaKind::Document => texts::DOCUMENT,
    };
    let label = context.text(label);
    let name = file.filename.as_deref().unwrap_or(label);
    html! {
        @match &file.id {
            Some(id) => {
                @let address = format!("/dashboard/media/{id}");
                @match (kind, essence) {
                    (
                        MediaKind::Image | MediaKind::Sticker,
                        "image/jpeg" | "image/png" | "image/webp" | "image/gif",
                    ) => a href=(address) { img src=(address) alt=(name) loading="lazy"; },
                    (MediaKind::Video, "video/mp4" | "video/webm" | "video/3gpp") => {
                        video controls preload="none" src=(address) aria-label=(name) {}
                    },
                    (
                        MediaKind::Audio | MediaKind::Voice,
                        "audio/ogg" | "audio/mpeg" | "audio/mp4" | "audio/aac" | "audio/amr",
                    ) => audio controls preload="none" src=(address) aria-label=(name) {},
                    _ => {},
                }
                " " a href=(address) download { (context.text(texts::DOWNLOAD)) ": " bdi { (name) } }
            }
            None => { bdi { (name) } " " span.quiet { (context.text(texts::NOT_KEPT)) } }
        }
        " " span.quiet {
            (label) " " (mime_type)
            @if let Some(size) = file.size { " " (size.div_ceil(1024)) " KiB" }
            @if let Some(duration) = file.duration { " " (duration) " s" }
            @if let Some(pages) = file.pages { " " (pages) " " (context.text(texts::PAGES)) }
            @if file.view_once { " " (context.text(texts::VIEW_ONCE)) }
        }
        @if let Some(caption) = &file.caption { p { (caption) } }
    }
}

/// Draws a place as a link that opens the reader's own map.
fn draw_position(latitude: f64, longitude: f64) -> Markup {
    html! { a href={ "geo:" (latitude) "," (longitude) } { (latitude) ", " (longitude) } }
}

fn draw_location(context: &PageContext, place: &Location) -> Markup {
    html! {
        p {
            (context.text(texts::LOCATION)) ": "
            bdi { (place.name.as_deref().unwrap_or_default()) } " "
            bdi { (place.address.as_deref().unwrap_or_default()) }
        }
        p { (draw_position(place.latitude, place.longitude)) }
    }
}

fn draw_live_location(context: &PageContext, place: &LiveLocation) -> Markup {
    html! {
        p {
            (context.text(texts::LIVE_LOCATION)) ": " (draw_position(place.latitude, place.longitude))
            @if let Some(accuracy) = place.accuracy { " ±" (accuracy) " " (context.text(texts::METRES)) }
        }
        @if let Some(caption) = &place.caption { p { (caption) } }
    }
}

fn draw_contacts(view: &ThreadView<'_>, contacts: &[ContactCard]) -> Markup {
    let is_number = |id: &str| !id.is_empty() && id.bytes().all(|byte| byte.is_ascii_digit());
    html! {
        @for contact in contacts {
            p {
                (view.context.text(texts::CONTACT)) ": " bdi { (contact.name) }
                @for phone in &contact.phones {
                    " "
                    @match phone.wa_id.as_deref().filter(|id| is_number(id)) {
                        Some(id) => a href={ (chat_address(&view.session, id)) } { (phone.phone) },
                        None => (phone.phone),
                    }
                }
            }
        }
    }
}

/// Returns the votes for an option, where they are counted.
fn votes_for(tally: &[Value], option: &str) -> Option<u64> {
    let found = tally.iter().find(|it| text_at(it, "option") == option)?;
    found["votes"].as_u64()
}

fn draw_poll(context: &PageContext, poll: &PollContent, tally: &[Value]) -> Markup {
    let all: u64 = tally.iter().filter_map(|it| it["votes"].as_u64()).sum();
    let is_answer = |option: &str| poll.quiz.as_ref().is_some_and(|quiz| quiz.answer == option);
    html! {
        p { (context.text(texts::POLL)) ": " strong { (poll.question) } }
        ul.tally {
            @for option in &poll.options {
                li {
                    (option)
                    @if is_answer(option) { " " em { "(" (context.text(texts::QUIZ_ANSWER)) ")" } }
                    @if let Some(votes) = votes_for(tally, option) {
                        " " meter min="0" max=(all.max(1)) value=(votes) aria-label=(option) {} " "
                        strong.votes { (votes) }
                    }
                }
            }
        }
        p.quiet {
            (context.text(texts::CHOICES)) ": " (poll.max_selections)
            @if !tally.is_empty() { " · " (context.text(texts::VOTES)) ": " (all) }
        }
    }
}

/// Returns the name of a response to an event.
pub fn name_of_response(context: &PageContext, response: &str) -> &'static str {
    let text = if response == InvitationReply::Going.as_str() {
        texts::GOING
    } else if response == InvitationReply::NotGoing.as_str() {
        texts::NOT_GOING
    } else {
        texts::MAYBE
    };
    context.text(text)
}

fn draw_event(context: &PageContext, event: &CalendarEvent, tally: &[Value]) -> Markup {
    let moments = [(texts::STARTS, event.start), (texts::ENDS, event.end)];
    html! {
        p {
            (context.text(texts::CALENDAR_EVENT)) ": " strong { (event.name) }
            @if event.canceled { " " em { (context.text(texts::CANCELED)) } }
        }
        @for (text, moment) in moments {
            @if let Some(moment) = moment { p { (context.text(text)) ": " (render_time(&moment.to_string())) } }
        }
        @if let Some(description) = &event.description { p { (description) } }
        @if let Some(place) = &event.place { (draw_venue(place)) }
        @if let Some(link) = &event.join_link { p { (context.text(texts::JOIN_LINK)) ": " (link) } }
        @if !tally.is_empty() {
            ul.tally {
                @for it in tally {
                    li { (name_of_response(context, text_at(it, "option"))) ": " strong.votes { (it["votes"]) } }
                }
            }
        }
    }
}

fn draw_venue(place: &EventVenue) -> Markup {
    html! {
        p {
            bdi { (place.name.as_deref().unwrap_or_default()) } " "
            bdi { (place.address.as_deref().unwrap_or_default()) } " "
            @if let (Some(latitude), Some(longitude)) = (place.latitude, place.longitude) {
                (draw_position(latitude, longitude))
            }
        }
    }
}

fn draw_invite(
    context: &PageContext,
    label: &str,
    name: &str,
    caption: Option<&String>,
    until: Option<Timestamp>,
) -> Markup {
    html! {
        p { (label) ": " strong { bdi { (name) } } }
        @if let Some(caption) = caption { p { (caption) } }
        @if let Some(until) = until {
            p.quiet { (context.text(texts::VALID_UNTIL)) ": " (render_time(&until.to_string())) }
        }
    }
}

fn draw_price(price: &Price) -> Markup {
    let value = serde_json::to_value(price).unwrap_or_default();
    html! { (value["amount"]) " " (text_at(&value, "currency")) }
}

fn draw_product(context: &PageContext, product: &Product) -> Markup {
    html! {
        @if let Some(image) = &product.image { (draw_file(context, MediaKind::Image, image)) }
        p {
            (context.text(texts::PRODUCT)) ": "
            strong { (product.title.as_deref().or(product.id.as_deref()).unwrap_or_default()) }
            @if let Some(price) = &product.price { " " (draw_price(price)) }
            @if let Some(price) = &product.sale_price { " → " (draw_price(price)) }
        }
        @for text in [&product.description, &product.body, &product.footer].into_iter().flatten() {
            p { (text) }
        }
    }
}

fn draw_order(context: &PageContext, order: &Order) -> Markup {
    html! {
        p {
            (context.text(texts::ORDER)) ": "
            strong { (order.title.as_deref().or(order.id.as_deref()).unwrap_or_default()) }
            @if let Some(count) = order.item_count { " " (count) " " (context.text(texts::ITEMS)) }
            @if let Some(total) = &order.total { " " (draw_price(total)) }
        }
        @if let Some(message) = &order.message { p { (message) } }
        @if let Some(status) = &order.status { p.quiet { (status) } }
    }
}
