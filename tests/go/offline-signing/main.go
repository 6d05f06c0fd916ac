// One step of a transaction by the official client, without a private key.
//
// Steps read what another client exported, with a signature that was made elsewhere, and print what they export:
// one line each for bytes and digest in hex, or the answer.
package main

import (
	"context"
	"crypto/x509"
	"encoding/hex"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/hyperledger/fabric-gateway/pkg/client"
	"github.com/hyperledger/fabric-gateway/pkg/identity"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
)

const deadline = 60 * time.Second

// Anything that is exported for signing.
type stage interface {
	Bytes() ([]byte, error)
	Digest() []byte
}

func main() {
	if len(os.Args) < 6 {
		fail(fmt.Errorf("usage: %s ADDRESS TLS_ROOTS MSP_ID CERTIFICATE STEP [ARGUMENT...]", os.Args[0]))
	}
	gateway := connect(os.Args[1], os.Args[2], os.Args[3], os.Args[4])
	step, arguments := os.Args[5], os.Args[6:]
	ctx, cancel := context.WithTimeout(context.Background(), deadline)
	defer cancel()

	switch step {
	case "make":
		network := gateway.GetNetwork(arguments[1])
		switch arguments[0] {
		case "proposal":
			contract := network.GetContract(arguments[2])
			options := client.WithArguments(arguments[4:]...)
			export(must(contract.NewProposal(arguments[3], options)))
		case "chaincode-events":
			export(must(network.NewChaincodeEventsRequest(arguments[2], client.WithStartBlock(0))))
		case "blocks":
			export(must(network.NewFilteredBlockEventsRequest(client.WithStartBlock(0))))
		default:
			fail(fmt.Errorf("nothing to make: %s", arguments[0]))
		}
	case "read":
		bytes := unhex(arguments[1])
		switch arguments[0] {
		case "proposal":
			read := must(gateway.NewProposal(bytes))
			export(read)
			fmt.Println(read.TransactionID())
		case "transaction":
			read := must(gateway.NewTransaction(bytes))
			export(read)
			fmt.Println(read.TransactionID())
		case "commit":
			read := must(gateway.NewCommit(bytes))
			export(read)
			fmt.Println(read.TransactionID())
		case "chaincode-events":
			export(must(gateway.NewChaincodeEventsRequest(bytes)))
		case "blocks":
			export(must(gateway.NewFilteredBlockEventsRequest(bytes)))
		default:
			fail(fmt.Errorf("nothing to read: %s", arguments[0]))
		}
	case "endorse":
		proposal := must(gateway.NewSignedProposal(unhex(arguments[0]), unhex(arguments[1])))
		export(must(proposal.EndorseWithContext(ctx)))
	case "submit":
		transaction := must(gateway.NewSignedTransaction(unhex(arguments[0]), unhex(arguments[1])))
		export(must(transaction.SubmitWithContext(ctx)))
	case "status":
		commit := must(gateway.NewSignedCommit(unhex(arguments[0]), unhex(arguments[1])))
		status := must(commit.StatusWithContext(ctx))
		fmt.Println(status.Code, status.BlockNumber)
	case "chaincode-events":
		request := must(gateway.NewSignedChaincodeEventsRequest(unhex(arguments[0]), unhex(arguments[1])))
		event, ok := <-must(request.Events(ctx))
		fmt.Println(ok, event.EventName, event.TransactionID)
	case "blocks":
		request := must(gateway.NewSignedFilteredBlockEventsRequest(unhex(arguments[0]), unhex(arguments[1])))
		block, ok := <-must(request.Events(ctx))
		fmt.Println(ok, block.GetNumber())
	default:
		fail(fmt.Errorf("no such step: %s", step))
	}
}

// connect makes a gateway of an identity without a signer; nothing is dialled before the first call.
func connect(address string, rootsFile string, mspID string, certificateFile string) *client.Gateway {
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(must(os.ReadFile(rootsFile))) {
		fail(fmt.Errorf("no certificate in %s", rootsFile))
	}
	certificate := must(identity.CertificateFromPEM(must(os.ReadFile(certificateFile))))
	id := must(identity.NewX509Identity(mspID, certificate))
	transport := grpc.WithTransportCredentials(credentials.NewClientTLSFromCert(roots, ""))
	connection := must(grpc.NewClient("passthrough:///"+address, transport))
	return must(client.Connect(id, client.WithClientConnection(connection)))
}

func export(exported stage) {
	fmt.Println(hex.EncodeToString(must(exported.Bytes())))
	fmt.Println(hex.EncodeToString(exported.Digest()))
}

func unhex(text string) []byte {
	return must(hex.DecodeString(strings.TrimSpace(text)))
}

func must[T any](value T, err error) T {
	if err != nil {
		fail(err)
	}
	return value
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}
