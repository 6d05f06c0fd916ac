package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/hyperledger/fabric-gateway/pkg/client"
	"github.com/hyperledger/fabric-gateway/pkg/identity"
	"github.com/hyperledger/fabric-protos-go-apiv2/gateway"
	"google.golang.org/grpc/status"
)

// The event that a transaction emits here.
const eventName = "driven"

type committed struct {
	Reply string `json:"reply"`
	TxID  string `json:"tx_id"`
	Code  string `json:"code"`
	Block uint64 `json:"block"`
}

type refused struct {
	Status  string   `json:"status"`
	Message string   `json:"message"`
	Details []detail `json:"details"`
}

type detail struct {
	MspID   string `json:"msp_id"`
	Message string `json:"message"`
}

type event struct {
	Block   uint64 `json:"block"`
	TxID    string `json:"tx_id"`
	Name    string `json:"name"`
	Payload string `json:"payload"`
}

type driven struct {
	Metadata        json.RawMessage `json:"metadata"`
	Typed           json.RawMessage `json:"typed"`
	TypedRefused    *refused        `json:"typed_refused"`
	Submitted       string          `json:"submitted"`
	Evaluated       string          `json:"evaluated"`
	Staged          *committed      `json:"staged"`
	SignedElsewhere *committed      `json:"signed_elsewhere"`
	Transient       string          `json:"transient"`
	Bytes           string          `json:"bytes"`
	EvaluateRefused *refused        `json:"evaluate_refused"`
	SubmitRefused   *refused        `json:"submit_refused"`
	TooFewEndorsers *committed      `json:"too_few_endorsers"`
	Events          []event         `json:"events"`
	Filtered        []string        `json:"filtered"`
}

// An operation of the chaincode.
type operation map[string]any

func operations(list ...operation) string {
	text, err := json.Marshal(list)
	if err != nil {
		panic(err)
	}
	return string(text)
}

type driver struct {
	own      client.ProposalOption
	contract *client.Contract
	network  *client.Network
	// A gateway whose calls carry no signature but those that are given to it.
	elsewhere *client.Gateway
	sign      identity.Sign
	told      driven
}

func drive(
	ctx context.Context,
	profile *profile,
	chaincode string,
	signing, elsewhere *client.Gateway,
	sign identity.Sign,
) (*driven, error) {
	network := signing.GetNetwork(profile.channel())
	d := &driver{
		own:       client.WithEndorsingOrganizations(profile.mspID()),
		contract:  network.GetContract(chaincode),
		network:   network,
		elsewhere: elsewhere,
		sign:      sign,
	}
	for _, step := range []func() error{d.typed, d.staged} {
		if err := step(); err != nil {
			return nil, err
		}
	}
	// From the block of the first transaction on: nothing can be missed.
	first := client.WithStartBlock(d.told.Staged.Block)
	events, err := d.eventsSignedElsewhere(ctx, chaincode, first)
	if err != nil {
		return nil, err
	}
	filtered, err := network.FilteredBlockEvents(ctx, first)
	if err != nil {
		return nil, err
	}
	for _, step := range []func() error{
		d.oneCall, d.signedElsewhere, d.arguments, d.refused, d.tooFewEndorsers,
	} {
		if err := step(); err != nil {
			return nil, err
		}
	}
	for len(d.told.Events) < 3 {
		next, open := <-events
		if !open {
			return nil, errors.New("the stream of events ended")
		}
		d.told.Events = append(d.told.Events, event{
			next.BlockNumber, next.TransactionID, next.EventName, string(next.Payload),
		})
	}
	for last := d.told.TooFewEndorsers.TxID; ; {
		block, open := <-filtered
		if !open {
			return nil, errors.New("the stream of blocks ended")
		}
		for _, transaction := range block.GetFilteredTransactions() {
			told := fmt.Sprintf("%s %s", transaction.GetTxid(), transaction.GetTxValidationCode())
			d.told.Filtered = append(d.told.Filtered, told)
			if transaction.GetTxid() == last {
				return &d.told, nil
			}
		}
	}
}

// Calls of typed functions, which only one organisation's program has.
func (d *driver) typed() error {
	metadata, err := d.contract.Evaluate("org.hyperledger.fabric:GetMetadata", d.own)
	if err != nil {
		return err
	}
	d.told.Metadata = metadata
	if d.told.Typed, err = d.contract.Evaluate("Describe", client.WithArguments(`"go"`), d.own); err != nil {
		return err
	}
	_, err = d.contract.Evaluate("Describe", client.WithArguments(`7`), d.own)
	d.told.TypedRefused = told(err)
	return nil
}

func (d *driver) oneCall() error {
	put := operations(operation{"op": "put", "key": "go", "value": "1"}, operation{"op": "event", "key": eventName, "value": "one call"})
	submitted, err := d.contract.SubmitTransaction("Run", put)
	if err != nil {
		return err
	}
	d.told.Submitted = string(submitted)
	evaluated, err := d.contract.EvaluateTransaction("Run", operations(operation{"op": "get", "key": "go"}))
	d.told.Evaluated = string(evaluated)
	return err
}

