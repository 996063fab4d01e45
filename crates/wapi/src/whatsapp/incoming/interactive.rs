//! Interactive messages in all their forms: buttons, lists, calls to action, and replies. Pure.

use serde_json::Value;
use whatsapp_rust::waproto::whatsapp as wa;
use whatsapp_rust::waproto::whatsapp::message as kinds;
use whatsapp_rust::waproto::whatsapp::message::buttons_message::Header as ButtonsHeader;
use whatsapp_rust::waproto::whatsapp::message::buttons_response_message::Response;
use whatsapp_rust::waproto::whatsapp::message::interactive_message::InteractiveMessage as Payload;
use whatsapp_rust::waproto::whatsapp::message::interactive_response_message::InteractiveResponseMessage as Answer;

use crate::message::interactive::{
    Button, Buttons, Call, Choice, Code, Element, Filled, Header, Interactive, Link, Menu, Number,
    PixKey, Section, Words,
};

/// Converts an interactive message; `None` for other messages and unsupported forms.
pub(super) fn content(body: &wa::Message) -> Option<Interactive> {
    if let Some(message) = body.interactive_message.as_option() {
        return native_flow(message);
    }
    if let Some(message) = body.buttons_message.as_option() {
        return buttons(message);
    }
    if let Some(message) = body.list_message.as_option() {
        return Some(list(message));
    }
    reply(body).map(|element| Interactive {
        header: None,
        body: None,
        footer: None,
        element,
    })
}

/// Converts a reply: the button or row that was tapped.
fn reply(body: &wa::Message) -> Option<Element> {
    if let Some(reply) = body.buttons_response_message.as_option() {
        let title = reply
            .response
            .as_ref()
            .map(|Response::SelectedDisplayText(text)| text.clone());
        return Some(Element::ButtonReply {
            button_reply: choice(reply.selected_button_id.clone(), title),
        });
    }
    if let Some(reply) = body.template_button_reply_message.as_option() {
        let button_reply = choice(
            reply.selected_id.clone(),
            reply.selected_display_text.clone(),
        );
        return Some(Element::ButtonReply { button_reply });
    }
    if let Some(reply) = body.list_response_message.as_option() {
        let row = reply
            .single_select_reply
            .as_option()
            .and_then(|row| row.selected_row_id.clone());
        let description = reply.description.clone().filter(|text| !text.is_empty());
        return Some(Element::ListReply {
            list_reply: Choice {
                description,
                ..choice(row, reply.title.clone())
            },
        });
    }
    let reply = body.interactive_response_message.as_option()?;
    let words = reply.body.as_option().and_then(|body| body.text.clone());
    let Answer::NativeFlowResponseMessage(flow) = reply.interactive_response_message.as_ref()?;
    Some(flow_reply(
        flow.name.as_deref(),
        flow.params_json.as_deref(),
        words,
    ))
}

/// Converts a reply to a native flow. For buttons and lists it names the tapped item by its id.
fn flow_reply(name: Option<&str>, parameters: Option<&str>, words: Option<String>) -> Element {
    let known: Value = parameters
        .and_then(|json| serde_json::from_str(json).ok())
        .unwrap_or_default();
    let id = known["id"].as_str().map(str::to_owned);
    match (name, id) {
        (Some("quick_reply" | "menu_options"), id @ Some(_)) => Element::ButtonReply {
            button_reply: choice(id, words.or_else(|| word(&known, "display_text"))),
        },
        (Some("single_select"), id @ Some(_)) => {
            let description = word(&known, "description").filter(|text| !text.is_empty());
            let title = words.or_else(|| word(&known, "title"));
            Element::ListReply {
                list_reply: Choice {
                    description,
                    ..choice(id, title)
                },
            }
        }
        // Some phones name no flow when a row was chosen.
        (None | Some(""), id @ Some(_)) => Element::ListReply {
            list_reply: choice(id, words),
        },
        _ => {
            let (name, response_json) = (name.map(str::to_owned), parameters.map(str::to_owned));
            Element::NfmReply {
                nfm_reply: Filled {
                    name,
                    body: words,
                    response_json,
                },
            }
        }
    }
}

fn choice(id: Option<String>, title: Option<String>) -> Choice {
    Choice {
        id: id.unwrap_or_default(),
        title: title.unwrap_or_default(),
        description: None,
    }
}

fn word(json: &Value, name: &str) -> Option<String> {
    json[name].as_str().map(str::to_owned)
}

fn words(text: Option<&String>) -> Option<Words> {
    text.filter(|text| !text.is_empty())
        .map(|text| Words { text: text.clone() })
}

fn header(text: Option<&String>) -> Option<Header> {
    text.filter(|text| !text.is_empty())
        .map(|text| Header::Text { text: text.clone() })
}

