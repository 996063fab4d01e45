//! The page of a connect link as HTML that loads nothing. Pure.

use std::sync::LazyLock;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use maud::{DOCTYPE, Markup, PreEscaped, html};
use sha2::{Digest, Sha256};

use super::texts;
use crate::http::dashboard::context::PageLanguage;
use crate::http::dashboard::texts::PageText;
use crate::model::qr_number::QrNumber;
use crate::model::timestamp::format_timestamp;
use crate::sessions::{PasskeyState, PasskeyStep};

/// The look of the dashboard. It is in the page, which is there where the dashboard is not.
const STYLE: &str = include_str!("../dashboard/assets/style.css");
const SCRIPT: &str = include_str!("page.js");

/// Forbids loading, and other styles and scripts than the page's own. Its script reads the page
/// itself again, and nothing else.
pub static PAGE_POLICY: LazyLock<String> = LazyLock::new(|| {
    let style = STANDARD.encode(Sha256::digest(STYLE));
    let script = STANDARD.encode(Sha256::digest(SCRIPT));
    format!(
        "default-src 'none'; style-src 'sha256-{style}'; script-src 'sha256-{script}'; connect-src 'self'; \
         form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    )
});

/// Seconds until a page without scripts looks for the next step.
const SLOW_REFRESH: u32 = 8;
const FAST_REFRESH: u32 = 2;
/// Rounds of QR codes that an open page asks WhatsApp for by itself; each takes some minutes.
pub const MAX_ROUNDS: u32 = 3;

/// The content of a page.
pub enum ConnectView {
    /// The link is unknown or over, which is all that a stranger learns.
    Invalid,
    /// The session cannot be linked now.
    Unavailable,
    Waiting {
        rounds: u32,
    },
    Qr {
        svg: String,
        number: QrNumber,
        seconds: i64,
        rounds: u32,
    },
    /// The page has asked for enough codes by itself.
    Paused,
    /// The form for a phone number, with the number that was typed.
    Number(String),
    /// A code to type into the phone.
    Code(String),
    /// A code was given out, and can still be typed.
    CodeOutstanding {
        rounds: u32,
    },
    Passkey {
        passkey: PasskeyState,
        seconds: i64,
    },
    Linked,
}

/// The reader of a page.
#[derive(Debug, Clone, Copy)]
pub struct ConnectReader {
    pub language: PageLanguage,
    /// When the link ends; `None` on the pages of a link that links nothing.
    pub expires_at: Option<Timestamp>,
}

/// When, and with which count of rounds, a page looks for the next step.
struct NextLook {
    seconds: u32,
    rounds: u32,
}

impl ConnectView {
    /// Returns the name of the step. A page whose step has the same name stays as it is.
    fn step(&self) -> String {
        match self {
            Self::Invalid => "invalid".to_owned(),
            Self::Unavailable => "unavailable".to_owned(),
            Self::Waiting { .. } => "waiting".to_owned(),
            Self::Qr { number, rounds, .. } => format!("qr-{rounds}-{}", number.number),
            Self::Paused => "paused".to_owned(),
            Self::Number(_) => "number".to_owned(),
            // The code stays on the screen while it is typed.
            Self::Code(_) | Self::CodeOutstanding { .. } => "code".to_owned(),
            Self::Passkey { passkey, .. } => format!("passkey-{:?}", passkey.step),
            Self::Linked => "linked".to_owned(),
        }
    }

    /// Returns when a page looks again. A form that is filled in must not disappear: such views
    /// never do.
    fn next_look(&self) -> Option<NextLook> {
        let (seconds, rounds) = match self {
            Self::Waiting { rounds } => (FAST_REFRESH, *rounds),
            Self::Qr { rounds, .. } | Self::CodeOutstanding { rounds } => (SLOW_REFRESH, *rounds),
            Self::Passkey { passkey, .. } => match passkey.step {
                PasskeyStep::Checking | PasskeyStep::Linking => (FAST_REFRESH, 0),
                PasskeyStep::Assertion | PasskeyStep::Confirmation => return None,
            },
            _ => return None,
        };
        Some(NextLook { seconds, rounds })
    }
}

/// Renders the page, with the fault of the form that was sent.
pub fn render_page(view: &ConnectView, reader: ConnectReader, fault: Option<PageText>) -> String {
    // Nor must a fault disappear while it is read.
    let next = view.next_look().filter(|_| fault.is_none());
    let address = next.as_ref().map(|next| format!("?rounds={}", next.rounds));
    // With scripts, the code stays while the page waits for the phone.
    let follows = match view {
        ConnectView::Code(_) => Some("?rounds=0".to_owned()),
        _ => address.clone(),
    };
    let text = |text| reader.text(text);
    let page = html! {
        (DOCTYPE)
        html lang=(reader.language.code()) {
            head {
                meta charset="utf-8";
                title { (text(texts::TITLE)) }
                meta name="viewport" content="width=device-width, initial-scale=1";
                // The address of the refresh leaves a form's view behind.
                @if let (Some(next), Some(address)) = (&next, &address) {
                    noscript {
                        meta http-equiv="refresh" content={ (next.seconds) "; url=" (address) };
                    }
                }
                style { (PreEscaped(STYLE)) }
                script type="module" { (PreEscaped(SCRIPT)) }
            }
            body {
                header { span.brand { "wapi" } }
                main data-step=(view.step()) data-next=[follows] aria-live="polite" {
                    h1 { (text(texts::TITLE)) }
                    @if let Some(fault) = fault { p.warning role="alert" { (text(fault)) } }
                    section.card { (draw_step(view, reader)) }
                    @if let Some(at) = reader.expires_at {
                        @let at = format_timestamp(at);
                        p.quiet {
                            (text(texts::VALID_UNTIL)) " "
                            time datetime=(at) { (at.split('.').next().unwrap_or_default().replace('T', " ")) " UTC" }
                        }
                    }
                }
            }
        }
    };
    page.into_string()
}

impl ConnectReader {
    const fn text(self, text: PageText) -> &'static str {
        match self.language {
            PageLanguage::English => text.english,
            PageLanguage::Russian => text.russian,
        }
    }
}

