//! Buttons, lists and forms: what phones answer to them, and what they show of them.

use anyhow::{Context, bail};
use serde_json::{Value, json};
use waproto::buffa::MessageField;
use waproto::whatsapp as wa;
use waproto::whatsapp::message as kinds;
use waproto::whatsapp::message::buttons_response_message::Response;
use waproto::whatsapp::message::interactive_message::InteractiveMessage;
use waproto::whatsapp::message::interactive_response_message::{
    Body, InteractiveResponseMessage, NativeFlowResponseMessage,
};

use crate::model::message::PhoneMessage;
use crate::phone::Phone;

/// A row that was chosen from a list.
#[derive(Clone, Copy, Debug)]
pub struct ChosenRow<'a> {
    pub id: &'a str,
    pub title: &'a str,
    pub description: &'a str,
}

impl Phone {
    /// Taps a button of a message; returns the message's id.
    pub fn taps_button(
        &self,
        to: &str,
        message: &str,
        id: &str,
        title: &str,
    ) -> anyhow::Result<String> {
        let answer = kinds::ButtonsResponseMessage {
            selected_button_id: Some(id.to_owned()),
            response: Some(Response::SelectedDisplayText(title.to_owned())),
            context_info: MessageField::some(wa::ContextInfo {
                stanza_id: Some(message.to_owned()),
                ..Default::default()
            }),
            ..Default::default()
        };
        let message = wa::Message {
            buttons_response_message: MessageField::some(answer),
            ..Default::default()
        };
        self.sends_message(to, "text", message)
    }

    /// Taps a button of a template; returns the message's id.
    pub fn taps_template_button(&self, to: &str, id: &str, title: &str) -> anyhow::Result<String> {
        let answer = kinds::TemplateButtonReplyMessage {
            selected_id: Some(id.to_owned()),
            selected_display_text: Some(title.to_owned()),
            ..Default::default()
        };
        let message = wa::Message {
            template_button_reply_message: MessageField::some(answer),
            ..Default::default()
        };
        self.sends_message(to, "text", message)
    }

    /// Chooses a row of a list; returns the message's id.
    pub fn chooses_row(&self, to: &str, row: ChosenRow<'_>) -> anyhow::Result<String> {
        let answer = kinds::ListResponseMessage {
            title: Some(row.title.to_owned()),
            description: Some(row.description.to_owned()),
            single_select_reply: MessageField::some(
                kinds::list_response_message::SingleSelectReply {
                    selected_row_id: Some(row.id.to_owned()),
                },
            ),
            ..Default::default()
        };
        let message = wa::Message {
            list_response_message: MessageField::some(answer),
            ..Default::default()
        };
        self.sends_message(to, "text", message)
    }

    /// Answers a flow (a button, a list or a form of the newer kind) with what it knows of it;
    /// returns the message's id.
    pub fn answers_flow(
        &self,
        to: &str,
        flow: &str,
        text: &str,
        known: &Value,
    ) -> anyhow::Result<String> {
        let answer = NativeFlowResponseMessage {
            name: Some(flow.to_owned()),
            params_json: Some(known.to_string()),
            version: Some(3),
        };
        let reply = kinds::InteractiveResponseMessage {
            body: MessageField::some(Body {
                text: Some(text.to_owned()),
                ..Default::default()
            }),
            interactive_response_message: Some(
                InteractiveResponseMessage::NativeFlowResponseMessage(Box::new(answer)),
            ),
            ..Default::default()
        };
        let message = wa::Message {
            interactive_response_message: MessageField::some(reply),
            ..Default::default()
        };
        self.sends_message(to, "text", message)
    }

    /// Sends what it has received once more, as its own; returns the message's id.
    pub fn repeats_message(&self, to: &str, received: &PhoneMessage) -> anyhow::Result<String> {
        self.sends_message(to, "text", (*received.protobuf).clone())
    }

    /// Sends a PIX key that it has received as its own, with an amount in hundredths; returns the
    /// message's id.
    pub fn repeats_pix_with_amount(
        &self,
        to: &str,
        received: &PhoneMessage,
        amount: u64,
    ) -> anyhow::Result<String> {
        let mut message = (*received.protobuf).clone();
        let flow = message
            .interactive_message
            .as_option_mut()
            .and_then(|message| message.interactive_message.as_mut());
        let Some(InteractiveMessage::NativeFlowMessage(flow)) = flow else {
            bail!("there are no buttons in it");
        };
        let button = flow.buttons.first_mut().context("it has no button")?;
        let known = button.button_params_json.as_deref();
        let mut known: Value = serde_json::from_str(known.context("it knows nothing")?)?;
        known["total_amount"]["value"] = json!(amount);
        button.button_params_json = Some(known.to_string());
        self.sends_message(to, "text", message)
    }
}

impl PhoneMessage {
    /// The buttons that the phone shows under an interactive message: the name of each, and what it
    /// knows.
    pub fn flow_buttons(&self) -> anyhow::Result<Vec<(String, Value)>> {
        let flow = self
            .protobuf
            .interactive_message
            .as_option()
            .and_then(|message| message.interactive_message.as_ref());
        let Some(InteractiveMessage::NativeFlowMessage(flow)) = flow else {
            bail!("there are no buttons in it");
        };
        let button =
            |button: &kinds::interactive_message::native_flow_message::NativeFlowButton| {
                let known = button.button_params_json.as_deref();
                let known = serde_json::from_str(known.context("a button knows nothing")?)?;
                Ok((button.name.clone().unwrap_or_default(), known))
            };
        flow.buttons.iter().map(button).collect()
    }
}
