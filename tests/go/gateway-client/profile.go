package main

import (
	"crypto"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"

	"github.com/hyperledger/fabric-gateway/pkg/identity"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
)

// What is used of a connection profile, the file that a network writes for each of its organisations.
type profile struct {
	MspID     string `json:"msp_id"`
	Channel   string `json:"channel"`
	Chaincode string `json:"chaincode"`
	TLSCA     string `json:"tls_ca"`
	Peers     []struct {
		Address string `json:"address"`
	} `json:"peers"`
	Users map[string]string `json:"users"`
}

func readProfile(path string) (*profile, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	read := &profile{}
	if err := json.Unmarshal(text, read); err != nil {
		return nil, err
	}
	if len(read.Peers) == 0 {
		return nil, fmt.Errorf("%s names no peer", path)
	}
	return read, nil
}

// A connection to the organisation's first peer.
func (p *profile) connect() (*grpc.ClientConn, error) {
	pem, err := os.ReadFile(p.TLSCA)
	if err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("%s holds no certificate", p.TLSCA)
	}
	tls := grpc.WithTransportCredentials(credentials.NewClientTLSFromCert(roots, ""))
	return grpc.NewClient(p.Peers[0].Address, tls)
}

// A user's identity, and what signs with its key.
func (p *profile) credentials(name string) (*identity.X509Identity, identity.Sign, error) {
	id, key, err := p.user(name)
	if err != nil {
		return nil, nil, err
	}
	sign, err := identity.NewPrivateKeySign(key)
	return id, sign, err
}

// A user's certificate and private key.
func (p *profile) user(name string) (*identity.X509Identity, crypto.PrivateKey, error) {
	folder, found := p.Users[name]
	if !found {
		return nil, nil, fmt.Errorf("the profile has no user %q", name)
	}
	pem, err := only(filepath.Join(folder, "msp", "signcerts"))
	if err != nil {
		return nil, nil, err
	}
	certificate, err := identity.CertificateFromPEM(pem)
	if err != nil {
		return nil, nil, err
	}
	id, err := identity.NewX509Identity(p.MspID, certificate)
	if err != nil {
		return nil, nil, err
	}
	pem, err = only(filepath.Join(folder, "msp", "keystore"))
	if err != nil {
		return nil, nil, err
	}
	key, err := identity.PrivateKeyFromPEM(pem)
	return id, key, err
}

// The one file in a folder.
func only(folder string) ([]byte, error) {
	entries, err := os.ReadDir(folder)
	if err != nil {
		return nil, err
	}
	if len(entries) != 1 {
		return nil, fmt.Errorf("%s holds %d files, not one", folder, len(entries))
	}
	return os.ReadFile(filepath.Join(folder, entries[0].Name()))
}
