// Every operation of Fabric's chaincode stream on the official shim: the counterpart of the Rust
// example of the same name. One call carries a list of operations; the reply has one line for each.
package main

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"log"
	"sort"
	"strings"

	"github.com/hyperledger/fabric-chaincode-go/v2/pkg/cid"
	"github.com/hyperledger/fabric-chaincode-go/v2/pkg/statebased"
	"github.com/hyperledger/fabric-chaincode-go/v2/shim"
	"github.com/hyperledger/fabric-protos-go-apiv2/peer"
)

type operation struct {
	Op         string   `json:"op"`
	Collection string   `json:"collection"`
	Key        string   `json:"key"`
	Value      string   `json:"value"`
	Keys       []string `json:"keys"`
	Size       int32    `json:"size"`
}

type everyOperation struct{}

func (everyOperation) Init(stub shim.ChaincodeStubInterface) *peer.Response {
	if err := stub.PutState("initialised", []byte("yes")); err != nil {
		return shim.Error(err.Error())
	}
	return shim.Success(nil)
}

func (everyOperation) Invoke(stub shim.ChaincodeStubInterface) *peer.Response {
	args := stub.GetArgs()
	if len(args) != 2 {
		return shim.Error("ARGUMENTS")
	}
	var operations []operation
	if err := json.Unmarshal(args[1], &operations); err != nil {
		return shim.Error("ARGUMENTS")
	}
	stub.StartWriteBatch()
	var lines []string
	for _, operation := range operations {
		if operation.Op == "fail" {
			return shim.Error(operation.Value)
		}
		line, err := run(stub, operation)
		if err != nil {
			log.Printf("%s: %v", operation.Op, err)
			return shim.Error(failed(operation.Op, err))
		}
		lines = append(lines, line)
	}
	return shim.Success([]byte(strings.Join(lines, "\n")))
}

// failed says in the peer's words why it refused, and no more than that it failed otherwise.
func failed(op string, err error) string {
	if words := err.Error(); strings.Contains(words, " failed: transaction ID: ") {
		return "FAILED " + op + ": " + words
	}
	return "FAILED " + op
}

func run(stub shim.ChaincodeStubInterface, o operation) (string, error) {
	private := o.Collection != ""
	some := func(iterator shim.StateQueryIteratorInterface, err error) (string, error) {
		return entries(iterator, err, o.Size)
	}
	switch o.Op {
	case "put":
		if private {
			return "", stub.PutPrivateData(o.Collection, o.Key, []byte(o.Value))
		}
		return "", stub.PutState(o.Key, []byte(o.Value))
	case "delete":
		if private {
			return "", stub.DelPrivateData(o.Collection, o.Key)
		}
		return "", stub.DelState(o.Key)
	case "purge":
		return "", stub.PurgePrivateData(o.Collection, o.Key)
	case "get":
		if private {
			return hexOf(stub.GetPrivateData(o.Collection, o.Key))
		}
		return hexOf(stub.GetState(o.Key))
	case "get_many":
		if private {
			return hexesOf(stub.GetMultiplePrivateData(o.Collection, o.Keys...))
		}
		return hexesOf(stub.GetMultipleStates(o.Keys...))
	case "hash":
		return hexOf(stub.GetPrivateDataHash(o.Collection, o.Key))
	case "set_policy":
		policy, err := statebased.NewStateEP(nil)
		if err != nil {
			return "", err
		}
		if err := policy.AddOrgs(statebased.RoleTypePeer, o.Keys...); err != nil {
			return "", err
		}
		bytes, err := policy.Policy()
		if err != nil {
			return "", err
		}
		if private {
			return "", stub.SetPrivateDataValidationParameter(o.Collection, o.Key, bytes)
		}
		return "", stub.SetStateValidationParameter(o.Key, bytes)
	case "clear_policy":
		if private {
			return "", stub.SetPrivateDataValidationParameter(o.Collection, o.Key, nil)
		}
		return "", stub.SetStateValidationParameter(o.Key, nil)
	case "policy":
		if private {
			return hexOf(stub.GetPrivateDataValidationParameter(o.Collection, o.Key))
		}
		return hexOf(stub.GetStateValidationParameter(o.Key))
	case "range":
		if private {
			return some(stub.GetPrivateDataByRange(o.Collection, o.Key, o.Value))
		}
		return some(stub.GetStateByRange(o.Key, o.Value))
	case "range_page":
		return page(stub.GetStateByRangeWithPagination("", "", o.Size, o.Value))
	case "partial":
		if private {
			return some(stub.GetPrivateDataByPartialCompositeKey(o.Collection, o.Key, o.Keys))
		}
		return some(stub.GetStateByPartialCompositeKey(o.Key, o.Keys))
	case "partial_page":
		return page(stub.GetStateByPartialCompositeKeyWithPagination(o.Key, o.Keys, o.Size, o.Value))
	case "composite_page":
		return page(stub.GetAllStatesCompositeKeyWithPagination(o.Size, o.Value))
	case "query":
		if private {
			return some(stub.GetPrivateDataQueryResult(o.Collection, o.Value))
		}
		return some(stub.GetQueryResult(o.Value))
	case "query_page":
		return page(stub.GetQueryResultWithPagination(o.Key, o.Size, o.Value))
	case "history":
		return history(stub, o.Key, o.Size)
	case "composite":
		key, err := stub.CreateCompositeKey(o.Key, o.Keys)
		if err != nil {
			return "", err
		}
		objectType, attributes, err := stub.SplitCompositeKey(key)
		return fmt.Sprintf("%x %s %s", key, objectType, strings.Join(attributes, ",")), err
	case "call":
		args := make([][]byte, len(o.Keys))
		for index, arg := range o.Keys {
			args[index] = []byte(arg)
		}
		response := stub.InvokeChaincode(o.Key, args, o.Value)
		return fmt.Sprintf("%d %s %x", response.Status, response.Message, response.Payload), nil
	case "event":
		return "", stub.SetEvent(o.Key, []byte(o.Value))
	case "facts":
		return facts(stub)
	}
	return "", fmt.Errorf("no such operation")
}

