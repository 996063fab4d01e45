//! Reads the gateway's QR codes, as a phone's camera does.

use std::io::Cursor;

use anyhow::{Context, Result};

/// The text in a PNG of one QR code.
pub fn text(picture: &[u8]) -> Result<String> {
    let mut reader = png::Decoder::new(Cursor::new(picture)).read_info()?;
    let mut pixels = vec![
        0;
        reader
            .output_buffer_size()
            .context("the picture is too large")?
    ];
    let frame = reader.next_frame(&mut pixels)?;
    let (width, height) = (frame.width as usize, frame.height as usize);
    let mut image =
        rqrr::PreparedImage::prepare_from_greyscale(width, height, |x, y| pixels[y * width + x]);
    let grids = image.detect_grids();
    Ok(grids
        .first()
        .context("there is no QR code in the picture")?
        .decode()?
        .1)
}
