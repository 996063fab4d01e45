package main

import (
	"context"
	"encoding/hex"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"strings"
	"sync"
	"time"

	"go.mau.fi/whatsmeow"
	"go.mau.fi/whatsmeow/proto/waE2E"
	"go.mau.fi/whatsmeow/store"
	"go.mau.fi/whatsmeow/types"
	"go.mau.fi/whatsmeow/types/events"
	waLog "go.mau.fi/whatsmeow/util/log"
	"google.golang.org/protobuf/proto"
)

// patience is how long anything may take on a machine under load.
const patience = 30 * time.Second

// client is a device on the real whatsmeow, and every event it has told.
type client struct {
	*whatsmeow.Client
	name   string
	device int
	lock   sync.Mutex
	told   []any
	next   int
	rang   chan struct{}
}

// fence lets a client reach the simulator in WhatsApp's place, and nothing else.
type fence struct {
	host string
}

func (f fence) RoundTrip(request *http.Request) (*http.Response, error) {
	isChat := request.URL.Host == "web.whatsapp.com" && request.URL.Path == "/ws/chat"
	// Media are at an address that the simulator gives.
	if !isChat && request.URL.Host != f.host {
		return nil, fmt.Errorf("these clients dial the simulator alone, not %s", request.URL)
	}
	moved := request.Clone(request.Context())
	moved.URL.Scheme, moved.URL.Host, moved.Host = "http", f.host, f.host
	return http.DefaultTransport.RoundTrip(moved)
}

// newClient runs a device. A device that was linked logs in; one that was not shows a QR.
func (s *simulator) newClient(name string, device *store.Device) (*client, error) {
	root, err := hex.DecodeString(s.Root)
	if err != nil || len(root) != len(whatsmeow.WACertPubKey) {
		return nil, fmt.Errorf("the simulator's root is no key: %q", s.Root)
	}
	copy(whatsmeow.WACertPubKey[:], root)
	address, err := url.Parse(s.WS)
	if err != nil {
		return nil, err
	}
	log := waLog.Noop
	if level := os.Getenv("WHATSMEOW_LOG"); level != "" {
		log = waLog.Stdout(name, strings.ToUpper(level), false)
	}
	made := &client{Client: whatsmeow.NewClient(device, log), name: name, rang: make(chan struct{}, 1)}
	way := &http.Client{Transport: fence{address.Host}}
	made.SetWebsocketHTTPClient(way)
	made.SetPreLoginHTTPClient(way)
	made.SetMediaHTTPClient(way)
	made.AddEventHandler(func(event any) {
		made.lock.Lock()
		made.told = append(made.told, event)
		made.lock.Unlock()
		select {
		case made.rang <- struct{}{}:
		default:
		}
	})
	return made, made.Connect()
}

// linked runs a new device and links it to the phone's account.
func (p *phone) linked(name string) (*client, error) {
	made, err := p.simulator.newClient(name, newDevice())
	if err != nil {
		return nil, err
	}
	qr, err := await[*events.QR](made, "a QR", nil)
	if err != nil {
		return nil, err
	}
	var device struct{ Device int }
	if err := p.call("POST", "/scan", map[string]string{"qr": qr.Codes[0]}, &device); err != nil {
		return nil, err
	}
	made.device = device.Device
	_, err = await[*events.Connected](made, "to be connected", nil)
	return made, err
}

// await is the next event of a kind that fits; those it passes over are gone. On a timeout it says what came instead.
func await[T any](c *client, what string, fits func(T) bool) (T, error) {
	late := time.After(patience)
	for {
		c.lock.Lock()
		for c.next < len(c.told) {
			event, ok := c.told[c.next].(T)
			c.next++
			if ok && (fits == nil || fits(event)) {
				c.lock.Unlock()
				return event, nil
			}
		}
		c.lock.Unlock()
		select {
		case <-c.rang:
		case <-late:
			var none T
			return none, fmt.Errorf("%s waited for %s in vain; it heard %s", c.name, what, c.heard())
		}
	}
}

// heard says of the last events what they were.
func (c *client) heard() string {
	c.lock.Lock()
	defer c.lock.Unlock()
	var kinds []string
	for _, event := range c.told[max(0, len(c.told)-12):] {
		kinds = append(kinds, fmt.Sprintf("%T", event))
	}
	return strings.Join(kinds, ", ")
}

// text waits for a text of somebody, or for the copy of one that another device of the account has sent.
func (c *client) text(wanted string) (*events.Message, error) {
	return await(c, "the text "+wanted, func(message *events.Message) bool {
		said := message.Message.GetConversation()
		if said == "" {
			said = message.Message.GetExtendedTextMessage().GetText()
		}
		return said == wanted
	})
}

// says sends a text; the server has acknowledged it then.
func (c *client) says(to types.JID, text string) (whatsmeow.SendResponse, error) {
	return c.send(to, &waE2E.Message{Conversation: proto.String(text)})
}

func (c *client) send(to types.JID, message *waE2E.Message) (whatsmeow.SendResponse, error) {
	limit, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	return c.SendMessage(limit, to, message)
}

func jid(text string) types.JID {
	parsed, err := types.ParseJID(text)
	if err != nil {
		panic(err)
	}
	return parsed
}

// eventually looks until it finds; an error of a look ends it.
func eventually(what string, look func() (bool, error)) error {
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		if found, err := look(); err != nil || found {
			return err
		}
	}
	return fmt.Errorf("it never came to be that %s", what)
}
