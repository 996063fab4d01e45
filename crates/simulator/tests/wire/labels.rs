//! What stanzas say of what is sealed in them, and of who sends it: clients go by it before they open anything, or where they cannot.

use wacore_binary::Node;
use wapi_simulator::{Author, EventAnswer, Phone, Simulator, SimulatorOptions};
use waproto::buffa::MessageField;
use waproto::whatsapp as wa;
use waproto::whatsapp::message::{
    AudioMessage, EventMessage, ExtendedTextMessage, FutureProofMessage, ImageMessage,
    PollCreationMessage, ProtocolMessage, VideoMessage, poll_creation_message, protocol_message,
};
use whatsapp_rust::Jid;
use whatsapp_rust::types::events::Event;

use crate::companion::{Companion, PATIENCE, two_phones};
use crate::raw::{RawDevice, word};

fn image() -> wa::Message {
    wa::Message {
        image_message: MessageField::some(ImageMessage::default()),
        ..Default::default()
    }
}

/// Everything with a name of its own on the outside.
fn media() -> Vec<(wa::Message, &'static str)> {
    let film = VideoMessage {
        gif_playback: Some(true),
        ..Default::default()
    };
    let note = AudioMessage {
        ptt: Some(true),
        ..Default::default()
    };
    let link = ExtendedTextMessage {
        text: Some("see https://example.com".to_owned()),
        matched_text: Some("https://example.com".to_owned()),
        ..Default::default()
    };
    let once = FutureProofMessage {
        message: MessageField::some(image()),
    };
    vec![
        (image(), "image"),
        (
            wa::Message {
                video_message: MessageField::some(film),
                ..Default::default()
            },
            "gif",
        ),
        (
            wa::Message {
                audio_message: MessageField::some(note),
                ..Default::default()
            },
            "ptt",
        ),
        (
            wa::Message {
                extended_text_message: MessageField::some(link),
                ..Default::default()
            },
            "url",
        ),
        (
            wa::Message {
                view_once_message_v2: MessageField::some(once),
                ..Default::default()
            },
            "image",
        ),
    ]
}

fn poll() -> wa::Message {
    let options = ["sea", "hills"].map(|name| poll_creation_message::Option {
        option_name: Some(name.to_owned()),
        ..Default::default()
    });
    let poll = PollCreationMessage {
        name: Some("Where to?".to_owned()),
        options: options.to_vec(),
        ..Default::default()
    };
    with_secret(wa::Message {
        poll_creation_message: MessageField::some(poll),
        ..Default::default()
    })
}

fn event() -> wa::Message {
    let event = EventMessage {
        name: Some("Picnic".to_owned()),
        ..Default::default()
    };
    with_secret(wa::Message {
        event_message: MessageField::some(event),
        ..Default::default()
    })
}

fn text(words: &str) -> wa::Message {
    wa::Message {
        conversation: Some(words.to_owned()),
        ..Default::default()
    }
}

fn with_secret(message: wa::Message) -> wa::Message {
    let around = wa::MessageContextInfo {
        message_secret: Some(vec![7; 32]),
        ..Default::default()
    };
    wa::Message {
        message_context_info: MessageField::some(around),
        ..message
    }
}

/// Alice, who writes, and Bob, who has a device that sees what is on the outside.
async fn writer_and_reader() -> (Simulator, [Phone; 2], RawDevice) {
    let (simulator, alice, bob) = two_phones(SimulatorOptions::default()).await;
    let device = RawDevice::linked_to(&bob, &simulator).await;
    (simulator, [alice, bob], device)
}

/// The ciphertext that everybody gets: in groups it comes after the one that brings the key.
fn sealed(message: &Node) -> &Node {
    message
        .get_children_by_tag("enc")
        .last()
        .unwrap_or_else(|| panic!("nothing is sealed in {message:?}"))
}

async fn message(device: &mut RawDevice, id: &str) -> Node {
    device
        .until(|node| node.tag == "message" && word(node, "id") == id)
        .await
}

