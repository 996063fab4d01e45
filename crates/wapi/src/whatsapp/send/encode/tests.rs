use jiff::Timestamp;
use proptest::prelude::*;
use whatsapp_rust::waproto::codec;

use crate::model::event::Person;
use crate::model::message::interactive::{
    ButtonAction, CodeParameters, CtaAction, InteractiveContent, InteractiveElement,
    InteractiveHeader, InteractiveText, ListAction, ListSection, PhoneParameters, PixKey,
    ReplyButton, ReplyChoice, UrlParameters,
};
use crate::model::message::{
    AlbumContent, CalendarEvent, ContactCard, ContactPhone, EventVenue, GroupInvite, LiveLocation,
    Location, MessageContext, NewsletterInvite, PhoneNumberRequest, PollContent, PollQuiz, Price,
    Product, TextContent,
};
use crate::whatsapp::receive::decode::content;
use crate::whatsapp::send::encode::*;

const ANN: &str = "375440000009@s.whatsapp.net";

#[test]
fn chats_keep_their_address() {
    for text in [
        "375447034810@s.whatsapp.net",
        "123456789012345@lid",
        "120363025246125486@g.us",
    ] {
        assert_eq!(chat_jid(&ChatId::parse(text).unwrap()).to_string(), text);
    }
}

#[test]
fn in_a_group_the_author_belongs_to_what_a_message_is_known_by() {
    let group = ChatId::parse("120363025246125486@g.us").unwrap();
    let person = ChatId::parse(ANN).unwrap();
    for (chat, is_own, participant) in [
        (&group, false, Some(ANN)),
        (&group, true, None),
        (&person, false, None),
    ] {
        let quote = Quote {
            id: "3EB0".to_owned(),
            author: ANN.to_owned(),
            is_own,
            chat: None,
            message: None,
        };
        let around = EncodeContext {
            chat,
            quote: Some(&quote),
            secret: None,
            sealed: None,
            preview: None,
            original: None,
            now: Timestamp::UNIX_EPOCH,
        };
        let key = quoted_key(&around).unwrap();
        assert_eq!(
            (key.participant.as_deref(), key.from_me),
            (participant, Some(is_own))
        );
    }
}

fn words() -> impl Strategy<Value = String> {
    "\\PC{0,20}[\\PC&&[^ ]]"
}

fn maybe_words() -> impl Strategy<Value = Option<String>> {
    proptest::option::of(words())
}

fn seconds() -> impl Strategy<Value = Timestamp> {
    (0..4_000_000_000i64).prop_map(|second| Timestamp::from_second(second).unwrap())
}

fn location() -> impl Strategy<Value = MessageContent> {
    (
        -90.0..=90.0f64,
        -180.0..=180.0f64,
        maybe_words(),
        maybe_words(),
    )
        .prop_map(
            |(latitude, longitude, name, address)| MessageContent::Location {
                location: Location {
                    latitude,
                    longitude,
                    name,
                    address,
                },
            },
        )
}

fn contacts() -> impl Strategy<Value = MessageContent> {
    // Blanks around a number carry no meaning and are not read.
    let number = words()
        .prop_map(|number| number.trim().to_owned())
        .prop_filter("blanks alone", |it| !it.is_empty());
    let phone = (number, proptest::option::of("[1-9][0-9]{6,14}"))
        .prop_map(|(phone, wa_id)| ContactPhone { phone, wa_id });
    let contact = (words(), proptest::collection::vec(phone, 1..3));
    let contact = contact.prop_map(|(name, phones)| {
        let contact = ContactCard::from_phones(name, &phones);
        assert_eq!(contact.phones, phones);
        contact
    });
    proptest::collection::vec(contact, 1..4)
        .prop_map(|contacts| MessageContent::Contacts { contacts })
}

fn poll() -> impl Strategy<Value = MessageContent> {
    let options = proptest::collection::hash_set(words(), 2..12);
    (words(), options, 0..12usize, any::<bool>()).prop_map(|(question, options, most, is_quiz)| {
        let options: Vec<_> = options.into_iter().collect();
        let quiz = is_quiz.then(|| PollQuiz {
            answer: options[most % options.len()].clone(),
        });
        let most = if is_quiz { 1 } else { 1 + most % options.len() };
        MessageContent::Poll {
            poll: PollContent {
                question,
                options,
                max_selections: u32::try_from(most).unwrap(),
                quiz,
            },
        }
    })
}