fn draw_step(view: &ConnectView, reader: ConnectReader) -> Markup {
    let text = |text| reader.text(text);
    let by_number = html! { p { a href="?by=code" { (text(texts::BY_NUMBER)) } } };
    match view {
        ConnectView::Invalid => html! { p { (text(texts::INVALID)) } },
        ConnectView::Unavailable => html! { p { (text(texts::UNAVAILABLE)) } },
        ConnectView::Waiting { .. } => html! { p { (text(texts::WAITING)) } },
        ConnectView::Qr {
            svg,
            number,
            seconds,
            ..
        } => html! {
            ol {
                li { (text(texts::OPEN_WHATSAPP)) }
                li { (text(texts::OPEN_DEVICES)) }
                li { (text(texts::SCAN_CODE)) }
            }
            div.qr role="img" aria-label=(text(texts::QR_ALT)) { (PreEscaped(svg)) }
            p {
                (text(texts::CODE)) " " (number.number) " " (text(texts::OUT_OF)) " " (number.total) "; "
                (text(texts::REPLACED)) " " (draw_seconds(reader, *seconds))
            }
            (by_number)
        },
        ConnectView::Paused => html! {
            p { (text(texts::EXPIRED)) }
            form method="post" action="?" {
                input type="hidden" name="step" value="qr";
                button { (text(texts::NEW_CODE)) }
            }
            (by_number)
        },
        ConnectView::Number(typed) => html! {
            form.stack method="post" action="?by=code" {
                input type="hidden" name="step" value="code";
                label for="phone" { (text(texts::NUMBER)) }
                input id="phone" name="phone" type="tel" required value=(typed);
                button { (text(texts::SHOW_CODE)) }
            }
            p { a href="?" { (text(texts::BY_QR)) } }
        },
        ConnectView::Code(code) => html! {
            p { (text(texts::TYPE_CODE)) }
            p.code { (code) }
            form method="get" { button { (text(texts::TYPED)) } }
        },
        ConnectView::CodeOutstanding { .. } => html! {
            p { (text(texts::OUTSTANDING)) }
            p { a href="?by=code" { (text(texts::ANOTHER_CODE)) } }
        },
        ConnectView::Passkey { passkey, seconds } => draw_passkey(passkey, *seconds, reader),
        ConnectView::Linked => html! {
            p { strong { (text(texts::LINKED)) } " " (text(texts::CLOSE)) }
        },
    }
}

/// Draws the seconds that are left of a step; a script counts them down.
fn draw_seconds(reader: ConnectReader, seconds: i64) -> Markup {
    html! { (reader.text(texts::SECONDS_LEFT)) " " span data-seconds=(seconds) { (seconds) } }
}

fn draw_passkey(passkey: &PasskeyState, seconds: i64, reader: ConnectReader) -> Markup {
    let text = |text| reader.text(text);
    match passkey.step {
        PasskeyStep::Assertion => html! {
            p { (text(texts::PASSKEY)) }
            form.stack method="post" {
                input type="hidden" name="step" value="passkey";
                ol {
                    li {
                        label for="request" { (text(texts::COPY_REQUEST)) }
                        textarea id="request" readonly rows="4" { (passkey.options.json.to_string()) }
                    }
                    li { (text(texts::PASTE_INTO_EXTENSION)) }
                    li {
                        label for="answer" { (text(texts::PASTE_ANSWER)) }
                        textarea id="answer" name="assertion" rows="4" required {}
                    }
                }
                p { (draw_seconds(reader, seconds)) }
                button { (text(texts::SEND)) }
            }
        },
        PasskeyStep::Checking => html! { p { (text(texts::CHECKING)) } },
        PasskeyStep::Confirmation => html! {
            p { (text(texts::COMPARE)) }
            p.code { (passkey.code.as_deref().unwrap_or_default()) }
            form method="post" {
                input type="hidden" name="step" value="confirm";
                button { (text(texts::SAME)) }
            }
            p { (draw_seconds(reader, seconds)) }
        },
        PasskeyStep::Linking => html! { p { (text(texts::LINKING)) } },
    }
}
