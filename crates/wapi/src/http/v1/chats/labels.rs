//! `/v1/sessions/{session}/labels`: labels of the account, and the chats and messages that have
//! them.

use std::collections::HashMap;

use axum::Json;
use axum::extract::{FromRequestParts, Path, State};
use axum::http::StatusCode;
use axum::http::request::Parts;
use serde::Serialize;

use crate::http::Gateway;
use crate::http::error::Problem;
use crate::http::request::extract::{JsonFields, NOT_TEXT, SessionPath};
use crate::http::request::query::QueryParameters;
use crate::http::v1::messages::MessagePath;
use crate::http::v1::messages::pin_keep_star::find_markable;
use crate::model::event::{LABEL_COLORS, Label, Person};
use crate::model::session_name::SessionName;
use crate::store::{ChatLabelEntry, Life, StoreError};

/// Longest name of a label, in characters.
pub(in crate::http) const LONGEST_LABEL: usize = 100;

#[derive(Debug, Serialize)]
pub(in crate::http) struct LabelList {
    labels: Vec<Label>,
}

#[derive(Debug, Serialize)]
pub(in crate::http) struct LabelledChats {
    chats: Vec<Person>,
}

/// `GET …/labels`: lists the labels of the account.
pub(in crate::http) async fn list_labels(
    State(gateway): State<Gateway>,
    SessionPath(session): SessionPath,
    query: QueryParameters,
) -> Result<Json<LabelList>, Problem> {
    query.finish()?;
    let life = gateway.current_life(&session)?;
    let labels = gateway.store.inbound().list_labels(&life).await;
    Ok(Json(LabelList {
        labels: labels.map_err(label_problem)?,
    }))
}

/// `POST …/labels {name, color?}`: creates a label under an id that was never used.
pub(in crate::http) async fn create_label(
    State(gateway): State<Gateway>,
    SessionPath(session): SessionPath,
    mut fields: JsonFields,
) -> Result<(StatusCode, Json<Label>), Problem> {
    let name = fields.text_up_to("name", LONGEST_LABEL);
    let color = read_color(&mut fields);
    fields.refuse_unknown();
    let name = fields.finish(name)?;
    let life = gateway.current_life(&session)?;
    let label = gateway
        .sessions
        .create_label(&session, &life, name, color)
        .await?;
    Ok((StatusCode::CREATED, Json(label)))
}

/// `PUT …/labels/{id} {name?, color?}`: renames or recolours a label.
pub(in crate::http) async fn change_label(
    State(gateway): State<Gateway>,
    LabelPath { session, label }: LabelPath,
    mut fields: JsonFields,
) -> Result<Json<Label>, Problem> {
    const NOTHING: &str = "nothing is changed; give at least one of name and color";
    let name = fields
        .has_value("name")
        .then(|| fields.text_up_to("name", LONGEST_LABEL))
        .flatten();
    let color = read_color(&mut fields);
    fields.refuse_unknown();
    fields.finish(Some(()))?;
    if name.is_none() && color.is_none() {
        return Err(Problem::invalid_field("name", NOTHING));
    }
    let life = gateway.current_life(&session)?;
    let earlier = find_label(&gateway, &life, &label).await?;
    let changed = Label {
        name: name.unwrap_or(earlier.name),
        color: color.unwrap_or(earlier.color),
        id: earlier.id,
    };
    let action = gateway.store.inbound().find_label_action(&life, &label);
    let action = action.await.map_err(label_problem)?;
    gateway
        .sessions
        .online(&session)?
        .save_label(&changed, action.as_deref())
        .await?;
    Ok(Json(changed))
}

/// `DELETE …/labels/{id}`: deletes a label, and takes it from all chats.
pub(in crate::http) async fn delete_label(
    State(gateway): State<Gateway>,
    LabelPath { session, label }: LabelPath,
) -> Result<StatusCode, Problem> {
    let life = gateway.current_life(&session)?;
    find_label(&gateway, &life, &label).await?;
    gateway
        .sessions
        .online(&session)?
        .delete_label(&label)
        .await?;
    Ok(StatusCode::NO_CONTENT)
}

/// `GET …/labels/{id}/chats`: lists the chats that have a label.
pub(in crate::http) async fn list_labelled_chats(
    State(gateway): State<Gateway>,
    LabelPath { session, label }: LabelPath,
    query: QueryParameters,
) -> Result<Json<LabelledChats>, Problem> {
    query.finish()?;
    let life = gateway.current_life(&session)?;
    find_label(&gateway, &life, &label).await?;
    let chats = gateway
        .sessions
        .list_labelled_chats(&session, &life, &label)
        .await?;
    Ok(Json(LabelledChats { chats }))
}

/// `PUT …/chats/{chat}/labels/{label}`: gives a label to a chat.
pub(in crate::http) async fn add_chat_label(
    state: State<Gateway>,
    path: ChatLabelPath,
) -> Result<StatusCode, Problem> {
    set_chat_label(state, path, true).await
}

