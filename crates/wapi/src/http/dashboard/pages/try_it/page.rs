//! The list of routes, and the form of one with its curl and its answer.

use axum::extract::{Path, State};
use axum::response::Response;
use maud::{Markup, html};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use super::call::{AnswerContent, TrialAnswer, TrialReader, call_route};
use super::fields::{FieldKind, FieldPlace, TrialField, build_request, make_fields, write_curl};
use super::operations::{TrialOperation, list_operations};
use super::summaries::{example_text, tag_text};
use super::texts;
use crate::http::Gateway;
use crate::http::access::api_keys::Caller;
use crate::http::dashboard::context::PageContext;
use crate::http::dashboard::documents::{no_query, text_at};
use crate::http::dashboard::form::{PageForm, form_token};
use crate::http::dashboard::layout::{address_with, render_page};
use crate::http::dashboard::login::KeyConfirmation;
use crate::http::dashboard::login::forms::FormFields;
use crate::http::dashboard::pages::sessions::list_documents;
use crate::http::error::Problem;
use crate::http::request::query::QueryParameters;
use crate::model::access::Scope;
use crate::model::ids;

const IDEMPOTENCY_KEY: &str = "header:Idempotency-Key";
const KIND: &str = "kind";

/// `GET /dashboard/try`: the routes that the reader may use.
pub async fn show_operations(
    context: PageContext,
    caller: Caller,
    query: QueryParameters,
) -> Result<Response, Problem> {
    query.finish()?;
    let operations = list_operations(&caller);
    let title = context.text(texts::TRY_IT);
    let content = html! {
        h1 { (title) }
        p.hint { (context.text(texts::TRY_HINT)) }
        @for family in operations.chunk_by(|one, other| one.tag == other.tag) {
            section {
                h2 { (context.text(tag_text(family[0].tag))) }
                ul.plain {
                    @for operation in family {
                        li {
                            a href=(operation.address()) { code { (operation.method) " " (operation.path) } }
                            " " span.quiet { (context.text(operation.summary())) }
                        }
                    }
                }
            }
        }
    };
    Ok(render_page(&context, title, content))
}

/// A form that was filled in.
struct FilledForm {
    operation: TrialOperation,
    kind: Option<String>,
    fields: Vec<TrialField>,
}

impl FilledForm {
    /// Finds the route, and fills its form with the values that `read` finds under the names of its fields.
    fn read(
        caller: &Caller,
        id: &str,
        mut read: impl FnMut(&str) -> Option<String>,
    ) -> Result<Self, Problem> {
        let mut operations = list_operations(caller).into_iter();
        let operation = operations.find(|it| it.id == id).ok_or(Problem::NoRoute)?;
        let kind = read(KIND).filter(|kind| operation.examples().any(|(name, ..)| name == kind));
        let kind = kind.or_else(|| {
            operation
                .examples()
                .next()
                .map(|(name, ..)| name.to_owned())
        });
        let mut fields = make_fields(&operation, kind.as_deref());
        for field in &mut fields {
            if let Some(value) = read(&field.name()) {
                field.value = value;
            }
        }
        Ok(Self {
            operation,
            kind,
            fields,
        })
    }
}

/// `GET /dashboard/try/{operation}?kind=`: the form of a route, with its call as curl.
pub async fn show_operation(
    State(gateway): State<Gateway>,
    Path(id): Path<String>,
    context: PageContext,
    caller: Caller,
    mut query: QueryParameters,
) -> Result<Response, Problem> {
    // Texts of messages must not stand in addresses, which browsers and proxies write down.
    let kind = query.optional_text(KIND);
    query.finish()?;
    let mut form = FilledForm::read(&caller, &id, |name| kind.clone().filter(|_| name == KIND))?;
    for field in &mut form.fields {
        if field.name() == IDEMPOTENCY_KEY && field.value.is_empty() {
            field.value = ids::to_hex(&rand::random::<[u8; 12]>());
        }
    }
    let sessions = session_names(&gateway, &caller).await?;
    Ok(draw_form(&context, &form, &sessions, None))
}

