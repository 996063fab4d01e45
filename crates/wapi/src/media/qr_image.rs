//! Images of QR codes: PNG and SVG for browsers, half blocks for consoles.

use qrcode::{Color, EcLevel, QrCode};

/// Modules of light border that readers need around the code.
const QUIET_ZONE: usize = 4;
/// Side of one module in the PNG, in pixels.
const MODULE_PIXELS: usize = 8;

/// A QR code with its quiet zone.
pub struct QrImage {
    /// Modules per side, quiet zone included.
    side: usize,
    /// Row by row; `true` is dark.
    dark: Vec<bool>,
}

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
        let code = QrCode::with_error_correction_level(text, EcLevel::L)?;
        let width = code.width();
        let side = width + 2 * QUIET_ZONE;
        let mut dark = vec![false; side * side];
        for (index, color) in code.to_colors().into_iter().enumerate() {
            let (row, column) = (index / width + QUIET_ZONE, index % width + QUIET_ZONE);
            dark[row * side + column] = color == Color::Dark;
        }
        Ok(Self { side, dark })
    }

    fn is_dark(&self, row: usize, column: usize) -> bool {
        row < self.side && self.dark[row * self.side + column]
    }

    /// Returns an 8-bit greyscale PNG.
    pub fn to_png(&self) -> Vec<u8> {
        let side = self.side * MODULE_PIXELS;
        let pixel = |at: usize| {
            if self.is_dark(at / side / MODULE_PIXELS, at % side / MODULE_PIXELS) {
                0u8
            } else {
                255
            }
        };
        let pixels: Vec<u8> = (0..side * side).map(pixel).collect();
        let mut file = Vec::new();
        let mut encoder = png::Encoder::new(&mut file, side as u32, side as u32);
        encoder.set_color(png::ColorType::Grayscale);
        encoder.set_depth(png::BitDepth::Eight);
        let written = encoder
            .write_header()
            .and_then(|mut writer| writer.write_image_data(&pixels));
        written.expect("a PNG of the right size goes into memory");
        file
    }

    /// Returns an SVG of any size, with one unit per module.
    pub fn to_svg(&self) -> String {
        let dark = (0..self.side * self.side).filter(|at| self.dark[*at]);
        let squares: String = dark
            .map(|at| format!("M{} {}h1v1h-1z", at % self.side, at / self.side))
            .collect();
        let side = self.side;
        format!(
            r#"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {side} {side}" shape-rendering="crispEdges">"#
        ) + &format!(
            r##"<path fill="#fff" d="M0 0h{side}v{side}h-{side}z"/><path d="{squares}"/></svg>"##
        )
    }

    /// Returns text with two rows of modules per line.
    pub fn to_text(&self, paint: QrStyle) -> String {
        let mut text = String::new();
        for row in (0..self.side).step_by(2) {
            let halves = (0..self.side).map(|column| {
                let (upper, lower) = (self.is_dark(row, column), self.is_dark(row + 1, column));
                let drawn = paint == QrStyle::Escapes;
                match (upper == drawn, lower == drawn) {
                    (true, true) => '█',
                    (true, false) => '▀',
                    (false, true) => '▄',
                    (false, false) => ' ',
                }
            });
            match paint {
                QrStyle::Escapes => text.extend(
                    "\u{1b}[30;107m"
                        .chars()
                        .chain(halves)
                        .chain("\u{1b}[0m\n".chars()),
                ),
                QrStyle::Blocks => text.extend(halves.chain(['\n'])),
            }
        }
        text
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
            read_back(picture.side * scale, |x, y| dark
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
            assert_eq!(read_back(picture.side * scale, dark), TEXT, "{paint:?}");
        }
    }
}
