# SPDX-License-Identifier: BSD-3-Clause
#
# python_servers.py - Python's ways to serve and to ask, for python.sh
#
#	python3 python_servers.py KIND ADDRESS PORT
#	python3 python_servers.py ask ADDRESS PORT [MIN]
#	python3 python_servers.py datagrams ADDRESS PORT
#
# KIND is one of
#	asyncio    one loop; its port serves datagrams, too
#	threads    four threads in accept() on one listener
#	forked     three processes in accept() on the listener that they inherited
#	epoll      the same, with a listener that does not block, each with its epoll
#	spawned    the first process accepts, two others get the sockets by SCM_RIGHTS
#
# A request is a length and as many bytes; the answer has the pid that made it
# and the bytes in capitals.  "ask" has 40 connections in an event loop and 10 in
# threads, checks each answer, and that at least MIN processes answered.

import asyncio
import multiprocessing
import os
import select
import signal
import socket
import struct
import sys
import threading

SIZES = (0, 1, 1000, 70000, 250000)
HEAD = struct.Struct("!II")


def exactly(connection, n):
	data = bytearray()
	while len(data) < n:
		piece = connection.recv(n - len(data))
		if not piece:
			raise EOFError
		data += piece
	return bytes(data)


def converse(connection):
	"""Answer one connection until its end, by blocking calls"""
	connection.setblocking(True)
	with connection:
		try:
			while True:
				_, n = HEAD.unpack(exactly(connection, HEAD.size))
				data = exactly(connection, n).upper()
				connection.sendall(HEAD.pack(os.getpid(), n) + data)
		except EOFError:
			pass


def accept_for_ever(listener):
	while True:
		connection, _ = listener.accept()
		threading.Thread(target=converse, args=(connection,), daemon=True).start()


def epoll_for_ever(listener):
	poller = select.epoll()
	poller.register(listener, select.EPOLLIN)
	while True:
		poller.poll()
		try:
			connection, _ = listener.accept()
		except BlockingIOError:
			continue
		threading.Thread(target=converse, args=(connection,), daemon=True).start()


def handed(pipe):
	while True:
		threading.Thread(target=converse, args=(pipe.recv(),), daemon=True).start()


def serve_asyncio(listener):
	async def conversation(reader, writer):
		try:
			while True:
				_, n = HEAD.unpack(await reader.readexactly(HEAD.size))
				writer.write(HEAD.pack(os.getpid(), n) + (await reader.readexactly(n)).upper())
				await writer.drain()
		except asyncio.IncompleteReadError:
			writer.close()

	class Datagrams(asyncio.DatagramProtocol):
		def connection_made(self, transport):
			self.transport = transport

		def datagram_received(self, data, peer):
			self.transport.sendto(data.upper(), peer)

	async def run():
		await asyncio.get_running_loop().create_datagram_endpoint(
			Datagrams, local_addr=listener.getsockname())
		server = await asyncio.start_server(conversation, sock=listener)
		print("listening", flush=True)
		await server.serve_forever()

	asyncio.run(run())


def serve(kind, address, port):
	listener = socket.create_server((address, port), backlog=100)
	if kind == "asyncio":
		serve_asyncio(listener)
	if kind == "threads":
		for _ in range(3):
			threading.Thread(target=accept_for_ever, args=(listener,), daemon=True).start()
	if kind == "forked":
		for _ in range(2):
			multiprocessing.Process(target=accept_for_ever, args=(listener,), daemon=True).start()
	if kind == "epoll":
		listener.setblocking(False)
		for _ in range(2):
			multiprocessing.Process(target=epoll_for_ever, args=(listener,), daemon=True).start()
	if kind == "spawned":
		spawn = multiprocessing.get_context("spawn")
		pipes = []
		for _ in range(2):
			theirs, ours = spawn.Pipe()
			spawn.Process(target=handed, args=(theirs,), daemon=True).start()
			pipes.append(ours)
		print("listening", flush=True)
		while True:
			for pipe in pipes:
				connection, _ = listener.accept()
				pipe.send(connection)
				connection.close()
	print("listening", flush=True)
	(epoll_for_ever if kind == "epoll" else accept_for_ever)(listener)


def letters(n):
	return bytes(97 + (i * i + n) % 26 for i in range(n))


BODIES = [letters(n) for n in SIZES]


def check(pids, head, sent, got):
	pid, n = HEAD.unpack(head)
	if n != len(sent) or got != sent.upper():
		raise SystemExit(f"asked with {len(sent)} bytes: {n} came, and wrong")
	pids.add(pid)


async def ask_in_loop(address, port, pids, turn):
	reader, writer = await asyncio.open_connection(address, port)
	for k in range(5):
		sent = BODIES[(turn + k) % len(BODIES)]
		writer.write(HEAD.pack(0, len(sent)) + sent)
		head = await reader.readexactly(HEAD.size)
		check(pids, head, sent, await reader.readexactly(len(sent)))
	writer.close()
	await writer.wait_closed()


def ask_in_thread(address, port, pids, turn):
	with socket.create_connection((address, port), timeout=20) as connection:
		for k in range(5):
			sent = BODIES[(turn + k) % len(BODIES)]
			connection.sendall(HEAD.pack(0, len(sent)) + sent)
			head = exactly(connection, HEAD.size)
			check(pids, head, sent, exactly(connection, len(sent)))


def ask(address, port, at_least):
	pids = set()

	async def loop():
		# Who accepts is the scheduler's choice: one process may get a whole round.
		for _ in range(10):
			await asyncio.wait_for(asyncio.gather(
				*(ask_in_loop(address, port, pids, i) for i in range(40))), 30)
			if len(pids) >= at_least:
				break

	asyncio.run(loop())
	failed = []
	threading.excepthook = failed.append
	threads = [threading.Thread(target=ask_in_thread, args=(address, port, pids, i))
		for i in range(10)]
	for thread in threads:
		thread.start()
	for thread in threads:
		thread.join()
	if failed:
		raise SystemExit(f"a thread failed: {failed[0].exc_value!r}")
	if len(pids) < at_least:
		raise SystemExit(f"{len(pids)} processes answered, {at_least} were expected")
	print(f"answers by {len(pids)} processes")


def ask_datagrams(address, port):
	async def run():
		answers = asyncio.Queue()

		class Protocol(asyncio.DatagramProtocol):
			def datagram_received(self, data, peer):
				answers.put_nowait((data, peer))

			def error_received(self, error):
				answers.put_nowait((error, None))

		transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(
			Protocol, remote_addr=(address, port))
		for i in range(50):
			sent = b"message %d" % i
			transport.sendto(sent)
			got = await asyncio.wait_for(answers.get(), 20)
			if got != (sent.upper(), (address, port)):
				raise SystemExit(f"datagram {i}: {got}")
		transport.close()

	asyncio.run(run())
	print("50 datagrams")


if __name__ == "__main__":
	signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
	how, where = sys.argv[1], (sys.argv[2], int(sys.argv[3]))
	if how == "ask":
		ask(*where, int(sys.argv[4]) if len(sys.argv) > 4 else 1)
	elif how == "datagrams":
		ask_datagrams(*where)
	else:
		serve(how, *where)
