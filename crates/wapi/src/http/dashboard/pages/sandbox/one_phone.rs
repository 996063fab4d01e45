//! One simulated phone: its messages, its linked devices, and everything it can be made to do.

use axum::extract::{Path, State};
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Redirect, Response};
use maud::{Markup, html};
use reqwest::Method;
use serde_json::{Value, json};

use super::phones::phone_address;
use super::simulator::SimulatorClient;
use super::texts;
use crate::http::Gateway;
use crate::http::access::api_keys::Caller;
use crate::http::dashboard::context::PageContext;
use crate::http::dashboard::documents::{flag_at, list_at, number_at, optional_text, text_at};
use crate::http::dashboard::form::{PageForm, form_token};
use crate::http::dashboard::layout::render_live_page;
use crate::http::dashboard::live::{self, LivePage, PageFragment, stream_address};
use crate::http::dashboard::login::forms::FormFields;
use crate::http::dashboard::pages::sessions::{list_documents, session_address};
use crate::http::dashboard::texts::PageText;
use crate::http::error::Problem;
use crate::http::request::query::QueryParameters;
use crate::model::session_name::SessionName;

/// Messages on the page.
const MESSAGES: usize = 30;
/// The code of a stream that WhatsApp ends for a moment.
const STREAM_ERROR: u16 = 503;
/// Ways to break a linked device.
const BREAKS: [(&str, PageText); 6] = [
    ("cut", texts::CUT),
    ("freeze", texts::FREEZE),
    ("thaw", texts::THAW),
    ("deafen", texts::DEAFEN),
    ("stream_error", texts::STREAM_ERROR),
    ("log_out", texts::LOG_OUT_DEVICE),
];

struct PhonePage {
    caller: Caller,
    number: String,
}

/// `GET /dashboard/sandbox/phones/{number}`: a phone.
pub async fn show_phone(
    State(gateway): State<Gateway>,
    Path(number): Path<String>,
    context: PageContext,
    caller: Caller,
    query: QueryParameters,
) -> Result<Response, Problem> {
    query.finish()?;
    let phones = SimulatorClient::of(&gateway)?.read(&["phones"]).await?;
    let phones = phones.as_array().map_or(&[][..], Vec::as_slice);
    let phone = phones.iter().find(|it| text_at(it, "number") == number);
    let name = phone.map_or("", |phone| text_at(phone, "name")).to_owned();
    let path = format!("/dashboard/live/sandbox/phones/{number}");
    let page = PhonePage { caller, number };
    let parts = page.draw(&gateway, &context).await?;
    let stream = stream_address(&gateway, &path, &[]);
    let address = phone_address(&page.number);
    let form = PageForm::new(&context, &format!("{address}/send"));
    let content = html! {
        h1 { bdi { (name) } " +" (page.number) }
        p { a href="/dashboard/sandbox" { (context.text(texts::BACK_TO_PHONES)) } }
        section.card {
            h2 { (context.text(texts::WRITE_AS)) }
            form.stack method="post" action={ (address) "/send" } {
                (form_token(&context))
                (form.field("to", texts::TO_WHOM).list("numbers").required())
                datalist id="numbers" {
                    @for phone in phones {
                        option value=(text_at(phone, "number")) { (text_at(phone, "name")) }
                    }
                }
                (form.field("text", texts::TEXT).long().required())
                button type="submit" { (context.text(texts::SEND)) }
            }
            form method="post" action={ (address) "/receipts" } {
                (form_token(&context))
                button.plain type="submit" name="automatic" value="yes" { (context.text(texts::RECEIPTS_ON)) }
                button.plain type="submit" name="automatic" value="no" { (context.text(texts::RECEIPTS_OFF)) }
            }
        }
        @for part in parts { (part.html) }
    };
    Ok(render_live_page(&context, &name, &stream, content))
}

