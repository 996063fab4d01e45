package main

import (
	"context"
	"fmt"
	"slices"
	"time"

	"go.mau.fi/whatsmeow"
	"go.mau.fi/whatsmeow/types"
	"go.mau.fi/whatsmeow/types/events"
)

var both = []bool{false, true}

var scenarios = []scenario{
	{"devices pair again and again", []bool{false}, pairAgainAndAgain},
	{"the last word of a stream is heard", []bool{false}, lastWords},
	{"people talk", both, talk},
	{"a device that is linked later gets what is sent next", both, linkedLater},
	{"a list of devices that missed a change is corrected by the next ack", both, missedChange},
	{"a device that is linked later gets what is sent next in a group", both, linkedLaterInAGroup},
	{"an account sees to its own affairs", both, ownAffairs},
	{"newsletters are founded, followed and turned down", []bool{false}, newsletters},
	{"a phone hands out what its devices ask for", both, askedOfThePhone},
	{"a restricted account writes to those who wrote to it", both, restricted},
	{"a newsletter is read, and what others make of its posts is told live", []bool{false}, newsletter},
	{"what is set and looked up is answered whole", both, answers},
	{"a group is founded and changed, and the other hears all of it", []bool{false}, changedGroup},
	// In chats by LID this client seals its vote for its number, which nobody expects there.
	{"a poll is voted on", []bool{false}, vote},
}

// pairings is how often a device is linked: a server that hangs up in the same moment as it speaks loses its word in some of them only.
const pairings = 50

func pairAgainAndAgain(w *world) error {
	for range pairings {
		alice, err := w.phone("Alice")
		if err != nil {
			return err
		}
		client, err := alice.linked("pairing")
		if err != nil {
			return err
		}
		client.Disconnect()
	}
	return nil
}

func lastWords(w *world) error {
	for range 20 {
		alice, err := w.phone("Alice")
		if err != nil {
			return err
		}
		first, err := w.device(alice, "first")
		if err != nil {
			return err
		}
		second, err := w.newClient("second", first.Store)
		if err != nil {
			return err
		}
		if _, err := await[*events.StreamReplaced](first, "to be replaced", nil); err != nil {
			return err
		}
		if _, err := await[*events.Connected](second, "to be connected", nil); err != nil {
			return err
		}
		if err := alice.call("DELETE", fmt.Sprintf("/devices/%d", first.device), nil, nil); err != nil {
			return err
		}
		if _, err := await[*events.LoggedOut](second, "to be logged out", nil); err != nil {
			return err
		}
	}
	return nil
}

// pair is two people with a device each.
type pair struct {
	alice, bob     *phone
	alices, bobs   *client
	toBob, toAlice types.JID
}

func (w *world) pair() (p pair, err error) {
	if p.alice, err = w.account("Alice"); err != nil {
		return p, err
	}
	if p.bob, err = w.account("Bob"); err != nil {
		return p, err
	}
	if p.alices, err = w.device(p.alice, "alice"); err != nil {
		return p, err
	}
	if p.bobs, err = w.device(p.bob, "bob"); err != nil {
		return p, err
	}
	p.toAlice, p.toBob = w.address(p.alice), w.address(p.bob)
	return p, nil
}

// address is where the world's chats with somebody are.
func (w *world) address(of *phone) types.JID {
	if w.lid {
		return jid(of.LID)
	}
	return jid(of.JID)
}

