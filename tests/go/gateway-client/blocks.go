package main

import (
	"context"
	"errors"

	"github.com/hyperledger/fabric-gateway/pkg/client"
	"github.com/hyperledger/fabric-protos-go-apiv2/common"
	"github.com/hyperledger/fabric-protos-go-apiv2/ledger/rwset"
	"github.com/hyperledger/fabric-protos-go-apiv2/msp"
	"github.com/hyperledger/fabric-protos-go-apiv2/peer"
	"google.golang.org/protobuf/proto"
)

type transaction struct {
	Block      uint64   `json:"block"`
	TxID       string   `json:"tx_id"`
	Code       string   `json:"code"`
	Chaincode  string   `json:"chaincode"`
	Endorsers  []string `json:"endorsers"`
	Namespaces []string `json:"namespaces"`
}

// Every transaction of a chaincode, from the channel's first block to the newest.
func blocks(ctx context.Context, network *client.Network) ([]transaction, error) {
	info := &common.BlockchainInfo{}
	answer, err := network.GetContract("qscc").EvaluateTransaction("GetChainInfo", network.Name())
	if err != nil {
		return nil, err
	}
	if err := proto.Unmarshal(answer, info); err != nil {
		return nil, err
	}
	events, err := network.BlockEvents(ctx, client.WithStartBlock(0))
	if err != nil {
		return nil, err
	}
	var all []transaction
	for number := uint64(0); number < info.GetHeight(); number++ {
		block, open := <-events
		if !open {
			return nil, errors.New("the stream of blocks ended")
		}
		codes := block.GetMetadata().GetMetadata()[common.BlockMetadataIndex_TRANSACTIONS_FILTER]
		for index, envelope := range block.GetData().GetData() {
			read, err := readTransaction(envelope)
			if err != nil {
				return nil, err
			}
			if read != nil {
				read.Block = block.GetHeader().GetNumber()
				read.Code = peer.TxValidationCode(codes[index]).String()
				all = append(all, *read)
			}
		}
	}
	return all, nil
}

// What an envelope holds; nothing of one that is no chaincode's transaction.
func readTransaction(bytes []byte) (*transaction, error) {
	envelope, payload, channel := &common.Envelope{}, &common.Payload{}, &common.ChannelHeader{}
	if err := proto.Unmarshal(bytes, envelope); err != nil {
		return nil, err
	}
	if err := proto.Unmarshal(envelope.GetPayload(), payload); err != nil {
		return nil, err
	}
	if err := proto.Unmarshal(payload.GetHeader().GetChannelHeader(), channel); err != nil {
		return nil, err
	}
	if channel.GetType() != int32(common.HeaderType_ENDORSER_TRANSACTION) {
		return nil, nil
	}
	actions, action, extension := &peer.Transaction{}, &peer.ChaincodeActionPayload{}, &peer.ChaincodeHeaderExtension{}
	if err := proto.Unmarshal(channel.GetExtension(), extension); err != nil {
		return nil, err
	}
	if err := proto.Unmarshal(payload.GetData(), actions); err != nil {
		return nil, err
	}
	if err := proto.Unmarshal(actions.GetActions()[0].GetPayload(), action); err != nil {
		return nil, err
	}
	read := &transaction{TxID: channel.GetTxId(), Chaincode: extension.GetChaincodeId().GetName()}
	for _, endorsement := range action.GetAction().GetEndorsements() {
		endorser := &msp.SerializedIdentity{}
		if err := proto.Unmarshal(endorsement.GetEndorser(), endorser); err != nil {
			return nil, err
		}
		read.Endorsers = append(read.Endorsers, endorser.GetMspid())
	}
	response, result, written := &peer.ProposalResponsePayload{}, &peer.ChaincodeAction{}, &rwset.TxReadWriteSet{}
	if err := proto.Unmarshal(action.GetAction().GetProposalResponsePayload(), response); err != nil {
		return nil, err
	}
	if err := proto.Unmarshal(response.GetExtension(), result); err != nil {
		return nil, err
	}
	if err := proto.Unmarshal(result.GetResults(), written); err != nil {
		return nil, err
	}
	for _, namespace := range written.GetNsRwset() {
		read.Namespaces = append(read.Namespaces, namespace.GetNamespace())
	}
	return read, nil
}
