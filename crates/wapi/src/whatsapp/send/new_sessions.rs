//! Signal sessions with strangers, made before a message to many of them is handed over.

use whatsapp_rust::{Jid, SignalError};

use crate::whatsapp::connection::link::Link;
use crate::whatsapp::receive::hook::find_other_address;

/// Most strangers that the engine may make sessions with during the send: fewer than one of its key
/// requests covers.
const ENGINE_SESSIONS: usize = 32;

impl Link {
    /// Makes the sessions with a group's members, as [`Self::create_stranger_sessions`] does.
    pub(in crate::whatsapp) async fn create_member_sessions(&self, group: &Jid) {
        // Mostly from the engine's cache; on failure, the engine asks once more with the message.
        if let Ok(info) = self.client.groups().query_info(group).await {
            self.create_stranger_sessions(&info.participants).await;
        }
    }

    /// Makes the sessions with those people that this link has made none with, if they are many.
    /// The engine would make them while it holds the session with the account's own phone, which
    /// every message to a person is encrypted for, too; ahead of the message, nothing is held for
    /// longer than one session takes. On failure, the engine makes them with the message.
    pub(in crate::whatsapp) async fn create_stranger_sessions(&self, people: &[Jid]) {
        let strangers: Vec<Jid> = {
            let met = self.session_peers.lock();
            people
                .iter()
                .filter(|person| !met.contains(*person))
                .cloned()
                .collect()
        };
        if strangers.len() <= ENGINE_SESSIONS {
            return;
        }
        // Boxed, since the engine's futures are nested deeply.
        if let Err(error) = Box::pin(self.create_sessions(&strangers)).await {
            tracing::debug!(session = self.session, %error, "failed to create some Signal sessions ahead");
        }
        self.session_peers.lock().extend(strangers);
    }

    /// Makes the sessions; the engine requests keys for some people at a time.
    async fn create_sessions(&self, people: &[Jid]) -> Result<(), SignalError> {
        let mut numbers = Vec::with_capacity(people.len());
        for person in people {
            // WhatsApp lists the devices of numbers; the engine knows their LIDs.
            let number = if person.is_lid() {
                find_other_address(&self.client, person).await
            } else {
                None
            };
            numbers.push(number.unwrap_or_else(|| person.clone()));
        }
        numbers.retain(|number| !self.is_own_number(number));
        let signal = self.client.signal();
        let devices = signal.get_user_devices(&numbers).await?;
        signal.assert_sessions(&devices).await
    }
}