fn native_flow(message: &kinds::InteractiveMessage) -> Option<Interactive> {
    let Some(Payload::NativeFlowMessage(flow)) = &message.interactive_message else {
        return None;
    };
    let each = flow.buttons.iter().map(|button| {
        let parameters =
            serde_json::from_str::<Value>(button.button_params_json.as_deref()?).ok()?;
        Some((button.name.as_deref()?, parameters))
    });
    let element = element(&each.collect::<Option<Vec<_>>>()?)?;
    Some(Interactive {
        header: header(
            message
                .header
                .as_option()
                .and_then(|header| header.title.as_ref()),
        ),
        body: words(message.body.as_option().and_then(|body| body.text.as_ref())),
        footer: words(
            message
                .footer
                .as_option()
                .and_then(|footer| footer.text.as_ref()),
        ),
        element,
    })
}

fn element(buttons: &[(&str, Value)]) -> Option<Element> {
    if let [(name, known)] = buttons {
        let display_text = word(known, "display_text").unwrap_or_default();
        match *name {
            "single_select" => return menu(known).map(|action| Element::List { action }),
            "cta_url" => {
                let parameters = Link {
                    display_text,
                    url: word(known, "url")?,
                };
                return Some(Element::CtaUrl {
                    action: Call { parameters },
                });
            }
            "cta_call" => {
                let parameters = Number {
                    display_text,
                    phone_number: word(known, "phone_number")?,
                };
                return Some(Element::CtaCall {
                    action: Call { parameters },
                });
            }
            "cta_copy" => {
                let parameters = Code {
                    display_text,
                    code: word(known, "copy_code")?,
                };
                return Some(Element::CtaCopy {
                    action: Call { parameters },
                });
            }
            "payment_info" => {
                return pix(known).map(|parameters| Element::Pix {
                    action: Call { parameters },
                });
            }
            _ => {}
        }
    }
    let one = |(name, known): &(&str, Value)| {
        let reply = choice(word(known, "id"), word(known, "display_text"));
        (*name == "quick_reply").then_some(Button::Reply { reply })
    };
    let buttons: Option<Vec<_>> = buttons.iter().map(one).collect();
    buttons
        .filter(|buttons| !buttons.is_empty())
        .map(|buttons| Element::Button {
            action: Buttons { buttons },
        })
}

/// Converts a Pix key; `None` for other ways to pay, and for an amount, which has no field here.
fn pix(known: &Value) -> Option<PixKey> {
    let has_amount = known["total_amount"]["value"]
        .as_f64()
        .is_some_and(|amount| amount != 0.0);
    let settings = known["payment_settings"]
        .as_array()
        .filter(|_| !has_amount)?;
    let code = &settings
        .iter()
        .find(|setting| setting["type"] == "pix_static_code")?["pix_static_code"];
    Some(PixKey {
        merchant_name: word(code, "merchant_name").unwrap_or_default(),
        key: word(code, "key")?,
        key_type: word(code, "key_type").unwrap_or_default(),
        reference_id: word(known, "reference_id").unwrap_or_default(),
    })
}

fn menu(known: &Value) -> Option<Menu> {
    let row = |row: &Value| Choice {
        description: word(row, "description").filter(|text| !text.is_empty()),
        ..choice(word(row, "id"), word(row, "title"))
    };
    let section = |section: &Value| {
        let rows = section["rows"].as_array()?.iter().map(row).collect();
        Some(Section {
            title: word(section, "title").filter(|title| !title.is_empty()),
            rows,
        })
    };
    let sections = known["sections"]
        .as_array()?
        .iter()
        .map(section)
        .collect::<Option<Vec<_>>>()?;
    Some(Menu {
        button: word(known, "title").unwrap_or_default(),
        sections,
    })
}

/// Converts buttons in the form that businesses wrote before native flows.
fn buttons(message: &kinds::ButtonsMessage) -> Option<Interactive> {
    let header = match &message.header {
        None => None,
        Some(ButtonsHeader::Text(text)) => header(Some(text)),
        // A file above the text has no field here.
        Some(_) => return None,
    };
    let one = |button: &kinds::buttons_message::Button| {
        let title = button
            .button_text
            .as_option()
            .and_then(|text| text.display_text.clone());
        Button::Reply {
            reply: choice(button.button_id.clone(), title),
        }
    };
    let action = Buttons {
        buttons: message.buttons.iter().map(one).collect(),
    };
    let (body, footer) = (
        words(message.content_text.as_ref()),
        words(message.footer_text.as_ref()),
    );
    Some(Interactive {
        header,
        body,
        footer,
        element: Element::Button { action },
    })
}

fn list(message: &kinds::ListMessage) -> Interactive {
    let row = |row: &kinds::list_message::Row| Choice {
        description: row.description.clone().filter(|text| !text.is_empty()),
        ..choice(row.row_id.clone(), row.title.clone())
    };
    let section = |section: &kinds::list_message::Section| Section {
        title: section.title.clone().filter(|title| !title.is_empty()),
        rows: section.rows.iter().map(row).collect(),
    };
    let action = Menu {
        button: message.button_text.clone().unwrap_or_default(),
        sections: message.sections.iter().map(section).collect(),
    };
    Interactive {
        header: header(message.title.as_ref()),
        body: words(message.description.as_ref()),
        footer: words(message.footer_text.as_ref()),
        element: Element::List { action },
    }
}
