//! Interactive messages in all their forms: buttons, lists, calls to action, and replies. Pure.

use serde_json::Value;
use whatsapp_rust::waproto::whatsapp as wa;
use whatsapp_rust::waproto::whatsapp::message as kinds;
use whatsapp_rust::waproto::whatsapp::message::buttons_message::Header as ButtonsHeader;
use whatsapp_rust::waproto::whatsapp::message::buttons_response_message::Response;
use whatsapp_rust::waproto::whatsapp::message::interactive_message::InteractiveMessage as Payload;
use whatsapp_rust::waproto::whatsapp::message::interactive_response_message::InteractiveResponseMessage as Answer;

use crate::model::message::interactive::{
    ButtonAction, CodeParameters, CtaAction, FormReply, InteractiveContent, InteractiveElement,
    InteractiveHeader, InteractiveText, ListAction, ListSection, PhoneParameters, PixKey,
    ReplyButton, ReplyChoice, UrlParameters,
};

/// Converts an interactive message; `None` for other messages and unsupported forms.
pub(crate) fn decode_interactive(body: &wa::Message) -> Option<InteractiveContent> {
    if let Some(message) = body.interactive_message.as_option() {
        return decode_native_flow(message);
    }
    if let Some(message) = body.buttons_message.as_option() {
        return decode_buttons(message);
    }
    if let Some(message) = body.list_message.as_option() {
        return Some(decode_list(message));
    }
    decode_reply(body).map(|element| InteractiveContent {
        header: None,
        body: None,
        footer: None,
        element,
    })
}

/// Converts a reply: the button or row that was tapped.
fn decode_reply(body: &wa::Message) -> Option<InteractiveElement> {
    if let Some(reply) = body.buttons_response_message.as_option() {
        let title = reply
            .response
            .as_ref()
            .map(|Response::SelectedDisplayText(text)| text.clone());
        return Some(InteractiveElement::ButtonReply {
            button_reply: build_choice(reply.selected_button_id.clone(), title),
        });
    }
    if let Some(reply) = body.template_button_reply_message.as_option() {
        let button_reply = build_choice(
            reply.selected_id.clone(),
            reply.selected_display_text.clone(),
        );
        return Some(InteractiveElement::ButtonReply { button_reply });
    }
    if let Some(reply) = body.list_response_message.as_option() {
        let row = reply
            .single_select_reply
            .as_option()
            .and_then(|row| row.selected_row_id.clone());
        let description = reply.description.clone().filter(|text| !text.is_empty());
        return Some(InteractiveElement::ListReply {
            list_reply: ReplyChoice {
                description,
                ..build_choice(row, reply.title.clone())
            },
        });
    }
    let reply = body.interactive_response_message.as_option()?;
    let words = reply.body.as_option().and_then(|body| body.text.clone());
    let Answer::NativeFlowResponseMessage(flow) = reply.interactive_response_message.as_ref()?;
    Some(decode_flow_reply(
        flow.name.as_deref(),
        flow.params_json.as_deref(),
        words,
    ))
}

/// Converts a reply to a native flow. For buttons and lists it names the tapped item by its id.
fn decode_flow_reply(
    name: Option<&str>,
    parameters: Option<&str>,
    words: Option<String>,
) -> InteractiveElement {
    let known: Value = parameters
        .and_then(|json| serde_json::from_str(json).ok())
        .unwrap_or_default();
    let id = known["id"].as_str().map(str::to_owned);
    match (name, id) {
        (Some("quick_reply" | "menu_options"), id @ Some(_)) => InteractiveElement::ButtonReply {
            button_reply: build_choice(id, words.or_else(|| text_field(&known, "display_text"))),
        },
        (Some("single_select"), id @ Some(_)) => {
            let description = text_field(&known, "description").filter(|text| !text.is_empty());
            let title = words.or_else(|| text_field(&known, "title"));
            InteractiveElement::ListReply {
                list_reply: ReplyChoice {
                    description,
                    ..build_choice(id, title)
                },
            }
        }
        // Some phones name no flow when a row was chosen.
        (None | Some(""), id @ Some(_)) => InteractiveElement::ListReply {
            list_reply: build_choice(id, words),
        },
        _ => {
            let (name, response_json) = (name.map(str::to_owned), parameters.map(str::to_owned));
            InteractiveElement::NfmReply {
                nfm_reply: FormReply {
                    name,
                    body: words,
                    response_json,
                },
            }
        }
    }
}

fn build_choice(id: Option<String>, title: Option<String>) -> ReplyChoice {
    ReplyChoice {
        id: id.unwrap_or_default(),
        title: title.unwrap_or_default(),
        description: None,
    }
}

fn text_field(json: &Value, name: &str) -> Option<String> {
    json[name].as_str().map(str::to_owned)
}

fn build_text(text: Option<&String>) -> Option<InteractiveText> {
    text.filter(|text| !text.is_empty())
        .map(|text| InteractiveText { text: text.clone() })
}

fn build_header(text: Option<&String>) -> Option<InteractiveHeader> {
    text.filter(|text| !text.is_empty())
        .map(|text| InteractiveHeader::Text { text: text.clone() })
}

