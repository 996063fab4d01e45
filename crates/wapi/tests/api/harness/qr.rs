//! Reads QR pictures as a phone's camera does.

/// The text of the one QR code in a PNG.
pub fn read_qr(file: &[u8]) -> String {
    let picture = image::load_from_memory_with_format(file, image::ImageFormat::Png);
    let picture = picture.expect("a whole PNG").to_luma8();
    let (width, height) = (picture.width() as usize, picture.height() as usize);
    let grey = |x: usize, y: usize| picture.as_raw()[y * width + x];
    let mut image = rqrr::PreparedImage::prepare_from_greyscale(width, height, grey);
    let grids = image.detect_grids();
    assert_eq!(grids.len(), 1, "one QR code is in the picture");
    grids[0].decode().expect("a readable QR code").1
}
