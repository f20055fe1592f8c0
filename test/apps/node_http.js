// SPDX-License-Identifier: BSD-3-Clause
//
// node_http.js - A server and a client of HTTP, for node.sh
//
//	node node_http.js server ADDRESS PORT [WORKERS]
//	node node_http.js client ADDRESS PORT REQUESTS PARALLEL
//
// GET /N answers N bytes that both sides compute, POST /sum the SHA-256 of the
// body.  With WORKERS, processes of the cluster module answer: the first one
// accepts and sends them its connections.  The client's requests share PARALLEL
// kept connections; it ends with 1 at the first answer that is wrong.

'use strict';
const http = require('http');
const crypto = require('crypto');
const cluster = require('cluster');

const [mode, address, port, ...rest] = process.argv.slice(2);

function content(n)
{
	const b = Buffer.alloc(n);
	for (let i = 0, x = n; i < n; i++) {
		x = (x * 1103515245 + 12345) & 0x7fffffff;
		b[i] = x >> 16;
	}
	return b;
}

const sum = (b) => crypto.createHash('sha256').update(b).digest('hex');

function serve(request, response)
{
	response.setHeader('X-Pid', process.pid);
	if (request.method === 'POST') {
		const hash = crypto.createHash('sha256');
		request.on('data', (piece) => hash.update(piece));
		request.on('end', () => response.end(hash.digest('hex')));
	} else {
		response.end(content(Number(request.url.slice(1))));
	}
}

function server(workers)
{
	if (workers && cluster.isPrimary) {
		let ready = 0;
		cluster.on('listening', () => {
			if (++ready === workers)
				console.log('listening');
		});
		for (let i = 0; i < workers; i++)
			cluster.fork();
		process.on('SIGTERM', () => cluster.disconnect(() => process.exit(0)));
		return;
	}
	http.createServer(serve).listen(Number(port), address, () => {
		if (!workers)
			console.log('listening');
	});
}

function ask(agent, method, path, body)
{
	return new Promise((resolve, reject) => {
		const options = { agent, method, path, host: address, port: Number(port) };
		const request = http.request(options, (response) => {
			const pieces = [];
			response.on('data', (piece) => pieces.push(piece));
			response.on('error', reject);
			response.on('end', () => resolve({
				body: Buffer.concat(pieces), pid: response.headers['x-pid'],
			}));
		});
		request.on('error', reject);
		request.end(body);
	});
}

async function client(requests, parallel)
{
	const agent = new http.Agent({ keepAlive: true, maxSockets: parallel });
	const sizes = [0, 1, 1000, 65536, 300000];
	const pids = new Set();
	const begun = Date.now();
	const check = async (i) => {
		const expected = content(sizes[i % sizes.length]);
		const post = i % 3 === 2;
		const got = post ? await ask(agent, 'POST', '/sum', expected) :
			await ask(agent, 'GET', '/' + expected.length);
		pids.add(got.pid);
		if (post ? got.body.toString() !== sum(expected) : !got.body.equals(expected))
			throw new Error(`request ${i}: ${got.body.length} bytes, and wrong`);
	};
	await Promise.all(Array.from({ length: requests }, (_, i) => check(i)));
	agent.destroy();
	console.log(`${requests} requests, ${pids.size} servers, ${Date.now() - begun} ms`);
}

if (mode === 'server') {
	server(Number(rest[0] || 0));
} else {
	client(Number(rest[0]), Number(rest[1])).catch((error) => {
		console.error(error);
		process.exit(1);
	});
}