#[tokio::test]
async fn a_medium_is_named_beside_its_ciphertext_wherever_it_is_sent() {
    let (simulator, [alice, bob], mut device) = writer_and_reader().await;
    let group = alice.creates_group("club", &[&bob]).unwrap();
    let news = alice.creates_newsletter("News", "");
    bob.follows_newsletter(&news).unwrap();
    for (sent, expected) in media() {
        let id = alice
            .sends_message(bob.number(), "media", sent.clone())
            .unwrap();
        assert_eq!(
            word(sealed(&message(&mut device, &id).await), "mediatype"),
            expected
        );
        let id = alice.sends_message(&group, "media", sent.clone()).unwrap();
        assert_eq!(
            word(sealed(&message(&mut device, &id).await), "mediatype"),
            expected
        );
        let id = alice.posts_status(&[&bob], "media", &sent).unwrap();
        let status = message(&mut device, &id).await;
        assert_eq!(word(sealed(&status), "mediatype"), expected);
        // Without it, the poster's number beside the LID is not read.
        assert_eq!(
            (
                word(&status, "addressing_mode").as_str(),
                word(&status, "participant")
            ),
            ("lid", alice.lid())
        );
        assert_eq!(word(&status, "participant_pn"), alice.jid());
        let id = alice.sends_message(&news, "media", sent).unwrap();
        let post = message(&mut device, &id).await;
        assert_eq!(
            word(post.get_optional_child("plaintext").unwrap(), "mediatype"),
            expected
        );
    }
    let id = alice.sends_text(bob.number(), "hello").await.unwrap();
    let text = message(&mut device, &id).await;
    assert_eq!(
        (
            word(sealed(&text), "mediatype"),
            word(sealed(&text), "decrypt-fail")
        ),
        Default::default()
    );
    // There are no files behind these media.
    bob.failures();
    simulator.finish().await.unwrap();
}

#[tokio::test]
async fn what_changes_a_message_or_answers_it_says_so_and_leaves_no_gap_where_it_cannot_be_opened()
{
    let (simulator, [alice, bob], mut device) = writer_and_reader().await;
    let group = alice.creates_group("club", &[&bob]).unwrap();
    for chat in [bob.number(), group.as_str()] {
        let id = alice
            .sends_message(chat, "text", with_secret(text("helo")))
            .unwrap();
        message(&mut device, &id).await;
        let changes = [
            (
                alice.edits_message(chat, &id, "hello").unwrap(),
                "1",
                "hide",
            ),
            (
                alice.edits_sealed(chat, &id, "hello!").unwrap(),
                "1",
                "hide",
            ),
            (
                alice
                    .pins_message(chat, &id, Author::Me, Some(86_400))
                    .unwrap(),
                "2",
                "hide",
            ),
            (
                alice
                    .reacts_to_message(chat, &id, Author::Me, "👍")
                    .unwrap(),
                "",
                "hide",
            ),
            (
                alice.reacts_to_message(chat, &id, Author::Me, "").unwrap(),
                "7",
                "hide",
            ),
            // That something is gone is worth asking for again.
            (alice.deletes_message(chat, &id).unwrap(), "7", ""),
        ];
        for (change, edit, failing) in changes {
            let change = message(&mut device, &change).await;
            assert_eq!(
                (
                    word(&change, "edit").as_str(),
                    word(sealed(&change), "decrypt-fail").as_str()
                ),
                (edit, failing)
            );
        }
        for (asked, kind) in [(poll(), "poll"), (event(), "event")] {
            let id = alice.sends_message(chat, kind, asked).unwrap();
            let answer = match kind {
                "poll" => alice
                    .votes_on_poll(chat, &id, Author::Me, &["sea"])
                    .unwrap(),
                _ => alice
                    .answers_event(chat, &id, Author::Me, EventAnswer::Going)
                    .unwrap(),
            };
            let name = if kind == "poll" {
                "polltype"
            } else {
                "event_type"
            };
            let asked = message(&mut device, &id).await;
            assert_eq!(
                word(asked.get_optional_child("meta").unwrap(), name),
                "creation"
            );
            let answer = message(&mut device, &answer).await;
            let expected = if kind == "poll" { "vote" } else { "response" };
            assert_eq!(
                word(answer.get_optional_child("meta").unwrap(), name),
                expected
            );
            assert_eq!(word(sealed(&answer), "decrypt-fail"), "hide");
        }
    }
    simulator.finish().await.unwrap();
}

