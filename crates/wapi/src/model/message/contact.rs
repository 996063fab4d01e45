//! Contacts in messages: a name, phone numbers, and the vCard that phones read. Pure.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::vcard::{VCard, escape_text};

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ContactCard {
    /// The displayed name.
    pub name: String,
    /// All known data, as a vCard.
    pub vcard: String,
    /// The same numbers as in the vCard.
    #[serde(default)]
    pub phones: Vec<ContactPhone>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ContactPhone {
    /// As written, e.g. `+375 44 703-48-10`.
    pub phone: String,
    /// Digits of the WhatsApp account, where the vCard gives one.
    pub wa_id: Option<String>,
}

impl ContactCard {
    /// Parses the phone numbers of a vCard.
    pub fn from_vcard(name: String, vcard: String) -> Self {
        let phones = VCard::parse(&vcard).phones;
        Self {
            name,
            vcard,
            phones,
        }
    }

    /// Writes a vCard from a name and phone numbers.
    pub fn from_phones(name: String, phones: &[ContactPhone]) -> Self {
        let shown = escape_text(&name);
        let mut vcard = format!("BEGIN:VCARD\nVERSION:3.0\nN:;{shown};;;\nFN:{shown}\n");
        for ContactPhone { phone, wa_id } in phones {
            let account = wa_id
                .as_ref()
                .map_or_else(String::new, |id| format!(";waid={id}"));
            vcard += &format!("TEL;type=CELL;type=VOICE{account}:{}\n", escape_text(phone));
        }
        vcard += "END:VCARD";
        Self::from_vcard(name, vcard)
    }

    /// Returns the displayed name of a vCard, or else its best substitute.
    pub fn display_name(vcard: &str) -> Option<String> {
        VCard::parse(vcard).name
    }
}

#[cfg(test)]
mod tests {
    use crate::model::message::contact::*;

    #[test]
    fn phones_become_a_vcard_and_come_back() {
        let phone = ContactPhone {
            phone: "+375 44 703-48-10".to_owned(),
            wa_id: Some("375447034810".to_owned()),
        };
        let contact =
            ContactCard::from_phones("Ann; Co, \\ 1".to_owned(), std::slice::from_ref(&phone));
        assert_eq!(
            contact.vcard,
            "BEGIN:VCARD\nVERSION:3.0\nN:;Ann\\; Co\\, \\\\ 1;;;\nFN:Ann\\; Co\\, \\\\ 1\n\
             TEL;type=CELL;type=VOICE;waid=375447034810:+375 44 703-48-10\nEND:VCARD"
        );
        assert_eq!(contact.phones, [phone]);
        assert_eq!(
            ContactCard::display_name(&contact.vcard).as_deref(),
            Some("Ann; Co, \\ 1")
        );
    }

    #[test]
    fn what_other_programs_write_is_read() {
        let vcard = "BEGIN:VCARD\r\nVERSION:2.1\r\nitem1.TEL;TYPE=cell;waid=1\r\n 2345:+1 23\r\n 45\r\nTEL:678\r\n\
                     item1.X-ABLabel:Mobile\r\nEND:VCARD\r\n";
        let read = ContactCard::from_vcard("Ann".to_owned(), vcard.to_owned());
        let phones: Vec<_> = read
            .phones
            .iter()
            .map(|phone| (phone.phone.as_str(), phone.wa_id.as_deref()))
            .collect();
        assert_eq!(phones, [("+1 2345", Some("12345")), ("678", None)]);
        assert_eq!(ContactCard::display_name(vcard).as_deref(), Some("+1 2345"));
    }
}
