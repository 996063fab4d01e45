//! The page of a connect link as HTML without scripts and external resources. Pure.

use std::sync::LazyLock;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha256};

use crate::http::openapi::escape_html;
use crate::model::qr_number::QrNumber;
use crate::sessions::{PasskeyState, PasskeyStep};

const STYLE: &str = include_str!("style.css");

/// Forbids loading, scripts, and other styles than the page's own.
pub static PAGE_POLICY: LazyLock<String> = LazyLock::new(|| {
    let style = STANDARD.encode(Sha256::digest(STYLE));
    format!(
        "default-src 'none'; style-src 'sha256-{style}'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    )
});

/// Seconds until a page looks for the next step by itself.
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
    Passkey(PasskeyState),
    Linked,
}

/// Renders the page, with the fault of the form that was sent.
pub fn render_page(view: &ConnectView, fault: Option<&str>) -> String {
    let (refresh, content) = match view {
        ConnectView::Invalid => (
            None,
            "<p>This link is not valid, or no longer.</p>".to_owned(),
        ),
        ConnectView::Unavailable => (
            None,
            "<p>Linking is not possible at the moment. Ask the sender of this link.</p>".to_owned(),
        ),
        ConnectView::Waiting { rounds } => (
            Some((FAST_REFRESH, *rounds)),
            "<p>One moment…</p>".to_owned(),
        ),
        ConnectView::Qr {
            svg,
            number,
            rounds,
        } => (Some((SLOW_REFRESH, *rounds)), render_qr(svg, *number)),
        ConnectView::Paused => (None, PAUSED.to_owned()),
        ConnectView::Number(typed) => (None, render_number(typed)),
        ConnectView::Code(code) => (None, render_code(code)),
        ConnectView::CodeOutstanding { rounds } => {
            (Some((SLOW_REFRESH, *rounds)), CODE_OUTSTANDING.to_owned())
        }
        ConnectView::Passkey(passkey) => {
            let (refresh, content) = render_passkey(passkey);
            (refresh.map(|seconds| (seconds, 0)), content)
        }
        ConnectView::Linked => (
            None,
            "<p><strong>The phone is linked.</strong> You can close this page.</p>".to_owned(),
        ),
    };
    // A form that is filled in, or a fault that is read, must not disappear: such views have no
    // refresh. The address of the refresh leaves a form's view behind.
    let refresh =
        refresh
            .filter(|_| fault.is_none())
            .map_or_else(String::new, |(seconds, rounds)| {
                format!("<meta http-equiv=\"refresh\" content=\"{seconds}; url=?rounds={rounds}\">")
            });
    let fault = fault.map_or_else(String::new, |fault| {
        format!("<p role=\"alert\">{}</p>", escape_html(fault))
    });
    format!(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><title>Link a phone</title>{refresh}\
         <meta name=\"viewport\" content=\"width=device-width\"><style>{STYLE}</style></head>\
         <body><h1>Link a phone</h1>{fault}{content}</body></html>"
    )
}

fn render_qr(svg: &str, number: QrNumber) -> String {
    let QrNumber { number, total } = number;
    format!(
        "<ol><li>Open WhatsApp on the phone.<li>Open <b>Linked devices</b>, and tap <b>Link a device</b>.\
         <li>Scan this code.</ol><figure>{svg}<figcaption>Code {number} of {total}; it is replaced by itself.\
         </figcaption></figure>{BY_NUMBER}"
    )
}

const BY_NUMBER: &str = "<p><a href=\"?by=code\">Link with the phone number instead</a></p>";

const PAUSED: &str = "<p>The codes have expired.</p><form method=\"post\" action=\"?\">\
     <input type=\"hidden\" name=\"step\" value=\"qr\"><button>Show a new code</button></form>\
     <p><a href=\"?by=code\">Link with the phone number instead</a></p>";

const CODE_OUTSTANDING: &str = "<p>The code was given out and can still be typed into the phone…</p>\
     <p><a href=\"?by=code\">Show another code</a></p>";

fn render_number(typed: &str) -> String {
    format!(
        "<form method=\"post\" action=\"?by=code\"><input type=\"hidden\" name=\"step\" value=\"code\">\
         <label>International number of the phone<input name=\"phone\" type=\"tel\" required value=\"{}\"></label>\
         <button>Show a code</button></form><p><a href=\"?\">Scan a code instead</a></p>",
        escape_html(typed)
    )
}

fn render_code(code: &str) -> String {
    format!(
        "<p>Type this code into WhatsApp on the phone, under <b>Linked devices</b>, <b>Link with phone number \
         instead</b>:</p><p class=\"code\">{}</p><form method=\"get\"><button>It is typed</button></form>",
        escape_html(code)
    )
}

/// Returns also the seconds until the page is looked at again.
fn render_passkey(passkey: &PasskeyState) -> (Option<u32>, String) {
    match passkey.step {
        PasskeyStep::Assertion => {
            let options = escape_html(&passkey.options.json.to_string());
            let form = format!(
                "<p>WhatsApp asks for a passkey of the account. It can only be used in a page of WhatsApp Web; the \
                 browser extension of wapi does that.</p><ol><li>Copy this request.<textarea readonly rows=\"4\">\
                 {options}</textarea><li>Paste it into the extension in a tab of https://web.whatsapp.com, and use the \
                 passkey.<li>Paste the answer here.</ol><form method=\"post\"><input type=\"hidden\" name=\"step\" \
                 value=\"passkey\"><textarea name=\"assertion\" rows=\"4\" required></textarea><button>Send</button>\
                 </form>"
            );
            (None, form)
        }
        PasskeyStep::Checking => (
            Some(FAST_REFRESH),
            "<p>WhatsApp checks the passkey…</p>".to_owned(),
        ),
        PasskeyStep::Confirmation => {
            let code = escape_html(passkey.code.as_deref().unwrap_or_default());
            let form = format!(
                "<p>Compare this code with the one on the phone:</p><p class=\"code\">{code}</p><form method=\"post\">\
                 <input type=\"hidden\" name=\"step\" value=\"confirm\"><button>The codes are the same</button></form>"
            );
            (None, form)
        }
        PasskeyStep::Linking => (
            Some(FAST_REFRESH),
            "<p>The phone links the session…</p>".to_owned(),
        ),
    }
}
