package main

import (
	"context"
	"encoding/hex"
	mathrand "math/rand/v2"
	"strings"
	"sync"
	"time"

	"go.mau.fi/util/random"
	"go.mau.fi/whatsmeow/store"
	"go.mau.fi/whatsmeow/types"
	"go.mau.fi/whatsmeow/util/keys"
)

// memory is all that one device keeps. A device that comes back has it still.
type memory struct {
	lock       sync.Mutex
	identities map[string][32]byte
	sessions   map[string][]byte
	senderKeys map[[2]string][]byte
	prekeys    map[uint32]*keys.PreKey
	lastPrekey uint32
	uploaded   uint32
	stateKeys  map[string]store.AppStateSyncKey
	newestKey  []byte
	versions   map[string]stateVersion
	macs       map[[2]string][]byte
	contacts   map[types.JID]types.ContactInfo
	settings   map[types.JID]types.LocalChatSettings
	secrets    map[secretKey]secret
	tokens     map[types.JID]store.PrivacyToken
	opened     map[[32]byte]store.BufferedEvent
	lids       map[string]string
	numbers    map[string]string
}

type stateVersion struct {
	version uint64
	hash    [128]byte
}

type secretKey struct {
	chat, sender types.JID
	id           types.MessageID
}

type secret struct {
	bytes  []byte
	sender types.JID
}

// newDevice makes a device that was never linked.
func newDevice() *store.Device {
	own := &memory{
		identities: map[string][32]byte{},
		sessions:   map[string][]byte{},
		senderKeys: map[[2]string][]byte{},
		prekeys:    map[uint32]*keys.PreKey{},
		stateKeys:  map[string]store.AppStateSyncKey{},
		versions:   map[string]stateVersion{},
		macs:       map[[2]string][]byte{},
		contacts:   map[types.JID]types.ContactInfo{},
		settings:   map[types.JID]types.LocalChatSettings{},
		secrets:    map[secretKey]secret{},
		tokens:     map[types.JID]store.PrivacyToken{},
		opened:     map[[32]byte]store.BufferedEvent{},
		lids:       map[string]string{},
		numbers:    map[string]string{},
	}
	device := &store.Device{
		NoiseKey:       keys.NewKeyPair(),
		IdentityKey:    keys.NewKeyPair(),
		RegistrationID: mathrand.Uint32(),
		AdvSecretKey:   random.Bytes(32),
		Initialized:    true,
		Identities:     own,
		Sessions:       own,
		PreKeys:        own,
		SenderKeys:     own,
		AppStateKeys:   own,
		AppState:       own,
		Contacts:       own,
		ChatSettings:   own,
		MsgSecrets:     own,
		PrivacyTokens:  own,
		EventBuffer:    own,
		LIDs:           own,
		Container:      own,
	}
	device.SignedPreKey = device.IdentityKey.CreateSignedPreKey(1)
	return device
}

// locked runs act while nothing else reads or writes.
func locked[T any](m *memory, act func() T) T {
	m.lock.Lock()
	defer m.lock.Unlock()
	return act()
}

func (m *memory) change(act func()) error {
	m.lock.Lock()
	defer m.lock.Unlock()
	act()
	return nil
}

func (m *memory) PutDevice(context.Context, *store.Device) error    { return nil }
func (m *memory) DeleteDevice(context.Context, *store.Device) error { return nil }

// ---- Signal

func (m *memory) PutIdentity(_ context.Context, address string, key [32]byte) error {
	return m.change(func() { m.identities[address] = key })
}

func (m *memory) DeleteAllIdentities(_ context.Context, user string) error {
	return m.change(func() { deleteOf(m.identities, user) })
}

func (m *memory) DeleteIdentity(_ context.Context, address string) error {
	return m.change(func() { delete(m.identities, address) })
}

func (m *memory) IsTrustedIdentity(_ context.Context, address string, key [32]byte) (bool, error) {
	return locked(m, func() bool {
		known, ok := m.identities[address]
		return !ok || known == key
	}), nil
}

func (m *memory) GetSession(_ context.Context, address string) ([]byte, error) {
	return locked(m, func() []byte { return m.sessions[address] }), nil
}

func (m *memory) HasSession(_ context.Context, address string) (bool, error) {
	return locked(m, func() bool { return m.sessions[address] != nil }), nil
}

func (m *memory) GetManySessions(_ context.Context, addresses []string) (map[string][]byte, error) {
	return locked(m, func() map[string][]byte {
		found := map[string][]byte{}
		for _, address := range addresses {
			found[address] = m.sessions[address]
		}
		return found
	}), nil
}

