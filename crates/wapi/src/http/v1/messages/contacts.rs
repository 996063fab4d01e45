//! Contact cards in a request, given by phone numbers or as a vCard.

use crate::http::request::extract::JsonFields;
use crate::model::message::{ChatId, ContactCard, ContactPhone, vcard};

/// WhatsApp's own limits.
const MOST_CONTACTS: usize = 257;
const LONGEST_NAME: usize = 1_000;
const LONGEST_VCARD: usize = 65_536;

pub(crate) fn read_contacts(fields: &mut JsonFields) -> Option<Vec<ContactCard>> {
    let list = fields.required_objects("contacts", 1..=MOST_CONTACTS)?;
    let mut contacts = Vec::with_capacity(list.len());
    for (index, mut inner) in list.into_iter().enumerate() {
        contacts.push(read_contact_cards(&mut inner));
        fields.absorb_errors(&format!("contacts[{index}]"), inner);
    }
    let contacts: Vec<ContactCard> = contacts
        .into_iter()
        .collect::<Option<Vec<_>>>()?
        .into_iter()
        .flatten()
        .collect();
    if contacts.len() > MOST_CONTACTS {
        fields.refuse_field(
            "contacts",
            format!(
                "are {} with all their vCards; the limit is {MOST_CONTACTS}",
                contacts.len()
            ),
        );
    }
    Some(contacts)
}

/// Reads one contact, or several if their vCards follow one another, as address books export them.
fn read_contact_cards(fields: &mut JsonFields) -> Option<Vec<ContactCard>> {
    let name = read_contact_name(fields);
    if let Some(vcard) = fields.optional_text_up_to("vcard", LONGEST_VCARD) {
        // Contacts in events have both, and can be sent back unchanged.
        fields.ignore_field("phones");
        let cards = vcard::split_cards(&vcard);
        if cards.is_empty() {
            fields.refuse_field("vcard", "is not a vCard: it has no line BEGIN:VCARD");
        }
        if cards.len() > 1 && name.is_some() {
            fields.refuse_field(
                "name",
                format!(
                    "is a single name, but the vCard contains {} contacts; omit it, or split the vCard",
                    cards.len()
                ),
            );
        }
        let named = |vcard: String| {
            let name = name.clone().or_else(|| ContactCard::display_name(&vcard));
            name.map(|name| {
                ContactCard::from_vcard(name.chars().take(LONGEST_NAME).collect(), vcard)
            })
        };
        let people: Option<Vec<_>> = cards.into_iter().map(named).collect();
        if people.is_none() {
            fields.refuse_field(
                "name",
                "is missing, and the vCard has no name: no FN, N, NICKNAME, ORG, EMAIL, or TEL",
            );
        }
        return people;
    }
    let phones = read_phones(fields);
    if name.is_none() {
        fields.refuse_field("name", "is missing");
    }
    Some(vec![ContactCard::from_phones(name?, &phones?)])
}

/// Reads a text, or `{"formatted_name": "…"}` as in Meta's Cloud API.
fn read_contact_name(fields: &mut JsonFields) -> Option<String> {
    if !fields.is_object("name") {
        return fields.optional_text_up_to("name", LONGEST_NAME);
    }
    let mut inner = fields.nested_fields("name")?;
    let name = inner.text_up_to("formatted_name", LONGEST_NAME);
    for part in ["first_name", "last_name", "middle_name", "prefix", "suffix"] {
        inner.ignore_field(part);
    }
    fields.absorb_errors("name", inner);
    name
}

fn read_phones(fields: &mut JsonFields) -> Option<Vec<ContactPhone>> {
    if !fields.has_value("phones") {
        fields.refuse_field("phones", "are missing, and so is a vCard");
        return None;
    }
    let list = fields.required_objects("phones", 1..=20)?;
    let mut phones = Vec::with_capacity(list.len());
    for (index, mut inner) in list.into_iter().enumerate() {
        phones.push(read_phone(&mut inner));
        fields.absorb_errors(&format!("phones[{index}]"), inner);
    }
    phones.into_iter().collect()
}

/// Reads a phone number. Phones can open a chat with a contact whose vCard names its account, so a
/// number that may have an account is assumed to have one.
fn read_phone(fields: &mut JsonFields) -> Option<ContactPhone> {
    let phone = fields.text_up_to("phone", 100);
    let wa_id = fields.parse_optional("wa_id", |text| match ChatId::parse(text) {
        Ok(ChatId::Phone(number)) => Ok(number),
        Ok(_) => Err("is not a phone number".to_owned()),
        Err(error) => Err(error.to_string()),
    });
    fields.ignore_field("type");
    let phone = phone?;
    if phone.contains(['\r', '\n']) {
        fields.refuse_field("phone", "has more than one line");
    }
    let wa_id = wa_id.or_else(|| ChatId::international_digits(&phone));
    Some(ContactPhone { phone, wa_id })
}
