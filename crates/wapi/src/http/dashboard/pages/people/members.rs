//! The members of a group, page by page: whoever has a role first, and found by name or number.

use maud::{Markup, html};
use serde_json::Value;

use super::texts;
use crate::http::Gateway;
use crate::http::dashboard::context::PageContext;
use crate::http::dashboard::documents::{list_at, name_of, optional_text, text_at};
use crate::http::dashboard::form::form_token;
use crate::http::dashboard::layout::address_with;
use crate::http::request::query::QueryParameters;
use crate::model::event::PersonNames;
use crate::model::session_name::SessionName;

/// Members on one page. WhatsApp lists all of them in one answer, and a group may have 1,024.
const PAGE_SIZE: usize = 50;
/// Roles from the highest on; their places are in cursors.
const ROLES: [&str; 3] = ["superadmin", "admin", "member"];

/// Adds the names that contacts have in the history: WhatsApp lists members by number alone.
pub async fn add_names(gateway: &Gateway, session: &SessionName, group: &mut Value) {
    let Ok(life) = gateway.current_life(session) else {
        return;
    };
    let Some(members) = group["participants"].as_array_mut() else {
        return;
    };
    let ids: Vec<_> = members.iter().map(|member| text_at(member, "id")).collect();
    let names = gateway.history.find_names_of(&life, &ids).await;
    for member in members {
        let known = names.get(text_at(member, "id"));
        if let Some(name) = known.and_then(PersonNames::display_name) {
            member["name"] = name.as_str().into();
        }
    }
}

/// The reader's choice of members, as in the page's address.
pub struct MemberChoice {
    /// A part of a name or number; empty: all.
    find: String,
    /// The last member of the page before; empty on the first.
    after: String,
}

/// Place of a member in the list: stays the same while others come and go.
type Place<'a> = (usize, &'a str);

impl MemberChoice {
    /// Reads the parameters `find` and `after`.
    pub fn read(query: &mut QueryParameters) -> Self {
        let mut given = |name| query.optional_text(name).unwrap_or_default();
        Self {
            find: given("find").trim().to_owned(),
            after: given("after"),
        }
    }

    /// Returns the number of the members that are chosen, those of this page, and the cursor of the
    /// next page.
    fn select<'a>(&self, members: &'a [Value]) -> (usize, Vec<&'a Value>, Option<String>) {
        let wanted = Wanted::parse(&self.find);
        let mut chosen: Vec<_> = members.iter().filter(|it| wanted.is_match(it)).collect();
        chosen.sort_unstable_by_key(|member| place_of(member));
        let count = chosen.len();
        let after = parse_cursor(&self.after);
        let begin = chosen.partition_point(|member| after.is_some_and(|at| place_of(member) <= at));
        let mut page = chosen.split_off(begin);
        let has_more = page.len() > PAGE_SIZE;
        page.truncate(PAGE_SIZE);
        let last = page.last().filter(|_| has_more);
        let next = last.map(|last| {
            let (role, id) = place_of(last);
            format!("{role}-{id}")
        });
        (count, page, next)
    }
}

fn place_of(member: &Value) -> Place<'_> {
    let role = text_at(member, "role");
    let place = ROLES.iter().position(|it| *it == role);
    (place.unwrap_or(ROLES.len()), text_at(member, "id"))
}

/// Reads the place that a page begins after; `None` begins at the first member.
fn parse_cursor(text: &str) -> Option<Place<'_>> {
    let (role, id) = text.split_once('-')?;
    Some((role.parse().ok()?, id))
}

/// The words that a member is found by.
struct Wanted {
    name: String,
    /// The digits, if it looks like a number as people write them.
    number: Option<String>,
}

impl Wanted {
    fn parse(text: &str) -> Self {
        let is_number = |sign: char| sign.is_ascii_digit() || " +-()".contains(sign);
        let digits: String = text.chars().filter(char::is_ascii_digit).collect();
        Self {
            name: text.to_lowercase(),
            number: Some(digits).filter(|it| !it.is_empty() && text.chars().all(is_number)),
        }
    }

    fn is_match(&self, member: &Value) -> bool {
        let has = |field, part: &str| {
            optional_text(member, field).is_some_and(|text| text.to_lowercase().contains(part))
        };
        let has_number = |number: &String| has("phone", number) || has("lid", number);
        self.name.is_empty()
            || has("name", &self.name)
            || text_at(member, "id") == self.name
            || self.number.as_ref().is_some_and(has_number)
    }
}

/// Returns the name of a role.
fn role_text(context: &PageContext, role: &str) -> &'static str {
    context.text(match role {
        "superadmin" => texts::SUPERADMIN,
        "admin" => texts::ADMIN,
        _ => texts::MEMBER,
    })
}

/// Draws a page of the members, and the form that finds some of them.
pub fn draw_members(
    context: &PageContext,
    address: &str,
    group: &Value,
    choice: &MemberChoice,
    can_manage: bool,
) -> Markup {
    let members = list_at(group, "participants");
    let (count, page, next) = choice.select(members);
    let next = next.map(|next| address_with(address, &[("find", &choice.find), ("after", &next)]));
    html! {
        section id="members" {
            h2 { (context.text(texts::MEMBERS)) " (" (members.len()) ")" }
            form method="get" action=(address) {
                label for="find" { (context.text(texts::NAME_OR_NUMBER)) }
                input id="find" name="find" value=(choice.find) autocomplete="off";
                button.plain type="submit" { (context.text(texts::FILTER)) }
                @if !choice.find.is_empty() {
                    span { (context.text(texts::FOUND)) " " strong id="found" { (count) } }
                    " " a href=(address) { (context.text(texts::ALL)) }
                }
            }
            @if page.is_empty() { p { (context.text(texts::NO_MEMBERS)) } }
            @else {
                table {
                    thead {
                        tr {
                            th scope="col" { (context.text(texts::NAME)) }
                            th scope="col" { (context.text(texts::ROLE)) }
                            @if can_manage { th scope="col" { (context.text(texts::ACTIONS)) } }
                        }
                    }
                    tbody {
                        @for member in page { (draw_member(context, address, member, can_manage)) }
                    }
                }
            }
            @if let Some(next) = next { p { a rel="next" href=(next) { (context.text(texts::LATER)) } } }
        }
    }
}

fn draw_member(context: &PageContext, address: &str, member: &Value, can_manage: bool) -> Markup {
    html! {
        tr {
            td data-label=(context.text(texts::NAME)) {
                bdi { (name_of(member)) } " " code { (text_at(member, "id")) }
            }
            td data-label=(context.text(texts::ROLE)) {
                (role_text(context, text_at(member, "role")))
            }
            @if can_manage {
                td data-label=(context.text(texts::ACTIONS)) {
                    (draw_buttons(context, address, member))
                }
            }
        }
    }
}

/// Draws the buttons for a member; nobody changes the founder.
fn draw_buttons(context: &PageContext, address: &str, member: &Value) -> Markup {
    let (id, role) = (text_at(member, "id"), text_at(member, "role"));
    html! {
        @if role != "superadmin" {
            form method="post" action={ (address) "/member" } {
                (form_token(context))
                input type="hidden" name="participant" value=(id);
                @if role == "admin" {
                    button.plain type="submit" name="action" value="demote" { (context.text(texts::DEMOTE)) }
                } @else {
                    button.plain type="submit" name="action" value="promote" { (context.text(texts::PROMOTE)) }
                }
                button.danger type="submit" name="action" value="remove"
                    data-question=(context.text(texts::REMOVE_MEMBER_QUESTION)) {
                    (context.text(texts::REMOVE_MEMBER))
                }
            }
        }
    }
}