/// `POST /dashboard/try/{operation}`: calls the route, and shows the answer below the form. The form
/// stays filled in; its idempotency key makes a repeated call the same one.
pub async fn call_operation(
    State(gateway): State<Gateway>,
    Path(id): Path<String>,
    context: PageContext,
    caller: Caller,
    confirmation: KeyConfirmation,
    reader: TrialReader,
    mut given: FormFields,
) -> Result<Response, Problem> {
    // A field that was emptied stays empty: its example fills only new forms.
    let read = |name: &str| given.take_all(name).pop();
    let form = FilledForm::read(&caller, &id, read)?;
    if form.operation.is_guarded {
        confirmation.require(&mut given).await?;
    }
    let request = build_request(&form.operation, &form.fields)
        .map_err(|error| Problem::InvalidFields(vec![error]))?;
    let answer = call_route(&gateway, reader, &request).await?;
    let sessions = session_names(&gateway, &caller).await?;
    Ok(draw_form(&context, &form, &sessions, Some(&answer)))
}

/// `POST /dashboard/try/{operation}/preview`: shows the call of a form that was filled in as curl.
pub async fn preview_operation(
    State(gateway): State<Gateway>,
    Path(id): Path<String>,
    context: PageContext,
    caller: Caller,
    mut given: FormFields,
) -> Result<Response, Problem> {
    let read = |name: &str| given.take_all(name).pop();
    let form = FilledForm::read(&caller, &id, read)?;
    let sessions = session_names(&gateway, &caller).await?;
    Ok(draw_form(&context, &form, &sessions, None))
}

/// Returns the names of the sessions, for readers who may list them.
async fn session_names(gateway: &Gateway, caller: &Caller) -> Result<Vec<String>, Problem> {
    if !caller.has_scope(Scope::Read) {
        return Ok(Vec::new());
    }
    let sessions = list_documents(gateway, caller, no_query()).await?;
    let names = sessions.iter().map(|it| text_at(it, "id").to_owned());
    Ok(names.collect())
}

fn draw_form(
    context: &PageContext,
    form: &FilledForm,
    sessions: &[String],
    answer: Option<&TrialAnswer>,
) -> Response {
    let FilledForm {
        operation,
        kind,
        fields,
    } = form;
    let (body, parameters): (Vec<_>, Vec<_>) = fields
        .iter()
        .partition(|field| field.place == FieldPlace::Body);
    let curl = build_request(operation, &with_placeholders(fields));
    let curl = curl.map(|request| write_curl(&request));
    let title = context.text(operation.summary());
    let shown = PageForm::new(context, &operation.address());
    let content = html! {
        h1 { (title) }
        p {
            code { (operation.method) " " (operation.path) } " "
            a href="/dashboard/try" { (context.text(texts::BACK_TO_ROUTES)) }
        }
        (draw_kinds(context, operation, kind.as_deref()))
        form.card method="post" action=(operation.address()) {
            (form_token(context))
            @if let Some(kind) = kind { input type="hidden" name=(KIND) value=(kind); }
            @if !parameters.is_empty() { h2 { (context.text(texts::PARAMETERS)) } }
            @for field in parameters { (draw_field(context, shown, field)) }
            @if !body.is_empty() { h2 { (context.text(texts::BODY)) } }
            @for field in body { (draw_field(context, shown, field)) }
            datalist id="sessions" { @for name in sessions { option value=(name) {} } }
            @if operation.is_guarded { (KeyConfirmation::draw_field(context, "try")) }
            div.row {
                // The first button is the one that the key Enter presses.
                button.plain type="submit" formnovalidate formaction={ (operation.address()) "/preview" } {
                    (context.text(texts::SHOW_CURL))
                }
                button type="submit" { (context.text(texts::CALL)) }
            }
        }
        section.card {
            h2 { (context.text(texts::CURL)) }
            p.hint { (context.text(texts::CURL_HINT)) }
            @match &curl {
                Ok(curl) => {
                    pre id="curl" { (curl) }
                    button.plain type="button" data-copy=(curl) { (context.text(texts::COPY)) }
                }
                Err(wrong) => p { code { (wrong.field) } " " (wrong.detail) },
            }
        }
        @if let Some(answer) = answer { (draw_answer(context, answer)) }
    };
    render_page(context, title, content)
}