func (m *memory) PutSession(_ context.Context, address string, session []byte) error {
	return m.change(func() { m.sessions[address] = session })
}

func (m *memory) PutManySessions(_ context.Context, sessions map[string][]byte) error {
	return m.change(func() {
		for address, session := range sessions {
			m.sessions[address] = session
		}
	})
}

func (m *memory) DeleteAllSessions(_ context.Context, user string) error {
	return m.change(func() { deleteOf(m.sessions, user) })
}

func (m *memory) DeleteSession(_ context.Context, address string) error {
	return m.change(func() { delete(m.sessions, address) })
}

func (m *memory) MigratePNToLID(_ context.Context, pn, lid types.JID) error {
	return m.change(func() {
		move(m.sessions, pn.SignalAddressUser(), lid.SignalAddressUser())
		move(m.identities, pn.SignalAddressUser(), lid.SignalAddressUser())
	})
}

// deleteOf removes what is kept for any device of a user.
func deleteOf[T any](from map[string]T, user string) {
	for address := range from {
		if strings.HasPrefix(address, user+":") {
			delete(from, address)
		}
	}
}

// move keeps what is kept for one user under another, unless there is something already.
func move[T any](in map[string]T, from, to string) {
	for address, value := range in {
		device, ok := strings.CutPrefix(address, from+":")
		if !ok {
			continue
		}
		if _, taken := in[to+":"+device]; !taken {
			in[to+":"+device] = value
		}
		delete(in, address)
	}
}

func (m *memory) PutSenderKey(_ context.Context, group, user string, session []byte) error {
	return m.change(func() { m.senderKeys[[2]string{group, user}] = session })
}

func (m *memory) GetSenderKey(_ context.Context, group, user string) ([]byte, error) {
	return locked(m, func() []byte { return m.senderKeys[[2]string{group, user}] }), nil
}

// ---- prekeys

func (m *memory) nextPrekey() *keys.PreKey {
	m.lastPrekey++
	key := keys.NewPreKey(m.lastPrekey)
	m.prekeys[key.KeyID] = key
	return key
}

func (m *memory) GetOrGenPreKeys(_ context.Context, count uint32) ([]*keys.PreKey, error) {
	return locked(m, func() []*keys.PreKey {
		fresh := make([]*keys.PreKey, 0, count)
		for id := m.uploaded + 1; id <= m.lastPrekey && uint32(len(fresh)) < count; id++ {
			if key := m.prekeys[id]; key != nil {
				fresh = append(fresh, key)
			}
		}
		for uint32(len(fresh)) < count {
			fresh = append(fresh, m.nextPrekey())
		}
		return fresh
	}), nil
}

func (m *memory) GenOnePreKey(context.Context) (*keys.PreKey, error) {
	return locked(m, m.nextPrekey), nil
}

func (m *memory) GetPreKey(_ context.Context, id uint32) (*keys.PreKey, error) {
	return locked(m, func() *keys.PreKey { return m.prekeys[id] }), nil
}

func (m *memory) RemovePreKey(_ context.Context, id uint32) error {
	return m.change(func() { delete(m.prekeys, id) })
}

func (m *memory) MarkPreKeysAsUploaded(_ context.Context, upToID uint32) error {
	return m.change(func() { m.uploaded = max(m.uploaded, upToID) })
}

func (m *memory) UploadedPreKeyCount(context.Context) (int, error) {
	return locked(m, func() int {
		count := 0
		for id := range m.prekeys {
			if id <= m.uploaded {
				count++
			}
		}
		return count
	}), nil
}

// ---- app state

func (m *memory) PutAppStateSyncKey(_ context.Context, id []byte, key store.AppStateSyncKey) error {
	return m.change(func() { m.stateKeys[hex.EncodeToString(id)], m.newestKey = key, id })
}

func (m *memory) GetAppStateSyncKey(_ context.Context, id []byte) (*store.AppStateSyncKey, error) {
	return locked(m, func() *store.AppStateSyncKey {
		key, ok := m.stateKeys[hex.EncodeToString(id)]
		if !ok {
			return nil
		}
		return &key
	}), nil
}

func (m *memory) GetLatestAppStateSyncKeyID(context.Context) ([]byte, error) {
	return locked(m, func() []byte { return m.newestKey }), nil
}

func (m *memory) PutAppStateVersion(_ context.Context, name string, version uint64, hash [128]byte) error {
	return m.change(func() { m.versions[name] = stateVersion{version, hash} })
}