/// `GET /dashboard/live/sandbox/phones/{number}`: the changes of a phone's page.
pub async fn stream_phone(
    gateway: State<Gateway>,
    Path(number): Path<String>,
    context: PageContext,
    caller: Caller,
    headers: HeaderMap,
    query: QueryParameters,
) -> Result<Response, Problem> {
    SimulatorClient::of(&gateway)?;
    let page = PhonePage {
        caller: caller.clone(),
        number,
    };
    live::stream_page(page, gateway, context, caller, headers, query).await
}

impl LivePage for PhonePage {
    fn session(&self) -> Option<String> {
        None
    }

    async fn draw(
        &self,
        gateway: &Gateway,
        context: &PageContext,
    ) -> Result<Vec<PageFragment>, Problem> {
        let simulator = SimulatorClient::of(gateway)?;
        let devices = simulator.read(&["phones", &self.number, "devices"]).await?;
        let messages = simulator.read_messages(&self.number, MESSAGES).await?;
        let query = QueryParameters::parse("");
        let sessions = list_documents(gateway, &self.caller, query).await?;
        let waiting: Vec<_> = sessions
            .iter()
            .filter(|it| text_at(it, "status") == "scan_qr")
            .map(|it| text_at(it, "id"))
            .collect();
        let (number, devices) = (
            &self.number,
            devices.as_array().map_or(&[][..], Vec::as_slice),
        );
        let received = list_at(&messages, "messages");
        Ok(vec![
            PageFragment::fixed("scan", draw_scan(context, number, &waiting)),
            PageFragment::fixed("devices", draw_devices(context, number, devices)),
            PageFragment::fixed("received", draw_messages(context, number, received)),
        ])
    }
}

fn draw_scan(context: &PageContext, number: &str, waiting: &[&str]) -> Markup {
    html! {
        section.card id="scan" {
            h2 { (context.text(texts::SCAN_CODE)) }
            @if waiting.is_empty() { p { (context.text(texts::NOTHING_TO_SCAN)) } }
            @else {
                p { (context.text(texts::SCAN_HINT)) }
                form method="post" action={ (phone_address(number)) "/scan" } {
                    (form_token(context))
                    label for="session" { (context.text(texts::SESSION)) }
                    select id="session" name="session" {
                        @for name in waiting { option value=(name) { (name) } }
                    }
                    button type="submit" { (context.text(texts::SCAN_CODE)) }
                }
            }
        }
    }
}

fn draw_devices(context: &PageContext, number: &str, devices: &[Value]) -> Markup {
    html! {
        section.card id="devices" {
            h2 { (context.text(texts::DEVICES)) }
            @if devices.is_empty() { p { (context.text(texts::NO_DEVICES)) } }
            @for device in devices {
                @let is_connected = flag_at(device, "connected");
                p {
                    code { (text_at(device, "jid")) } " "
                    (context.text(if is_connected { texts::CONNECTED } else { texts::NOT_CONNECTED }))
                    " · " (context.text(texts::UNCONFIRMED)) ": "
                    (number_at(device, "queued").unwrap_or_default())
                }
                form method="post" action={ (phone_address(number)) "/break" } {
                    (form_token(context))
                    input type="hidden" name="device" value=(number_at(device, "device").unwrap_or_default());
                    @for (fault, text) in BREAKS {
                        button.plain type="submit" name="fault" value=(fault) { (context.text(text)) }
                    }
                }
            }
        }
    }
}

fn draw_messages(context: &PageContext, number: &str, messages: &[Value]) -> Markup {
    html! {
        section id="received" {
            h2 { (context.text(texts::RECEIVED)) }
            @if messages.is_empty() { p { (context.text(texts::NOTHING_RECEIVED)) } }
            ol.messages {
                @for message in messages { (draw_message(context, number, message)) }
            }
        }
    }
}