func talk(w *world) error {
	p, err := w.pair()
	if err != nil {
		return err
	}
	for round := range 5 {
		question, answer := fmt.Sprintf("question %d", round), fmt.Sprintf("answer %d", round)
		if _, err := p.alices.says(p.toBob, question); err != nil {
			return err
		}
		message, err := p.bobs.text(question)
		if err != nil {
			return err
		}
		if message.Info.Sender.ToNonAD() != p.toAlice {
			return fmt.Errorf("it came from %s", message.Info.Sender)
		}
		if _, err := p.bobs.says(p.toAlice, answer); err != nil {
			return err
		}
		if _, err := p.alices.text(answer); err != nil {
			return err
		}
		// The phones have all of it, and write in between.
		if err := p.bob.has(question); err != nil {
			return err
		}
		if err := p.alice.has(question); err != nil {
			return err
		}
		word := fmt.Sprintf("by the phone %d", round)
		if err := p.bob.sends(p.alice.Number, word); err != nil {
			return err
		}
		if _, err := p.alices.text(word); err != nil {
			return err
		}
		if _, err := p.bobs.text(word); err != nil {
			return err
		}
	}
	id, err := p.alices.says(p.toBob, "to be read")
	if err != nil {
		return err
	}
	message, err := p.bobs.text("to be read")
	if err != nil {
		return err
	}
	if err := p.bobs.MarkRead(context.Background(), []string{id.ID}, message.Info.Timestamp, message.Info.Chat, message.Info.Sender); err != nil {
		return err
	}
	_, err = await(p.alices, "the receipt", func(receipt *events.Receipt) bool {
		return receipt.Type == types.ReceiptTypeRead && slices.Contains(receipt.MessageIDs, id.ID)
	})
	return err
}

func linkedLater(w *world) error {
	p, err := w.pair()
	if err != nil {
		return err
	}
	// This client heeds a change only if it has the list by number, too.
	for _, to := range []types.JID{jid(p.bob.JID), p.toBob} {
		if _, err := p.alices.says(to, "before"); err != nil {
			return err
		}
		if _, err := p.bobs.text("before"); err != nil {
			return err
		}
	}
	later, err := w.device(p.bob, "bob, later")
	if err != nil {
		return err
	}
	if _, err := p.alices.says(p.toBob, "after"); err != nil {
		return err
	}
	for _, client := range []*client{p.bobs, later} {
		if _, err := client.text("after"); err != nil {
			return err
		}
	}
	// The account's own devices keep a list of each other, too. This client refreshes the one by number only.
	if w.lid {
		return nil
	}
	own, err := w.device(p.alice, "alice, later")
	if err != nil {
		return err
	}
	if _, err := p.alices.says(p.toBob, "to all"); err != nil {
		return err
	}
	copied, err := own.text("to all")
	if err != nil {
		return err
	}
	if !copied.Info.IsFromMe {
		return fmt.Errorf("the copy came from %s", copied.Info.Sender)
	}
	_, err = later.text("to all")
	return err
}

func missedChange(w *world) error {
	p, err := w.pair()
	if err != nil {
		return err
	}
	if _, err := p.alices.says(p.toBob, "before"); err != nil {
		return err
	}
	// From now on Alice's device gets answers and nothing else.
	deaf := fmt.Sprintf("/devices/%d/faults", p.alices.device)
	if err := p.alice.call("POST", deaf, map[string]string{"fault": "deafen"}, nil); err != nil {
		return err
	}
	later, err := w.device(p.bob, "bob, later")
	if err != nil {
		return err
	}
	if _, err := p.alices.says(p.toBob, "not for all"); err != nil {
		return err
	}
	if _, err := p.alices.says(p.toBob, "for all"); err != nil {
		return err
	}
	_, err = later.text("for all")
	return err
}

func linkedLaterInAGroup(w *world) error {
	p, err := w.pair()
	if err != nil {
		return err
	}
	var group struct{ ID string }
	addressing := map[bool]string{false: "pn", true: "lid"}[w.lid]
	founding := map[string]any{"subject": "club", "members": []string{p.bob.Number}, "addressing": addressing}
	if err := p.alice.call("POST", "/groups", founding, &group); err != nil {
		return err
	}
	if _, err := p.alices.says(jid(group.ID), "before"); err != nil {
		return err
	}
	if _, err := p.bobs.text("before"); err != nil {
		return err
	}
	later, err := w.device(p.bob, "bob, later")
	if err != nil {
		return err
	}
	if _, err := p.alices.says(jid(group.ID), "after"); err != nil {
		return err
	}
	if _, err := later.text("after"); err != nil {
		return err
	}
	return p.bob.has("after")
}

