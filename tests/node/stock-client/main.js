// The official gateway client for Node.js, with nothing but a connection profile in the form of Fabric's SDKs and a
// user's MSP folder: it submits, evaluates and listens, and tells what it saw as JSON.
//
//     node main.js PROFILE MSP CHAINCODE KEY VALUE

import * as crypto from 'node:crypto';
import { readFile, readdir } from 'node:fs/promises';
import * as path from 'node:path';

import * as grpc from '@grpc/grpc-js';
import { connect, hash, signers } from '@hyperledger/fabric-gateway';

// Longer than anything here takes on the slowest machine.
const DEADLINE_MS = 60_000;

const [profilePath, msp, chaincode, key, value] = process.argv.slice(2);
const profile = JSON.parse(await readFile(profilePath, 'utf8'));
const organization = profile.organizations[profile.client.organization];
const peer = profile.peers[organization.peers[0]];
const [channel] = Object.keys(profile.channels);

const client = new grpc.Client(
    peer.url.replace('grpcs://', ''),
    grpc.credentials.createSsl(Buffer.from(peer.tlsCACerts.pem)),
    { 'grpc.ssl_target_name_override': peer.grpcOptions['ssl-target-name-override'] },
);
const deadline = () => ({ deadline: Date.now() + DEADLINE_MS });
const gateway = connect({
    client,
    identity: { mspId: organization.mspid, credentials: await only('signcerts') },
    signer: signers.newPrivateKeySigner(crypto.createPrivateKey(await only('keystore'))),
    hash: hash.sha256,
    evaluateOptions: deadline,
    endorseOptions: deadline,
    submitOptions: deadline,
    commitStatusOptions: deadline,
});
try {
    const network = gateway.getNetwork(channel);
    const contract = network.getContract(chaincode);
    const argument = JSON.stringify({ key, value });
    const submitted = await contract.submitAsync('Put', { arguments: [argument] });
    const status = await submitted.getStatus();
    const state = JSON.parse(text(await contract.evaluateTransaction('State')));
    const blocks = await network.getFilteredBlockEvents({ startBlock: status.blockNumber });
    const [block] = await first(blocks);
    const { message, details } = await refused(contract.submit('Put', { arguments: [argument] }));
    console.log(JSON.stringify({
        transaction: submitted.getTransactionId(),
        valid: status.successful,
        block: Number(status.blockNumber),
        state,
        filtered: block.getFilteredTransactionsList().map((transaction) => transaction.getTxid()),
        refused: { message, details: details.map(({ mspId, message }) => ({ mspId, message })) },
    }));
} finally {
    gateway.close();
    client.close();
}

function text(bytes) {
    return Buffer.from(bytes).toString('utf8');
}

// The first item of a stream, which is closed then.
async function first(items) {
    try {
        for await (const item of items) {
            return [item];
        }
        throw new Error('the stream of blocks ended before the first one');
    } finally {
        items.close();
    }
}

// The error that something must end with.
async function refused(promise) {
    try {
        await promise;
    } catch (error) {
        return error;
    }
    throw new Error('a key was put twice');
}

// The one file in a folder of the user's MSP folder.
async function only(folder) {
    const names = await readdir(path.join(msp, folder));
    if (names.length !== 1) {
        throw new Error(`${folder} of ${msp} holds ${names.length} files, not one`);
    }
    return readFile(path.join(msp, folder, names[0]));
}