fn event() -> impl Strategy<Value = MessageContent> {
    let point = proptest::option::of((-90.0..=90.0f64, -180.0..=180.0f64));
    let place = (words(), maybe_words(), point).prop_map(|(name, address, point)| EventVenue {
        name: Some(name),
        address,
        latitude: point.map(|point| point.0),
        longitude: point.map(|point| point.1),
    });
    let event = (
        words(),
        maybe_words(),
        seconds(),
        proptest::option::of(seconds()),
        proptest::option::of(place),
    );
    event.prop_map(|(name, description, start, end, place)| {
        let event = CalendarEvent {
            name,
            description,
            start: Some(start),
            end,
            place,
            join_link: None,
            canceled: false,
        };
        MessageContent::Event { event }
    })
}

fn live_location() -> impl Strategy<Value = MessageContent> {
    let numbers = (
        proptest::option::of(0..9_000u32),
        proptest::option::of(0.0..99.0f32),
        proptest::option::of(0..360u32),
    );
    (
        -90.0..=90.0f64,
        -180.0..=180.0f64,
        numbers,
        maybe_words(),
        any::<i64>(),
    )
        .prop_map(
            |(latitude, longitude, (accuracy, speed, bearing), caption, sequence)| {
                let sequence = Some(sequence);
                let live_location = LiveLocation {
                    latitude,
                    longitude,
                    accuracy,
                    speed,
                    bearing,
                    caption,
                    sequence,
                };
                MessageContent::LiveLocation { live_location }
            },
        )
}

fn group_invite() -> impl Strategy<Value = MessageContent> {
    (
        "[0-9]{10,18}@g\\.us",
        words(),
        maybe_words(),
        maybe_words(),
        proptest::option::of(seconds()),
    )
        .prop_map(
            |(group, code, name, caption, expires_at)| MessageContent::GroupInvite {
                group_invite: GroupInvite {
                    group,
                    code,
                    name,
                    caption,
                    expires_at,
                },
            },
        )
}

fn newsletter_invite() -> impl Strategy<Value = MessageContent> {
    (
        "[0-9]{10,18}@newsletter",
        maybe_words(),
        maybe_words(),
        proptest::option::of(seconds()),
    )
        .prop_map(|(newsletter, name, caption, expires_at)| {
            let newsletter_invite = NewsletterInvite {
                newsletter,
                name,
                caption,
                expires_at,
            };
            MessageContent::NewsletterInvite { newsletter_invite }
        })
}

fn album() -> impl Strategy<Value = MessageContent> {
    (0..10u32, 0..10u32).prop_map(|(images, videos)| MessageContent::Album {
        album: AlbumContent { images, videos },
    })
}

fn product() -> impl Strategy<Value = MessageContent> {
    let named = (
        maybe_words(),
        maybe_words(),
        maybe_words(),
        maybe_words(),
        maybe_words(),
        maybe_words(),
    );
    let amount = || proptest::option::of(-1_000_000_000_000_000..=1_000_000_000_000_000i64);
    let owner = proptest::option::of("[1-9][0-9]{6,14}@s\\.whatsapp\\.net");
    let prices = ("[A-Z]{3}", amount(), amount());
    (
        named,
        prices,
        owner,
        maybe_words(),
        proptest::option::of(any::<u32>()),
    )
        .prop_map(
            |(
                (id, title, description, url, body, footer),
                (currency, price, sale_price),
                owner,
                retailer_id,
                image_count,
            )| {
                let in_currency =
                    |amount: Option<i64>| Price::from_thousandths(amount?, currency.clone());
                let (price, sale_price) = (in_currency(price), in_currency(sale_price));
                let image = None;
                MessageContent::Product {
                    product: Box::new(Product {
                        id,
                        owner,
                        title,
                        description,
                        price,
                        sale_price,
                        retailer_id,
                        url,
                        image_count,
                        image,
                        body,
                        footer,
                    }),
                }
            },
        )
}

fn choice() -> impl Strategy<Value = ReplyChoice> {
    (words(), words()).prop_map(|(id, title)| ReplyChoice {
        id,
        title,
        description: None,
    })
}

