//! Reads QR pictures as a phone's camera does.

use std::io::Cursor;

/// The text in a PNG.
pub fn read_qr(file: &[u8]) -> String {
    let mut reader = png::Decoder::new(Cursor::new(file))
        .read_info()
        .expect("a PNG");
    let mut pixels = vec![
        0;
        reader
            .output_buffer_size()
            .expect("a PNG that fits in memory")
    ];
    let picture = reader.next_frame(&mut pixels).expect("a whole PNG");
    let (width, height) = (picture.width as usize, picture.height as usize);
    let grey = |x: usize, y: usize| pixels[y * width + x];
    let mut image = rqrr::PreparedImage::prepare_from_greyscale(width, height, grey);
    let grids = image.detect_grids();
    assert_eq!(grids.len(), 1, "one QR code is in the picture");
    grids[0].decode().expect("a readable QR code").1
}
