//! Forms of the pages: their fields, as they are or as somebody typed them into a form that failed.

mod confirmation;
mod sent;

use std::borrow::Cow;

use axum::http::{HeaderMap, HeaderName, HeaderValue};
use maud::{Markup, Render, html};

use super::context::PageContext;
use super::login::forms::{FormFields, TOKEN_FIELD};
use super::texts::{self, PageText};
use crate::http::error::{FieldError, ProblemDocument};
use crate::http::request::idempotency::IDEMPOTENCY_KEY;
pub use confirmation::{ask_first, draw_dialog};
pub use sent::{PAGE_FIELD, SentForm, SentTexts, is_ours};

/// A form that failed, on its way back to its page.
#[derive(Debug)]
pub struct FailedForm {
    /// The address that it was sent to.
    action: String,
    /// Everything that was typed, without secrets.
    fields: FormFields,
    pub problem: ProblemDocument,
}

impl FailedForm {
    /// Returns whether the key of the login was not typed, or wrong.
    pub fn lacks_key(&self) -> bool {
        self.problem.code == "key_not_shown"
    }
}

/// Renders what every form of a login carries: its token, and its page, which it returns to.
pub fn form_token(context: &PageContext) -> Markup {
    html! {
        input type="hidden" name=(TOKEN_FIELD) value=(context.form_token());
        input type="hidden" name=(PAGE_FIELD) value=(context.path);
    }
}

/// Name of the field with the idempotency key of a form.
pub const ONCE_FIELD: &str = "once";

/// Renders the key of a form that sends something, so that a browser that sends the form twice, by a
/// double click or after a lost connection, sends one message. Browsers that keep fields over a reload
/// must not keep it: a message would be taken for the one before.
pub fn once_field() -> Markup {
    html! { input type="hidden" name=(ONCE_FIELD) autocomplete="off" value=(format!("{:032x}", rand::random::<u128>())); }
}

/// Takes the key out of a form, as the header of its request.
pub fn take_once(fields: &mut FormFields) -> HeaderMap {
    let key = fields.take(ONCE_FIELD);
    let key = key.and_then(|key| HeaderValue::try_from(key).ok());
    key.map(|key| (HeaderName::from_static(IDEMPOTENCY_KEY), key))
        .into_iter()
        .collect()
}

/// A form while it is drawn.
#[derive(Clone, Copy)]
pub struct PageForm<'a> {
    context: &'a PageContext,
    failed: Option<&'a FailedForm>,
}

impl<'a> PageForm<'a> {
    /// Begins the form that is sent to this address.
    pub fn new(context: &'a PageContext, action: &str) -> Self {
        let failed = context.failed.as_deref();
        Self {
            context,
            failed: failed.filter(|failed| failed.action == action),
        }
    }

    /// Returns whether the form has failed and is shown again.
    pub fn is_shown_again(&self) -> bool {
        self.failed.is_some()
    }

    /// Returns the value of a field: as it was typed, or this one.
    pub fn value<'b>(&self, name: &str, otherwise: &'b str) -> Cow<'b, str>
    where
        'a: 'b,
    {
        match self.failed {
            Some(failed) => failed.fields.find(name).unwrap_or_default().into(),
            None => otherwise.into(),
        }
    }

    /// Returns whether a box is checked, or an option chosen: as it was, or as given.
    pub fn is_chosen(&self, name: &str, value: &str, otherwise: bool) -> bool {
        let typed = self.failed.map(|failed| failed.fields.has(name, value));
        typed.unwrap_or(otherwise)
    }

    /// Begins a field of one line.
    pub fn field(&self, name: &'a str, label: PageText) -> Field<'a> {
        Field {
            form: *self,
            name,
            id: name,
            label: self.context.text(label),
            value: "".into(),
            kind: "text",
            is_long: false,
            is_required: false,
            list: None,
            input_mode: None,
            placeholder: None,
            longest: None,
        }
    }

    /// Renders what is wrong with a field.
    pub fn faults(&self, name: &str, id: &str) -> Option<Markup> {
        let failed = self.failed?;
        let errors = failed.problem.errors.iter();
        let wrong: Vec<_> = errors.filter(|error| concerns(error, name)).collect();
        (!wrong.is_empty()).then(|| {
            html! {
                p.fault id={ (id) "-fault" } {
                    @for error in wrong { (error.detail) " " }
                }
            }
        })
    }
}

