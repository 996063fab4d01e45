//! Buttons, lists and calls to action in a request.

use crate::http::extract::Fields;
use crate::ids;
use crate::message::ChatId;
use crate::message::interactive::{
    Button, Buttons, Call, Choice, Code, Element, Header, Interactive, Link, Menu, Number, PixKey,
    Section, Words,
};

/// WhatsApp's own limits, in characters.
const LONGEST_BODY: usize = 1_024;
const LONGEST_FRAME: usize = 60;
const LONGEST_TITLE: usize = 20;
const LONGEST_ROW: usize = 24;
const LONGEST_DESCRIPTION: usize = 72;
const LONGEST_ID: usize = 256;
const LONGEST_CODE: usize = 100;
/// Limits of Brazil's central bank.
const LONGEST_KEY: usize = 77;
const LONGEST_REFERENCE: usize = 35;
const MOST_BUTTONS: usize = 3;
const MOST_ROWS: usize = 10;

/// The kinds that can be sent.
pub(super) const KINDS: [&str; 6] = ["button", "list", "cta_url", "cta_call", "cta_copy", "pix"];

pub(super) fn interactive(fields: &mut Fields) -> Option<Interactive> {
    let kind = fields.parsed("type", |text| {
        let kind = KINDS.into_iter().find(|kind| *kind == text);
        kind.ok_or_else(|| format!("must be one of {}", KINDS.join(", ")))
    });
    let header = inner(fields, "header", header);
    let body = inner(fields, "body", |body| words(body, LONGEST_BODY));
    // A payment request needs no text.
    let needs_body = kind != Some("pix");
    if needs_body && body.is_none() && !fields.has("body") {
        fields.refuse("body", "is missing");
    }
    let footer = inner(fields, "footer", |footer| words(footer, LONGEST_FRAME));
    if !fields.has("action") {
        fields.refuse("action", "is missing");
    }
    let action = inner(fields, "action", |action| {
        kind.and_then(|kind| element(action, kind))
    });
    let body = body.flatten();
    if needs_body && body.is_none() {
        return None;
    }
    Some(Interactive {
        header: header.flatten(),
        body,
        footer: footer.flatten(),
        element: action??,
    })
}

/// Reads a nested object; its errors are reported under its name.
fn inner<T>(
    fields: &mut Fields,
    name: &'static str,
    read: impl FnOnce(&mut Fields) -> T,
) -> Option<T> {
    let mut inner = fields.inner(name)?;
    let value = read(&mut inner);
    fields.absorb(name, inner);
    Some(value)
}

fn header(fields: &mut Fields) -> Option<Header> {
    let is_text = fields.parsed("type", |text| {
        if text == "text" {
            Ok(())
        } else {
            Err("must be `text`")
        }
    });
    let text = fields.text_up_to("text", LONGEST_FRAME);
    is_text.and(text).map(|text| Header::Text { text })
}

fn words(fields: &mut Fields, longest: usize) -> Option<Words> {
    fields
        .text_up_to("text", longest)
        .map(|text| Words { text })
}

fn element(fields: &mut Fields, kind: &str) -> Option<Element> {
    match kind {
        "button" => buttons(fields).map(|buttons| Element::Button {
            action: Buttons { buttons },
        }),
        "list" => menu(fields).map(|action| Element::List { action }),
        call => {
            // As in the Cloud API, where `name` repeats the type.
            fields.ignore("name");
            if !fields.has("parameters") {
                fields.refuse("parameters", "is missing");
            }
            inner(fields, "parameters", |parameters| {
                parameter(parameters, call)
            })
            .flatten()
        }
    }
}

fn pix(fields: &mut Fields) -> Option<Element> {
    let merchant_name = fields.text_up_to("merchant_name", LONGEST_FRAME);
    let key = fields.text_up_to("key", LONGEST_KEY);
    let key_type = fields.parsed("key_type", |text| {
        let is_one = PixKey::TYPES.contains(&text);
        if is_one {
            Ok(text.to_owned())
        } else {
            Err(format!("must be one of {}", PixKey::TYPES.join(", ")))
        }
    });
    let reference_id = fields.optional_text_up_to("reference_id", LONGEST_REFERENCE);
    let reference_id = reference_id.unwrap_or_else(ids::payment_reference);
    let parameters = PixKey {
        merchant_name: merchant_name?,
        key: key?,
        key_type: key_type?,
        reference_id,
    };
    Some(Element::Pix {
        action: Call { parameters },
    })
}