/// Fills the empty parts of the path with their names.
fn with_placeholders(fields: &[TrialField]) -> Vec<TrialField> {
    let mut fields = fields.to_vec();
    for field in &mut fields {
        if field.place == FieldPlace::Path && field.value.is_empty() {
            field.value = field.label().to_uppercase();
        }
    }
    fields
}

fn draw_kinds(context: &PageContext, operation: &TrialOperation, kind: Option<&str>) -> Markup {
    html! {
        @if operation.examples().next().is_some() {
            nav.row aria-label=(context.text(texts::KINDS)) {
                @for (name, title, _) in operation.examples() {
                    a href=(address_with(&operation.address(), &[(KIND, name)]))
                        aria-current=[(kind == Some(name)).then_some("page")] {
                        (context.text(example_text(name, title)))
                    }
                }
            }
        }
    }
}

/// Returns an id for a field's element.
fn field_id(name: &str) -> String {
    format!("f-{}", utf8_percent_encode(name, NON_ALPHANUMERIC)).replace('%', "_")
}

fn draw_field(context: &PageContext, form: PageForm<'_>, field: &TrialField) -> Markup {
    let name = field.name();
    let id = field_id(&name);
    let value = form.value(&name, &field.value);
    let hint = match field.kind {
        FieldKind::Lines => Some(texts::ONE_A_LINE),
        FieldKind::Json => Some(texts::AS_JSON),
        _ => None,
    };
    html! {
        label for=(id) {
            (field.label()) @if field.required { " *" }
            @if let Some(hint) = hint { " (" (context.text(hint)) ")" }
            @if !field.description.is_empty() { " " span.hint { (field.description) } }
        }
        @match &field.kind {
            FieldKind::Flag => (draw_choice(context, &id, &name, &value, &["true", "false"])),
            FieldKind::Choice(words) => {
                @let words: Vec<_> = words.iter().map(String::as_str).collect();
                (draw_choice(context, &id, &name, &value, &words))
            }
            FieldKind::Lines | FieldKind::Json => textarea id=(id) name=(name) { (value) },
            FieldKind::Text if field.place == FieldPlace::Body => {
                textarea id=(id) name=(name) rows="2" { (value) }
            }
            FieldKind::Text | FieldKind::Number => {
                input id=(id) name=(name) value=(value) autocomplete="off"
                    list=[(name == "path:session").then_some("sessions")];
            }
        }
        @if let Some(faults) = form.faults(&name, &id) { (faults) }
    }
}

fn draw_choice(context: &PageContext, id: &str, name: &str, value: &str, words: &[&str]) -> Markup {
    html! {
        select id=(id) name=(name) {
            option value="" { (context.text(texts::LEFT_OUT)) }
            @for word in words { option value=(word) selected[*word == value] { (word) } }
        }
    }
}

fn draw_answer(context: &PageContext, answer: &TrialAnswer) -> Markup {
    html! {
        section.card id="answer" {
            h2 { (context.text(texts::ANSWER)) ": " (answer.status) }
            @match &answer.content {
                AnswerContent::Text(text) => pre { (text) },
                AnswerContent::Bytes(count) => {
                    p { (count) " " (context.text(texts::BYTES_OF)) " " (answer.media_type) }
                }
            }
        }
    }
}
