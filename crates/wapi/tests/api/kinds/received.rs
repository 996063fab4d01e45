//! Each kind of message that a phone sends, as the webhook is told of it, with all that is in it.

use insta::assert_json_snapshot;
use serde_json::Value;
use wapi_simulator::{GroupInvitation, LiveLocation, PlannedEvent, QuotedMessage, RichText};

use super::VCARD;
use crate::harness::{TestApp, shop, steady};

/// The message in the next post, without what every message has.
async fn told(app: &TestApp, id: &str) -> Value {
    let event = app.webhook.next().await.body;
    assert_eq!(event["type"], "message.received");
    let mut data = event["data"].clone();
    assert_eq!(data["id"], id);
    let members = data.as_object_mut().unwrap();
    for common in ["session", "id", "chat", "from", "timestamp", "offline"] {
        members.remove(common).expect("every message has it");
    }
    steady(&data, &[])
}

#[tokio::test]
async fn a_text_has_its_mentions_its_quotation_and_that_it_was_forwarded() {
    shop(async |app, alice, bob| {
        let text = RichText {
            body: "nice".to_owned(),
            mentions: vec!["375440000009@s.whatsapp.net".to_owned()],
            quotes: Some(QuotedMessage {
                id: "3EB0".to_owned(),
                author: "375440000009:2@s.whatsapp.net".to_owned(),
                picture_caption: Some("look".to_owned()),
            }),
            is_forwarded: true,
            expires_after: None,
        };
        let id = bob.sends_rich_text(alice.number(), text).unwrap();
        assert_json_snapshot!(told(app, &id).await, @r#"
        {
          "context": {
            "from": "375440000009@s.whatsapp.net",
            "message_id": "3EB0",
            "phone": "375440000009",
            "quoted": {
              "image": {
                "caption": "look",
                "duration": null,
                "filename": null,
                "height": null,
                "mime_type": "image/png",
                "sha256": null,
                "size": null,
                "width": null
              },
              "type": "image"
            }
          },
          "forwarded": true,
          "mentioned": [
            {
              "id": "375440000009@s.whatsapp.net",
              "lid": null,
              "name": null,
              "phone": "375440000009"
            }
          ],
          "mentions": [
            "375440000009@s.whatsapp.net"
          ],
          "text": {
            "body": "nice"
          },
          "type": "text"
        }
        "#);
    })
    .await;
}

#[tokio::test]
async fn a_place_has_its_coordinates_and_its_name() {
    shop(async |app, alice, bob| {
        let id = bob
            .sends_location(alice.number(), 53.9, -27.5, "Here")
            .unwrap();
        assert_json_snapshot!(told(app, &id).await, @r#"
        {
          "location": {
            "address": null,
            "latitude": 53.9,
            "longitude": -27.5,
            "name": "Here"
          },
          "type": "location"
        }
        "#);
    })
    .await;
}

#[tokio::test]
async fn a_live_location_has_its_accuracy_its_speed_and_its_bearing() {
    shop(async |app, alice, bob| {
        let place = LiveLocation {
            latitude: 53.9,
            longitude: -27.5,
            accuracy: 5,
            speed: 1.5,
            bearing: 90,
            caption: "on my way".to_owned(),
            sequence: 7,
        };
        let id = bob.sends_live_location(alice.number(), place).unwrap();
        assert_json_snapshot!(told(app, &id).await, @r#"
        {
          "live_location": {
            "accuracy": 5,
            "bearing": 90,
            "caption": "on my way",
            "latitude": 53.9,
            "longitude": -27.5,
            "sequence": 7,
            "speed": 1.5
          },
          "type": "live_location"
        }
        "#);
    })
    .await;
}

#[tokio::test]
async fn one_contact_is_a_list_of_one_with_its_numbers_read_from_the_card() {
    shop(async |app, alice, bob| {
        let id = bob
            .sends_contacts(alice.number(), &[("Ann", VCARD)])
            .unwrap();
        assert_json_snapshot!(told(app, &id).await, @r#"
        {
          "contacts": [
            {
              "name": "Ann",
              "phones": [
                {
                  "phone": "+375 44 703-48-10",
                  "wa_id": "375447034810"
                }
              ],
              "vcard": "BEGIN:VCARD\nVERSION:3.0\nN:;Ann;;;\nFN:Ann\nTEL;type=CELL;type=VOICE;waid=375447034810:+375 44 703-48-10\nEND:VCARD"
            }
          ],
          "type": "contacts"
        }
        "#);
    })
    .await;
}

#[tokio::test]
async fn several_contacts_are_one_message() {
    shop(async |app, alice, bob| {
        let id = bob
            .sends_contacts(alice.number(), &[("Ann", VCARD), ("Bob", VCARD)])
            .unwrap();
        let told = told(app, &id).await;
        let contacts = told["contacts"].as_array().unwrap();
        let names: Vec<_> = contacts.iter().map(|contact| &contact["name"]).collect();
        assert_eq!(names, ["Ann", "Bob"]);
    })
    .await;
}

#[tokio::test]
async fn a_poll_that_limits_no_choice_may_have_all_of_them() {
    shop(async |app, alice, bob| {
        let id = bob
            .sends_poll(alice.number(), "What?", &["Tea", "Coffee"], 0)
            .unwrap();
        assert_json_snapshot!(told(app, &id).await, @r#"
        {
          "poll": {
            "max_selections": 2,
            "options": [
              "Tea",
              "Coffee"
            ],
            "question": "What?"
          },
          "type": "poll"
        }
        "#);
    })
    .await;
}

#[tokio::test]
async fn an_event_has_its_time_and_its_place() {
    shop(async |app, alice, bob| {
        let party = PlannedEvent {
            name: "Party".to_owned(),
            start: Some(1_796_115_600),
            place: Some("Here".to_owned()),
        };
        let id = bob.sends_event(alice.number(), party).unwrap();
        assert_json_snapshot!(told(app, &id).await, @r#"
        {
          "event": {
            "description": null,
            "end": null,
            "name": "Party",
            "place": {
              "address": null,
              "latitude": null,
              "longitude": null,
              "name": "Here"
            },
            "start": "2026-12-01T09:00:00.000Z"
          },
          "type": "event"
        }
        "#);
    })
    .await;
}

#[tokio::test]
async fn an_invitation_to_a_group_has_its_code_and_its_end() {
    shop(async |app, alice, bob| {
        let invitation = GroupInvitation {
            group: "120363025246125486@g.us".to_owned(),
            code: "c0de".to_owned(),
            name: "Friends".to_owned(),
            expires_at: 1_796_115_600,
        };
        let id = bob
            .sends_group_invitation(alice.number(), invitation)
            .unwrap();
        assert_json_snapshot!(told(app, &id).await, @r#"
        {
          "group_invite": {
            "caption": null,
            "code": "c0de",
            "expires_at": "2026-12-01T09:00:00.000Z",
            "group": "120363025246125486@g.us",
            "name": "Friends"
          },
          "type": "group_invite"
        }
        "#);
    })
    .await;
}

#[tokio::test]
async fn somebody_may_ask_for_the_phone_number() {
    shop(async |app, alice, bob| {
        let id = bob.asks_for_phone_number(alice.number()).unwrap();
        assert_json_snapshot!(told(app, &id).await, @r#"
        {
          "phone_number_request": {},
          "type": "phone_number_request"
        }
        "#);
    })
    .await;
}

#[tokio::test]
async fn a_picture_that_may_be_seen_once_says_so() {
    shop(async |app, alice, bob| {
        let id = bob.sends_lost_picture(alice.number()).unwrap();
        let told = told(app, &id).await;
        assert_eq!(told["type"], "image");
        assert_eq!(told["image"]["view_once"], true);
        assert_eq!(told["image"]["mime_type"], "image/png");
        assert_eq!(
            alice.failures().len(),
            1,
            "there is no file behind the picture"
        );
    })
    .await;
}
