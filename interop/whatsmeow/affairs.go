package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"go.mau.fi/whatsmeow"
	"go.mau.fi/whatsmeow/proto/waE2E"
	"go.mau.fi/whatsmeow/proto/waHistorySync"
	"go.mau.fi/whatsmeow/types"
	"go.mau.fi/whatsmeow/types/events"
)

// ownAffairs is what an account asks of the server and settles there, beside its chats.
func ownAffairs(w *world) error {
	p, err := w.pair()
	if err != nil {
		return err
	}
	background := context.Background()
	// Statuses go to whom the account has named.
	only := map[string]any{"statuses": map[string]any{"only": []string{p.bob.Number}}}
	if err := p.alice.call("PATCH", "/preferences", only, nil); err != nil {
		return err
	}
	audience, err := p.alices.GetStatusPrivacy(background)
	if err != nil {
		return err
	}
	if len(audience) != 1 || audience[0].Type != types.StatusPrivacyTypeWhitelist || len(audience[0].List) != 1 {
		return fmt.Errorf("statuses are for %+v", audience)
	}
	if _, err := p.alices.says(types.StatusBroadcastJID, "at the sea"); err != nil {
		return err
	}
	if _, err := p.bobs.text("at the sea"); err != nil {
		return err
	}
	if err := p.bob.has("at the sea"); err != nil {
		return err
	}

	if err := p.alices.SetDefaultDisappearingTimer(background, 7*24*time.Hour); err != nil {
		return err
	}
	if err := p.alices.AcceptTOSNotice(background, "20601218", "5"); err != nil {
		return err
	}
	var settled struct {
		DefaultTimer int `json:"default_timer"`
		Notices      map[string]string
	}
	if err := p.alice.call("GET", "/preferences", nil, &settled); err != nil {
		return err
	}
	if settled.DefaultTimer != 7*86400 || settled.Notices["20601218"] != "5" {
		return fmt.Errorf("settled was %+v", settled)
	}

	link, err := p.alices.GetContactQRLink(background, false)
	if err != nil {
		return err
	}
	found, err := p.bobs.ResolveContactQRLink(background, link)
	if err != nil {
		return err
	}
	if found.JID != jid(p.alice.JID) || found.PushName != "Alice" {
		return fmt.Errorf("behind the link is %+v", found)
	}
	if _, err := p.alices.GetContactQRLink(background, true); err != nil {
		return err
	}
	if _, err := p.bobs.ResolveContactQRLink(background, link); !errors.Is(err, whatsmeow.ErrContactQRLinkNotFound) {
		return fmt.Errorf("the link that was taken back leads to %v", err)
	}

	profile := map[string]any{
		"email": "bread@example.org", "address": "Baker Street", "timezone": "Europe/Minsk",
		"categories": [][]string{{"1", "Bakery"}},
		"hours":      []any{map[string]any{"day": "mon", "mode": "specific_hours", "open": []int{420, 900}}},
	}
	if err := p.alice.call("PUT", "/business", profile, nil); err != nil {
		return err
	}
	business, err := p.bobs.GetBusinessProfile(background, jid(p.alice.JID))
	if err != nil {
		return err
	}
	if business.Email != "bread@example.org" || len(business.Categories) != 1 || len(business.BusinessHours) != 1 ||
		business.BusinessHours[0].OpenTime != "420" {
		return fmt.Errorf("the business says %+v", business)
	}

	push := &whatsmeow.FCMPushConfig{Token: "a token"}
	if err := p.alices.RegisterForPushNotifications(background, push); err != nil {
		return err
	}
	if _, err := p.alices.GetServerPushNotificationConfig(background); err != nil {
		return err
	}
	bots, err := p.alices.GetBotListV2(background)
	if err != nil {
		return err
	}
	if len(bots) == 0 {
		return errors.New("there is no assistant")
	}
	_, err = p.alices.TryFetchPrivacySettings(background, true)
	return err
}

