// A program of the official gateway client for Go: what it does with a chaincode, and what is on the channel, as
// JSON.
//
//	gateway-client drive PROFILE USER    evaluates, submits, signs elsewhere, listens
//	gateway-client blocks PROFILE USER   every transaction of every block, of every chaincode
//	gateway-client load PROFILE USER     a load generator: orders on stdin, what came of each on stdout
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"log"
	"os"
	"time"

	"github.com/hyperledger/fabric-gateway/pkg/client"
)

// Longer than anything here takes on the slowest machine.
const deadline = 60 * time.Second

func main() {
	if len(os.Args) != 4 {
		log.Fatal("gateway-client drive|blocks|load PROFILE USER")
	}
	if os.Args[1] == "load" {
		if err := load(os.Args[2], os.Args[3]); err != nil {
			log.Fatal(err)
		}
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), deadline)
	defer cancel()
	told, err := run(ctx, os.Args[1], os.Args[2], os.Args[3])
	if err != nil {
		log.Fatal(err)
	}
	if err := json.NewEncoder(os.Stdout).Encode(told); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context, command, path, user string) (any, error) {
	profile, err := readProfile(path)
	if err != nil {
		return nil, err
	}
	connection, err := profile.connect()
	if err != nil {
		return nil, err
	}
	defer connection.Close()
	id, sign, err := profile.credentials(user)
	if err != nil {
		return nil, err
	}
	gateway, err := client.Connect(id, client.WithSign(sign), client.WithClientConnection(connection))
	if err != nil {
		return nil, err
	}
	defer gateway.Close()
	switch command {
	case "drive":
		elsewhere, err := client.Connect(id, client.WithClientConnection(connection))
		if err != nil {
			return nil, err
		}
		defer elsewhere.Close()
		return drive(ctx, profile, gateway, elsewhere, sign)
	case "blocks":
		return blocks(ctx, gateway.GetNetwork(profile.Channel))
	}
	return nil, fmt.Errorf("there is no command %q", command)
}
