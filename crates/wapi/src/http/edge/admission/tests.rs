use crate::http::edge::admission::*;

const LIMITS: ConnectionLimits = ConnectionLimits {
    all: 6,
    per_address: 3,
    per_key: 2,
};

fn address(last: u8) -> IpAddr {
    [192, 0, 2, last].into()
}

fn at(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn comes(crowd: &mut ConnectionSet, last: u8, seconds: u64) -> (u64, Option<u64>) {
    let admitted = crowd.admit(address(last), last != 1, at(seconds)).unwrap();
    (admitted.id, admitted.instead_of)
}

#[test]
fn room_is_made_by_who_has_not_asked_then_by_strangers_then_by_who_rests() {
    let mut crowd = ConnectionSet::new(LIMITS);
    let ids: Vec<_> = (0..6)
        .map(|number| comes(&mut crowd, 1, number).0)
        .collect();
    for (id, activity, known) in [
        (ids[0], ConnectionActivity::Busy, true),
        (ids[1], ConnectionActivity::Idle, true),
        (ids[2], ConnectionActivity::Busy, false),
        (ids[3], ConnectionActivity::Idle, false),
    ] {
        assert_eq!(
            crowd.start_request(id, None, None, at(10)),
            RequestStart::Accepted
        );
        if activity == ConnectionActivity::Idle {
            crowd.end_request(id, at(10));
        }
        crowd.set_authenticated(id, known);
    }
    let mut left = Vec::new();
    for number in 0..5 {
        let (id, instead_of) = comes(&mut crowd, 1, 20 + number);
        crowd.start_request(id, None, None, at(20));
        crowd.set_authenticated(id, true);
        left.push(instead_of.unwrap());
    }
    assert_eq!(left, [ids[4], ids[5], ids[3], ids[2], ids[1]]);
    assert_eq!(
        crowd.start_request(ids[4], None, None, at(30)),
        RequestStart::TooMany
    );
    assert_eq!(
        crowd.admit(address(1), false, at(30)),
        Err(ConnectionRefusal::Full),
        "who is being answered is not cut off"
    );
}

#[test]
fn an_address_makes_room_for_itself_and_the_one_with_most_for_others() {
    let mut crowd = ConnectionSet::new(LIMITS);
    let first = comes(&mut crowd, 2, 0).0;
    let ids: Vec<_> = (0..3)
        .map(|number| comes(&mut crowd, 3, 1 + number).0)
        .collect();
    assert_eq!(
        comes(&mut crowd, 3, 5).1,
        Some(ids[0]),
        "its own oldest, though another's is older"
    );
    let own: Vec<_> = (0..2)
        .map(|number| comes(&mut crowd, 1, 6 + number).0)
        .collect();
    assert_eq!(
        comes(&mut crowd, 2, 8).1,
        Some(ids[1]),
        "the address with most of it"
    );
    crowd.start_request(first, None, None, at(9));
    assert_eq!(
        comes(&mut crowd, 1, 10).1,
        Some(ids[2]),
        "three have two each; the oldest of them"
    );
    for id in own {
        crowd.remove(id);
        crowd.remove(id);
    }
    assert_eq!(crowd.len(), 4);
    for _ in 0..2 {
        let id = comes(&mut crowd, 3, 11).0;
        crowd.start_request(id, None, None, at(11));
        crowd.set_authenticated(id, true);
    }
    let id = comes(&mut crowd, 3, 12).0;
    crowd.start_request(id, None, None, at(12));
    crowd.set_authenticated(id, true);
    assert_eq!(
        crowd.admit(address(3), true, at(13)),
        Err(ConnectionRefusal::AddressFull)
    );
}

#[test]
fn who_has_just_come_stays_before_strangers_who_were_answered() {
    let mut crowd = ConnectionSet::new(LIMITS);
    let rest: Vec<_> = (0..6)
        .map(|number| comes(&mut crowd, 10 + number, 0).0)
        .collect();
    for id in &rest {
        crowd.start_request(*id, None, None, at(0));
        crowd.end_request(*id, at(0));
    }
    let (newcomer, instead_of) = comes(&mut crowd, 2, 100);
    assert_eq!(instead_of, Some(rest[0]));
    assert_eq!(
        comes(&mut crowd, 3, 101).1,
        Some(rest[1]),
        "and not who is on the way to ask"
    );
    assert_eq!(
        comes(&mut crowd, 4, 102).1,
        Some(newcomer),
        "unless that takes too long"
    );
}

#[test]
fn whom_a_proxy_speaks_for_has_the_share_of_an_address() {
    let mut crowd = ConnectionSet::new(ConnectionLimits { all: 20, ..LIMITS });
    let ids: Vec<_> = (0..5).map(|_| comes(&mut crowd, 1, 0).0).collect();
    let asked: Vec<_> = ids[..4]
        .iter()
        .map(|id| crowd.start_request(*id, None, Some(address(9)), at(1)))
        .collect();
    assert_eq!(
        asked,
        [
            RequestStart::Accepted,
            RequestStart::Accepted,
            RequestStart::Accepted,
            RequestStart::TooMany
        ]
    );
    assert_eq!(
        crowd.start_request(ids[4], None, Some(address(8)), at(1)),
        RequestStart::Accepted,
        "others are not the worse for it"
    );
    crowd.end_request(ids[3], at(2));
    crowd.end_request(ids[0], at(2));
    assert_eq!(
        crowd.start_request(ids[3], None, Some(address(9)), at(3)),
        RequestStart::Accepted
    );
    crowd.remove(ids[1]);
    assert_eq!(
        crowd.start_request(ids[0], None, Some(address(9)), at(3)),
        RequestStart::Accepted
    );
    for id in &ids {
        crowd.remove(*id);
    }
    assert!(crowd.per_address.is_empty());
    let own = comes(&mut crowd, 7, 4).0;
    assert_eq!(
        crowd.start_request(own, None, Some(address(6)), at(4)),
        RequestStart::Accepted
    );
    crowd.remove(own);
    assert!(crowd.per_address.is_empty());
}

#[test]
fn a_key_of_some_sessions_leaves_room_for_others() {
    let (mut crowd, key) = (ConnectionSet::new(LIMITS), Arc::from("key_1"));
    let ids: Vec<_> = (0..3).map(|_| comes(&mut crowd, 1, 0).0).collect();
    assert_eq!(
        ids.iter()
            .map(|id| crowd.add_key_request(*id, &key))
            .collect::<Vec<_>>(),
        [true, true, false]
    );
    crowd.end_request(ids[2], at(1));
    assert!(!crowd.add_key_request(ids[2], &key));
    crowd.end_request(ids[2], at(1));
    crowd.remove(ids[0]);
    assert!(crowd.add_key_request(ids[2], &key));
    assert!(crowd.add_key_request(ids[1], &Arc::from("key_2")));
    crowd.remove(ids[1]);
    crowd.remove(ids[2]);
    assert!(crowd.per_key.is_empty());
}

#[test]
fn most_descriptors_are_kept_for_the_gateway_itself() {
    assert_eq!(
        ConnectionLimits::from_descriptors(1_024),
        ConnectionLimits {
            all: 256,
            per_address: 128,
            per_key: 64
        }
    );
    assert_eq!(
        ConnectionLimits::from_descriptors(u64::MAX).all,
        MAX_CONNECTIONS
    );
    assert_eq!(ConnectionLimits::from_descriptors(0).all, MIN_CONNECTIONS);
}

#[test]
fn a_network_of_version_six_is_one_address() {
    let parse = |text: &str| client_network(text.parse().unwrap());
    assert_eq!(parse("2001:db8::1"), parse("2001:db8:0:ff::1"));
    assert_ne!(parse("2001:db8::1"), parse("2001:db8:0:100::1"));
    assert_eq!(parse("::ffff:192.0.2.7"), parse("192.0.2.7"));
    assert!(parse("::1").is_loopback());
}

#[test]
fn a_newcomer_is_not_displaced_before_its_request_could_be_read() {
    let mut crowd = ConnectionSet::new(LIMITS);
    let ids: Vec<_> = (0..6).map(|_| comes(&mut crowd, 1, 10).0).collect();
    let soon = at(10) + MIN_STAY;
    assert_eq!(
        crowd.admit(address(1), false, at(10)),
        Err(ConnectionRefusal::NotBefore(soon))
    );
    assert_eq!(crowd.len(), 6);
    let admitted = crowd.admit(address(1), false, soon).unwrap();
    assert_eq!(admitted.instead_of, Some(ids[0]));
}

#[test]
fn nobody_waits_for_a_newcomer_where_a_stranger_rests_and_no_caller_leaves_for_one() {
    for (is_caller, admitted) in [(false, true), (true, false)] {
        let mut crowd = ConnectionSet::new(LIMITS);
        let ids: Vec<_> = (0..6).map(|_| comes(&mut crowd, 1, 10).0).collect();
        crowd.start_request(ids[4], None, None, at(10));
        crowd.set_authenticated(ids[4], is_caller);
        crowd.end_request(ids[4], at(10));
        let outcome = crowd.admit(address(1), false, at(10));
        let instead_of = outcome.map(|admission| admission.instead_of);
        match admitted {
            true => assert_eq!(instead_of, Ok(Some(ids[4]))),
            false => assert_eq!(
                instead_of,
                Err(ConnectionRefusal::NotBefore(at(10) + MIN_STAY))
            ),
        }
    }
}

#[test]
fn a_request_of_a_displaced_connection_counts_and_has_a_limit() {
    let mut crowd = ConnectionSet::new(ConnectionLimits { all: 8, ..LIMITS });
    let ids: Vec<_> = (0..10)
        .map(|number| comes(&mut crowd, 10 + number, 10 + u64::from(number)).0)
        .collect();
    let own = Some(address(10));
    let start = crowd.start_request(ids[0], own, None, at(30));
    assert_eq!((start, crowd.len()), (RequestStart::Displaced, 9));
    let key: Arc<str> = "narrow".into();
    assert!(crowd.add_key_request(ids[0], &key) && crowd.per_key[&key] == 1);
    // One in eight beyond the room, and no more.
    let start = crowd.start_request(ids[1], own, None, at(30));
    assert_eq!((start, crowd.len()), (RequestStart::TooMany, 9));
    assert!(crowd.remove(ids[0]) && !crowd.remove(ids[1]));
    assert!(crowd.per_key.is_empty());
}

#[test]
fn half_a_request_makes_room_before_nothing_yet_and_after_strangers_who_rest() {
    let mut crowd = ConnectionSet::new(LIMITS);
    let ids: Vec<_> = (0..6).map(|_| comes(&mut crowd, 1, 10).0).collect();
    crowd.start_arrival(ids[3]);
    crowd.start_request(ids[5], None, None, at(10));
    crowd.start_arrival(ids[5]);
    crowd.end_request(ids[5], at(10));
    let left = [(); 3].map(|()| crowd.admit(address(1), false, at(11)).unwrap().instead_of);
    assert_eq!(left, [Some(ids[5]), Some(ids[3]), Some(ids[0])]);
}
