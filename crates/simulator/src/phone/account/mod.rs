//! The account on its phone: preferences, privacy, profile and catalog.

pub mod catalog;
pub mod preferences;
pub mod privacy;
pub mod profile;

use std::sync::Arc;

use anyhow::{Context, ensure};
use parking_lot::Mutex;

use crate::model::ids::PhoneNumber;
use crate::phone::Phone;
use crate::phone::chat_settings::push_name;
use crate::server::Server;
use crate::server::app_state::{self, CRITICAL_BLOCK, CollectionStore};
use crate::server::phone_state::PhoneState;
use crate::server::world::{Account, World};
use crate::wire::unix_time;

/// Creates an account; without a number it gets the next free one.
pub(crate) fn add_phone(
    server: &Arc<Server>,
    name: &str,
    number: Option<&str>,
) -> anyhow::Result<Phone> {
    if let Some(number) = number {
        let digits = number.bytes().all(|byte| byte.is_ascii_digit());
        ensure!(
            digits && (7..=15).contains(&number.len()),
            "{number:?} is no phone number: 7 to 15 digits, without +"
        );
    }
    // Keys are made outside the lock.
    let phone_state = PhoneState::new(server.options.kept, server.options.corruption)?;
    let mut world = server.world.lock();
    let number: PhoneNumber = match number {
        Some(number) => number.into(),
        None => free_number(&world),
    };
    ensure!(
        world.account(&number).is_none(),
        "the number {number} is taken"
    );
    let lid: Arc<str> = format!("{}", 100_000_000_000_001 + world.accounts().count() as u64).into();
    let signer = phone_state.signal.identity_key_pair().clone();
    let identity_key = signer
        .public_key()
        .public_key_bytes()
        .try_into()
        .context("an identity key has 32 bytes")?;
    world.add_account(Account {
        number: number.clone(),
        lid: lid.clone(),
        push_name: name.to_owned(),
        phone_state: Arc::new(Mutex::new(phone_state)),
        identity_key,
        signer,
        devices: Default::default(),
        last_device: 0,
        profile: Default::default(),
        privacy: Default::default(),
        blocked: Default::default(),
        reports: Vec::new(),
        addressing: server.options.addressing,
        addressed_since: unix_time(),
        hides_number: false,
        app_state: CollectionStore::default(),
        trust: Default::default(),
        preferences: Default::default(),
        passkey: None,
        peers: Default::default(),
        key_index_list: None,
    });
    drop(world);
    app_state::write_changes(server, &number, CRITICAL_BLOCK, &[push_name(name)])?;
    Ok(Phone {
        server: server.clone(),
        number,
        lid,
    })
}

pub(crate) fn free_number(world: &World) -> PhoneNumber {
    let mut candidate = 375_440_000_001 + world.accounts().count() as u64;
    loop {
        let number = candidate.to_string();
        if world.account(&number).is_none() {
            return number.into();
        }
        candidate += 1;
    }
}
