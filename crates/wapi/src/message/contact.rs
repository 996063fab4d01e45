//! People as messages carry them: a name, their phones, and the vCard that phones read. Pure.

use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Contact {
    /// As it is shown.
    pub name: String,
    /// All that is known, as vCard 3.0.
    pub vcard: String,
    /// The same as in the vCard.
    #[serde(default)]
    pub phones: Vec<Phone>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Phone {
    /// As it was written, e.g. `+375 44 703-48-10`.
    pub phone: String,
    /// Digits only: the account on WhatsApp, where the vCard names one.
    pub wa_id: Option<String>,
}

impl Contact {
    /// Reads the phones from a vCard.
    pub fn from_vcard(name: String, vcard: String) -> Self {
        let phones = phones(&vcard);
        Self { name, vcard, phones }
    }

    /// Writes the vCard.
    pub fn from_phones(name: String, phones: &[Phone]) -> Self {
        let shown = escaped(&name);
        let mut vcard = format!("BEGIN:VCARD\nVERSION:3.0\nN:;{shown};;;\nFN:{shown}\n");
        for Phone { phone, wa_id } in phones {
            let account = wa_id.as_ref().map_or_else(String::new, |id| format!(";waid={id}"));
            vcard += &format!("TEL;type=CELL;type=VOICE{account}:{}\n", escaped(phone));
        }
        vcard += "END:VCARD";
        Self::from_vcard(name, vcard)
    }

    /// The name that a vCard shows, if it has one.
    pub fn shown_name(vcard: &str) -> Option<String> {
        let mut properties = lines(vcard).into_iter().filter_map(|line| Property::read(&line));
        properties.find(|property| property.name == "FN").map(|property| property.value)
    }
}

fn phones(vcard: &str) -> Vec<Phone> {
    let properties = lines(vcard).into_iter().filter_map(|line| Property::read(&line));
    let telephones = properties.filter(|property| property.name == "TEL");
    telephones.map(|telephone| Phone { wa_id: telephone.parameter("WAID"), phone: telephone.value }).collect()
}

/// The logical lines: one that begins with a blank goes on with the one before.
fn lines(vcard: &str) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for line in vcard.split('\n').map(|line| line.strip_suffix('\r').unwrap_or(line)) {
        match (line.strip_prefix([' ', '\t']), lines.last_mut()) {
            (Some(rest), Some(last)) => last.push_str(rest),
            _ => lines.push(line.to_owned()),
        }
    }
    lines
}

/// A line of a vCard.
struct Property {
    /// In capitals; `item1.TEL` is a `TEL`.
    name: String,
    parameters: Vec<(String, String)>,
    value: String,
}

impl Property {
    fn read(line: &str) -> Option<Self> {
        let (head, value) = line.split_once(':')?;
        let mut parts = head.split(';');
        let name = parts.next()?.rsplit('.').next()?.trim().to_ascii_uppercase();
        let parameters = parts.filter_map(|part| part.split_once('='));
        let parameters = parameters.map(|(name, value)| (name.trim().to_ascii_uppercase(), value.trim().to_owned()));
        Some(Self { name, parameters: parameters.collect(), value: unescaped(value) })
    }

    fn parameter(&self, wanted: &str) -> Option<String> {
        self.parameters.iter().find(|(name, _)| name == wanted).map(|(_, value)| value.clone())
    }
}

fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace(['\r', '\n'], "\\n").replace(',', "\\,").replace(';', "\\;")
}

fn unescaped(text: &str) -> String {
    let (mut plain, mut characters) = (String::with_capacity(text.len()), text.chars());
    while let Some(character) = characters.next() {
        plain.extend(match character {
            '\\' => match characters.next() {
                Some('n' | 'N') => Some('\n'),
                other => other,
            },
            other => Some(other),
        });
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn phones_become_a_vcard_and_come_back() {
        let phone = Phone { phone: "+375 44 703-48-10".to_owned(), wa_id: Some("375447034810".to_owned()) };
        let contact = Contact::from_phones("Ann; Co, \\ 1".to_owned(), std::slice::from_ref(&phone));
        assert_eq!(
            contact.vcard,
            "BEGIN:VCARD\nVERSION:3.0\nN:;Ann\\; Co\\, \\\\ 1;;;\nFN:Ann\\; Co\\, \\\\ 1\n\
             TEL;type=CELL;type=VOICE;waid=375447034810:+375 44 703-48-10\nEND:VCARD"
        );
        assert_eq!(contact.phones, [phone]);
        assert_eq!(Contact::shown_name(&contact.vcard).as_deref(), Some("Ann; Co, \\ 1"));
    }

    #[test]
    fn what_other_programs_write_is_read() {
        let vcard = "BEGIN:VCARD\r\nVERSION:2.1\r\nitem1.TEL;TYPE=cell;waid=1\r\n 2345:+1 23\r\n 45\r\nTEL:678\r\n\
                     item1.X-ABLabel:Mobile\r\nEND:VCARD\r\n";
        let read = Contact::from_vcard("Ann".to_owned(), vcard.to_owned());
        let phones: Vec<_> = read.phones.iter().map(|phone| (phone.phone.as_str(), phone.wa_id.as_deref())).collect();
        assert_eq!(phones, [("+1 2345", Some("12345")), ("678", None)]);
        assert_eq!(Contact::shown_name(vcard), None);
    }
}
