package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"syscall"
)

// simulator is a simulated WhatsApp, a process of its own, driven over its admin API.
type simulator struct {
	process *exec.Cmd
	log     *bytes.Buffer
	Admin   string `json:"admin"`
	WS      string `json:"ws"`
	Root    string `json:"noise_root_public_key_hex"`
}

// startSimulator waits for the line that says where it listens. How much it logs is up to RUST_LOG.
func startSimulator(program string, args ...string) (*simulator, error) {
	log := new(bytes.Buffer)
	process := exec.Command(program, append([]string{"--listen", "127.0.0.1:0"}, args...)...)
	process.Stderr = log
	process.Env = append(os.Environ(), "NO_COLOR=1")
	out, err := process.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := process.Start(); err != nil {
		return nil, err
	}
	started := &simulator{process: process, log: log}
	line, err := bufio.NewReader(out).ReadBytes('\n')
	if err != nil {
		return nil, fmt.Errorf("the simulator said nothing: %w\n%s", err, log)
	}
	return started, json.Unmarshal(line, started)
}

// end stops it; what clients asked and it did not know, and what phones could not read, is a failure.
func (s *simulator) end(phones []*phone) error {
	var unknown []any
	if err := s.call("GET", "/unknown-requests", nil, &unknown); err != nil {
		return err
	}
	if len(unknown) > 0 {
		return fmt.Errorf("requests that the simulator does not know: %v", unknown)
	}
	for _, phone := range phones {
		seen, err := phone.seen()
		if err != nil {
			return err
		}
		if len(seen.Failures) > 0 {
			return fmt.Errorf("%s could not read: %v", phone.Number, seen.Failures)
		}
	}
	if err := s.process.Process.Signal(syscall.SIGTERM); err != nil {
		return err
	}
	if err := s.process.Wait(); err != nil {
		return fmt.Errorf("the simulator ended badly: %w\n%s", err, s.log)
	}
	return nil
}

// call asks the admin API; into may be nil.
func (s *simulator) call(method, path string, body, into any) error {
	sent, err := json.Marshal(body)
	if err != nil {
		return err
	}
	request, err := http.NewRequest(method, s.Admin+path, bytes.NewReader(sent))
	if err != nil {
		return err
	}
	request.Header.Set("Content-Type", "application/json")
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	said, err := io.ReadAll(answer.Body)
	if err != nil {
		return err
	}
	if answer.StatusCode >= 300 {
		return fmt.Errorf("%s %s: %s %s", method, path, answer.Status, said)
	}
	if into == nil {
		return nil
	}
	return json.Unmarshal(said, into)
}

// phone is an account of the simulator's.
type phone struct {
	simulator *simulator
	Number    string `json:"number"`
	JID       string `json:"jid"`
	LID       string `json:"lid"`
}

func (s *simulator) phone(name string) (*phone, error) {
	made := &phone{simulator: s}
	return made, s.call("POST", "/phones", map[string]string{"name": name}, made)
}

// seen is what a phone has received, and what it could not read.
type seen struct {
	Messages []struct {
		ID, From, Text string
		FromMe         bool `json:"from_me"`
	}
	Failures []string
}

func (p *phone) seen() (all seen, err error) {
	return all, p.call("GET", "/messages", nil, &all)
}

func (p *phone) call(method, path string, body, into any) error {
	return p.simulator.call(method, "/phones/"+p.Number+path, body, into)
}

func (p *phone) sends(to, text string) error {
	return p.call("POST", "/messages", map[string]string{"to": to, "text": text}, nil)
}

// has waits until the phone has received a text.
func (p *phone) has(text string) error {
	return eventually("the phone "+p.Number+" has "+text, func() (bool, error) {
		all, err := p.seen()
		for _, message := range all.Messages {
			if message.Text == text {
				return true, err
			}
		}
		return false, err
	})
}
