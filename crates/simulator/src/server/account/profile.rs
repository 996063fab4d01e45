//! The public profile of an account: about text and profile picture.

use std::io::Cursor;

use anyhow::Context;
use image::codecs::jpeg::JpegEncoder;
use image::imageops::FilterType;
use image::{ImageFormat, ImageReader};
use serde::Serialize;

use crate::model::ids::PhoneNumber;
use crate::server::Server;
use crate::server::world::Account;
use crate::wire::unix_time_ms;

/// The sides of the preview of a profile picture, in pixels.
pub(crate) const PREVIEW_SIZE: u32 = 96;

/// The profile of an account.
#[derive(Default)]
pub(crate) struct AccountProfile {
    pub(crate) about: String,
    pub(crate) username: Option<String>,
    pub(crate) picture: Option<ProfilePicture>,
    /// Only the account itself may see the profile picture.
    pub(crate) hides_picture: bool,
}

/// A profile picture in both its forms.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProfilePicture {
    /// Unique for each picture an account has had.
    pub id: String,
    /// The JPEG as it was set.
    pub full: Vec<u8>,
    /// A small JPEG that WhatsApp makes of it.
    pub preview: Vec<u8>,
}

/// The two forms of a profile picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(crate) enum PictureForm {
    Full,
    Preview,
}

impl PictureForm {
    pub(crate) const fn as_letter(self) -> char {
        match self {
            Self::Full => 'f',
            Self::Preview => 'p',
        }
    }
}

impl ProfilePicture {
    /// Makes a picture from a JPEG, the only format WhatsApp accepts.
    pub(crate) fn from_jpeg(jpeg: Vec<u8>) -> anyhow::Result<Self> {
        let reader = ImageReader::with_format(Cursor::new(&jpeg), ImageFormat::Jpeg);
        let picture = reader.decode().context("it is no JPEG")?;
        let mut preview = Cursor::new(Vec::new());
        let small = picture
            .resize_to_fill(PREVIEW_SIZE, PREVIEW_SIZE, FilterType::Triangle)
            .to_rgb8();
        small.write_with_encoder(JpegEncoder::new_with_quality(&mut preview, 75))?;
        // WhatsApp's ids are timestamps, too; two of the same moment must still differ.
        let id = format!("{}{:03}", unix_time_ms(), rand::random_range(0..1000));
        Ok(Self {
            id,
            full: jpeg,
            preview: preview.into_inner(),
        })
    }

    pub(crate) fn jpeg_bytes(&self, form: PictureForm) -> &[u8] {
        match form {
            PictureForm::Full => &self.full,
            PictureForm::Preview => &self.preview,
        }
    }

    /// Its path on the media host, in one of its forms.
    pub(crate) fn media_path(&self, form: PictureForm) -> String {
        format!(
            "/v/t61/{}{}.jpg?ccb=11-4&oh=simulated&oe=7fffffff",
            form.as_letter(),
            self.id
        )
    }
}

/// Returns the picture at a path of the media host.
pub(crate) fn find_picture(server: &Server, name: &str) -> Option<Vec<u8>> {
    let (form, id) = match name.strip_suffix(".jpg")?.split_at_checked(1)? {
        ("f", id) => (PictureForm::Full, id),
        ("p", id) => (PictureForm::Preview, id),
        _ => return None,
    };
    let world = server.world.lock();
    let of_people = world
        .accounts()
        .filter_map(|account| account.profile.picture.as_ref());
    let mut pictures = of_people.chain(world.group_pictures.values());
    Some(
        pictures
            .find(|picture| picture.id == id)?
            .jpeg_bytes(form)
            .to_vec(),
    )
}

impl Account {
    /// Its profile picture as another account may see it; `is_for_them` says whether its audience
    /// includes that account.
    pub(crate) fn picture_for(&self, other: &PhoneNumber, is_for_them: bool) -> VisiblePicture<'_> {
        let is_own = self.number == *other;
        let is_hidden = self.profile.hides_picture || !is_for_them || self.has_blocked(other);
        let is_hidden = is_hidden || !self.is_shown_to("profile", other);
        match &self.profile.picture {
            Some(_) if is_hidden && !is_own => VisiblePicture::Hidden,
            Some(picture) => VisiblePicture::Picture(picture),
            None => VisiblePicture::Nothing,
        }
    }
}

/// A profile picture as another account sees it.
pub(crate) enum VisiblePicture<'a> {
    Picture(&'a ProfilePicture),
    /// There may be one.
    Hidden,
    Nothing,
}
