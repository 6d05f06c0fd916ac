// A program of the official gateway client for Go: what it does with a chaincode, and what is on the channel, as
// JSON.
//
//	gateway-client drive PROFILE MSP CHAINCODE   evaluates, submits, signs elsewhere, listens
//	gateway-client blocks PROFILE MSP            every transaction of every block, of every chaincode
//	gateway-client load PROFILE MSP CHAINCODE    a load generator: orders on stdin, what came of each on stdout
//
// PROFILE is a connection profile in the form of Fabric's SDKs, MSP the folder of a user's certificate and key.
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
	if len(os.Args) < 4 {
		log.Fatal("gateway-client drive|blocks|load PROFILE MSP [CHAINCODE]")
	}
	if os.Args[1] == "load" && len(os.Args) == 5 {
		if err := load(os.Args[2], os.Args[3], os.Args[4]); err != nil {
			log.Fatal(err)
		}
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), deadline)
	defer cancel()
	told, err := run(ctx, os.Args[1], os.Args[2], os.Args[3], os.Args[4:])
	if err != nil {
		log.Fatal(err)
	}
	if err := json.NewEncoder(os.Stdout).Encode(told); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context, command, path, msp string, args []string) (any, error) {
	profile, err := readProfile(path)
	if err != nil {
		return nil, err
	}
	connection, err := profile.connect()
	if err != nil {
		return nil, err
	}
	defer connection.Close()
	id, sign, err := profile.credentials(msp)
	if err != nil {
		return nil, err
	}
	gateway, err := client.Connect(id, client.WithSign(sign), client.WithClientConnection(connection))
	if err != nil {
		return nil, err
	}
	defer gateway.Close()
	switch {
	case command == "drive" && len(args) == 1:
		elsewhere, err := client.Connect(id, client.WithClientConnection(connection))
		if err != nil {
			return nil, err
		}
		defer elsewhere.Close()
		return drive(ctx, profile, args[0], gateway, elsewhere, sign)
	case command == "blocks" && len(args) == 0:
		return blocks(ctx, gateway.GetNetwork(profile.channel()))
	}
	return nil, fmt.Errorf("there is no command %q with %d further arguments", command, len(args))
}
