//! Tests of changes to groups, and of joining them.

use crate::model::group::*;

fn group() -> (Group, [PhoneNumber; 3]) {
    let [alice, bob, carol]: [PhoneNumber; 3] = ["1", "2", "3"].map(PhoneNumber::from);
    let members = BTreeMap::from([
        (alice.clone(), GroupRole::SuperAdmin),
        (bob.clone(), GroupRole::Member),
    ]);
    let group = Group {
        id: "120363".into(),
        addressing: Addressing::Lid,
        subject: authored_text("club", &alice, 1),
        description: None,
        creator: alice.clone(),
        created: 1,
        announcement: false,
        locked: false,
        timer: 0,
        approval: false,
        all_add: true,
        all_link: false,
        all_share: false,
        flags: BTreeSet::new(),
        invite_code: "code".to_owned(),
        requests: BTreeMap::new(),
        invites: BTreeMap::new(),
        removed: BTreeSet::new(),
        departures: BTreeMap::new(),
        community: None,
        parent: None,
        part: CommunityPart::Joined,
        members_version: 1,
        announcement_version: 1,
        members,
    };
    (group, [alice, bob, carol])
}

#[test]
fn members_add_and_rename_but_only_admins_remove() {
    let (mut group, [alice, bob, carol]) = group();
    assert_eq!(
        group.apply_change(&bob, &GroupChange::Add(vec![carol.clone()]), 2),
        Ok(vec![(carol.clone(), None)])
    );
    assert_eq!(
        group.apply_change(&bob, &GroupChange::Add(vec![carol.clone()]), 2),
        Ok(vec![(carol.clone(), Some(409))])
    );
    assert_eq!(
        group.apply_change(&bob, &GroupChange::Remove(vec![carol.clone()]), 3),
        Err(403)
    );
    assert_eq!(
        group.apply_change(&alice, &GroupChange::Promote(vec![bob.clone()]), 4),
        Ok(vec![(bob.clone(), None)])
    );
    assert_eq!(
        group.apply_change(&bob, &GroupChange::Remove(vec![alice.clone()]), 5),
        Ok(vec![(alice, Some(403))])
    );
    assert_eq!(
        group.apply_change(&bob, &GroupChange::Remove(vec![carol.clone()]), 6),
        Ok(vec![(carol.clone(), None)])
    );
    assert_eq!(
        group.apply_change(&carol, &GroupChange::Subject("mine".to_owned()), 7),
        Err(403)
    );
}

#[test]
fn in_a_closed_group_only_admins_speak() {
    let (mut group, [alice, bob, carol]) = group();
    assert!(group.can_write(&bob) && !group.can_write(&carol));
    group
        .apply_change(&alice, &GroupChange::Announcement(true), 2)
        .unwrap();
    assert!(group.can_write(&alice) && !group.can_write(&bob));
    group
        .apply_change(&alice, &GroupChange::Locked(true), 2)
        .unwrap();
    assert_eq!(
        group.apply_change(&bob, &GroupChange::Subject("ours".to_owned()), 3),
        Err(403)
    );
}

#[test]
fn what_others_have_changed_meanwhile_is_not_overwritten_and_what_there_is_not_is_not_taken() {
    let (mut group, [alice, bob, carol]) = group();
    let describe = |text: Option<&str>, id: &str, replaces: Option<&str>| {
        let (text, replaces) = (text.map(str::to_owned), Some(replaces.map(str::to_owned)));
        GroupChange::Description(DescriptionChange {
            text,
            id: Some(id.to_owned()),
            replaces,
        })
    };
    group
        .apply_change(&alice, &describe(Some("first"), "A", None), 2)
        .unwrap();
    assert_eq!(
        group.apply_change(&bob, &describe(Some("mine"), "B", None), 3),
        Err(409)
    );
    group
        .apply_change(&bob, &describe(Some("second"), "B", Some("A")), 4)
        .unwrap();
    assert_eq!(
        group.apply_change(&alice, &describe(None, "C", Some("A")), 5),
        Err(409)
    );
    group
        .apply_change(&alice, &describe(None, "C", Some("B")), 6)
        .unwrap();
    assert!(group.description.is_none());

    assert_eq!(
        group.apply_change(&alice, &GroupChange::Timer(60), 7),
        Err(400)
    );
    group
        .apply_change(&alice, &GroupChange::Timer(86_400), 7)
        .unwrap();
    group
        .apply_change(&alice, &GroupChange::AllAdd(false), 8)
        .unwrap();
    assert_eq!(
        group.apply_change(&bob, &GroupChange::Add(vec![carol.clone()]), 9),
        Err(403)
    );
    let before = group.members_version;
    group
        .apply_change(&alice, &GroupChange::Add(vec![carol.clone()]), 10)
        .unwrap();
    group
        .apply_change(&alice, &GroupChange::Add(vec![carol]), 11)
        .unwrap();
    assert_eq!(group.members_version, before + 1);
}