fn element() -> impl Strategy<Value = InteractiveElement> {
    let buttons = proptest::collection::vec(
        choice().prop_map(|reply| ReplyButton::Reply { reply }),
        1..4,
    );
    let row = (choice(), maybe_words()).prop_map(|(choice, description)| ReplyChoice {
        description,
        ..choice
    });
    let section = (maybe_words(), proptest::collection::vec(row, 1..4));
    let section = section.prop_map(|(title, rows)| ListSection { title, rows });
    let menu = (words(), proptest::collection::vec(section, 1..3));
    let url =
        (words(), words()).prop_map(|(display_text, url)| UrlParameters { display_text, url });
    let number = (words(), words()).prop_map(|(display_text, phone_number)| PhoneParameters {
        display_text,
        phone_number,
    });
    let code =
        (words(), words()).prop_map(|(display_text, code)| CodeParameters { display_text, code });
    let key_type = prop::sample::select(PixKey::TYPES.map(str::to_owned).to_vec());
    let pix = (words(), words(), key_type, words()).prop_map(
        |(merchant_name, key, key_type, reference_id)| PixKey {
            merchant_name,
            key,
            key_type,
            reference_id,
        },
    );
    prop_oneof![
        pix.prop_map(|parameters| InteractiveElement::Pix {
            action: CtaAction { parameters }
        }),
        buttons.prop_map(|buttons| InteractiveElement::Button {
            action: ButtonAction { buttons }
        }),
        menu.prop_map(|(button, sections)| InteractiveElement::List {
            action: ListAction { button, sections }
        }),
        url.prop_map(|parameters| InteractiveElement::CtaUrl {
            action: CtaAction { parameters }
        }),
        number.prop_map(|parameters| InteractiveElement::CtaCall {
            action: CtaAction { parameters }
        }),
        code.prop_map(|parameters| InteractiveElement::CtaCopy {
            action: CtaAction { parameters }
        }),
    ]
}

fn interactive() -> impl Strategy<Value = MessageContent> {
    (maybe_words(), words(), maybe_words(), element()).prop_map(
        |(header, body, footer, element)| {
            let words = |text| InteractiveText { text };
            let header = header.map(|text| InteractiveHeader::Text { text });
            let interactive = InteractiveContent {
                header,
                body: Some(words(body)),
                footer: footer.map(words),
                element,
            };
            MessageContent::Interactive { interactive }
        },
    )
}

fn content() -> impl Strategy<Value = MessageContent> {
    let text = words().prop_map(|body| MessageContent::Text {
        text: TextContent::new(body),
    });
    let few = prop_oneof![
        text,
        location(),
        live_location(),
        contacts(),
        poll(),
        event(),
        group_invite(),
        newsletter_invite(),
        Just(MessageContent::PhoneNumberRequest {
            phone_number_request: PhoneNumberRequest {},
        }),
        album()
    ];
    prop_oneof![8 => few, 1 => interactive(), 1 => product()]
}

proptest! {
    /// Messages pass through WhatsApp's format unchanged: receivers get the content that was sent.
    #[test]
    fn every_message_comes_back_from_the_wire_as_it_was(
        sent in content(),
        quoted in proptest::option::of(content()),
        mentions in proptest::collection::vec("[1-9][0-9]{6,14}@s\\.whatsapp\\.net", 0..3),
        forwarded in any::<bool>(),
        expires_after in proptest::option::of(1..u32::MAX),
        album_id in proptest::option::of("3EB0[0-9A-F]{18}"),
    ) {
        let quote = quoted.as_ref().map(|quoted| Quote {
            id: "3EB0".to_owned(),
            author: ANN.to_owned(),
            is_own: false,
            chat: None,
            message: Some(Message::new(quoted.clone())),
        });
        let context = quoted.map(|quoted| MessageContext {
            message_id: "3EB0".to_owned(),
            from: Some(ANN.to_owned()),
            phone: ANN.split('@').next().map(str::to_owned),
            lid: None,
            chat: None,
            quoted: Some(Box::new(quoted)),
        });
        let message = Message { context, mentions, forwarded, expires_after, album_id, ..Message::new(sent) };
        let chat = ChatId::parse(ANN).unwrap();
        let around = EncodeContext { chat: &chat, quote: quote.as_ref(), secret: None, sealed: None, preview: None, original: None, now: Timestamp::UNIX_EPOCH };
        let wire = codec::message_to_vec(&encode_message(&message, None, &around).unwrap());
        let person = |id: &String| Person { id: id.clone(), phone: id.split('@').next().map(str::to_owned), ..Person::default() };
        let mentioned = message.mentions.iter().map(person).collect();
        let received = Message { mentioned, ..message };
        prop_assert_eq!(content::decode_body(&codec::message_decode(&wire).unwrap()), Some(received));
    }
}