func facts(stub shim.ChaincodeStubInterface) (string, error) {
	creator, err := stub.GetCreator()
	if err != nil {
		return "", err
	}
	binding, err := stub.GetBinding()
	if err != nil {
		return "", err
	}
	transient, err := stub.GetTransient()
	if err != nil {
		return "", err
	}
	signed, err := stub.GetSignedProposal()
	if err != nil {
		return "", err
	}
	at, err := stub.GetTxTimestamp()
	if err != nil {
		return "", err
	}
	identity, err := cid.New(stub)
	if err != nil {
		return "", err
	}
	msp, err := identity.GetMSPID()
	if err != nil {
		return "", err
	}
	role, _, err := identity.GetAttributeValue("role")
	if err != nil {
		return "", err
	}
	certificate, err := identity.GetX509Certificate()
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("%s %s %d %x %x %s %s %x %s %s %s %s",
		stub.GetTxID(), stub.GetChannelID(), at.AsTime().UnixMilli(), creator, binding,
		pairs(transient), pairs(stub.GetDecorations()), signed.ProposalBytes,
		msp, role, certificate.Subject.CommonName, strings.Join(certificate.Subject.OrganizationalUnit, ",")), nil
}

func pairs(values map[string][]byte) string {
	var names []string
	for name := range values {
		names = append(names, name)
	}
	sort.Strings(names)
	var text []string
	for _, name := range names {
		text = append(text, fmt.Sprintf("%s:%x", name, values[name]))
	}
	return strings.Join(text, ",")
}

func hexOf(value []byte, err error) (string, error) {
	return hex.EncodeToString(value), err
}

func hexesOf(values [][]byte, err error) (string, error) {
	var text []string
	for _, value := range values {
		text = append(text, hex.EncodeToString(value))
	}
	return strings.Join(text, ","), err
}

// entries reads the first entries, as many as asked for, all of them if none are. The peer has closed a
// scan that was read to its end, so only one that was left before is closed.
func entries(iterator shim.StateQueryIteratorInterface, err error, size int32) (string, error) {
	if err != nil {
		return "", err
	}
	defer leave(iterator)
	var text []string
	for (size == 0 || len(text) < int(size)) && iterator.HasNext() {
		entry, err := iterator.Next()
		if err != nil {
			return "", err
		}
		text = append(text, fmt.Sprintf("%x:%x", entry.Key, entry.Value))
	}
	return strings.Join(text, ","), nil
}

func page(iterator shim.StateQueryIteratorInterface, metadata *peer.QueryResponseMetadata, err error) (string, error) {
	text, err := entries(iterator, err, 0)
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("%s next %x", text, metadata.Bookmark), nil
}

func leave(iterator shim.CommonIteratorInterface) {
	if iterator.HasNext() {
		if err := iterator.Close(); err != nil {
			log.Printf("close: %v", err)
		}
	}
}

func history(stub shim.ChaincodeStubInterface, key string, size int32) (string, error) {
	iterator, err := stub.GetHistoryForKey(key)
	if err != nil {
		return "", err
	}
	defer leave(iterator)
	var text []string
	for (size == 0 || len(text) < int(size)) && iterator.HasNext() {
		version, err := iterator.Next()
		if err != nil {
			return "", err
		}
		text = append(text, fmt.Sprintf("%s:%d:%t:%x", version.TxId, version.Timestamp.AsTime().UnixMilli(), version.IsDelete, version.Value))
	}
	return strings.Join(text, ","), nil
}

func main() {
	if err := shim.Start(everyOperation{}); err != nil {
		log.Fatal(err)
	}
}