func (m *memory) GetAppStateVersion(_ context.Context, name string) (uint64, [128]byte, error) {
	known := locked(m, func() stateVersion { return m.versions[name] })
	return known.version, known.hash, nil
}

func (m *memory) DeleteAppStateVersion(_ context.Context, name string) error {
	return m.change(func() { delete(m.versions, name) })
}

func (m *memory) PutAppStateMutationMACs(_ context.Context, name string, _ uint64, mutations []store.AppStateMutationMAC) error {
	return m.change(func() {
		for _, mutation := range mutations {
			m.macs[[2]string{name, string(mutation.IndexMAC)}] = mutation.ValueMAC
		}
	})
}

func (m *memory) DeleteAppStateMutationMACs(_ context.Context, name string, indexMACs [][]byte) error {
	return m.change(func() {
		for _, index := range indexMACs {
			delete(m.macs, [2]string{name, string(index)})
		}
	})
}

func (m *memory) GetAppStateMutationMAC(_ context.Context, name string, indexMAC []byte) ([]byte, error) {
	return locked(m, func() []byte { return m.macs[[2]string{name, string(indexMAC)}] }), nil
}

// ---- people and chats

func (m *memory) edit(user types.JID, act func(*types.ContactInfo)) error {
	return m.change(func() {
		contact := m.contacts[user]
		contact.Found = true
		act(&contact)
		m.contacts[user] = contact
	})
}

func (m *memory) PutPushName(_ context.Context, user types.JID, name string) (bool, string, error) {
	former := locked(m, func() string { return m.contacts[user].PushName })
	return former != name, former, m.edit(user, func(contact *types.ContactInfo) { contact.PushName = name })
}

func (m *memory) PutBusinessName(_ context.Context, user types.JID, name string) (bool, string, error) {
	former := locked(m, func() string { return m.contacts[user].BusinessName })
	return former != name, former, m.edit(user, func(contact *types.ContactInfo) { contact.BusinessName = name })
}

func (m *memory) PutContactName(_ context.Context, user types.JID, fullName, firstName string) error {
	return m.edit(user, func(contact *types.ContactInfo) { contact.FullName, contact.FirstName = fullName, firstName })
}

func (m *memory) PutAllContactNames(ctx context.Context, contacts []store.ContactEntry) error {
	for _, contact := range contacts {
		_ = m.PutContactName(ctx, contact.JID, contact.FullName, contact.FirstName)
	}
	return nil
}

func (m *memory) PutManyRedactedPhones(context.Context, []store.RedactedPhoneEntry) error { return nil }

func (m *memory) GetContact(_ context.Context, user types.JID) (types.ContactInfo, error) {
	return locked(m, func() types.ContactInfo { return m.contacts[user] }), nil
}

func (m *memory) GetAllContacts(context.Context) (map[types.JID]types.ContactInfo, error) {
	return locked(m, func() map[types.JID]types.ContactInfo {
		all := map[types.JID]types.ContactInfo{}
		for user, contact := range m.contacts {
			all[user] = contact
		}
		return all
	}), nil
}

func (m *memory) set(chat types.JID, act func(*types.LocalChatSettings)) error {
	return m.change(func() {
		settings := m.settings[chat]
		settings.Found = true
		act(&settings)
		m.settings[chat] = settings
	})
}

func (m *memory) PutMutedUntil(_ context.Context, chat types.JID, until time.Time) error {
	return m.set(chat, func(settings *types.LocalChatSettings) { settings.MutedUntil = until })
}

func (m *memory) PutPinned(_ context.Context, chat types.JID, pinned bool) error {
	return m.set(chat, func(settings *types.LocalChatSettings) { settings.Pinned = pinned })
}

func (m *memory) PutArchived(_ context.Context, chat types.JID, archived bool) error {
	return m.set(chat, func(settings *types.LocalChatSettings) { settings.Archived = archived })
}

func (m *memory) GetChatSettings(_ context.Context, chat types.JID) (types.LocalChatSettings, error) {
	return locked(m, func() types.LocalChatSettings { return m.settings[chat] }), nil
}

// ---- secrets of messages

func (m *memory) PutMessageSecrets(ctx context.Context, inserts []store.MessageSecretInsert) error {
	for _, one := range inserts {
		_ = m.PutMessageSecret(ctx, one.Chat, one.Sender, one.ID, one.Secret)
	}
	return nil
}

