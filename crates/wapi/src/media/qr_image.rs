//! Images of QR codes: PNG and SVG for browsers, half blocks for consoles.

use image::codecs::png::{CompressionType, FilterType, PngEncoder};
use image::{ExtendedColorType, ImageEncoder, Luma};
use qrcode::render::unicode::Dense1x2;
use qrcode::{Color, EcLevel};

/// Modules of light border that readers need around the code.
const QUIET_ZONE: usize = 4;
/// Side of one module in the PNG, in pixels.
const MODULE_PIXELS: u32 = 8;

/// A QR code that is drawn with its quiet zone.
pub struct QrImage(qrcode::QrCode);

/// Style of a QR code on a console.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum QrStyle {
    /// Black on white by escape codes: correct on every terminal.
    Escapes,
    /// Light modules drawn as blocks: correct where letters are light, as in most logs that are not
    /// a terminal.
    Blocks,
}

impl QrImage {
    /// Encodes a text. Fails when it is too long for a QR code (more than 2953 bytes).
    pub fn from_text(text: &str) -> Result<Self, qrcode::types::QrError> {
        qrcode::QrCode::with_error_correction_level(text, EcLevel::L).map(Self)
    }

    /// Returns an 8-bit greyscale PNG.
    pub fn to_png(&self) -> Vec<u8> {
        let picture = self
            .0
            .render::<Luma<u8>>()
            .module_dimensions(MODULE_PIXELS, MODULE_PIXELS)
            .build();
        let mut file = Vec::new();
        PngEncoder::new_with_quality(&mut file, CompressionType::Best, FilterType::NoFilter)
            .write_image(
                &picture,
                picture.width(),
                picture.height(),
                ExtendedColorType::L8,
            )
            .expect("a PNG of the right size goes into memory");
        file
    }

    /// Returns an SVG of any size, with one unit per module. That of `qrcode` has a fixed size.
    pub fn to_svg(&self) -> String {
        let width = self.0.width();
        let dark = self.0.to_colors().into_iter().enumerate();
        let squares: String = dark
            .filter(|(_, color)| *color == Color::Dark)
            .map(|(at, _)| {
                format!(
                    "M{} {}h1v1h-1z",
                    at % width + QUIET_ZONE,
                    at / width + QUIET_ZONE
                )
            })
            .collect();
        let side = width + 2 * QUIET_ZONE;
        format!(
            r#"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {side} {side}" shape-rendering="crispEdges">"#
        ) + &format!(
            r##"<path fill="#fff" d="M0 0h{side}v{side}h-{side}z"/><path d="{squares}"/></svg>"##
        )
    }

    /// Returns text with two rows of modules per line.
    pub fn to_text(&self, style: QrStyle) -> String {
        let (dark, light, before, after) = match style {
            QrStyle::Escapes => (
                Dense1x2::Dark,
                Dense1x2::Light,
                "\u{1b}[30;107m",
                "\u{1b}[0m\n",
            ),
            QrStyle::Blocks => (Dense1x2::Light, Dense1x2::Dark, "", "\n"),
        };
        let text = self.0.render().dark_color(dark).light_color(light).build();
        text.lines()
            .flat_map(|line| [before, line, after])
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use crate::media::qr_image::*;

    const TEXT: &str = "2@abcdef,ABCDEF+/=,0123456789,xyz,1";

    /// Returns the text that a phone would read in an image of `side` pixels.
    fn read_back(side: usize, dark: impl Fn(usize, usize) -> bool) -> String {
        let grey = |x: usize, y: usize| if dark(x, y) { 0 } else { 255 };
        let mut image = rqrr::PreparedImage::prepare_from_greyscale(side, side, grey);
        let grids = image.detect_grids();
        assert_eq!(grids.len(), 1, "one QR code is in the picture");
        grids[0].decode().unwrap().1
    }

    #[test]
    fn the_png_can_be_read_back() {
        let file = QrImage::from_text(TEXT).unwrap().to_png();
        let mut reader = png::Decoder::new(std::io::Cursor::new(file))
            .read_info()
            .unwrap();
        let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
        let side = reader.next_frame(&mut pixels).unwrap().width as usize;
        assert_eq!(read_back(side, |x, y| pixels[y * side + x] == 0), TEXT);
    }

    #[test]
    fn the_svg_can_be_read_back() {
        let picture = QrImage::from_text(TEXT).unwrap();
        let svg = picture.to_svg();
        let squares = svg.rsplit_once("d=\"").unwrap().1;
        let dark: Vec<(usize, usize)> = squares
            .split('M')
            .filter_map(|square| {
                square
                    .strip_suffix("h1v1h-1z")
                    .or_else(|| square.split_once("h1v1h-1z").map(|(at, _)| at))
            })
            .map(|at| at.split_once(' ').unwrap())
            .map(|(x, y)| (x.parse().unwrap(), y.parse().unwrap()))
            .collect();
        let scale = 4;
        assert_eq!(
            read_back((picture.0.width() + 2 * QUIET_ZONE) * scale, |x, y| dark
                .contains(&(x / scale, y / scale))),
            TEXT
        );
    }

    #[test]
    fn the_console_text_can_be_read_back_in_both_paints() {
        let picture = QrImage::from_text(TEXT).unwrap();
        for paint in [QrStyle::Escapes, QrStyle::Blocks] {
            let text = picture
                .to_text(paint)
                .replace("\u{1b}[30;107m", "")
                .replace("\u{1b}[0m", "");
            let rows: Vec<Vec<char>> = text.lines().map(|line| line.chars().collect()).collect();
            let scale = 4;
            let drawn = |x: usize, y: usize| {
                let (row, lower) = (y / scale / 2, (y / scale) % 2 == 1);
                match rows.get(row).map_or(' ', |row| row[x / scale]) {
                    '█' => true,
                    '▀' => !lower,
                    '▄' => lower,
                    _ => false,
                }
            };
            let dark = |x, y| drawn(x, y) == (paint == QrStyle::Escapes);
            assert_eq!(
                read_back((picture.0.width() + 2 * QUIET_ZONE) * scale, dark),
                TEXT,
                "{paint:?}"
            );
        }
    }
}
