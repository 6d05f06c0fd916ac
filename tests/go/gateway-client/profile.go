package main

import (
	"crypto"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/hyperledger/fabric-gateway/pkg/identity"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
)

// What is used of a connection profile in the form of Fabric's SDKs.
type profile struct {
	Client struct {
		Organization string `json:"organization"`
	} `json:"client"`
	Channels      map[string]any `json:"channels"`
	Organizations map[string]struct {
		MspID string   `json:"mspid"`
		Peers []string `json:"peers"`
	} `json:"organizations"`
	Peers map[string]peerOfProfile `json:"peers"`
}

type peerOfProfile struct {
	URL        string `json:"url"`
	TLSCACerts struct {
		PEM string `json:"pem"`
	} `json:"tlsCACerts"`
	GRPCOptions struct {
		TargetName string `json:"ssl-target-name-override"`
	} `json:"grpcOptions"`
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
	if _, err := read.firstPeer(); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return read, nil
}

func (p *profile) mspID() string {
	return p.Organizations[p.Client.Organization].MspID
}

// The one channel.
func (p *profile) channel() string {
	for name := range p.Channels {
		return name
	}
	return ""
}

func (p *profile) firstPeer() (peerOfProfile, error) {
	for _, name := range p.Organizations[p.Client.Organization].Peers {
		if peer, found := p.Peers[name]; found {
			return peer, nil
		}
	}
	return peerOfProfile{}, fmt.Errorf("no peer of the client's organisation")
}

// A connection to the organisation's first peer.
func (p *profile) connect() (*grpc.ClientConn, error) {
	peer, err := p.firstPeer()
	if err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM([]byte(peer.TLSCACerts.PEM)) {
		return nil, fmt.Errorf("the profile holds no TLS CA")
	}
	tls := grpc.WithTransportCredentials(credentials.NewClientTLSFromCert(roots, peer.GRPCOptions.TargetName))
	return grpc.NewClient(strings.TrimPrefix(peer.URL, "grpcs://"), tls)
}

// The identity in a user's MSP folder, and what signs with its key.
func (p *profile) credentials(msp string) (*identity.X509Identity, identity.Sign, error) {
	id, key, err := p.user(msp)
	if err != nil {
		return nil, nil, err
	}
	sign, err := identity.NewPrivateKeySign(key)
	return id, sign, err
}

// The certificate and private key in a user's MSP folder.
func (p *profile) user(msp string) (*identity.X509Identity, crypto.PrivateKey, error) {
	pem, err := only(filepath.Join(msp, "signcerts"))
	if err != nil {
		return nil, nil, err
	}
	certificate, err := identity.CertificateFromPEM(pem)
	if err != nil {
		return nil, nil, err
	}
	id, err := identity.NewX509Identity(p.mspID(), certificate)
	if err != nil {
		return nil, nil, err
	}
	pem, err = only(filepath.Join(msp, "keystore"))
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
