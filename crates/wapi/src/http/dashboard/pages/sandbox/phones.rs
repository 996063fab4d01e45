//! All phones of the simulated WhatsApp.

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Redirect, Response};
use maud::{Markup, html};
use reqwest::Method;
use serde_json::{Value, json};

use super::simulator::SimulatorClient;
use super::texts;
use crate::http::Gateway;
use crate::http::access::api_keys::Caller;
use crate::http::dashboard::context::PageContext;
use crate::http::dashboard::documents::{name_of, number_at, page_after, text_at};
use crate::http::dashboard::form::{PageForm, form_token};
use crate::http::dashboard::layout::{address_with, render_live_page};
use crate::http::dashboard::live::{self, LivePage, PageFragment, stream_address};
use crate::http::dashboard::login::forms::FormFields;
use crate::http::error::Problem;
use crate::http::request::query::QueryParameters;

const ADDRESS: &str = "/dashboard/sandbox";

/// Returns the address of a phone's page.
pub fn phone_address(number: &str) -> String {
    format!("{ADDRESS}/phones/{number}")
}

/// Phones on one page.
const PAGE_SIZE: usize = 50;

struct PhoneTable {
    /// Number after which the page begins; empty at the beginning.
    after: String,
}

/// `GET /dashboard/sandbox?from=`: the phones by number.
pub async fn show_phones(
    State(gateway): State<Gateway>,
    context: PageContext,
    mut query: QueryParameters,
) -> Result<Response, Problem> {
    let after = query.optional_text("from").unwrap_or_default();
    query.finish()?;
    let stream = stream_address(&gateway, "/dashboard/live/sandbox", &[("from", &after)]);
    let parts = PhoneTable { after }.draw(&gateway, &context).await?;
    let title = context.text(texts::SANDBOX);
    let form = PageForm::new(&context, &format!("{ADDRESS}/phones"));
    let content = html! {
        h1 { (title) }
        p.hint { (context.text(texts::SANDBOX_HINT)) }
        @for part in parts { (part.html) }
        section.card {
            h2 { (context.text(texts::NEW_PHONE)) }
            form method="post" action={ (ADDRESS) "/phones" } {
                (form_token(&context))
                (form.field("name", texts::NAME).required())
                (form.field("number", texts::NUMBER_OR_ANY).digits())
                button type="submit" { (context.text(texts::ADD)) }
            }
        }
        section.card {
            h2 { (context.text(texts::BREAK_WHATSAPP)) }
            form method="post" action={ (ADDRESS) "/connections" } {
                (form_token(&context))
                button.danger type="submit" name="refuse" value="yes" {
                    (context.text(texts::REFUSE_CONNECTIONS))
                }
                button type="submit" name="refuse" value="no" { (context.text(texts::TAKE_CONNECTIONS)) }
            }
        }
    };
    Ok(render_live_page(&context, title, &stream, content))
}

/// `GET /dashboard/live/sandbox`: the changes of the phones.
pub async fn stream_phones(
    gateway: State<Gateway>,
    context: PageContext,
    caller: Caller,
    headers: HeaderMap,
    mut query: QueryParameters,
) -> Result<Response, Problem> {
    SimulatorClient::of(&gateway)?;
    let page = PhoneTable {
        after: query.optional_text("from").unwrap_or_default(),
    };
    live::stream_page(page, gateway, context, caller, headers, query).await
}

impl LivePage for PhoneTable {
    fn session(&self) -> Option<String> {
        None
    }

    async fn draw(
        &self,
        gateway: &Gateway,
        context: &PageContext,
    ) -> Result<Vec<PageFragment>, Problem> {
        let phones = SimulatorClient::of(gateway)?.read(&["phones"]).await?;
        let phones = phones.as_array().map_or(&[][..], Vec::as_slice);
        let (page, next) = page_after(phones, "number", &self.after, PAGE_SIZE);
        let html = draw_table(context, &page, next);
        Ok(vec![PageFragment::fixed("phones", html)])
    }
}

fn draw_table(context: &PageContext, phones: &[&Value], next: Option<&str>) -> Markup {
    let headings = [
        texts::NAME,
        texts::NUMBER,
        texts::DEVICES,
        texts::UNCONFIRMED,
    ];
    html! {
        section id="phones" {
            h2 { (context.text(texts::SIMULATED_PHONES)) }
            table {
                thead { tr { @for text in headings { th scope="col" { (context.text(text)) } } } }
                tbody {
                    @for phone in phones {
                        tr {
                            td data-label=(context.text(texts::NAME)) {
                                a href=(phone_address(text_at(phone, "number"))) {
                                    bdi { (name_of_phone(phone)) }
                                }
                            }
                            td data-label=(context.text(texts::NUMBER)) { "+" (text_at(phone, "number")) }
                            td data-label=(context.text(texts::DEVICES)) {
                                (number_at(phone, "devices").unwrap_or_default()) ", "
                                (context.text(texts::CONNECTED)) " "
                                (number_at(phone, "connected").unwrap_or_default())
                            }
                            td data-label=(context.text(texts::UNCONFIRMED)) {
                                (number_at(phone, "queued").unwrap_or_default())
                            }
                        }
                    }
                }
            }
            @if let Some(next) = next {
                p { a rel="next" href=(address_with(ADDRESS, &[("from", next)])) { (context.text(texts::LATER)) } }
            }
        }
    }
}

/// `POST …/phones`: adds a phone.
pub async fn add_phone(
    State(gateway): State<Gateway>,
    mut fields: FormFields,
) -> Result<Response, Problem> {
    let body = json!({"name": fields.require("name")?, "number": fields.take("number")});
    let simulator = SimulatorClient::of(&gateway)?;
    let phone = simulator.order(Method::POST, &["phones"], body).await?;
    Ok(Redirect::to(&phone_address(text_at(&phone, "number"))).into_response())
}

/// `POST …/connections`: new connections are refused from now on, or taken again.
pub async fn set_connections(
    State(gateway): State<Gateway>,
    mut fields: FormFields,
) -> Result<Response, Problem> {
    let body = json!({"fault": "refuse_connections", "on": fields.require("refuse")? == "yes"});
    let simulator = SimulatorClient::of(&gateway)?;
    simulator.order(Method::POST, &["faults"], body).await?;
    Ok(Redirect::to(ADDRESS).into_response())
}

/// Returns the name of a phone; its number where nobody would see the name.
fn name_of_phone(phone: &Value) -> String {
    let (name, number) = (text_at(phone, "name"), text_at(phone, "number"));
    name_of(&json!({"name": name, "phone": number}))
}