func vote(w *world) error {
	p, err := w.pair()
	if err != nil {
		return err
	}
	poll := p.alices.BuildPollCreation("Where to?", []string{"sea", "hills"}, 1)
	sent, err := p.alices.send(p.toBob, poll)
	if err != nil {
		return err
	}
	asked, err := await(p.bobs, "the poll", func(message *events.Message) bool { return message.Info.ID == sent.ID })
	if err != nil {
		return err
	}
	ballot, err := p.bobs.BuildPollVote(context.Background(), &asked.Info, []string{"hills"})
	if err != nil {
		return err
	}
	if _, err := p.bobs.send(p.toAlice, ballot); err != nil {
		return err
	}
	cast, err := await(p.alices, "the vote", func(message *events.Message) bool { return message.Message.GetPollUpdateMessage() != nil })
	if err != nil {
		return err
	}
	opened, err := p.alices.DecryptPollVote(context.Background(), cast)
	if err != nil {
		return err
	}
	if len(opened.SelectedOptions) != 1 {
		return fmt.Errorf("the ballot has %d options", len(opened.SelectedOptions))
	}
	return nil
}

func changedGroup(w *world) error {
	p, err := w.pair()
	if err != nil {
		return err
	}
	background := context.Background()
	asked := whatsmeow.ReqCreateGroup{Name: "club", Participants: []types.JID{jid(p.bob.JID)}}
	asked.IsAnnounce, asked.IsLocked, asked.IsJoinApprovalRequired = true, true, true
	made, err := p.alices.CreateGroup(background, asked)
	if err != nil {
		return err
	}
	joined, err := await(p.bobs, "the group", func(event *events.JoinedGroup) bool { return event.JID == made.JID })
	if err != nil {
		return err
	}
	if !joined.IsAnnounce || !joined.IsLocked || !joined.IsJoinApprovalRequired || joined.AddressingMode != types.AddressingModeLID {
		return fmt.Errorf("it was founded as %+v", joined.GroupInfo)
	}
	group := made.JID
	changes := []struct {
		what string
		make func() error
		told func(*events.GroupInfo) bool
	}{
		{"all may write", func() error { return p.alices.SetGroupAnnounce(background, group, false) },
			func(told *events.GroupInfo) bool { return told.Announce != nil && !told.Announce.IsAnnounce }},
		{"a description", func() error { return p.alices.SetGroupTopic(background, group, "", "", "rules") },
			func(told *events.GroupInfo) bool { return told.Topic != nil && told.Topic.Topic == "rules" }},
		{"another description", func() error { return p.alices.SetGroupTopic(background, group, "", "", "new rules") },
			func(told *events.GroupInfo) bool { return told.Topic != nil && told.Topic.Topic == "new rules" }},
		{"no description", func() error { return p.alices.SetGroupTopic(background, group, "", "", "") },
			func(told *events.GroupInfo) bool { return told.Topic != nil && told.Topic.TopicDeleted }},
		{"a timer", func() error { return p.alices.SetDisappearingTimer(background, group, 24*time.Hour, time.Time{}) },
			func(told *events.GroupInfo) bool {
				return told.Ephemeral != nil && told.Ephemeral.DisappearingTimer == 86400
			}},
		{"members may change it", func() error { return p.alices.SetGroupLocked(background, group, false) },
			func(told *events.GroupInfo) bool { return told.Locked != nil && !told.Locked.IsLocked }},
		{"a name", func() error { return p.alices.SetGroupName(background, group, "the club") },
			func(told *events.GroupInfo) bool { return told.Name != nil && told.Name.Name == "the club" }},
	}
	for _, change := range changes {
		if err := change.make(); err != nil {
			return fmt.Errorf("%s: %w", change.what, err)
		}
		if _, err := await(p.bobs, change.what, change.told); err != nil {
			return err
		}
	}
	stranger := types.NewJID("375449999999", types.DefaultUserServer)
	added, err := p.alices.UpdateGroupParticipants(background, group, []types.JID{stranger}, whatsmeow.ParticipantChangeAdd)
	if err != nil {
		return err
	}
	if len(added) != 1 || added[0].Error != 404 {
		return fmt.Errorf("nobody was added as %+v", added)
	}
	if _, err := p.alices.says(group, "hello"); err != nil {
		return err
	}
	_, err = p.bobs.text("hello")
	return err
}