/// `DELETE …/chats/{chat}/labels/{label}`: takes a label from a chat.
pub(in crate::http) async fn remove_chat_label(
    state: State<Gateway>,
    path: ChatLabelPath,
) -> Result<StatusCode, Problem> {
    set_chat_label(state, path, false).await
}

async fn set_chat_label(
    State(gateway): State<Gateway>,
    ChatLabelPath {
        session,
        chat,
        label,
    }: ChatLabelPath,
    labeled: bool,
) -> Result<StatusCode, Problem> {
    let chat = super::parse_chat(&chat)?;
    super::refuse_newsletter(&chat)?;
    let life = gateway.current_life(&session)?;
    find_label(&gateway, &life, &label).await?;
    gateway
        .sessions
        .set_chat_label(&session, &life, &chat, &label, labeled)
        .await?;
    Ok(StatusCode::NO_CONTENT)
}

/// `PUT …/messages/{id}/labels/{label}?chat=`: gives a label to a message.
pub(in crate::http) async fn add_message_label(
    state: State<Gateway>,
    path: MessageLabelPath,
    query: QueryParameters,
) -> Result<StatusCode, Problem> {
    set_message_label(state, path, query, true).await
}

/// `DELETE …/messages/{id}/labels/{label}?chat=`: takes a label from a message.
pub(in crate::http) async fn remove_message_label(
    state: State<Gateway>,
    path: MessageLabelPath,
    query: QueryParameters,
) -> Result<StatusCode, Problem> {
    set_message_label(state, path, query, false).await
}

async fn set_message_label(
    State(gateway): State<Gateway>,
    MessageLabelPath { session, id, label }: MessageLabelPath,
    mut query: QueryParameters,
    labeled: bool,
) -> Result<StatusCode, Problem> {
    let chat = query.optional_text("chat");
    query.finish()?;
    let message = MessagePath { session, id };
    let life = gateway.current_life(&message.session)?;
    find_label(&gateway, &life, &label).await?;
    let (chat, quoted) = find_markable(&gateway, &life, &message, chat.as_deref()).await?;
    gateway
        .sessions
        .online(&message.session)?
        .set_message_label(
            (&chat, &message.id),
            quoted.author.as_deref(),
            &label,
            labeled,
        )
        .await?;
    Ok(StatusCode::NO_CONTENT)
}

fn read_color(fields: &mut JsonFields) -> Option<i32> {
    let last = u64::from(LABEL_COLORS.unsigned_abs()) - 1;
    let color = fields.optional_number("color", 0..=last)?;
    i32::try_from(color).ok()
}

async fn find_label(gateway: &Gateway, life: &Life, id: &str) -> Result<Label, Problem> {
    let found = gateway.store.inbound().find_label(life, id).await;
    found.map_err(label_problem)?.ok_or(Problem::NoLabel)
}

fn label_problem(error: StoreError) -> Problem {
    Problem::NotReady {
        detail: error.to_string(),
    }
}

/// The labels of all chats, by the chats' addresses.
pub(in crate::http) struct ChatLabels(HashMap<String, Vec<ChatLabelEntry>>);

impl ChatLabels {
    pub async fn load(gateway: &Gateway, life: &Life) -> Result<Self, Problem> {
        let listed = gateway.store.inbound().list_chat_labels(life).await;
        let mut by_chat: HashMap<String, Vec<_>> = HashMap::new();
        for entry in listed.map_err(label_problem)? {
            by_chat.entry(entry.chat.clone()).or_default().push(entry);
        }
        Ok(Self(by_chat))
    }

    /// Returns the labels of a chat, under whichever of its addresses.
    pub fn labels_of(&self, chat: &Person) -> Vec<String> {
        let number = chat
            .phone
            .as_ref()
            .map(|phone| format!("{phone}@s.whatsapp.net"));
        let addresses = [Some(&chat.id), number.as_ref(), chat.lid.as_ref()];
        let entries = addresses
            .into_iter()
            .flatten()
            .filter_map(|address| self.0.get(address));
        ChatLabelEntry::current_labels(entries.flatten())
    }
}

/// Implements the extraction of a path with a session and some texts after it.
macro_rules! path_of_texts {
    ($(#[$about:meta])* $name:ident { $($part:ident),+ }) => {
        $(#[$about])*
        pub(in crate::http) struct $name {
            session: SessionName,
            $($part: String,)+
        }

        impl<S: Send + Sync> FromRequestParts<S> for $name {
            type Rejection = Problem;

            async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
                let found = Path::from_request_parts(parts, state).await;
                let Path((session, $($part),+)): Path<(String, $(path_of_texts!(@text $part)),+)> =
                    found.map_err(|_| Problem::invalid_field("session", NOT_TEXT))?;
                let session = SessionName::parse(&session)
                    .map_err(|error| Problem::invalid_field("session", error.to_string()))?;
                Ok(Self { session, $($part),+ })
            }
        }
    };
    (@text $part:ident) => { String };
}

path_of_texts!(
    /// A session and one of its labels.
    LabelPath { label }
);
path_of_texts!(
    /// A chat of a session, and a label.
    ChatLabelPath { chat, label }
);
path_of_texts!(
    /// A message of a session, and a label.
    MessageLabelPath { id, label }
);
