//! The events of a random history.

use proptest::prelude::*;

use super::super::super::*;
use crate::model::send_hold::{HoldReason, Pacing, SendHold};

/// One event of a history.
#[derive(Debug, Clone)]
pub enum ModelEvent {
    Accept {
        chat: u8,
        mode: SendMode,
        has_file: bool,
        send_in: Option<u8>,
        expires_in: Option<u8>,
    },
    Line(OutboxConnectivity),
    /// WhatsApp answers one of the unanswered messages.
    Answer {
        which: usize,
        answer: ModelAnswer,
    },
    Pass {
        seconds: u8,
    },
    /// A caller cancels an unsettled message.
    TakeBack {
        which: usize,
    },
    /// WhatsApp limits new chats, or limits them no longer.
    Limit(NewChatLimits),
    /// The person of a chat writes.
    Write {
        chat: u8,
    },
    /// The owner sets another pace.
    Pace(Pacing),
    /// One of the slow steps ends; a write may fail.
    Finish {
        which: usize,
        fails: bool,
    },
    /// Unwritten data is lost.
    Crash,
}

#[derive(Debug, Clone, Copy)]
pub enum ModelAnswer {
    Ack,
    Nack,
    /// The account may not write to new contacts.
    NewChat,
    Lost,
}

/// The engine's results for a handed-over message, repeated in this order.
#[derive(Debug, Clone, Copy)]
pub enum EngineLuck {
    Arrives,
    /// WhatsApp has it, and delivers or refuses it when it answers.
    Reaches,
    ArrivesUnclear,
    LostUnclear,
    Offline,
    Failed,
    /// Neither the engine nor WhatsApp answers.
    Hangs,
}

pub fn happening() -> impl Strategy<Value = ModelEvent> {
    let mode = prop_oneof![4 => Just(SendMode::Queued), 1 => Just(SendMode::Immediate)];
    let maybe = || prop_oneof![3 => Just(None), 1 => (1..60_u8).prop_map(Some)];
    let accept = (
        0..3_u8,
        mode,
        proptest::bool::weighted(0.2),
        maybe(),
        maybe(),
    )
        .prop_map(
            |(chat, mode, has_file, send_in, expires_in)| ModelEvent::Accept {
                chat,
                mode,
                has_file,
                send_in,
                expires_in,
            },
        );
    let answer = prop_oneof![4 => Just(ModelAnswer::Ack), 1 => Just(ModelAnswer::Nack),
        1 => Just(ModelAnswer::NewChat), 1 => Just(ModelAnswer::Lost)];
    let lock = SendHold {
        reason: HoldReason::Timelock,
        not_before: None,
    };
    let locked = NewChatLimits {
        hold: Some(lock),
        quota: None,
    };
    let capped = |left| NewChatLimits {
        hold: None,
        quota: Some((left, None)),
    };
    let limit = prop_oneof![
        Just(NewChatLimits::default()),
        Just(locked),
        (0..3_u64).prop_map(capped)
    ];
    let pacing = (0..3_u32, proptest::bool::ANY, 0..6_u32, 0..4_u32).prop_map(
        |(min_gap, typing, per_day, new_chats_per_day)| Pacing {
            min_gap: min_gap * 10,
            typing,
            per_day: Some(per_day).filter(|count| *count > 0),
            new_chats_per_day: Some(new_chats_per_day).filter(|count| *count > 0),
            ..Pacing::default()
        },
    );
    prop_oneof![
        1 => limit.prop_map(ModelEvent::Limit),
        1 => pacing.prop_map(ModelEvent::Pace),
        10 => (any::<usize>(), proptest::bool::weighted(0.1))
            .prop_map(|(which, fails)| ModelEvent::Finish { which, fails }),
        1 => (0..3_u8).prop_map(|chat| ModelEvent::Write { chat }),
        6 => accept,
        3 => Just(ModelEvent::Line(OutboxConnectivity::Online)),
        1 => Just(ModelEvent::Line(OutboxConnectivity::Offline)),
        6 => (any::<usize>(), answer).prop_map(|(which, answer)| ModelEvent::Answer { which, answer }),
        2 => (1..40_u8).prop_map(|seconds| ModelEvent::Pass { seconds }),
        2 => any::<usize>().prop_map(|which| ModelEvent::TakeBack { which }),
        1 => Just(ModelEvent::Crash),
    ]
}

pub fn luck() -> impl Strategy<Value = EngineLuck> {
    prop_oneof![
        6 => Just(EngineLuck::Arrives),
        3 => Just(EngineLuck::Reaches),
        1 => Just(EngineLuck::ArrivesUnclear),
        1 => Just(EngineLuck::LostUnclear),
        1 => Just(EngineLuck::Offline),
        1 => Just(EngineLuck::Failed),
        1 => Just(EngineLuck::Hangs),
    ]
}
