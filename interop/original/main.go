// Writes the documents of the original wapi as JSON, from the structs of the library that it stood on.
//
//	go run . ../../crates/wapi/tests/api/original
package main

import (
	"bytes"
	"encoding/json"
	"io"
	"log"
	"os"
	"path/filepath"

	whatsapp "github.com/Rhymen/go-whatsapp"
	"github.com/Rhymen/go-whatsapp/binary/proto"
)

// The original's own structs (r-erema/wapi, internal/model and internal/http).
type session struct {
	SessionID       string
	WhatsAppSession *whatsapp.Session
}

type connection struct {
	ConnectionInfo *whatsapp.Info
	SessionInfo    *session
}

func text(value string) *string { return &value }

func number(value uint64) *uint64 { return &value }

func flag(value bool) *bool { return &value }

// What the library made of a text that came in.
func received(chat, author string, quotes bool) whatsapp.TextMessage {
	info := whatsapp.MessageInfo{
		Id: "3EB0", RemoteJid: chat, SenderJid: author, Timestamp: 1600000000, PushName: "Bob", Status: 3,
	}
	key := &proto.MessageKey{RemoteJid: text(chat), FromMe: flag(false), Id: text("3EB0")}
	if author != "" {
		key.Participant = text(author)
	}
	info.Source = &proto.WebMessageInfo{
		Key: key, MessageTimestamp: number(1600000000), PushName: text("Bob"),
		Message: &proto.Message{Conversation: text("hello")},
	}
	message := whatsapp.TextMessage{Info: info, Text: "hello"}
	if quotes {
		quoted := &proto.Message{ImageMessage: &proto.ImageMessage{
			Mimetype: text("image/png"), Caption: text("before"),
		}}
		message.ContextInfo = whatsapp.ContextInfo{
			QuotedMessageID: "3EB1", QuotedMessage: quoted, Participant: "375440000002@s.whatsapp.net",
		}
		info.Source.Message = &proto.Message{ExtendedTextMessage: &proto.ExtendedTextMessage{
			Text: text("hello"), ContextInfo: &proto.ContextInfo{
				StanzaId: text("3EB1"), Participant: text("375440000002@s.whatsapp.net"), QuotedMessage: quoted,
			},
		}}
	}
	return message
}

func main() {
	const chat, wid = "375440000001@s.whatsapp.net", "375440000002@c.us"
	// Sent messages: the library worked on a copy, so the original's answer had no id and no time.
	sent := whatsapp.MessageInfo{RemoteJid: chat, SenderJid: wid}
	keys := session{SessionID: "shop", WhatsAppSession: &whatsapp.Session{Wid: wid}}
	documents := map[string]interface{}{
		"received_text":  received(chat, "", false),
		"received_reply": received(chat, "", true),
		"received_in_group": received(
			"375440000001-1600000000@g.us", "375440000001@s.whatsapp.net", false),
		"sent_text": whatsapp.TextMessage{Info: sent, Text: "hello"},
		"sent_image": whatsapp.ImageMessage{
			Info: sent, Caption: "look", Type: "image/png",
			Content: io.NopCloser(bytes.NewBuffer(nil)),
		},
		"session":    keys,
		"connection": connection{&whatsapp.Info{Wid: wid, Connected: true, Pushname: "Alice", Phone: &whatsapp.PhoneInfo{}}, &keys},
	}
	for name, document := range documents {
		written, err := json.MarshalIndent(document, "", "  ")
		if err != nil {
			log.Fatal(err)
		}
		path := filepath.Join(os.Args[1], name+".json")
		if err := os.WriteFile(path, append(written, '\n'), 0o644); err != nil {
			log.Fatal(err)
		}
	}
}