func (m *memory) PutMessageSecret(_ context.Context, chat, sender types.JID, id types.MessageID, bytes []byte) error {
	return m.change(func() {
		m.secrets[secretKey{chat.ToNonAD(), sender.ToNonAD(), id}] = secret{bytes, sender.ToNonAD()}
	})
}

// GetMessageSecret looks under both addresses of the chat and of the sender.
func (m *memory) GetMessageSecret(_ context.Context, chat, sender types.JID, id types.MessageID) ([]byte, types.JID, error) {
	found := locked(m, func() secret {
		for _, place := range m.both(chat.ToNonAD()) {
			for _, author := range m.both(sender.ToNonAD()) {
				if known, ok := m.secrets[secretKey{place, author, id}]; ok {
					return known
				}
			}
		}
		return secret{}
	})
	return found.bytes, found.sender, nil
}

func (m *memory) both(jid types.JID) []types.JID {
	if lid, ok := m.lids[jid.User]; ok && jid.Server == types.DefaultUserServer {
		return []types.JID{jid, types.NewJID(lid, types.HiddenUserServer)}
	}
	if number, ok := m.numbers[jid.User]; ok && jid.Server == types.HiddenUserServer {
		return []types.JID{jid, types.NewJID(number, types.DefaultUserServer)}
	}
	return []types.JID{jid}
}

func (m *memory) PutPrivacyTokens(_ context.Context, tokens ...store.PrivacyToken) error {
	return m.change(func() {
		for _, token := range tokens {
			m.tokens[token.User.ToNonAD()] = token
		}
	})
}

func (m *memory) GetPrivacyToken(_ context.Context, user types.JID) (*store.PrivacyToken, error) {
	return locked(m, func() *store.PrivacyToken {
		for _, address := range m.both(user.ToNonAD()) {
			if token, ok := m.tokens[address]; ok {
				return &token
			}
		}
		return nil
	}), nil
}

// ---- messages that were opened

func (m *memory) GetBufferedEvent(_ context.Context, hash [32]byte) (*store.BufferedEvent, error) {
	return locked(m, func() *store.BufferedEvent {
		event, ok := m.opened[hash]
		if !ok {
			return nil
		}
		return &event
	}), nil
}

func (m *memory) PutBufferedEvent(_ context.Context, hash [32]byte, plaintext []byte, at time.Time) error {
	return m.change(func() {
		m.opened[hash] = store.BufferedEvent{Plaintext: plaintext, InsertTime: time.Now(), ServerTime: at}
	})
}

func (m *memory) DoDecryptionTxn(ctx context.Context, act func(context.Context) error) error {
	return act(ctx)
}

func (m *memory) ClearBufferedEventPlaintext(_ context.Context, hash [32]byte) error {
	return m.change(func() {
		event := m.opened[hash]
		event.Plaintext = nil
		m.opened[hash] = event
	})
}

func (m *memory) DeleteOldBufferedHashes(context.Context) error { return nil }

// ---- numbers and LIDs

func (m *memory) PutManyLIDMappings(ctx context.Context, mappings []store.LIDMapping) error {
	for _, mapping := range mappings {
		_ = m.PutLIDMapping(ctx, mapping.LID, mapping.PN)
	}
	return nil
}

func (m *memory) PutLIDMapping(_ context.Context, lid, pn types.JID) error {
	return m.change(func() { m.lids[pn.User], m.numbers[lid.User] = lid.User, pn.User })
}

func (m *memory) GetPNForLID(_ context.Context, lid types.JID) (types.JID, error) {
	return locked(m, func() types.JID { return other(m.numbers, lid, types.DefaultUserServer) }), nil
}

func (m *memory) GetLIDForPN(_ context.Context, pn types.JID) (types.JID, error) {
	return locked(m, func() types.JID { return other(m.lids, pn, types.HiddenUserServer) }), nil
}

func (m *memory) GetManyLIDsForPNs(_ context.Context, pns []types.JID) (map[types.JID]types.JID, error) {
	return locked(m, func() map[types.JID]types.JID {
		found := map[types.JID]types.JID{}
		for _, pn := range pns {
			if lid := other(m.lids, pn, types.HiddenUserServer); !lid.IsEmpty() {
				found[pn] = lid
			}
		}
		return found
	}), nil
}

// other is somebody's other address, of the same device.
func other(known map[string]string, jid types.JID, server string) types.JID {
	user, ok := known[jid.User]
	if !ok {
		return types.EmptyJID
	}
	return types.JID{User: user, Device: jid.Device, Server: server}
}