fn decode_native_flow(message: &kinds::InteractiveMessage) -> Option<InteractiveContent> {
    let Some(Payload::NativeFlowMessage(flow)) = &message.interactive_message else {
        return None;
    };
    let each = flow.buttons.iter().map(|button| {
        let parameters =
            serde_json::from_str::<Value>(button.button_params_json.as_deref()?).ok()?;
        Some((button.name.as_deref()?, parameters))
    });
    let element = decode_element(&each.collect::<Option<Vec<_>>>()?)?;
    Some(InteractiveContent {
        header: build_header(
            message
                .header
                .as_option()
                .and_then(|header| header.title.as_ref()),
        ),
        body: build_text(message.body.as_option().and_then(|body| body.text.as_ref())),
        footer: build_text(
            message
                .footer
                .as_option()
                .and_then(|footer| footer.text.as_ref()),
        ),
        element,
    })
}

fn decode_element(buttons: &[(&str, Value)]) -> Option<InteractiveElement> {
    if let [(name, known)] = buttons {
        let display_text = text_field(known, "display_text").unwrap_or_default();
        match *name {
            "single_select" => {
                return decode_menu(known).map(|action| InteractiveElement::List { action });
            }
            "cta_url" => {
                let parameters = UrlParameters {
                    display_text,
                    url: text_field(known, "url")?,
                };
                return Some(InteractiveElement::CtaUrl {
                    action: CtaAction { parameters },
                });
            }
            "cta_call" => {
                let parameters = PhoneParameters {
                    display_text,
                    phone_number: text_field(known, "phone_number")?,
                };
                return Some(InteractiveElement::CtaCall {
                    action: CtaAction { parameters },
                });
            }
            "cta_copy" => {
                let parameters = CodeParameters {
                    display_text,
                    code: text_field(known, "copy_code")?,
                };
                return Some(InteractiveElement::CtaCopy {
                    action: CtaAction { parameters },
                });
            }
            "payment_info" => {
                return decode_pix_key(known).map(|parameters| InteractiveElement::Pix {
                    action: CtaAction { parameters },
                });
            }
            _ => {}
        }
    }
    let one = |(name, known): &(&str, Value)| {
        let reply = build_choice(text_field(known, "id"), text_field(known, "display_text"));
        (*name == "quick_reply").then_some(ReplyButton::Reply { reply })
    };
    let buttons: Option<Vec<_>> = buttons.iter().map(one).collect();
    buttons
        .filter(|buttons| !buttons.is_empty())
        .map(|buttons| InteractiveElement::Button {
            action: ButtonAction { buttons },
        })
}

/// Converts a Pix key; `None` for other ways to pay, and for an amount, which has no field here.
fn decode_pix_key(known: &Value) -> Option<PixKey> {
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
        merchant_name: text_field(code, "merchant_name").unwrap_or_default(),
        key: text_field(code, "key")?,
        key_type: text_field(code, "key_type").unwrap_or_default(),
        reference_id: text_field(known, "reference_id").unwrap_or_default(),
    })
}

fn decode_menu(known: &Value) -> Option<ListAction> {
    let row = |row: &Value| ReplyChoice {
        description: text_field(row, "description").filter(|text| !text.is_empty()),
        ..build_choice(text_field(row, "id"), text_field(row, "title"))
    };
    let section = |section: &Value| {
        let rows = section["rows"].as_array()?.iter().map(row).collect();
        Some(ListSection {
            title: text_field(section, "title").filter(|title| !title.is_empty()),
            rows,
        })
    };
    let sections = known["sections"]
        .as_array()?
        .iter()
        .map(section)
        .collect::<Option<Vec<_>>>()?;
    Some(ListAction {
        button: text_field(known, "title").unwrap_or_default(),
        sections,
    })
}

/// Converts buttons in the form that businesses wrote before native flows.
fn decode_buttons(message: &kinds::ButtonsMessage) -> Option<InteractiveContent> {
    let header = match &message.header {
        None => None,
        Some(ButtonsHeader::Text(text)) => build_header(Some(text)),
        // A file above the text has no field here.
        Some(_) => return None,
    };
    let one = |button: &kinds::buttons_message::Button| {
        let title = button
            .button_text
            .as_option()
            .and_then(|text| text.display_text.clone());
        ReplyButton::Reply {
            reply: build_choice(button.button_id.clone(), title),
        }
    };
    let action = ButtonAction {
        buttons: message.buttons.iter().map(one).collect(),
    };
    let (body, footer) = (
        build_text(message.content_text.as_ref()),
        build_text(message.footer_text.as_ref()),
    );
    Some(InteractiveContent {
        header,
        body,
        footer,
        element: InteractiveElement::Button { action },
    })
}

fn decode_list(message: &kinds::ListMessage) -> InteractiveContent {
    let row = |row: &kinds::list_message::Row| ReplyChoice {
        description: row.description.clone().filter(|text| !text.is_empty()),
        ..build_choice(row.row_id.clone(), row.title.clone())
    };
    let section = |section: &kinds::list_message::Section| ListSection {
        title: section.title.clone().filter(|title| !title.is_empty()),
        rows: section.rows.iter().map(row).collect(),
    };
    let action = ListAction {
        button: message.button_text.clone().unwrap_or_default(),
        sections: message.sections.iter().map(section).collect(),
    };
    InteractiveContent {
        header: build_header(message.title.as_ref()),
        body: build_text(message.description.as_ref()),
        footer: build_text(message.footer_text.as_ref()),
        element: InteractiveElement::List { action },
    }
}