#[tokio::test]
async fn an_edit_says_when_it_was_made() {
    let (simulator, alice, bob) = two_phones(SimulatorOptions::default()).await;
    let (mut companion, _) = Companion::linked_to(&bob, &simulator).await;
    let group = alice.creates_group("club", &[&bob]).unwrap();
    for chat in [bob.number(), group.as_str()] {
        let id = alice.sends_message(chat, "text", text("helo")).unwrap();
        alice.edits_message(chat, &id, "hello").unwrap();
        let edit = companion.next("an edit", |event| match event {
            Event::Messages(batch) => batch
                .messages
                .first()?
                .message
                .protocol_message
                .as_option()
                .cloned(),
            _ => None,
        });
        let edit = edit.await;
        let seconds_ago = (wacore::time::now_millis() - edit.timestamp_ms.unwrap()) / 1000;
        assert!((0..60).contains(&seconds_ago), "{edit:?}");
        assert_eq!(edit.key.id.as_deref(), Some(id.as_str()));
    }
    companion.stop().await;
    simulator.finish().await.unwrap();
}

#[tokio::test]
async fn phones_look_through_everything_that_is_wrapped_around_a_message() {
    let (simulator, alice, bob) = two_phones(SimulatorOptions::default()).await;
    let (companion, _) = Companion::linked_to(&alice, &simulator).await;
    let edit = ProtocolMessage {
        r#type: Some(protocol_message::Type::MESSAGE_EDIT),
        edited_message: MessageField::some(text("hello")),
        ..Default::default()
    };
    let edit = wa::Message {
        protocol_message: MessageField::some(edit),
        ..Default::default()
    };
    let wrap = |message: wa::Message| {
        MessageField::some(FutureProofMessage {
            message: MessageField::some(message),
        })
    };
    let wrapped = [
        (
            wa::Message {
                view_once_message_v2: wrap(text("once")),
                ..Default::default()
            },
            "text",
            Some("once"),
        ),
        (
            wa::Message {
                view_once_message_v2_extension: wrap(text("so")),
                ..Default::default()
            },
            "text",
            Some("so"),
        ),
        (
            wa::Message {
                edited_message: wrap(edit),
                ..Default::default()
            },
            "protocol",
            None,
        ),
        (
            wa::Message {
                group_mentioned_message: wrap(text("@all")),
                ..Default::default()
            },
            "text",
            Some("@all"),
        ),
        (
            wa::Message {
                spoiler_message: wrap(text("it was him")),
                ..Default::default()
            },
            "text",
            Some("it was him"),
        ),
    ];
    for (message, kind, said) in wrapped {
        companion
            .client
            .send_message(bob.jid().parse::<Jid>().unwrap(), message)
            .await
            .unwrap();
        let shown = bob.next_message(PATIENCE).await.unwrap();
        assert_eq!(
            (shown.kind.as_str(), shown.text.as_deref()),
            (kind, said),
            "{:?}",
            shown.protobuf
        );
    }
    companion.stop().await;
    simulator.finish().await.unwrap();
}

#[tokio::test]
async fn a_call_says_what_the_caller_runs() {
    let (simulator, [alice, bob], mut device) = writer_and_reader().await;
    let id = alice.starts_call(bob.number(), true).unwrap();
    alice.hangs_up(bob.number(), &id).unwrap();
    for action in ["offer", "terminate"] {
        let call = device.until(|node| node.tag == "call").await;
        assert!(call.get_optional_child(action).is_some(), "{call:?}");
        assert_eq!(word(&call, "platform"), "android");
        assert!(word(&call, "version").starts_with("2."), "{call:?}");
    }
    simulator.finish().await.unwrap();
}