func (d *driver) staged() error {
	put := operations(operation{"op": "put", "key": "go", "value": "2"}, operation{"op": "event", "key": eventName, "value": "staged"})
	proposal, err := d.contract.NewProposal("Run", client.WithArguments(put))
	if err != nil {
		return err
	}
	transaction, err := proposal.Endorse()
	if err != nil {
		return err
	}
	commit, err := transaction.Submit()
	if err != nil {
		return err
	}
	d.told.Staged, err = outcome(transaction, commit)
	return err
}

func (d *driver) signedElsewhere() error {
	put := operations(operation{"op": "put", "key": "go", "value": "3"}, operation{"op": "event", "key": eventName, "value": "signed elsewhere"})
	unsigned, err := d.contract.NewProposal("Run", client.WithArguments(put))
	if err != nil {
		return err
	}
	bytes, signature, err := d.signed(unsigned)
	if err != nil {
		return err
	}
	proposal, err := d.elsewhere.NewSignedProposal(bytes, signature)
	if err != nil {
		return err
	}
	endorsed, err := proposal.Endorse()
	if err != nil {
		return err
	}
	if bytes, signature, err = d.signed(endorsed); err != nil {
		return err
	}
	transaction, err := d.elsewhere.NewSignedTransaction(bytes, signature)
	if err != nil {
		return err
	}
	submitted, err := transaction.Submit()
	if err != nil {
		return err
	}
	if bytes, signature, err = d.signed(submitted); err != nil {
		return err
	}
	commit, err := d.elsewhere.NewSignedCommit(bytes, signature)
	if err != nil {
		return err
	}
	d.told.SignedElsewhere, err = outcome(transaction, commit)
	return err
}

func (d *driver) eventsSignedElsewhere(
	ctx context.Context,
	chaincode string,
	first client.ChaincodeEventsOption,
) (<-chan *client.ChaincodeEvent, error) {
	unsigned, err := d.network.NewChaincodeEventsRequest(chaincode, first)
	if err != nil {
		return nil, err
	}
	bytes, signature, err := d.signed(unsigned)
	if err != nil {
		return nil, err
	}
	request, err := d.elsewhere.NewSignedChaincodeEventsRequest(bytes, signature)
	if err != nil {
		return nil, err
	}
	return request.Events(ctx)
}

func (d *driver) signed(stage interface {
	Bytes() ([]byte, error)
	Digest() []byte
}) ([]byte, []byte, error) {
	bytes, err := stage.Bytes()
	if err != nil {
		return nil, nil, err
	}
	signature, err := d.sign(stage.Digest())
	return bytes, signature, err
}

// Transient data, and arguments that are no text.
func (d *driver) arguments() error {
	transient := client.WithTransient(map[string][]byte{"price": []byte("7")})
	reply, err := d.contract.Evaluate("Run", client.WithArguments(operations(operation{"op": "transient"})), transient, d.own)
	if err != nil {
		return err
	}
	d.told.Transient = string(reply)
	bytes := client.WithBytesArguments([]byte(operations(operation{"op": "args"})), []byte{0xff, 0x00, 0xfe})
	reply, err = d.contract.Evaluate("Run", bytes, d.own)
	d.told.Bytes = string(reply)
	return err
}

func (d *driver) refused() error {
	fail := client.WithArguments(operations(operation{"op": "fail", "value": "GO_REFUSED"}))
	_, err := d.contract.Evaluate("Run", fail, d.own)
	d.told.EvaluateRefused = told(err)
	_, err = d.contract.Submit("Run", fail)
	d.told.SubmitRefused = told(err)
	return nil
}

// Endorsed by the own organisation alone, which the chaincode's policy does not take.
func (d *driver) tooFewEndorsers() error {
	put := client.WithArguments(operations(operation{"op": "put", "key": "go", "value": "4"}))
	proposal, err := d.contract.NewProposal("Run", put, d.own)
	if err != nil {
		return err
	}
	transaction, err := proposal.Endorse()
	if err != nil {
		return err
	}
	commit, err := transaction.Submit()
	if err != nil {
		return err
	}
	d.told.TooFewEndorsers, err = outcome(transaction, commit)
	return err
}

func outcome(transaction *client.Transaction, commit *client.Commit) (*committed, error) {
	status, err := commit.Status()
	if err != nil {
		return nil, err
	}
	return &committed{string(transaction.Result()), status.TransactionID, status.Code.String(), status.BlockNumber}, nil
}

// How an error looks to a caller; nothing where there is none.
func told(err error) *refused {
	if err == nil {
		return nil
	}
	refusal := status.Convert(err)
	seen := &refused{refusal.Code().String(), refusal.Message(), nil}
	for _, of := range refusal.Details() {
		if of, known := of.(*gateway.ErrorDetail); known {
			seen.Details = append(seen.Details, detail{of.GetMspId(), of.GetMessage()})
		}
	}
	return seen
}
