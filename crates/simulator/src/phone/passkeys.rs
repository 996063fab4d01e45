//! Passkeys of an account: without one, WhatsApp links no further device to it.

use std::sync::Arc;
use std::time::Duration;

use crate::crypto::webauthn::Passkey;
use crate::phone::Phone;
use crate::server::stanza::passkey;

/// Time a pairing may take; people need longer where they look for their passkey.
const PAIRING_TIMEOUT: Duration = Duration::from_secs(30);
const PASSKEY_TIMEOUT: Duration = Duration::from_secs(600);

impl Phone {
    /// Creates a passkey of the account, and makes WhatsApp ask for it at every link from now on.
    pub fn creates_passkey(&self) -> anyhow::Result<Arc<Passkey>> {
        let passkey = Arc::new(Passkey::generate()?);
        self.set_passkey(Some(Arc::clone(&passkey)));
        Ok(passkey)
    }

    /// Registers a passkey that another authenticator holds, by its id and its public key (an
    /// uncompressed point on P-256), both in base64url. WhatsApp asks for it from now on.
    pub fn registers_passkey(&self, id: &str, public_key: &str) -> anyhow::Result<()> {
        let passkey = Passkey::from_public(id, public_key)?;
        self.set_passkey(Some(Arc::new(passkey)));
        Ok(())
    }

    /// Removes the account's passkey. WhatsApp no longer asks for it.
    pub fn removes_passkey(&self) {
        self.set_passkey(None);
    }

    /// The account's passkey.
    pub fn passkey(&self) -> Option<Arc<Passkey>> {
        self.server
            .world
            .lock()
            .account(&self.number)?
            .passkey
            .clone()
    }

    fn set_passkey(&self, passkey: Option<Arc<Passkey>>) {
        if let Some(account) = self.server.world.lock().account_mut(&self.number) {
            account.passkey = passkey;
        }
    }

    /// Waits for the code that the phone shows once the client has answered with the passkey; the
    /// client must show the same.
    pub async fn sees_passkey_code(&self) -> String {
        let shown = || passkey::shown_code(&self.server.world.lock(), &self.number);
        self.server.wait_for(shown).await
    }

    /// How long this phone waits for a client that it links.
    pub(super) fn pairing_timeout(&self) -> Duration {
        match self.passkey() {
            Some(_) => PASSKEY_TIMEOUT,
            None => PAIRING_TIMEOUT,
        }
    }
}
