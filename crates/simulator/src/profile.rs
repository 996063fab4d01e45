//! The public profile of an account: name, about text and profile picture; and its blocklist.

use std::io::Cursor;

use anyhow::Context;
use image::codecs::jpeg::JpegEncoder;
use image::imageops::FilterType;
use image::{ImageFormat, ImageReader};
use serde::Serialize;

use crate::phone::Phone;
use crate::server::Server;
use crate::stanza::iq::{blocklist, profile};
use crate::stanza::unix_time_ms;
use crate::world::{Account, PhoneNumber};

/// The sides of the preview of a profile picture, in pixels.
const PREVIEW_SIZE: u32 = 96;

/// The profile of an account.
#[derive(Default)]
pub(crate) struct AccountProfile {
    pub(crate) about: String,
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
    let mut pictures = world
        .accounts()
        .filter_map(|account| account.profile.picture.as_ref());
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

impl Phone {
    /// Changes its about text.
    pub fn sets_about(&self, about: &str) {
        profile::set_about(&self.server, &self.device_id(0), about.to_owned());
    }

    /// Its about text, whichever of the account's devices has set it.
    pub fn about(&self) -> String {
        let world = self.server.world.lock();
        world
            .account(&self.number)
            .map(|account| account.profile.about.clone())
            .unwrap_or_default()
    }

    /// Sets its profile picture, a JPEG; returns the picture's id.
    pub fn shows_picture(&self, jpeg: Vec<u8>) -> anyhow::Result<String> {
        let picture = ProfilePicture::from_jpeg(jpeg)?;
        let id = picture.id.clone();
        profile::set_picture(&self.server, &self.device_id(0), Some(picture));
        Ok(id)
    }

    /// Removes its profile picture.
    pub fn removes_picture(&self) {
        profile::set_picture(&self.server, &self.device_id(0), None);
    }

    /// Sets whether its profile picture is hidden from everybody else.
    pub fn hides_picture(&self, hidden: bool) {
        if let Some(account) = self.server.world.lock().account_mut(&self.number) {
            account.profile.hides_picture = hidden;
        }
    }

    /// Its profile picture, whichever of the account's devices has set it.
    pub fn picture(&self) -> Option<ProfilePicture> {
        self.server
            .world
            .lock()
            .account(&self.number)?
            .profile
            .picture
            .clone()
    }

    /// Blocks or unblocks an account.
    pub fn blocks_contact(&self, whom: &str, blocked: bool) -> anyhow::Result<()> {
        let whom = self.resolve_number(whom)?;
        blocklist::set_blocked(&self.server, &self.device_id(0), &whom, blocked);
        Ok(())
    }

    /// The numbers it has blocked, whichever of the account's devices has done it.
    pub fn blocked_numbers(&self) -> Vec<String> {
        let world = self.server.world.lock();
        let blocked = world
            .account(&self.number)
            .into_iter()
            .flat_map(|account| &account.blocked);
        blocked.map(ToString::to_string).collect()
    }

    /// Its push name, as WhatsApp knows it.
    pub fn name(&self) -> String {
        let world = self.server.world.lock();
        world
            .account(&self.number)
            .map(|account| account.push_name.clone())
            .unwrap_or_default()
    }
}