func newsletters(w *world) error {
	p, err := w.pair()
	if err != nil {
		return err
	}
	background := context.Background()
	made, err := p.alices.CreateNewsletter(background, whatsmeow.CreateNewsletterParams{Name: "News", Description: "of the day"})
	if err != nil {
		return err
	}
	if made.ThreadMeta.Name.Text != "News" {
		return fmt.Errorf("it is called %+v", made.ThreadMeta)
	}
	if err := p.bobs.FollowNewsletter(background, made.ID); err != nil {
		return err
	}
	for _, muted := range []bool{true, false} {
		if err := p.bobs.NewsletterToggleMute(background, made.ID, muted); err != nil {
			return err
		}
		known, err := p.bobs.GetNewsletterInfo(background, made.ID)
		if err != nil {
			return err
		}
		if known.ViewerMeta == nil || (known.ViewerMeta.Mute == types.NewsletterMuteOn) != muted {
			return fmt.Errorf("muted %v, it is %+v", muted, known.ViewerMeta)
		}
	}
	if _, err := p.bobs.GetNewsletterInfoWithInvite(background, made.ThreadMeta.InviteCode); err != nil {
		return err
	}
	followed, err := p.bobs.GetSubscribedNewsletters(background)
	if err != nil {
		return err
	}
	if len(followed) != 1 || followed[0].ID != made.ID {
		return fmt.Errorf("followed are %d newsletters", len(followed))
	}
	if _, err := p.alices.says(made.ID, "the first"); err != nil {
		return err
	}
	if _, err := p.bobs.text("the first"); err != nil {
		return err
	}
	return p.bobs.UnfollowNewsletter(background, made.ID)
}

// asks sends a request to the account's own phone.
func (c *client) asks(request *waE2E.Message) error {
	_, err := c.SendMessage(context.Background(), c.Store.ID.ToNonAD(), request, whatsmeow.SendRequestExtra{Peer: true})
	return err
}

func askedOfThePhone(w *world) error {
	p, err := w.pair()
	if err != nil {
		return err
	}
	for _, text := range []string{"one", "two", "three"} {
		if err := p.bob.sends(p.alice.Number, text); err != nil {
			return err
		}
	}
	last, err := p.alices.text("three")
	if err != nil {
		return err
	}
	if err := p.alices.asks(p.alices.BuildHistorySyncRequest(&last.Info, 1)); err != nil {
		return err
	}
	part, err := await(p.alices, "older messages", func(part *events.HistorySync) bool {
		return part.Data.GetSyncType() == waHistorySync.HistorySync_ON_DEMAND
	})
	if err != nil {
		return err
	}
	older := part.Data.GetConversations()[0].GetMessages()
	if len(older) != 1 || older[0].GetMessage().GetMessage().GetConversation() != "two" {
		return fmt.Errorf("before the last there were %v", older)
	}
	if err := p.alices.asks(p.alices.BuildUnavailableMessageRequest(last.Info.Chat, last.Info.Sender, last.Info.ID)); err != nil {
		return err
	}
	_, err = await(p.alices, "the message once more", func(message *events.Message) bool {
		return message.UnavailableRequestID != "" && message.Message.GetConversation() == "three"
	})
	return err
}

func restricted(w *world) error {
	p, err := w.pair()
	if err != nil {
		return err
	}
	limits := map[string]any{"kind": "new_chats", "until": time.Now().Add(time.Hour).Unix()}
	if err := p.alice.call("PUT", "/restriction", limits, nil); err != nil {
		return err
	}
	if _, err := p.alices.says(p.toBob, "to a stranger"); err == nil || !strings.Contains(err.Error(), "463") {
		return fmt.Errorf("it wrote to a stranger: %v", err)
	}
	if _, err := p.bobs.says(p.toAlice, "a question"); err != nil {
		return err
	}
	if _, err := p.alices.text("a question"); err != nil {
		return err
	}
	// This client gives nobody a token; a phone does.
	if err := p.bob.sends(p.alice.Number, "and another"); err != nil {
		return err
	}
	if _, err := p.alices.text("and another"); err != nil {
		return err
	}
	return eventually("it may answer", func() (bool, error) {
		_, err := p.alices.says(p.toBob, "an answer")
		return err == nil, nil
	})
}
