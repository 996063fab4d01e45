// Command whatsmeow judges the simulator by a client that others wrote: go run . PATH/TO/wapi-simulator [NAME…]
//
// Each scenario has a simulator of its own.
package main

import (
	"fmt"
	"os"
	"slices"
	"time"
)

// world is a simulator, its accounts, and their devices.
type world struct {
	*simulator
	phones  []*phone
	clients []*client
	lid     bool
}

type scenario struct {
	name string
	// worlds says in which of the two it runs: chats by number, chats by LID.
	worlds []bool
	run    func(*world) error
}

func main() {
	if len(os.Args) < 2 {
		fmt.Fprintln(os.Stderr, "usage: go run . PATH/TO/wapi-simulator [NAME…]")
		os.Exit(2)
	}
	program, wanted := os.Args[1], os.Args[2:]
	failed := 0
	for _, scenario := range scenarios {
		if len(wanted) > 0 && !slices.Contains(wanted, scenario.name) {
			continue
		}
		for _, lid := range scenario.worlds {
			started := time.Now()
			err := play(program, lid, scenario.run)
			name := scenario.name + map[bool]string{false: ", by number", true: ", by LID"}[lid]
			if err != nil {
				failed++
				fmt.Printf("FAILED %s: %v\n", name, err)
			} else {
				fmt.Printf("ok %s (%.1f s)\n", name, time.Since(started).Seconds())
			}
		}
	}
	if failed > 0 {
		os.Exit(1)
	}
}

func play(program string, lid bool, run func(*world) error) error {
	var args []string
	if lid {
		args = append(args, "--lid")
	}
	simulator, err := startSimulator(program, args...)
	if err != nil {
		return err
	}
	played := &world{simulator: simulator, lid: lid}
	err = run(played)
	for _, client := range played.clients {
		client.Disconnect()
	}
	if err != nil {
		_ = simulator.process.Process.Kill()
		_ = simulator.process.Wait()
		if os.Getenv("RUST_LOG") != "" {
			return fmt.Errorf("%w\n%s", err, simulator.log)
		}
		return err
	}
	return simulator.end(played.phones)
}

func (w *world) account(name string) (*phone, error) {
	made, err := w.phone(name)
	w.phones = append(w.phones, made)
	return made, err
}

// device links a new device to an account.
func (w *world) device(of *phone, name string) (*client, error) {
	made, err := of.linked(name)
	if made != nil {
		w.clients = append(w.clients, made)
	}
	return made, err
}