func newsletter(w *world) error {
	p, err := w.pair()
	if err != nil {
		return err
	}
	background := context.Background()
	var made struct{ ID string }
	if err := p.alice.call("POST", "/newsletters", map[string]string{"name": "News"}, &made); err != nil {
		return err
	}
	if err := p.bob.call("PUT", "/newsletters/"+made.ID, nil, nil); err != nil {
		return err
	}
	news := jid(made.ID)
	sent, err := p.alices.says(news, "hello")
	if err != nil {
		return err
	}
	post, err := p.bobs.text("hello")
	if err != nil {
		return err
	}
	if post.Info.ServerID != sent.ServerID {
		return fmt.Errorf("the post is at %d, its author was told %d", post.Info.ServerID, sent.ServerID)
	}
	lasts, err := p.bobs.NewsletterSubscribeLiveUpdates(background, news)
	if err != nil || lasts <= 0 {
		return fmt.Errorf("live updates last %s: %w", lasts, err)
	}
	if err := p.alices.NewsletterSendReaction(background, news, sent.ServerID, "👍", ""); err != nil {
		return err
	}
	live := func(event *events.NewsletterLiveUpdate) bool { return event.JID == news }
	if _, err := await(p.bobs, "what others make of it", live); err != nil {
		return err
	}
	if err := p.bobs.NewsletterMarkViewed(background, news, []types.MessageServerID{sent.ServerID}); err != nil {
		return err
	}
	if _, err := await(p.bobs, "that it was looked at", live); err != nil {
		return err
	}
	updates, err := p.bobs.GetNewsletterMessageUpdates(background, news, &whatsmeow.GetNewsletterUpdatesParams{Count: 10})
	if err != nil {
		return err
	}
	if len(updates) != 1 || updates[0].ViewsCount != 1 || updates[0].ReactionCounts["👍"] != 1 {
		return fmt.Errorf("the posts are %+v", updates)
	}
	return nil
}

func answers(w *world) error {
	p, err := w.pair()
	if err != nil {
		return err
	}
	background := context.Background()
	if _, err := p.alices.SetPrivacySetting(background, types.PrivacySettingTypeLastSeen, types.PrivacySettingNone); err != nil {
		return err
	}
	other, err := w.device(p.alice, "alice, again")
	if err != nil {
		return err
	}
	kept, err := other.TryFetchPrivacySettings(background, true)
	if err != nil {
		return err
	}
	if kept.LastSeen != types.PrivacySettingNone || kept.Profile != types.PrivacySettingAll {
		return fmt.Errorf("the settings are %+v", kept)
	}
	if _, err := other.SetPrivacySetting(background, types.PrivacySettingTypeOnline, types.PrivacySettingMatchLastSeen); err != nil {
		return err
	}
	changed := func(told *events.PrivacySettings) bool { return told.OnlineChanged }
	if _, err := await(p.alices, "a setting that another device has changed", changed); err != nil {
		return err
	}
	p.alices.Store.PushName = "Lissy"
	if err := p.alices.SendPresence(background, types.PresenceAvailable); err != nil {
		return err
	}
	if _, err := p.alices.says(p.toBob, "who am I?"); err != nil {
		return err
	}
	asked, err := p.bobs.text("who am I?")
	if err != nil {
		return err
	}
	if asked.Info.PushName != "Lissy" {
		return fmt.Errorf("the name that came was %q", asked.Info.PushName)
	}
	var call struct{ ID string }
	if err := p.alice.call("POST", "/calls", map[string]string{"whom": p.bob.Number}, &call); err != nil {
		return err
	}
	offer, err := await(p.bobs, "a call", func(offer *events.CallOffer) bool { return offer.CallID == call.ID })
	if err != nil {
		return err
	}
	if offer.RemotePlatform == "" || offer.RemoteVersion == "" {
		return fmt.Errorf("the caller runs %+v", offer.CallRemoteMeta)
	}
	return nil
}