fn parameter(fields: &mut Fields, kind: &str) -> Option<Element> {
    if kind == "pix" {
        return pix(fields);
    }
    let display_text = fields.text_up_to("display_text", LONGEST_TITLE);
    Some(match kind {
        "cta_url" => {
            let url = fields.parsed("url", |text| {
                crate::fetch::web_address(text).map(|_| text.to_owned())
            });
            Element::CtaUrl {
                action: Call {
                    parameters: Link {
                        display_text: display_text?,
                        url: url?,
                    },
                },
            }
        }
        "cta_call" => {
            let number = fields.parsed("phone_number", |text| match ChatId::parse(text) {
                Ok(ChatId::Phone(number)) => Ok(format!("+{number}")),
                Ok(_) => Err("is no phone number".to_owned()),
                Err(error) => Err(error.to_string()),
            });
            let parameters = Number {
                display_text: display_text?,
                phone_number: number?,
            };
            Element::CtaCall {
                action: Call { parameters },
            }
        }
        _ => {
            let code = fields.text_up_to("code", LONGEST_CODE);
            Element::CtaCopy {
                action: Call {
                    parameters: Code {
                        display_text: display_text?,
                        code: code?,
                    },
                },
            }
        }
    })
}

fn buttons(fields: &mut Fields) -> Option<Vec<Button>> {
    let list = fields.objects("buttons", 1..=MOST_BUTTONS)?;
    let mut buttons = Vec::with_capacity(list.len());
    for (index, mut button) in list.into_iter().enumerate() {
        button.optional_parsed("type", |text| {
            if text == "reply" {
                Ok(())
            } else {
                Err("must be `reply`")
            }
        });
        if !button.has("reply") {
            button.refuse("reply", "is missing");
        }
        let reply = inner(&mut button, "reply", |reply| choice(reply, LONGEST_TITLE)).flatten();
        buttons.push(reply.map(|reply| Button::Reply { reply }));
        fields.absorb(&format!("buttons[{index}]"), button);
    }
    let buttons: Vec<_> = buttons.into_iter().collect::<Option<_>>()?;
    let ids: Vec<_> = buttons
        .iter()
        .map(|Button::Reply { reply }| reply.id.clone())
        .collect();
    differ(fields, "buttons", &ids).then_some(buttons)
}

fn menu(fields: &mut Fields) -> Option<Menu> {
    let button = fields.text_up_to("button", LONGEST_TITLE);
    let list = fields.objects("sections", 1..=MOST_ROWS)?;
    let (mut sections, many) = (Vec::new(), list.len() > 1);
    for (index, mut section) in list.into_iter().enumerate() {
        sections.push(self::section(&mut section, many));
        fields.absorb(&format!("sections[{index}]"), section);
    }
    let sections: Vec<_> = sections.into_iter().collect::<Option<_>>()?;
    let ids: Vec<_> = sections
        .iter()
        .flat_map(|section| &section.rows)
        .map(|row| row.id.clone())
        .collect();
    if ids.len() > MOST_ROWS {
        fields.refuse(
            "sections",
            format!("have more than {MOST_ROWS} rows together"),
        );
    }
    differ(fields, "sections", &ids).then_some(Menu {
        button: button?,
        sections,
    })
}

fn section(fields: &mut Fields, is_one_of_many: bool) -> Option<Section> {
    let title = fields.optional_text_up_to("title", LONGEST_ROW);
    if title.is_none() && is_one_of_many {
        fields.refuse("title", "is missing, which is for a single section only");
    }
    let list = fields.objects("rows", 1..=MOST_ROWS)?;
    let mut rows = Vec::with_capacity(list.len());
    for (index, mut row) in list.into_iter().enumerate() {
        let description = row.optional_text_up_to("description", LONGEST_DESCRIPTION);
        rows.push(choice(&mut row, LONGEST_ROW).map(|choice| Choice {
            description,
            ..choice
        }));
        fields.absorb(&format!("rows[{index}]"), row);
    }
    Some(Section {
        title,
        rows: rows.into_iter().collect::<Option<_>>()?,
    })
}

fn choice(fields: &mut Fields, longest: usize) -> Option<Choice> {
    let (id, title) = (
        fields.text_up_to("id", LONGEST_ID),
        fields.text_up_to("title", longest),
    );
    Some(Choice {
        id: id?,
        title: title?,
        description: None,
    })
}

/// Checks that ids are unique: a reply identifies the chosen option by its id.
fn differ(fields: &mut Fields, field: &'static str, ids: &[String]) -> bool {
    let has_twin = ids
        .iter()
        .enumerate()
        .any(|(index, id)| ids[..index].contains(id));
    fields.holds(
        field,
        if has_twin {
            Err("have the same id twice".to_owned())
        } else {
            Ok(())
        },
    )
}
