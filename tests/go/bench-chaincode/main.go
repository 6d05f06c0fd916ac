// The benchmark's contract on the official shim: the counterpart of the Rust one in tests/src/measure/contract.rs,
// call by call. It prints nothing.
package main

import (
	"encoding/binary"
	"fmt"
	"log"
	"os"
	"strconv"

	"github.com/hyperledger/fabric-chaincode-go/v2/shim"
	"github.com/hyperledger/fabric-protos-go-apiv2/peer"
)

type contract struct{}

func (contract) Init(shim.ChaincodeStubInterface) *peer.Response {
	return shim.Success(nil)
}

func (contract) Invoke(stub shim.ChaincodeStubInterface) *peer.Response {
	args := stub.GetArgs()
	if len(args) == 0 {
		return shim.Error("CALL_UNKNOWN")
	}
	switch call, args := string(args[0]), args[1:]; {
	case call == "NoOp" && len(args) == 0:
		return shim.Success(nil)
	case call == "Get" && len(args) == 1:
		value, err := stub.GetState(string(args[0]))
		if err != nil {
			return shim.Error("NOT_READ")
		}
		return shim.Success(value)
	case call == "Put" && len(args) == 2:
		if err := stub.PutState(string(args[0]), args[1]); err != nil {
			return shim.Error("NOT_PUT")
		}
		return shim.Success(nil)
	case call == "Create" && len(args) == 2:
		return create(stub, string(args[0]), args[1])
	case call == "Count" && len(args) == 2:
		// Who counts is an argument only so that the transaction is known again in its block.
		return count(stub, string(args[0]))
	case call == "GetMany" && len(args) == 2:
		return getMany(stub, args)
	case call == "PutMany" && len(args) == 3:
		return putMany(stub, args)
	}
	return shim.Error("CALL_UNKNOWN")
}

// create puts a value at a key that has none.
func create(stub shim.ChaincodeStubInterface, key string, value []byte) *peer.Response {
	held, err := stub.GetState(key)
	if err != nil {
		return shim.Error("NOT_READ")
	}
	if held != nil {
		return shim.Error("KEY_TAKEN")
	}
	if err := stub.PutState(key, value); err != nil {
		return shim.Error("NOT_PUT")
	}
	return shim.Success(nil)
}

// count adds one to a counter and answers the new number.
func count(stub shim.ChaincodeStubInterface, counter string) *peer.Response {
	before, err := stub.GetState(counter)
	if err != nil {
		return shim.Error("NOT_READ")
	}
	var number uint64
	if before != nil {
		if number, err = strconv.ParseUint(string(before), 10, 64); err != nil {
			return shim.Error("ARGUMENTS")
		}
	}
	more := strconv.AppendUint(nil, number+1, 10)
	if err := stub.PutState(counter, more); err != nil {
		return shim.Error("NOT_PUT")
	}
	return shim.Success(more)
}

// getMany reads `count` keys below a prefix in one request and answers how many bytes they hold.
func getMany(stub shim.ChaincodeStubInterface, args [][]byte) *peer.Response {
	count, err := strconv.Atoi(string(args[1]))
	if err != nil {
		return shim.Error("ARGUMENTS")
	}
	keys := make([]string, count)
	for n := range keys {
		keys[n] = key(args[0], n)
	}
	values, err := stub.GetMultipleStates(keys...)
	if err != nil {
		return shim.Error("NOT_READ")
	}
	var length uint64
	for _, value := range values {
		length += uint64(len(value))
	}
	return shim.Success(binary.BigEndian.AppendUint64(nil, length))
}

// putMany writes `count` keys below a prefix with the same value. It batches when BENCH_BATCH says so.
func putMany(stub shim.ChaincodeStubInterface, args [][]byte) *peer.Response {
	count, err := strconv.Atoi(string(args[1]))
	if err != nil {
		return shim.Error("ARGUMENTS")
	}
	if batch {
		stub.StartWriteBatch()
	}
	for n := range count {
		if err := stub.PutState(key(args[0], n), args[2]); err != nil {
			return shim.Error("NOT_PUT")
		}
	}
	return shim.Success(nil)
}

func key(prefix []byte, n int) string {
	return fmt.Sprintf("%s%06d", prefix, n)
}

var batch = os.Getenv("BENCH_BATCH") == "true"

func main() {
	server := shim.ChaincodeServer{
		CCID:    os.Getenv("CHAINCODE_ID"),
		Address: os.Getenv("CHAINCODE_SERVER_ADDRESS"),
		CC:      contract{},
		TLSProps: shim.TLSProperties{
			Key:           read("CHAINCODE_TLS_KEY"),
			Cert:          read("CHAINCODE_TLS_CERT"),
			ClientCACerts: read("CHAINCODE_CLIENT_CA_CERT"),
		},
	}
	if err := server.Start(); err != nil {
		log.Fatal(err)
	}
}

func read(variable string) []byte {
	bytes, err := os.ReadFile(os.Getenv(variable))
	if err != nil {
		log.Fatalf("%s: %v", variable, err)
	}
	return bytes
}