/// Returns whether an error is about the field with this name: a form names `options` the member
/// `poll.options[1]` of a body, and *Try it* names it by its place and path.
fn concerns(error: &FieldError, name: &str) -> bool {
    if let Some((_, path)) = name.split_once(':') {
        return path.replace('/', ".") == error.field;
    }
    let mut parts = error.field.split(['.', '[']);
    parts.any(|part| part == name)
}

/// A field of a form with its label, and what is wrong with it.
pub struct Field<'a> {
    form: PageForm<'a>,
    name: &'a str,
    id: &'a str,
    label: &'static str,
    value: Cow<'a, str>,
    kind: &'static str,
    is_long: bool,
    is_required: bool,
    list: Option<&'static str>,
    input_mode: Option<&'static str>,
    placeholder: Option<&'static str>,
    longest: Option<u16>,
}

impl<'a> Field<'a> {
    /// Gives the element another id than the name of the field.
    pub fn id(self, id: &'a str) -> Self {
        Self { id, ..self }
    }

    /// Sets what the field shows at first.
    pub fn value(self, value: impl Into<Cow<'a, str>>) -> Self {
        let value = value.into();
        Self { value, ..self }
    }

    /// Sets the type of the element.
    pub fn kind(self, kind: &'static str) -> Self {
        Self { kind, ..self }
    }

    /// Gives the field several lines.
    pub fn long(self) -> Self {
        Self {
            is_long: true,
            ..self
        }
    }

    pub fn required(self) -> Self {
        self.required_if(true)
    }

    pub fn required_if(self, is_required: bool) -> Self {
        Self {
            is_required,
            ..self
        }
    }

    /// Names the list of suggestions.
    pub fn list(self, list: &'static str) -> Self {
        Self {
            list: Some(list),
            ..self
        }
    }

    /// Shows the keyboard of digits on phones.
    pub fn digits(self) -> Self {
        Self {
            input_mode: Some("numeric"),
            ..self
        }
    }

    pub fn placeholder(self, example: &'static str) -> Self {
        Self {
            placeholder: Some(example),
            ..self
        }
    }

    pub fn longest(self, longest: u16) -> Self {
        Self {
            longest: Some(longest),
            ..self
        }
    }
}

impl Render for Field<'_> {
    fn render(&self) -> Markup {
        let (id, value) = (self.id, self.form.value(self.name, &self.value));
        let faults = self.form.faults(self.name, id);
        let is_wrong = faults.as_ref().map(|_| "true");
        let described = faults.as_ref().map(|_| format!("{id}-fault"));
        html! {
            label for=(id) { (self.label) }
            @if self.is_long {
                textarea id=(id) name=(self.name) required[self.is_required]
                    aria-invalid=[is_wrong] aria-describedby=[described] {
                    // Browsers drop the first empty line.
                    @if value.starts_with(['\r', '\n']) { "\n" }
                    (value)
                }
            } @else {
                input id=(id) name=(self.name) type=(self.kind) value=(value)
                    required[self.is_required] autocomplete="off" list=[self.list]
                    inputmode=[self.input_mode] placeholder=[self.placeholder]
                    maxlength=[self.longest] aria-invalid=[is_wrong] aria-describedby=[described];
            }
            @if let Some(faults) = faults { (faults) }
        }
    }
}

/// Renders the problem of a form above its page.
pub fn draw_failure(context: &PageContext) -> Markup {
    html! {
        @if let Some(failed) = &context.failed {
            section.card.warning id="failed" role="alert" tabindex="-1" autofocus {
                h2 { (context.text(texts::FAILED)) ": " (context.problem_title(&failed.problem)) }
                (draw_details(&failed.problem))
            }
        }
    }
}

/// Renders the details of a problem.
pub fn draw_details(problem: &ProblemDocument) -> Markup {
    html! {
        @if problem.errors.is_empty() { p { (problem.detail) } }
        @else {
            ul {
                @for error in &problem.errors {
                    li { code { (error.field) } " " (error.detail) }
                }
            }
        }
        p { code { (problem.code) } }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_stands_beside_the_field_that_it_is_about() {
        for (field, name, expected) in [
            ("phone", "phone", true),
            ("participants[2]", "participants", true),
            ("poll.options[1]", "options", true),
            ("text.body", "text", true),
            ("poll.question", "options", false),
            ("pacing.jitter", "min_gap", false),
            ("text.body", "body:text/body", true),
            ("session", "path:session", true),
            ("text.body", "body:text", false),
        ] {
            let error = FieldError {
                field: field.into(),
                detail: String::new(),
            };
            assert_eq!(concerns(&error, name), expected, "{field} {name}");
        }
    }
}
