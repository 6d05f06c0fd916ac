package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hyperledger/fabric-gateway/pkg/client"
	"google.golang.org/grpc/status"
)

// Calls that are to be made: by callers who each make one after the other for a while, or each when it is due. It is
// the counterpart of tests/benches/client/load.rs, field by field.
type order struct {
	Call    string `json:"call"`
	Callers int    `json:"callers"`
	LastsUs int64  `json:"lasts_us"`
	// When each call is due, in microseconds; without callers.
	DueUs []int64 `json:"due_us"`
	First uint64  `json:"first"`
	// What each call picks, again and again: a counter, or a key that is there.
	Picks []uint64 `json:"picks"`
}

// What came of an order.
type result struct {
	ElapsedUs int64 `json:"elapsed_us"`
	// Of the successful calls.
	LatenciesUs []int64 `json:"latencies_us"`
	// Of the same calls, when they put a key: until it is endorsed, then until it is submitted, then until its verdict.
	StagesUs [][3]int64 `json:"stages_us"`
	// The other calls, and what this side was told of them.
	Others map[uint64]string `json:"others"`
	// How many transactions were proposed.
	Proposed uint64 `json:"proposed"`
}

// Where calls go, by one connection for all of them.
type loader struct {
	contract *client.Contract
	value    []byte
}

func load(path, msp, chaincode string) error {
	profile, err := readProfile(path)
	if err != nil {
		return err
	}
	connection, err := profile.connect()
	if err != nil {
		return err
	}
	defer connection.Close()
	id, sign, err := profile.credentials(msp)
	if err != nil {
		return err
	}
	gateway, err := client.Connect(id, client.WithSign(sign), client.WithClientConnection(connection))
	if err != nil {
		return err
	}
	defer gateway.Close()
	contract := gateway.GetNetwork(profile.channel()).GetContract(chaincode)
	loader := &loader{contract, bytes.Repeat([]byte("v"), 128)}
	orders, answers := json.NewDecoder(os.Stdin), json.NewEncoder(os.Stdout)
	for {
		order := &order{}
		if err := orders.Decode(order); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		if err := answers.Encode(loader.fulfil(order)); err != nil {
			return err
		}
	}
}

func (l *loader) fulfil(order *order) *result {
	all := &result{LatenciesUs: []int64{}, StagesUs: [][3]int64{}, Others: map[uint64]string{}}
	var lock sync.Mutex
	add := func(own *result) {
		lock.Lock()
		defer lock.Unlock()
		all.LatenciesUs = append(all.LatenciesUs, own.LatenciesUs...)
		all.StagesUs = append(all.StagesUs, own.StagesUs...)
		for number, words := range own.Others {
			all.Others[number] = words
		}
		all.Proposed += own.Proposed
	}
	begun := time.Now()
	var running sync.WaitGroup
	if order.Callers > 0 {
		lasts := time.Duration(order.LastsUs) * time.Microsecond
		var next atomic.Uint64
		next.Store(order.First)
		for range order.Callers {
			running.Go(func() {
				own := &result{Others: map[uint64]string{}}
				for time.Since(begun) < lasts {
					l.call(order, next.Add(1)-1, time.Now(), own)
				}
				add(own)
			})
		}
	}
	for index, due := range order.DueUs {
		due := begun.Add(time.Duration(due) * time.Microsecond)
		time.Sleep(time.Until(due))
		running.Go(func() {
			own := &result{Others: map[uint64]string{}}
			l.call(order, order.First+uint64(index), due, own)
			add(own)
		})
	}
	running.Wait()
	all.ElapsedUs = time.Since(begun).Microseconds()
	return all
}

func (l *loader) call(order *order, number uint64, started time.Time, own *result) {
	own.Proposed++
	if words := l.made(order, number, own); words != "" {
		own.Others[number] = words
		return
	}
	own.LatenciesUs = append(own.LatenciesUs, time.Since(started).Microseconds())
}

// Makes a call; nothing is told when it succeeded.
func (l *loader) made(order *order, number uint64, own *result) string {
	switch order.Call {
	case "Get":
		key := fmt.Sprintf("k%012d", order.pick(number))
		if _, err := l.contract.EvaluateTransaction("Get", key); err != nil {
			return "not evaluated: " + status.Code(err).String()
		}
		return ""
	case "Count":
		counter := fmt.Sprintf("c%012d", order.pick(number))
		who := fmt.Sprintf("k%012d", number)
		words, _ := l.submitted("Count", []byte(counter), []byte(who))
		return words
	}
	words, stages := l.submitted(order.Call, []byte(fmt.Sprintf("k%012d", number)), l.value)
	if words == "" {
		own.StagesUs = append(own.StagesUs, stages)
	}
	return words
}

func (o *order) pick(number uint64) uint64 {
	return o.Picks[(number-o.First)%uint64(len(o.Picks))]
}

// Submits and waits for the commit, by the steps that the client's SubmitAsync takes, which its documentation shows for
// many transactions at once; tells how long each took.
func (l *loader) submitted(function string, args ...[]byte) (string, [3]int64) {
	var stages [3]int64
	begun := time.Now()
	stage := func(number int) {
		stages[number] = time.Since(begun).Microseconds()
		begun = time.Now()
	}
	proposal, err := l.contract.NewProposal(function, client.WithBytesArguments(args...))
	if err != nil {
		return "not endorsed: " + status.Code(err).String(), stages
	}
	transaction, err := proposal.Endorse()
	stage(0)
	if err != nil {
		return "not endorsed: " + status.Code(err).String(), stages
	}
	commit, err := transaction.Submit()
	stage(1)
	if err != nil {
		return "failed when submitted: " + status.Code(err).String(), stages
	}
	outcome, err := commit.Status()
	stage(2)
	if err != nil {
		return "no commit status: " + status.Code(err).String(), stages
	}
	if !outcome.Successful {
		return outcome.Code.String(), stages
	}
	return "", stages
}