fn draw_message(context: &PageContext, number: &str, message: &Value) -> Markup {
    let is_own = flag_at(message, "from_me");
    let text = ["text", "caption"]
        .into_iter()
        .find_map(|name| optional_text(message, name));
    html! {
        li.message.own[is_own] {
            p.quiet {
                (text_at(message, "from")) " → " (text_at(message, "chat")) " [" (text_at(message, "kind")) "]"
                @if is_own { " " (context.text(texts::OWN_COPY)) }
            }
            @if let Some(text) = text { div.body { (text) } }
            @if !is_own {
                form method="post" action={ (phone_address(number)) "/read" } {
                    (form_token(context))
                    input type="hidden" name="chat" value=(text_at(message, "chat"));
                    input type="hidden" name="id" value=(text_at(message, "id"));
                    button.plain type="submit" { (context.text(texts::READ_IT)) }
                }
            }
        }
    }
}

/// `POST …/scan`: scans the QR code of a session, and leads to the session.
pub async fn scan_code(
    State(gateway): State<Gateway>,
    Path(number): Path<String>,
    mut fields: FormFields,
) -> Result<Response, Problem> {
    let simulator = SimulatorClient::of(&gateway)?;
    let name = SessionName::parse(&fields.require("session")?)
        .map_err(|error| Problem::invalid_field("session", error.to_string()))?;
    let session = gateway.sessions.find(&name).ok_or(Problem::NoSession)?;
    let code = session.state().qr.ok_or(Problem::NoQrCode)?;
    let body = json!({"qr": code.text});
    simulator
        .order(Method::POST, &["phones", &number, "scan"], body)
        .await?;
    Ok(Redirect::to(&session_address(name.as_str())).into_response())
}

/// `POST …/send`: writes a text.
pub async fn send_text(
    State(gateway): State<Gateway>,
    Path(number): Path<String>,
    mut fields: FormFields,
) -> Result<Response, Problem> {
    let body = json!({"to": fields.require("to")?, "text": fields.require("text")?});
    let path = ["phones", &number, "messages"];
    order(&gateway, &number, Method::POST, &path, body).await
}

/// `POST …/read`: tells the sender of a message that it was read.
pub async fn read_message(
    State(gateway): State<Gateway>,
    Path(number): Path<String>,
    mut fields: FormFields,
) -> Result<Response, Problem> {
    let body = json!({"chat": fields.require("chat")?, "ids": [fields.require("id")?]});
    let path = ["phones", &number, "read"];
    order(&gateway, &number, Method::POST, &path, body).await
}

/// `POST …/receipts`: the phone confirms deliveries by itself, or does not.
pub async fn set_receipts(
    State(gateway): State<Gateway>,
    Path(number): Path<String>,
    mut fields: FormFields,
) -> Result<Response, Problem> {
    let body = json!({"automatic": fields.require("automatic")? == "yes"});
    let path = ["phones", &number, "receipts"];
    order(&gateway, &number, Method::PUT, &path, body).await
}

/// `POST …/break`: breaks a linked device, or mends it.
pub async fn break_device(
    State(gateway): State<Gateway>,
    Path(number): Path<String>,
    mut fields: FormFields,
) -> Result<Response, Problem> {
    let device = fields.require("device")?;
    let fault = fields.require("fault")?;
    let body = match fault.as_str() {
        "log_out" => {
            let path = ["phones", &number, "devices", &device];
            return order(&gateway, &number, Method::DELETE, &path, Value::Null).await;
        }
        "freeze" | "thaw" => json!({"fault": "freeze", "on": fault == "freeze"}),
        "stream_error" => json!({"fault": "stream_error", "code": STREAM_ERROR}),
        "cut" | "deafen" => json!({"fault": fault}),
        _ => {
            return Err(Problem::invalid_field(
                "fault",
                "is not a way to break a device",
            ));
        }
    };
    let path = ["phones", &number, "devices", &device, "faults"];
    order(&gateway, &number, Method::POST, &path, body).await
}

/// Makes a phone do something, and leads back to it.
async fn order(
    gateway: &Gateway,
    number: &str,
    method: Method,
    path: &[&str],
    body: Value,
) -> Result<Response, Problem> {
    let simulator = SimulatorClient::of(gateway)?;
    simulator.order(method, path, body).await?;
    Ok(Redirect::to(&phone_address(number)).into_response())
}
