// Every operation of Fabric's chaincode stream on the official shim: the counterpart of the Rust
// example of the same name. One call carries a list of operations; the reply has one line for each.
//
// It is a service if the environment names its package (CHAINCODE_ID), and dials its peer otherwise.
package main

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"log"
	"os"
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
	if len(args) < 2 {
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
			return shim.Error("FAILED " + operation.Op)
		}
		lines = append(lines, line)
	}
	return shim.Success([]byte(strings.Join(lines, "\n")))
}

func run(stub shim.ChaincodeStubInterface, o operation) (string, error) {
	private := o.Collection != ""
	all := func(iterator shim.StateQueryIteratorInterface, err error) (string, error) {
		return entries(iterator, err, 0)
	}
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
		role := statebased.RoleTypePeer
		if o.Value == "member" {
			role = statebased.RoleTypeMember
		}
		if err := policy.AddOrgs(role, o.Keys...); err != nil {
			return "", err
		}
		bytes, err := policy.Policy()
		if err != nil {
			return "", err
		}
		return "", setPolicy(stub, o, bytes)
	case "set_rule":
		bytes, err := hex.DecodeString(o.Value)
		if err != nil {
			return "", err
		}
		return "", setPolicy(stub, o, bytes)
	case "clear_policy":
		return "", setPolicy(stub, o, nil)
	case "policy":
		if private {
			return hexOf(stub.GetPrivateDataValidationParameter(o.Collection, o.Key))
		}
		return hexOf(stub.GetStateValidationParameter(o.Key))
	case "range":
		if private {
			return all(stub.GetPrivateDataByRange(o.Collection, o.Key, o.Value))
		}
		return all(stub.GetStateByRange(o.Key, o.Value))
	case "first":
		if private {
			return some(stub.GetPrivateDataByRange(o.Collection, o.Key, o.Value))
		}
		return some(stub.GetStateByRange(o.Key, o.Value))
	case "range_page":
		return page(stub.GetStateByRangeWithPagination("", "", o.Size, o.Value))
	case "partial":
		if private {
			return all(stub.GetPrivateDataByPartialCompositeKey(o.Collection, o.Key, o.Keys))
		}
		return all(stub.GetStateByPartialCompositeKey(o.Key, o.Keys))
	case "partial_page":
		return page(stub.GetStateByPartialCompositeKeyWithPagination(o.Key, o.Keys, o.Size, o.Value))
	case "composite_page":
		return page(stub.GetAllStatesCompositeKeyWithPagination(o.Size, o.Value))
	case "query":
		if private {
			return all(stub.GetPrivateDataQueryResult(o.Collection, o.Value))
		}
		return all(stub.GetQueryResult(o.Value))
	case "first_query":
		return some(stub.GetQueryResult(o.Value))
	case "refusal":
		return refusal(stub, o)
	case "query_page":
		return page(stub.GetQueryResultWithPagination(o.Key, o.Size, o.Value))
	case "history":
		return history(stub, o.Key, 0)
	case "first_history":
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
	case "args":
		return arguments(stub), nil
	case "transient":
		transient, err := stub.GetTransient()
		return pairs(transient), err
	case "facts":
		return facts(stub)
	case "identity":
		return client(stub, o.Keys)
	}
	return "", fmt.Errorf("no such operation")
}

// Runs a query that the peer refuses, and replies with the peer's own words.
func refusal(stub shim.ChaincodeStubInterface, o operation) (string, error) {
	var err error
	switch {
	case o.Collection != "":
		_, err = stub.GetPrivateDataQueryResult(o.Collection, o.Value)
	case o.Size > 0:
		_, _, err = stub.GetQueryResultWithPagination(o.Value, o.Size, "")
	default:
		_, err = stub.GetQueryResult(o.Value)
	}
	if err == nil {
		return "", fmt.Errorf("the query was not refused")
	}
	return err.Error(), nil
}

func setPolicy(stub shim.ChaincodeStubInterface, o operation, policy []byte) error {
	if o.Collection != "" {
		return stub.SetPrivateDataValidationParameter(o.Collection, o.Key, policy)
	}
	return stub.SetStateValidationParameter(o.Key, policy)
}

// The function's name, and what follows the operations: bytes, which need not be text.
func arguments(stub shim.ChaincodeStubInterface) string {
	function, _ := stub.GetFunctionAndParameters()
	text := []string{function}
	for _, arg := range stub.GetArgs()[2:] {
		text = append(text, hex.EncodeToString(arg))
	}
	return strings.Join(text, " ")
}

// Who calls, by the client identity library: what attributes say, and what the certificate is.
func client(stub shim.ChaincodeStubInterface, names []string) (string, error) {
	var text []string
	for _, name := range names {
		value, found, err := cid.GetAttributeValue(stub, name)
		if err != nil {
			return "", err
		}
		if found {
			text = append(text, name+"="+value)
		} else {
			text = append(text, name)
		}
	}
	isClient, err := cid.HasOUValue(stub, "client")
	if err != nil {
		return "", err
	}
	isClerk := cid.AssertAttributeValue(stub, "role", "clerk") == nil
	certificate, err := cid.GetX509Certificate(stub)
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("%s %t %t %x", strings.Join(text, ","), isClient, isClerk, certificate.Raw), nil
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
	return fmt.Sprintf("%s %s %d %x %x %s %s %x %x %s %s %s %s",
		stub.GetTxID(), stub.GetChannelID(), at.AsTime().UnixMilli(), creator, binding,
		pairs(transient), pairs(stub.GetDecorations()), signed.ProposalBytes, signed.Signature,
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
	if err := serve(); err != nil {
		log.Fatal(err)
	}
}

func serve() error {
	id := os.Getenv("CHAINCODE_ID")
	if id == "" {
		return shim.Start(everyOperation{})
	}
	server := shim.ChaincodeServer{
		CCID:     id,
		Address:  os.Getenv("CHAINCODE_SERVER_ADDRESS"),
		CC:       everyOperation{},
		TLSProps: shim.TLSProperties{Disabled: os.Getenv("CHAINCODE_TLS_DISABLED") == "true"},
	}
	if !server.TLSProps.Disabled {
		files := map[string]*[]byte{
			"CHAINCODE_TLS_KEY":        &server.TLSProps.Key,
			"CHAINCODE_TLS_CERT":       &server.TLSProps.Cert,
			"CHAINCODE_CLIENT_CA_CERT": &server.TLSProps.ClientCACerts,
		}
		for variable, pem := range files {
			read, err := os.ReadFile(os.Getenv(variable))
			if err != nil {
				return fmt.Errorf("%s: %w", variable, err)
			}
			*pem = read
		}
	}
	return server.Start()
}
