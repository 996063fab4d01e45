//! Presents QR codes for scanning: on the console, in a file, and over HTTP.

use std::io::{IsTerminal, Write};
use std::sync::Arc;
use std::time::Duration;

use super::files::SessionFiles;
use super::{QrCode, Session};
use crate::media::qr_image::{QrImage, QrStyle};
use crate::model::masking;
use crate::model::qr_number::QrNumber;
use crate::system::clock::Clock;

/// The console that prints QR codes for people in front of the program.
#[derive(Clone)]
pub struct QrConsole {
    print: Arc<dyn Fn(&str) + Send + Sync>,
    paint: QrStyle,
}

impl QrConsole {
    /// Standard output, in the colours it supports.
    pub fn stdout() -> Self {
        let paint = if std::io::stdout().is_terminal() {
            QrStyle::Escapes
        } else {
            QrStyle::Blocks
        };
        Self::new(paint, |text| {
            // A closed pipe has no reader; the code is in the file and on the route, too.
            let _ = writeln!(std::io::stdout().lock(), "{text}");
        })
    }

    pub fn new(paint: QrStyle, print: impl Fn(&str) + Send + Sync + 'static) -> Self {
        Self {
            print: Arc::new(print),
            paint,
        }
    }

    /// Prints a line for the person in front of the program, if it is a terminal.
    pub fn tell_terminal(&self, line: &str) {
        if self.is_terminal() {
            (self.print)(line);
        }
    }

    /// Returns whether it is a terminal; a file or a pipe may be read by others, later.
    pub fn is_terminal(&self) -> bool {
        self.paint == QrStyle::Escapes
    }
}

/// Draws the code and publishes it everywhere it can be scanned from, replacing the previous one.
pub(super) async fn publish_qr_code(
    session: &Session,
    text: &str,
    (valid_for, number): (Duration, QrNumber),
    files: &SessionFiles,
    console: &QrConsole,
    clock: &Clock,
) {
    if session.state().passkey.is_some() {
        // The engine shows further codes although one was scanned.
        return;
    }
    let picture = match QrImage::from_text(text) {
        Ok(picture) => picture,
        Err(error) => {
            return tracing::error!(session = %session.name, %error, "WhatsApp's pairing text does not fit a QR code");
        }
    };
    let png = picture.to_png();
    if let Err(error) = files.write_qr_code(&session.name, &png).await {
        tracing::error!(session = %session.name, %error, "failed to write the QR code to its file");
    }
    let name = masking::mask_session(session.name.as_str());
    let heading = format!("Scan this in WhatsApp > Linked devices, for session {name}:");
    (console.print)(&format!("{heading}\n{}", picture.to_text(console.paint)));
    let expires_at = clock
        .now()
        .saturating_add(valid_for)
        .unwrap_or(jiff::Timestamp::MAX);
    let qr = QrCode {
        text: text.to_owned(),
        png,
        expires_at,
        number,
    };
    session.update_state(|state| state.set_qr_code(qr, clock.now()));
}

/// Removes the code's file, since the code can no longer be scanned.
pub(super) async fn withdraw_qr_code(session: &Session, files: &SessionFiles) {
    if let Err(error) = files.remove_qr_code(&session.name).await {
        tracing::error!(session = %session.name, %error, "failed to remove the file of the QR code");
    }
}
