//! Buttons, lists and calls to action in a request.

use crate::http::request::extract::JsonFields;
use crate::model::ids;
use crate::model::message::ChatId;
use crate::model::message::interactive::{
    ButtonAction, CodeParameters, CtaAction, InteractiveContent, InteractiveElement,
    InteractiveHeader, InteractiveText, ListAction, ListSection, PhoneParameters, PixKey,
    ReplyButton, ReplyChoice, UrlParameters,
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
pub(crate) const KINDS: [&str; 6] = ["button", "list", "cta_url", "cta_call", "cta_copy", "pix"];

pub(crate) fn read_interactive(fields: &mut JsonFields) -> Option<InteractiveContent> {
    let kind = fields.parse_required("type", |text| {
        let kind = KINDS.into_iter().find(|kind| *kind == text);
        kind.ok_or_else(|| format!("must be one of {}", KINDS.join(", ")))
    });
    let header = read_nested(fields, "header", read_header);
    let body = read_nested(fields, "body", |body| read_text_block(body, LONGEST_BODY));
    // A payment request needs no text.
    let needs_body = kind != Some("pix");
    if needs_body && body.is_none() && !fields.has_value("body") {
        fields.refuse_field("body", "is missing");
    }
    let footer = read_nested(fields, "footer", |footer| {
        read_text_block(footer, LONGEST_FRAME)
    });
    if !fields.has_value("action") {
        fields.refuse_field("action", "is missing");
    }
    let action = read_nested(fields, "action", |action| {
        kind.and_then(|kind| read_element(action, kind))
    });
    let body = body.flatten();
    if needs_body && body.is_none() {
        return None;
    }
    Some(InteractiveContent {
        header: header.flatten(),
        body,
        footer: footer.flatten(),
        element: action??,
    })
}

/// Reads a nested object; its errors are reported under its name.
fn read_nested<T>(
    fields: &mut JsonFields,
    name: &'static str,
    read: impl FnOnce(&mut JsonFields) -> T,
) -> Option<T> {
    let mut inner = fields.nested_fields(name)?;
    let value = read(&mut inner);
    fields.absorb_errors(name, inner);
    Some(value)
}

fn read_header(fields: &mut JsonFields) -> Option<InteractiveHeader> {
    let is_text = fields.parse_required("type", |text| {
        if text == "text" {
            Ok(())
        } else {
            Err("must be `text`")
        }
    });
    let text = fields.text_up_to("text", LONGEST_FRAME);
    is_text
        .and(text)
        .map(|text| InteractiveHeader::Text { text })
}

fn read_text_block(fields: &mut JsonFields, longest: usize) -> Option<InteractiveText> {
    fields
        .text_up_to("text", longest)
        .map(|text| InteractiveText { text })
}

fn read_element(fields: &mut JsonFields, kind: &str) -> Option<InteractiveElement> {
    match kind {
        "button" => read_buttons(fields).map(|buttons| InteractiveElement::Button {
            action: ButtonAction { buttons },
        }),
        "list" => read_menu(fields).map(|action| InteractiveElement::List { action }),
        call => {
            // As in the Cloud API, where `name` repeats the type.
            fields.ignore_field("name");
            if !fields.has_value("parameters") {
                fields.refuse_field("parameters", "is missing");
            }
            read_nested(fields, "parameters", |parameters| {
                read_call_element(parameters, call)
            })
            .flatten()
        }
    }
}

fn read_pix(fields: &mut JsonFields) -> Option<InteractiveElement> {
    let merchant_name = fields.text_up_to("merchant_name", LONGEST_FRAME);
    let key = fields.text_up_to("key", LONGEST_KEY);
    let key_type = fields.parse_required("key_type", |text| {
        let is_one = PixKey::TYPES.contains(&text);
        if is_one {
            Ok(text.to_owned())
        } else {
            Err(format!("must be one of {}", PixKey::TYPES.join(", ")))
        }
    });
    let reference_id = fields.optional_text_up_to("reference_id", LONGEST_REFERENCE);
    let reference_id = reference_id.unwrap_or_else(ids::new_payment_reference);
    let parameters = PixKey {
        merchant_name: merchant_name?,
        key: key?,
        key_type: key_type?,
        reference_id,
    };
    Some(InteractiveElement::Pix {
        action: CtaAction { parameters },
    })
}

fn read_call_element(fields: &mut JsonFields, kind: &str) -> Option<InteractiveElement> {
    if kind == "pix" {
        return read_pix(fields);
    }
    let display_text = fields.text_up_to("display_text", LONGEST_TITLE);
    Some(match kind {
        "cta_url" => {
            let url = fields.parse_required("url", |text| {
                crate::media::link_download::parse_web_address(text).map(|_| text.to_owned())
            });
            InteractiveElement::CtaUrl {
                action: CtaAction {
                    parameters: UrlParameters {
                        display_text: display_text?,
                        url: url?,
                    },
                },
            }
        }
        "cta_call" => {
            let number = fields.parse_required("phone_number", |text| match ChatId::parse(text) {
                Ok(ChatId::Phone(number)) => Ok(format!("+{number}")),
                Ok(_) => Err("is not a phone number".to_owned()),
                Err(error) => Err(error.to_string()),
            });
            let parameters = PhoneParameters {
                display_text: display_text?,
                phone_number: number?,
            };
            InteractiveElement::CtaCall {
                action: CtaAction { parameters },
            }
        }
        _ => {
            let code = fields.text_up_to("code", LONGEST_CODE);
            InteractiveElement::CtaCopy {
                action: CtaAction {
                    parameters: CodeParameters {
                        display_text: display_text?,
                        code: code?,
                    },
                },
            }
        }
    })
}

fn read_buttons(fields: &mut JsonFields) -> Option<Vec<ReplyButton>> {
    let list = fields.required_objects("buttons", 1..=MOST_BUTTONS)?;
    let mut buttons = Vec::with_capacity(list.len());
    for (index, mut button) in list.into_iter().enumerate() {
        button.parse_optional("type", |text| {
            if text == "reply" {
                Ok(())
            } else {
                Err("must be `reply`")
            }
        });
        if !button.has_value("reply") {
            button.refuse_field("reply", "is missing");
        }
        let reply = read_nested(&mut button, "reply", |reply| {
            read_choice(reply, LONGEST_TITLE)
        })
        .flatten();
        buttons.push(reply.map(|reply| ReplyButton::Reply { reply }));
        fields.absorb_errors(&format!("buttons[{index}]"), button);
    }
    let buttons: Vec<_> = buttons.into_iter().collect::<Option<_>>()?;
    let ids: Vec<_> = buttons
        .iter()
        .map(|ReplyButton::Reply { reply }| reply.id.clone())
        .collect();
    check_unique_ids(fields, "buttons", &ids).then_some(buttons)
}

fn read_menu(fields: &mut JsonFields) -> Option<ListAction> {
    let button = fields.text_up_to("button", LONGEST_TITLE);
    let list = fields.required_objects("sections", 1..=MOST_ROWS)?;
    let (mut sections, many) = (Vec::new(), list.len() > 1);
    for (index, mut section) in list.into_iter().enumerate() {
        sections.push(self::read_section(&mut section, many));
        fields.absorb_errors(&format!("sections[{index}]"), section);
    }
    let sections: Vec<_> = sections.into_iter().collect::<Option<_>>()?;
    let ids: Vec<_> = sections
        .iter()
        .flat_map(|section| &section.rows)
        .map(|row| row.id.clone())
        .collect();
    if ids.len() > MOST_ROWS {
        fields.refuse_field(
            "sections",
            format!("have more than {MOST_ROWS} rows together"),
        );
    }
    check_unique_ids(fields, "sections", &ids).then_some(ListAction {
        button: button?,
        sections,
    })
}

fn read_section(fields: &mut JsonFields, is_one_of_many: bool) -> Option<ListSection> {
    let title = fields.optional_text_up_to("title", LONGEST_ROW);
    if title.is_none() && is_one_of_many {
        fields.refuse_field("title", "is missing; only a single section may omit it");
    }
    let list = fields.required_objects("rows", 1..=MOST_ROWS)?;
    let mut rows = Vec::with_capacity(list.len());
    for (index, mut row) in list.into_iter().enumerate() {
        let description = row.optional_text_up_to("description", LONGEST_DESCRIPTION);
        rows.push(
            read_choice(&mut row, LONGEST_ROW).map(|choice| ReplyChoice {
                description,
                ..choice
            }),
        );
        fields.absorb_errors(&format!("rows[{index}]"), row);
    }
    Some(ListSection {
        title,
        rows: rows.into_iter().collect::<Option<_>>()?,
    })
}

fn read_choice(fields: &mut JsonFields, longest: usize) -> Option<ReplyChoice> {
    let (id, title) = (
        fields.text_up_to("id", LONGEST_ID),
        fields.text_up_to("title", longest),
    );
    Some(ReplyChoice {
        id: id?,
        title: title?,
        description: None,
    })
}

/// Checks that ids are unique: a reply identifies the chosen option by its id.
fn check_unique_ids(fields: &mut JsonFields, field: &'static str, ids: &[String]) -> bool {
    let has_twin = ids
        .iter()
        .enumerate()
        .any(|(index, id)| ids[..index].contains(id));
    fields.check_or_record(
        field,
        if has_twin {
            Err("have the same id twice".to_owned())
        } else {
            Ok(())
        },
    )
}
